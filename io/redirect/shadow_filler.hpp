// Fills one shadow: reads granules of its chunks that it does not hold from the home and writes them into the shadow
// file, over and over, since what is written at the home becomes invalid here. One ring. A fill's place in the protocol is the
// session's; this does the I/O.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "io/redirect/copy_budget.hpp"
#include "io/redirect/remote_volume.hpp"

namespace gnomon::io {

class shadow_filler {
public:
  static constexpr std::uint32_t fills_max = 16;              // under way at once
  static constexpr std::uint64_t granules_per_look = 16384;   // looked at before others take their turn
  static_assert(fills_max <= session::gateway_shadow::fills_max);

  // `volume` and `core` outlive it; destroy it when stopped() or when the rings are gone.
  // `budget` may be null: none; it outlives it too.
  shadow_filler(remote_volume& volume, volume_core& core, shadow_parts shadow, copy_budget* budget, ring& on);
  void start(); // any thread
  void stop();  // any thread; stopped() follows
  void lift_budget() noexcept { bound_.store(false, std::memory_order_relaxed); } // any thread
  bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }

  std::uint64_t filled_bytes() const noexcept { return filled_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t void_fills() const noexcept { return void_.load(std::memory_order_relaxed); }
  std::uint64_t passes() const noexcept { return passes_.load(std::memory_order_relaxed); } // over all granules
  int device_errno() const noexcept { return device_errno_.load(std::memory_order_relaxed); }

  void read_done(remote_errand& e); // ring; takes it over

private:
  struct write_completion : completion {
    shadow_filler* self = nullptr;
    remote_errand* e = nullptr;
    std::uint64_t done = 0;
  };
  struct timer_completion : completion {
    shadow_filler* self = nullptr;
  };
  void look();
  void begin(session::gateway_shadow::fill_ticket t);
  void write(write_completion& w);
  void end(remote_errand& e, session::granule_word::fill_result how);
  void arm();

  remote_volume& volume_;
  volume_core& core_;
  const std::shared_ptr<session::gateway_shadow> shadow_;
  const std::shared_ptr<shadow_extent> extent_;
  copy_budget* const budget_;
  std::atomic<bool> bound_;
  ring& ring_;
  std::array<write_completion, fills_max> writes_;
  timer_completion timer_;
  __kernel_timespec span_{0, 20'000'000};
  std::uint64_t cursor_ = 0;
  std::uint32_t under_way_ = 0;
  bool timer_armed_ = false, looking_ = false, stopping_ = false;
  std::atomic<bool> stopped_{true};
  std::atomic<std::uint64_t> filled_bytes_{0}, void_{0}, passes_{0};
  std::atomic<int> device_errno_{0};
};

} // namespace gnomon::io
