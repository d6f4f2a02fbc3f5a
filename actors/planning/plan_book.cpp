#include "actors/planning/plan_book.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

namespace gnomon::actors {
namespace {
using forecasting::decision;
using forecasting::decision_kind;
constexpr double trust_half_life_copies = 16'384; // granules: what was copied so many ago counts half

// Drops the rows that `older` puts first until the map is small enough.
template <class Map, class Age>
void keep_newest(Map& all, Age age) {
  if (all.size() <= plan_memory_rows_max)
    return;
  std::vector<std::pair<double, typename Map::key_type>> rows;
  for (const auto& [key, value] : all)
    rows.emplace_back(age(value), key);
  const auto end = rows.begin() + static_cast<std::ptrdiff_t>(all.size() - plan_memory_rows_max);
  std::nth_element(rows.begin(), end, rows.end());
  for (auto at = rows.begin(); at != end; ++at)
    all.erase(at->second);
}
} // namespace

void plan_book::look(const io::cluster_report& cluster, double now_seconds) {
  std::set<volume_chunk> there;
  for (const auto& v : cluster.volumes) {
    if (!v.has_shadow || v.by_hand)
      continue;
    for (const auto& chunk : v.chunks) {
      const volume_chunk where{v.uuid, chunk.chunk.value};
      there.insert(where);
      auto [at, is_new] = memory_.placed.try_emplace(where);
      if (is_new) // made before the planner began anew
        at->second.since_seconds = now_seconds;
      at->second.copied = chunk.copied;
      at->second.used = chunk.used;
    }
  }
  for (auto at = memory_.placed.begin(); at != memory_.placed.end();) {
    const auto where = (at++)->first;
    if (!there.contains(where))
      gone(where);
  }
}

void plan_book::gone(const volume_chunk& where) {
  const auto found = memory_.placed.find(where);
  if (found == memory_.placed.end())
    return;
  auto& trust = memory_.trusted[{where, found->second.because}];
  const double copied = found->second.copied, left = std::exp2(-copied / trust_half_life_copies);
  trust.copied = trust.copied * left + copied;
  trust.used = trust.used * left + std::min<double>(found->second.used, copied);
  memory_.placed.erase(found);
}

finished_plan plan_book::plan(const planning_facts& facts) {
  finished_plan out;
  out.made_seconds = facts.now_seconds;
  look(facts.cluster, facts.now_seconds);
  const auto input = std::make_shared<planning_input>(planning_input_of(facts, memory_));
  out.input = input;
  auto made = forecasting::plan(input->input);
  if (!made) {
    out.problem = made.error().to_string();
    return out;
  }
  out.left_out = made->left_out;
  out.announced = announcements_of(*input);
  for (const auto& d : made->decisions)
    out.lines.push_back(to_text(input->input, d));
  out.result = std::move(*made);
  predict(facts, out);
  return out;
}

// As if the decisions were carried out already: what comes is predicted to be read, whatever it is copied for.
void plan_book::predict(const planning_facts& facts, finished_plan& plan) const {
  auto after = memory_;
  for (const auto& d : plan.result.decisions) {
    if (!d.carried_out || d.node != plan.input->self)
      continue;
    for (std::uint64_t c = d.first_chunk; c < d.first_chunk + d.chunks; ++c)
      if (d.kind == decision_kind::create)
        after.placed.try_emplace({plan.input->volumes[d.volume], c});
      else if (d.kind == decision_kind::drop)
        after.placed.erase({plan.input->volumes[d.volume], c});
  }
  for (const auto& volume : facts.remote)
    plan.predictions.emplace_back(volume.uuid, read_prediction_of(facts.board.get(), volume, after));
}

void plan_book::carry_out(finished_plan& plan, const plan_actions& actions) {
  if (!plan.problem.empty())
    return;
  const double now = plan.made_seconds;
  const auto& input = *plan.input;
  std::size_t left = executions_per_plan_max;
  std::vector<bool> done;
  for (std::size_t i = 0; i < plan.result.decisions.size(); ++i) {
    const auto& d = plan.result.decisions[i];
    plan_entry e;
    e.first_seconds = e.last_seconds = now;
    e.kind = d.kind;
    e.volume = input.input.volumes[d.volume].name;
    e.node = input.input.nodes[d.node].name;
    e.first_chunk = d.first_chunk;
    e.chunks = d.chunks;
    e.bytes = d.bytes;
    e.text = plan.lines[i];
    e.outcome = execute(input, d, actions, now, left);
    done.push_back(e.outcome == "done");
    plan.entries.push_back(e);
    write_down(std::move(e));
  }
  remember(input, plan.result, done);
  planned_seconds_ = now;
  bound();
}

std::string plan_book::execute(const planning_input& from, const decision& d, const plan_actions& actions,
                               double now, std::size_t& left) {
  if (!d.carried_out)
    return "advice";
  const bool create = d.kind == decision_kind::create, drop = d.kind == decision_kind::drop;
  if (d.kind == decision_kind::merge || d.kind == decision_kind::split)
    return "done"; // a shadow is a set of chunks: there is nothing to do
  if ((!create && !drop) || d.node != from.self)
    return "advice"; // nothing on this node carries it out yet
  const auto volume = from.volumes[d.volume];
  auto& pause = pauses_[volume];
  if (now < pause.until_seconds)
    return fmt::format("waits: tried again in {:.0f} s", std::ceil(pause.until_seconds - now));
  if (left == 0)
    return fmt::format("waits: {} executions are the most of one plan", executions_per_plan_max);
  --left;
  const io::chunk_run run{chunk_index{d.first_chunk}, d.chunks};
  const auto done = create ? actions.widen(volume, run) : actions.narrow(volume, run);
  if (!done) {
    ++failed_;
    pause.length_seconds = std::clamp(pause.length_seconds * 2, retry_seconds_min, retry_seconds_max);
    pause.until_seconds = now + pause.length_seconds;
    return "failed: " + done.error().message;
  }
  ++executed_;
  pauses_.erase(volume);
  if (create)
    note(from, d, now);
  else
    for (std::uint64_t c = d.first_chunk; c < d.first_chunk + d.chunks; ++c)
      gone({volume, c});
  return "done";
}

void plan_book::note(const planning_input& from, const decision& d, double now) {
  for (std::uint64_t c = d.first_chunk; c < d.first_chunk + d.chunks; ++c) {
    placed_chunk placed;
    placed.since_seconds = now;
    placed.because = d.because;
    placed.reason = d.reason;
    memory_.placed[{from.volumes[d.volume], c}] = std::move(placed);
  }
}

// A drop that was not carried out is no drop to remember.
void plan_book::remember(const planning_input& from, const forecasting::plan_result& made,
                         const std::vector<bool>& done) {
  std::set<volume_chunk> not_dropped;
  for (std::size_t i = 0; i < made.decisions.size(); ++i) {
    const auto& d = made.decisions[i];
    if (d.kind == decision_kind::drop && !done[i])
      for (std::uint64_t c = d.first_chunk; c < d.first_chunk + d.chunks; ++c)
        not_dropped.insert({from.volumes[d.volume], c});
  }
  std::map<volume_chunk, planning_memory::drops> next;
  for (const auto& m : made.memory) {
    const volume_chunk where{from.volumes[m.volume], m.chunk};
    if (not_dropped.contains(where)) {
      if (const auto before = memory_.dropped.find(where); before != memory_.dropped.end())
        next.emplace(where, before->second);
      continue;
    }
    next.emplace(where, planning_memory::drops{m.dropped_seconds, m.times});
  }
  memory_.dropped = std::move(next);
}

// A decision that the plan before made too stays one entry.
void plan_book::write_down(plan_entry entry) {
  for (auto at = log_.rbegin(); at != log_.rend() && at->last_seconds >= planned_seconds_; ++at)
    if (at->kind == entry.kind && at->volume == entry.volume && at->node == entry.node &&
        at->first_chunk == entry.first_chunk && at->chunks == entry.chunks &&
        (at->outcome == entry.outcome || at->outcome.substr(0, 5) == entry.outcome.substr(0, 5))) {
      at->last_seconds = entry.last_seconds;
      ++at->times;
      at->text = std::move(entry.text);
      at->outcome = std::move(entry.outcome);
      return;
    }
  log_.push_back(std::move(entry));
  while (log_.size() > plan_log_max)
    log_.pop_front();
}

void plan_book::bound() {
  keep_newest(memory_.dropped, [](const auto& d) { return d.last_seconds; });
  keep_newest(memory_.trusted, [](const auto& t) { return t.copied; });
  std::erase_if(pauses_, [this](const auto& p) { return p.second.until_seconds + retry_seconds_max < planned_seconds_; });
}

} // namespace gnomon::actors
