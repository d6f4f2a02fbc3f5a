// What a volume knows about its granules and does with them besides serving requests: the granule gate, the changed
// bits, the capture that runs, presence. It makes the duties that a route names and changes them at cuts. Owned by
// the core, made with it; a volume without duties uses none of it.
//
// Rings use gate() and copy_before_change(). The control members may be called from any thread; they go on
// from callbacks of the generation scheduler and of the granule workers, and nothing in them waits. `done` is called
// once, on such a thread or on the caller's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config/error.hpp"
#include "config/types.hpp"
#include "io/granule/generation.hpp"
#include "io/granule/live_bits.hpp"
#include "io/ring/lane_pool.hpp"
#include "io/types.hpp"
#include "io/volume/capture.hpp"
#include "io/volume/duties.hpp"
#include "io/volume/block_status.hpp"
#include "io/volume/archiving.hpp"
#include "io/volume/granule_pass.hpp"
#include "io/volume/presence.hpp"

namespace gnomon::io {

class volume_core;
struct volume_request;

error abandoned_hold();

class granule_state {
public:
  static constexpr std::chrono::seconds unclaimed_cut_max{60}; // how long a hold's cut waits for its capture
  static constexpr std::chrono::seconds hold_max{1};
  static constexpr std::uint32_t piece_granules_max = 64;
  static constexpr std::size_t holds_reported_max = generation_gate::holds_remembered_max;

  explicit granule_state(volume_core& core);
  ~granule_state();
  granule_state(const granule_state&) = delete;
  granule_state& operator=(const granule_state&) = delete;

  // --- the core's life
  // Before the first request: takes over what is known about the volume's changes, and publishes duties if there are
  // any. `found` is the file as it was before it was grown.
  result<void> open(const file_identity& found);
  // After the last request and a good sync: saves the changed bits. A capture that runs has failed.
  void close_clean();
  // The last sync failed, or requests were given up.
  void close_in_doubt();
  void resized(byte_count size); // before the route has the new size
  // What the file holds may be older than what was captured of it: what changed is unknown until the next full capture.
  void sync_failed();
  bool idle() const { return passes_.load(std::memory_order_acquire) == 0; }
  // No background job begins any more, and those under way end soon.
  void begin_close();

  // --- rings and workers
  granule_gate& gate() noexcept { return *gate_; }
  // Runs `what` on a worker; on the calling thread if the workers have stopped.
  void on_worker(const std::function<void()>& what) { on_worker_of(false, what); }
  // The same, on the lane of what nobody waits for.
  void on_worker_of(bool background, const std::function<void()>& what);
  void pass_begins() noexcept { passes_.fetch_add(1, std::memory_order_relaxed); }
  void pass_ended() noexcept;
  generation_gate::entry enter_internal(request_class what);
  void leave_internal(generation_gate::entry entered);
  // The request was refused by must_copy(): copies the granules of [first, end), then resumes `r.waits`. When
  // that cannot be done the capture fails, and the request goes on all the same.
  void copy_before_change(volume_request& r, std::shared_ptr<capture> taken, std::uint64_t first, std::uint64_t end);
  // The logical content of a granule, `bytes` of it, through its source where the file does not hold it. Its gate is
  // held exclusively, or the caller is counted.
  result<void> read_logical(std::uint64_t granule, std::byte* into, std::uint32_t bytes);
  // A read of missing granules, or a wait that ends with r.waits and its os_errno: from the source into the request's
  // memory; of what a write covers in part, into the file; noting what whole-granule writes have put there.
  void read_from_source(volume_request& r, std::shared_ptr<granule_source> from);
  void bring_in_before_change(volume_request& r, std::uint64_t first, std::uint64_t last);
  void note_arrived(volume_request& r, std::uint64_t first, std::uint64_t end);
  result<std::vector<extent>> extents(byte_offset offset, byte_count length, std::uint32_t extents_max);
  // What the core's chain asks; null without a source.
  presence* present() noexcept { return present_.load(std::memory_order_acquire); }
  result<void> read_missing(std::uint64_t granule, std::byte* into, std::uint32_t bytes);
  // Whether it certainly reads as zeros, without reading it.
  bool reads_as_hole(std::uint64_t granule, std::uint32_t bytes);

  // --- control (io/engine/engine.hpp says what each promises)
  void hold(std::shared_ptr<volume_core> self, hold_id id, boot_time deadline,
            std::function<void(result<held_report>)> done);
  result<hold_outcome> release(hold_id id);
  void abandon(std::shared_ptr<volume_core> self, hold_id id);
  void begin_capture(std::shared_ptr<volume_core> self, capture_order order, std::optional<hold_id> held,
                     std::function<void(result<capture_begun>)> done);
  void read_capture(std::shared_ptr<volume_core> self, std::uint64_t id, granule_index from, std::uint32_t granules_max,
                    std::function<void(result<capture_piece>)> done);
  void end_capture(std::shared_ptr<volume_core> self, std::uint64_t id, capture_end how, done_callback done);

