#include "store/meta/snapshot_book.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon::store {

struct snapshot_book::state {
  environment* meta = nullptr;
  mutable std::mutex mutex; // guards what follows: as of the last commit
  std::map<layer_id, layer_record> layers;
  std::unordered_map<volume_uuid, snapshot_uuid> heads;
  std::map<group_name, group_record> groups;

  void carry_out(const snapshot_changes& changes) {
    std::lock_guard lock(mutex);
    for (const auto& id : changes.erase_layers)
      layers.erase(id);
    for (const auto& record : changes.put_layers)
      layers.insert_or_assign(record.id, record);
    for (const auto& volume : changes.erase_heads)
      heads.erase(volume);
    for (const auto& [volume, snapshot] : changes.put_heads)
      heads.insert_or_assign(volume, snapshot);
    for (const auto& name : changes.erase_groups)
      groups.erase(name);
    for (const auto& record : changes.put_groups)
      groups.insert_or_assign(record.name, record);
  }
};

namespace {

result<void> erase_key(write_transaction& t, database_id database, std::string_view key) {
  const auto erased = t.erase(database, key);
  return erased ? result<void>() : tl::unexpected(erased.error());
}

result<void> write_changes(write_transaction& t, const snapshot_changes& c) {
  result<void> ok;
  for (const auto& id : c.erase_layers)
    if (ok)
      ok = erase_key(t, meta_database::layers, layer_key(id));
  for (const auto& record : c.put_layers)
    if (ok)
      ok = t.put(meta_database::layers, layer_key(record.id), encode(record));
  for (const auto& volume : c.erase_heads)
    if (ok)
      ok = erase_key(t, meta_database::heads, volume_key(volume));
  for (const auto& [volume, snapshot] : c.put_heads)
    if (ok)
      ok = t.put(meta_database::heads, volume_key(volume), encode_head(snapshot));
  for (const auto& name : c.erase_groups)
    if (ok)
      ok = erase_key(t, meta_database::groups, name.value);
  for (const auto& record : c.put_groups)
    if (ok)
      ok = t.put(meta_database::groups, record.name.value, encode(record));
  return ok;
}

result<void> within(write_transaction& t, database_id database, std::size_t limit, const char* what) {
  const auto count = t.count(database);
  if (!count)
    return tl::unexpected(count.error());
  if (*count > limit)
    return fail(errc::limit_reached, fmt::format("{} {} are kept already; remove some first", limit, what));
  return {};
}

template <class Record, class Key>
result<Record> named_like_its_key(result<Record> record, std::string_view key, Key key_of, std::string_view what) {
  if (record && key_of(*record) != key)
    return fail(errc::corrupt, fmt::format("{}: the record of another", what));
  return record;
}

} // namespace

snapshot_book::snapshot_book(std::shared_ptr<state> s) : state_(std::move(s)) {}
snapshot_book::~snapshot_book() = default;

