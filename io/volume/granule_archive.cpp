// Granules on their way to the archive: read while the volume goes on, then cleared through the core's one chain, then
// punched. Every step on a granule holds its gate exclusively; a change in between clears the granule's bit, and what
// was brought in or written again before its space went stays.
#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "config/log.hpp"
#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/file_io.hpp"
#include "io/volume/granule_piece.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

namespace {

result<std::uint64_t> bytes_on_disk(int fd) {
  struct stat found {};
  if (fstat(fd, &found) != 0)
    return fail_errno("size of the volume's file");
  return static_cast<std::uint64_t>(found.st_blocks) * sector_bytes;
}

result<void> punch_granule(volume_core& core, std::uint64_t offset, std::uint64_t bytes) {
  const int fd = core.file().data_fd();
  fault_plan::write_id remembered{0};
  if (core.faults() != nullptr) {
    const auto id = core.faults()->before_write(fd, byte_offset{offset}, byte_count{bytes});
    if (!id)
      return tl::unexpected(id.error());
    remembered = *id;
  }
  int failed = 0;
  while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                   static_cast<off_t>(bytes)) != 0 &&
         (failed = errno) == EINTR)
    failed = 0;
  if (core.faults() != nullptr)
    core.faults()->after_write(fd, remembered);
  return failed == 0 ? result<void>{} : fail_errno("giving back space", failed);
}

} // namespace

result<void> granule_state::make_presence() {
  if (present() != nullptr)
    return presence_->make_files_again();
  const auto file = identity_of(core_.file().data_fd());
  if (!file)
    return tl::unexpected(file.error());
  auto o = presence_options(*file);
  if (!o)
    return tl::unexpected(o.error());
  o->everything = true;
  auto made = presence::open(*o);
  if (!made)
    return tl::unexpected(made.error());
  presence_ = std::move(*made);
  present_.store(presence_.get(), std::memory_order_release);
  return {};
}

void granule_state::begin_archive(std::shared_ptr<volume_core> self, granule_run run, done_callback done) {
  const auto spec = core_.spec();
  if (core_.file().is_block_device() || core_.opened_read_only() || !core_.file().can_punch_hole())
    return done(fail(errc::unsupported, "volume " + spec.name.value +
                                            ": only a file that is open for writing, where holes can be punched, "
                                            "can give space back"));
  if (core_.condition() != core_condition::sound)
    return done(fail(errc::io_failed, "volume " + spec.name.value + " refuses changes since a sync failed"));
  if (run.granules == 0 || run.granules > archiving::run_granules_max)
    return done(fail(errc::invalid_argument, "a run for the archive has 1 to " +
                                                 std::to_string(archiving::run_granules_max) + " granules"));
  auto mine = std::make_shared<archiving>(run.first.value, run.granules);
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return done(fail(errc::shutting_down, "the volume is closing"));
    if (archiving_ != nullptr)
      return done(fail(errc::busy, "granules of the volume are on their way to the archive already"));
    archiving_ = mine;
  }
  pass_begins();
  on_worker_of(true, [this, self, mine, done] {
    const auto go = [&]() -> result<void> {
      if (source() == nullptr)
        if (auto made = make_presence(); !made)
          return made;
      if (mine->end() > presence_->granules())
        return fail(errc::unsupported, "what a volume has grown by can be archived once nothing of it is archived and it "
                                       "was opened again");
      return {};
    };
    auto ready = go();
    if (!ready) {
      end_archive();
      done(std::move(ready));
      return pass_ended();
    }
    publish_duties([this, mine](granule_duties& d) {
      d.present = presence_.get();
      d.source = source();
      d.archived = mine;
    });
    // Only then does every change hold the gate and clear its granules' bits.
    core_.plane().generations.when_over(self, generation_scheduler::classes::changes,
                                        [this, self, done](result<void> over) {
                                          if (!over)
                                            end_archive();
                                          done(std::move(over));
                                        });
    pass_ended();
  });
}

