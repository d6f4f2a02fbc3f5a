// The writer thread of an environment: queue, groups, retries, map growth, periodic syncs.
#include <algorithm>
#include <cassert>
#include <future>

#include <pthread.h>
#include <sys/statvfs.h>

#include <fmt/format.h>
#include <lmdb.h>

#include "config/log.hpp"
#include "store/lmdb/environment.hpp"

namespace gnomon::store {

namespace {

constexpr std::uint64_t free_bytes_suspicious = 16ull << 20; // LMDB reports a short write on a full disk as EIO

thread_local const environment* writing_for = nullptr; // the environment whose writer this thread is

} // namespace

struct environment::attempt_state {
  queued_job* queued;
  result<void> outcome;
  int hard_error = 0; // LMDB error that made the job's transaction unusable
};

result<void> environment::submit(write_job job, write_done done) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_)
      return fail(errc::shutting_down, options_.name + ": the environment is closing");
    if (failed_)
      return tl::unexpected(*failed_);
    if (queue_.size() >= options_.queued_jobs_max)
      return fail(errc::limit_reached, fmt::format("{}: {} write jobs are waiting", options_.name, queue_.size()));
    queue_.push_back({std::move(job), std::move(done), std::chrono::steady_clock::now()});
  }
  wake_.notify_one();
  return {};
}

result<void> environment::write(write_job job) {
  if (writing_for == this)
    return fail(errc::internal, options_.name + ": a write job waits for another");
  std::promise<result<void>> promise;
  auto outcome = promise.get_future();
  if (auto ok = submit(std::move(job), [&promise](result<void> r) { promise.set_value(std::move(r)); }); !ok)
    return ok;
  return outcome.get();
}

void environment::stop() {
  std::lock_guard once(stop_mutex_);
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (!writer_.joinable())
    return;
  assert(writing_for != this);
  writer_.join();
}

void environment::run_writer() {
  pthread_setname_np(pthread_self(), fmt::format("lmdb-{}", options_.name).substr(0, 15).c_str());
  writing_for = this;
  for (;;) {
    std::unique_lock lock(mutex_);
    auto group = next_group(lock);
    const bool last = group.empty() && stopping_ && queue_.empty();
    lock.unlock();
    if (!group.empty())
      commit_group(group);
    if (last)
      break;
    housekeeping();
  }
  if (unsynced_ && mdb_env_sync(env_, 1) != 0)
    log::error("{}: the last sync failed", options_.name);
}

// Waits for work, company for it, or the next housekeeping; then takes at most a group.
std::vector<environment::queued_job> environment::next_group(std::unique_lock<std::mutex>& lock) {
  const auto idle_for = options_.durable == durability::relaxed ? options_.sync_every : options_.reader_check_every;
  wake_.wait_for(lock, idle_for, [&] { return stopping_ || !queue_.empty(); });
  if (!queue_.empty() && options_.commit_delay.count() > 0)
    wake_.wait_until(lock, queue_.front().queued_at + options_.commit_delay,
                     [&] { return stopping_ || queue_.size() >= options_.group_jobs_max; });
  const auto count = std::min(queue_.size(), options_.group_jobs_max);
  std::vector<queued_job> group;
  group.reserve(count);
  std::move(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(group));
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
  return group;
}

void environment::commit_group(std::vector<queued_job>& group) {
  std::vector<attempt_state> states;
  std::vector<attempt_state*> all;
  states.reserve(group.size());
  for (auto& queued : group)
    all.push_back(&states.emplace_back(attempt_state{&queued, {}}));
  try {
    attempt_with_growth(all);
    // What failed for lack of room together may fit, or fail, each by itself.
    if (all.size() > 1)
      for (auto* state : all)
        if (!state->outcome && state->hard_error != 0)
          attempt_with_growth({state});
  } catch (const std::exception& e) {
    for (auto* state : all)
      state->outcome = threw(e.what());
  }
  {
    std::lock_guard lock(mutex_);
    counters_.jobs_done += all.size();
    counters_.jobs_failed +=
        static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), [](auto* s) { return !s->outcome; }));
  }
  for (auto* state : all) {
    try {
      if (state->queued->done)
        state->queued->done(std::move(state->outcome));
    } catch (const std::exception& e) {
      log::error("{}: a callback threw: {}", options_.name, e.what());
    }
  }
}

// Runs the jobs; those that met a full map run again in a larger one, as long as it may grow.
void environment::attempt_with_growth(std::vector<attempt_state*> jobs) {
  while (!jobs.empty()) {
    attempt(jobs);
    std::erase_if(jobs, [](auto* state) { return state->hard_error != MDB_MAP_FULL; });
    if (jobs.empty() || !grow_map())
      return;
  }
}

