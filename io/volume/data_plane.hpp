// What the rings of one engine share: the rings themselves, their inboxes of resumed requests, reclamation, the pool
// for calls that may block, and the way to tell the control plane. Made before the rings, destroyed after them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "io/measure/observation_spill.hpp"
#include "io/granule/live_bits.hpp"
#include "io/ring/lane_pool.hpp"
#include "io/ring/quiescence.hpp"
#include "io/ring/ring.hpp"
#include "io/ring/wake.hpp"
#include "io/types.hpp"
#include "io/volume/generation_scheduler.hpp"
#include "io/volume/hold_line.hpp"
#include "io/volume/inline_pace.hpp"

namespace gnomon::io {

struct data_plane {
  explicit data_plane(std::uint32_t ring_count)
      : inboxes(std::make_unique<ring_inbox[]>(ring_count)), holds(std::make_unique<hold_line[]>(ring_count)),
        epochs(ring_count), observations_spilled(ring_count), generations([this] {
          for (auto& one : rings)
            one->wake();
        }) {
    resume = {
        inboxes.get(),
        ring_count,
        {[](void* self, ring_index which) { static_cast<data_plane*>(self)->rings[which.value]->wake(); }, this}};
  }
  std::uint32_t ring_count() const noexcept { return static_cast<std::uint32_t>(rings.size()); }
  void report(alert what) const {
    if (on_alert)
      on_alert(std::move(what));
  }

  std::vector<std::unique_ptr<ring>> rings;
  std::unique_ptr<ring_inbox[]> inboxes; // [ring index]
  resume_target resume;
  std::unique_ptr<hold_line[]> holds; // [ring index]
  quiescence epochs;
  observation_spill observations_spilled;
  disk_paces disks;
  // Changes of volumes, which may wait for requests or a disk: a lane per volume, so that none waits for another's.
  lane_pool maintenance;
  generation_scheduler generations;
  lane_pool seeking; // for holes, a lane per volume
  lane_pool granule_work; // what volumes with duties do in the background, and their sources' reads; the same
  std::string boot = boot_id();        // of this machine; tests let it change
  std::function<void(alert)> on_alert; // must not block
  // Makes a failed sync durable, then calls `done`, on any thread; none: as if it were durable at once.
  std::function<void(volume_uuid, int os_errno, done_callback done)> record_failure;
};

} // namespace gnomon::io
