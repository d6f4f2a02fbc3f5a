// Granules that the volume's file does not hold: read from the source, brought in, noted as present.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "config/log.hpp"
#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/file_io.hpp"
#include "io/volume/granule_state.hpp"
#include "io/volume/request.hpp"

namespace gnomon::io {

namespace {

int errno_of(const error& why) { return why.os_errno != 0 ? why.os_errno : EIO; }

} // namespace

result<presence::options> granule_state::presence_options(const file_identity& found) const {
  const volume_spec spec = core_.spec();
  presence::options o;
  if (spec.presence_path.empty())
    return fail(errc::unsupported, "volume " + spec.name.value + " has no place to note which granules its file holds");
  o.path = spec.presence_path;
  o.volume = spec.uuid;
  o.size = spec.size;
  o.boot = core_.plane().boot;
  o.mark = mount_mark(core_.file().data_fd());
  o.device = found.device, o.inode = found.inode;
  o.doubtful = spec.writes_failed;
  o.faults = core_.faults();
  o.expected = spec.presence_expected;
  return o;
}

result<void> granule_state::open_presence(const file_identity& found) {
  const auto o = presence_options(found);
  if (!o)
    return tl::unexpected(o.error());
  auto opened = presence::open(*o);
  if (!opened)
    return tl::unexpected(opened.error());
  presence_ = std::move(*opened);
  present_.store(presence_.get(), std::memory_order_release);
  source_ = core_.spec().source;
  publish_duties([this](granule_duties& d) {
    d.present = presence_.get();
    d.source = source_;
  });
  return {};
}

std::shared_ptr<granule_source> granule_state::source() const {
  const std::lock_guard lock{mutex_};
  return source_;
}

result<void> granule_state::read_missing(std::uint64_t granule, std::byte* into, std::uint32_t bytes) {
  if (presence_->suspect(granule))
    return fail(errc::io_failed, "granule " + std::to_string(granule) + " may have been written and lost", EIO);
  const std::uint32_t covered = std::min(bytes, presence_->bytes_of(granule));
  std::memset(into + covered, 0, bytes - covered);
  const auto from = source();
  if (from == nullptr)
    return fail(errc::io_failed, "granule " + std::to_string(granule) + " has no source", EIO);
  if (!from->holds(granule_index{granule})) {
    std::memset(into, 0, covered);
    return {};
  }
  return from->read(granule_index{granule}, {into, covered});
}

// --- requests

void granule_state::read_from_source(volume_request& r, std::shared_ptr<granule_source> from) {
  on_worker([this, &r, from = std::move(from)] {
    r.waits.os_errno = 0;
    std::unique_ptr<granule_buffer> partly;
    const std::uint64_t end = r.offset + r.length;
    for (std::uint64_t at = r.offset; at < end && r.waits.os_errno == 0;) {
      const std::uint64_t granule = at / granule_bytes, begin = granule * granule_bytes;
      const std::uint64_t stop = std::min(end, begin + granule_bytes);
      std::byte* const into = r.data + (at - r.asked_offset);
      result<void> got;
      if (at == begin && stop - at == presence_->bytes_of(granule)) {
        got = read_missing(granule, into, static_cast<std::uint32_t>(stop - at));
      } else {
        if (partly == nullptr)
          partly = std::make_unique<granule_buffer>();
        got = read_missing(granule, partly->data(), granule_bytes);
        if (got)
          std::memcpy(into, partly->data() + (at - begin), stop - at);
      }
      if (!got) {
        log::error("volume {}: {}", core_.spec().name.value, got.error().to_string());
        r.waits.os_errno = errno_of(got.error());
      }
      at = stop;
    }
    core_.plane().resume.resume(r.waits); // the last access
  });
}

result<void> granule_state::bring_in_one(std::uint64_t granule) {
  granule_buffer content;
  const std::uint32_t bytes = presence_->bytes_of(granule);
  std::memset(content.data(), 0, granule_bytes);
  if (auto got = read_missing(granule, content.data(), bytes); !got)
    return got;
  // What the source does not hold is zero; where the file has a hole, it is that already, and stays sparse.
  const auto from = source();
  const bool there = from != nullptr && !from->holds(granule_index{granule}) &&
                     is_hole(core_, granule * granule_bytes, bytes);
  if (!there)
    if (auto written = write_file(core_, content.data(), granule * granule_bytes, bytes); !written)
      return written;
  const auto noted = presence_->arrived(granule, granule + 1);
  if (!noted)
    return tl::unexpected(noted.error());
  if (*noted)
    core_.request_chain();
  return {};
}

granule_pass granule_state::bringing_in(std::uint64_t first, std::uint64_t end) {
  granule_pass pass;
  pass.first = first, pass.end = end;
  pass.what = request_class::changes;
  pass.needed = [this](std::uint64_t granule) { return !presence_->test(granule); };
  pass.work = [this](std::uint64_t granule) { return bring_in_one(granule); };
  return pass;
}

void granule_state::bring_in_before_change(volume_request& r, std::uint64_t first, std::uint64_t last) {
  volume_request* const request = &r;
  granule_pass pass = bringing_in(first, last + 1);
  if (first != last) // the two ends of what it covers
    pass.needed = [this, first, last](std::uint64_t granule) {
      return (granule == first || granule == last) && !presence_->test(granule);
    };
  pass.done = [this, request](const result<void>& outcome) {
    if (!outcome)
      log::error("volume {}: {}", core_.spec().name.value, outcome.error().to_string());
    request->waits.os_errno = outcome ? 0 : errno_of(outcome.error());
    core_.plane().resume.resume(request->waits);
  };
  start_pass(core_, std::move(pass));
}

void granule_state::note_arrived(volume_request& r, std::uint64_t first, std::uint64_t end) {
  on_worker([this, &r, first, end] {
    const auto noted = presence_->arrived(first, end);
    r.waits.os_errno = noted ? 0 : errno_of(noted.error());
    if (noted && *noted)
      core_.request_chain();
    core_.plane().resume.resume(r.waits);
  });
}

result<std::vector<extent>> granule_state::extents(byte_offset offset, byte_count length, std::uint32_t extents_max) {
  const std::uint64_t end = offset.value + length.value;
  const auto from = source();
  std::vector<extent> found;
  const auto add = [&](const extent& one) {
    if (!found.empty() && found.back().hole == one.hole && found.back().zero == one.zero) {
      found.back().length_bytes += one.length_bytes;
      return true;
    }
    if (found.size() == extents_max)
      return false;
    found.push_back(one);
    return true;
  };
  for (std::uint64_t at = offset.value; at < end;) {
    const std::uint64_t granule = at / granule_bytes, last = (end + granule_bytes - 1) / granule_bytes;
    if (presence_->test(granule)) {
      const std::uint64_t stop = std::min(end, presence_->run_end(granule, last) * granule_bytes);
      const auto here = extents_of(core_.file().data_fd(), byte_offset{at}, byte_count{stop - at}, extents_max);
      if (!here)
        return here;
      for (const auto& one : *here) {
        if (!add(one))
          return found;
        at += one.length_bytes;
      }
      continue;
    }
    const std::uint64_t stop = std::min(end, (granule + 1) * granule_bytes);
    const bool zeros = !presence_->suspect(granule) && from != nullptr && !from->holds(granule_index{granule});
    if (!add({stop - at, zeros, zeros}))
      return found;
    at = stop;
  }
  return found;
}

// --- control

void granule_state::bring_in_run(std::shared_ptr<volume_core> self, granule_run run, bool background,
                                 done_callback done) {
  presence* const present = this->present();
  if (present == nullptr || source() == nullptr)
    return done({}); // the file holds everything
  const std::uint64_t all = present->granules(), first = std::min(run.first.value, all);
  granule_pass pass = bringing_in(first, first + std::min(run.granules, all - first));
  pass.background = background;
  pass.work = [this](std::uint64_t granule) -> result<void> {
    if (is_closed())
      return fail(errc::shutting_down, "the volume is closing");
    return bring_in_one(granule);
  };
  pass.done = [self, done](result<void> outcome) { done(std::move(outcome)); };
  start_pass(core_, std::move(pass));
}

void granule_state::bring_in(std::shared_ptr<volume_core> self, granule_index first, std::uint32_t granules,
                             done_callback done) {
  bring_in_run(std::move(self), {first, granules}, false, std::move(done));
}

void granule_state::hydrate_piece(std::shared_ptr<volume_core> self, granule_run piece, done_callback done) {
  bring_in_run(std::move(self), piece, true, std::move(done));
}

void granule_state::set_source(std::shared_ptr<volume_core> self, std::shared_ptr<granule_source> source,
                               done_callback done) {
  {
    const std::lock_guard lock{mutex_};
    if (present() == nullptr || (source_ == nullptr && archiving_ == nullptr) || source == nullptr)
      return done(fail(errc::invalid_argument, "the volume has no source that could be replaced"));
    source_ = source;
  }
  core_.change_spec([&](volume_spec& s) { s.source = source; });
  publish_duties([&](granule_duties& d) {
    d.present = presence_.get();
    d.source = source;
  });
  core_.plane().generations.when_over(self, generation_scheduler::classes::changes_and_looks, std::move(done));
}

std::optional<presence_report> granule_state::report_presence() const {
  if (present_.load(std::memory_order_acquire) == nullptr || source() == nullptr)
    return std::nullopt;
  return presence_->report();
}

void granule_state::drop_source(std::shared_ptr<volume_core> self, done_callback done) {
  if (present() == nullptr || source() == nullptr)
    return done({});
  {
    const std::lock_guard lock{mutex_};
    if (archiving_ != nullptr)
      return done(fail(errc::busy, "granules of the volume are on their way to the archive"));
  }
  if (presence_->any_missing(0, presence_->granules()))
    return done(fail(errc::invalid_argument, "the source still holds granules that the volume's file does not"));
  // Durable first: `pending` never counts for this.
  core_.sync_in_background([this, self, done](int error) {
    if (error != 0)
      return done(fail_errno("sync before the source goes", error));
    if (!presence_->list_is_empty())
      return drop_source(self, done); // brought in by requests meanwhile
    publish_duties([](granule_duties& d) {
      d.present = nullptr;
      d.source = nullptr;
    });
    core_.plane().generations.when_over(
        self, generation_scheduler::classes::changes_and_looks, [this, self, done](result<void> over) {
          if (!over)
            return done(std::move(over));
          {
            const std::lock_guard lock{mutex_};
            source_ = nullptr;
          }
          core_.change_spec([](volume_spec& s) { s.source = nullptr; });
          on_worker([this, self, done] {
            presence_->remove_files();
            done({});
          });
        });
  });
}

} // namespace gnomon::io
