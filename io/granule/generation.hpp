// A volume's generation: one atomic word {number, hold bit} and, per ring, how many requests are in flight in the
// current and in the previous generation. It answers one question: is everything that began before a change over?
//
// Rings call enter/leave/park/unpark/expire (each ring only with its own index; a request leaves on the ring it
// entered on). The control side (advance, advance_and_hold, release, outcome) is one thread at a time. drained() and
// the observers: any thread. Nothing here locks, allocates (but a volume's first hold) or blocks.
//
// Why nobody is missed (Dekker). A ring counts itself (C), then looks at the word again (L). The control side changes
// the word (W), then reads the counters (R). All four are sequentially consistent, so they have one order: if R comes
// before C, then W < R < C < L and L sees the change: the ring takes its count back and tries again. Otherwise R sees
// the count. On x86 the price is the one lock-prefixed add of C; W and R are rare, L is a plain load, and leave() is
// a plain store. A ring caught between C and L counts for a moment in a generation that it does not join; that can
// only make drained() say "not yet" once too often, never "yes" too early.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>

#include "config/clock.hpp"
#include "config/types.hpp"
#include "io/ring/wake.hpp"

namespace gnomon::io {

// Names one hold of a group cut between nodes; chosen by the coordinator, never reused.
using hold_id = strong_integer<struct hold_id_tag>;

// What became of a hold. `released` = it lasted until the release, so the cut is good; `expired` = the deadline won.
enum class hold_outcome : std::uint8_t { holding, released, expired };

// What a hold answers when it begins.
struct held_report {
  generation_number cut; // the generation that began with the hold: what entered before is in the point in time
  boot_time since;       // when new changes began to wait
  boot_time deadline;    // when the hold ends by itself
};

// Whether a request may go on while new writes are held. Writes, trims and zeroings park; reads and flushes pass.
enum class hold_rule : std::uint8_t { park, pass };

class generation_gate {
public:
  static constexpr std::size_t holds_remembered_max = 64; // outcomes kept for repeats; older ones are forgotten

  struct entry {
    generation_number generation;
    bool held; // not counted: park(), do not leave()
  };

  struct hold_result {
    enum class status : std::uint8_t { held, repeated, busy };
    status what;
    generation_number generation; // held, repeated: the generation that began with the hold
    hold_outcome outcome;         // repeated: as recorded
  };

  // Starts at generation 1. `wake` is called for each ring that has parked requests when a hold ends.
  explicit generation_gate(std::uint32_t ring_count, ring_waker wake = {})
      : rings_(std::make_unique<per_ring[]>(ring_count)), ring_count_(ring_count), wake_(wake) {
    assert(ring_count > 0 && ring_count <= rings_max);
  }
  generation_gate(const generation_gate&) = delete;
  generation_gate& operator=(const generation_gate&) = delete;

  // --- rings

  // Counts a request into the generation it finds. With hold_rule::park and the hold bit set it is not counted.
  [[nodiscard]] entry enter(ring_index ring, hold_rule rule = hold_rule::park) noexcept {
    // pass ignores the hold bit altogether, so that a hold's end does not make it retry.
    const std::uint64_t seen_bits = rule == hold_rule::park ? ~std::uint64_t{0} : ~hold_bit;
    std::uint64_t word = word_.load(std::memory_order_relaxed) & seen_bits;
    for (;;) {
      if ((word & hold_bit) != 0)
        return {number_of(word), true};
      auto& count = slot(ring, number_of(word));
      count.fetch_add(1, std::memory_order_seq_cst);                                 // C
      const std::uint64_t again = word_.load(std::memory_order_seq_cst) & seen_bits; // L
      if (again == word)
        return {number_of(word), false};
      count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release); // never joined
      word = again;
    }
  }

  // Ends what enter() counted. Release: see drained(). Single writer, so a plain store is enough.
  void leave(ring_index ring, generation_number generation) noexcept {
    auto& count = slot(ring, generation);
    const auto before = count.load(std::memory_order_relaxed);
    assert(before > 0);
    count.store(before - 1, std::memory_order_release);
  }

