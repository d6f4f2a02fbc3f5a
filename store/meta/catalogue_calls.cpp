// The catalogue's calls: every change as a task of its worker, and its waiting form.
#include <future>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::store {

template <class T>
void catalogue::enqueue(std::function<result<T>()> work, std::function<void(result<T>)> finished) {
  auto task = [work = std::move(work), finished] {
    result<T> outcome = fail(errc::internal, "catalogue: unfinished");
    try {
      outcome = work();
    } catch (const std::exception& e) {
      outcome = fail(errc::internal, fmt::format("catalogue: exception: {}", e.what()));
    }
    if (finished)
      finished(std::move(outcome));
  };
  if (auto queued = worker_->submit(std::move(task)); !queued && finished)
    finished(tl::unexpected(queued.error()));
}

template <class T>
result<T> catalogue::wait(const std::function<void(std::function<void(result<T>)>)>& start) {
  if (worker_->is_current_thread())
    return fail(errc::internal, "catalogue: a callback waits for a change");
  std::promise<result<T>> promise;
  auto outcome = promise.get_future();
  start([&promise](result<T> r) { promise.set_value(std::move(r)); });
  return outcome.get();
}

void catalogue::create(std::vector<volume_request> requests, done_many finished) {
  enqueue<std::vector<volume_record>>([this, requests = std::move(requests)] { return do_create(requests); },
                                      std::move(finished));
}

void catalogue::rename(volume_uuid uuid, volume_name name, done finished) {
  enqueue<volume_record>(
      [=, this] {
        return change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          if (record.name == name)
            return {};
          if (auto ok = check_free(name); !ok)
            return ok;
          record.name = name;
          return {};
        });
      },
      std::move(finished));
}

void catalogue::resize(volume_uuid uuid, byte_count size, done finished) {
  enqueue<volume_record>([=, this] { return do_resize(uuid, size); }, std::move(finished));
}

void catalogue::update(volume_uuid uuid, volume_changes changes, done finished) {
  enqueue<volume_record>(
      [=, this] {
        return change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          if (changes.description && changes.description->size() > description_length_max)
            return fail(errc::invalid_argument, fmt::format("volume {}: a description of more than {} bytes",
                                                            record.name.value, description_length_max));
          record.description = changes.description.value_or(record.description);
          record.cache = changes.cache.value_or(record.cache);
          record.read_only = changes.read_only.value_or(record.read_only);
          record.shared = changes.shared.value_or(record.shared);
          record.origin = changes.origin.value_or(record.origin);
          return {};
        });
      },
      std::move(finished));
}

void catalogue::remove(volume_uuid uuid, done finished) {
  enqueue<volume_record>(
      [=, this] {
        return change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          record.deleted_at = options_.clock->wall_now();
          return {};
        });
      },
      std::move(finished));
}

void catalogue::undelete(volume_uuid uuid, std::optional<volume_name> name, done finished) {
  enqueue<volume_record>([=, this] { return do_undelete(uuid, name); }, std::move(finished));
}

// The records on the catalogue's thread, then old trash on the other one, which answers.
void catalogue::purge_expired(done_count finished) {
  enqueue<std::size_t>([this] { return do_purge_expired(); },
                       [this, finished = std::move(finished)](result<std::size_t> purged) {
                         if (!purged)
                           return finished(std::move(purged));
                         const auto before = expired_before();
                         const auto queued = trash_worker_->submit([this, finished, purged, before] {
                           const auto emptied = files_.empty_trash(before);
                           finished(emptied ? purged : tl::unexpected(emptied.error()));
                         });
                         if (!queued)
                           finished(tl::unexpected(queued.error()));
                       });
}

void catalogue::purge(volume_uuid uuid, done finished) {
  enqueue<volume_record>([=, this] { return do_purge(uuid); }, std::move(finished));
}

void catalogue::mark_write_failure(volume_uuid uuid, int os_errno, done finished) {
  // At once, and whatever becomes of the commit: for the disk that refuses that too.
  if (options_.marks)
    if (auto noted = options_.marks->add(uuid, os_errno); !noted)
      log::error("volume {}: its failed sync cannot be noted in memory: {}", uuid.to_string(),
                 noted.error().to_string());
  {
    std::lock_guard lock(mutex_);
    failures_unrecorded_.insert(uuid);
  }
  enqueue<volume_record>(
      [=, this] { // deleted ones too: they can come back
        auto found = find_any(uuid);
        if (found && found->failure) { // the first one counts
          failure_is_recorded(uuid);
          return result<volume_record>(std::move(*found));
        }
        auto marked = change(std::move(found), uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          record.failure = write_failure{os_errno, options_.clock->wall_now()};
          return {};
        });
        if (marked)
          failure_is_recorded(uuid);
        return marked;
      },
      std::move(finished));
}

bool catalogue::failure_noted(volume_uuid uuid) const {
  std::shared_lock lock(mutex_);
  const auto found = by_uuid_.find(uuid);
  return failures_unrecorded_.contains(uuid) || (found != by_uuid_.end() && found->second.failure);
}

void catalogue::failure_is_recorded(volume_uuid uuid) {
  std::lock_guard lock(mutex_);
  failures_unrecorded_.erase(uuid);
}