  void bring_in(std::shared_ptr<volume_core> self, granule_index first, std::uint32_t granules, done_callback done);
  void hydrate_piece(std::shared_ptr<volume_core> self, granule_run piece, done_callback done); // in the background
  std::optional<presence_report> report_presence() const;
  void drop_source(std::shared_ptr<volume_core> self, done_callback done);
  void set_source(std::shared_ptr<volume_core> self, std::shared_ptr<granule_source> source, done_callback done);

  // --- archiving (granule_archive.cpp)
  void begin_archive(std::shared_ptr<volume_core> self, granule_run run, done_callback done);
  void read_archive(std::shared_ptr<volume_core> self, granule_index from, std::uint32_t granules_max,
                    std::function<void(result<capture_piece>)> done);
  void finish_archive(std::shared_ptr<volume_core> self, std::function<void(result<punch_report>)> done);
  void abandon_archive();

private:
  using callback = std::function<void(result<void>)>;
  enum class stage : std::uint8_t { none, starting, cut, running, ending };

  result<presence::options> presence_options(const file_identity& found) const;
  result<void> open_presence(const file_identity& found);
  result<void> make_presence(); // everything is present
  void read_piece(std::uint64_t first, std::uint64_t end, std::function<result<void>(std::uint64_t)> before,
                  std::function<void(result<capture_piece>)> done, std::shared_ptr<volume_core> self);
  void punch(std::shared_ptr<volume_core> self, std::shared_ptr<archiving> of,
             std::function<void(result<punch_report>)> done);
  void end_archive();
  std::shared_ptr<granule_source> source() const;
  result<void> bring_in_one(std::uint64_t granule); // its gate is held exclusively
  granule_pass bringing_in(std::uint64_t first, std::uint64_t end);
  void bring_in_run(std::shared_ptr<volume_core> self, granule_run run, bool background, done_callback done);
  live_bits::options bits_options(const file_identity& found) const;
  std::string folder() const;
  void publish_duties(const std::function<void(granule_duties&)>& change);
  void ensure_tracking(std::shared_ptr<volume_core> self, callback then);
  void make_cut(std::shared_ptr<volume_core> self, std::optional<hold_id> id, boot_time deadline,
                std::unique_ptr<granule_spill> spill, callback then);
  // Everything up to the cut: tracking, spill, generation. Fails busy where a capture runs.
  void start(std::shared_ptr<volume_core> self, std::optional<hold_id> id, boot_time deadline, callback then);
  void scan(std::shared_ptr<volume_core> self, capture_order order, std::function<void(result<capture_begun>)> done);
  void take_back(std::shared_ptr<volume_core> self, callback then); // the capture has failed: its bits are merged
  void end(std::shared_ptr<volume_core> self, capture_end how, callback then);
  void watch_hold(std::shared_ptr<volume_core> self, hold_id id, generation_number cut, boot_time deadline);
  void drop_unclaimed(std::shared_ptr<volume_core> self, hold_id id);
  std::optional<result<held_report>> repeated_hold(hold_id id); // nothing: the id is new
  void deliver(std::shared_ptr<volume_core> self, std::shared_ptr<capture> of, capture_piece piece,
               std::function<void(result<capture_piece>)> done);
  void bits_in_doubt();
  void back_to_none();
  bool is_closed() const;

  volume_core& core_;
  std::unique_ptr<granule_gate> gate_;
  const std::shared_ptr<lane_pool::lane> lane_ = std::make_shared<lane_pool::lane>();
  std::atomic<std::uint32_t> passes_{0};
  std::mutex internal_mutex_; // one writer of the internal counters at a time

  const std::shared_ptr<lane_pool::lane> background_lane_ = std::make_shared<lane_pool::lane>();
  std::unique_ptr<presence> presence_;         // made once, by open() or the first archiving; stays
  std::atomic<presence*> present_{nullptr};    // the same, for rings
  mutable std::mutex mutex_; // what follows; never held while something is waited for
  std::shared_ptr<granule_source> source_;
  std::shared_ptr<archiving> archiving_; // null: none is under way
  std::unique_ptr<live_bits> live_;
  std::unique_ptr<live_bits> outgrown_; // until the core is closed: a ring may still mark them
  unsigned active_ = 0;                 // which bitmap is `after`
  std::atomic<bool> useless_{false};  // the volume is larger than the bits, or a sync failed: they are of no use
  stage stage_ = stage::none;
  std::shared_ptr<capture> capture_;
  generation_number cut_;
  std::optional<hold_id> unclaimed_;
  bool known_at_cut_ = false;
  snapshot_uuid becomes_; // what the capture is when it is sealed
  bool reading_ = false;
  bool closed_ = false;
  struct reported {
    hold_id id;
    held_report report;
  };
  std::deque<reported> reports_;
};

} // namespace gnomon::io
