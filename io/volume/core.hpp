// A volume's core on its home: its file, generation, gate, counters and the route that rings follow. The engine's
// registry owns it; actors and connections come and go without touching it.
//
// Threads: rings use the hot part (route, generations, gate, counters) without locks. Control members run on
// maintenance threads, one at a time per volume (`control`). Nothing here blocks a ring.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "config/types.hpp"
#include "io/fault/fault_plan.hpp"
#include "io/granule/generation.hpp"
#include "io/granule/granule_gate.hpp"
#include "io/granule/write_marks.hpp"
#include "io/measure/counters.hpp"
#include "io/measure/observation.hpp"
#include "io/measure/recorder.hpp"
#include "io/ring/quiescence.hpp"
#include "io/types.hpp"
#include "io/volume/block_file.hpp"
#include "io/volume/data_plane.hpp"
#include "io/volume/duties.hpp"
#include "io/volume/inline_pace.hpp"
#include "io/volume/interposer.hpp"
#include "io/volume/sync_coalescer.hpp"

namespace gnomon::io {

// What a ring needs to know to carry out a request. Immutable once published; no pointer to it survives a wait.
struct route {
  byte_count size;
  bool read_only = false;
  bool closing = false;          // new requests get ESHUTDOWN
  std::shared_ptr<const granule_duties> duties; // null: the volume is a file and nothing else
  recorder* recording = nullptr; // lives until the ring has passed a quiescent point after it was unpublished
};

class granule_state;

// What a core still does. A failed sync refuses changes; one that cannot be recorded refuses everything.
enum class core_condition : std::uint8_t { sound, changes_refused, refused };

class volume_core : public std::enable_shared_from_this<volume_core> {
public:
  // Requests under way on all rings together: no more than the gate's waiters, and than its other lists hold.
  static constexpr std::uint32_t admitted_max = 16384;
  static_assert(admitted_max <= sync_coalescer::waiters_max && admitted_max <= lane_pool::lane_queue_max);

  // Opens the file, never grows it. corrupt: it holds less than `spec.size` bytes; busy: another process has it. Blocks.
  static result<std::shared_ptr<volume_core>> open(volume_spec spec, data_plane& plane);
  // Every request has left (see close in engine). Closes the files.
  ~volume_core();

  // --- hot part: rings
  const route& current_route() const noexcept { return *route_.load(); }
  const block_file& file() const noexcept { return file_; }
  generation_gate& generations() noexcept { return generations_; }
  const generation_gate& generations() const noexcept { return generations_; }
  // Block-precise locks for O_DIRECT volumes, where part of a block is read, changed and written; null when buffered.
  granule_gate* block_gate() noexcept { return block_gate_.get(); }
  granule_state& granules() noexcept { return *granules_; }
  volume_meter& meter() noexcept { return meter_; }
  observation_set& observations() noexcept { return observations_; }
  fault_plan* faults() noexcept { return faults_.get(); }
  bool has_faults() const noexcept { return faults_ != nullptr; }
  data_plane& plane() noexcept { return plane_; }
  interposer* before() const noexcept { return before_.get(); }
  // Once, before the first request.
  void set_before(std::shared_ptr<interposer> before) { before_ = std::move(before); }
  const std::shared_ptr<lane_pool::lane>& seek_lane() const noexcept { return seek_lane_; }
  const volume_uuid& uuid() const noexcept { return uuid_; }
  // Whether another request may be started on this ring now; if not, later: its client's socket is not read until one
  // has ended. As a request waits in one place at a time, no list of waiting requests of this volume is ever full.
  bool admits(ring_index here) const noexcept { return meter_.in_flight(here) < admitted_per_ring_max_; }
  core_condition condition() const noexcept { return condition_.load(std::memory_order_acquire); }

  // Whether a buffered write may be made by the ring itself now.
  bool may_write_inline() const noexcept { return file_.prefers_inline_writes() && disk_.allowed(); }
  inline_pace& disk() noexcept { return disk_; } // shared with the other volumes on it
  write_marks& marks() noexcept { return marks_; }

  // A request failed in the device. Told once where an operator has to do something that the errno does not say.
  void note_error(int os_errno);