  // After enter() said held: announces that this ring has parked requests. False when the hold ended meanwhile: enter
  // again instead. The same Dekker as above (flag, then word; word, then flags), so the wake-up cannot be lost.
  [[nodiscard]] bool park(ring_index ring) noexcept {
    auto& parked = rings_[ring.value].parked;
    const bool already = parked.exchange(true, std::memory_order_seq_cst);
    if ((word_.load(std::memory_order_seq_cst) & hold_bit) != 0)
      return true;
    if (!already)
      parked.store(false, std::memory_order_release);
    return false;
  }

  // The ring has entered all requests it had parked. Until it says so no other hold begins: holds cannot be chained
  // to keep one request waiting past its deadline.
  void unpark(ring_index ring) noexcept { rings_[ring.value].parked.store(false, std::memory_order_release); }

  // The hold's deadline has passed. One compare-and-swap decides between this and release(): exactly one wins. The
  // generation names the hold (entry.generation), since every hold begins one. True when this call ended the hold.
  bool expire(generation_number held) noexcept { return end_hold(held); }

  // When the hold in force must end; nothing when none is. Read it after enter() said held.
  std::optional<boot_time> hold_deadline() const noexcept {
    if (!held())
      return std::nullopt;
    return boot_time{boot_time::duration{hold_deadline_.load(std::memory_order_acquire)}};
  }

  // --- control side, one thread at a time

  // Moves on to the next generation and returns it; nothing (busy, ask again) while the one before the current has
  // not drained or a hold is in force.
  [[nodiscard]] std::optional<generation_number> advance() noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    if ((word & hold_bit) != 0 || !previous_drained(word))
      return std::nullopt;
    const std::uint64_t next = word + one_generation;
    word_.store(next, std::memory_order_seq_cst); // W. No ring writes the word while it is not held.
    return number_of(next);
  }

  // The same and, in the same step, holds requests that enter with hold_rule::park, until release(id), or until a
  // ring calls expire() at `deadline`. busy also while a ring has not resumed what it had parked for the hold before.
  [[nodiscard]] hold_result advance_and_hold(hold_id id, boot_time deadline) {
    if (hold_record* const known = find(id)) {
      settle(*known);
      return {hold_result::status::repeated, known->generation, known->outcome};
    }
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    if ((word & hold_bit) != 0 || any_parked() || !previous_drained(word))
      return {hold_result::status::busy, number_of(word), hold_outcome::holding};
    if (holds_ == nullptr)
      holds_ = std::make_unique<std::array<hold_record, holds_remembered_max>>();
    const std::uint64_t next = (word + one_generation) | hold_bit;
    hold_record& record = (*holds_)[holds_begun_++ % holds_remembered_max];
    settle(record);
    record = {id, number_of(next), hold_outcome::holding};
    // Before the word: a ring that sees the hold sees its deadline.
    hold_deadline_.store(deadline.time_since_epoch().count(), std::memory_order_release);
    word_.store(next, std::memory_order_seq_cst); // W
    return {hold_result::status::held, record.generation, hold_outcome::holding};
  }

  // Ends the hold. released: it had lasted until now. expired: the deadline came first. Repeats get the same answer;
  // nothing for an id that never held or is forgotten (a "no" to the coordinator).
  std::optional<hold_outcome> release(hold_id id) noexcept {
    hold_record* record = find(id);
    if (record == nullptr)
      return std::nullopt;
    if (record->outcome == hold_outcome::holding)
      record->outcome = end_hold(record->generation) ? hold_outcome::released : hold_outcome::expired;
    return record->outcome;
  }

  // What is recorded about a hold, without ending it.
  std::optional<hold_outcome> outcome(hold_id id) noexcept {
    hold_record* record = find(id);
    if (record == nullptr)
      return std::nullopt;
    settle(*record);
    return record->outcome;
  }

  // --- any thread

  // True when no request of `generation` is in flight and none will ever be; then all that those requests did
  // happened before this call returned (each count is written with release and read with acquire, and a value read
  // comes after all earlier leaves of that ring). False for the current generation, since requests may still enter.
  [[nodiscard]] bool drained(generation_number generation) const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_seq_cst);
    const std::uint64_t current = number_of(word).value;
    if (generation.value >= current)
      return false;
    if (generation.value + 1 < current) {
      // advance() moved past it only after it had drained; acquiring the word brings that knowledge along.
      return true;
    }
    return counts_are_zero(generation);
  }

  generation_number current() const noexcept { return number_of(word_.load(std::memory_order_acquire)); }
  bool held() const noexcept { return (word_.load(std::memory_order_acquire) & hold_bit) != 0; }

  // Requests counted now, all rings; a momentary figure for status output.
  std::uint64_t in_flight() const noexcept {
    std::uint64_t total = 0;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      for (const auto& count : rings_[r].in_flight)
        total += count.load(std::memory_order_relaxed);
    return total;
  }
  std::uint32_t ring_count() const noexcept { return ring_count_; }