// One transaction; several jobs each in a nested one, so that a failing job undoes only itself.
void environment::attempt(std::vector<attempt_state*>& jobs) {
  for (auto* state : jobs)
    *state = {state->queued, {}, 0};
  auto fail_all = [&](int rc, std::string_view what) {
    for (auto* state : jobs) {
      if (!state->outcome)
        continue; // keeps its own error
      state->outcome = describe(rc, what);
      state->hard_error = rc;
    }
  };
  {
    std::lock_guard lock(mutex_);
    if (failed_) {
      for (auto* state : jobs)
        state->outcome = tl::unexpected(*failed_);
      return;
    }
  }
  MDB_txn* transaction = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, 0, &transaction); rc != 0)
    return fail_all(rc, "begin write");
  const bool nested = jobs.size() > 1;
  for (auto* state : jobs)
    run_job(*state, transaction, nested);
  const bool any = std::any_of(jobs.begin(), jobs.end(), [](auto* state) { return state->outcome.has_value(); });
  if (!any)
    return mdb_txn_abort(transaction);
  if (const int rc = commit(transaction); rc != 0)
    fail_all(rc, "commit");
}

void environment::run_job(attempt_state& state, MDB_txn* parent, bool nested) {
  MDB_txn* mine = parent;
  if (nested)
    if (const int rc = mdb_txn_begin(env_, parent, 0, &mine); rc != 0) {
      state.outcome = describe(rc, "begin nested write");
      state.hard_error = rc;
      return;
    }
  write_transaction transaction(*this, mine);
  try {
    state.outcome = state.queued->job(transaction);
  } catch (const std::exception& e) {
    state.outcome = threw(e.what());
  }
  // After such an error LMDB refuses the transaction, even if the job did not look at it.
  if (transaction.hard_error_ != 0) {
    state.hard_error = transaction.hard_error_;
    if (state.outcome)
      state.outcome = describe(state.hard_error, "write");
  }
  if (!nested)
    return;
  if (!state.outcome)
    return mdb_txn_abort(mine);
  if (const int rc = mdb_txn_commit(mine); rc != 0) {
    state.outcome = describe(rc, "commit nested");
    state.hard_error = rc;
  }
}

// 0, or an LMDB code or errno. A failed sync or a failed meta page ends writing until the environment is opened
// again: what the kernel still has of those pages is unknown, and building on it could acknowledge what is lost.
int environment::commit(MDB_txn* transaction) {
  int rc = mdb_txn_commit(transaction);
  if (rc == 0) {
    unsynced_ = options_.durable == durability::relaxed;
    std::lock_guard lock(mutex_);
    ++counters_.commits;
    return 0;
  }
  struct statvfs disk {};
  if (rc == EIO && ::statvfs(options_.directory.c_str(), &disk) == 0 &&
      disk.f_bavail * disk.f_frsize < free_bytes_suspicious)
    rc = ENOSPC;
  if (rc == EIO || rc == MDB_PANIC) {
    std::lock_guard lock(mutex_);
    failed_ = describe(rc, "commit failed, writes are refused until the next start").value();
    log::error("{}", failed_->to_string());
  }
  return rc;
}

bool environment::grow_map() {
  const auto now = map_bytes_.load(); // only this thread writes it
  const auto larger = std::min(now * 2, options_.map_size_max.value);
  if (larger <= now)
    return false;
  std::unique_lock no_readers(map_mutex_);
  if (const int rc = mdb_env_set_mapsize(env_, larger); rc != 0) {
    log::error("{}: the map cannot grow to {} MiB: {}", options_.name, larger >> 20, mdb_strerror(rc));
    return false;
  }
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  map_bytes_ = info.me_mapsize;
  log::warning("{}: the map was full and now has {} MiB", options_.name, info.me_mapsize >> 20);
  std::lock_guard lock(mutex_);
  ++counters_.map_growths;
  return info.me_mapsize > now;
}

void environment::housekeeping() {
  const auto now = std::chrono::steady_clock::now();
  if (unsynced_ && now - last_sync_ >= options_.sync_every) {
    if (const int rc = mdb_env_sync(env_, 1); rc != 0)
      log::error("{}: sync: {}", options_.name, mdb_strerror(rc));
    unsynced_ = false;
    last_sync_ = now;
  }
  if (now - last_reader_check_ < options_.reader_check_every)
    return;
  int dead = 0;
  mdb_reader_check(env_, &dead);
  if (dead > 0)
    log::info("{}: freed {} reader slots of dead processes", options_.name, dead);
  last_reader_check_ = now;
}

} // namespace gnomon::store
