// The end of the volumes at a stop: each is drained, synced for the last time, and what changed in it is saved. All are
// drained at once, and each disk has a lane of its own, so that a disk which does not answer keeps its own volumes from
// becoming clean and no others.
//
// begin() and wait() are the stopping thread's; the work goes on from the generation scheduler and on threads of its own.
// A volume that is late goes on with its sync: then this object, and all it works on, must not be destroyed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "config/error.hpp"
#include "io/ring/lane_pool.hpp"
#include "io/volume/core.hpp"

namespace gnomon::io {

class last_syncs {
public:
  // `still_open` is asked with the volume's control held: false where a close has ended meanwhile. Null: all are.
  explicit last_syncs(generation_scheduler& generations, std::function<bool(const volume_core&)> still_open = {})
      : generations_(generations), still_open_(std::move(still_open)) {}
  last_syncs(const last_syncs&) = delete;
  last_syncs& operator=(const last_syncs&) = delete;

  // The core's route refuses new requests already. `drained_by`: those under way that do not end by then are given up.
  void begin(std::shared_ptr<volume_core> core, boot_time drained_by);

  struct outcome {
    bool late = false;       // a volume's requests or its sync have not ended: they still use its memory
    result<void> unrecorded; // a sync failed and its record cannot be made durable
  };
  // Until every volume has ended, and no longer than `until`; no volume is begun after it.
  outcome wait(std::chrono::steady_clock::time_point until);

private:
  void drained(const std::shared_ptr<volume_core>& core, const std::shared_ptr<lane_pool::lane>& disk);
  void not_drained(const std::shared_ptr<volume_core>& core, const std::shared_ptr<lane_pool::lane>& disk,
                   const error& why);
  void given_up(volume_core& core, const error& why);
  void sync(volume_core& core);
  void ended(const volume_core& core);

  generation_scheduler& generations_;
  const std::function<bool(const volume_core&)> still_open_;
  std::map<std::uint64_t, std::shared_ptr<lane_pool::lane>> disks_; // by device number; begin()'s
  std::mutex mutex_;                                                // what follows
  std::condition_variable ended_;
  std::map<volume_uuid, volume_name> open_;
  outcome outcome_;
  lane_pool threads_; // last: they use all of the above
};

} // namespace gnomon::io
