// An NBD client on its ring: one connection to one export of another server, for requests that their callers own.
// Ring thread only. No request is ever sent twice: when the connection is lost, its callers are told, and decide.
//
//   connecting --> negotiating --> ready --> draining --> ended        open() begins, drain() or drop() ends it
//        \______________\____________\___________\______> ended        connection lost, refused, timed out
//
// Life of a request: submit() says `accepted`, then `finish` is called exactly once on the ring, with the server's
// answer or, when the connection is lost before it, with `lost`. Until then its memory and its data are the client's.
// Replies come in any order. Nothing here copies data but what arrives in a receive buffer.
//
// Hostile or broken servers: every reply is checked against its request (cookie, range, length, each byte once), and
// the connection is given up at the first one that does not fit.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/endpoint.hpp"
#include "io/nbd/client_handshake.hpp"
#include "io/nbd/socket.hpp"
#include "io/ring/stream.hpp"
#include "io/types.hpp"
#include "io/volume/block_status.hpp"

namespace gnomon::io {

struct nbd_client_options {
  // Numeric or a Unix socket: names are resolved before, off the ring (addresses_of), and given as `addresses`.
  endpoint to;
  std::vector<socket_address> addresses; // empty: those of `to`. Tried one after the other
  client_wishes wishes;                  // export and what to negotiate
  std::chrono::milliseconds open_timeout{10'000}; // connecting and negotiating together
  std::uint32_t requests_in_flight_max = 256;
  byte_count in_flight_max{64ull << 20}; // data of requests under way; one request always fits
};

// One request; embedded in what its caller keeps for it.
struct nbd_client_request : private outgoing {
  // --- filled by the caller
  operation op = operation::read;
  bool fua = false;
  bool may_punch = true;     // zero: holes allowed
  bool fast_only = false;    // zero: ENOTSUP rather than slow
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes; 0 for a flush
  std::byte* data = nullptr; // read: `length` bytes to fill; write: `length` bytes, not changed
  std::uint32_t extents_max = 1; // block status: at most this many are kept; 1 asks the server for one
  using finish_function = void (*)(nbd_client_request& self, ring& on); // may submit, and may free the request
  finish_function finish = nullptr;
  void* owner = nullptr;

  // --- the answer
  int error = 0;               // errno; 0: done. After an error `data` of a read may be partly filled
  bool lost = false;           // the connection ended first: whether it was carried out is unknown (error: ENOTCONN)
  std::vector<extent> extents; // block status: at least one, from `offset` on; may end before or after the range

private:
  friend class nbd_client;
  static constexpr std::size_t covered_max = 8; // runs of a read that may have arrived apart from each other
  std::uint32_t slot = 0;
  bool sent = false, answered = false;
  std::uint8_t covered_count = 0;
  std::array<std::pair<std::uint64_t, std::uint64_t>, covered_max> covered; // [begin, end) relative to offset
  nbd_client_request *earlier = nullptr, *later = nullptr; // in order of submission
  std::array<std::byte, nbd::extended_request_bytes> head;
};

class nbd_client;

// What a client tells its owner. Ring thread.
class nbd_client_user {
public:
  virtual void opened(nbd_client& client) = 0; // submit() may be called; client.what() is valid
  // After submit() said `later`: there is room again.
  virtual void room(nbd_client& client) = 0;
  // The last call; every request was finished before it. ok after drain() and drop(); else why the connection could not
  // be opened or was lost (unavailable, timed_out, corrupt: not an NBD server, or what client_handshake::why() says).
  // The client may be destroyed from inside it.
  virtual void ended(nbd_client& client, const result<void>& why) = 0;

protected:
  ~nbd_client_user() = default;
};

class nbd_client final : private stream_user {
public:
  static constexpr std::uint32_t requests_in_flight_limit = 4096; // whatever the options say

  enum class admission : std::uint8_t {
    accepted, // `finish` will be called
    later,    // the connection has all it may have: try again at room()
    refused,  // request.error says why: EINVAL (range, alignment, size), ENOTSUP (the server does not offer it),
              // EPERM (read-only), ENOTCONN (not open, draining or lost). `finish` is not called
  };

  // `on` and `user` outlive the client. Does nothing before open().
  nbd_client(ring& on, nbd_client_options options, nbd_client_user& user);
  // Never opened, or ended.
  ~nbd_client();
  nbd_client(const nbd_client&) = delete;
  nbd_client& operator=(const nbd_client&) = delete;

