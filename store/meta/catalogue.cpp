#include "store/meta/catalogue.hpp"

#include <algorithm>

#include <sys/statvfs.h>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/files/file_system.hpp"

namespace gnomon::store {

namespace {

constexpr std::size_t sync_singly_max = 8;   // more files at once are synced with one syncfs
constexpr std::size_t purge_batch_max = 256; // records erased by one commit

result<void> check_name(const volume_name& name) {
  const auto& text = name.value;
  const bool printable = std::all_of(text.begin(), text.end(),
                                     [](unsigned char c) { return c > 32 && c != 127 && c != '/' && c != '@'; });
  if (text.empty() || text.size() > volume_name_length_max || !printable)
    return fail(errc::invalid_argument, fmt::format("volume name \"{}\": 1 to {} characters without spaces, '/', '@'",
                                                    text.substr(0, volume_name_length_max), volume_name_length_max));
  return {};
}

result<void> check_size(byte_count size) {
  if (size.value == 0 || size.value > volume_bytes_max || size.value % block_bytes != 0)
    return fail(errc::invalid_argument,
                fmt::format("volume size {}: a multiple of {} up to {}", size.value, block_bytes, volume_bytes_max));
  return {};
}

tl::unexpected<error> no_such(volume_uuid uuid) { return fail(errc::not_found, "no volume " + uuid.to_string()); }

// Takes the size of an external file or device, or checks that it holds the size that was asked for.
result<void> take_size(const std::string& path, const backing& found, byte_count wanted, volume_record& record) {
  record.size = wanted.value == 0 ? found.size : wanted;
  if (record.size > found.size)
    return fail(errc::invalid_argument,
                fmt::format("{}: holds {} bytes, {} were asked for", path, found.size.value, wanted.value));
  return check_size(record.size);
}

} // namespace

environment_options meta_environment_options(std::string directory) {
  environment_options options;
  options.name = "meta";
  options.directory = std::move(directory);
  options.databases = meta_database_names();
  return options;
}

catalogue::catalogue(catalogue_options options)
    : options_(std::move(options)), files_(options_.volumes_path, options_.trash_path) {}

void catalogue::stop() {
  stopping_ = true;
  if (worker_)
    worker_->stop();
  if (trash_worker_)
    trash_worker_->stop();
}

// --- reads

std::optional<volume_record> catalogue::find(volume_uuid uuid) const {
  std::shared_lock lock(mutex_);
  const auto found = by_uuid_.find(uuid);
  if (found == by_uuid_.end() || found->second.deleted_at)
    return std::nullopt;
  return found->second;
}

std::optional<volume_record> catalogue::find_any(volume_uuid uuid) const {
  std::shared_lock lock(mutex_);
  const auto found = by_uuid_.find(uuid);
  return found == by_uuid_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<volume_record> catalogue::find(const volume_name& name) const {
  std::shared_lock lock(mutex_);
  const auto found = by_name_.find(name.value);
  if (found == by_name_.end())
    return std::nullopt;
  return by_uuid_.at(found->second);
}

std::vector<volume_record> catalogue::list() const {
  std::shared_lock lock(mutex_);
  std::vector<volume_record> records;
  records.reserve(by_name_.size());
  for (const auto& [name, uuid] : by_name_)
    records.push_back(by_uuid_.at(uuid));
  return records;
}

std::vector<volume_record> catalogue::list_deleted() const {
  std::vector<volume_record> records;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [uuid, record] : by_uuid_)
      if (record.deleted_at)
        records.push_back(record);
  }
  std::sort(records.begin(), records.end(),
            [](auto& a, auto& b) { return std::tie(*b.deleted_at, a.uuid) < std::tie(*a.deleted_at, b.uuid); });
  return records;
}

// --- the steps of a change

void catalogue::put_in_index(const volume_record& record) {
  if (const auto old = by_uuid_.find(record.uuid); old != by_uuid_.end() && !old->second.deleted_at)
    by_name_.erase(old->second.name.value);
  by_uuid_[record.uuid] = record;
  if (!record.deleted_at)
    by_name_[record.name.value] = record.uuid;
}

