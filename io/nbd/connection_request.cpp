// From a decoded header to a request under way: checked, given memory, started.
#include "io/nbd/connection.hpp"

#include <cerrno>

namespace gnomon::io {

// For its data, or for the extents of a block status, which are encoded there.
std::uint64_t nbd_connection::memory_wanted(const nbd::request& r) const noexcept {
  if (r.type == nbd::command::read || r.type == nbd::command::write)
    return r.length;
  if (r.type == nbd::command::block_status && !(r.flags & nbd::flag_request_one))
    return nbd::extents_max * (limits_.extended_headers ? nbd::extended::extent_bytes : nbd::extent_bytes);
  return 0;
}

bool nbd_connection::room_for(const nbd::request& r) const noexcept {
  if (in_flight_ == 0)
    return true; // one request always fits
  if (in_flight_ >= service_.limits().requests_in_flight_max)
    return false;
  const std::uint64_t bytes = memory_wanted(r);
  return bytes == 0 ? service_.room_for_small() : in_flight_bytes_ + bytes <= service_.limits().in_flight_max.value;
}

static operation operation_of(nbd::command c) {
  switch (c) {
  case nbd::command::read:
    return operation::read;
  case nbd::command::write:
    return operation::write;
  case nbd::command::flush:
    return operation::flush;
  case nbd::command::trim:
    return operation::trim;
  case nbd::command::cache:
    return operation::cache;
  case nbd::command::write_zeroes:
    return operation::zero;
  default:
    return operation::block_status;
  }
}

nbd_connection::parsed nbd_connection::begin_request(const nbd::request& r) {
  if (r.type == nbd::command::disconnect) {
    stream_.consume(stream_.input().size());
    drain();
    return parsed::more;
  }
  const nbd::verdict checked = nbd::validate(r, limits_);
  if (checked.error != nbd::error::none) {
    if (checked.drop) {
      service_.log_dropped(*this, checked.text);
      drop();
      return parsed::more;
    }
    if (in_flight_ >= service_.limits().requests_in_flight_max)
      return parsed::wait;
    skip_bytes_ = checked.skip_bytes;
    refuse(r, checked.error, checked.text);
    return parsed::more;
  }
  if (!room_for(r))
    return parsed::wait;

  volume_core& core = *attached_.core;
  ring& on = service_.on();
  if (!core.admits(ring_index{on.index()}))
    return parsed::wait;
  const bool payload_here = r.type == nbd::command::write && stream_.input().size() >= r.length;
  const bool at_once = payload_here && takes_payload_at_once(core, r.offset, r.length, on);
  buffer memory;
  const std::uint64_t wanted = at_once ? 0 : memory_wanted(r);
  if (wanted != 0) {
    const bool blocks = r.type != nbd::command::block_status; // O_DIRECT wants whole ones
    memory = service_.take_memory(blocks ? memory_bytes(core, r.offset, r.length) : static_cast<std::uint32_t>(wanted),
                                  in_flight_bytes_, in_flight_);
    if (!memory)
      return parsed::wait;
  }
  nbd_request& request = *service_.take_request();
  volume_request& io = request.io;
  request.connection = this;
  request.cookie = r.cookie;
  request.asked_at = r.offset;
  request.last = false;
  request.words.clear();
  request.piece_count = 0;
  request.dont_fragment = r.flags & nbd::flag_dont_fragment;
  io.core = &core;
  io.op = operation_of(r.type);
  io.fua = r.flags & nbd::flag_fua;
  io.may_punch = !(r.flags & nbd::flag_no_hole);
  io.fast_only = r.flags & nbd::flag_fast_zero;
  io.offset = io.op == operation::flush ? 0 : r.offset;
  io.length = io.op == operation::flush ? 0 : r.length;
  io.extents_max = r.flags & nbd::flag_request_one ? 1 : nbd::extents_max;
  io.memory = memory;
  io.finish = io_finished;
  io.owner = &request;
  io.started = on.now();
  io.session = attached_.session;
  io.instance = attached_.slot;
  io.fill = attached_.fill;
  add_bytes(request, wanted);
  ++in_flight_;
  if (r.type != nbd::command::write) {
    io.data = r.type == nbd::command::read ? memory.data + memory_skew(core, r.offset) : memory.data;
    start_io(request);
  } else if (at_once) {
    io.data = const_cast<std::byte*>(stream_.input().data()); // read only, and only inside start()
    const std::size_t bytes = r.length;
    start_io(request);
    stream_.consume(bytes);
  } else {
    io.data = memory.data + memory_skew(core, r.offset);
    incoming_ = &request;
    incoming_filled_ = 0;
  }
  return parsed::more;
}

void nbd_connection::start_io(nbd_request& request) {
  volume_request& io = request.io;
  const ring_index here{service_.on().index()};
  ++requests_;
  service_.count_request();
  request.metered = true;
  attached_.core->meter().begin(here);
  if (io.length != 0)
    attached_.core->observations().observe(here, attached_.slot, io.op, byte_offset{io.offset},
                                           byte_count{io.length});
  start(io, service_.on());
}

// What a block status no longer needs once its reply is encoded.
void nbd_connection::trim_status(nbd_request& r, ring& on) {
  if (r.io.extents.capacity() > extents_kept_max)
    std::vector<extent>{}.swap(r.io.extents);
  if (r.io.memory && (r.io.error != 0 || r.pieces[0].iov_base == r.head)) {
    on.buffers().release(r.io.memory);
    remove_bytes(r);
  }
}

void nbd_connection::io_finished(volume_request& io, ring& on) {
  auto& request = *static_cast<nbd_request*>(io.owner);
  nbd_connection& self = *request.connection;
  if (self.phase_ == phase::dropped) {
    self.release(request);
    return self.check_end();
  }
  encode_reply(request, self.replies_);
  if (io.op == operation::block_status)
    self.trim_status(request, on);
  self.queue(request);
}

void nbd_connection::refuse(const nbd::request& r, nbd::error error, std::string_view text) {
  nbd_request& request = *service_.take_request();
  request.connection = this;
  request.cookie = r.cookie;
  request.asked_at = r.offset;
  request.counted_bytes = 0;
  request.metered = false;
  request.last = false;
  request.io.error = EINVAL;
  request.words.clear();
  ++in_flight_;
  encode_error(request, replies_, error, text);
  queue(request);
}

} // namespace gnomon::io
