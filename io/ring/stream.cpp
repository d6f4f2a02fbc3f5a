#include "io/ring/stream.hpp"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace gnomon::io {

namespace {
constexpr std::uint64_t slow_peer_bytes_per_second = 1 << 20; // a peer that takes this much is slow, not stalled
} // namespace

stream::stream(ring& on, int fd, stream_user& user) : ring_(on), fd_(fd), user_(user) {
  receive_.self = send_.self = this;
  send_task_.self = this;
  receive_.on_complete = [](completion& c, ring&, int result, unsigned flags) {
    static_cast<stream_completion&>(c).self->receive_ended(result, flags);
  };
  send_.on_complete = [](completion& c, ring&, int result, unsigned) {
    static_cast<stream_completion&>(c).self->send_ended(result);
  };
  send_task_.run = [](turn_task& t, ring&) { static_cast<stream_task&>(t).self->send_queued(); };
}

stream::~stream() {
  release_input();
  if (fd_ >= 0)
    ::close(fd_);
}

// --- receiving

void stream::receive() {
  if (receiving_ || closed_)
    return;
  receiving_ = true;
  direct_ = false;
  ring_.submit_receive_selected(receive_, fd_);
}

void stream::receive_into(void* memory, std::size_t bytes) {
  if (receiving_ || closed_)
    return;
  receiving_ = direct_ = true;
  ring_.submit_receive(receive_, fd_, memory, bytes);
}

void stream::receive_ended(int result, unsigned flags) {
  receiving_ = false;
  if (!direct_) {
    ring_.receive_selected_ended(flags);
    if (result > 0) {
      input_buffer_ = ring::receive_buffer_id(flags);
      input_ = {ring_.receive_buffer(flags), static_cast<std::size_t>(result)};
    }
  }
  user_.received(result);
}

void stream::keep_input() {
  if (input_buffer_ < 0)
    return;
  kept_input_.assign(input_.begin(), input_.end());
  release_input();
  charged_bytes_ = kept_input_.capacity();
  ring_.buffers().charge(charged_bytes_);
  input_ = kept_input_;
}

void stream::release_input() noexcept {
  input_ = {};
  if (input_buffer_ >= 0) {
    ring_.return_receive_buffer(static_cast<std::uint16_t>(input_buffer_));
    input_buffer_ = -1;
  } else if (!kept_input_.empty()) {
    std::vector<std::byte>{}.swap(kept_input_);
    ring_.buffers().discharge(std::exchange(charged_bytes_, 0));
  }
}

// --- sending

void stream::queue(outgoing& what, bool at_once) {
  what.next_outgoing = nullptr;
  *queued_tail_ = &what;
  queued_tail_ = &what.next_outgoing;
  if (at_once && !sending_)
    return send_queued();
  ring_.at_end_of_turn(send_task_);
}

outgoing* stream::take_queued() noexcept {
  queued_tail_ = &queued_;
  return std::exchange(queued_, nullptr);
}

void stream::send_queued() {
  if (closed_)
    return user_.settled();
  if (sending_ || !queued_)
    return;
  std::size_t pieces = 0;
  batch_bytes_ = 0;
  batch_ = queued_;
  outgoing** tail = &batch_;
  while (queued_ && pieces + queued_->piece_count <= batch_pieces_max && batch_bytes_ < batch_bytes_max) {
    outgoing& o = *queued_;
    for (std::uint32_t i = 0; i < o.piece_count; ++i) {
      pieces_[pieces++] = o.pieces[i];
      batch_bytes_ += o.pieces[i].iov_len;
    }
    tail = &o.next_outgoing;
    queued_ = o.next_outgoing;
  }
  *tail = nullptr;
  if (!queued_)
    queued_tail_ = &queued_;
  batch_bytes_left_ = batch_bytes_;
  message_ = {};
  message_.msg_iov = pieces_.data();
  message_.msg_iovlen = pieces;
  send_started_ = ring_.now();
  const ssize_t now_sent = sendmsg(fd_, &message_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (now_sent == static_cast<ssize_t>(batch_bytes_left_))
    return hand_back(true);
  if (now_sent < 0 && errno != EAGAIN && errno != EINTR)
    return hand_back(false);
  if (now_sent > 0)
    advance_message(static_cast<std::size_t>(now_sent));
  sending_ = true;
  ring_.submit_send(send_, fd_, &message_);
}

void stream::advance_message(std::size_t sent) noexcept {
  batch_bytes_left_ -= sent;
  while (sent >= message_.msg_iov->iov_len) {
    sent -= message_.msg_iov->iov_len;
    ++message_.msg_iov;
    --message_.msg_iovlen;
  }
  message_.msg_iov->iov_base = static_cast<std::byte*>(message_.msg_iov->iov_base) + sent;
  message_.msg_iov->iov_len -= sent;
}

void stream::send_ended(int result) {
  if (!closed_ && (result == -EINTR || result == -EAGAIN))
    return ring_.submit_send(send_, fd_, &message_);
  if (!closed_ && result > 0 && static_cast<std::uint64_t>(result) < batch_bytes_left_) {
    advance_message(static_cast<std::size_t>(result));
    return ring_.submit_send(send_, fd_, &message_);
  }
  sending_ = false;
  hand_back(result > 0 && static_cast<std::uint64_t>(result) == batch_bytes_left_);
}

void stream::hand_back(bool whole) {
  user_.sent(std::exchange(batch_, nullptr), whole);
  if (queued_ && !closed_)
    ring_.at_end_of_turn(send_task_);
  user_.settled();
}

boot_time stream::stalled_since() const noexcept {
  if (!sending_)
    return boot_time::max();
  return send_started_ + std::chrono::nanoseconds(batch_bytes_ * 1'000'000'000u / slow_peer_bytes_per_second);
}

// --- the end

void stream::stop_receiving() noexcept {
  if (receiving_)
    shutdown(fd_, SHUT_RD);
}

void stream::close() noexcept {
  if (closed_)
    return;
  closed_ = true;
  shutdown(fd_, SHUT_RDWR);
}

} // namespace gnomon::io
