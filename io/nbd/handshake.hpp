// The fixed-newstyle handshake of one NBD connection as a pure state machine: bytes in, bytes out. No I/O, no clock,
// no threads; whoever owns it feeds it. Memory and output are bounded whatever the client announces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "io/nbd/protocol.hpp"

namespace gnomon::io {

struct export_listing {
  std::string name, description;
};

struct export_info {
  std::string name; // canonical
  std::string description;
  std::uint64_t size = 0; // bytes
  bool read_only = false;
  // The protocol's size constraints: a power of two up to 64 KiB, a power of two not below it and 512, bytes.
  std::uint32_t block_bytes_min = 1;
  std::uint32_t block_bytes_preferred = nbd::preferred_block_bytes;
  std::uint32_t payload_bytes_max = nbd::payload_bytes_max;
};

enum class export_purpose : std::uint8_t { info, go }; // go: the client will use it; the export is claimed

// What a client may see and open. Refusals: not_found and invalid_argument (both "unknown"), shutting_down,
// everything else is "policy"; the message is sent to the client. A GO that finds its export always enters the
// transmission phase, so a claim made by find() is never left over.
class export_directory {
public:
  virtual ~export_directory() = default;
  virtual std::vector<export_listing> list() const = 0;
  // `name` is a string as the protocol defines it, empty for the default export.
  virtual result<export_info> find(std::string_view name, export_purpose purpose) = 0;
};

struct handshake_limits {
  // A client that sends more is told so and dropped. One that has asked for the list may then ask about each export.
  std::uint32_t options_max = 64;
  bool extended_headers = false;  // whether the transmission phase can use them
};

// What was agreed on when the transmission phase begins.
struct selection {
  export_info what;
  bool structured_replies = false;
  std::optional<std::uint32_t> base_allocation; // id of the metadata context
  bool extended_headers = false; // then every reply is an extended one, whatever structured_replies says
  bool no_zeroes = false;
  bool by_export_name = false;          // NBD_OPT_EXPORT_NAME: an old client, which knows no block sizes
  std::uint16_t transmission_flags = 0; // as sent
  std::string asked_name;               // as the client wrote it
};

// What validate() needs to know of a selection.
nbd::export_limits limits_of(const selection& chosen) noexcept;

enum class handshake_outcome : std::uint8_t {
  need_more,    // all input was consumed
  transmission, // chosen() is valid; the rest of the input belongs to the transmission phase
  close,        // send the output, then end the connection
};

class handshake {
public:
  static constexpr std::size_t greeting_bytes = 18;
  static constexpr std::uint32_t option_bytes_max = 16 * 1024;       // longer ones are passed over and refused
  static constexpr std::uint32_t skipped_option_bytes_max = 1 << 20; // longer still: the connection ends
  static constexpr std::uint32_t queries_max = 64;                   // of one metadata context option
  // What clients that list send for each export (INFO, LIST_META_CONTEXT, SET_META_CONTEXT), with room.
  static constexpr std::uint32_t options_per_listed_export = 4;

  // What one client can make us send: `list_bytes_max` of replies to all its LISTs together, and `reply_bytes_max`
  // for each other option. A list that does not fit is sent without descriptions; if that does not fit either the
  // answer is ERR_TOO_BIG.
  static constexpr std::size_t list_bytes_max = 4 << 20;
  static constexpr std::size_t reply_bytes_max = 12 * 1024;

  // `exports` outlives the handshake.
  handshake(export_directory& exports, const handshake_limits& limits) : exports_(exports), limits_(limits) {}

  std::array<std::byte, greeting_bytes> greeting() const noexcept;
  // Advances `input` past what it used and appends what is to be sent. After `transmission` or `close` it does
  // nothing and repeats its answer.
  handshake_outcome consume(std::span<const std::byte>& input, std::vector<std::byte>& output);
  const selection& chosen() const noexcept { return selection_; }
  // `close` was the answer to one option too many.
  bool too_many_options() const noexcept { return too_many_options_; }
  // Options that the client may send by now, at most.
  std::uint64_t options_allowed() const noexcept { return std::uint64_t{limits_.options_max} + options_for_listed_; }
  // Memory held for an option that came in pieces; never more than a small multiple of what has arrived.
  std::size_t held_bytes() const noexcept { return gathered_.capacity(); }

private:
  enum class step : std::uint8_t { client_flags, option_header, option_data, skip_data };
  using payload = std::span<const std::byte>;

  std::optional<payload> gather(std::span<const std::byte>& input, std::size_t wanted);
  bool skip(std::span<const std::byte>& input);
  handshake_outcome begin(payload flags);
  handshake_outcome begin_option(payload header, std::vector<std::byte>& output);
  handshake_outcome too_long(std::vector<std::byte>& output);
  handshake_outcome option(payload data, std::vector<std::byte>& output);

  handshake_outcome export_name(payload data, std::vector<std::byte>& output);
  handshake_outcome info_or_go(payload data, std::vector<std::byte>& output);
  void list(payload data, std::vector<std::byte>& output);
  void structured_reply(payload data, std::vector<std::byte>& output);
  void extended_headers(payload data, std::vector<std::byte>& output);
  void meta_context(payload data, std::vector<std::byte>& output);
  void starttls(payload data, std::vector<std::byte>& output) const;

  handshake_outcome enter_transmission(export_info&& what, std::string_view asked_name);
  std::uint16_t transmission_flags(const export_info& e, std::string_view asked_name) const noexcept;
  void answer(std::vector<std::byte>& output, nbd::option_reply type, payload data = {}) const;
  void refuse(std::vector<std::byte>& output, nbd::option_reply type, std::string_view text) const;
  void refuse(std::vector<std::byte>& output, const error& why) const;

  export_directory& exports_;
  const handshake_limits limits_;
  step step_ = step::client_flags;
  handshake_outcome outcome_ = handshake_outcome::need_more;
  bool fixed_newstyle_ = false, no_zeroes_ = false, structured_ = false, extended_ = false;
  std::optional<std::string> context_export_; // base:allocation was agreed on for this name
  std::uint64_t options_ = 0, options_for_listed_ = 0;
  bool too_many_options_ = false;
  std::size_t list_bytes_left_ = list_bytes_max;
  nbd::option option_{};           // under way
  std::uint32_t option_bytes_ = 0; // its payload
  std::uint32_t skip_bytes_ = 0;
  std::vector<std::byte> gathered_;
  bool gathered_used_ = false;
  selection selection_;
};

} // namespace gnomon::io
