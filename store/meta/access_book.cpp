#include "store/meta/access_book.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include <fmt/format.h>

namespace gnomon::store {
namespace {

using access_change = std::function<result<void>(access_record&)>;

// What a record that cannot be read means.
access_record closed_to_all(volume_uuid volume) {
  access_record record;
  record.volume = volume;
  record.everybody_fenced = true;
  return record;
}

std::optional<volume_uuid> uuid_of_key(std::string_view key) {
  volume_uuid uuid;
  if (key.size() != uuid.bytes.size())
    return std::nullopt;
  std::transform(key.begin(), key.end(), uuid.bytes.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  return uuid;
}

bool well_named(const instance_id& id) { return !id.value.empty() && id.value.size() <= instance_text_length_max; }

} // namespace

struct access_book::state : std::enable_shared_from_this<access_book::state> {
  environment* meta = nullptr;
  const clock_source* clock = nullptr;
  mutable std::mutex mutex;
  std::map<volume_uuid, access_record> records; // as of the last commit; guarded by mutex

  // Reads, changes and writes the record in one transaction, so that changes committed together see each other.
  void change(volume_uuid volume, access_change how, done finished) {
    const auto changed = std::make_shared<access_record>();
    auto job = [volume, how = std::move(how), changed](write_transaction& t) -> result<void> {
      const auto key = volume_key(volume);
      const auto stored = t.get(meta_database::access, key);
      if (!stored)
        return tl::unexpected(stored.error());
      access_record record;
      record.volume = volume;
      if (*stored) {
        auto known = decode_access(**stored, "meta: access of volume " + volume.to_string());
        record = known ? std::move(*known) : closed_to_all(volume);
      }
      if (auto done = how(record); !done)
        return done;
      *changed = record;
      return t.put(meta_database::access, key, encode(record));
    };
    const auto shared = std::make_shared<done>(std::move(finished));
    auto queued = meta->submit(std::move(job), [self = shared_from_this(), changed, shared](result<void> outcome) {
      if (!outcome)
        return (*shared)(tl::unexpected(outcome.error()));
      {
        std::lock_guard lock(self->mutex);
        self->records.insert_or_assign(changed->volume, *changed);
      }
      (*shared)(*changed);
    });
    if (!queued)
      (*shared)(tl::unexpected(queued.error()));
  }
};

access_book::access_book(std::shared_ptr<state> s) : state_(std::move(s)) {}
access_book::~access_book() = default;

result<std::unique_ptr<access_book>> access_book::open(environment* meta, const clock_source& clock,
                                                       access_book_opening* opening) {
  auto s = std::make_shared<state>();
  s->meta = meta;
  s->clock = &clock;
  access_book_opening found;
  auto loaded = meta->read([&](const read_transaction& t) -> result<void> {
    return t.scan(meta_database::access, "", [&](std::string_view key, bytes_view value) {
      const auto uuid = uuid_of_key(key);
      const auto what = "meta: access of volume " + (uuid ? uuid->to_string() : std::string("?"));
      auto record = decode_access(value, what);
      if (record && (!uuid || record->volume != *uuid))
        record = fail(errc::corrupt, what + ": the record of another volume");
      if (!record) {
        if (found.problems.size() < access_book_opening::problems_max)
          found.problems.push_back(record.error().to_string() +
                                   "; nobody attaches the volume until: gnomon volume unfence");
        else
          ++found.problems_unlisted;
      }
      if (uuid)
        s->records.emplace(*uuid, record ? std::move(*record) : closed_to_all(*uuid));
      return scan_step::next;
    });
  });
  if (!loaded)
    return tl::unexpected(loaded.error());
  found.volumes = s->records.size();
  if (opening != nullptr)
    *opening = std::move(found);
  return std::unique_ptr<access_book>(new access_book(std::move(s)));
}

access_record access_book::find(volume_uuid volume) const {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->records.find(volume);
  if (known != state_->records.end())
    return known->second;
  access_record none;
  none.volume = volume;
  return none;
}

std::vector<access_record> access_book::list() const {
  std::lock_guard lock(state_->mutex);
  std::vector<access_record> out;
  out.reserve(state_->records.size());
  for (const auto& [uuid, record] : state_->records)
    out.push_back(record);
  return out;
}

void access_book::fence(volume_uuid volume, std::optional<instance_id> who, std::optional<instance_id> heir,
                        done finished) {
  if ((who && !well_named(*who)) || (heir && !well_named(*heir)))
    return finished(fail(errc::invalid_argument, "an instance without a name, or with too long a one"));
  if (who && heir && *who == *heir)
    return finished(fail(errc::invalid_argument, "a volume is handed over to another instance than the fenced one"));
  state_->change(
      volume,
      [who, heir, now = state_->clock->wall_now()](access_record& record) -> result<void> {
        ++record.epoch;
        if (heir) {
          record.everybody_fenced = false;
          record.only = heir;
          std::erase_if(record.fenced, [&](const auto& fence) { return fence.instance == *heir; });
        } else if (!who) {
          record.everybody_fenced = true;
        }
        if (!who)
          return {};
        if (record.only == who)
          record.only.reset(), record.everybody_fenced = true; // it was handed to the one that is fenced now
        const auto at = std::lower_bound(record.fenced.begin(), record.fenced.end(), *who,
                                         [](const auto& fence, const auto& id) { return fence.instance < id; });
        const access_record::fence fence{*who, record.epoch, now};
        if (at != record.fenced.end() && at->instance == *who)
          *at = fence;
        else if (record.fenced.size() >= access_fences_max)
          return fail(errc::limit_reached, fmt::format("{} instances are fenced already", access_fences_max));
        else
          record.fenced.insert(at, fence);
        return {};
      },
      std::move(finished));
}

void access_book::unfence(volume_uuid volume, std::optional<instance_id> who, done finished) {
  state_->change(
      volume,
      [who](access_record& record) -> result<void> {
        const bool anything = record.everybody_fenced || record.only || !record.fenced.empty();
        const auto gone =
            who ? std::erase_if(record.fenced, [&](const auto& fence) { return fence.instance == *who; }) : 0;
        if (who ? gone == 0 : !anything)
          return fail(errc::not_found, who ? fmt::format("instance {} is not fenced from this volume", who->value)
                                           : "nobody is fenced from this volume");
        if (!who) {
          record.everybody_fenced = false;
          record.only.reset();
          record.fenced.clear();
        }
        ++record.epoch;
        return {};
      },
      std::move(finished));
}

void access_book::grant(volume_uuid volume, instance_id who, done finished) {
  if (!well_named(who))
    return finished(fail(errc::invalid_argument, "an instance without a name, or with too long a one"));
  state_->change(
      volume,
      [who](access_record& record) -> result<void> {
        const auto at = std::lower_bound(record.grants.begin(), record.grants.end(), who);
        if (at != record.grants.end() && *at == who)
          return {};
        if (record.grants.size() >= access_grants_max)
          return fail(errc::limit_reached, fmt::format("{} instances were given it already", access_grants_max));
        record.grants.insert(at, who);
        return {};
      },
      std::move(finished));
}

void access_book::revoke(volume_uuid volume, instance_id who, done finished) {
  state_->change(
      volume,
      [who](access_record& record) -> result<void> {
        std::erase(record.grants, who);
        return {};
      },
      std::move(finished));
}

void access_book::forget(volume_uuid volume, std::function<void(result<void>)> finished) {
  auto job = [volume](write_transaction& t) -> result<void> {
    const auto erased = t.erase(meta_database::access, volume_key(volume));
    return erased ? result<void>() : tl::unexpected(erased.error());
  };
  const auto shared = std::make_shared<std::function<void(result<void>)>>(std::move(finished));
  auto queued = state_->meta->submit(std::move(job), [s = state_, volume, shared](result<void> outcome) {
    if (outcome) {
      std::lock_guard lock(s->mutex);
      s->records.erase(volume);
    }
    (*shared)(std::move(outcome));
  });
  if (!queued)
    (*shared)(std::move(queued));
}

} // namespace gnomon::store
