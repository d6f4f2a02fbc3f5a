// Captures one volume into one layer: the content comes from the data plane piece by piece, the layer is sealed, the
// catalogue names it, and only then does the data plane count changes from here on.
//
// A capture blocks its thread for as long as it takes: it runs on a thread of snapshot_works, never in an actor. Its
// progress may be read by any thread. A crash or failure at any step leaves the volume and every other snapshot as they
// were; what was changed counts as changed still.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/snapshots/layer_uses.hpp"
#include "io/engine/engine.hpp"
#include "store/layer/layer_folder.hpp"
#include "store/meta/snapshot_book.hpp"

namespace gnomon::actors {

inline constexpr std::uint32_t capture_piece_granules = 64; // 4 MiB per read
inline constexpr std::size_t captures_remembered_max = 256; // failed ones, for `snapshot ls`

// What a capture is about and how far it is.
struct capture_progress {
  snapshot_uuid snapshot;
  volume_uuid volume;
  volume_name name;
  std::string note;
  std::optional<store::group_point> group;
  wall_time cut;
  std::atomic<std::uint64_t> size_bytes{0}, granules{0}, granules_done{0};

  enum class phase : std::uint8_t { capturing, complete, failed };
  std::atomic<phase> now{phase::capturing};
  std::string failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
  }
  void fail(std::string why) {
    std::lock_guard lock(mutex_);
    failure_ = std::move(why);
    now = phase::failed;
  }

private:
  mutable std::mutex mutex_;
  std::string failure_;
};

class volume_capture {
public:
  struct places {
    io::engine* engine = nullptr;
    store::snapshot_book* book = nullptr;
    const store::layer_folder* folder = nullptr;
    layer_uses* uses = nullptr;
    const clock_source* clock = &system_clock_source();
  };

  volume_capture(places where, std::shared_ptr<capture_progress> progress)
      : where_(where), progress_(std::move(progress)) {}
  // A capture that was begun and not finished is ended as failed.
  ~volume_capture();
  volume_capture(const volume_capture&) = delete;

  // Makes the cut, or takes over the one of a hold. Errors of the engine, and of a parent whose layers cannot be read.
  result<void> begin(std::optional<io::hold_id> held = {});
  // Reads, writes, seals, records. `go_on` is asked per piece: false ends it with shutting_down.
  result<store::layer_record> finish(const std::function<bool()>& go_on);

private:
  result<store::layer_record> write_layer(const std::function<bool()>& go_on);
  result<void> copy_pieces(store::layer_writer& writer, const std::function<bool()>& go_on);
  result<void> add_piece(store::layer_writer& writer, const io::capture_piece& piece);
  result<bool> same_below(granule_index granule, const store::content_hash& hash);
  void end(io::capture_end how);

  places where_;
  std::shared_ptr<capture_progress> progress_;
  std::optional<io::capture_begun> begun_;
  layer_uses::use below_used_;
  std::shared_ptr<const store::layer_chain> below_;   // none: a baseline
  std::optional<store::layer_walk> walk_;             // of `below_`, where granules are compared
  std::uint64_t hash_seed_ = 0;
};

} // namespace gnomon::actors
