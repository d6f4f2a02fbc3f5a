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
#include "actors/snapshots/layer_source.hpp"
#include "actors/snapshots/layer_uses.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {

inline constexpr unsigned work_threads = 3;            // one is left for short work when two captures run
inline constexpr std::size_t works_queued_max = 1024;
inline constexpr std::chrono::milliseconds group_hold_max{1000}; // no volume stays held longer
inline constexpr std::size_t chain_length_merged = 64; // layers below a group's newest snapshot: then they are merged

struct snapshot_works_options {
  io::engine* engine = nullptr;
  store::catalogue* catalogue = nullptr;
  store::snapshot_book* book = nullptr;
  std::string layers_path;
  const clock_source* clock = &system_clock_source();
  unsigned threads = work_threads;
  std::function<void()> volumes_changed; // there is a new volume to serve; any thread
  // What of a volume is expected to be read soon, hottest first; empty: nothing is known. Any thread.
  std::function<std::vector<io::granule_run>(volume_uuid)> hot_first;
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

// What a group has, as far as the next snapshot depends on it.
struct group_past {
  std::optional<wall_time> newest, newest_baseline; // of complete cuts; baseline: of every member
};

enum class when_complete : std::uint8_t { keep_layers, merge };

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
  void cut_group(store::group_record group, done<group_cut_id> cut_made,
                 when_complete then = when_complete::keep_layers);
  // Puts the layers of the snapshot together in one file. The layers stay until nothing needs them.
  void merge(std::string snapshot, done<snapshot_info> finished);
  void diff(snapshot_diff_request request, done<snapshot_diff> finished);
  // Deletes the snapshot; its layer goes as soon as nothing needs it. busy: locked.
  void remove(std::string snapshot, done<snapshot_info> finished);
  void check(std::string snapshot, done<snapshot_check> finished);
  // Makes the volume, which is served when `begun` is called, and begins to fill it. already_exists, not_found, no_space.
  void restore(std::string snapshot, volume_name to, done<restore_info> begun);
  // Where the granules come from that the volume's own file does not hold. corrupt, io_failed. Blocks.
  result<std::shared_ptr<io::granule_source>> open_source(const store::volume_record& record);
  // Goes on with every volume that has a source. Idempotent.
  void resume_restores();
  void rebuild(done<rebuild_report> finished);
  // Applies a group's retention to its cuts.
  void retain(store::group_record group);

  group_past past_of(const store::group_record& group) const;
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
  result<store::layer_record> merge_point(snapshot_uuid point);
  result<snapshot_info> do_merge(const std::string& snapshot);
  // The layer of a snapshot, with the tree it stands in, kept in use.
  struct layer_in_use {
    std::unique_ptr<store::snapshot_tree> tree;
    const store::layer_record* layer = nullptr;
    layer_uses::use used;
  };
  result<layer_in_use> use_layer_of(const std::string& snapshot);
  result<snapshot_diff> do_diff(const snapshot_diff_request& request);
  void merge_cut(const store::group_point& point, when_complete then);
  result<snapshot_info> do_remove(const std::string& snapshot);
  result<snapshot_check> do_check(const std::string& snapshot);
  result<restore_info> do_begin_restore(const std::string& snapshot, const volume_name& to);
  void submit_restore(restore_progress& progress);
  void do_restore(volume_uuid volume);
  void end_restore(volume_uuid volume, restore_progress& progress, const result<void>& hydrated);
  bool wait_until_open(volume_uuid volume) const;
  result<std::shared_ptr<layer_source>> source_for(const store::volume_record& record);
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
  std::mutex points_mutex_; // held while the state of points is changed, for a commit at most
  std::mutex merge_mutex_;  // one merge at a time
  mutable std::mutex mutex_; // guards what follows
  std::condition_variable wake_, idle_;
  unsigned busy_ = 0; // threads that run something
  std::deque<std::function<void()>> queue_;
  std::deque<std::shared_ptr<capture_progress>> captures_; // under way, and failed ones
  std::map<volume_uuid, std::shared_ptr<restore_progress>> restores_;
  std::map<volume_uuid, std::weak_ptr<layer_source>> sources_; // of volumes that are open
  std::map<group_name, std::shared_ptr<const group_cut>> cuts_;
  std::atomic<bool> stopping_{false};
  // What callbacks of the data plane hold: they may come when the works are gone.
  struct life {
    std::mutex mutex;
    snapshot_works* works = nullptr;
  };
  const std::shared_ptr<life> life_ = std::make_shared<life>();
  std::mutex stop_mutex_;
  std::vector<std::thread> threads_; // last: they use all of the above
};

} // namespace gnomon::actors
