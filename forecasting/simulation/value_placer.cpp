#include "forecasting/simulation/value_placer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "forecasting/planner/plan.hpp"

namespace gnomon::forecasting {
namespace {
constexpr double rate_kept_seconds = 20;    // a chunk's rate is computed anew after this
constexpr double fresh_memory = 0.98;       // per access
constexpr double price_memory = 0.99;       // per granule that gave way
constexpr double recency_from_seconds = 60; // below it one granule is as recent as another
constexpr double anything = std::numeric_limits<double>::max();
} // namespace

value_placer::value_placer(std::size_t capacity, const link_model& link, const value_options& options)
    : placement_policy(std::max<std::size_t>(1, capacity), link), options_(options), link_(link),
      coarse_(heat_classes * heat_classes * expected_classes),
      fine_(heat_classes * heat_classes * heat_classes * expected_classes) {
  store.on_outcome = [this](cache_item i, bool used) {
    if (used && store.kind_of(i) == prediction_kind::recurring)
      chunks_[i / per_chunk_].used += 1;
  };
}

namespace {
// Classes twice as wide as the one before: 0: below `least`.
std::size_t class_of(double value, double least, std::size_t classes) {
  if (value < least)
    return 0;
  return std::min(classes - 1, static_cast<std::size_t>(std::log2(value / least)) + 1);
}
} // namespace

std::array<std::size_t, 2> value_placer::situation(const chunk_state& c, double now) const {
  const double ago = now - c.last;
  const auto heat = [&](std::size_t k, double least) {
    return class_of(c.heat[k] * std::exp2(-ago / options_.half_life_seconds[k]), least, heat_classes);
  };
  const std::size_t recent = heat(0, 0.125), hours = heat(2, 0.25), days = heat(3, 0.5);
  const std::size_t expected = class_of(static_cast<double>(c.expected) * slot_seconds, 0.5, expected_classes);
  return {(recent * heat_classes + days) * expected_classes + expected,
          ((recent * heat_classes + hours) * heat_classes + days) * expected_classes + expected};
}

void value_placer::learn(chunk_state& c, double now) {
  for (outcome* o : {&coarse_[c.situation[0]], &fine_[c.situation[1]]}) {
    o->reads += c.since_tick;
    o->ticks += 1;
  }
  c.since_tick = 0;
  const auto at = situation(c, now);
  c.situation = {static_cast<std::uint16_t>(at[0]), static_cast<std::uint16_t>(at[1])};
}

void value_placer::grow(cache_item i) {
  if (i < reads_.size())
    return;
  const std::size_t chunks = std::max<std::size_t>(i / per_chunk_ + 1, chunks_.size() * 2);
  chunks_.resize(chunks);
  reads_.resize(chunks * per_chunk_);
  last_read_.resize(chunks * per_chunk_, -1e18);
  position_.resize(chunks * per_chunk_);
}

void value_placer::count(cache_item i, double now, bool counts_for_chunk, double part) {
  chunk_state& c = chunks_[i / per_chunk_];
  const double ago = now - c.last;
  for (std::size_t k = 0; k < c.heat.size(); ++k)
    c.heat[k] = c.heat[k] * std::exp2(-ago / options_.half_life_seconds[k]) + part;
  c.read_sum = c.read_sum * std::exp2(-ago / options_.granule_half_life_seconds) + part;
  c.since_tick += part;
  c.fresh *= fresh_memory;
  c.counted = c.counted * fresh_memory + 1;
  if (reads_[i] == 0) {
    c.fresh += 1;
    ++c.seen;
  }
  c.last = now;
  c.rated_at = -1e18;
  reads_[i] = static_cast<float>(
      static_cast<double>(reads_[i]) * std::exp2(-(now - last_read_[i]) / options_.granule_half_life_seconds) + part);
  last_read_[i] = now;
  if (c.today.empty()) {
    c.today.resize(slots_of_day);
    c.usual.resize(slots_of_day);
  }
  if (counts_for_chunk)
    c.today[static_cast<std::size_t>(now / slot_seconds) % slots_of_day] += 1;
}

void value_placer::rate(chunk_state& c, double now) const {
  const double ago = now - c.last;
  double recent = 0;
  for (std::size_t k = 0; k < c.heat.size(); ++k)
    recent += options_.weight[k] * c.heat[k] * std::exp2(-ago / options_.half_life_seconds[k]) * std::numbers::ln2 /
              options_.half_life_seconds[k];
  const double by_day = options_.recurring_weight * static_cast<double>(c.expected) * c.right / c.announced;
  c.recent = recent;
  c.rate = std::max(recent, by_day);
  if (options_.learned_from > 0) {
    const auto at = situation(c, now);
    const auto& coarse = coarse_[at[0]];
    const auto& fine = fine_[at[1]];
    const double prior = (coarse.reads + c.rate * options_.tick_seconds * options_.learned_from) /
                         (coarse.ticks + options_.learned_from);
    c.rate =
        (fine.reads + prior * options_.learned_from) / (fine.ticks + options_.learned_from) / options_.tick_seconds;
  }
  c.read_decay = std::exp2(-ago / options_.granule_half_life_seconds);
  c.rated_at = now;
}

double value_placer::worth(cache_item i, double now) {
  chunk_state& c = chunks_[i / per_chunk_];
  if (now - c.rated_at > rate_kept_seconds)
    rate(c, now);
  const double fresh = c.fresh / c.counted;
  if (reads_[i] == 0)
    return c.rate * fresh / static_cast<double>(per_chunk_ - c.seen + 1);
  const double ago = now - last_read_[i];
  const auto decay = static_cast<double>(std::exp2(static_cast<float>(-ago / options_.granule_half_life_seconds)));
  return (1 - fresh) * (c.rate * static_cast<double>(reads_[i]) * decay / (c.read_sum * c.read_decay) +
                        options_.recency_per_second / (ago + recency_from_seconds));
}

// Of a few granules drawn by chance the one worth least gives way, if it is worth less than this.
bool value_placer::make_room(double now, double worth_more_than) {
  if (store.used() < store.capacity())
    return true;
  cache_item least = no_item;
  double least_worth = anything;
  for (std::uint32_t k = 0; k < options_.looked_at; ++k) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const cache_item i = held_[random_ % held_.size()];
    if (store.arriving(i, now))
      continue;
    if (const double w = worth(i, now); w < least_worth) {
      least_worth = w;
      least = i;
    }
  }
  if (least == no_item)
    return false;
  price_ = price_memory * price_ + (1 - price_memory) * least_worth;
  if (least_worth >= worth_more_than)
    return false;
  held_[position_[least]] = held_.back();
  position_[held_.back()] = position_[least];
  held_.pop_back();
  store.drop(least);
  return true;
}