result<std::unique_ptr<snapshot_book>> snapshot_book::open(environment* meta, snapshot_book_opening* opening) {
  auto s = std::make_shared<state>();
  s->meta = meta;
  snapshot_book_opening found;
  const auto report = [&](const error& why) {
    if (found.problems.size() < snapshot_book_opening::problems_max)
      found.problems.push_back(why.to_string());
    else
      ++found.problems_unlisted;
  };
  auto loaded = meta->read([&](const read_transaction& t) -> result<void> {
    auto ok = t.scan(meta_database::layers, "", [&](std::string_view key, bytes_view value) {
      const auto what = "meta: layer " + quote(key);
      auto record = named_like_its_key(
          decode_layer(value, what), key, [](const layer_record& r) { return layer_key(r.id); }, what);
      if (record)
        s->layers.insert_or_assign(record->id, *record);
      else
        report(record.error());
      return scan_step::next;
    });
    if (!ok)
      return ok;
    ok = t.scan(meta_database::heads, "", [&](std::string_view key, bytes_view value) {
      volume_uuid volume;
      const auto head = decode_head(value, "meta: the newest snapshot of a volume");
      if (head && key.size() == volume.bytes.size()) {
        std::copy(key.begin(), key.end(), volume.bytes.begin());
        s->heads.insert_or_assign(volume, *head);
      } else if (!head) {
        report(head.error());
      }
      return scan_step::next;
    });
    if (!ok)
      return ok;
    return t.scan(meta_database::groups, "", [&](std::string_view key, bytes_view value) {
      const auto what = "meta: snapshot group " + quote(key);
      auto record = named_like_its_key(
          decode_group(value, what), key, [](const group_record& r) { return r.name.value; }, what);
      if (record)
        s->groups.insert_or_assign(record->name, *record);
      else
        report(record.error());
      return scan_step::next;
    });
  });
  if (!loaded)
    return tl::unexpected(loaded.error());
  found.layers = s->layers.size();
  found.groups = s->groups.size();
  if (opening != nullptr)
    *opening = std::move(found);
  return std::unique_ptr<snapshot_book>(new snapshot_book(std::move(s)));
}

namespace {
void sort_by_cut(std::vector<layer_record>& records) {
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return std::tie(a.cut, a.id) < std::tie(b.cut, b.id); });
}
} // namespace

std::vector<layer_record> snapshot_book::layers() const {
  std::vector<layer_record> out;
  {
    std::lock_guard lock(state_->mutex);
    out.reserve(state_->layers.size());
    for (const auto& [id, record] : state_->layers)
      out.push_back(record);
  }
  sort_by_cut(out);
  return out;
}

std::vector<layer_record> snapshot_book::layers(volume_uuid volume) const {
  std::vector<layer_record> out;
  {
    std::lock_guard lock(state_->mutex);
    for (const auto& [id, record] : state_->layers)
      if (record.volume == volume)
        out.push_back(record);
  }
  sort_by_cut(out);
  return out;
}

std::optional<layer_record> snapshot_book::find(layer_id id) const {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->layers.find(id);
  return known == state_->layers.end() ? std::nullopt : std::optional(known->second);
}

std::optional<snapshot_uuid> snapshot_book::head(volume_uuid volume) const {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->heads.find(volume);
  return known == state_->heads.end() ? std::nullopt : std::optional(known->second);
}

std::vector<group_record> snapshot_book::groups() const {
  std::lock_guard lock(state_->mutex);
  std::vector<group_record> out;
  for (const auto& [name, record] : state_->groups)
    out.push_back(record);
  return out;
}

std::optional<group_record> snapshot_book::find(const group_name& name) const {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->groups.find(name);
  return known == state_->groups.end() ? std::nullopt : std::optional(known->second);
}

void snapshot_book::commit(snapshot_changes changes, done finished) {
  const auto wanted = std::make_shared<const snapshot_changes>(std::move(changes));
  const auto shared = std::make_shared<done>(std::move(finished));
  auto queued = state_->meta->submit(
      [wanted](write_transaction& t) -> result<void> {
        if (auto ok = write_changes(t, *wanted); !ok)
          return ok;
        if (!wanted->put_layers.empty())
          if (auto fits = within(t, meta_database::layers, layer_records_max, "layers"); !fits)
            return fits;
        return within(t, meta_database::groups, group_records_max, "snapshot groups");
      },
      [s = state_, wanted, shared](result<void> outcome) {
        if (outcome)
          s->carry_out(*wanted);
        (*shared)(std::move(outcome));
      });
  if (!queued)
    (*shared)(std::move(queued));
}

result<void> snapshot_book::commit_and_wait(snapshot_changes changes) {
  std::promise<result<void>> promise;
  auto outcome = promise.get_future();
  commit(std::move(changes), [&](result<void> done) { promise.set_value(std::move(done)); });
  return outcome.get();
}

} // namespace gnomon::store
