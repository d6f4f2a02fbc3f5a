// A connected socket on its ring, from the first byte to the last: bytes come in through the ring's receive buffers or
// straight into its user's memory, and go out in batches at the end of a turn. Knows no protocol: the NBD server and
// the NBD client are its users. Ring thread only.
//
// Receiving: an idle stream holds no buffer. What arrives lies in input() until the user has consumed it; a user that
// must wait keeps it (keep_input), since the ring has few receive buffers. Nothing is received but what was asked for
// by receive() or receive_into(), so a user that does not ask pushes back on its peer.
// Sending: queue() takes pieces that its user owns until sent() gives them back. Sockets mostly have room, so a batch
// is sent from the turn itself and the rest waits in the ring.
// Memory: what keep_input() holds is charged to the ring's buffers.
//
// The end: close() stops both directions, after which each operation under way ends with one call of received() or
// sent(). The stream may be destroyed when idle() is true, but not from inside one of the calls to its user.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

#include "config/clock.hpp"
#include "io/ring/ring.hpp"

namespace gnomon::io {

// Bytes to send, embedded in what they belong to.
struct outgoing {
  static constexpr std::size_t pieces_max = 4;
  iovec pieces[pieces_max] = {};
  std::uint32_t piece_count = 0;
  outgoing* next_outgoing = nullptr;

  void add_piece(void* bytes, std::size_t count) noexcept { pieces[piece_count++] = {bytes, count}; }
};

class stream_user {
public:
  // What receive() or receive_into() asked for has ended: bytes (then in input(), or in the memory given), 0 when the
  // peer has stopped sending, or a negative errno; -ENOBUFS: no receive buffer is free, ask again later.
  virtual void received(int result) = 0;
  // The list, linked by next_outgoing, is the user's again. `whole`: all of it was handed to the socket; else sending
  // is over and the user closes the stream.
  virtual void sent(outgoing* list, bool whole) = 0;
  // After each sent(), and where a closed stream finds that it has nothing to send: the time to look at idle().
  virtual void settled() = 0;

protected:
  ~stream_user() = default;
};

class stream {
public:
  static constexpr std::size_t batch_pieces_max = 256;
  static constexpr std::size_t batch_bytes_max = 4 << 20; // one piece of a batch may be longer

  // Takes `fd` over; `on` and `user` outlive the stream.
  stream(ring& on, int fd, stream_user& user);
  ~stream();
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  ring& on() noexcept { return ring_; }
  int fd() const noexcept { return fd_; }

  // --- receiving: one at a time
  void receive();
  void receive_into(void* memory, std::size_t bytes); // as many as asked for, fewer only at the stream's end
  bool receiving() const noexcept { return receiving_; }
  bool receiving_into() const noexcept { return receiving_ && direct_; }
  std::span<const std::byte> input() const noexcept { return input_; }
  void consume(std::size_t bytes) noexcept { input_ = input_.subspan(bytes); }
  void keep_input();
  void release_input() noexcept;

  // --- sending
  // Leaves at the end of the turn, or with `at_once` now, unless a batch is under way.
  void queue(outgoing& what, bool at_once = false);
  bool sending() const noexcept { return sending_; }
  bool all_sent() const noexcept { return !queued_ && !sending_; }
  // Takes back what is queued and not yet handed over.
  outgoing* take_queued() noexcept;
  // Since when the peer has taken nothing of a batch, less what so long a batch may take; max() when none waits.
  boot_time stalled_since() const noexcept;

  // --- the end
  void stop_receiving() noexcept; // ends the receive under way; what is queued still leaves
  void close() noexcept;          // both directions
  bool closed() const noexcept { return closed_; }
  bool idle() const noexcept { return !receiving_ && !sending_ && !send_task_.queued; }

private:
  void receive_ended(int result, unsigned flags);
  void send_queued();
  void send_ended(int result);
  void advance_message(std::size_t sent) noexcept;
  void hand_back(bool whole);

  struct stream_completion : completion {
    stream* self = nullptr;
  };
  struct stream_task : turn_task {
    stream* self = nullptr;
  };

  ring& ring_;
  int fd_;
  stream_user& user_;
  bool closed_ = false;

  stream_completion receive_;
  bool receiving_ = false, direct_ = false;
  std::span<const std::byte> input_;
  int input_buffer_ = -1; // id of the receive buffer that input_ lies in
  std::vector<std::byte> kept_input_;
  std::size_t charged_bytes_ = 0; // for kept_input_

  stream_completion send_;
  stream_task send_task_;
  outgoing* queued_ = nullptr; // not handed over
  outgoing** queued_tail_ = &queued_;
  outgoing* batch_ = nullptr;
  bool sending_ = false;
  boot_time send_started_{};
  std::uint64_t batch_bytes_ = 0, batch_bytes_left_ = 0;
  msghdr message_{};
  std::array<iovec, batch_pieces_max> pieces_;
};

} // namespace gnomon::io
