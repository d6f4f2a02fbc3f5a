#include "forecasting/heat/access_mix.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {
namespace {

constexpr double weight_max = 1u << 20; // then everything is scaled down
constexpr double share_min = 0.001;
constexpr double counts_max = 1e15;

bool is_count(double v) { return std::isfinite(v) && v >= 0 && v <= counts_max; }

} // namespace

double access_mix::weight_at(double time_seconds) {
  if (newest_seconds_ == 0)
    origin_seconds_ = time_seconds;
  newest_seconds_ = std::max(newest_seconds_, time_seconds);
  double weight = std::exp2((newest_seconds_ - origin_seconds_) / half_life_seconds);
  if (weight > weight_max) {
    rescale(1 / weight);
    origin_seconds_ = newest_seconds_;
    weight = 1;
  }
  return weight;
}

void access_mix::rescale(double by) {
  all_ *= by;
  for (auto& [instance, requests] : instances_)
    requests *= by;
  std::erase_if(instances_, [](const auto& one) { return one.second < 1e-9; });
  for (auto& [chunk, counts] : chunks_) {
    counts.all *= static_cast<float>(by);
    for (auto& one : counts.busiest)
      one.requests *= static_cast<float>(by);
  }
  std::erase_if(chunks_, [](const auto& one) { return one.second.all < 1e-9F; });
  for (auto& hour : by_hour_)
    hour.reads *= by, hour.all *= by;
}

bool access_mix::alone() const {
  for (const auto& [instance, requests] : instances_)
    if (requests >= alone_share * all_)
      return true;
  return false;
}

void access_mix::add(double time_seconds, chunk_index chunk, std::uint32_t instance, double reads, double writes) {
  if (!(std::abs(time_seconds) <= time_seconds_max) || time_seconds <= 0 || !is_count(reads) || !is_count(writes) ||
      reads + writes == 0)
    return;
  const double weight = weight_at(time_seconds);
  const double requests = weight * (reads + writes);
  const double of_day = newest_seconds_ - std::floor(newest_seconds_ / day) * day;
  auto& hour = by_hour_[std::min(static_cast<std::size_t>(of_day / gnomon::forecasting::hour), hours - 1)];
  hour.reads = std::min(hour.reads + weight * reads, counts_max * weight_max);
  hour.all = std::min(hour.all + requests, counts_max * weight_max);
  all_ = std::min(all_ + requests, counts_max * weight_max);
  if (instances_.size() >= instances_max && !instances_.contains(instance))
    instances_.erase(std::min_element(instances_.begin(), instances_.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; }));
  auto& mine = instances_[instance];
  mine = std::min(mine + requests, counts_max * weight_max);
  if (instances_.size() == 1 || (chunks_.empty() && alone()))
    return;
  if (chunks_.size() >= chunks_max && !chunks_.contains(chunk.value))
    return;
  auto& counts = chunks_[chunk.value];
  counts.all += static_cast<float>(requests);
  counted* least = &counts.busiest[0];
  for (auto& one : counts.busiest) {
    if (one.requests > 0 && one.instance == instance) {
      one.requests += static_cast<float>(requests);
      return;
    }
    if (one.requests < least->requests)
      least = &one;
  }
  if (least->requests <= static_cast<float>(requests))
    *least = {instance, static_cast<float>(requests)};
}

std::vector<access_mix::instance_share> access_mix::instances() const {
  std::vector<instance_share> out;
  for (const auto& [instance, requests] : instances_)
    if (all_ > 0 && requests >= share_min * all_)
      out.push_back({instance, std::min(1.0, requests / all_)});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.share != b.share ? a.share > b.share : a.instance < b.instance;
  });
  return out;
}

