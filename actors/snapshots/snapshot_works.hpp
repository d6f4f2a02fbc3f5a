// What a node does with snapshots: captures, group cuts, restores, checks, deletions, on a few threads of its own. The
// node owns it, so that an actor's death ends no work; the actors in front only ask and answer.
//
// Threads: every member may be called from any thread and returns at once; work ends in a callback on a work thread,
// which must not block. What can wait is bounded by works_queued_max. stop() ends captures and restores at the next
// piece: a capture is then failed, a restore goes on with the next start.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "actors/protocol/snapshot_messages.hpp"
#include "actors/snapshots/capture.hpp"
#include "actors/snapshots/layer_uses.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {

inline constexpr unsigned work_threads = 3;            // one is left for short work when two captures run
inline constexpr std::size_t works_queued_max = 1024;
inline constexpr std::chrono::milliseconds group_hold_max{1000}; // no volume stays held longer

struct snapshot_works_options {
  io::engine* engine = nullptr;
  store::catalogue* catalogue = nullptr;
  store::snapshot_book* book = nullptr;
  std::string layers_path;
  const clock_source* clock = &system_clock_source();
  unsigned threads = work_threads;
  std::function<void()> volumes_changed; // a restored volume is ready to be served; any thread
};

// The latest cut of a group, as far as this process knows it.
struct group_cut {
  group_cut_id id;
  wall_time when;
  std::chrono::microseconds span{0};
  struct member {
    volume_uuid volume;
    std::chrono::microseconds held{0};
    std::shared_ptr<capture_progress> progress; // null: it did not come to a capture
    std::string failure;
  };
  std::vector<member> members;
  std::string failure; // why there is no such point; empty: there is one, or it is being captured
};

class snapshot_works {
public:
  template <class T>
  using done = std::function<void(result<T>)>;
  using stop_asked = std::function<bool()>; // true: go on

  explicit snapshot_works(snapshot_works_options options);
  ~snapshot_works() { stop(); }
  snapshot_works(const snapshot_works&) = delete;
  // Work ends at its next piece from now on; waits for that, at most `patience`.
  void ask_to_stop(std::chrono::milliseconds patience);
  // The same, and joins the threads; the engine must answer what they wait for. Idempotent.
  void stop();

  // At the start, before any volume is offered: what was not sealed goes, sealed layers that the catalogue does not
  // name are taken in, deletions are finished. Blocks.
  result<rebuild_report> recover();

  // `begun` is called once the cut is made, or when there will be none.
  void capture(volume_uuid volume, std::string note, done<snapshot_info> begun);
  void cut_group(store::group_record group, done<group_cut_id> cut_made);
  // Deletes the snapshot; its layer goes as soon as nothing needs it. busy: locked.
  void remove(std::string snapshot, done<snapshot_info> finished);
  void check(std::string snapshot, done<snapshot_check> finished);
  // Makes the volume and begins to fill it. already_exists, not_found, no_space.
  void restore(std::string snapshot, volume_name to, done<restore_info> begun);
  // Goes on with every volume that has a source. Idempotent.
  void resume_restores();
  void rebuild(done<rebuild_report> finished);
  // Applies a group's retention to its cuts.
  void retain(store::group_record group);

  // --- from memory
  std::vector<snapshot_info> list(const snapshot_query& query) const;
  result<snapshot_info> show(const std::string& snapshot) const;
  std::vector<restore_info> restores() const;
  std::shared_ptr<const group_cut> latest_cut(const group_name& group) const;
  std::size_t queued() const;
  const snapshot_works_options& options() const noexcept { return options_; }

private:
  struct restore_progress;
  result<void> submit(std::function<void()> work);
  void run();
  bool go_on() const noexcept { return !stopping_; }
  volume_capture::places places() noexcept;
  std::shared_ptr<capture_progress> note_capture(const store::volume_record& volume, std::string note,
                                                 std::optional<store::group_point> group = {});
  void finish_capture(volume_capture& capture, const std::shared_ptr<capture_progress>& progress);
  result<store::volume_record> volume_to_capture(volume_uuid volume) const;
  result<group_cut_id> do_cut(const store::group_record& group);
  result<snapshot_info> do_remove(const std::string& snapshot);
  result<snapshot_check> do_check(const std::string& snapshot);
  result<restore_info> do_begin_restore(const std::string& snapshot, const volume_name& to);
  void do_restore(volume_uuid volume);
  result<void> copy_in(const store::volume_record& record, restore_progress& progress);
  result<rebuild_report> do_rebuild(store::layer_folder::unsealed swept);
  void clean_up();
  void give_up(const std::vector<snapshot_uuid>& points);
  std::shared_ptr<restore_progress> note_restore(const store::volume_record& record);
  snapshot_info info_of(const store::snapshot_tree& tree, const store::layer_record& layer) const;
  snapshot_info info_of(const capture_progress& progress) const;
  std::vector<std::shared_ptr<capture_progress>> captures() const;
  // Every member's sealed layer is there and says "released".
  bool is_complete(const store::group_point& point) const;

  const snapshot_works_options options_;
  const store::layer_folder folder_;
  layer_uses uses_;
  mutable std::mutex mutex_; // guards what follows
  std::condition_variable wake_, idle_;
  unsigned busy_ = 0; // threads that run something
  std::deque<std::function<void()>> queue_;
  std::deque<std::shared_ptr<capture_progress>> captures_; // under way, and failed ones
  std::map<volume_uuid, std::shared_ptr<restore_progress>> restores_;
  std::map<group_name, std::shared_ptr<const group_cut>> cuts_;
  std::atomic<bool> stopping_{false};
  std::mutex stop_mutex_;
  std::vector<std::thread> threads_; // last: they use all of the above
};

} // namespace gnomon::actors