void value_placer::keep(cache_item i) {
  position_[i] = static_cast<std::uint32_t>(held_.size());
  held_.push_back(i);
}

// Copies what is worth it of a chunk, beginning with the granule `from` and going round.
void value_placer::copy_chunk(std::uint32_t chunk, std::uint32_t from, double now, prediction_kind kind) {
  for (std::uint32_t k = 0; k < per_chunk_; ++k) {
    const cache_item i = chunk * per_chunk_ + (from + k) % per_chunk_;
    if (store.holds(i))
      continue;
    const double w = worth(i, now);
    if (w < price_ * options_.gain_min)
      continue;
    if (store.backlogged(now) || !make_room(now, w / options_.gain_min))
      return;
    store.fetch(i, now, kind);
    keep(i);
    if (kind != prediction_kind::recurring)
      continue;
    auto& c = chunks_[chunk];
    if (c.copied > options_.trust_memory_granules) {
      c.copied /= 2;
      c.used /= 2;
    }
    c.copied += 1;
  }
}

void value_placer::read(const placed_read& r, granule_numbers& numbers) {
  per_chunk_ = numbers.per_chunk();
  numbers_ = &numbers;
  // A read is near only if all of it is: a granule of a long read has its part in that.
  const double part = std::pow(static_cast<double>(r.granules.size()), -options_.long_reads);
  for (std::size_t k = 0; k < r.granules.size(); ++k) {
    const cache_item i = r.granules[k];
    grow(i);
    count(i, r.now, k == 0 || i / per_chunk_ != r.granules[k - 1] / per_chunk_, part);
  }
  for (const cache_item i : r.granules)
    if (!store.holds(i) && make_room(r.now, anything)) {
      store.admit(i, r.there_at);
      keep(i);
    }
  for (std::size_t k = 0; k < r.granules.size(); k += per_chunk_)
    copy_chunk(r.granules[k] / per_chunk_, r.granules[k] % per_chunk_, r.now, prediction_kind::demand);
}

void value_placer::advance(double now) {
  if (now < next_tick_ || per_chunk_ == 0)
    return;
  next_tick_ = now + options_.tick_seconds;
  tick(now);
}