void catalogue::clear_source(volume_uuid uuid, done finished) {
  enqueue<volume_record>(
      [=, this] {
        return change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          record.source.reset();
          return {};
        });
      },
      std::move(finished));
}

result<volume_record> catalogue::clear_source(volume_uuid uuid) {
  return wait<volume_record>([&](done f) { clear_source(uuid, std::move(f)); });
}

void catalogue::clear_write_failure(volume_uuid uuid, done finished) {
  enqueue<volume_record>(
      [=, this] {
        auto cleared = change(uuid, descriptor::rewrite, [&](volume_record& record) -> result<void> {
          record.failure.reset();
          record.doubt.reset();
          return {};
        });
        if (cleared)
          failure_is_recorded(uuid); // as is that it is over
        if (cleared && options_.marks)
          options_.marks->remove(uuid);
        return cleared;
      },
      std::move(finished));
}

void catalogue::accept_loss(volume_uuid uuid, done finished) {
  enqueue<volume_record>(
      [=, this]() -> result<volume_record> {
        auto record = find(uuid);
        if (!record)
          return fail(errc::not_found, "no volume " + uuid.to_string());
        if (auto ok = files_.replace_lost_end(*record); !ok)
          return tl::unexpected(ok.error());
        log::warning("volume {}: the loss of its file's end is accepted; it reads as zeros", record->name.value);
        return *record;
      },
      std::move(finished));
}

void catalogue::probe(std::function<void(std::vector<std::string>)> finished) {
  enqueue<std::vector<std::string>>([this]() -> result<std::vector<std::string>> { return do_probe(); },
                                    [finished = std::move(finished)](result<std::vector<std::string>> problems) {
                                      finished(problems ? std::move(*problems)
                                                        : std::vector{problems.error().to_string()});
                                    });
}

void catalogue::set_clean(std::vector<volume_uuid> uuids, bool clean, done_many finished) {
  enqueue<std::vector<volume_record>>(
      [this, uuids = std::move(uuids), clean]() -> result<std::vector<volume_record>> {
        std::vector<volume_record> records;
        for (const auto uuid : uuids) {
          auto record = find_any(uuid);
          if (!record || record->clean == clean || (clean && record->failure))
            continue;
          record->clean = clean;
          if (!clean)
            record->opened = evidence_of(*record);
          ++record->revision;
          records.push_back(std::move(*record));
        }
        if (records.empty())
          return records;
        // The descriptor does not say: a rebuilt catalogue takes every volume for unclean.
        if (auto ok = commit(records, descriptor::leave); !ok)
          return tl::unexpected(ok.error());
        return records;
      },
      std::move(finished));
}

// --- waiting forms

result<std::vector<volume_record>> catalogue::create(std::vector<volume_request> requests) {
  return wait<std::vector<volume_record>>([&](done_many f) { create(std::move(requests), std::move(f)); });
}
result<volume_record> catalogue::create(volume_request request) {
  auto created = create(std::vector<volume_request>{std::move(request)});
  if (!created)
    return tl::unexpected(created.error());
  return created->front();
}
result<volume_record> catalogue::rename(volume_uuid uuid, volume_name name) {
  return wait<volume_record>([&](done f) { rename(uuid, name, std::move(f)); });
}
result<volume_record> catalogue::resize(volume_uuid uuid, byte_count size) {
  return wait<volume_record>([&](done f) { resize(uuid, size, std::move(f)); });
}
result<volume_record> catalogue::update(volume_uuid uuid, volume_changes changes) {
  return wait<volume_record>([&](done f) { update(uuid, changes, std::move(f)); });
}
result<volume_record> catalogue::remove(volume_uuid uuid) {
  return wait<volume_record>([&](done f) { remove(uuid, std::move(f)); });
}
result<volume_record> catalogue::undelete(volume_uuid uuid, std::optional<volume_name> name) {
  return wait<volume_record>([&](done f) { undelete(uuid, name, std::move(f)); });
}
result<std::size_t> catalogue::purge_expired() {
  return wait<std::size_t>([&](done_count f) { purge_expired(std::move(f)); });
}
result<volume_record> catalogue::purge(volume_uuid uuid) {
  return wait<volume_record>([&](done f) { purge(uuid, std::move(f)); });
}
result<volume_record> catalogue::mark_write_failure(volume_uuid uuid, int os_errno) {
  return wait<volume_record>([&](done f) { mark_write_failure(uuid, os_errno, std::move(f)); });
}
result<volume_record> catalogue::accept_loss(volume_uuid uuid) {
  return wait<volume_record>([&](done f) { accept_loss(uuid, std::move(f)); });
}
result<volume_record> catalogue::clear_write_failure(volume_uuid uuid) {
  return wait<volume_record>([&](done f) { clear_write_failure(uuid, std::move(f)); });
}
result<std::vector<volume_record>> catalogue::set_clean(std::vector<volume_uuid> uuids, bool clean) {
  return wait<std::vector<volume_record>>([&](done_many f) { set_clean(std::move(uuids), clean, std::move(f)); });
}

} // namespace gnomon::store
