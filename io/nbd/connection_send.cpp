// Bytes out: replies that have left are counted and give back their memory.
#include "io/nbd/connection.hpp"

#include <utility>

namespace gnomon::io {

void nbd_connection::say(std::vector<std::byte> words, bool last) {
  nbd_request& request = *service_.take_request();
  request.connection = this;
  request.counted_bytes = 0;
  request.metered = false;
  request.last = last;
  request.words = std::move(words);
  request.charged_bytes = request.words.capacity(); // a list of many exports is long
  service_.on().buffers().charge(request.charged_bytes);
  request.piece_count = 0;
  request.add_piece(request.words.data(), request.words.size());
  ++in_flight_;
  queue(request);
}

void nbd_connection::sent(outgoing* list, bool whole) {
  const boot_time now = service_.on().read_clock(); // most requests began in this very turn
  bool last = false;
  while (list) {
    auto& r = static_cast<nbd_request&>(*list);
    list = list->next_outgoing;
    if (whole && r.metered)
      meter_sent(r, now);
    last |= r.last;
    release(r);
  }
  if (!whole)
    return drop();
  if (last && phase_ != phase::dropped)
    phase_ = phase::draining;
}

void nbd_connection::meter_sent(nbd_request& r, boot_time now) {
  const ring_index here{service_.on().index()};
  r.metered = false;
  const bool ok = r.io.error == 0;
  const auto latency = static_cast<std::uint64_t>((now - r.io.started).count());
  attached_.core->meter().end(here, r.io.op, byte_count{ok ? r.io.length : 0}, latency,
                              ok ? request_outcome::done : request_outcome::failed);
  if (r.io.length != 0)
    attached_.core->observations().answered(here, attached_.slot, r.io.op, byte_offset{r.io.offset}, latency);
}

void nbd_connection::add_bytes(nbd_request& r, std::uint64_t bytes) noexcept {
  r.counted_bytes = bytes;
  if (in_flight_bytes_ == 0 && bytes != 0)
    service_.holds_memory(true);
  in_flight_bytes_ += bytes;
}

void nbd_connection::remove_bytes(nbd_request& r) noexcept {
  if (r.counted_bytes == 0)
    return;
  in_flight_bytes_ -= std::exchange(r.counted_bytes, 0);
  if (in_flight_bytes_ == 0)
    service_.holds_memory(false);
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
  if (r.charged_bytes != 0)
    service_.on().buffers().discharge(std::exchange(r.charged_bytes, 0));
  io.extents.clear();
  if (r.words.capacity() > words_kept_max)
    std::vector<std::byte>{}.swap(r.words);
  remove_bytes(r);
  --in_flight_;
  service_.give_back(&r);
}

} // namespace gnomon::io