// Record first, then index, then descriptor. A mark in `unwritten` is committed with the record and erased with a
// later commit, so that a descriptor which a crash kept from being written is written at the next start.
result<void> catalogue::commit(std::vector<volume_record> records, descriptor with) {
  auto written = std::exchange(descriptors_written_, {});
  auto committed = options_.meta->write([&](write_transaction& t) -> result<void> {
    for (const auto uuid : written)
      if (auto ok = t.erase(meta_database::unwritten, volume_key(uuid)); !ok)
        return tl::unexpected(ok.error());
    for (const auto& record : records) {
      if (auto ok = t.put(meta_database::volumes, volume_key(record.uuid), encode(record)); !ok)
        return ok;
      if (with == descriptor::leave)
        continue;
      if (auto ok = t.put(meta_database::unwritten, volume_key(record.uuid), {}); !ok)
        return ok;
    }
    return {};
  });
  if (!committed) {
    descriptors_written_ = std::move(written);
    return committed;
  }
  {
    std::unique_lock lock(mutex_);
    for (const auto& record : records)
      put_in_index(record);
  }
  if (with == descriptor::leave)
    return {};
  for (const auto& record : records) {
    // The change is done and durable; a descriptor that cannot be written now is written at the next start.
    if (auto ok = files_.write_descriptor(record); ok)
      descriptors_written_.insert(record.uuid);
    else
      log::warning("volume {}: its descriptor is out of date: {}", record.name.value, ok.error().to_string());
  }
  return {};
}

result<volume_record> catalogue::change(volume_uuid uuid, descriptor with, const mutation& mutate) {
  return change(find(uuid), uuid, with, mutate);
}

result<volume_record> catalogue::change(std::optional<volume_record> record, volume_uuid uuid, descriptor with,
                                        const mutation& mutate) {
  if (!record)
    return no_such(uuid);
  if (auto ok = mutate(*record); !ok)
    return tl::unexpected(ok.error());
  ++record->revision;
  if (auto ok = commit({*record}, with); !ok)
    return tl::unexpected(ok.error());
  return *record;
}

result<void> catalogue::check_free(const volume_name& name) const {
  if (auto ok = check_name(name); !ok)
    return ok;
  if (find(name))
    return fail(errc::already_exists, fmt::format("volume {}: the name is taken", name.value));
  return {};
}

// --- creation

std::map<catalogue::backing_identity, volume_name> catalogue::backings_in_use() const {
  std::map<backing_identity, volume_name> used;
  for (const auto& record : list()) {
    if (!record.external_path)
      continue;
    if (auto found = inspect_backing(*record.external_path))
      used[{found->device, found->inode}] = record.name;
  }
  return used;
}

result<volume_record> catalogue::prepare(const volume_request& request) const {
  if (auto ok = check_free(request.name); !ok)
    return tl::unexpected(ok.error());
  if (request.description.size() > description_length_max)
    return fail(errc::invalid_argument, fmt::format("volume {}: a description of more than {} bytes",
                                                    request.name.value, description_length_max));
  if (!request.external_path)
    if (auto ok = check_size(request.size); !ok)
      return tl::unexpected(ok.error());
  volume_record record;
  record.uuid = volume_uuid::random();
  record.name = request.name;
  record.description = request.description;
  record.size = request.size;
  record.external_path = request.external_path;
  record.cache = request.cache;
  record.read_only = request.read_only;
  record.shared = request.shared;
  record.origin = request.origin;
  record.source = request.source;
  record.created = options_.clock->wall_now();
  return record;
}

