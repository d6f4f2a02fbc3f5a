#include "io/engine/local_io.hpp"

#include <cstring>

#include "io/volume/request.hpp"

namespace gnomon::io {

namespace {

struct pending {
  volume_request io;
  std::shared_ptr<volume_core> core;
  local_request request;
  std::function<void(local_reply)> done;
};

void finished(volume_request& io, ring& on) {
  // Standard layout does not hold for `pending`; the request remembers where it belongs.
  std::unique_ptr<pending> p{static_cast<pending*>(io.owner)};
  const auto latency = static_cast<std::uint64_t>((on.now() - io.started).count());
  const ring_index here{on.index()};
  local_reply reply = std::vector<std::byte>{};
  if (io.error != 0)
    reply = fail_errno(std::string(to_string(io.op)) + " of volume " + p->core->spec().name.value, io.error);
  else if (io.op == operation::read)
    reply->assign(io.data, io.data + io.length);
  p->core->meter().end(here, io.op, byte_count{io.error == 0 ? io.length : 0}, latency,
                       io.error == 0 ? request_outcome::done : request_outcome::failed);
  if (io.length > 0)
    p->core->observations().answered(here, instance_slot{0}, io.op, byte_offset{io.offset}, latency);
  on.buffers().release(io.memory);
  p->done(std::move(reply));
}

result<void> check(const local_request& r, const volume_core& core) {
  if (r.op == operation::flush)
    return {};
  const auto spec = core.spec();
  if (r.op == operation::block_status || r.op == operation::cache)
    return fail(errc::unsupported, std::string(to_string(r.op)) + " is not offered as a message");
  if (r.length.value == 0)
    return fail(errc::invalid_argument, "length is 0");
  if ((r.op == operation::read || r.op == operation::write) && r.length.value > local_request_bytes_max)
    return fail(errc::invalid_argument, "at most 1 MiB in one message, use NBD for more");
  if (r.op == operation::write && r.data.size() != r.length.value)
    return fail(errc::invalid_argument, "data and length differ");
  if (r.offset.value > spec.size.value || r.length.value > spec.size.value - r.offset.value)
    return fail(errc::out_of_range, "beyond the end of volume " + spec.name.value);
  return {};
}

void begin(std::unique_ptr<pending> p, ring& on) {
  volume_request& io = p->io;
  const local_request& r = p->request;
  io.core = p->core.get();
  io.owner = p.get();
  io.op = r.op;
  io.fua = r.fua;
  io.offset = r.op == operation::flush ? 0 : r.offset.value;
  io.length = r.op == operation::flush ? 0 : r.length.value;
  io.finish = finished;
  io.started = on.now();
  if (!p->core->admits(ring_index{on.index()}))
    return p->done(fail(errc::limit_reached, "too many requests wait for volume " + p->core->spec().name.value +
                                                 "; try again"));
  if (r.op == operation::read || r.op == operation::write) {
    io.memory = on.buffers().acquire(memory_bytes(*p->core, io.offset, io.length));
    if (!io.memory)
      return p->done(fail(errc::limit_reached, "no buffer memory; try again"));
    io.data = io.memory.data + memory_skew(*p->core, io.offset);
    if (r.op == operation::write)
      std::memcpy(io.data, r.data.data(), r.data.size());
  }
  const ring_index here{on.index()};
  p->core->meter().begin(here);
  if (io.length > 0)
    p->core->observations().observe(here, instance_slot{0}, io.op, r.offset, r.length);
  start(p.release()->io, on);
}

} // namespace

void submit_local(std::shared_ptr<volume_core> core, local_request request, std::function<void(local_reply)> done) {
  if (auto ok = check(request, *core); !ok)
    return done(tl::unexpected(ok.error()));
  data_plane& plane = core->plane();
  // Always the same ring for a volume, so that one caller's messages keep their order.
  ring& on = *plane.rings[std::hash<volume_uuid>{}(core->uuid()) % plane.rings.size()];
  auto p = std::make_shared<std::unique_ptr<pending>>(std::make_unique<pending>());
  (*p)->core = std::move(core);
  (*p)->request = std::move(request);
  (*p)->done = done; // kept by the caller's copy in case the ring takes no more
  if (!on.post([p](ring& here) { begin(std::move(*p), here); }))
    done(fail(errc::shutting_down, "the node is stopping"));
}

} // namespace gnomon::io