double access_mix::share(chunk_index chunk, std::uint32_t instance) const {
  const auto known = instances_.find(instance);
  const double of_volume = known != instances_.end() && all_ > 0 ? std::min(1.0, known->second / all_) : 0;
  const auto found = chunks_.find(chunk.value);
  if (found == chunks_.end() || !(found->second.all > 0))
    return of_volume;
  double rest = static_cast<double>(found->second.all);
  for (const auto& one : found->second.busiest) {
    if (one.requests > 0 && one.instance == instance)
      return std::min(1.0, static_cast<double>(one.requests / found->second.all));
    rest -= static_cast<double>(one.requests);
  }
  return std::clamp(rest / static_cast<double>(found->second.all), 0.0, 1.0) * of_volume;
}

std::array<float, access_mix::hours> access_mix::read_share_by_hour() const {
  std::array<float, hours> out{};
  for (std::size_t h = 0; h < hours; ++h)
    out[h] = by_hour_[h].all > 0 ? static_cast<float>(std::min(1.0, by_hour_[h].reads / by_hour_[h].all)) : -1.0F;
  return out;
}

std::size_t access_mix::bytes() const {
  constexpr std::size_t node = 32; // of an unordered_map, its share of the buckets included
  return sizeof *this + chunks_.size() * (sizeof(chunk_counts) + sizeof(std::uint64_t) + node) +
         instances_.size() * (sizeof(double) + sizeof(std::uint32_t) + node);
}

// [magic, version, origin, newest, all, 24 x {reads, all}, instances, per instance {number, requests}, chunks, per
//  chunk {chunk, all, 4 x {instance, requests}}]
arma::vec access_mix::to_numbers() const {
  std::vector<double> out = {magic, version, origin_seconds_, newest_seconds_, all_};
  for (const auto& hour : by_hour_)
    out.push_back(hour.reads), out.push_back(hour.all);
  out.push_back(static_cast<double>(instances_.size()));
  for (const auto& [instance, requests] : instances_)
    out.push_back(instance), out.push_back(requests);
  out.push_back(static_cast<double>(chunks_.size()));
  for (const auto& [chunk, counts] : chunks_) {
    out.push_back(static_cast<double>(chunk));
    out.push_back(static_cast<double>(counts.all));
    for (const auto& one : counts.busiest)
      out.push_back(one.instance), out.push_back(static_cast<double>(one.requests));
  }
  return arma::vec(out);
}

result<access_mix> access_mix::from_numbers(const arma::vec& numbers) {
  arma::uword at = 0;
  bool good = numbers.is_finite();
  const auto next = [&](double most) {
    const double v = good && at < numbers.n_elem ? numbers(at++) : -1;
    good = good && v >= 0 && v <= most;
    return good ? v : 0;
  };
  const auto damaged = [] {
    return fail(errc::corrupt, "a mix of accesses that is cut short, too long or out of range");
  };
  if (numbers.n_elem < 2 || numbers(0) != magic)
    return fail(errc::corrupt, "not a mix of accesses");
  if (numbers(1) != version)
    return fail(errc::unsupported, "a mix of accesses of another version");
  at = 2;
  constexpr double requests_max = counts_max * weight_max, number_max = 4294967295.0;
  access_mix out;
  out.origin_seconds_ = next(time_seconds_max);
  out.newest_seconds_ = next(time_seconds_max);
  out.all_ = next(requests_max);
  for (auto& hour : out.by_hour_)
    hour.reads = next(requests_max), hour.all = next(requests_max);
  for (double left = next(static_cast<double>(instances_max)); good && left > 0; --left) {
    const auto instance = static_cast<std::uint32_t>(next(number_max));
    out.instances_[instance] = next(requests_max);
  }
  for (double left = next(static_cast<double>(chunks_max)); good && left > 0; --left) {
    auto& counts = out.chunks_[static_cast<std::uint64_t>(next(9e15))];
    counts.all = static_cast<float>(next(1e38));
    for (auto& one : counts.busiest) {
      one.instance = static_cast<std::uint32_t>(next(number_max));
      one.requests = static_cast<float>(next(1e38));
    }
  }
  if (!good || at != numbers.n_elem || out.origin_seconds_ > out.newest_seconds_)
    return damaged();
  return out;
}

} // namespace gnomon::forecasting
