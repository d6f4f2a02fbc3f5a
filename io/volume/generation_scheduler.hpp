// Moves volumes from one generation to the next and tells the control side when what began before is over. It has one
// thread, which sleeps until a ring ends a turn while somebody waits, until a step's deadline, or until it is asked;
// it never polls.
//
// Whoever waits leaves a step: a short function that looks at the volume's generation, advances it where that is
// possible, and says whether it is done. Steps of all volumes run one at a time under one mutex, which is what makes
// "the control side is one thread at a time" (io/granule/generation.hpp) true: every other advance, hold, release or
// abandon is made with exclusive() held. Steps and their callbacks never block.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "io/granule/generation.hpp"

namespace gnomon::io {

class volume_core;

class generation_scheduler {
public:
  static constexpr std::size_t steps_max = 65536; // waiting at a time, of all volumes

  // Which requests must be over: changes are all that a cut waits for; files are given up after both.
  enum class classes : std::uint8_t { changes, changes_and_looks };
  // ok; timed_out: the deadline came first; shutting_down; limit_reached: steps_max wait.
  using then = std::function<void(result<void>)>;
  using step = std::function<bool(volume_core&)>; // true: done

  // `wake_rings` makes every ring take another turn soon.
  explicit generation_scheduler(std::function<void()> wake_rings);
  ~generation_scheduler();
  generation_scheduler(const generation_scheduler&) = delete;
  generation_scheduler& operator=(const generation_scheduler&) = delete;

  // A ring, at the end of each turn: its requests may have left. One load where nobody waits.
  void turn_ended() noexcept {
    if (waiting_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      poke();
  }

  // --- any thread. `then` is called exactly once, on the scheduler's thread or, when it is refused, on the caller's.
  void add(std::shared_ptr<volume_core> core, step what, then done, boot_time until = boot_time::max());
  // A step that is done when everything of these classes that entered before its first look is over.
  static step over(classes which);
  // When everything of these classes that entered before this call is over.
  void when_over(std::shared_ptr<volume_core> core, classes which, then done, boot_time until = boot_time::max());
  // The same, for those that wait on a thread of their own (close, stop).
  result<void> wait_for(const std::shared_ptr<volume_core>& core, step what, boot_time until);
  result<void> wait_until_over(const std::shared_ptr<volume_core>& core, classes which, boot_time until);

  // Held while the generation of any volume is changed from outside a step.
  [[nodiscard]] std::unique_lock<std::mutex> exclusive() { return std::unique_lock{mutex_}; }
  // Looks at every step soon.
  void poke() noexcept;
  // The volume is being closed: its waits end, with shutting_down, before this returns.
  void drop(const volume_core& core);
  void stop();

private:
  struct entry {
    std::shared_ptr<volume_core> core;
    step what;
    then done;
    boot_time until;
  };

  void run();
  boot_time look(); // returns when to look again at the latest

  std::function<void()> wake_rings_;
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<bool> poked_{false};
  std::atomic<bool> stopping_{false};
  int wakeup_fd_ = -1;
  std::mutex mutex_;
  std::list<entry> entries_;
  std::thread thread_;
};

} // namespace gnomon::io
