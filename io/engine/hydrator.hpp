// Brings granules of volumes in, in the background: plans of runs, each in its order, piece after piece through the
// volumes' own bring-in under the gate. One thread of its own decides when the next piece begins; the volumes' granule
// workers carry it out.
//
// It keeps to each work's budget, and to what clients bear: now and then it rests for a moment, compares the latency of
// clients' requests with and without it, and halves its rate where they suffer (latency_bound), raising it again slowly.
// Without clients it goes as fast as the budget lets it.
//
// begin() from any thread. `done` is called once, on its thread or a worker's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "config/work_control.hpp"
#include "io/measure/latency_histogram.hpp"
#include "io/types.hpp"

namespace gnomon::io {

class volume_core;

// How fast background work may go beside clients: pure, fed with what was measured. One thread.
class yielding_pace {
public:
  static constexpr double latency_bound = 1.15;              // p99 with the work against without it
  static constexpr std::uint64_t samples_min = 50;           // on each side, or nothing is concluded
  static constexpr std::uint64_t rate_min = 4ull << 20;      // bytes/s: it never stops for good
  static constexpr std::uint64_t rate_max = 8ull << 30;      // as good as unlimited

  std::uint64_t bytes_per_second() const noexcept { return rate_; }
  // Latencies of requests answered while the work ran, and while it rested.
  void measured(const latency_histogram& beside, const latency_histogram& alone);
  // Nobody was there.
  void unwatched() noexcept { rate_ = rate_max; }
  // What the work really moved lately: a rate far above it means nothing.
  void moved(std::uint64_t bytes_per_second) noexcept { moved_ = bytes_per_second; }

private:
  std::uint64_t rate_ = rate_max, moved_ = 0;
};

class hydrator {
public:
  static constexpr std::size_t hydrations_max = 4096;
  static constexpr std::uint64_t piece_granules = 16; // 1 MiB
  static constexpr unsigned pieces_in_flight = 2;     // of one hydration
  static constexpr std::uint64_t chain_bytes = 64ull << 20;
  static constexpr std::chrono::seconds chain_every{5};
  static constexpr std::chrono::milliseconds run_slice{800}, rest_slice{200};

  // `latencies`: of all requests of clients so far; monotone.
  explicit hydrator(std::function<latency_histogram()> latencies);
  ~hydrator() { stop(); }
  hydrator(const hydrator&) = delete;
  hydrator& operator=(const hydrator&) = delete;

  void begin(std::shared_ptr<volume_core> core, granule_plan plan, std::shared_ptr<work_control> control,
             done_callback done);
  // Ends every hydration (shutting_down). Pieces under way are over when their volumes are.
  void stop();

private:
  using clock = std::chrono::steady_clock;
  struct work;
  struct shared;
  static void piece_done(const std::shared_ptr<shared>& s, const std::shared_ptr<work>& w, std::uint64_t granules,
                         const result<void>& outcome);
  static void finish(const std::shared_ptr<work>& w, result<void> outcome);
  void run();
  void measure(clock::time_point now);
  // With the mutex held. When to look again at the latest.
  clock::time_point advance(const std::shared_ptr<work>& w, clock::time_point now,
                            std::vector<std::function<void()>>& outside);

  const std::function<latency_histogram()> latencies_;
  const std::shared_ptr<shared> shared_; // callbacks may outlive the hydrator
  yielding_pace pace_;
  bool resting_ = false;
  clock::time_point slice_ends_{};
  latency_histogram at_slice_, beside_, alone_;
  std::uint64_t moved_at_slice_ = 0;
  unsigned cycles_ = 0;
  std::thread thread_;
};

} // namespace gnomon::io
