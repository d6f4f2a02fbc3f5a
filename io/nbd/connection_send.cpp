// Bytes out: the replies of one turn leave together; what the socket does not take waits in the ring.
#include "io/nbd/connection.hpp"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace gnomon::io {

void nbd_connection::say(std::vector<std::byte> words, bool last) {
  nbd_request& request = *service_.take_request();
  request.connection = this;
  request.counted_bytes = 0;
  request.metered = false;
  request.last = last;
  request.words = std::move(words);
  request.piece_count = 1;
  request.pieces[0] = {request.words.data(), request.words.size()};
  ++in_flight_;
  queue(request);
}

void nbd_connection::queue(nbd_request& r) {
  r.next = nullptr;
  *ready_tail_ = &r;
  ready_tail_ = &r.next;
  if (r.counted_bytes >= send_at_once_bytes && !sending_)
    return send_queued();
  service_.on().at_end_of_turn(send_task_);
}

void nbd_connection::send_queued() {
  if (phase_ == phase::dropped)
    return check_end();
  if (sending_ || !ready_)
    return;
  ring& on = service_.on();
  std::size_t pieces = 0;
  send_bytes_ = 0;
  sending_list_ = ready_;
  nbd_request** tail = &sending_list_;
  while (ready_ && pieces + ready_->piece_count <= send_pieces_max) {
    nbd_request& r = *ready_;
    for (std::uint32_t i = 0; i < r.piece_count; ++i) {
      pieces_[pieces++] = r.pieces[i];
      send_bytes_ += r.pieces[i].iov_len;
    }
    tail = &r.next;
    ready_ = r.next;
  }
  *tail = nullptr;
  if (!ready_)
    ready_tail_ = &ready_;
  message_ = {};
  message_.msg_iov = pieces_.data();
  message_.msg_iovlen = pieces;
  send_started_ = on.now();
  // Sockets mostly have room: sent from here, replies leave before the ring turns. The rest waits in the ring.
  const ssize_t now_sent = sendmsg(fd_, &message_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (now_sent == static_cast<ssize_t>(send_bytes_))
    return all_sent();
  if (now_sent < 0 && errno != EAGAIN && errno != EINTR) {
    release_sent();
    return drop();
  }
  if (now_sent > 0)
    advance_message(static_cast<std::size_t>(now_sent));
  sending_ = true;
  on.submit_send(send_, fd_, &message_);
}

void nbd_connection::advance_message(std::size_t sent) noexcept {
  send_bytes_ -= sent;
  while (sent >= message_.msg_iov->iov_len) {
    sent -= message_.msg_iov->iov_len;
    ++message_.msg_iov;
    --message_.msg_iovlen;
  }
  message_.msg_iov->iov_base = static_cast<std::byte*>(message_.msg_iov->iov_base) + sent;
  message_.msg_iov->iov_len -= sent;
}

void nbd_connection::sent(int result) {
  ring& on = service_.on();
  if (result == -EINTR || result == -EAGAIN)
    return on.submit_send(send_, fd_, &message_);
  if (result > 0 && static_cast<std::uint64_t>(result) < send_bytes_ && phase_ != phase::dropped) {
    advance_message(static_cast<std::size_t>(result));
    return on.submit_send(send_, fd_, &message_);
  }
  sending_ = false;
  if (result > 0)
    return all_sent();
  release_sent();
  drop();
  check_end();
}

bool nbd_connection::release_sent() {
  bool last = false;
  while (sending_list_) {
    nbd_request* r = sending_list_;
    sending_list_ = r->next;
    last |= r->last;
    release(*r);
  }
  return last;
}

void nbd_connection::all_sent() {
  const ring_index here{service_.on().index()};
  const boot_time now = service_.on().read_clock(); // most requests began in this very turn
  for (nbd_request* r = sending_list_; r; r = r->next) {
    if (!r->metered)
      continue;
    r->metered = false;
    const bool ok = r->io.error == 0;
    const auto latency = static_cast<std::uint64_t>((now - r->io.started).count());
    attached_.core->meter().end(here, r->io.op, byte_count{ok ? r->io.length : 0}, latency,
                                ok ? request_outcome::done : request_outcome::failed);
    if (r->io.length != 0)
      attached_.core->observations().answered(here, attached_.slot, r->io.op, byte_offset{r->io.offset}, latency);
  }
  if (release_sent() && phase_ != phase::dropped)
    phase_ = phase::draining;
  if (ready_ && phase_ != phase::dropped)
    service_.on().at_end_of_turn(send_task_);
  check_end();
}

void nbd_connection::release(nbd_request& r) {
  volume_request& io = r.io;
  if (r.metered) { // its reply was never sent
    attached_.core->meter().end(ring_index{service_.on().index()}, io.op, byte_count{0},
                                static_cast<std::uint64_t>((service_.on().now() - io.started).count()),
                                request_outcome::failed);
    r.metered = false;
  }
  if (io.memory)
    service_.on().buffers().release(io.memory);
  io.extents.clear();
  if (r.words.capacity() > words_kept_max)
    std::vector<std::byte>{}.swap(r.words);
  in_flight_bytes_ -= r.counted_bytes;
  --in_flight_;
  service_.give_back(&r);
}

} // namespace gnomon::io
