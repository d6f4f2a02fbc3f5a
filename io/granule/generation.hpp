// A volume's generation: one atomic word {number, looks epoch bit, hold bit} and, per ring and class, how many
// requests are in flight. It answers one question: is everything that began before a change over?
//
// Classes: *changes* (write, trim, zero, internal ones) have two slots, for the current and the previous generation.
// *Looks* (read, block status, ...) must hold up no cut, so a generation may begin while looks of any earlier one are
// under way: they have two slots as well, for the current and the previous *epoch*; an advance begins a new epoch
// whenever the previous one is empty, and remembers with which generation it began.
//
// Rings call enter/leave/park/unpark/expire (each ring only with its own index; a request leaves on the ring it
// entered on). The control side (advance, advance_and_hold, release, abandon, outcome) is one thread at a time.
// drained() and the observers: any thread. Nothing here locks, allocates (but a volume's first hold) or blocks.
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

// What became of a hold. `released` = it lasted until the release, so the cut is good; `expired` = the deadline won;
// `abandoned` = the coordinator gave it up, before it held or while it did.
enum class hold_outcome : std::uint8_t { holding, released, expired, abandoned };

// What a hold answers when it begins.
struct held_report {
  generation_number cut; // the generation that began with the hold: what entered before is in the point in time
  boot_time since;       // when new changes began to wait
  boot_time deadline;    // when the hold ends by itself
};

// Whether a request may go on while new writes are held. Writes, trims and zeroings park; reads and flushes pass.
enum class hold_rule : std::uint8_t { park, pass };

// What a request does to the volume. See the top of the file.
enum class request_class : std::uint8_t { changes, looks };

class generation_gate {
public:
  static constexpr std::size_t holds_remembered_max = 64; // outcomes kept for repeats; older ones are forgotten

  struct entry {
    generation_number generation;
    bool held;         // not counted: park(), do not leave()
    std::uint8_t slot; // for leave()
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
  [[nodiscard]] entry enter(ring_index ring, request_class what, hold_rule rule) noexcept {
    // pass ignores the hold bit altogether, so that a hold's end does not make it retry.
    const std::uint64_t seen_bits = rule == hold_rule::park ? ~std::uint64_t{0} : ~hold_bit;
    std::uint64_t word = word_.load(std::memory_order_relaxed) & seen_bits;
    for (;;) {
      if ((word & hold_bit) != 0)
        return {number_of(word), true, 0};
      const std::uint8_t index = slot_index(word, what);
      auto& count = slot(ring, index);
      count.fetch_add(1, std::memory_order_seq_cst);                                 // C
      const std::uint64_t again = word_.load(std::memory_order_seq_cst) & seen_bits; // L
      if (again == word)
        return {number_of(word), false, index};
      count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release); // never joined
      word = again;
    }
  }
  [[nodiscard]] entry enter(ring_index ring, hold_rule rule = hold_rule::park) noexcept {
    return enter(ring, request_class::changes, rule);
  }

  // Ends what enter() counted. Release: see drained(). Single writer, so a plain store is enough.
  void leave(ring_index ring, std::uint8_t entered_slot) noexcept {
    auto& count = slot(ring, entered_slot);
    const auto before = count.load(std::memory_order_relaxed);
    assert(before > 0);
    count.store(before - 1, std::memory_order_release);
  }
  void leave(ring_index ring, const entry& entered) noexcept { leave(ring, entered.slot); }
  // Of a change.
  void leave(ring_index ring, generation_number generation) noexcept {
    leave(ring, static_cast<std::uint8_t>(generation.value & 1));
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

  // Whether advance() would move on now: no hold is in force and the changes of the generation before are over.
  [[nodiscard]] bool may_advance() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return (word & hold_bit) == 0 && previous_drained(word);
  }

  // The same of advance_and_hold(), for an id that is not known.
  [[nodiscard]] bool may_hold() const noexcept { return may_advance() && !any_parked(); }

  // Moves on to the next generation and returns it; nothing (busy, ask again) while may_advance() is false.
  [[nodiscard]] std::optional<generation_number> advance() noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    if ((word & hold_bit) != 0 || !previous_drained(word))
      return std::nullopt;
    const std::uint64_t next = next_word(word);
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
    const std::uint64_t next = next_word(word) | hold_bit;
    const hold_record& record = record_hold({id, number_of(next), hold_outcome::holding});
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

