// One device operation of a request: submitted to its ring, again for what was left over, or less, later and not at
// all where a fault plan says so.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/volume/steps.hpp"

namespace gnomon::io::volume_steps {

namespace {

void submit_piece(volume_request& r);

void fail_or_fall_back(volume_request& r, int error) {
  const bool not_supported = error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV;
  if (r.step == will_need)
    return complete(r, 0); // advice
  if (r.step == zero_give_back)
    return next_step(r);
  if (r.step == punch && not_supported)
    return next_step(r); // a trim may do nothing
  if (r.step == zero_middle && not_supported)
    return zero_another_way(r);
  if (error == ENOSPC || error == EDQUOT)
    return out_of_space(r, error);
  r.core->note_error(error);
  complete(r, error);
}

void piece_done(completion& self, ring&, int result, unsigned) {
  auto& r = static_cast<volume_request&>(self);
  if (std::exchange(r.in_device, false))
    r.on->transfer_ended();
  if (r.fault_write != 0) [[unlikely]] {
    r.core->faults()->after_write(r.core->file().data_fd(), fault_plan::write_id{r.fault_write});
    r.fault_write = 0;
  }
  if (result == -EINTR || result == -EAGAIN)
    return submit_piece(r);
  if (result < 0)
    return fail_or_fall_back(r, -result);
  if (!r.io_memory)
    return next_step(r); // fallocate and advice: all or nothing
  const auto moved = static_cast<std::uint64_t>(result);
  r.io_done += moved;
  if (r.io_done >= r.io_bytes)
    return next_step(r);
  const bool broken_block = r.io_done % alignment_of(r) != 0;
  if (!r.writing && moved < alignment_of(r)) { // the file ends here
    // Behind the volume's end (its last block may be cut short) there is nothing; inside, something has been lost.
    const std::uint64_t volume_end = r.core->current_route().size.value;
    if (r.io_offset + r.io_done < std::min(r.io_offset + r.io_bytes, volume_end))
      return complete(r, EIO);
    std::memset(r.io_memory + r.io_done, 0, r.io_bytes - r.io_done);
    return next_step(r);
  }
  if (moved == 0)
    return complete(r, EIO);
  if (broken_block)
    r.io_done = down(r.io_done, alignment_of(r)); // O_DIRECT: write that block again
  submit_piece(r);
}

void piece_faked(completion& self, ring& on, int, unsigned) {
  auto& r = static_cast<volume_request&>(self);
  r.on_complete = piece_done;
  piece_done(r, on, r.fault_result, 0);
}

void submit_transfer(volume_request& r, std::uint32_t bytes) {
  const int fd = r.core->file().data_fd();
  if (r.writing)
    r.on->submit_write(r, fd, r.io_memory + r.io_done, bytes, r.io_offset + r.io_done);
  else
    r.on->submit_read(r, fd, r.io_memory + r.io_done, bytes, r.io_offset + r.io_done);
  r.in_device = r.core->file().is_direct();
  if (r.in_device)
    r.on->transfer_begun();
}

// A fault plan is attached (tests): ask it, and do less, later or nothing.
void submit_with_faults(volume_request& r, std::uint32_t bytes) {
  fault_plan& plan = *r.core->faults();
  const int fd = r.core->file().data_fd();
  const std::uint64_t offset = r.io_offset + r.io_done;
  const bool punches = r.step == punch || r.step == zero_give_back;
  const disk_operation kind = !r.io_memory ? (punches ? disk_operation::trim : disk_operation::zero)
                              : r.writing  ? disk_operation::write
                                           : disk_operation::read;
  const std::uint64_t length = r.io_memory ? bytes : r.io_bytes;
  const fault_decision decision = plan.decide(kind, byte_offset{offset}, byte_count{length});
  if (decision.power_loss)
    plan.cut_power();
  if (decision.os_errno != 0 || decision.latency.count() > 0) {
    r.fault_result = decision.os_errno != 0 ? -decision.os_errno : -EINTR; // late: tried again after the wait
    r.on_complete = piece_faked;
    if (decision.latency.count() == 0)
      return r.on->complete_later(r, 0);
    r.fault_wait = {decision.latency.count() / 1'000'000, decision.latency.count() % 1'000'000 * 1000};
    return r.on->submit_timeout(r, &r.fault_wait);
  }
  if (r.writing) {
    const auto id = plan.before_write(fd, byte_offset{offset}, byte_count{length});
    if (!id)
      return r.on->complete_later(r, -EIO);
    r.fault_write = id->value;
  }
  if (!r.io_memory)
    return r.on->submit_fallocate(r, fd, r.io_mode, r.io_offset, r.io_bytes);
  const auto less = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, decision.length.value));
  submit_transfer(r, less);
}

void submit_piece(volume_request& r) {
  const int fd = r.core->file().data_fd();
  r.on_complete = piece_done;
  const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.io_bytes - r.io_done, 1u << 30));
  if (r.step == will_need)
    return r.on->submit_will_need(r, fd, r.io_offset, r.io_bytes);
  if (r.core->faults()) [[unlikely]]
    return submit_with_faults(r, bytes);
  if (!r.io_memory)
    return r.on->submit_fallocate(r, fd, r.io_mode, r.io_offset, r.io_bytes);
  submit_transfer(r, bytes);
}

} // namespace

void device(volume_request& r, step s, bool writing, std::byte* memory, std::uint64_t offset, std::uint64_t bytes) {
  r.step = s, r.writing = writing;
  r.io_memory = memory, r.io_offset = offset, r.io_bytes = bytes, r.io_done = 0;
  submit_piece(r);
}

} // namespace gnomon::io::volume_steps
