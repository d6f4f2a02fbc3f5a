// One bit per granule over memory that belongs to somebody else (shared memory, a vector): what rings set and test and
// the control side scans. Any thread; nothing locks or allocates. A bit that is set stays set until clear() or take().
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <span>

#include "config/types.hpp"

namespace gnomon::io {

class granule_bits {
public:
  using word = std::atomic<std::uint64_t>;
  static constexpr std::uint64_t bits_per_word = 64;
  static constexpr std::uint64_t words_for(std::uint64_t granules) noexcept {
    return (granules + bits_per_word - 1) / bits_per_word;
  }

  granule_bits() = default;
  granule_bits(std::span<word> words, std::uint64_t granules) : words_(words), granules_(granules) {
    assert(words.size() >= words_for(granules));
  }
  explicit operator bool() const noexcept { return !words_.empty(); }
  std::uint64_t granules() const noexcept { return granules_; }

  bool test(std::uint64_t granule) const noexcept {
    return (words_[granule / bits_per_word].load(std::memory_order_acquire) >> (granule % bits_per_word) & 1) != 0;
  }
  // Sets those of [first, first + count) that are clear. A load where nothing is to be done.
  void set(std::uint64_t first, std::uint64_t count) noexcept {
    each_word(first, count, [](word& w, std::uint64_t mask) {
      if ((w.load(std::memory_order_relaxed) & mask) != mask)
        w.fetch_or(mask, std::memory_order_seq_cst);
    });
  }
  void clear(std::uint64_t first, std::uint64_t count) noexcept {
    each_word(first, count, [](word& w, std::uint64_t mask) { w.fetch_and(~mask, std::memory_order_seq_cst); });
  }
  void clear() noexcept { clear(0, granules_); }
  bool any(std::uint64_t first, std::uint64_t count) const noexcept { return next(first, first + count) < first + count; }
  bool all(std::uint64_t first, std::uint64_t count) const noexcept {
    return next_clear(first, first + count) == first + count;
  }
  // *this = *this OR other. Both of one length.
  void merge(const granule_bits& other) noexcept {
    for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
      if (const auto set = other.words_[i].load(std::memory_order_acquire))
        words_[i].fetch_or(set, std::memory_order_seq_cst);
  }

  // The first set bit of [from, end), or `end`.
  std::uint64_t next(std::uint64_t from, std::uint64_t end) const noexcept { return find(from, end, 0); }
  std::uint64_t next_clear(std::uint64_t from, std::uint64_t end) const noexcept { return find(from, end, ~std::uint64_t{0}); }
  std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& w : words_)
      sum += static_cast<std::uint64_t>(std::popcount(w.load(std::memory_order_relaxed)));
    return sum;
  }
  std::span<word> words() const noexcept { return words_; }

private:
  template <class F>
  void each_word(std::uint64_t first, std::uint64_t count, F f) noexcept {
    assert(first + count <= granules_);
    while (count > 0) {
      const std::uint64_t low = first % bits_per_word;
      const std::uint64_t here = count < bits_per_word - low ? count : bits_per_word - low;
      const std::uint64_t ones = here == bits_per_word ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1;
      f(words_[first / bits_per_word], ones << low);
      first += here, count -= here;
    }
  }
  std::uint64_t find(std::uint64_t from, std::uint64_t end, std::uint64_t flip) const noexcept {
    while (from < end) {
      const std::uint64_t rest =
          (words_[from / bits_per_word].load(std::memory_order_acquire) ^ flip) >> (from % bits_per_word);
      if (rest != 0) {
        const std::uint64_t found = from + static_cast<std::uint64_t>(std::countr_zero(rest));
        return found < end ? found : end;
      }
      from = (from / bits_per_word + 1) * bits_per_word;
    }
    return end;
  }

  std::span<word> words_;
  std::uint64_t granules_ = 0;
};

} // namespace gnomon::io
