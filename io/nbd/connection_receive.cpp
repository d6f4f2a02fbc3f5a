// Bytes in: what arrives is cut into handshake options, request headers and payloads, and waits where there is no
// room for it yet.
#include "io/nbd/connection.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace gnomon::io {

void nbd_connection::receive() {
  if (stream_.receiving() || phase_ == phase::draining || phase_ == phase::dropped)
    return;
  if (incoming_ && incoming_->io.length - incoming_filled_ >= direct_payload_bytes) {
    receiving_into_ = target::payload;
    stream_.receive_into(incoming_->io.data + incoming_filled_, incoming_->io.length - incoming_filled_);
  } else if (!incoming_ && long_payloads_ && skip_bytes_ == 0) {
    // Another long write is likely: take its header alone, so that its payload need not be copied.
    receiving_into_ = target::header;
    stream_.receive_into(header_.data() + header_bytes_, header_bytes_wanted_ - header_bytes_);
  } else {
    receiving_into_ = target::receive_buffer;
    stream_.receive();
  }
}

void nbd_connection::received(int result) {
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return check_end();
  if (result == -ENOBUFS) {
    waiting_ = true;
    return service_.wait_for_memory(*this);
  }
  if (result == -EINTR || result == -EAGAIN)
    return receive();
  if (result <= 0)
    return input_ended();
  if (receiving_into_ == target::payload) {
    incoming_filled_ += static_cast<std::uint64_t>(result);
    if (incoming_filled_ == incoming_->io.length)
      start_io(*std::exchange(incoming_, nullptr));
  } else if (receiving_into_ == target::header) {
    header_bytes_ += static_cast<std::size_t>(result);
    if (header_bytes_ == header_bytes_wanted_) {
      header_bytes_ = 0;
      decode_header(header_.data());
    }
  }
  parse();
}

void nbd_connection::input_ended() {
  // The client has gone, or has only stopped sending: what it asked for is answered where that still works.
  if (phase_ == phase::handshake)
    return drop();
  phase_ = phase::draining;
  check_end();
}

void nbd_connection::resume() {
  if (!waiting_)
    return;
  waiting_ = false;
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return;
  parse();
}

void nbd_connection::parse() {
  while ((!stream_.input().empty() || waiting_request_) && (phase_ == phase::handshake || phase_ == phase::transmission)) {
    const parsed outcome = phase_ == phase::handshake      ? parse_handshake()
                           : skip_bytes_ != 0 || incoming_ ? take_payload()
                                                           : parse_request();
    if (outcome == parsed::wait) { // room comes when replies have left or memory was released
      waiting_ = true;
      stream_.keep_input(); // it may wait for as long as its client likes
      return service_.wait_for_memory(*this);
    }
  }
  stream_.release_input();
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return check_end();
  receive();
}

nbd_connection::parsed nbd_connection::parse_handshake() {
  if (in_flight_ != 0 && service_.on().buffers().under_pressure())
    return parsed::wait; // what it was told has not left yet
  std::vector<std::byte> output;
  auto left = stream_.input();
  const auto outcome = handshake_->consume(left, output);
  stream_.consume(stream_.input().size() - left.size());
  const bool last = outcome == handshake_outcome::close;
  if (last && handshake_->too_many_options())
    service_.log_dropped(*this, "it sent too many options before it opened an export (nbd.handshake_options_max)");
  if (!output.empty())
    say(std::move(output), last);
  if (outcome == handshake_outcome::transmission) {
    const selection& chosen = handshake_->chosen();
    replies_ = chosen.extended_headers     ? reply_form::extended
               : chosen.structured_replies ? reply_form::structured
                                           : reply_form::simple;
    if (chosen.extended_headers)
      header_bytes_wanted_ = nbd::extended_request_bytes;
    assert(attached_.core);
    size_seen_ = byte_count{chosen.what.size};
    limits_ = limits_of(chosen);
    handshake_.reset();
    serving_ = true;
    phase_ = phase::transmission;
    const ring_index here{service_.on().index()};
    attached_.core->meter().connection_opened(here);
    service_.status_changed(status());
    service_.plane().report({alert::kind::attached, attached_.core->uuid(), attached_.instance, 0, peer_});
  } else if (last) {
    phase_ = phase::draining;
    stream_.release_input();
  }
  return parsed::more;
}

nbd_connection::parsed nbd_connection::parse_request() {
  if (!waiting_request_) {
    const auto input = stream_.input();
    const std::byte* bytes = input.data();
    if (header_bytes_ != 0 || input.size() < header_bytes_wanted_) { // it comes in pieces
      const std::size_t n = std::min(header_bytes_wanted_ - header_bytes_, input.size());
      std::memcpy(header_.data() + header_bytes_, bytes, n);
      header_bytes_ += n;
      stream_.consume(n);
      if (header_bytes_ < header_bytes_wanted_)
        return parsed::more;
      bytes = header_.data();
      header_bytes_ = 0;
    } else {
      stream_.consume(header_bytes_wanted_);
    }
    decode_header(bytes);
    if (!waiting_request_)
      return parsed::more;
  }
  const parsed outcome = begin_request(*waiting_request_);
  if (outcome == parsed::more)
    waiting_request_.reset();
  return outcome;
}

void nbd_connection::decode_header(const std::byte* bytes) {
  waiting_request_ = limits_.extended_headers ? nbd::decode_extended_request(bytes) : nbd::decode_request(bytes);
  if (!waiting_request_) {
    service_.log_dropped(*this, "what it sent is not an NBD request");
    return drop(); // out of step: nothing that follows can be trusted
  }
  if (nbd::carries_filter(*waiting_request_, limits_)) [[unlikely]]
    return decode_filter(bytes);
  long_payloads_ = waiting_request_->type == nbd::command::write && waiting_request_->length >= long_payload_bytes;
}

// A block status may say which contexts it is about in a payload of a few bytes: taken like the rest of its header.
void nbd_connection::decode_filter(const std::byte* bytes) {
  constexpr std::size_t filtered = nbd::extended_request_bytes + nbd::block_status_filter_bytes;
  if (header_bytes_wanted_ == filtered) {
    header_bytes_wanted_ = nbd::extended_request_bytes;
    nbd::apply_filter(*waiting_request_, bytes + nbd::extended_request_bytes);
    return;
  }
  if (bytes != header_.data())
    std::memcpy(header_.data(), bytes, nbd::extended_request_bytes);
  header_bytes_ = nbd::extended_request_bytes;
  header_bytes_wanted_ = filtered;
  long_payloads_ = false;
  waiting_request_.reset();
}

nbd_connection::parsed nbd_connection::take_payload() {
  if (skip_bytes_ != 0) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(skip_bytes_, stream_.input().size()));
    skip_bytes_ -= n;
    stream_.consume(n);
    return parsed::more;
  }
  const std::size_t n =
      static_cast<std::size_t>(std::min<std::uint64_t>(incoming_->io.length - incoming_filled_, stream_.input().size()));
  std::memcpy(incoming_->io.data + incoming_filled_, stream_.input().data(), n);
  incoming_filled_ += n;
  stream_.consume(n);
  if (incoming_filled_ == incoming_->io.length)
    start_io(*std::exchange(incoming_, nullptr));
  return parsed::more;
}

} // namespace gnomon::io
