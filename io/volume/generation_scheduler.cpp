#include "io/volume/generation_scheduler.hpp"

#include <algorithm>
#include <future>
#include <vector>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/volume/core.hpp"

namespace gnomon::io {

namespace {

// Everything that is in flight at the first look is in the generation current then, or in one before it.
class all_before {
public:
  explicit all_before(generation_scheduler::classes which) : which_(which) {}
  bool operator()(volume_core& core) {
    generation_gate& generations = core.generations();
    if (!last_)
      last_ = generations.current();
    if (generations.current() == *last_ && !generations.advance())
      return false;
    if (!generations.drained(*last_))
      return false;
    if (which_ == generation_scheduler::classes::changes)
      return true;
    if (!generations.epoch_is_after(*last_) && generations.may_begin_epoch())
      (void)generations.advance();
    return generations.looks_drained(*last_);
  }

private:
  generation_scheduler::classes which_;
  std::optional<generation_number> last_;
};

} // namespace

generation_scheduler::~generation_scheduler() {
  stop();
  close(wakeup_fd_);
}

generation_scheduler::generation_scheduler(std::function<void()> wake_rings)
    : wake_rings_(std::move(wake_rings)), wakeup_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

void generation_scheduler::poke() noexcept {
  if (poked_.exchange(true, std::memory_order_acq_rel))
    return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wakeup_fd_, &one, sizeof one);
}

void generation_scheduler::add(std::shared_ptr<volume_core> core, step what, then done, boot_time until) {
  std::optional<error> refused;
  {
    const std::lock_guard lock{mutex_};
    if (stopping_)
      refused = error{errc::shutting_down, "the node is stopping", 0};
    else if (entries_.size() == steps_max)
      refused = error{errc::limit_reached, "too many changes of volumes are waiting", 0};
    else
      entries_.push_back({std::move(core), std::move(what), std::move(done), until});
  }
  if (refused)
    return done(tl::unexpected(*refused));
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  // A ring whose requests left a moment ago may not have seen that somebody waits: let it end another turn.
  wake_rings_();
  poke();
}

generation_scheduler::step generation_scheduler::over(classes which) { return all_before{which}; }

void generation_scheduler::when_over(std::shared_ptr<volume_core> core, classes which, then done, boot_time until) {
  add(std::move(core), all_before{which}, std::move(done), until);
}

result<void> generation_scheduler::wait_until_over(const std::shared_ptr<volume_core>& core, classes which,
                                                   boot_time until) {
  return wait_for(core, all_before{which}, until);
}

result<void> generation_scheduler::wait_for(const std::shared_ptr<volume_core>& core, step what, boot_time until) {
  auto answer = std::make_shared<std::promise<result<void>>>();
  auto over = answer->get_future();
  add(core, std::move(what), [answer](result<void> r) { answer->set_value(std::move(r)); }, until);
  return over.get();
}

boot_time generation_scheduler::look() {
  std::vector<std::pair<entry, result<void>>> finished;
  boot_time next = boot_time::max();
  {
    const std::lock_guard lock{mutex_};
    const boot_time now = boot_clock::now();
    for (auto at = entries_.begin(); at != entries_.end();) {
      result<void> outcome;
      if (stopping_) {
        outcome = fail(errc::shutting_down, "the node is stopping");
      } else if (!at->what(*at->core)) {
        if (at->until > now) {
          next = std::min(next, at->until);
          ++at;
          continue;
        }
        outcome = fail(errc::timed_out, "requests on volume " + at->core->spec().name.value + " do not end");
      }
      finished.emplace_back(std::move(*at), std::move(outcome));
      at = entries_.erase(at);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  for (auto& [one, outcome] : finished)
    one.done(std::move(outcome));
  return next;
}

void generation_scheduler::drop(const volume_core& core) {
  std::vector<entry> dropped;
  {
    const std::lock_guard lock{mutex_};
    for (auto at = entries_.begin(); at != entries_.end();) {
      const auto here = at++;
      if (here->core.get() != &core)
        continue;
      dropped.push_back(std::move(*here));
      entries_.erase(here);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  for (auto& one : dropped)
    one.done(fail(errc::shutting_down, "volume " + core.spec().name.value + " is being closed"));
}

void generation_scheduler::run() {
  while (!stopping_) {
    poked_.exchange(false, std::memory_order_acq_rel); // what a poke from before it made known is seen by look()
    const boot_time next = look();
    pollfd wakeup{wakeup_fd_, POLLIN, 0};
    int timeout_ms = -1;
    if (next != boot_time::max()) {
      const auto left = std::chrono::duration_cast<std::chrono::microseconds>(next - boot_clock::now()).count();
      timeout_ms = static_cast<int>(std::clamp<std::int64_t>((left + 999) / 1000, 0, 1000));
    }
    (void)::poll(&wakeup, 1, timeout_ms);
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = read(wakeup_fd_, &count, sizeof count);
  }
  (void)look();
}

void generation_scheduler::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  poke();
  if (thread_.joinable())
    thread_.join();
}

} // namespace gnomon::io
