// The client's side of the fixed-newstyle handshake as a pure state machine: bytes in, bytes out. No I/O, no clock, no
// threads. Asks for what its options name, one option at a time, goes on without what the server does not have, and
// ends with an export opened or with the reason why not. Memory is bounded whatever the server sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "io/nbd/protocol.hpp"

namespace gnomon::io {

struct client_wishes {
  std::string export_name;
  bool extended_headers = true;   // else, or where the server has none:
  bool structured_replies = true; // else simple replies
  bool base_allocation = true;    // for block status; needs one of the two above
};

// What the server said of the export, and what was agreed on.
struct opened_export {
  std::uint64_t size = 0;               // bytes
  std::uint16_t transmission_flags = 0; // nbd::send_fua and so on
  std::uint32_t block_bytes_min = 1, block_bytes_preferred = nbd::preferred_block_bytes;
  std::uint32_t payload_bytes_max = nbd::payload_bytes_max; // of one read or write
  bool extended_headers = false, structured_replies = false;
  std::optional<std::uint32_t> base_allocation; // id of the metadata context

  bool has(std::uint16_t flag) const noexcept { return (transmission_flags & flag) != 0; }
  bool read_only() const noexcept { return has(nbd::is_read_only); }
};

class client_handshake {
public:
  static constexpr std::size_t greeting_bytes = 18;
  static constexpr std::size_t reply_bytes_max = 64 * 1024; // of one option reply; longer: not an NBD server
  static constexpr std::uint32_t replies_max = 256;         // to one option

  enum class outcome : std::uint8_t {
    need_more, // all input was consumed
    opened,    // what() is valid; the rest of the input belongs to the transmission phase
    failed,    // why() says what is wrong
  };

  explicit client_handshake(client_wishes wishes) : wishes_(std::move(wishes)) {}

  // Advances `input` past what it used and appends what is to be sent. After `opened` or `failed` it does nothing.
  outcome consume(std::span<const std::byte>& input, std::vector<std::byte>& output);
  const opened_export& what() const noexcept { return what_; }
  // not_found, permission_denied (policy, or TLS is required), shutting_down, unsupported (the server is too old),
  // invalid_argument; corrupt: what was received is not this protocol.
  const error& why() const noexcept { return why_; }

private:
  enum class step : std::uint8_t { greeting, reply_header, reply_data };

  outcome fail_with(errc code, std::string text);
  outcome greet(std::vector<std::byte>& output);
  outcome reply_header();
  outcome reply(std::vector<std::byte>& output);
  outcome ask_next(std::vector<std::byte>& output);
  outcome take_info();
  outcome take_refusal(std::vector<std::byte>& output, nbd::option_reply type);
  void ask(std::vector<std::byte>& output, nbd::option o, std::span<const std::byte> data = {});

  const client_wishes wishes_;
  step step_ = step::greeting;
  outcome outcome_ = outcome::need_more;
  nbd::option asked_{};
  bool tried_extended_ = false, tried_structured_ = false, tried_context_ = false, told_size_ = false;
  std::uint32_t replies_ = 0;
  nbd::option_reply type_{};
  std::vector<std::byte> gathered_; // of the present step
  std::size_t wanted_ = greeting_bytes;
  opened_export what_;
  error why_{errc::internal, {}, 0};
};

} // namespace gnomon::io
