#include "store/history/history.hpp"

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/history/layout.hpp"

namespace gnomon::store {

using namespace history_layout;

namespace {

constexpr std::size_t queued_jobs_max = 16'384;
constexpr std::size_t instance_name_length_max = 255;

std::string instance_key(std::uint32_t index) {
  std::string key;
  append_key_u32(key, index);
  return key;
}

std::string model_key(std::string_view object, std::string_view name) {
  return std::string(object) + '\0' + std::string(name);
}

result<void> check_model_names(std::string_view object, std::string_view name) {
  const bool good = !object.empty() && object.size() <= model_name_length_max && !name.empty() &&
                    name.size() <= model_name_length_max && object.find('\0') == std::string_view::npos;
  if (!good)
    return fail(errc::invalid_argument,
                fmt::format("model: object and name have 1 to {} characters", model_name_length_max));
  return {};
}

bytes encode_model(std::uint32_t version, wall_time written, bytes_view blob) {
  field_writer w;
  w.u32(version);
  w.i64(written.time_since_epoch().count());
  w.blob(blob);
  return seal_value(value_type::model, model_version, w.payload());
}

} // namespace

std::chrono::seconds slot_length(resolution r) noexcept {
  constexpr std::array<int, resolution_count> seconds{10, 60, 300, 3600};
  return std::chrono::seconds(seconds[static_cast<std::size_t>(r)]);
}

std::chrono::seconds part_length(resolution r) noexcept {
  constexpr std::array<int, resolution_count> seconds{300, 3600, 6 * 3600, 4 * 86400};
  return std::chrono::seconds(seconds[static_cast<std::size_t>(r)]);
}

// --- opening

result<std::unique_ptr<history>> history::open(history_options options) {
  auto opened = std::unique_ptr<history>(new history(std::move(options)));
  const auto& o = opened->options_;
  environment_options env;
  env.name = "history";
  env.directory = o.directory;
  env.databases = history_database_names();
  env.durable = durability::relaxed;
  // The map is the bound: LMDB's file never grows beyond it.
  env.map_size = env.map_size_max = byte_count{std::max<std::uint64_t>(o.disk_max.value / 4096 * 4096, 4 << 20)};
  env.queued_jobs_max = queued_jobs_max;
  env.commit_delay = o.commit_delay;
  auto environment = environment::open(env);
  if (!environment && (environment.error().code == errc::corrupt || environment.error().code == errc::unsupported)) {
    log::error("{}; it is set aside and begun anew", environment.error().to_string());
    std::error_code failed;
    std::filesystem::remove_all(o.directory + ".damaged", failed);
    std::filesystem::rename(o.directory, o.directory + ".damaged", failed);
    if (failed)
      return tl::unexpected(environment.error());
    opened->begun_anew_ = true;
    environment = environment::open(env);
  }
  if (!environment)
    return tl::unexpected(environment.error());
  opened->env_ = std::move(*environment);
  if (auto ok = opened->load_instances(); !ok)
    return tl::unexpected(ok.error());
  return opened;
}

void history::stop() {
  if (env_)
    env_->stop();
}

void history::skip_damaged(const error& why) const {
  if (corrupt_records_++ == 0)
    log::warning("{}; skipped, as others like it will be", why.to_string());
}

void history::start(write_job job, done finished) {
  auto shared = std::make_shared<done>(std::move(finished));
  auto queued = env_->submit(std::move(job), [shared](result<void> r) {
    if (*shared)
      (*shared)(std::move(r));
  });
  if (!queued && *shared)
    (*shared)(std::move(queued));
}

result<void> history::wait(const std::function<void(done)>& start) {
  std::promise<result<void>> promise;
  auto outcome = promise.get_future();
  start([&promise](result<void> r) { promise.set_value(std::move(r)); });
  return outcome.get();
}

result<void> history::append(history_batch batch) {
  return wait([&](done f) { append(std::move(batch), std::move(f)); });
}
result<void> history::maintain() {
  return wait([&](done f) { maintain(std::move(f)); });
}
result<void> history::forget(volume_uuid volume) {
  return wait([&](done f) { forget(volume, std::move(f)); });
}
result<void> history::put_model(std::string object, std::string name, std::uint32_t version, bytes blob) {
  return wait([&](done f) { put_model(std::move(object), std::move(name), version, std::move(blob), std::move(f)); });
}
result<void> history::erase_models(std::string object) {
  return wait([&](done f) { erase_models(std::move(object), std::move(f)); });
}

// --- reading

// Calls `visit(slot start in seconds at the query's resolution, row)`.
result<void> history::visit_rows(kind what, const history_query& query,
                                 const std::function<void(std::uint64_t, const stored_row&)>& visit) const {
  const auto k = static_cast<std::uint8_t>(what);
  const auto from = ceil_seconds_of(query.from), to = ceil_seconds_of(query.to);
  const auto slot_step = slot_seconds(query.at), part_step = part_seconds(query.at);
  const bool one_chunk = query.chunk && what == kind::chunks;
  std::vector<stored_row> rows;
  auto pass_on = [&](std::uint64_t base, std::uint64_t step) {
    for (const auto& row : rows) {
      if (one_chunk && row.chunk != query.chunk->value)
        continue;
      if (query.instance && what == kind::chunks && row.instance != query.instance->value)
        continue;
      const auto slot = floor_to(base + row.slot * step, slot_step);
      if (slot >= from && slot < to)
        visit(slot, row);
    }
    rows.clear();
  };
  if (from >= to)
    return {};
  return env_->read([&](const read_transaction& t) -> result<void> {
    // Parts that hold nothing of anybody are jumped over.
    auto part = floor_to(from, part_step);
    for (bool more = true; more && part < to;) {
      auto prefix = block_prefix(k, query.at, part, query.volume);
      auto start = one_chunk ? block_key(k, query.at, part, query.volume,
                                         static_cast<std::uint32_t>(query.chunk->value / chunks_per_block))
                             : prefix;
      auto scanned = t.scan(history_database::blocks, start, one_chunk ? start : prefix,
                            [&](std::string_view key, bytes_view value) {
                              if (auto ok = decode_block(key, value, rows); !ok)
                                skip_damaged(ok.error());
                              pass_on(part, slot_step);
                              return scan_step::next;
                            });
      if (!scanned)
        return scanned;
      more = false;
      auto next = t.scan(history_database::blocks, part_prefix(k, query.at, part + 1), table_prefix(k, query.at),
                         [&](std::string_view key, bytes_view) {
                           part = block_part(key);
                           more = true;
                           return scan_step::stop;
                         });
      if (!next)
        return next;
    }
    for (const auto finer : all_resolutions) {
      if (finer > query.at)
        break;
      auto scanned = t.scan(history_database::tails, tail_key(k, finer, query.volume, from),
                            tail_prefix(k, finer, query.volume), [&](std::string_view key, bytes_view value) {
                              const auto slot = tail_slot(key);
                              if (slot >= to && floor_to(slot, slot_step) >= to)
                                return scan_step::stop;
                              if (auto ok = decode_tail(key, value, rows); !ok)
                                skip_damaged(ok.error());
                              pass_on(slot, 0);
                              return scan_step::next;
                            });
      if (!scanned)
        return scanned;
    }
    return {};
  });
}

result<void> history::visit(const history_query& query,
                            const std::function<void(const history_sample&)>& visit) const {
  return visit_rows(kind::chunks, query, [&](std::uint64_t slot, const stored_row& row) {
    visit({time_of(slot), chunk_index(row.chunk), instance_index(row.instance), row.counters});
  });
}

result<std::vector<history_sample>> history::read(const history_query& query) const {
  std::vector<history_sample> samples;
  bool too_many = false;
  auto visited = visit(query, [&](const history_sample& sample) {
    too_many = too_many || samples.size() >= history_read_samples_max;
    if (!too_many)
      samples.push_back(sample);
  });
  if (!visited)
    return tl::unexpected(visited.error());
  if (too_many)
    return fail(errc::limit_reached, fmt::format("history of volume {}: more than {} samples",
                                                 query.volume.to_string(), history_read_samples_max));
  auto key = [](const history_sample& s) { return std::tie(s.chunk, s.instance, s.slot); };
  std::sort(samples.begin(), samples.end(), [&](auto& a, auto& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (const auto& sample : samples) {
    if (kept > 0 && key(samples[kept - 1]) == key(sample))
      samples[kept - 1].counters += sample.counters;
    else
      samples[kept++] = sample;
  }
  samples.resize(kept);
  return samples;
}

result<std::vector<total_sample>> history::read_totals(const history_query& query) const {
  std::map<std::uint64_t, access_counters> by_slot;
  auto visited = visit_rows(kind::totals, query,
                            [&](std::uint64_t slot, const stored_row& row) { by_slot[slot] += row.counters; });
  if (!visited)
    return tl::unexpected(visited.error());
  std::vector<total_sample> samples;
  samples.reserve(by_slot.size());
  for (const auto& [slot, counters] : by_slot)
    samples.push_back({time_of(slot), counters});
  return samples;
}

history_status history::status() const {
  history_status status;
  const auto env = env_->status();
  status.disk_bytes = env.file_bytes;
  auto used = env_->read([](const read_transaction& t) -> result<std::uint64_t> {
    std::uint64_t sum = 0;
    for (auto database :
         {history_database::tails, history_database::blocks, history_database::instances, history_database::models}) {
      auto bytes = t.bytes_used(database);
      if (!bytes)
        return bytes;
      sum += *bytes;
    }
    return sum;
  });
  status.used_bytes = used.value_or(0);
  status.rows_appended = rows_appended_;
  status.rows_refused = rows_refused_;
  status.parts_sealed = parts_sealed_;
  status.parts_trimmed = parts_trimmed_;
  status.model_bytes =
      env_->read([](const read_transaction& t) { return t.bytes_used(history_database::models); }).value_or(0);
  status.models_trimmed = models_trimmed_;
  status.corrupt_records = corrupt_records_;
  status.begun_anew = begun_anew_;
  return status;
}

// --- instances

result<void> history::load_instances() {
  return env_->read([&](const read_transaction& t) {
    return t.scan(history_database::instances, "", [&](std::string_view key, bytes_view value) {
      // An index is never given out twice, so a damaged name leaves a gap.
      const auto index = key_u32(key, 0);
      if (key.size() != 4 || index == 0 || index > history_instances_max)
        return scan_step::next;
      instance_names_.resize(std::max<std::size_t>(instance_names_.size(), index));
      auto opened = open_value(value, value_type::history_instance, history_instance_version,
                               fmt::format("history: instance {}", index));
      if (!opened) {
        skip_damaged(opened.error());
        return scan_step::next;
      }
      instance_names_[index - 1] = instance_id(std::string(as_text(opened->payload)));
      instance_numbers_.emplace(instance_names_[index - 1], index);
      return scan_step::next;
    });
  });
}

result<instance_index> history::intern(const instance_id& instance) {
  if (instance.value.empty())
    return instance_index(0);
  if (instance.value.size() > instance_name_length_max)
    return fail(errc::invalid_argument,
                fmt::format("instance id of more than {} characters", instance_name_length_max));
  std::lock_guard lock(instances_mutex_);
  if (const auto known = instance_numbers_.find(instance); known != instance_numbers_.end())
    return instance_index(known->second);
  if (instance_names_.size() >= history_instances_max)
    return fail(errc::limit_reached, fmt::format("history: more than {} instances", history_instances_max));
  const auto index = static_cast<std::uint32_t>(instance_names_.size() + 1);
  // Queued before any append that can use the index, and committed no later.
  auto queued = env_->submit(
      [index, instance](write_transaction& t) {
        return t.put(history_database::instances, instance_key(index),
                     seal_value(value_type::history_instance, history_instance_version, as_bytes(instance.value)));
      },
      [instance](result<void> r) {
        if (!r)
          log::warning("history: instance {} could not be kept: {}", instance.value, r.error().to_string());
      });
  if (!queued)
    return tl::unexpected(queued.error());
  instance_names_.push_back(instance);
  instance_numbers_.emplace(instance, index);
  return instance_index(index);
}

std::optional<instance_index> history::find(const instance_id& instance) const {
  if (instance.value.empty())
    return instance_index(0);
  std::lock_guard lock(instances_mutex_);
  const auto known = instance_numbers_.find(instance);
  return known == instance_numbers_.end() ? std::nullopt : std::optional(instance_index(known->second));
}

std::optional<instance_id> history::name_of(instance_index index) const {
  std::lock_guard lock(instances_mutex_);
  if (index.value == 0 || index.value > instance_names_.size() || instance_names_[index.value - 1].value.empty())
    return std::nullopt;
  return instance_names_[index.value - 1];
}

// --- models

std::uint64_t history::model_share_bytes() const {
  return static_cast<std::uint64_t>(static_cast<double>(options_.disk_max.value) * options_.models_share);
}

void history::note_use(const std::string& key) const {
  std::lock_guard lock(models_mutex_);
  models_used_[key] = seconds_of(options_.clock->wall_now());
}

void history::put_model(std::string object, std::string name, std::uint32_t version, bytes blob, done finished) {
  auto named = check_model_names(object, name);
  if (named && blob.size() > model_bytes_max)
    named = fail(errc::limit_reached,
                 fmt::format("model {} of {}: {} bytes, at most {}", name, object, blob.size(), model_bytes_max));
  if (named && blob.size() > model_share_bytes())
    named = fail(errc::limit_reached, fmt::format("model {} of {}: {} bytes, all models may have {}", name, object,
                                                  blob.size(), model_share_bytes()));
  if (!named)
    return finished ? finished(std::move(named)) : void();
  start(
      [this, key = model_key(object, name), value = encode_model(version, options_.clock->wall_now(), blob),
       now = seconds_of(options_.clock->wall_now())](write_transaction& t) -> result<void> {
        if (auto ok = t.put(history_database::models, key, value); !ok)
          return ok;
        return trim_models(t, now);
      },
      std::move(finished));
}

result<void> history::move_mark(write_transaction& t, const history_mark& mark) const {
  if (auto named = check_model_names(mark.object, mark.name); !named)
    return named;
  const auto key = model_key(mark.object, mark.name);
  const auto stored = t.get(history_database::models, key);
  if (!stored)
    return tl::unexpected(stored.error());
  const auto now = *stored ? open_model(**stored, "model " + mark.name) : result<opened_model>(opened_model{});
  if (!now)
    return tl::unexpected(now.error());
  const bool as_expected = mark.before ? *stored && std::equal(now->blob.begin(), now->blob.end(),
                                                                mark.before->begin(), mark.before->end())
                                       : !*stored;
  if (!as_expected)
    return fail(errc::busy, fmt::format("model {} of {} has moved on meanwhile", mark.name, mark.object));
  return t.put(history_database::models, key, encode_model(mark.version, options_.clock->wall_now(), mark.after));
}

result<history_model> history::get_model(std::string_view object, std::string_view name) const {
  if (auto ok = check_model_names(object, name); !ok)
    return tl::unexpected(ok.error());
  const auto what = fmt::format("model {} of {}", name, object);
  return env_->read([&](const read_transaction& t) -> result<history_model> {
    auto stored = t.get(history_database::models, model_key(object, name));
    if (!stored)
      return tl::unexpected(stored.error());
    if (!*stored)
      return fail(errc::not_found, "no " + what);
    auto model = open_model(**stored, what);
    if (!model)
      return tl::unexpected(model.error());
    note_use(model_key(object, name));
    return history_model{model->version, model->written, bytes(model->blob.begin(), model->blob.end())};
  });
}

result<std::vector<model_entry>> history::list_models(std::string_view object) const {
  if (auto ok = check_model_names(object, "x"); !ok)
    return tl::unexpected(ok.error());
  std::vector<model_entry> entries;
  const auto prefix = model_key(object, "");
  auto listed = env_->read([&](const read_transaction& t) {
    return t.scan(history_database::models, prefix, [&](std::string_view key, bytes_view value) {
      const std::string name(key.substr(prefix.size()));
      auto model = open_model(value, fmt::format("model {} of {}", name, object));
      if (model)
        entries.push_back({name, model->version, model->written, model->blob.size()});
      else
        skip_damaged(model.error());
      return scan_step::next;
    });
  });
  if (!listed)
    return tl::unexpected(listed.error());
  return entries;
}

result<std::vector<std::string>> history::list_objects() const {
  std::vector<std::string> objects;
  auto listed = env_->read([&](const read_transaction& t) {
    return t.scan(history_database::models, "", [&](std::string_view key, bytes_view) {
      const auto object = key.substr(0, key.find('\0'));
      if (objects.empty() || objects.back() != object)
        objects.emplace_back(object);
      return scan_step::next;
    });
  });
  if (!listed)
    return tl::unexpected(listed.error());
  return objects;
}

void history::erase_models(std::string object, done finished) {
  if (auto ok = check_model_names(object, "x"); !ok)
    return finished ? finished(std::move(ok)) : void();
  start(
      [prefix = model_key(object, "")](write_transaction& t) -> result<void> {
        std::vector<std::string> keys;
        auto listed = t.scan(history_database::models, prefix, [&](std::string_view key, bytes_view) {
          keys.emplace_back(key);
          return scan_step::next;
        });
        if (!listed)
          return listed;
        for (const auto& key : keys)
          if (auto ok = t.erase(history_database::models, key); !ok)
            return tl::unexpected(ok.error());
        return {};
      },
      std::move(finished));
}

} // namespace gnomon::store
