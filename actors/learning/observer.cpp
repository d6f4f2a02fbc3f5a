#include "actors/learning/observer.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/served_volumes.hpp"
#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb observer_verbs[] = {{"seen", "what was observed since this actor started"}};
}

void observer_state::start(node_context* n) {
  node = n;
  started = node->clock->boot_now();
  tick();
}

void observer_state::tick() {
  self->delayed_send(self, observe_every, atom::tick_v);
  {
    std::lock_guard lock(arrived->mutex);
    if (arrived->under_way)
      return; // a slow collection: the next one brings it all
    arrived->under_way = true;
  }
  node->engine->collect_observations([to = self->address(), box = arrived](std::vector<io::observation> seen) {
    {
      std::lock_guard lock(box->mutex);
      box->under_way = false;
      box->seen.insert(box->seen.end(), std::make_move_iterator(seen.begin()), std::make_move_iterator(seen.end()));
    }
    if (const auto strong = caf::actor_cast<observer_actor>(to))
      caf::anon_send(strong, atom::drain_v);
  });
}

void observer_state::hand_out(volume_uuid volume, observed second) {
  const auto record = served_volume(*node, volume);
  const auto pattern = record ? node->tree.find_as<pattern_actor>(pattern_actor_name(record->name)) : pattern_actor{};
  if (!pattern) {
    rows_homeless += second.rows.size();
    node->observed.lost += second.rows.size();
    return;
  }
  caf::anon_send(pattern, atom::observe_v, std::move(second));
}

void observer_state::time_instances(double now_seconds, const observed& second) {
  for (const auto& row : second.rows) {
    if (row.whole_volume)
      continue;
    auto known = latencies.find(row.instance);
    if (known == latencies.end() && latencies.size() < instances_timed_max)
      known = latencies.try_emplace(row.instance).first;
    if (known != latencies.end())
      known->second.add(now_seconds, row);
  }
}

void observer_state::publish_latencies(double now_seconds) {
  std::erase_if(latencies, [&](const auto& known) { return known.second.forgotten(now_seconds); });
  std::unordered_map<instance_id, recent_latency> out;
  for (const auto& [instance, tally] : latencies)
    out.emplace(instance, tally.at(now_seconds));
  node->set_latencies(std::move(out));
}

void observer_state::drain() {
  std::vector<io::observation> seen;
  {
    std::lock_guard lock(arrived->mutex);
    seen.swap(arrived->seen);
  }
  const auto now = node->clock->boot_now();
  const auto wall = node->clock->wall_now();
  const auto time_us = to_microseconds(wall);
  const double now_seconds = std::chrono::duration<double>(now.time_since_epoch()).count();
  const double wall_seconds = seconds_of(wall);
  std::unordered_map<volume_uuid, observed> by_volume;
  for (auto& one : seen) {
    auto& second = by_volume[one.volume];
    if (one.whole_volume)
      node->observed.unplaced += std::uint64_t{one.reads} + one.writes;
    if (second.rows.size() >= observed_rows_max) {
      ++node->observed.lost;
      continue;
    }
    if (!one.whole_volume && one.reads + one.writes > 0)
      node->demand.add(one.volume, one.chunk, one.instance, one.reads, one.writes, wall_seconds);
    second.rows.push_back({one.chunk, one.whole_volume, std::move(one.instance), one.reads, one.writes,
                           one.sequential, one.read_bytes, one.write_bytes, one.read_latency, one.write_latency});
  }
  ++seconds_seen;
  rows_seen += seen.size();
  ++node->observed.collections;
  node->observed.rows += seen.size();
  for (auto& [volume, second] : by_volume) {
    second.time_us = time_us;
    time_instances(now_seconds, second);
    touched[volume] = now;
    hand_out(volume, std::move(second));
  }
  const bool slots = now >= next_slot_check, forecasts = now >= next_forecast_check;
  if (slots) {
    next_slot_check = now + slot_check_every;
    publish_latencies(now_seconds);
  }
  if (forecasts)
    next_forecast_check = now + forecast_check_every;
  if (slots || forecasts)
    for (auto at = touched.begin(); at != touched.end();) {
      if (const auto record = served_volume(*node, at->first))
        (void)tell(record->name, slots, forecasts);
      at = now - at->second > touched_for ? touched.erase(at) : std::next(at);
    }
  follow_remotes();
  go_round(now);
  bound_memory(now);
  node->predictions.publish(seconds_of(node->clock->wall_now()), node->current_settings()->node.value);
  if (now >= next_maintenance && node->history != nullptr) {
    next_maintenance = now + maintain_every;
    node->history->maintain([](result<void> done) {
      if (!done && done.error().code != errc::shutting_down)
        log::warning("history: {}", done.error().to_string());
    });
  }
}

