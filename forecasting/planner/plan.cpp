#include "forecasting/planner/plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "forecasting/planner/chunk_worth.hpp"
#include "forecasting/planner/cold_and_moves.hpp"
#include "forecasting/planner/event_demand.hpp"
#include "forecasting/planner/planner_checks.hpp"

namespace gnomon::forecasting {
namespace {

using row_key = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>; // node, volume, chunk
constexpr std::size_t none = ~std::size_t{0};

std::string in_mib(double bytes) { return fmt::format("{:.1f} MiB", bytes / (1 << 20)); }

struct candidate {
  row_key key;
  chunk_worth worth;
  std::size_t shadow = none; // index of the one that holds it
  bool young = false;
  double density = 0; // worth per byte, with what it gains by being there or loses by having gone
  double returns = 0; // drops remembered
  bool chosen = false;
};

class planning {
public:
  explicit planning(const planner_input& input) : input_(input), index_(input) {}

  plan_result run() {
    remember();
    gather();
    choose();
    keep_or_drop();
    create();
    add_cold_and_moves(input_, index_, rows_, out_.decisions);
    finish();
    return std::move(out_);
  }

private:
  bool is_off(std::uint32_t node, std::uint32_t volume) const {
    return input_.nodes[node].mode == planner_mode::off || input_.volumes[volume].mode == planner_mode::off;
  }
  bool advises(std::uint32_t node, std::uint32_t volume) const {
    return input_.nodes[node].mode == planner_mode::advise || input_.volumes[volume].mode == planner_mode::advise;
  }

  void remember() {
    for (auto m : input_.memory) {
      m.times *= std::exp2(-(input_.now_seconds - m.dropped_seconds) / input_.options.memory_half_life_seconds);
      m.dropped_seconds = input_.now_seconds;
      if (m.times >= forgotten_below)
        memory_[{m.node, m.volume, m.chunk}] = m;
    }
  }

  void gather() {
    rows_ = with_events(input_);
    std::map<row_key, planner_chunk> known;
    for (const auto& r : rows_)
      known[{r.node, r.volume, r.chunk}] = r;
    for (std::size_t s = 0; s < input_.shadows.size(); ++s) {
      const auto& shadow = input_.shadows[s];
      for (std::uint64_t c = 0; c < shadow.chunks; ++c) {
        const row_key key{shadow.node, shadow.volume, shadow.first_chunk + c};
        present_[key] = s;
        planner_chunk unread;
        unread.node = shadow.node;
        unread.volume = shadow.volume;
        unread.chunk = shadow.first_chunk + c;
        known.try_emplace(key, unread);
      }
    }
    for (const auto& [key, row] : known)
      if (!is_off(row.node, row.volume))
        consider(key, row);
  }

  void consider(const row_key& key, const planner_chunk& row) {
    candidate c;
    c.key = key;
    c.worth = worth_of(row, input_, index_);
    if (const auto at = present_.find(key); at != present_.end()) {
      c.shadow = at->second;
      const auto& shadow = input_.shadows[c.shadow];
      c.young = input_.now_seconds - shadow.since_seconds < input_.options.stay_seconds_min;
    }
    if (const auto m = memory_.find(key); m != memory_.end())
      c.returns = m->second.times;
    if (c.shadow == none && (c.worth.saved_seconds_per_second <= 0 || !pays(c)))
      return;
    c.density = c.worth.saved_seconds_per_second / c.worth.bytes *
                (c.shadow != none ? input_.options.keep_bonus : std::pow(input_.options.return_factor, -c.returns));
    candidates_.push_back(c);
  }

  // Waiting saved over the horizon against the time the copy takes, and the more often it has gone the more.
  bool pays(const candidate& c) const {
    const double rate = input_.nodes[std::get<0>(c.key)].copy_bytes_per_second;
    if (!(rate > 0))
      return false;
    const double cost = c.worth.bytes / rate * input_.options.copy_cost * input_.options.pay_factor *
                        std::pow(input_.options.return_factor, c.returns);
    return c.worth.saved_seconds_per_second * input_.options.horizon_seconds >= cost;
  }

