#include "io/engine/last_syncs.hpp"

#include "config/log.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

void last_syncs::begin(std::shared_ptr<volume_core> core, boot_time drained_by) {
  auto& disk = disks_[core->file().device_number()];
  if (!disk)
    disk = std::make_shared<lane_pool::lane>();
  {
    const std::lock_guard lock{mutex_};
    open_.emplace(core->uuid(), core->spec().name);
  }
  // Flushes have left their generation and are over when they are answered; background steps may wait at the gate.
  const auto idle = [](volume_core& c) { return c.awaiting_sync() == 0 && c.granules().idle(); };
  generations_.when_over(
      core, generation_scheduler::classes::changes_and_looks,
      [this, core, disk, idle, drained_by](const result<void>& over) {
        if (!over)
          return not_drained(core, disk, over.error());
        generations_.add(
            core, idle,
            [this, core, disk](const result<void>& now_idle) {
              now_idle ? drained(core, disk) : not_drained(core, disk, now_idle.error());
            },
            drained_by);
      },
      drained_by);
}

void last_syncs::drained(const std::shared_ptr<volume_core>& core, const std::shared_ptr<lane_pool::lane>& disk) {
  if (!threads_.submit(disk, [this, core] { sync(*core); }))
    given_up(*core, {errc::limit_reached, "volume " + core->spec().name.value + ": no thread for its last sync", 0});
}

void last_syncs::not_drained(const std::shared_ptr<volume_core>& core, const std::shared_ptr<lane_pool::lane>& disk,
                             const error& why) {
  if (why.code == errc::shutting_down) // a close that is under way has dropped the wait: sync() finds it closed
    return drained(core, disk);
  given_up(*core, why);
}

void last_syncs::given_up(volume_core& core, const error& why) {
  log::error("{}", why.to_string());
  core.granules().close_in_doubt();
  {
    const std::lock_guard lock{mutex_};
    outcome_.late = true;
  }
  ended(core);
}

void last_syncs::sync(volume_core& core) {
  {
    const std::lock_guard control{core.control}; // a close may be under way: two syncs would share out one error
    if (!still_open_ || still_open_(core)) {
      if (const auto synced = core.final_sync(); synced) {
        core.granules().close_clean();
      } else {
        log::error("{}", synced.error().to_string());
        core.granules().close_in_doubt();
        const std::lock_guard lock{mutex_};
        if (!core.failure_is_recorded())
          outcome_.unrecorded = fail(errc::io_failed, synced.error().message + "; it could not be recorded",
                                     synced.error().os_errno);
      }
    }
  }
  ended(core);
}

void last_syncs::ended(const volume_core& core) {
  const std::lock_guard lock{mutex_};
  open_.erase(core.uuid());
  if (open_.empty())
    ended_.notify_all(); // under the lock: this may be gone as soon as it is released
}

last_syncs::outcome last_syncs::wait(std::chrono::steady_clock::time_point until) {
  outcome out;
  {
    std::unique_lock lock{mutex_};
    ended_.wait_until(lock, until, [this] { return open_.empty(); });
    for (const auto& [uuid, name] : open_)
      log::error("volume {}: its last sync does not end: its disk does not answer, and it is not closed cleanly",
                 name.value);
    out = outcome_;
    out.late |= !open_.empty();
  }
  out.late |= !threads_.stop(until);
  return out;
}

} // namespace gnomon::io