void value_placer::end_slot(chunk_state& c) const {
  const auto slot = static_cast<std::size_t>(slot_) % slots_of_day;
  const auto came = static_cast<double>(c.today[slot]);
  if (c.expected > 0) {
    const double expected = static_cast<double>(c.expected) * slot_seconds;
    c.right = c.right * 0.9 + std::min(came, expected);
    c.announced = c.announced * 0.9 + expected;
  }
  c.usual[slot] = static_cast<float>((1 - options_.recurring_learns) * static_cast<double>(c.usual[slot]) +
                                     options_.recurring_learns * came);
  c.today[slot] = 0;
}

// What the time of day lets expect, chunk by chunk.
void value_placer::tick(double now) {
  const auto slot = static_cast<std::int64_t>(now / slot_seconds);
  const double part = now / slot_seconds - static_cast<double>(slot);
  const auto usual = [&](const chunk_state& c, std::int64_t s) {
    return static_cast<double>(
        c.usual[static_cast<std::size_t>(s + static_cast<std::int64_t>(slots_of_day)) % slots_of_day]);
  };
  std::vector<std::uint32_t> wanted;
  for (std::uint32_t k = 0; k < numbers_->chunks() && k < chunks_.size(); ++k) {
    chunk_state& c = chunks_[k];
    if (c.usual.empty())
      continue;
    if (slot != slot_ && slot_ >= 0)
      end_slot(c);
    // A task begins a little earlier or later than yesterday: half of the neighbour's load is expected too.
    const double here = std::max(usual(c, slot), 0.5 * usual(c, slot - 1));
    const double next = std::max(usual(c, slot + 1), 0.5 * usual(c, slot));
    c.expected = static_cast<float>(((1 - part) * here + part * next) / slot_seconds);
    c.rated_at = -1e18;
    learn(c, now);
    if (c.expected > 0 && worth_copying(k, now) > 0)
      wanted.push_back(k);
  }
  slot_ = slot;
  if (!wanted.empty())
    plan_ahead(now, wanted);
}

std::uint32_t value_placer::worth_copying(std::uint32_t chunk, double now) {
  std::uint32_t count = 0;
  for (std::uint32_t k = 0; k < per_chunk_; ++k) {
    const cache_item i = chunk * per_chunk_ + k;
    count += !store.holds(i) && worth(i, now) >= price_ * options_.gain_min ? 1 : 0;
  }
  return count;
}

// Asks the planner which of these chunks are brought in, as a daemon would: the home is one node, this is the other.
void value_placer::plan_ahead(double now, const std::vector<std::uint32_t>& chunks) {
  constexpr std::uint32_t home = 0, here = 1;
  const double granule = simulated_granule_bytes;
  planner_input in;
  in.now_seconds = now;
  in.options.default_round_trip_seconds = 0; // part of what a read from the home takes
  in.nodes.resize(2);
  in.nodes[here].space_bytes = static_cast<double>(store.capacity()) * granule;
  in.nodes[here].copy_bytes_per_second = link_.ahead_bytes_per_second;
  in.nodes[here].stage_read_seconds = link_.near_seconds;
  std::map<std::uint32_t, std::uint32_t> volumes; // of the trace: of the input
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint32_t> number;
  for (const std::uint32_t k : chunks) {
    const auto& place = numbers_->chunk_at(k);
    const auto [v, is_new] = volumes.try_emplace(place.volume, static_cast<std::uint32_t>(in.volumes.size()));
    if (is_new) {
      auto& volume = in.volumes.emplace_back();
      volume.home = home;
      volume.chunk_bytes = granule * per_chunk_;
      volume.home_read_seconds = link_.far_seconds;
    }
    number[{v->second, place.chunk}] = k;
    auto& row = in.chunks.emplace_back();
    row.node = here;
    row.volume = v->second;
    row.chunk = place.chunk;
    row.reads_per_second = chunks_[k].recent;
    row.expected_reads[static_cast<std::size_t>(prediction_kind::recurring)] = chunks_[k].rate;
    row.useful_share = static_cast<double>(worth_copying(k, now)) / per_chunk_;
    row.last_access_seconds = std::max(0.0, chunks_[k].last);
    for (const std::uint64_t of : {place.chunk, planner_trust::all_chunks})
      in.trust.push_back({v->second, of, prediction_kind::recurring, chunks_[k].copied, chunks_[k].used});
  }
  const auto planned = plan(in);
  if (!planned)
    return;
  for (const auto& d : planned->decisions)
    for (std::uint64_t c = 0; d.kind == decision_kind::create && c < d.chunks; ++c)
      copy_chunk(number.at({d.volume, d.first_chunk + c}), 0, now, prediction_kind::recurring);
}

} // namespace gnomon::forecasting