result<std::vector<volume_record>> catalogue::do_create(const std::vector<volume_request>& requests) {
  if (requests.size() > create_batch_max)
    return fail(errc::limit_reached,
                fmt::format("{} volumes at once, at most {}", requests.size(), create_batch_max));
  {
    std::shared_lock lock(mutex_);
    if (by_uuid_.size() + requests.size() > volumes_max)
      return fail(errc::limit_reached,
                  fmt::format("a node holds at most {} volumes, deleted ones included", volumes_max));
  }
  const bool any_external =
      std::any_of(requests.begin(), requests.end(), [](auto& r) { return r.external_path.has_value(); });
  auto backings = any_external ? backings_in_use() : std::map<backing_identity, volume_name>{};
  std::vector<volume_record> records;
  std::set<std::string> names;
  for (const auto& request : requests) {
    auto record = prepare(request);
    if (!record)
      return tl::unexpected(record.error());
    if (!names.insert(request.name.value).second)
      return fail(errc::already_exists, fmt::format("volume {}: named twice", request.name.value));
    if (request.external_path) {
      const auto& path = *request.external_path;
      if (path.size() > path_length_max || !path.starts_with('/'))
        return fail(errc::invalid_argument,
                    fmt::format("volume {}: \"{}\" is no absolute path", request.name.value, path));
      auto found = inspect_backing(path);
      if (!found)
        return tl::unexpected(found.error());
      if (const auto [other, is_free] = backings.emplace(backing_identity{found->device, found->inode}, request.name);
          !is_free)
        return fail(errc::already_exists, fmt::format("{}: holds volume {} already", path, other->second.value));
      if (auto ok = take_size(path, *found, request.size, *record); !ok)
        return tl::unexpected(ok.error());
    }
    records.push_back(std::move(*record));
  }
  const auto sync = records.size() > sync_singly_max ? sync_mode::later : sync_mode::now;
  result<void> outcome;
  std::size_t made = 0;
  for (; outcome && made < records.size(); ++made)
    outcome = files_.create(records[made], sync);
  if (outcome)
    outcome = files_.sync_all(sync);
  if (outcome)
    outcome = commit(records, descriptor::leave); // the descriptors are there already
  if (outcome) {
    for (const auto& record : records)
      if (auto named = files_.finish_creation(record.uuid); !named)
        log::warning("volume {}: {}", record.name.value, named.error().to_string()); // the next start writes it
    return records;
  }
  // After a failed sync nobody knows whether the records are durable: the next start sorts that out.
  if (outcome.error().code != errc::io_failed)
    for (std::size_t i = 0; i < made; ++i)
      files_.remove_now(records[i].uuid);
  return tl::unexpected(outcome.error());
}

// --- other changes

result<volume_record> catalogue::do_resize(volume_uuid uuid, byte_count size) {
  std::optional<std::uint64_t> length_before; // of a file that was extended
  std::string path;
  auto resized = change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
    if (auto ok = check_size(size); !ok)
      return ok;
    if (size < record.size)
      return fail(errc::invalid_argument, fmt::format("volume {}: has {} bytes and cannot shrink to {}",
                                                      record.name.value, record.size.value, size.value));
    path = data_path(record);
    auto found = inspect_backing(path);
    if (!found)
      return tl::unexpected(found.error());
    if (found->bytes < record.size.value)
      return fail(errc::corrupt, fmt::format("volume {}: damaged, its file has {} of {} bytes", record.name.value,
                                             found->bytes, record.size.value));
    if (found->is_block_device && found->size < size)
      return fail(errc::invalid_argument,
                  fmt::format("{}: the device has {} bytes, {} were asked for", path, found->size.value, size.value));
    record.size = size;
    if (found->is_block_device || found->bytes >= size.value)
      return {};
    length_before = found->bytes;
    return files_.grow(path, size);
  });
  // What is refused has changed nothing. After a failed sync nobody knows which record is the durable one: the longer
  // file fits both.
  if (!resized && length_before && resized.error().code != errc::io_failed)
    if (auto cut = files_.cut(path, *length_before); !cut)
      log::warning("{}", cut.error().to_string());
  return resized;
}

result<volume_record> catalogue::do_undelete(volume_uuid uuid, const std::optional<volume_name>& name) {
  std::optional<volume_record> record;
  {
    std::shared_lock lock(mutex_);
    if (const auto found = by_uuid_.find(uuid); found != by_uuid_.end() && found->second.deleted_at)
      record = found->second;
  }
  if (!record)
    return fail(errc::not_found, "no deleted volume " + uuid.to_string());
  if (name)
    record->name = *name;
  if (auto ok = check_free(record->name); !ok)
    return tl::unexpected(ok.error());
  record->deleted_at.reset();
  ++record->revision;
  if (auto ok = commit({*record}, descriptor::rewrite); !ok)
    return tl::unexpected(ok.error());
  return *record;
}

