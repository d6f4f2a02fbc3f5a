#include "forecasting/board/board_builder.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::forecasting {
namespace {

constexpr std::size_t node_overhead_bytes = 128; // map node, two control blocks
constexpr std::size_t chunks_kept_min = 64;      // of a heat map that has to shrink

const std::shared_ptr<const load_outlook>& no_load() {
  static const auto none = std::make_shared<const load_outlook>();
  return none;
}
const std::shared_ptr<const heat_outlook>& no_heat() {
  static const auto none = std::make_shared<const heat_outlook>();
  return none;
}

std::size_t bytes_of(const volume_outlook& volume) {
  return sizeof volume + node_overhead_bytes + volume.name.value.size() + bytes_of(*volume.load) +
         bytes_of(*volume.heat);
}
std::size_t bytes_of(const instance_outlook& one) {
  return sizeof one + node_overhead_bytes + one.instance.value.size() + one.application.size() + bytes_of(*one.load) +
         bytes_of(*one.heat);
}

template <class Number>
void make_finite(Number& x) {
  if (!std::isfinite(x))
    x = 0;
}

void make_finite(load_outlook& load) {
  make_finite(load.fitted_seconds);
  if (load.horizons.size() > board_horizons_max)
    load.horizons.resize(board_horizons_max);
  for (auto& horizon : load.horizons) {
    for (auto& one : horizon.load)
      make_finite(one.per_second), make_finite(one.low), make_finite(one.high);
    make_finite(horizon.accuracy.served_mase), make_finite(horizon.accuracy.naive_mase);
    make_finite(horizon.burst.threshold_per_second), make_finite(horizon.burst.chance);
  }
  if (load.ahead.per_second.size() > board_slots_max)
    load.ahead.per_second.resize(board_slots_max);
  make_finite(load.ahead.start_seconds), make_finite(load.ahead.step_seconds), make_finite(load.ahead.mean_per_second);
  for (auto& slot : load.ahead.per_second)
    make_finite(slot);
  for (auto* windows : {&load.quiet, &load.busy}) {
    if (windows->size() > board_windows_max)
      windows->resize(board_windows_max);
    for (auto& w : *windows)
      make_finite(w.start_seconds), make_finite(w.end_seconds), make_finite(w.requests),
          make_finite(w.fraction_of_mean);
  }
}

void make_finite(heat_outlook& heat) {
  make_finite(heat.as_of_seconds);
  if (heat.hot_sets.size() > board_horizons_max)
    heat.hot_sets.resize(board_horizons_max);
  for (auto& set : heat.hot_sets) {
    make_finite(set.recall), make_finite(set.windows_scored);
    for (auto& chunk : set.chunks)
      make_finite(chunk.expected_requests), make_finite(chunk.expected_read_bytes), make_finite(chunk.trust);
  }
  for (auto& chunk : heat.chunks) {
    make_finite(chunk.reads_per_second), make_finite(chunk.requests_per_second);
    make_finite(chunk.trend_factor), make_finite(chunk.read_share), make_finite(chunk.last_access_seconds);
  }
  for (auto& share : heat.read_share_by_hour)
    make_finite(share);
}

// A part of a load: everything but its shape in time is in proportion.
std::shared_ptr<const load_outlook> scaled(const load_outlook& load, double share) {
  if (load.horizons.empty())
    return no_load();
  auto out = std::make_shared<load_outlook>(load);
  out->ahead = {};
  for (auto& horizon : out->horizons) {
    for (auto& one : horizon.load)
      one = {one.per_second * share, one.low * share, one.high * share};
    horizon.burst.threshold_per_second *= share;
  }
  for (auto* windows : {&out->quiet, &out->busy})
    for (auto& window : *windows)
      window.requests *= share;
  return out;
}

// The `kept` warmest chunks, again by chunk.
heat_outlook warmest(const heat_outlook& from, std::size_t kept) {
  heat_outlook out = from;
  if (out.chunks.size() <= kept)
    return out;
  std::nth_element(out.chunks.begin(), out.chunks.begin() + static_cast<std::ptrdiff_t>(kept), out.chunks.end(),
                   [](const auto& a, const auto& b) { return a.requests_per_second > b.requests_per_second; });
  out.chunks_left_out += out.chunks.size() - kept;
  out.chunks.resize(kept);
  out.chunks.shrink_to_fit();
  std::sort(out.chunks.begin(), out.chunks.end(), [](const auto& a, const auto& b) { return a.chunk < b.chunk; });
  return out;
}

// Adds up expectations; bounds as those of independent loads: their distances by squares.
class sum_of_outlooks {
public:
  void add(const load_outlook& load) {
    if (load.fitted_seconds == 0 || load.horizons.empty())
      return;
    ++sum_.subjects;
    sum_.oldest_seconds =
        sum_.subjects == 1 ? load.fitted_seconds : std::min(sum_.oldest_seconds, load.fitted_seconds);
    for (const auto& horizon : load.horizons) {
      auto& to = totals_[horizon.ahead_seconds];
      ++to.parts;
      for (std::size_t i = 0; i < board_load_count; ++i) {
        const auto& one = horizon.load[i];
        to.expected[i] += one.per_second;
        to.below[i] += (one.per_second - one.low) * (one.per_second - one.low);
        to.above[i] += (one.high - one.per_second) * (one.high - one.per_second);
      }
      if (to.parts == 1 || horizon.accuracy.served_mase > to.worst.accuracy.served_mase)
        to.worst.accuracy = horizon.accuracy;
      if (to.parts == 1 || horizon.burst.chance > to.worst.burst.chance)
        to.worst.burst = horizon.burst;
    }
  }
  load_sum take(std::string name) {
    sum_.name = std::move(name);
    for (const auto& [ahead, total] : totals_) {
      load_horizon out = total.worst;
      out.ahead_seconds = ahead;
      for (std::size_t i = 0; i < board_load_count; ++i)
        out.load[i] = {total.expected[i], std::max(0.0, total.expected[i] - std::sqrt(total.below[i])),
                       total.expected[i] + std::sqrt(total.above[i])};
      sum_.horizons.push_back(out);
    }
    return std::move(sum_);
  }

private:
  struct total {
    std::size_t parts = 0;
    std::array<double, board_load_count> expected{}, below{}, above{};
    load_horizon worst;
  };
  load_sum sum_;
  std::map<double, total> totals_; // by time ahead
};

} // namespace