void granule_state::read_archive(std::shared_ptr<volume_core> self, granule_index from, std::uint32_t granules_max,
                                 std::function<void(result<capture_piece>)> done) {
  std::shared_ptr<archiving> of;
  {
    const std::lock_guard lock{mutex_};
    of = archiving_;
  }
  if (of == nullptr || from.value < of->first() || from.value >= of->end())
    return done(fail(errc::not_found, "no archiving of these granules is under way"));
  granule_pass pass;
  pass.background = true;
  pass.first = from.value;
  pass.end = std::min(of->end(), pass.first + std::clamp(granules_max, 1u, piece_granules_max));
  auto state = std::make_shared<granule_piece>(pass.first, pass.end);
  const std::uint64_t size = core_.spec().size.value;
  pass.needed = [](std::uint64_t) { return true; };
  pass.work = [this, of, state, size](std::uint64_t granule) -> result<void> {
    if (is_closed())
      return fail(errc::shutting_down, "the volume is closing");
    const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(granule_bytes, size - granule * granule_bytes));
    const bool hole = reads_as_hole(granule, bytes);
    if (!hole)
      if (auto got = read_logical(granule, state->memory(), bytes); !got)
        return got;
    state->append(bytes, hole);
    of->was_read(granule);
    return {};
  };
  pass.done = [self, of, state, next = pass.end, done](const result<void>& outcome) {
    if (!outcome)
      return done(tl::unexpected(outcome.error()));
    done(state->finish(next == of->end()));
  };
  start_pass(core_, std::move(pass));
}

void granule_state::finish_archive(std::shared_ptr<volume_core> self, std::function<void(result<punch_report>)> done) {
  std::shared_ptr<archiving> of;
  {
    const std::lock_guard lock{mutex_};
    of = archiving_;
  }
  if (of == nullptr)
    return done(fail(errc::not_found, "no archiving of this volume is under way"));
  if (source() == nullptr) {
    end_archive();
    return done(fail(errc::invalid_argument, "the volume has no source for what its file would give back"));
  }
  const auto failed = [this, done](const error& why) {
    end_archive();
    done(tl::unexpected(why));
  };
  granule_pass pass;
  pass.background = true;
  pass.first = of->first(), pass.end = of->end();
  pass.needed = [this, of](std::uint64_t granule) { return of->unchanged(granule) && presence_->test(granule); };
  pass.work = [this](std::uint64_t granule) -> result<void> {
    if (is_closed())
      return fail(errc::shutting_down, "the volume is closing");
    return presence_->cleared(granule);
  };
  pass.done = [this, self, of, done, failed](const result<void>& outcome) {
    if (!outcome)
      return failed(outcome.error());
    const auto chained = [this, self, of, done, failed](int error) {
      if (error != 0)
        return failed(fail_errno("sync before space is given back", error).value());
      core_.plane().generations.when_over(self, generation_scheduler::classes::changes_and_looks,
                                          [this, self, of, done, failed](const result<void>& over) {
                                            if (!over)
                                              return failed(over.error());
                                            punch(self, of, done);
                                          });
    };
    if (plants(planted::punch_before_chain))
      return chained(0);
    core_.sync_in_background(chained); // one that begins from now on
  };
  start_pass(core_, std::move(pass));
}

void granule_state::punch(std::shared_ptr<volume_core> self, std::shared_ptr<archiving> of,
                          std::function<void(result<punch_report>)> done) {
  struct counted {
    punch_report report;
    std::uint64_t on_disk = 0;
  };
  auto state = std::make_shared<counted>();
  state->on_disk = bytes_on_disk(core_.file().data_fd()).value_or(0);
  const std::uint64_t size = core_.spec().size.value;
  granule_pass pass;
  pass.background = true;
  pass.first = of->first(), pass.end = of->end();
  const bool blind = plants(planted::punch_without_looking_again);
  pass.needed = [this, of, blind](std::uint64_t granule) {
    return blind ? of->unchanged(granule) : !presence_->test(granule);
  };
  pass.work = [this, state, size](std::uint64_t granule) -> result<void> {
    if (is_closed())
      return fail(errc::shutting_down, "the volume is closing");
    ++state->report.cleared;
    const std::uint64_t offset = granule * granule_bytes;
    return punch_granule(core_, offset, std::min(granule_bytes, size - offset));
  };
  pass.done = [this, self, of, state, done](const result<void>& outcome) {
    state->report.kept = of->end() - of->first() - state->report.cleared;
    const std::uint64_t now = bytes_on_disk(core_.file().data_fd()).value_or(state->on_disk);
    state->report.freed_bytes = now < state->on_disk ? state->on_disk - now : 0;
    end_archive();
    if (!outcome)
      return done(tl::unexpected(outcome.error()));
    done(state->report);
  };
  start_pass(core_, std::move(pass));
}

void granule_state::abandon_archive() { end_archive(); }

void granule_state::end_archive() {
  {
    const std::lock_guard lock{mutex_};
    archiving_ = nullptr;
  }
  core_.publish([](route& r) {
    if (r.duties == nullptr || r.duties->archived == nullptr)
      return;
    auto next = std::make_shared<granule_duties>(*r.duties);
    next->archived = nullptr;
    if (next->source == nullptr)
      next->present = nullptr; // it was noted for this archiving only
    r.duties = std::move(next);
  });
}

} // namespace gnomon::io
