// The volumes of a node by uuid and by name: LMDB is the truth, an index in memory answers reads. Owns the files of
// volumes it created (store/meta/volume_files.hpp) and the thread that changes them, one change after the other.
//
// Threads: every member may be called from any thread. Reads copy out and return at once. A change returns at once
// and calls `done` exactly once: on the catalogue's thread after the commit is durable, or in the caller's when it is
// refused at once (limit_reached, shutting_down). `done` must not block or use the waiting forms. Each change has a
// waiting form (no `done`) for start-up, tools and tests, never for actors.
//
// Order of a creation: directory, file, size, descriptor under its unfinished name, all synced, then the record, then
// the descriptor's name. A crash in between leaves a directory without a record and without a named descriptor, which
// the next open() moves to trash/; a directory with one is a volume that the catalogue has forgotten (an older copy of
// meta/ was put back), and is taken in. A growth extends the file before the record: a longer file than its record is
// no larger volume, a growth that is refused is cut back, and a shorter file is damaged. Never opens a volume's data;
// never shrinks a volume.
//
// A volume that was not closed in order is judged by open() (volume_doubt); the verdict is in its record before
// anybody can use it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/settings/settings.hpp"
#include "config/types.hpp"
#include "store/files/serial_worker.hpp"
#include "store/lmdb/environment.hpp"
#include "store/meta/boot_marks.hpp"
#include "store/meta/schema.hpp"
#include "store/meta/volume_files.hpp"

namespace gnomon::store {

inline constexpr std::size_t volumes_max = 100'000; // live and deleted, per node
inline constexpr std::size_t catalogue_changes_queued_max = 4096;
inline constexpr std::size_t create_batch_max = 20'000; // volumes created by one call
inline constexpr std::size_t trash_queued_max = 4096;   // more stay in trash/ until the next purge
inline constexpr std::uint64_t meta_free_bytes_low = 16ull << 20; // less free space is told to the operator

// The environment the catalogue lives in: options for `directory` (data_directory::meta_path()).
environment_options meta_environment_options(std::string directory);

// What to do when volumes/ has volumes and LMDB has no record of any: its files were lost or replaced.
enum class lost_catalogue { refuse, rebuild };

struct catalogue_options {
  environment* meta = nullptr; // outlives the catalogue
  std::string volumes_path, trash_path;
  node_name node;
  std::chrono::seconds undelete_for{7 * 86400};
  lost_catalogue on_lost = lost_catalogue::refuse;
  const clock_source* clock = &system_clock_source();
  std::string boot_id;         // of the machine, see opening_evidence
  boot_marks* marks = nullptr; // outlives the catalogue; none: after an unclean stop nothing tells of failed syncs
  const clock_source* ages = nullptr; // tells how long ago a volume was deleted; none: `clock`
};

// Found and done by open(), for the log.
struct catalogue_opening {
  struct problem {
    volume_uuid volume; // nil where it concerns none
    std::string text;
  };
  std::size_t volumes = 0, deleted = 0, orphans_swept = 0, descriptors_rewritten = 0;
  std::size_t records_recovered = 0; // taken from their descriptor files
  std::size_t doubtful = 0;          // found so now: health tells until an operator takes note
  std::vector<problem> problems;     // until the next start
  std::vector<problem> damaged;      // files that are missing or shorter than their records; opening them tells again
};

struct volume_request {
  volume_name name;
  std::string description;
  byte_count size; // 0 with an external path: what is there
  std::optional<std::string> external_path;
  cache_mode cache = cache_mode::buffered;
  bool read_only = false, shared = false;
  volume_origin origin = volume_origin::created;
  std::optional<snapshot_uuid> source; // what the new file does not hold comes from this point
};

// What may change while a volume lives; none: as it is.
struct volume_changes {
  std::optional<std::string> description;
  std::optional<cache_mode> cache;
  std::optional<bool> read_only, shared;
  std::optional<volume_origin> origin;
};

class catalogue {
public:
  using done = std::function<void(result<volume_record>)>;
  using done_many = std::function<void(result<std::vector<volume_record>>)>;
  using done_count = std::function<void(result<std::size_t>)>;

  // corrupt: the catalogue is lost and options say refuse; io_failed, no_space. Damaged records do not fail the
  // opening: they are recovered from their descriptors or reported in `opening->problems`.
  static result<std::unique_ptr<catalogue>> open(catalogue_options options, catalogue_opening* opening = nullptr);
  ~catalogue() { stop(); }
  catalogue(const catalogue&) = delete;
  // Carries out what is queued and joins. The environment stays open.
  void stop();

  // --- reads; deleted volumes are not among find() and list()
  std::optional<volume_record> find(volume_uuid uuid) const;
  std::optional<volume_record> find(const volume_name& name) const;
  std::vector<volume_record> list() const;         // by name
  std::vector<volume_record> list_deleted() const; // newest deletion first
  std::string data_path(const volume_record& record) const { return files_.data_path(record); }