// The records go first: what a crash leaves of the files is an orphan for the next start.
result<void> catalogue::forget(const std::vector<volume_record>& records) {
  auto erased = options_.meta->write([&](write_transaction& t) -> result<void> {
    for (const auto& record : records)
      for (auto database : {meta_database::volumes, meta_database::unwritten})
        if (auto ok = t.erase(database, volume_key(record.uuid)); !ok)
          return tl::unexpected(ok.error());
    return {};
  });
  if (!erased)
    return erased;
  {
    std::unique_lock lock(mutex_);
    for (const auto& record : records) {
      by_uuid_.erase(record.uuid);
      failures_unrecorded_.erase(record.uuid);
    }
  }
  for (const auto& record : records) {
    descriptors_written_.erase(record.uuid);
    if (options_.marks)
      options_.marks->remove(record.uuid);
    const auto where = files_.condemn(record.uuid);
    if (!where) {
      log::warning("volume {}: {}", record.name.value, where.error().to_string());
      continue;
    }
    // What finds no place in the queue goes with the next purge.
    (void)trash_worker_->submit([this, path = *where] {
      if (!stopping_)
        volume_files::remove_trash(path);
    });
  }
  return {};
}

opening_evidence catalogue::evidence_of(const volume_record& record) const {
  opening_evidence now;
  now.boot_id = options_.boot_id;
  // A file that cannot be found is not opened either.
  now.file_system = file_system_instance(data_path(record)).value_or("");
  now.marks_token = options_.marks ? options_.marks->token() : 0;
  return now;
}

std::vector<std::string> catalogue::do_probe() const {
  std::vector<std::string> problems;
  const auto& path = options_.volumes_path;
  struct statvfs about {};
  if (::statvfs(path.c_str(), &about) != 0)
    problems.push_back(fail_errno(path + ": statvfs").value().to_string());
  else if (about.f_flag & ST_RDONLY)
    problems.push_back(fmt::format("{}: the file system is read-only: nothing can be changed or recorded; look into the "
                                   "kernel's log, check the disk, mount it for writing and start the node again",
                                   path));
  else if (about.f_bavail * about.f_frsize < meta_free_bytes_low)
    problems.push_back(fmt::format("{}: {} KiB of free space are left: free some", path,
                                   about.f_bavail * about.f_frsize >> 10));
  if (options_.meta->status().failed)
    problems.push_back("the catalogue in meta/ cannot be written since a failed sync: check the disk, then start the "
                       "node again");
  return problems;
}

result<volume_record> catalogue::do_purge(volume_uuid uuid) {
  const auto deleted = list_deleted();
  const auto found = std::find_if(deleted.begin(), deleted.end(), [&](auto& record) { return record.uuid == uuid; });
  if (found == deleted.end())
    return fail(errc::not_found, "no deleted volume " + uuid.to_string());
  if (auto ok = forget({*found}); !ok)
    return tl::unexpected(ok.error());
  return *found;
}

wall_time catalogue::expired_before() const {
  const auto& clock = options_.ages != nullptr ? *options_.ages : *options_.clock;
  return clock.wall_now() - std::chrono::seconds(undelete_for_s_.load());
}

result<std::size_t> catalogue::do_purge_expired() {
  const auto before = expired_before();
  auto expired = list_deleted();
  std::erase_if(expired, [&](auto& record) { return *record.deleted_at > before; });
  for (std::size_t from = 0; from < expired.size(); from += purge_batch_max) {
    const auto to = std::min(from + purge_batch_max, expired.size());
    if (auto ok = forget(
            {expired.begin() + static_cast<std::ptrdiff_t>(from), expired.begin() + static_cast<std::ptrdiff_t>(to)});
        !ok)
      return tl::unexpected(ok.error());
  }
  return expired.size();
}

} // namespace gnomon::store
