// One LMDB environment with its one writer thread. Owns the map, the transactions and the queue of write jobs.
// submit() may be called from any thread and returns at once; read() runs in the caller's thread, in a short read
// transaction that sees the last commit. The writer thread runs the jobs and their callbacks. Nothing here throws,
// and no pointer into the map outlives a transaction: callers copy out.
//
// Durability. `synchronous` commits with LMDB's defaults: data pages are synced, then the meta page; `done` comes
// after both, so an acknowledged commit survives power loss. `relaxed` adds MDB_NOMETASYNC and gathers jobs for
// `commit_delay`: data pages are still synced before the meta page is written, so neither kill -9 nor power loss can
// leave a torn tree, only undo the last commits; the meta page is synced every `sync_every`. MDB_NOSYNC is not used
// because a power loss may then reorder pages and corrupt the tree, and MDB_WRITEMAP is not used because it forbids
// nested transactions and turns a full disk into SIGBUS.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/types.hpp"
#include "store/files/posix_file.hpp"

struct MDB_env;
struct MDB_txn;

namespace gnomon::store {

inline constexpr std::size_t key_bytes_max = 511; // LMDB's compiled-in maximum
inline constexpr unsigned readers_max = 512;      // read transactions open at once, all threads together
inline constexpr unsigned databases_max = 32;     // named databases per environment

// Index into environment_options::databases.
using database_id = strong_integer<struct database_id_tag, std::uint32_t>;

enum class durability { synchronous, relaxed };

struct environment_options {
  std::string name;                   // used in messages, for example "meta"
  std::string directory;              // created if it is missing; its parent must exist
  std::vector<std::string> databases; // created if they are missing
  durability durable = durability::synchronous;
  byte_count map_size{4ull << 30};             // reserved at start; virtual memory, not disk
  byte_count map_size_max{64ull << 30};        // a full map is doubled up to this, then no_space
  std::size_t queued_jobs_max = 4096;          // further submits get limit_reached
  std::size_t group_jobs_max = 256;            // jobs committed by one transaction
  std::chrono::milliseconds commit_delay{0};   // relaxed: how long a first job waits for company
  std::chrono::seconds sync_every{5};          // relaxed: how often the meta page is synced
  std::chrono::seconds reader_check_every{60}; // how often slots of dead readers are freed
};

enum class scan_step { next, stop };
// Key and value are valid only during the call.
using scan_visitor = std::function<scan_step(std::string_view key, bytes_view value)>;

// Reads inside a transaction. Views are valid until it ends (inside a write: until the next put or erase).
class read_transaction {
public:
  // nullopt: no such key. corrupt, io_failed.
  result<std::optional<bytes_view>> get(database_id database, std::string_view key) const;
  // Visits keys in byte order from the first key >= `from`, while they begin with `prefix`.
  result<void> scan(database_id database, std::string_view from, std::string_view prefix,
                    const scan_visitor& visit) const;
  result<void> scan(database_id database, std::string_view prefix, const scan_visitor& visit) const {
    return scan(database, prefix, prefix, visit);
  }
  result<std::uint64_t> count(database_id database) const;
  // Bytes of all pages the database uses.
  result<std::uint64_t> bytes_used(database_id database) const;

protected:
  friend class environment;
  read_transaction(const class environment& owner, MDB_txn* transaction) : owner_(owner), transaction_(transaction) {}
  read_transaction(const read_transaction&) = delete;
  tl::unexpected<error> describe(int code, std::string_view what, std::string_view key) const;