private:
  static constexpr std::uint64_t hold_bit = 1;
  static constexpr std::uint64_t one_generation = 2;

  // Two slots are enough: at most the current and the previous generation have requests in flight.
  struct alignas(cache_line_bytes) per_ring {
    std::array<std::atomic<std::uint64_t>, 2> in_flight{};
    std::atomic<bool> parked{false};
  };
  struct hold_record {
    hold_id id;
    generation_number generation; // 0: unused
    hold_outcome outcome = hold_outcome::expired;
  };

  static constexpr generation_number number_of(std::uint64_t word) noexcept { return generation_number{word >> 1}; }
  std::atomic<std::uint64_t>& slot(ring_index ring, generation_number generation) noexcept {
    assert(ring.value < ring_count_);
    return rings_[ring.value].in_flight[generation.value & 1];
  }

  bool counts_are_zero(generation_number generation) const noexcept {
    for (std::uint32_t r = 0; r < ring_count_; ++r) // R. seq_cst loads acquire as well.
      if (rings_[r].in_flight[generation.value & 1].load(std::memory_order_seq_cst) != 0)
        return false;
    return true;
  }
  bool previous_drained(std::uint64_t word) const noexcept {
    return counts_are_zero(generation_number{number_of(word).value - 1});
  }
  bool any_parked() const noexcept {
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      if (rings_[r].parked.load(std::memory_order_acquire))
        return true;
    return false;
  }

  // No ABA: {number, held} occurs once in a volume's life.
  bool end_hold(generation_number held) noexcept {
    std::uint64_t expected = (held.value << 1) | hold_bit;
    if (!word_.compare_exchange_strong(expected, held.value << 1, std::memory_order_seq_cst))
      return false;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      if (rings_[r].parked.load(std::memory_order_seq_cst))
        wake_(ring_index{r});
    return true;
  }

  hold_record* find(hold_id id) noexcept {
    if (holds_ == nullptr)
      return nullptr;
    for (auto& record : *holds_)
      if (record.generation.value != 0 && record.id == id)
        return &record;
    return nullptr;
  }
  // Rings write no records: a hold that is over and was not released had expired.
  void settle(hold_record& record) noexcept {
    if (record.outcome == hold_outcome::holding &&
        word_.load(std::memory_order_acquire) != ((record.generation.value << 1) | hold_bit))
      record.outcome = hold_outcome::expired;
  }

  alignas(cache_line_bytes) std::atomic<std::uint64_t> word_{one_generation}; // read by every request, rarely written
  std::atomic<std::int64_t> hold_deadline_{0};
  std::unique_ptr<per_ring[]> rings_;
  std::uint32_t ring_count_;
  ring_waker wake_;
  std::unique_ptr<std::array<hold_record, holds_remembered_max>> holds_; // control side only
  std::uint64_t holds_begun_ = 0;                                        // control side only
};

} // namespace gnomon::io
