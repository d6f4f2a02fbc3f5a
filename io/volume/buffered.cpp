// Buffered volumes: reads from the page cache and writes to it, by the ring where that cannot wait for a disk, and
// what keeps a read from seeing part of a write. See steps.hpp.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/uio.h>
#include <unistd.h>

#include "io/volume/steps.hpp"

namespace gnomon::io {

namespace volume_steps {

namespace {

constexpr std::uint64_t inline_write_bytes_max = 256 * 1024; // a larger one would keep the ring from others too long
constexpr std::uint64_t inline_read_bytes_max = 128 * 1024;  // a piece of a longer read
constexpr std::uint64_t device_read_bytes_max = 1 << 20;     // the same, where the disk is asked
constexpr std::uint64_t short_read_bytes_max = 32 * 1024;    // not worth putting off
constexpr std::uint8_t tries_at_once = 3;     // of a read that a write disturbed, before it waits
constexpr std::uint8_t tries_before_hold = 8; // before it holds writers back
constexpr std::uint8_t write_waits_max = 50;  // of a write that a read holds back
constexpr nanoseconds disturbed_wait{50'000};
constexpr int disturbed_doublings_max = 8; // of a read's wait: up to 13 ms

// Whether a write of part of a page finds that page in the cache: else it would wait for the disk to read it.
bool partial_pages_cached(const volume_core& core, std::uint64_t offset, std::uint64_t length) {
  const block_file& file = core.file();
  if (file.lives_in_memory())
    return true;
  const auto cached = [&](std::uint64_t at) {
    std::byte byte;
    iovec into{&byte, 1};
    return preadv2(file.data_fd(), &into, 1, static_cast<off_t>(at), RWF_NOWAIT) == 1;
  };
  const std::uint64_t end = offset + length;
  const bool head = offset % block_bytes != 0, tail = end % block_bytes != 0;
  if (head && !cached(offset))
    return false;
  return !tail || (head && down(offset, block_bytes) == down(end, block_bytes)) || cached(end - 1);
}

void wait_a_moment(volume_request& r, completion::function then, int doublings = 0) {
  r.on_complete = then;
  r.moment = {0, disturbed_wait.count() << doublings};
  r.on->submit_timeout(r, &r.moment);
}

// --- reads

// How a read comes to its next piece.
enum class turn : std::uint8_t { same, put_off, disturbed };

void read_pieces(volume_request& r, turn how);

void stop_holding_back(volume_request& r) {
  if (std::exchange(r.holds_back, false))
    r.core->marks().let_go(r.offset, r.length);
}

// A write was under way beside the piece that was just read: it is read again, soon.
void read_again(volume_request& r) {
  if (r.tries < UINT8_MAX)
    ++r.tries;
  if (r.tries == tries_before_hold) {
    r.holds_back = true;
    r.core->marks().hold_back(r.offset, r.length);
  }
  // Longer each time: a write that a disk does not take keeps no ring busy with looking.
  wait_a_moment(
      r,
      [](completion& self, ring&, int, unsigned) {
        read_pieces(static_cast<volume_request&>(self), turn::disturbed);
      },
      std::min<int>(r.tries, disturbed_doublings_max));
}

void keep_piece(volume_request& r, std::uint64_t bytes) {
  r.read_done += bytes;
  if (!r.holds_back)
    r.tries = 0;
}

enum class copied : std::uint8_t { yes, not_cached, disturbed };

copied copy_piece(volume_request& r, std::uint64_t bytes) {
  const block_file& file = r.core->file();
  const std::uint64_t at = r.offset + r.read_done;
  for (std::uint8_t i = 0; i < tries_at_once; ++i) {
    const auto before = r.core->marks().look(at, bytes);
    iovec into{r.memory.data + r.memory_offset + r.read_done, bytes};
    const ssize_t got = preadv2(file.data_fd(), &into, 1, static_cast<off_t>(at), file.lives_in_memory() ? 0 : RWF_NOWAIT);
    if (got != static_cast<ssize_t>(bytes))
      return copied::not_cached;
    if (r.core->marks().look(at, bytes).same_as(before)) [[likely]]
      return copied::yes;
  }
  return copied::disturbed;
}

void read_piece_by_device(volume_request& r) {
  const std::uint64_t at = r.offset + r.read_done;
  const std::uint64_t bytes = std::min(r.length - r.read_done, device_read_bytes_max);
  const auto before = r.core->marks().look(at, bytes);
  if (!before.quiet)
    return read_again(r);
  r.marks_seen = before.versions;
  device(r, read_piece, false, r.memory.data + r.memory_offset + r.read_done, at, bytes);
}

void read_pieces(volume_request& r, turn how) {
  const bool may_copy = !r.core->has_faults();
  while (r.read_done < r.length) {
    const std::uint64_t bytes = std::min(r.length - r.read_done, inline_read_bytes_max);
    if (r.length > short_read_bytes_max && !r.on->may_copy(bytes, std::exchange(how, turn::same) == turn::put_off)) {
      r.on_complete = [](completion& self, ring&, int, unsigned) {
        read_pieces(static_cast<volume_request&>(self), turn::put_off);
      };
      return r.on->put_off(r);
    }
    const copied outcome = may_copy ? copy_piece(r, bytes) : copied::not_cached;
    if (outcome == copied::not_cached)
      return read_piece_by_device(r);
    if (outcome == copied::disturbed)
      return read_again(r);
    keep_piece(r, bytes);
  }
  stop_holding_back(r);
  part_read(r);
}

// --- writes

bool may_write_inline(const volume_core& core, std::uint64_t length, const ring&) {
  return length <= inline_write_bytes_max && core.may_write_inline() && !core.has_faults() &&
         !core.generations().held();
}

// Straight into the page cache from this thread.
void write_here(volume_request& r) {
  volume_core& core = *r.core;
  const boot_time before = r.on->now();
  r.on->set_working_on(&core.disk());
  std::uint64_t done = 0;
  int error = 0;
  while (done < r.length && error == 0) {
    const ssize_t wrote =
        pwrite(core.file().data_fd(), r.data + done, r.length - done, static_cast<off_t>(r.offset + done));
    if (wrote > 0)
      done += static_cast<std::uint64_t>(wrote);
    else if (wrote == 0 || errno != EINTR)
      error = wrote == 0 ? EIO : errno;
  }
  r.on->set_working_on(nullptr);
  const boot_time after = r.on->read_clock();
  core.disk().wrote_inline(after, after - before);
  if (error != 0) {
    core.note_error(error);
    return complete(r, error);
  }
  changed(r);
}

} // namespace

void read_buffered(volume_request& r) {
  r.read_done = 0;
  r.tries = 0;
  read_pieces(r, turn::same);
}

void piece_read(volume_request& r) {
  const write_marks::glance before{r.marks_seen, true};
  if (!r.core->marks().look(r.io_offset, r.io_bytes).same_as(before))
    return read_again(r);
  keep_piece(r, r.io_bytes);
  read_pieces(r, turn::same);
}

void write_buffered(volume_request& r) {
  // Memory of its own: it was not looked at when its payload arrived.
  const bool here = r.memory ? takes_payload_at_once(*r.core, r.offset, r.length, *r.on)
                             : may_write_inline(*r.core, r.length, *r.on);
  if (here)
    return write_here(r);
  if (!keep_payload(r))
    return complete(r, ENOMEM);
  r.device_since = r.on->now();
  device(r, write_all, true, r.data, r.offset, r.length);
}

void written_by_worker(volume_request& r) {
  inline_pace& disk = r.core->disk();
  if (r.core->file().prefers_inline_writes() && !disk.allowed()) [[unlikely]] {
    const boot_time now = r.on->read_clock();
    disk.wrote_by_worker(now, now - r.device_since, r.core->meter().in_flight(ring_index{r.on->index()}));
  }
}

bool begin_change(volume_request& r, completion::function again) {
  if (r.core->file().is_direct())
    return true; // the device's own rules
  r.marked = true;
  if (r.core->marks().begin(r.offset, r.length) || r.tries >= write_waits_max) [[likely]]
    return true;
  end_change(r); // a reader comes first, but not for ever
  ++r.tries;
  if (!keep_payload(r)) {
    complete(r, ENOMEM);
    return false;
  }
  wait_a_moment(r, again);
  return false;
}

void end_change(volume_request& r) {
  if (std::exchange(r.marked, false))
    r.core->marks().end(r.offset, r.length);
}

void leave_marks(volume_request& r) {
  end_change(r);
  stop_holding_back(r);
}

} // namespace volume_steps

bool takes_payload_at_once(const volume_core& core, std::uint64_t offset, std::uint64_t length,
                           const ring& on) noexcept {
  return core.before() == nullptr && volume_steps::may_write_inline(core, length, on) &&
         volume_steps::partial_pages_cached(core, offset, length);
}

} // namespace gnomon::io
