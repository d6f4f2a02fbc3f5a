// Where a gateway's read goes, chosen in the ring, per request: predicted hot for this instance, and shadowed -> the
// shadow; else the primary. Owns the published form of a prediction (an immutable bitmap per instance of one volume), the
// latency of both sides, and the counts of what was chosen, by instance. Nothing here locks or allocates; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "config/settings/settings.hpp"
#include "io/measure/observation.hpp"
#include "io/types.hpp"

namespace gnomon::io {

// Immutable once published. An instance without a set of its own (it is new, or nothing of it is known yet) has that of
// all the volume's readers together; while nothing at all is known of the volume, every chunk counts as hot, since
// nothing contradicts it.
class predicted_reads {
public:
  static constexpr std::size_t instances_max = 256; // of one volume; the others have the volume's set
  using bitmap = std::vector<std::uint64_t>;        // chunk n: bit n % 64 of word n / 64

  predicted_reads(byte_count chunk, std::vector<std::pair<instance_slot, bitmap>> instances, bitmap everybody)
      : chunk_bytes_(chunk.value), everybody_(std::move(everybody)) {
    if (instances.size() > instances_max)
      instances.resize(instances_max);
    place_.fill(0);
    for (auto& [slot, bits] : instances) {
      auto at = first_place(slot);
      while (place_[at] != 0)
        at = (at + 1) % places;
      slots_.push_back(slot.value);
      bits_.push_back(std::move(bits));
      place_[at] = static_cast<std::uint16_t>(slots_.size());
    }
  }
  std::size_t bytes() const noexcept {
    std::size_t words = everybody_.size() + slots_.size();
    for (const auto& one : bits_)
      words += one.size();
    return words * sizeof(std::uint64_t) + sizeof *this;
  }

  // Every chunk of the range is predicted hot.
  bool is_hot(instance_slot who, std::uint64_t offset, std::uint64_t length) const noexcept {
    const bitmap& bits = set_of(who);
    const std::uint64_t last = length == 0 ? offset : offset + length - 1;
    for (std::uint64_t c = offset / chunk_bytes_; c <= last / chunk_bytes_; ++c)
      if (c / 64 >= bits.size() || (bits[c / 64] >> (c % 64) & 1) == 0)
        return false;
    return true;
  }

private:
  static constexpr std::size_t places = 4 * instances_max;
  static std::size_t first_place(instance_slot who) noexcept { return who.value * 0x9e3779b1u >> 22; }
  const bitmap& set_of(instance_slot who) const noexcept {
    for (auto at = first_place(who); place_[at] != 0; at = (at + 1) % places)
      if (slots_[place_[at] - 1u] == who.value)
        return bits_[place_[at] - 1u];
    return everybody_;
  }

  const std::uint64_t chunk_bytes_;
  std::array<std::uint16_t, places> place_; // by slot: 1 + its index in slots_ and bits_; 0: free
  std::vector<std::uint32_t> slots_;
  std::vector<bitmap> bits_;
  const bitmap everybody_;
};

// A moving median of latencies: each sample moves it by a thirty-second towards itself.
class latency_median {
public:
  void add(std::uint64_t ns) noexcept {
    const auto seen = ns_.load(std::memory_order_relaxed);
    const auto count = count_.load(std::memory_order_relaxed);
    if (count < samples_min)
      count_.store(count + 1, std::memory_order_relaxed);
    if (seen == 0)
      return ns_.store(std::max<std::uint64_t>(ns, 1), std::memory_order_relaxed);
    const auto step = std::max<std::uint64_t>(seen / 32, 1);
    ns_.store(ns > seen ? seen + step : seen > step ? seen - step : 1, std::memory_order_relaxed);
  }
  bool known() const noexcept { return count_.load(std::memory_order_relaxed) >= samples_min; }
  std::uint64_t ns() const noexcept { return ns_.load(std::memory_order_relaxed); }

private:
  static constexpr std::uint32_t samples_min = 16;
  std::atomic<std::uint64_t> ns_{0};
  std::atomic<std::uint32_t> count_{0};
};

// Reads of one instance, by where they went and why.
struct read_counters {
  std::atomic<std::uint64_t> near{0}; // from the shadow
  std::atomic<std::uint64_t> far{0};  // at the home
  std::atomic<std::uint64_t> not_predicted{0}, no_shadow{0}, not_valid{0}, no_lease{0}, slower{0}, overtaken{0},
      device_failed{0};                                 // the reasons of those at the home
  std::atomic<std::uint64_t> near_ns{0}, far_ns{0};     // spent, each side
};
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
  counter.fetch_add(by, std::memory_order_relaxed);
}

// The counters of a volume's instances: a fixed table, filled as they come; the last entry is for those that find no place.
class read_counter_table {
public:
  static constexpr std::size_t instances_max = 64;
  static constexpr std::size_t tries_max = 8;

  read_counters& of(instance_slot who) noexcept {
    const std::uint64_t key = std::uint64_t{who.value} + 1;
    for (std::size_t i = 0; i < tries_max; ++i) {
      const std::size_t at = (who.value + i) % instances_max;
      auto seen = keys_[at].load(std::memory_order_relaxed);
      if (seen == key ||
          (seen == 0 && (keys_[at].compare_exchange_strong(seen, key, std::memory_order_relaxed) || seen == key)))
        return counters_[at];
    }
    return others_;
  }
  // Each instance with its counters; a slot of none for the others.
  void each(auto&& with) const {
    for (std::size_t at = 0; at < instances_max; ++at)
      if (const auto key = keys_[at].load(std::memory_order_relaxed); key != 0)
        with(std::optional(instance_slot{static_cast<std::uint32_t>(key - 1)}), counters_[at]);
    with(std::optional<instance_slot>{}, others_);
  }

private:
  std::array<std::atomic<std::uint64_t>, instances_max> keys_{}; // 0: free; beside each other, for the search
  std::array<read_counters, instances_max> counters_;
  read_counters others_;
};

// Which of the two sides a read that both could serve goes to, by rule and by what the sides took lately.
class read_choice {
public:
  static constexpr std::uint64_t near_probe_every = 64; // while the shadow loses
  static constexpr std::uint64_t far_probe_every = 512; // while it wins

  enum class side : std::uint8_t { shadow, not_predicted, slower };

  explicit read_choice(redirect_rule rule) noexcept : rule_(rule) {}
  side choose(const predicted_reads* predicted, instance_slot who, std::uint64_t offset,
              std::uint64_t length) noexcept {
    if (rule_ == redirect_rule::predicted)
      return predicted == nullptr || predicted->is_hot(who, offset, length) ? side::shadow : side::not_predicted;
    const auto number = asked_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (near.known() && far.known() && near.ns() > far.ns())
      return number % near_probe_every == 0 ? side::shadow : side::slower;
    return number % far_probe_every == 0 ? side::slower : side::shadow;
  }
  latency_median near, far;

private:
  const redirect_rule rule_;
  std::atomic<std::uint64_t> asked_{0};
};

} // namespace gnomon::io
