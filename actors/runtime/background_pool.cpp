#include "actors/runtime/background_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

constexpr int people_nice = 5; // behind those who serve I/O, but never starved

void sink_to(int nice) {
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), nice) != 0)
    log::warning("fit threads run at normal priority: {}", std::strerror(errno));
}

// Fits take the time nobody else wants.
void be_idle() {
  const sched_param none{};
  if (::sched_setscheduler(0, SCHED_IDLE, &none) != 0)
    sink_to(19);
}

double thread_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

double seconds_between(boot_time from, boot_time to) { return std::chrono::duration<double>(to - from).count(); }

double in_range(double budget) {
  return std::isfinite(budget) ? std::max(budget, background_pool::cpu_budget_min) : background_pool::cpu_budget_min;
}

} // namespace

// --- the allowance

void cpu_allowance::settle(boot_time now) {
  owed_ = std::max(0.0, owed_ - budget_ * seconds_between(settled_, now));
  settled_ = now;
}

boot_time cpu_allowance::free_at(boot_time now) {
  settle(now);
  // Rounded up, so that nothing is owed any more at the moment that is returned; at most a year.
  const double wait_seconds = std::min(owed_ / budget_, 365.0 * 86400);
  return now + nanoseconds(static_cast<std::int64_t>(std::ceil(wait_seconds * 1e9)));
}

// --- the pool

background_pool::background_pool(options wanted) : queued_max_(wanted.queued_max), allowance_(in_range(wanted.cpu_budget)) {
  totals_.cpu_budget = in_range(wanted.cpu_budget);
  const unsigned count = std::clamp(wanted.threads, 1u, threads_max);
  for (unsigned i = 0; i < count; ++i)
    threads_.emplace_back([this] { run(serves::fits); });
  threads_.emplace_back([this] { run(serves::clients); });
}

result<void> background_pool::submit(job wanted) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_)
      return fail(errc::shutting_down, wanted.name + ": the node stops");
    const auto known = places_.find(wanted.name);
    if (known == places_.end() && waiting_.size() >= queued_max_)
      return fail(errc::limit_reached, fmt::format("{}: {} fits are waiting", wanted.name, waiting_.size()));
    place at{wanted.level, next_place_++};
    if (known != places_.end()) {
      at = {std::min(known->second.first, wanted.level), known->second.second};
      waiting_.erase(known->second);
    }
    places_[wanted.name] = at;
    wanted.level = at.first;
    waiting_.emplace(at, std::move(wanted));
  }
  wake_.notify_all(); // the one that is woken might be the one that serves only waiting clients
  return {};
}

void background_pool::set_cpu_budget(double budget) {
  {
    std::lock_guard lock(mutex_);
    totals_.cpu_budget = in_range(budget);
    allowance_.set_budget(totals_.cpu_budget, boot_clock::now());
  }
  wake_.notify_all();
}

background_pool::status background_pool::now() const {
  std::lock_guard lock(mutex_);
  auto out = totals_;
  out.queued = waiting_.size();
  const auto at = boot_clock::now();
  for (const auto& one : running_) {
    out.running += (out.running.empty() ? "" : ", ") + one.name;
    out.longest_seconds = std::max(out.longest_seconds, seconds_between(one.since, at));
  }
  return out;
}

void background_pool::stop() {
  std::lock_guard once(stop_mutex_);
  {
    std::map<place, job> dropped; // destroyed outside the lock: what jobs hold is not known here
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      dropped.swap(waiting_);
      places_.clear();
    }
    wake_.notify_all();
  }
  for (auto& thread : threads_)
    if (thread.joinable())
      thread.join();
}

bool background_pool::runs(const std::string& name) const {
  return std::any_of(running_.begin(), running_.end(), [&](const running_job& one) { return one.name == name; });
}

std::map<background_pool::place, background_pool::job>::iterator background_pool::pick(serves whom, boot_time now, boot_time& look_again) {
  look_again = boot_time::max();
  for (auto next = waiting_.begin(); next != waiting_.end(); ++next) {
    const bool person = next->first.first == urgency::person_waits;
    if (person != (whom == serves::clients))
      return waiting_.end();
    if (!person) {
      const auto free = allowance_.free_at(now);
      if (free > now) {
        look_again = free;
        return waiting_.end();
      }
    }
    if (!runs(next->second.name))
      return next;
  }
  return waiting_.end();
}

void background_pool::run(serves whom) {
  pthread_setname_np(pthread_self(), "gnomon-fit");
  if (whom == serves::clients)
    sink_to(people_nice);
  else
    be_idle();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto now = boot_clock::now();
    boot_time look_again;
    const auto next = pick(whom, now, look_again);
    if (next != waiting_.end()) {
      auto node = waiting_.extract(next);
      places_.erase(node.mapped().name);
      execute(std::move(node.mapped()), lock);
    } else if (look_again == boot_time::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, look_again - now);
    }
  }
}

void background_pool::execute(job picked, std::unique_lock<std::mutex>& lock) {
  const auto began = boot_clock::now();
  running_.push_back({picked.name, began});
  lock.unlock();
  const double cpu_before = thread_cpu_seconds();
  bool threw = true;
  try {
    picked.run();
    threw = false;
  } catch (const std::exception& e) {
    log::error("{}: {}", picked.name, e.what());
  } catch (...) {
    log::error("{}: threw something that is no exception", picked.name);
  }
  picked.run = nullptr; // what it holds goes before it counts as done
  const double cpu = thread_cpu_seconds() - cpu_before;
  const auto ended = boot_clock::now();

  lock.lock();
  std::erase_if(running_, [&](const running_job& one) { return one.name == picked.name; });
  ++(threw ? totals_.failed : totals_.done);
  totals_.cpu_seconds += cpu;
  totals_.longest_seconds = std::max(totals_.longest_seconds, seconds_between(began, ended));
  if (picked.level != urgency::person_waits)
    allowance_.spend(cpu, ended);
  wake_.notify_all(); // a job of the same name may run now
}

} // namespace gnomon::actors