  // Gives the hold up: ends it if it is in force; else `id` never holds.
  void abandon(hold_id id) {
    if (hold_record* const known = find(id)) {
      settle(*known);
      if (known->outcome == hold_outcome::holding && end_hold(known->generation))
        known->outcome = hold_outcome::abandoned;
      settle(*known);
      return;
    }
    record_hold({id, current(), hold_outcome::abandoned});
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

  // Whether the current epoch of looks began after `generation`; if not, whether an advance would begin one.
  [[nodiscard]] bool epoch_is_after(generation_number generation) const noexcept {
    return epoch_began_.load(std::memory_order_acquire) > generation.value;
  }
  [[nodiscard]] bool may_begin_epoch() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_seq_cst);
    return counts_are_zero(slot_index(word ^ epoch_bit, request_class::looks));
  }

  // True when no change of `generation` is in flight and none will ever be; then all that those requests did
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
    return changes_are_zero(generation);
  }

  // The same for the looks of `generation` and all before it. It may stay false until another advance() has begun the
  // next epoch: whoever waits advances on.
  [[nodiscard]] bool looks_drained(generation_number generation) const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_seq_cst);
    const std::uint64_t began = epoch_began_.load(std::memory_order_seq_cst);
    // Newer than the word: read between the two stores of an advance. Ask again.
    if (began > number_of(word).value || generation.value >= began)
      return false;
    return counts_are_zero(slot_index(word ^ epoch_bit, request_class::looks));
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
  static constexpr std::uint64_t epoch_bit = 2;
  static constexpr unsigned number_shift = 2;
  static constexpr std::uint64_t one_generation = 1 << number_shift;

  // Changes by the parity of their generation, then looks by the parity of their epoch: at most the current and the
  // previous one have requests in flight.
  struct alignas(cache_line_bytes) per_ring {
    std::array<std::atomic<std::uint64_t>, 4> in_flight{};
    std::atomic<bool> parked{false};
  };
  struct hold_record {
    hold_id id;
    generation_number generation; // 0: unused
    hold_outcome outcome = hold_outcome::expired;
  };

  static constexpr generation_number number_of(std::uint64_t word) noexcept {
    return generation_number{word >> number_shift};
  }
  static constexpr std::uint8_t slot_index(std::uint64_t word, request_class what) noexcept {
    return static_cast<std::uint8_t>(what == request_class::changes ? (word >> number_shift) & 1
                                                                    : 2 + ((word & epoch_bit) != 0 ? 1 : 0));
  }
  std::atomic<std::uint64_t>& slot(ring_index ring, std::uint8_t index) noexcept {
    assert(ring.value < ring_count_);
    return rings_[ring.value].in_flight[index];
  }

  bool counts_are_zero(std::uint8_t index) const noexcept {
    for (std::uint32_t r = 0; r < ring_count_; ++r) // R. seq_cst loads acquire as well.
      if (rings_[r].in_flight[index].load(std::memory_order_seq_cst) != 0)
        return false;
    return true;
  }
  bool changes_are_zero(generation_number generation) const noexcept {
    return counts_are_zero(static_cast<std::uint8_t>(generation.value & 1));
  }
  bool previous_drained(std::uint64_t word) const noexcept {
    return changes_are_zero(generation_number{number_of(word).value - 1});
  }
  // The word after an advance; a new epoch of looks begins with it if the previous one is empty.
  std::uint64_t next_word(std::uint64_t word) noexcept {
    std::uint64_t next = word + one_generation;
    if (counts_are_zero(slot_index(word ^ epoch_bit, request_class::looks))) {
      next ^= epoch_bit;
      epoch_began_.store(number_of(next).value, std::memory_order_seq_cst); // before the word: see looks_drained()
    }
    return next;
  }
  bool any_parked() const noexcept {
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      if (rings_[r].parked.load(std::memory_order_acquire))
        return true;
    return false;
  }

  // No ABA: {number, held} occurs once in a volume's life.
  bool end_hold(generation_number held) noexcept {
    std::uint64_t expected = word_.load(std::memory_order_relaxed);
    if (number_of(expected) != held || (expected & hold_bit) == 0 ||
        !word_.compare_exchange_strong(expected, expected & ~hold_bit, std::memory_order_seq_cst))
      return false;
    for (std::uint32_t r = 0; r < ring_count_; ++r)
      if (rings_[r].parked.load(std::memory_order_seq_cst))
        wake_(ring_index{r});
    return true;
  }

  hold_record& record_hold(const hold_record& one) {
    if (holds_ == nullptr)
      holds_ = std::make_unique<std::array<hold_record, holds_remembered_max>>();
    return (*holds_)[holds_begun_++ % holds_remembered_max] = one;
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
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    if (record.outcome == hold_outcome::holding &&
        (number_of(word) != record.generation || (word & hold_bit) == 0))
      record.outcome = hold_outcome::expired;
  }

  alignas(cache_line_bytes) std::atomic<std::uint64_t> word_{one_generation}; // read by every request, rarely written
  std::atomic<std::int64_t> hold_deadline_{0};
  std::atomic<std::uint64_t> epoch_began_{1}; // the generation with which the current epoch of looks began
  std::unique_ptr<per_ring[]> rings_;
  std::uint32_t ring_count_;
  ring_waker wake_;
  std::unique_ptr<std::array<hold_record, holds_remembered_max>> holds_; // control side only
  std::uint64_t holds_begun_ = 0;                                        // control side only
};

} // namespace gnomon::io