  void choose() {
    std::vector<std::size_t> order(candidates_.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const auto& x = candidates_[a];
      const auto& y = candidates_[b];
      return std::tuple(!x.young, -x.density, x.key) < std::tuple(!y.young, -y.density, y.key);
    });
    std::vector<double> space(input_.nodes.size()), copies(input_.nodes.size()), events(input_.nodes.size());
    std::map<std::uint32_t, double> quota;
    for (const auto& c : candidates_) // what events brought in earlier plans counts against their share, too
      if (c.shadow != none && is_for_event(c))
        events[std::get<0>(c.key)] += c.worth.bytes;
    for (const std::size_t i : order) {
      candidate& c = candidates_[i];
      const auto [node, volume, chunk] = c.key;
      const auto& about = input_.nodes[node];
      const double bytes = c.worth.bytes;
      if (space[node] + bytes > about.space_bytes || (!c.young && c.worth.saved_seconds_per_second <= 0))
        continue;
      if (const double limit = input_.volumes[volume].quota_bytes; limit > 0 && quota[volume] + bytes > limit)
        continue;
      const bool copied = c.shadow == none;
      if (copied && copies[node] + bytes > about.copy_bytes_per_second * input_.options.horizon_seconds)
        continue;
      const bool by_event = copied && c.worth.reads.because == prediction_kind::event;
      if (by_event && events[node] + bytes > about.space_bytes * input_.options.event_claim_max)
        continue;
      c.chosen = true;
      space[node] += bytes;
      quota[volume] += bytes;
      copies[node] += copied ? bytes : 0;
      events[node] += by_event ? bytes : 0;
    }
  }

  // An event is the only reason for a chunk that is there.
  bool is_for_event(const candidate& c) const {
    const auto& reads = c.worth.reads;
    return reads.because == prediction_kind::event ||
           (reads.per_second <= 0 && input_.shadows[c.shadow].kind == prediction_kind::event);
  }

  decision made(decision_kind kind, std::uint32_t node, std::uint32_t volume, std::uint64_t first,
                std::uint64_t chunks) const {
    decision d;
    d.kind = kind;
    d.node = node;
    d.volume = volume;
    d.first_chunk = first;
    d.chunks = chunks;
    d.carried_out = !advises(node, volume);
    return d;
  }

  // Present shadows: what is no longer chosen is cut out and dropped; neighbours that stay become one.
  void keep_or_drop() {
    std::map<std::size_t, std::vector<const candidate*>> by_shadow;
    for (const auto& c : candidates_)
      if (c.shadow != none)
        by_shadow[c.shadow].push_back(&c); // in order of chunk
    const candidate* last_kept = nullptr;
    for (const auto& c : candidates_) {
      if (c.shadow == none)
        continue;
      const auto [node, volume, chunk] = c.key;
      const bool adjacent = last_kept != nullptr && std::get<0>(last_kept->key) == node &&
                            std::get<1>(last_kept->key) == volume && std::get<2>(last_kept->key) + 1 == chunk;
      if (c.chosen && adjacent && last_kept->shadow != c.shadow) {
        auto d = made(decision_kind::merge, node, volume, input_.shadows[last_kept->shadow].first_chunk,
                      chunk + input_.shadows[c.shadow].chunks - input_.shadows[last_kept->shadow].first_chunk);
        d.reason = fmt::format("neighbours that both stay: {:.4f} and {:.4f} s of waiting saved per s",
                               last_kept->worth.saved_seconds_per_second, c.worth.saved_seconds_per_second);
        out_.decisions.push_back(std::move(d));
      }
      last_kept = c.chosen ? &c : nullptr;
    }
    for (const auto& [s, parts] : by_shadow)
      cut(input_.shadows[s], parts);
  }

  void cut(const planner_shadow& shadow, const std::vector<const candidate*>& parts) {
    for (std::size_t i = 0; i < parts.size();) {
      std::size_t end = i + 1;
      while (end < parts.size() && parts[end]->chosen == parts[i]->chosen)
        ++end;
      const std::uint64_t chunk = std::get<2>(parts[i]->key);
      if (i > 0) {
        auto d = made(decision_kind::split, shadow.node, shadow.volume, chunk, end - i);
        d.reason = fmt::format("only part of the shadow of {} chunks is worth its space", shadow.chunks);
        out_.decisions.push_back(std::move(d));
      }
      if (!parts[i]->chosen)
        drop(shadow, parts, i, end);
      i = end;
    }
  }