  // --- changes
  // already_exists (name, or the external file under another name), invalid_argument, not_found / unsupported
  // (external path), no_space, limit_reached. All requests of a call succeed or none.
  void create(std::vector<volume_request> requests, done_many finished);
  result<std::vector<volume_record>> create(std::vector<volume_request> requests);
  result<volume_record> create(volume_request request);
  void rename(volume_uuid uuid, volume_name name, done finished);
  result<volume_record> rename(volume_uuid uuid, volume_name name);
  // Grows only: invalid_argument for less than now. A block device must have grown before.
  void resize(volume_uuid uuid, byte_count size, done finished);
  result<volume_record> resize(volume_uuid uuid, byte_count size);
  void update(volume_uuid uuid, volume_changes changes, done finished);
  result<volume_record> update(volume_uuid uuid, volume_changes changes);
  // Frees the name at once; the data stays until purged.
  void remove(volume_uuid uuid, done finished);
  result<volume_record> remove(volume_uuid uuid);
  // `name`: under which name, none for its own. not_found: not deleted, or purged already; already_exists.
  void undelete(volume_uuid uuid, std::optional<volume_name> name, done finished);
  result<volume_record> undelete(volume_uuid uuid, std::optional<volume_name> name);
  // How long deleted volumes are kept from now on, instead of what the options said.
  void set_undelete_for(std::chrono::seconds keep) noexcept { undelete_for_s_ = keep.count(); }
  // Removes for good what was deleted longer ago than `undelete_for`, and old trash. An external file is never
  // touched.
  void purge_expired(done_count finished);
  result<std::size_t> purge_expired();
  // The same for one deleted volume, now.
  void purge(volume_uuid uuid, done finished);
  result<volume_record> purge(volume_uuid uuid);
  void mark_write_failure(volume_uuid uuid, int os_errno, done finished);
  result<volume_record> mark_write_failure(volume_uuid uuid, int os_errno);
  // Whether a sync of it has failed and no operator has taken note: as the record says, or as it would if `meta` had
  // taken the failure.
  bool failure_noted(volume_uuid uuid) const;
  // An operator takes note: the failure and the doubt are gone.
  void clear_write_failure(volume_uuid uuid, done finished);
  result<volume_record> clear_write_failure(volume_uuid uuid);
  // Every granule lies in the volume's own file, durably: its source is named no more.
  void clear_source(volume_uuid uuid, done finished);
  result<volume_record> clear_source(volume_uuid uuid);
  // An operator accepts that a damaged file's lost end reads as zeros. invalid_argument: it is not damaged.
  void accept_loss(volume_uuid uuid, done finished);
  result<volume_record> accept_loss(volume_uuid uuid);
  // Whether changes can be kept, in sentences for the operator; looks at the file systems, changes nothing.
  void probe(std::function<void(std::vector<std::string>)> finished);
  // Many at once, one commit: false before they are opened, true after they are closed in order. Unknown ones are left
  // out, and those whose writes failed never become clean.
  void set_clean(std::vector<volume_uuid> uuids, bool clean, done_many finished);
  result<std::vector<volume_record>> set_clean(std::vector<volume_uuid> uuids, bool clean);

private:
  enum class descriptor { rewrite, leave };
  using mutation = std::function<result<void>(volume_record&)>;

  explicit catalogue(catalogue_options options);
  template <class T>
  void enqueue(std::function<result<T>()> work, std::function<void(result<T>)> finished);
  template <class T>
  result<T> wait(const std::function<void(std::function<void(result<T>)>)>& start);

  // opening (catalogue_open.cpp)
  struct loaded_state;
  result<void> load(catalogue_opening& opening);
  result<void> read_records(loaded_state& state) const;
  result<void> recover_records(loaded_state& state, catalogue_opening& opening) const;
  void compare_descriptors(loaded_state& state, catalogue_opening& opening) const;
  void judge(loaded_state& state, catalogue_opening& opening) const;
  result<void> rebuild(loaded_state& state, catalogue_opening& opening) const;
  result<void> sweep_orphans(const loaded_state& state, catalogue_opening& opening) const;
  void check_files(loaded_state& state, catalogue_opening& opening) const;
  result<void> settle(loaded_state& state, catalogue_opening& opening);

  // changing (catalogue.cpp), on the worker
  result<std::vector<volume_record>> do_create(const std::vector<volume_request>& requests);
  using backing_identity = std::pair<std::uint64_t, std::uint64_t>;
  std::map<backing_identity, volume_name> backings_in_use() const;
  result<volume_record> prepare(const volume_request& request) const;
  result<void> check_free(const volume_name& name) const;
  result<volume_record> do_resize(volume_uuid uuid, byte_count size);
  result<volume_record> do_undelete(volume_uuid uuid, const std::optional<volume_name>& name);
  result<volume_record> do_purge(volume_uuid uuid);
  wall_time expired_before() const; // deleted before: gone for good
  result<std::size_t> do_purge_expired();
  result<void> forget(const std::vector<volume_record>& records);
  std::optional<volume_record> find_any(volume_uuid uuid) const; // deleted ones too
  opening_evidence evidence_of(const volume_record& record) const;
  std::vector<std::string> do_probe() const;
  void failure_is_recorded(volume_uuid uuid);
  result<volume_record> change(volume_uuid uuid, descriptor with, const mutation& mutate);
  result<volume_record> change(std::optional<volume_record> record, volume_uuid uuid, descriptor with,
                               const mutation& mutate);
  result<void> commit(std::vector<volume_record> records, descriptor with);
  void put_in_index(const volume_record& record);

  const catalogue_options options_;
  std::atomic<std::int64_t> undelete_for_s_{options_.undelete_for.count()};
  const volume_files files_;
  mutable std::shared_mutex mutex_;                        // guards the index
  std::unordered_map<volume_uuid, volume_record> by_uuid_; // deleted ones too
  std::map<std::string, volume_uuid> by_name_;             // live ones
  std::set<volume_uuid> failures_unrecorded_;              // of this process
  std::set<volume_uuid> descriptors_written_;              // worker only: marks to erase with the next commit
  std::unique_ptr<serial_worker> worker_;
  std::unique_ptr<serial_worker> trash_worker_; // removes the files of what is gone: that takes long
  std::atomic<bool> stopping_{false};
};

} // namespace gnomon::store