  // Joins the flush under way after next, or starts it; `waiter` is resumed on its ring with os_errno set. Its request
  // has left its generation: awaiting_sync() counts it until sync_answered().
  void request_sync(sync_waiter& waiter, ring& on);
  void sync_answered() noexcept { awaiting_sync_.fetch_sub(1, std::memory_order_release); }
  std::uint32_t awaiting_sync() const noexcept { return awaiting_sync_.load(std::memory_order_acquire); }
  // Any thread: a flush of the volume's own; `done` gets its errno, on a ring.
  void sync_in_background(std::function<void(int)> done);
  // The same, soon, where nobody waits for it; one at a time.
  void request_chain();

  // --- control part: maintenance threads
  std::mutex control;       // held by whoever changes the volume
  const std::shared_ptr<lane_pool::lane>& control_lane() const noexcept { return control_lane_; }
  volume_spec spec() const; // any thread; with the current size, name and flags
  void change_spec(const std::function<void(volume_spec&)>& change);
  void publish(const std::function<void(route&)>& change); // any thread; short
  void publish_recording(recorder* recording);
  bool opened_read_only() const noexcept { return opened_read_only_; }
  result<void> grow_file(byte_count size);
  void clear_write_failure();
  // A sync of the file failed, whoever made it (a ring, a resize, a close, a stop). Changes are refused from now on,
  // the failure is recorded (data_plane::record_failure), and those who wait are answered when its record is durable,
  // or certain not to become so; then every request is refused. Once only; any thread; returns at once.
  void mark_failed(int os_errno);
  // The record has become durable after all: reads work again.
  void failure_recorded();
  bool failure_is_recorded() const; // or there is none
  // The last sync, when no request is under way: io_failed when it or an earlier one failed; then the failure's record
  // is decided when this returns. A sync after a failed one is never made: it would succeed.
  result<void> final_sync();
  bool is_synced() const noexcept { return synced_.load(std::memory_order_acquire); }

  // --- attachments: which instances hold the volume for writing, and by how many connections. Any thread.
  // busy, naming the holder, or the volume is being closed; permission_denied: fenced.
  result<void> attach(const instance_id& who, bool writing);
  void detach(const instance_id& who, bool writing);
  std::vector<instance_id> writers() const;
  // Nobody attaches any more. A close that failed is begun again, never undone.
  void begin_closing();
  bool closing() const;
  // From now on; spec().fences follows when the I/O of those who are shut out has ended.
  void fence(fence_set fences);

private:
  volume_core(volume_spec spec, block_file file, data_plane& plane);
  void submit_sync(ring& on);
  void sync_done(ring& on, int result);
  void begin_marking(int os_errno);
  void failure_marked(const result<void>& recorded);
  int sync_now(); // errno
  int sync_with(const std::function<int()>& sync); // as the fault plan lets it; errno
  void chain_done(ring& on, int error); // the data, and what its file holds, are durable, or not

  struct sync_operation : completion {
    volume_core* core = nullptr;
  };

  struct chain_step : parked { // from the worker back to the ring of the sync
    volume_core* core = nullptr;
    int os_errno = 0;
  };

  data_plane& plane_;
  const volume_uuid uuid_;
  const bool opened_read_only_;
  block_file file_;
  std::shared_ptr<interposer> before_;
  generation_gate generations_;
  std::unique_ptr<granule_gate> block_gate_;
  std::unique_ptr<granule_state> granules_;
  published<route> route_;
  sync_coalescer syncs_;
  sync_operation sync_; // one in flight per file
  std::uint64_t sync_fault_id_ = 0;
  presence::list chain_list_; // what the sync in flight makes durable
  chain_step chain_;
  std::atomic<bool> chain_requested_{false};
  std::atomic<std::uint32_t> awaiting_sync_{0};
  std::mutex publish_mutex_;
  volume_meter meter_;
  const std::uint32_t admitted_per_ring_max_;
  const std::shared_ptr<lane_pool::lane> seek_lane_ = std::make_shared<lane_pool::lane>();
  const std::shared_ptr<lane_pool::lane> control_lane_ = std::make_shared<lane_pool::lane>();
  observation_set observations_;
  std::unique_ptr<fault_plan> faults_;
  std::atomic<core_condition> condition_;
  std::atomic<bool> synced_{false}; // by final_sync()
  std::atomic<bool> size_limit_told_{false};
  mutable std::mutex mark_mutex_;
  std::condition_variable mark_decided_;
  bool failure_recorded_ = true; // or there is none
  inline_pace& disk_;
  write_marks marks_;

  mutable std::mutex attach_mutex_;
  std::map<instance_id, std::uint32_t> writers_;
  bool closing_ = false;
  fence_set fences_;

  mutable std::mutex spec_mutex_;
  volume_spec spec_;
};

} // namespace gnomon::io