  // Connects and negotiates; opened() or ended() follows, never from inside this call.
  void open();
  [[nodiscard]] admission submit(nbd_client_request& request);
  // No more requests; those under way are answered, the server is told, ended() follows.
  void drain();
  // Ends at once: requests under way are lost; ended() follows.
  void drop();

  bool ready() const noexcept { return phase_ == phase::ready; }
  const opened_export& what() const noexcept { return what_; }
  std::uint32_t in_flight() const noexcept { return in_flight_; }
  // When the oldest request under way was submitted; nothing when none is: for an owner that is patient for a time.
  std::optional<boot_time> waiting_since() const noexcept;
  const std::string& name() const noexcept { return name_; } // "127.0.0.1:10809, export db", for messages

private:
  enum class phase : std::uint8_t { made, connecting, negotiating, ready, draining, ending, ended };
  enum class part : std::uint8_t { simple_header, structured_header, extended_header, prefix, data, skipped };
  struct words : outgoing { // of the handshake, and the farewell
    std::vector<std::byte> bytes;
    bool under_way = false;
  };
  struct own_completion : completion {
    nbd_client* self = nullptr;
  };
  struct slot {
    nbd_client_request* request = nullptr;
    std::uint32_t use = 0; // part of the cookie: an answer to an earlier request does not fit
    boot_time since{};
  };
  struct chunk {
    std::uint16_t flags = 0;
    nbd::chunk type{};
    std::uint64_t length = 0; // of its payload
  };
  static constexpr std::size_t direct_bytes = 16 * 1024; // a missing rest at least this long skips the copy
  static constexpr std::size_t long_read_bytes = 64 * 1024;

  // --- opening and ending (client.cpp)
  void connect_next();
  void connected(int result);
  void negotiate();
  void begin_transmission();
  bool say(std::vector<std::byte> bytes);
  void lose(errc code, std::string why);
  void end_if_idle();
  void deliver_end();
  void finish_draining();

  // --- requests (client_request.cpp)
  int refusal(const nbd_client_request& r) const noexcept;
  void encode(nbd_client_request& r) noexcept;
  void conclude(nbd_client_request& r);
  void finish(nbd_client_request& r);
  void unlink(nbd_client_request& r) noexcept;
  void fail_all();
  void sent(outgoing* list, bool whole) override;
  void settled() override { end_if_idle(); }

  // --- replies (client_reply.cpp); false: the connection was given up
  void received(int result) override;
  void receive_more();
  void take_input();
  void begin_reply() noexcept;
  bool part_complete();
  bool take_simple();
  bool take_chunk(const chunk& c, std::uint64_t cookie);
  bool take_prefix();
  bool take_extents(std::size_t prefix_bytes, bool wide);
  bool end_of_chunk();
  bool cover(nbd_client_request& r, std::uint64_t begin, std::uint64_t end);
  nbd_client_request* find(std::uint64_t cookie) noexcept;
  void want(part p, std::byte* at, std::uint64_t bytes) noexcept;
  bool nonsense(std::string_view what);

  ring& ring_;
  nbd_client_options options_;
  nbd_client_user& user_;
  const std::string name_;
  phase phase_ = phase::made;
  bool asked_for_room_ = false, farewell_said_ = false;
  result<void> why_{};
  opened_export what_;
  std::unique_ptr<client_handshake> handshake_;
  std::unique_ptr<stream> stream_;
  int connecting_fd_ = -1;
  std::size_t next_address_ = 0;
  int connect_errno_ = 0;
  own_completion connect_, timer_, retry_, end_;
  bool connecting_ = false, timer_armed_ = false, retry_queued_ = false, end_queued_ = false;
  __kernel_timespec timer_span_{};
  words words_;

  std::vector<slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  nbd_client_request *oldest_ = nullptr, *newest_ = nullptr;
  std::uint32_t in_flight_ = 0;
  std::uint64_t in_flight_bytes_ = 0;

  // The reply that is arriving.
  part part_ = part::simple_header;
  std::byte* at_ = nullptr; // where the next bytes of the part belong; null: nowhere
  std::uint64_t left_ = 0;  // bytes of the part that are missing
  std::array<std::byte, nbd::extended::chunk_header_bytes> header_;
  std::vector<std::byte> prefix_;
  nbd_client_request* replying_ = nullptr;
  chunk chunk_;
  std::uint64_t skip_after_prefix_ = 0;
};

} // namespace gnomon::io