  void drop(const planner_shadow& shadow, const std::vector<const candidate*>& parts, std::size_t i,
            std::size_t end) {
    auto d = made(decision_kind::drop, shadow.node, shadow.volume, std::get<2>(parts[i]->key), end - i);
    double reads = 0;
    for (std::size_t p = i; p < end; ++p) {
      d.saved_seconds_per_second += parts[p]->worth.saved_seconds_per_second;
      d.bytes += parts[p]->worth.bytes;
      reads += parts[p]->worth.reads.per_second;
      auto& m = memory_[parts[p]->key];
      m.node = shadow.node;
      m.volume = shadow.volume;
      m.chunk = std::get<2>(parts[p]->key);
      m.times = (m.dropped_seconds > 0 ? m.times : 0) + 1;
      m.dropped_seconds = input_.now_seconds;
    }
    d.because = shadow.kind;
    d.reason =
        fmt::format("{:.4f} reads/s expected, {:.6f} s of waiting saved per s: others are worth more of the "
                    "{} it holds; it was there for {:.0f} s",
                    reads, d.saved_seconds_per_second, in_mib(d.bytes), input_.now_seconds - shadow.since_seconds);
    out_.decisions.push_back(std::move(d));
  }

  void create() {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const candidate& c = candidates_[i];
      if (!c.chosen || c.shadow != none)
        continue;
      const auto [node, volume, chunk] = c.key;
      const bool at_home = input_.volumes[volume].home == node;
      auto d = made(at_home ? decision_kind::stage : decision_kind::create, node, volume, chunk, 0);
      d.because = c.worth.reads.because;
      double reads = 0;
      std::size_t end = i;
      for (; end < candidates_.size(); ++end) {
        const candidate& next = candidates_[end];
        if (!next.chosen || next.shadow != none || next.key != row_key{node, volume, chunk + (end - i)} ||
            next.worth.reads.because != d.because)
          break;
        ++d.chunks;
        d.bytes += next.worth.bytes;
        d.saved_seconds_per_second += next.worth.saved_seconds_per_second;
        reads += next.worth.reads.per_second;
      }
      i = end - 1;
      d.reason =
          fmt::format("{}: {:.4f} reads/s expected x {:.2f} ms saved each = {:.6f} s of waiting saved per s; {} "
                      "to copy, {:.2f} s of the link",
                      to_string(d.because), reads, c.worth.saved_seconds_per_read * 1e3, d.saved_seconds_per_second,
                      in_mib(d.bytes), d.bytes / std::max(1.0, input_.nodes[node].copy_bytes_per_second));
      out_.decisions.push_back(std::move(d));
    }
  }

  void finish() {
    auto& d = out_.decisions;
    std::stable_sort(d.begin(), d.end(), [](const decision& a, const decision& b) {
      return std::tuple(a.kind != decision_kind::split, a.kind != decision_kind::drop, a.node, a.volume,
                        a.first_chunk) < std::tuple(b.kind != decision_kind::split, b.kind != decision_kind::drop,
                                                    b.node, b.volume, b.first_chunk);
    });
    if (d.size() > input_.options.decisions_max) {
      out_.left_out = d.size() - input_.options.decisions_max;
      d.resize(input_.options.decisions_max);
    }
    for (const auto& [key, m] : memory_)
      out_.memory.push_back(m);
  }

  static constexpr double forgotten_below = 0.1;
  const planner_input& input_;
  planner_index index_;
  std::vector<planner_chunk> rows_;
  std::map<row_key, std::size_t> present_;
  std::map<row_key, planner_memory> memory_;
  std::vector<candidate> candidates_; // in order of key
  plan_result out_;
};

} // namespace

std::string_view to_string(decision_kind kind) noexcept {
  switch (kind) {
  case decision_kind::create:
    return "create";
  case decision_kind::stage:
    return "stage";
  case decision_kind::merge:
    return "merge";
  case decision_kind::split:
    return "split";
  case decision_kind::drop:
    return "drop";
  case decision_kind::archive:
    return "archive";
  case decision_kind::recall:
    return "recall";
  case decision_kind::move:
    return "move";
  }
  return "?";
}

result<plan_result> plan(const planner_input& input) {
  if (auto ok = check(input); !ok)
    return tl::unexpected(ok.error());
  return planning(input).run();
}

std::string to_text(const planner_input& input, const decision& d) {
  return fmt::format("{} {} chunks {}-{} on {}{}: {}", to_string(d.kind), input.volumes[d.volume].name, d.first_chunk,
                     d.first_chunk + std::max<std::uint64_t>(1, d.chunks) - 1, input.nodes[d.node].name,
                     d.carried_out ? "" : " (advice)", d.reason);
}

} // namespace gnomon::forecasting