std::size_t bytes_of(const load_outlook& load) noexcept {
  return sizeof load + load.horizons.capacity() * sizeof(load_horizon) +
         load.ahead.per_second.capacity() * sizeof(float) +
         (load.quiet.capacity() + load.busy.capacity()) * sizeof(board_window);
}

std::size_t bytes_of(const heat_outlook& heat) noexcept {
  std::size_t bytes = sizeof heat + heat.chunks.capacity() * sizeof(chunk_outlook) +
                      heat.hot_sets.capacity() * sizeof(hot_set_outlook);
  for (const auto& set : heat.hot_sets)
    bytes += set.chunks.capacity() * sizeof(hot_chunk_outlook);
  return bytes;
}

template <class Key, class Outlook>
void board_builder::replace(std::map<Key, std::shared_ptr<const Outlook>>& in, const Key& key, Outlook with) {
  auto& slot = in[key];
  if (slot)
    bytes_ -= bytes_of(*slot);
  slot = std::make_shared<const Outlook>(std::move(with));
  bytes_ += bytes_of(*slot);
  changed_ = true;
  if (bytes_ > limits_.bytes)
    fit_bytes();
}

result<void> board_builder::put(volume_uuid uuid, const volume_name& name, byte_count size, byte_count chunk_size) {
  const auto known = volumes_.find(uuid);
  if (known == volumes_.end() && volumes_.size() >= limits_.volumes) {
    ++refused_;
    return fail(errc::limit_reached,
                "the prediction board holds " + std::to_string(limits_.volumes) + " volumes at most");
  }
  if (known == volumes_.end()) {
    replace(volumes_, uuid, volume_outlook{uuid, name, size, chunk_size, no_load(), no_heat()});
    return {};
  }
  const auto& now = *known->second;
  if (now.name == name && now.size == size && now.chunk_size == chunk_size)
    return {};
  // Another chunk size: chunks of the former one mean nothing any more.
  replace(
      volumes_, uuid,
      volume_outlook{uuid, name, size, chunk_size, now.load, now.chunk_size == chunk_size ? now.heat : no_heat()});
  return {};
}

result<void> board_builder::put(volume_uuid volume, load_outlook load) {
  const auto known = volumes_.find(volume);
  if (known == volumes_.end())
    return fail(errc::not_found, "volume " + volume.to_string() + " is not on the prediction board");
  make_finite(load);
  auto next = *known->second;
  next.load = std::make_shared<const load_outlook>(std::move(load));
  for (auto at = instances_.lower_bound({volume, {}}); at != instances_.end() && at->first.first == volume; ++at) {
    auto user = *at->second;
    bytes_ -= bytes_of(user);
    user.load = scaled(*next.load, user.share);
    bytes_ += bytes_of(user);
    at->second = std::make_shared<const instance_outlook>(std::move(user));
  }
  replace(volumes_, volume, std::move(next));
  return {};
}

