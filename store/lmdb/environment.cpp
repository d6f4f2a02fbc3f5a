#include "store/lmdb/environment.hpp"

#include <algorithm>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <lmdb.h>

#include "config/log.hpp"
#include "store/lmdb/lmdb_check.hpp"

namespace gnomon::store {

namespace {

constexpr std::uint64_t map_size_floor = 64ull << 20; // below this a refused reservation is an error

// Opening one LMDB file twice in one process breaks its locks, so the process keeps a list.
std::mutex open_paths_mutex;
std::set<std::string>& open_paths() {
  static std::set<std::string> paths;
  return paths;
}

errc code_of(int lmdb_code) {
  switch (lmdb_code) {
  case MDB_MAP_FULL:
    return errc::no_space;
  case MDB_READERS_FULL:
  case MDB_TXN_FULL:
    return errc::limit_reached;
  case MDB_CORRUPTED:
  case MDB_PAGE_NOTFOUND:
  case MDB_INVALID:
    return errc::corrupt;
  case MDB_VERSION_MISMATCH:
    return errc::unsupported;
  case MDB_PANIC:
    return errc::io_failed;
  case MDB_BAD_VALSIZE:
    return errc::invalid_argument;
  case MDB_BAD_TXN:
  case MDB_BAD_DBI:
    return errc::internal;
  default:
    return lmdb_code > 0 ? errc_from_errno(lmdb_code) : errc::internal;
  }
}

std::string printable(std::string_view key) {
  std::string text;
  for (const unsigned char c : key.substr(0, 64))
    text += c > 32 && c < 127 ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
  return key.size() > 64 ? text + "..." : text;
}

MDB_val to_value(bytes_view data) { return {data.size(), const_cast<std::byte*>(data.data())}; }
MDB_val to_value(std::string_view data) { return {data.size(), const_cast<char*>(data.data())}; }
std::string_view key_of(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }
bytes_view value_of(const MDB_val& v) { return {static_cast<const std::byte*>(v.mv_data), v.mv_size}; }

} // namespace

// --- transactions

tl::unexpected<error> read_transaction::describe(int code, std::string_view what, std::string_view key) const {
  if (hard_error_ == 0)
    hard_error_ = code;
  return owner_.describe(code, fmt::format("{} {}", what, printable(key)));
}

result<std::optional<bytes_view>> read_transaction::get(database_id database, std::string_view key) const {
  MDB_val k = to_value(key), v{};
  if (key.empty() || key.size() > key_bytes_max)
    return std::nullopt;
  const int rc = mdb_get(transaction_, owner_.databases_.at(database.value), &k, &v);
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  if (rc != 0)
    return describe(rc, "get", key);
  return value_of(v);
}

result<void> read_transaction::scan(database_id database, std::string_view from, std::string_view prefix,
                                    const scan_visitor& visit) const {
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(transaction_, owner_.databases_.at(database.value), &raw); rc != 0)
    return describe(rc, "scan", from);
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(raw, &mdb_cursor_close);
  MDB_val k = to_value(from), v{};
  int rc = mdb_cursor_get(raw, &k, &v, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (; rc == 0; rc = mdb_cursor_get(raw, &k, &v, MDB_NEXT)) {
    if (!key_of(k).starts_with(prefix))
      return {};
    if (visit(key_of(k), value_of(v)) == scan_step::stop)
      return {};
  }
  if (rc != MDB_NOTFOUND)
    return describe(rc, "scan", from);
  return {};
}

result<std::uint64_t> read_transaction::count(database_id database) const {
  MDB_stat stat{};
  if (const int rc = mdb_stat(transaction_, owner_.databases_.at(database.value), &stat); rc != 0)
    return describe(rc, "stat", "");
  return stat.ms_entries;
}

result<std::uint64_t> read_transaction::bytes_used(database_id database) const {
  MDB_stat stat{};
  if (const int rc = mdb_stat(transaction_, owner_.databases_.at(database.value), &stat); rc != 0)
    return describe(rc, "stat", "");
  return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
}

result<void> write_transaction::put(database_id database, std::string_view key, bytes_view value) {
  if (key.empty() || key.size() > key_bytes_max)
    return fail(errc::invalid_argument, fmt::format("{}: put: a key has 1 to {} bytes, this one {}", owner_.name(),
                                                    key_bytes_max, key.size()));
  MDB_val k = to_value(key), v = to_value(value);
  if (const int rc = mdb_put(transaction_, owner_.databases_.at(database.value), &k, &v, 0); rc != 0)
    return describe(rc, "put", key);
  return {};
}

result<bool> write_transaction::erase(database_id database, std::string_view key) {
  if (key.empty() || key.size() > key_bytes_max)
    return false;
  MDB_val k = to_value(key);
  const int rc = mdb_del(transaction_, owner_.databases_.at(database.value), &k, nullptr);
  if (rc == MDB_NOTFOUND)
    return false;
  if (rc != 0)
    return describe(rc, "erase", key);
  return true;
}

// --- opening

environment::read_guard::~read_guard() {
  if (transaction)
    mdb_txn_abort(transaction);
}

tl::unexpected<error> environment::describe(int code, std::string_view what) const {
  if (code == MDB_MAP_FULL)
    return fail(errc::no_space,
                fmt::format("{}: {}: the map of {} MiB is full (environment {}); nothing was changed, reads go on",
                            options_.name, what, map_bytes_.load() >> 20, options_.directory));
  return fail(code_of(code), fmt::format("{}: {}: {}", options_.name, what, mdb_strerror(code)), code > 0 ? code : 0);
}

tl::unexpected<error> environment::threw(std::string_view what) {
  return fail(errc::internal, fmt::format("exception: {}", what));
}

result<std::unique_ptr<environment>> environment::open(environment_options options) {
  if (options.databases.empty() || options.databases.size() > databases_max)
    return fail(errc::invalid_argument,
                fmt::format("{}: 1 to {} databases, not {}", options.name, databases_max, options.databases.size()));
  try {
    auto env = std::unique_ptr<environment>(new environment(std::move(options)));
    if (auto ok = env->open_environment(); !ok)
      return tl::unexpected(ok.error());
    env->writer_ = std::thread([raw = env.get()] { raw->run_writer(); });
    return env;
  } catch (const std::exception& e) {
    return threw(e.what());
  }
}

result<void> environment::open_environment() {
  if (auto ok = make_directory(options_.directory); !ok)
    return ok;
  const std::string data_path = options_.directory + "/data.mdb";
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(options_.directory.c_str(), nullptr), &std::free);
  if (!real)
    return fail_errno(options_.directory + ": realpath");
  {
    std::lock_guard lock(open_paths_mutex);
    if (!open_paths().insert(real.get()).second)
      return fail(errc::busy, fmt::format("{}: {} is open in this process already", options_.name, real.get()));
    claimed_path_ = real.get();
  }
  auto summary = check_lmdb_file(data_path);
  if (!summary)
    return fail(summary.error().code, options_.name + ": " + summary.error().message, summary.error().os_errno);
  if (::access(options_.directory.c_str(), R_OK | W_OK | X_OK) != 0)
    return fail_errno(options_.name + ": " + options_.directory);
  if (path_exists(data_path) && ::access(data_path.c_str(), R_OK | W_OK) != 0)
    return fail_errno(options_.name + ": " + data_path);

  unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
  if (options_.durable == durability::relaxed)
    flags |= MDB_NOMETASYNC;
  // Where the address space is limited (containers, valgrind) take what can be had, down to a floor.
  std::uint64_t map_bytes = std::max(options_.map_size.value, std::uint64_t{1} << 20);
  int rc = 0;
  for (;; map_bytes /= 2) {
    if ((rc = mdb_env_create(&env_)) != 0)
      return describe(rc, "create");
    mdb_env_set_maxdbs(env_, databases_max);
    mdb_env_set_maxreaders(env_, readers_max);
    if ((rc = mdb_env_set_mapsize(env_, map_bytes)) == 0)
      rc = mdb_env_open(env_, options_.directory.c_str(), flags, 0640);
    if (rc == 0)
      break;
    mdb_env_close(env_);
    env_ = nullptr;
    if (rc != ENOMEM || map_bytes / 2 < map_size_floor)
      return describe(rc, "open " + options_.directory);
  }
  if (map_bytes < options_.map_size.value)
    log::warning("{}: only {} MiB of address space could be reserved", options_.name, map_bytes >> 20);
  // A page past the end of the file is one that was allocated and freed without being written; after a cut file it
  // would be a SIGBUS. The walk above proved that no page in use is missing, so zeros are right.
  const auto needed = summary->pages_used * summary->page_bytes;
  if (needed > summary->file_bytes && ::truncate(data_path.c_str(), static_cast<off_t>(needed)) != 0)
    return fail_errno(data_path + ": extend");
  int dead = 0;
  mdb_reader_check(env_, &dead);
  if (dead > 0)
    log::info("{}: freed {} reader slots of dead processes", options_.name, dead);
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  map_bytes_ = info.me_mapsize;
  last_sync_ = last_reader_check_ = std::chrono::steady_clock::now();
  return open_databases();
}

result<void> environment::open_databases() {
  MDB_txn* transaction = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, 0, &transaction); rc != 0)
    return describe(rc, "begin");
  for (const auto& name : options_.databases) {
    MDB_dbi handle = 0;
    if (const int rc = mdb_dbi_open(transaction, name.c_str(), MDB_CREATE, &handle); rc != 0) {
      mdb_txn_abort(transaction);
      return describe(rc, "open database " + name);
    }
    databases_.push_back(handle);
  }
  if (const int rc = mdb_txn_commit(transaction); rc != 0)
    return describe(rc, "create databases");
  return {};
}

environment::~environment() {
  stop();
  if (env_)
    mdb_env_close(env_);
  std::lock_guard lock(open_paths_mutex);
  if (!claimed_path_.empty())
    open_paths().erase(claimed_path_);
}

result<environment::read_guard> environment::begin_read() const {
  read_guard guard;
  guard.map_lock = std::shared_lock(map_mutex_);
  if (const int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &guard.transaction); rc != 0) {
    guard.transaction = nullptr;
    return describe(rc, "begin read");
  }
  return guard;
}

environment_status environment::status() const {
  std::lock_guard lock(mutex_);
  auto status = counters_;
  status.map_bytes = map_bytes_;
  status.queued_jobs = queue_.size();
  status.failed = failed_.has_value();
  struct stat info {};
  if (::stat((options_.directory + "/data.mdb").c_str(), &info) == 0)
    status.file_bytes = static_cast<std::uint64_t>(info.st_size);
  return status;
}

} // namespace gnomon::store
