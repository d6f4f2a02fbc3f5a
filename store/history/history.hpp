// The rolled-up observations of a node: per volume, chunk and instance counters at four resolutions, totals per
// volume, and the forecasters' models, in the `history` environment. Owns that environment and decides what is kept
// how long.
//
// Threads: every member may be called from any thread. append(), maintain(), forget() and put_model() return at once;
// their `done` runs on the environment's writer thread and must not block. The reads run in the caller's thread and
// may take tens of milliseconds for a large volume: fit threads and workers call them, actors do not.
//
// How rows travel. append() adds rows to the *tail* of its resolution: one record per slot. When a *part* (30 to 96
// slots) is over, its tails become blocks of 64 chunks each, and their sums are added to the tails of the next
// coarser resolution, all in one transaction. So every row counts in exactly one finest place, and a read at any
// resolution is its blocks, its tails and the finer tails, added up. Late rows join the blocks of their part.
//
// Losses. A crash of the process loses what was not yet committed (commit_delay), one of the machine a few seconds
// more. A damaged record is skipped and counted. A damaged environment is set aside and begun anew: history is worth
// keeping, not worth staying down for.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/types.hpp"
#include "store/history/codec.hpp"
#include "store/lmdb/environment.hpp"

namespace gnomon::store {

enum class resolution : std::uint8_t { ten_seconds, one_minute, five_minutes, one_hour };
inline constexpr std::size_t resolution_count = 4;
inline constexpr std::array<resolution, resolution_count> all_resolutions{
    resolution::ten_seconds, resolution::one_minute, resolution::five_minutes, resolution::one_hour};
std::chrono::seconds slot_length(resolution r) noexcept;
std::chrono::seconds part_length(resolution r) noexcept; // 5 min, 1 h, 6 h, 4 d

inline constexpr std::size_t history_append_rows_max = 16'384;     // rows of one append
inline constexpr std::size_t history_queued_rows_max = 262'144;    // rows of all appends that wait: 14 MiB
inline constexpr std::size_t history_read_samples_max = 8'000'000; // of one read(): 512 MiB; visit() has no limit
inline constexpr std::uint32_t history_instances_max = 65'535;
inline constexpr std::size_t model_bytes_max = 16u << 20;
inline constexpr std::size_t model_name_length_max = 200; // of an object and of a model, each

// Index of an instance id in this node's history; 0 is the anonymous instance.
using instance_index = strong_integer<struct instance_index_tag, std::uint32_t>;

struct history_row {
  chunk_index chunk;
  instance_index instance;
  access_counters counters;
};

// What happened to one volume during one slot.
// A model that a batch moves on in the same commit: it must read `before` (nothing: there is none) and reads `after` from
// then on, so that what was taken in is known exactly, after a crash too.
struct history_mark {
  std::string object, name;
  std::uint32_t version = 1;
  std::optional<bytes> before;
  bytes after;
};

struct history_batch {
  volume_uuid volume;
  resolution at = resolution::ten_seconds;
  wall_time time;                       // any moment of the slot; not before 1970
  std::vector<history_row> rows;        // any order; the same chunk and instance twice is added up
  std::optional<access_counters> total; // of the volume; none: the sum of the rows
  std::optional<history_mark> mark;     // busy, and nothing is added, if it does not read `before`
};

struct history_sample {
  wall_time slot; // start of the slot
  chunk_index chunk;
  instance_index instance;
  access_counters counters;
};
struct total_sample {
  wall_time slot;
  access_counters counters;
};

struct history_query {
  volume_uuid volume;
  resolution at = resolution::five_minutes;
  wall_time from, to;                     // slots that begin in [from, to)
  std::optional<chunk_index> chunk;       // none: all
  std::optional<instance_index> instance; // none: all, each by itself
};

struct history_model {
  std::uint32_t version = 0; // of the blob's own format; the owner's business
  wall_time written;
  bytes blob;
};
struct model_entry {
  std::string name;
  std::uint32_t version = 0;
  wall_time written;
  std::uint64_t blob_bytes = 0;
};

struct history_options {
  std::string directory;             // data_directory::history_path()
  byte_count disk_max{512ull << 20}; // the file never grows beyond; oldest rows go first
  // How long rows of each resolution are kept; `retention` of the settings is that of five minutes.
  std::array<std::chrono::seconds, resolution_count> keep_chunks{
      std::chrono::hours(2), std::chrono::hours(24), std::chrono::hours(14 * 24), std::chrono::hours(28 * 24)};
  std::array<std::chrono::seconds, resolution_count> keep_totals{std::chrono::hours(24), std::chrono::hours(7 * 24),
                                                                 std::chrono::hours(90 * 24),
                                                                 std::chrono::hours(2 * 365 * 24)};
  // Models may fill this share of disk_max; beyond it, and when they are neither written nor read for so long, those
  // used longest ago go. They can be learned again, but for the ones of these names, which stay.
  double models_share = 0.25;
  std::chrono::seconds keep_models{std::chrono::hours(28 * 24)};
  std::vector<std::string> lasting_models;
  std::chrono::milliseconds commit_delay{500};
  const clock_source* clock = &system_clock_source();
  const clock_source* ages = nullptr; // tells what is too old to keep; none: `clock`
};

struct history_status {
  std::uint64_t disk_bytes = 0, used_bytes = 0; // size of the file; pages in use
  std::uint64_t rows_appended = 0, parts_sealed = 0, parts_trimmed = 0;
  std::uint64_t model_bytes = 0, models_trimmed = 0; // pages of models; dropped by age or size
  std::uint64_t corrupt_records = 0; // skipped since the start
  std::uint64_t rows_refused = 0;    // appends that met a limit or a full disk
  bool begun_anew = false;           // the environment was damaged and set aside at the start
};

class history {
public:
  using done = std::function<void(result<void>)>;

