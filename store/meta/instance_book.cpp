#include "store/meta/instance_book.hpp"

#include <map>
#include <mutex>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon::store {

struct instance_book::state {
  environment* meta = nullptr;
  mutable std::mutex mutex;
  std::map<instance_id, instance_record> records; // as of the last commit; guarded by mutex

  void submit(write_job job, std::function<void()> in_memory, done finished) {
    const auto shared = std::make_shared<done>(std::move(finished));
    auto queued = meta->submit(std::move(job), [in_memory = std::move(in_memory), shared](result<void> outcome) {
      if (outcome)
        in_memory();
      (*shared)(std::move(outcome));
    });
    if (!queued)
      (*shared)(std::move(queued));
  }
};

instance_book::instance_book(std::shared_ptr<state> s) : state_(std::move(s)) {}
instance_book::~instance_book() = default;

result<std::unique_ptr<instance_book>> instance_book::open(environment* meta, instance_book_opening* opening) {
  auto s = std::make_shared<state>();
  s->meta = meta;
  instance_book_opening found;
  auto loaded = meta->read([&](const read_transaction& t) -> result<void> {
    return t.scan(meta_database::instances, "", [&](std::string_view key, bytes_view value) {
      auto record = decode_instance(value, "meta: instance " + quote(key));
      if (record && record->id.value != key)
        record = fail(errc::corrupt,
                      fmt::format("meta: instance {}: the record of {}", quote(key), quote(record->id.value)));
      if (record) {
        auto id = record->id;
        s->records.emplace(std::move(id), *std::move(record));
      } else if (found.problems.size() < instance_book_opening::problems_max) {
        found.problems.push_back(record.error().to_string());
      } else {
        ++found.problems_unlisted;
      }
      return scan_step::next;
    });
  });
  if (!loaded)
    return tl::unexpected(loaded.error());
  found.instances = s->records.size();
  if (opening != nullptr)
    *opening = std::move(found);
  return std::unique_ptr<instance_book>(new instance_book(std::move(s)));
}

std::optional<instance_record> instance_book::find(const instance_id& id) const {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->records.find(id);
  return known == state_->records.end() ? std::nullopt : std::optional(known->second);
}

std::vector<instance_record> instance_book::list() const {
  std::lock_guard lock(state_->mutex);
  std::vector<instance_record> out;
  out.reserve(state_->records.size());
  for (const auto& [id, record] : state_->records)
    out.push_back(record);
  return out;
}

void instance_book::put(instance_record record, done finished) {
  if (auto sensible = check_instance(record); !sensible)
    return finished(std::move(sensible));
  auto job = [record](write_transaction& t) -> result<void> {
    const auto known = t.get(meta_database::instances, record.id.value);
    if (!known)
      return tl::unexpected(known.error());
    if (!*known) {
      const auto count = t.count(meta_database::instances);
      if (!count)
        return tl::unexpected(count.error());
      if (*count >= instance_records_max)
        return fail(errc::limit_reached,
                    fmt::format("{} instances are described already; forget some first", instance_records_max));
    }
    return t.put(meta_database::instances, record.id.value, encode(record));
  };
  state_->submit(
      std::move(job),
      [s = state_, record] {
        std::lock_guard lock(s->mutex);
        s->records.insert_or_assign(record.id, record);
      },
      std::move(finished));
}

void instance_book::erase(instance_id id, done finished) {
  if (id.value.empty() || id.value.size() > instance_text_length_max)
    return finished(fail(errc::invalid_argument, "an instance without a name, or with too long a one"));
  auto job = [id](write_transaction& t) -> result<void> {
    const auto erased = t.erase(meta_database::instances, id.value);
    return erased ? result<void>() : tl::unexpected(erased.error());
  };
  state_->submit(
      std::move(job),
      [s = state_, id] {
        std::lock_guard lock(s->mutex);
        s->records.erase(id);
      },
      std::move(finished));
}

} // namespace gnomon::store
