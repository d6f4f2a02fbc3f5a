#include "actors/fit_pool.hpp"

#include <algorithm>
#include <ctime>
#include <exception>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr double budget_min = 0.001;
constexpr int nice_most = 19;

double thread_cpu_seconds() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Only when nobody else wants the processor. Where that is not allowed: as low as it gets.
void sink_to_idle_priority() noexcept {
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice_most);
}

} // namespace

fit_pool::fit_pool(options wanted) : options_(wanted), budget_(std::clamp(wanted.cpu_budget, budget_min, 1.0)) {
  for (unsigned i = 0; i < std::max(1u, options_.threads); ++i)
    threads_.emplace_back([this] { work(); });
}

result<void> fit_pool::submit(job wanted) {
  std::lock_guard lock(mutex_);
  if (stopping_)
    return fail(errc::shutting_down, "the fit threads are stopping");
  std::size_t queued = 0;
  for (auto& queue : queues_) {
    for (auto& waiting : queue)
      if (waiting.name == wanted.name) {
        waiting.run = std::move(wanted.run);
        return {};
      }
    queued += queue.size();
  }
  if (queued >= options_.queued_max)
    return fail(errc::limit_reached, "more than " + std::to_string(options_.queued_max) + " fits wait");
  queues_[static_cast<std::size_t>(wanted.level)].push_back(std::move(wanted));
  status_.queued = queued + 1;
  wake_.notify_one();
  return {};
}

void fit_pool::set_cpu_budget(double budget) {
  std::lock_guard lock(mutex_);
  budget_ = std::clamp(budget, budget_min, 1.0);
}

fit_pool::status fit_pool::now() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void fit_pool::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& queue : queues_)
      queue.clear();
    status_.queued = 0;
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    if (thread.joinable())
      thread.join();
}

// Waits for the next job; false: the pool stops.
bool fit_pool::take(job& next, std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    const bool rested = std::chrono::steady_clock::now() >= rest_until_;
    for (std::size_t level = 0; level < urgency_count; ++level) {
      if (queues_[level].empty() || (!rested && level != static_cast<std::size_t>(urgency::person_waits)))
        continue;
      next = std::move(queues_[level].front());
      queues_[level].pop_front();
      --status_.queued;
      status_.running = next.name;
      return true;
    }
    if (rested)
      wake_.wait(lock);
    else
      wake_.wait_until(lock, rest_until_);
  }
  return false;
}

void fit_pool::work() {
  sink_to_idle_priority();
  std::unique_lock lock(mutex_);
  job next;
  while (take(next, lock)) {
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    const double cpu_before = thread_cpu_seconds();
    bool failed = false;
    try {
      next.run();
    } catch (const std::exception& problem) {
      failed = true;
      log::error("{} failed: {}", next.name, problem.what());
    }
    next.run = nullptr; // what it holds goes before the lock is taken
    const double cpu = thread_cpu_seconds() - cpu_before;
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
    lock.lock();
    ++(failed ? status_.failed : status_.done);
    status_.running.clear();
    status_.cpu_seconds += cpu;
    status_.longest_seconds = std::max(status_.longest_seconds, wall.count());
    if (next.level != urgency::person_waits) {
      const auto rest = std::chrono::duration<double>(cpu * (1 / budget_ - 1));
      rest_until_ = std::max(rest_until_, std::chrono::steady_clock::now()) +
                    std::chrono::duration_cast<std::chrono::steady_clock::duration>(rest);
    }
  }
}

} // namespace gnomon::actors