bool observer_state::tell(const volume_name& volume, bool pattern_too, bool forecaster_too) const {
  bool told = true;
  if (pattern_too) {
    const auto pattern = node->tree.find_as<pattern_actor>(pattern_actor_name(volume));
    told = static_cast<bool>(pattern);
    if (told)
      caf::anon_send(pattern, atom::tick_v);
  }
  if (forecaster_too)
    if (const auto forecaster = node->tree.find_as<forecaster_actor>(forecaster_actor_name(volume)))
      caf::anon_send(forecaster, atom::tick_v);
  return told;
}

// Volumes of other nodes come and go: the registry gives them their actors.
void observer_state::follow_remotes() const {
  auto now = node->engine->remote_volumes();
  if (now == *node->remote_volumes())
    return;
  node->set_remote_volumes(std::move(now));
  if (const auto registry = node->tree.find_as<registry_actor>(registry_name))
    caf::anon_send(registry, atom::ask_v, std::string("reconcile"));
}

// Some of the volumes each second, so that thousands of idle ones do not all begin at once.
void observer_state::go_round(boot_time now) {
  if (now >= next_round) {
    next_round = now + round_every;
    std::vector<prediction_publisher::volume> all;
    for (const auto& record : served_volumes(*node))
      all.push_back({record.uuid, record.name, record.size});
    node->predictions.set_volumes(all);
    if (round.empty()) {
      for (const auto& one : all)
        round.push_back(one.name);
      told_per_second = std::max<std::size_t>(told_per_second_min, round.size() / round_every.count() + 1);
    }
  }
  for (std::size_t i = 0; i < told_per_second && !round.empty(); ++i) {
    if (!tell(round.back(), true, false) && now - started < round_every)
      next_round = std::min(next_round, now + round_again);
    if (const auto forecaster = node->tree.find_as<forecaster_actor>(forecaster_actor_name(round.back())))
      caf::anon_send(forecaster, atom::round_v);
    round.pop_back();
  }
}

void observer_state::bound_memory(boot_time now) const {
  for (const auto& [volume, most] : node->learned.over(node->current_settings()->forecast.memory_max.value, now))
    if (const auto record = served_volume(*node, volume))
      if (const auto pattern = node->tree.find_as<pattern_actor>(pattern_actor_name(record->name)))
        caf::anon_send(pattern, atom::unload_v, most);
}

caf::result<std::string> observer_state::ask(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(observer_verbs);
  if (parsed->verb != "seen")
    return to_caf(unknown_verb(*parsed, observer_verbs).value());
  return fmt::format(
      "{} collections, {} rows, {} of volumes without a pattern actor; {} requests counted without their "
      "chunk; {} volumes touched lately; {} patterns hold {} KiB",
      seconds_seen, rows_seen, rows_homeless, node->observed.unplaced.load(), touched.size(), node->learned.loaded(),
      node->learned.total() / 1024);
}

caf::actor spawn_observer(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(observer, node));
}

observer_actor::behavior_type observer(observer_actor::stateful_pointer<observer_state> self, node_context* node) {
  auto* state = &self->state;
  state->start(node);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(), fmt::format("{} volumes touched", state->touched.size())};
      },
      [state](atom::ask, const std::string& message) { return state->ask(message); },
      [state](atom::tick) { state->tick(); },
      [state](atom::drain) { state->drain(); },
  };
}

} // namespace gnomon::actors
