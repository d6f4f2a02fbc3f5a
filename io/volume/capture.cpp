#include "io/volume/capture.hpp"

#include <algorithm>

#include "config/log.hpp"

namespace gnomon::io {

capture::capture(std::uint64_t id, byte_count size, std::unique_ptr<granule_spill> spill)
    : id_(id), size_(size), granules_((size.value + granule_bytes - 1) / granule_bytes),
      settled_words_(granule_bits::words_for(granules_)), settled_(settled_words_, granules_),
      spill_(std::move(spill)) {}

std::uint32_t capture::bytes_of(std::uint64_t granule) const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(granule_bytes, size_.value - granule * granule_bytes));
}

std::uint64_t capture::next_to_copy(std::uint64_t first, std::uint64_t end) const noexcept {
  if (failed())
    return end;
  const std::uint64_t last = std::min(end, granules_); // what grew later is not part of it
  std::uint64_t at = std::max(first, delivered_before_.load(std::memory_order_acquire));
  const bool scanning = phase_.load(std::memory_order_acquire) == phase::scanning;
  while (at < last) {
    if (scanning && wanted_ != nullptr)
      at = wanted_->next(at, last);
    const std::uint64_t unsettled = settled_.next_clear(at, last);
    if (unsettled == at)
      return at < last ? at : end;
    at = unsettled;
  }
  return end;
}

bool capture::any_settled(std::uint64_t first, std::uint64_t end) const noexcept {
  const std::uint64_t last = std::min(end, granules_);
  return first < last && settled_.any(first, last - first);
}

result<void> capture::keep(std::uint64_t granule, std::span<const std::byte> content) {
  auto kept = spill_->keep(granule_index{granule}, content);
  if (kept)
    settle(granule);
  return kept;
}

void capture::fail_with(error why) {
  const std::lock_guard lock{mutex_};
  if (why_)
    return;
  log::warning("capture {}: {}", id_, why.to_string());
  why_ = std::move(why);
  failed_.store(true, std::memory_order_release);
}

std::optional<error> capture::failure() const {
  const std::lock_guard lock{mutex_};
  return why_;
}

void capture::begin_scan(const granule_bits* changed) noexcept {
  wanted_ = changed;
  phase_.store(phase::scanning, std::memory_order_release);
}

void capture::delivered_before(std::uint64_t granule) {
  if (granule <= delivered_before_.load(std::memory_order_relaxed))
    return;
  delivered_before_.store(granule, std::memory_order_release);
  spill_->forget_before(granule_index{granule});
}

std::uint64_t capture::next_wanted(std::uint64_t from) const noexcept {
  const std::uint64_t at = std::min(from, granules_);
  return wanted_ != nullptr ? std::min(wanted_->next(at, granules_), granules_) : at;
}

} // namespace gnomon::io
