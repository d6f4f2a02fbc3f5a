// The life of an NBD client's connection: connecting, negotiating, and its end.
#include "io/nbd/client.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "config/text.hpp"
#include "io/nbd/option.hpp"

namespace gnomon::io {

nbd_client::nbd_client(ring& on, nbd_client_options options, nbd_client_user& user)
    : ring_(on), options_(std::move(options)), user_(user),
      name_(options_.to.to_string() + ", export \"" + std::string(printable(options_.wishes.export_name, 256)) + '"') {
  options_.requests_in_flight_max = std::clamp(options_.requests_in_flight_max, 1u, requests_in_flight_limit);
  connect_.self = timer_.self = retry_.self = end_.self = this;
  connect_.on_complete = [](completion& c, ring&, int result, unsigned) {
    static_cast<own_completion&>(c).self->connected(result);
  };
  timer_.on_complete = [](completion& c, ring&, int result, unsigned) {
    nbd_client& self = *static_cast<own_completion&>(c).self;
    self.timer_armed_ = false;
    if (result == -ETIME && (self.phase_ == phase::connecting || self.phase_ == phase::negotiating))
      self.lose(errc::timed_out, "the server did not open the export in time");
    self.end_if_idle();
  };
  retry_.on_complete = [](completion& c, ring&, int, unsigned) {
    nbd_client& self = *static_cast<own_completion&>(c).self;
    self.retry_queued_ = false;
    if (self.phase_ != phase::ending)
      return self.receive_more();
    self.end_if_idle();
  };
  end_.on_complete = [](completion& c, ring&, int, unsigned) { static_cast<own_completion&>(c).self->deliver_end(); };
}

nbd_client::~nbd_client() { assert(phase_ == phase::made || phase_ == phase::ended); }

// --- opening

void nbd_client::open() {
  assert(phase_ == phase::made);
  phase_ = phase::connecting;
  if (options_.addresses.empty()) {
    auto found = addresses_of(options_.to, host_names::numeric_only);
    if (!found)
      return lose(found.error().code, found.error().message);
    options_.addresses = std::move(*found);
  }
  const auto span = std::max(options_.open_timeout, std::chrono::milliseconds{1});
  timer_span_ = {span.count() / 1000, span.count() % 1000 * 1'000'000};
  timer_armed_ = true;
  ring_.submit_timeout(timer_, &timer_span_);
  connect_next();
}

void nbd_client::connect_next() {
  while (next_address_ < options_.addresses.size()) {
    const socket_address& to = options_.addresses[next_address_++];
    connecting_fd_ = socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connecting_fd_ < 0) {
      connect_errno_ = errno;
      continue;
    }
    connecting_ = true;
    return ring_.submit_connect(connect_, connecting_fd_, reinterpret_cast<const sockaddr*>(&to.storage), to.length);
  }
  lose(errc::unavailable, std::string("cannot connect: ") + std::strerror(connect_errno_));
}

void nbd_client::connected(int result) {
  connecting_ = false;
  const int fd = std::exchange(connecting_fd_, -1);
  if (result != 0 || phase_ != phase::connecting) {
    ::close(fd);
    if (phase_ != phase::connecting)
      return end_if_idle();
    connect_errno_ = -result;
    return connect_next();
  }
  prepare_client_socket(fd);
  stream_ = std::make_unique<stream>(ring_, fd, static_cast<stream_user&>(*this));
  handshake_ = std::make_unique<client_handshake>(options_.wishes);
  phase_ = phase::negotiating;
  stream_->receive();
}

void nbd_client::negotiate() {
  std::vector<std::byte> output;
  std::span<const std::byte> left = stream_->input();
  const std::size_t arrived = left.size();
  const auto outcome = handshake_->consume(left, output);
  stream_->consume(arrived - left.size());
  if (outcome == client_handshake::outcome::failed)
    return lose(handshake_->why().code, handshake_->why().message);
  if (!output.empty() && !say(std::move(output)))
    return;
  if (outcome == client_handshake::outcome::opened)
    begin_transmission();
}

void nbd_client::begin_transmission() {
  what_ = handshake_->what();
  handshake_.reset();
  slots_.resize(options_.requests_in_flight_max);
  free_slots_.reserve(slots_.size());
  for (std::size_t i = slots_.size(); i-- > 0;)
    free_slots_.push_back(static_cast<std::uint32_t>(i));
  phase_ = phase::ready;
  begin_reply();
  ring_.submit_cancel(timer_);
  user_.opened(*this);
}

// One piece at a time is enough: each option is sent after the answer to the one before.
bool nbd_client::say(std::vector<std::byte> bytes) {
  if (words_.under_way)
    return nonsense("an answer came before its question was sent");
  words_.under_way = true;
  words_.bytes = std::move(bytes);
  words_.piece_count = 0;
  words_.add_piece(words_.bytes.data(), words_.bytes.size());
  stream_->queue(words_);
  return true;
}

// --- the end

void nbd_client::drain() {
  if (phase_ == phase::ready) {
    phase_ = phase::draining;
    return end_if_idle();
  }
  if (phase_ == phase::connecting || phase_ == phase::negotiating)
    drop();
}

void nbd_client::drop() {
  if (phase_ == phase::made || phase_ == phase::ending || phase_ == phase::ended)
    return;
  lose(errc::internal, {});
  why_ = {};
}

bool nbd_client::nonsense(std::string_view what) {
  lose(errc::corrupt, "the server does not keep to the protocol: " + std::string(what));
  return false;
}

void nbd_client::lose(errc code, std::string why) {
  if (phase_ == phase::ending || phase_ == phase::ended)
    return;
  if (phase_ != phase::draining || in_flight_ != 0) // a server may close before the farewell
    why_ = fail(code, name_ + ": " + std::move(why));
  phase_ = phase::ending;
  if (connecting_)
    ring_.submit_cancel(connect_);
  if (timer_armed_)
    ring_.submit_cancel(timer_);
  if (stream_) {
    outgoing* unsent = stream_->take_queued();
    stream_->close();
    if (unsent)
      sent(unsent, false);
  }
  end_if_idle();
}

void nbd_client::finish_draining() {
  if (in_flight_ != 0 || words_.under_way || !stream_->all_sent())
    return;
  if (!std::exchange(farewell_said_, true)) { // DISCONNECT; there is no answer to it
    std::vector<std::byte> bytes;
    nbd::append(bytes, what_.extended_headers ? nbd::magic_extended_request : nbd::magic_request);
    nbd::append(bytes, std::uint16_t{0});
    nbd::append(bytes, static_cast<std::uint16_t>(nbd::command::disconnect));
    bytes.resize(what_.extended_headers ? nbd::extended_request_bytes : nbd::request_bytes);
    say(std::move(bytes));
    return;
  }
  drop();
}

// The kernel may have the memory of requests until nothing is under way on the socket.
void nbd_client::end_if_idle() {
  if (phase_ == phase::draining)
    finish_draining();
  if (phase_ != phase::ending || end_queued_ || connecting_ || timer_armed_ || retry_queued_ ||
      (stream_ && !stream_->idle()))
    return;
  end_queued_ = true;
  ring_.complete_later(end_, 0);
}

void nbd_client::deliver_end() {
  fail_all();
  phase_ = phase::ended;
  user_.ended(*this, result<void>(why_)); // the client may be gone when this returns
}

std::optional<boot_time> nbd_client::waiting_since() const noexcept {
  if (!oldest_)
    return std::nullopt;
  return slots_[oldest_->slot].since;
}

} // namespace gnomon::io