  // busy, no_space, permission_denied, io_failed. A damaged environment is moved to `directory`.damaged.
  static result<std::unique_ptr<history>> open(history_options options);
  ~history() { stop(); }
  history(const history&) = delete;
  // Commits what is queued and joins the writer. Blocks. Idempotent.
  void stop();

  // --- observations
  // Adds the batch to its slot. limit_reached: too many rows, here or waiting; invalid_argument: a time before 1970
  // or a chunk beyond 2^32; no_space. `done` is always called, in the caller's thread if it is refused at once.
  void append(history_batch batch, done finished);
  result<void> append(history_batch batch);
  // Calls `visit` for every contribution to a slot, in no particular order; several may concern the same slot, chunk
  // and instance and are to be added up. Runs inside a read transaction: be quick, and call nothing of this object.
  result<void> visit(const history_query& query, const std::function<void(const history_sample&)>& visit) const;
  // The same, added up and sorted by chunk, instance, slot. Slots without activity are absent. limit_reached.
  result<std::vector<history_sample>> read(const history_query& query) const;
  // The volume's totals by slot; `chunk` and `instance` of the query are ignored.
  result<std::vector<total_sample>> read_totals(const history_query& query) const;

  // Closes parts that are over (of volumes that went quiet) and trims by age and size. Call it every minute or so.
  void maintain(done finished);
  result<void> maintain();
  // Drops everything about a volume, its models excepted.
  void forget(volume_uuid volume, done finished);
  result<void> forget(volume_uuid volume);

  // --- instances
  // limit_reached, shutting_down, no_space.
  result<instance_index> intern(const instance_id& instance);
  std::optional<instance_index> find(const instance_id& instance) const; // none: never seen
  std::optional<instance_id> name_of(instance_index index) const; // none for the anonymous one and unknown ones

  // --- models: named blobs of an object (a volume's uuid, an instance, ...), one version of each. limit_reached: a
  // blob beyond model_bytes_max or the models' share of the disk.
  void put_model(std::string object, std::string name, std::uint32_t version, bytes blob, done finished);
  result<void> put_model(std::string object, std::string name, std::uint32_t version, bytes blob);
  result<history_model> get_model(std::string_view object, std::string_view name) const; // not_found, corrupt
  result<std::vector<model_entry>> list_models(std::string_view object) const;
  result<std::vector<std::string>> list_objects() const; // that have models
  void erase_models(std::string object, done finished);
  result<void> erase_models(std::string object);

  history_status status() const;
  // How long rows of five minutes are kept from now on, instead of what the options said; the next trimming follows it.
  void set_retention(std::chrono::seconds keep) noexcept { retention_s_ = keep.count(); }

private:
  struct writer; // the write jobs: history_write.cpp
  enum class kind : std::uint8_t { chunks, totals };

  explicit history(history_options options) : options_(std::move(options)) {}
  result<void> load_instances();
  result<void> move_mark(write_transaction& t, const history_mark& mark) const;
  void start(write_job job, done finished);
  result<void> wait(const std::function<void(done)>& start);
  result<void> trim_models(write_transaction& t, std::uint64_t now); // models.cpp
  void maintain_step(std::shared_ptr<done> finished, std::uint64_t now);
  void append_or_make_room(std::shared_ptr<write_job> job, std::shared_ptr<done> finished, std::uint64_t now,
                           unsigned attempt);
  result<void> visit_rows(kind what, const history_query& query,
                          const std::function<void(std::uint64_t, const stored_row&)>& visit) const;
  void skip_damaged(const error& why) const;
  std::uint64_t model_share_bytes() const;
  void note_use(const std::string& key) const;

  const history_options options_;
  std::atomic<std::int64_t> retention_s_{
      options_.keep_chunks[static_cast<std::size_t>(resolution::five_minutes)].count()};
  std::unique_ptr<environment> env_;
  mutable std::mutex instances_mutex_;
  std::unordered_map<instance_id, std::uint32_t> instance_numbers_;
  std::vector<instance_id> instance_names_; // [index - 1]
  mutable std::mutex models_mutex_;
  mutable std::unordered_map<std::string, std::uint64_t> models_used_; // key -> seconds; read since the start
  std::uint64_t models_aged_at_ = 0; // seconds; writer thread
  std::atomic<std::uint64_t> models_trimmed_{0};
  std::atomic<std::uint64_t> queued_rows_{0};
  mutable std::atomic<std::uint64_t> corrupt_records_{0};
  std::atomic<std::uint64_t> rows_appended_{0}, rows_refused_{0}, parts_sealed_{0}, parts_trimmed_{0};
  std::atomic<double> fill_max_{0.85}; // of the disk bound; falls where free pages are too scattered to be used
  bool begun_anew_ = false;
};

} // namespace gnomon::store