  const environment& owner_;
  MDB_txn* transaction_;
  mutable int hard_error_ = 0; // the first LMDB error after which this transaction cannot be committed
};

class write_transaction : public read_transaction {
public:
  // invalid_argument: empty or too long key. no_space: the map is full (the environment grows it and runs the job
  // again where it may).
  result<void> put(database_id database, std::string_view key, bytes_view value);
  // True if the key was there.
  result<bool> erase(database_id database, std::string_view key);

private:
  friend class environment;
  using read_transaction::read_transaction;
};

// Runs on the writer thread, possibly more than once (after the map grew, or when a group is taken apart): it must
// have no effect except through the transaction and what it overwrites on each run. Returning an error undoes this
// job only.
using write_job = std::function<result<void>(write_transaction&)>;
// Called on the writer thread exactly once, after the commit is durable (see above). Must not block.
using write_done = std::function<void(result<void>)>;

struct environment_status {
  std::uint64_t map_bytes = 0, file_bytes = 0; // reserved, high-water mark of the file
  std::uint64_t queued_jobs = 0, commits = 0, jobs_done = 0, jobs_failed = 0, map_growths = 0;
  bool failed = false; // writes are refused until the environment is opened again
};

class environment {
public:
  // corrupt: not an LMDB file, damaged meta pages; unsupported: another LMDB version's file; permission_denied;
  // busy: this process has it open already; no_space.
  static result<std::unique_ptr<environment>> open(environment_options options);
  ~environment(); // calls stop()
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

  // Queues a job. Refused at once (and `done` never called) with limit_reached, shutting_down, or io_failed after a
  // failed sync. Otherwise `done` gets the outcome: the job's own error, no_space (map or disk full, nothing changed,
  // reads go on), io_failed.
  result<void> submit(write_job job, write_done done);
  // submit() and wait. Blocks: for start-up, worker threads and tests, never for actors. `internal` if called by a
  // job.
  result<void> write(write_job job);
  // Runs `f(read_transaction&)`, which returns a result<T>, in a read transaction. limit_reached: too many readers.
  template <class F>
  auto read(F&& f) const -> std::invoke_result_t<F, const read_transaction&>;

  // Commits what is queued, syncs, joins the writer. Blocks. Idempotent.
  void stop();
  environment_status status() const;
  const std::string& name() const noexcept { return options_.name; }

private:
  friend class read_transaction;
  friend class write_transaction;
  struct queued_job {
    write_job job;
    write_done done;
    std::chrono::steady_clock::time_point queued_at;
  };
  struct attempt_state;
  struct read_guard {
    std::shared_lock<std::shared_mutex> map_lock;
    MDB_txn* transaction = nullptr;
    read_guard() = default;
    read_guard(read_guard&& other) noexcept
        : map_lock(std::move(other.map_lock)), transaction(std::exchange(other.transaction, nullptr)) {}
    ~read_guard();
  };

  explicit environment(environment_options options) : options_(std::move(options)) {}
  result<void> open_environment();
  result<void> open_databases();
  result<read_guard> begin_read() const;
  void run_writer();
  std::vector<queued_job> next_group(std::unique_lock<std::mutex>& lock);
  void commit_group(std::vector<queued_job>& group);
  void attempt(std::vector<attempt_state*>& jobs);
  void attempt_with_growth(std::vector<attempt_state*> jobs);
  void run_job(attempt_state& state, MDB_txn* parent, bool nested);
  int commit(MDB_txn* transaction);
  bool grow_map();
  void housekeeping();
  tl::unexpected<error> describe(int code, std::string_view what) const;
  static tl::unexpected<error> threw(std::string_view what);

  environment_options options_;
  std::string claimed_path_; // entry in the process-wide list of open environments
  MDB_env* env_ = nullptr;
  std::vector<unsigned> databases_;     // LMDB handles, by database_id
  mutable std::shared_mutex map_mutex_; // shared: a read transaction is open; exclusive: the map is being resized

  mutable std::mutex mutex_; // guards what follows
  std::condition_variable wake_;
  std::deque<queued_job> queue_;
  bool stopping_ = false;
  std::optional<error> failed_;
  environment_status counters_; // map_bytes lives in map_bytes_
  std::atomic<std::uint64_t> map_bytes_{0};

  std::chrono::steady_clock::time_point last_sync_{}, last_reader_check_{}; // writer thread only
  bool unsynced_ = false;                                                   // writer thread only
  std::thread writer_;
  std::mutex stop_mutex_;
};

template <class F>
auto environment::read(F&& f) const -> std::invoke_result_t<F, const read_transaction&> {
  auto guard = begin_read();
  if (!guard)
    return tl::unexpected(guard.error());
  const read_transaction transaction(*this, guard->transaction);
  try {
    return std::forward<F>(f)(transaction);
  } catch (const std::exception& e) {
    return threw(e.what());
  }
}

} // namespace gnomon::store