result<void> board_builder::put(volume_uuid volume, heat_outlook heat) {
  const auto known = volumes_.find(volume);
  if (known == volumes_.end())
    return fail(errc::not_found, "volume " + volume.to_string() + " is not on the prediction board");
  make_finite(heat);
  auto next = *known->second;
  next.heat = std::make_shared<const heat_outlook>(std::move(heat));
  replace(volumes_, volume, next);
  if (bytes_ <= limits_.bytes)
    return {};
  next.heat = no_heat();
  replace(volumes_, volume, std::move(next));
  return no_memory();
}

result<void> board_builder::put(volume_uuid volume, std::vector<user> users) {
  const auto known = volumes_.find(volume);
  if (known == volumes_.end())
    return fail(errc::not_found, "volume " + volume.to_string() + " is not on the prediction board");
  erase_users(volume);
  for (auto& one : users) {
    const pair_key key{volume, one.instance};
    if (!instances_.contains(key) && instances_.size() >= limits_.instances) {
      ++refused_;
      return fail(errc::limit_reached, "the prediction board holds " + std::to_string(limits_.instances) +
                                           " instances of volumes at most");
    }
    make_finite(one.heat);
    make_finite(one.share);
    replace(instances_, key,
            instance_outlook{one.instance, std::move(one.application), volume, one.share,
                             scaled(*known->second->load, one.share),
                             std::make_shared<const heat_outlook>(std::move(one.heat))});
    if (bytes_ <= limits_.bytes)
      continue;
    const auto put = instances_.find(key);
    bytes_ -= bytes_of(*put->second);
    instances_.erase(put);
    return no_memory();
  }
  return {};
}

result<void> board_builder::no_memory() {
  ++refused_;
  return fail(errc::limit_reached,
              "the prediction board may hold " + std::to_string(limits_.bytes) + " bytes and is full");
}

void board_builder::erase(volume_uuid volume) {
  erase_users(volume);
  const auto known = volumes_.find(volume);
  if (known == volumes_.end())
    return;
  bytes_ -= bytes_of(*known->second);
  volumes_.erase(known);
  changed_ = true;
}

void board_builder::erase_users(volume_uuid volume) {
  for (auto at = instances_.lower_bound({volume, {}}); at != instances_.end() && at->first.first == volume;) {
    bytes_ -= bytes_of(*at->second);
    at = instances_.erase(at);
    changed_ = true;
  }
}

// Halves the longest heat maps until everything fits: all maps longer than a length that falls are cut to it.
void board_builder::fit_bytes() {
  std::size_t longest = 0;
  for (const auto& [uuid, volume] : volumes_)
    longest = std::max(longest, volume->heat->chunks.size());
  while (bytes_ > limits_.bytes - limits_.bytes / 16 && longest > chunks_kept_min) {
    longest = std::max(chunks_kept_min, longest / 2);
    for (auto& [uuid, volume] : volumes_) {
      if (volume->heat->chunks.size() <= longest)
        continue;
      auto next = *volume;
      next.heat = std::make_shared<const heat_outlook>(warmest(*volume->heat, longest));
      bytes_ -= bytes_of(*volume);
      bytes_ += bytes_of(next);
      volume = std::make_shared<const volume_outlook>(std::move(next));
    }
  }
}

std::shared_ptr<const prediction_board> board_builder::build(double now_seconds, std::string node_name) {
  prediction_board::volume_list volumes;
  prediction_board::instance_list instances;
  volumes.reserve(volumes_.size());
  instances.reserve(instances_.size());
  sum_of_outlooks node;
  std::map<std::string, sum_of_outlooks> by_application;
  for (const auto& [uuid, volume] : volumes_) {
    volumes.push_back(volume);
    node.add(*volume->load);
  }
  for (const auto& [key, one] : instances_) {
    instances.push_back(one);
    if (!one->application.empty())
      by_application[one->application].add(*one->load);
  }
  std::vector<load_sum> applications;
  for (auto& [name, sum] : by_application)
    applications.push_back(sum.take(name));
  changed_ = false;
  return std::make_shared<const prediction_board>(now_seconds, bytes_, std::move(volumes), std::move(instances),
                                                  node.take(std::move(node_name)), std::move(applications));
}

} // namespace gnomon::forecasting
