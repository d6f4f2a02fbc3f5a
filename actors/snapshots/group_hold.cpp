#include "actors/snapshots/group_hold.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include <fmt/format.h>

namespace gnomon::actors {

namespace {

std::chrono::microseconds between(boot_time from, boot_time to) {
  return std::max(std::chrono::microseconds(0), std::chrono::duration_cast<std::chrono::microseconds>(to - from));
}

// Shared with callbacks that may come after the caller has gone.
struct holding : std::enable_shared_from_this<holding> {
  io::engine& engine;
  const clock_source& clock;
  const io::hold_id id;
  const std::vector<volume_uuid> volumes;
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<boot_time> since;
  std::size_t answers = 0, held = 0, ends = 0; // hold() answered; with yes; release() answered
  bool over = false;
  boot_time last_held{};
  group_hold_report report;

  holding(io::engine& e, const clock_source& c, io::hold_id i, std::vector<volume_uuid> v)
      : engine(e), clock(c), id(i), volumes(std::move(v)), since(volumes.size()) {
    report.members.resize(volumes.size());
  }

  void failed(std::size_t member, std::string why) {
    report.members[member].failure = why;
    if (report.failure.empty())
      report.failure = fmt::format("member {}: {}", member + 1, why);
  }

  void on_held(std::size_t member, const result<io::held_report>& answer) {
    bool all = false;
    {
      std::lock_guard lock(mutex);
      ++answers;
      if (answer) {
        ++held;
        since[member] = answer->since == boot_time{} ? clock.boot_now() : answer->since;
      } else {
        failed(member, answer.error().to_string());
      }
      all = held == volumes.size();
      if (all)
        last_held = clock.boot_now();
    }
    if (all)
      for (std::size_t i = 0; i < volumes.size(); ++i)
        engine.release(volumes[i], id, [self = shared_from_this(), i](const auto& end) { self->on_end(i, end); });
    else
      wake.notify_all();
  }

  void on_end(std::size_t member, const result<io::hold_outcome>& end) {
    std::lock_guard lock(mutex);
    const auto now = clock.boot_now();
    report.members[member].held = between(since[member], now);
    report.span = std::max(report.span, between(last_held, now));
    if (!end)
      failed(member, end.error().to_string());
    else if (*end != io::hold_outcome::released)
      failed(member, *end == io::hold_outcome::expired ? "its hold ended at the deadline, before the release"
                                                       : "its hold was given up");
    over = ++ends == volumes.size();
    wake.notify_all();
  }
};

} // namespace

group_hold_report hold_group(io::engine& engine, const std::vector<volume_uuid>& volumes, io::hold_id id,
                             std::chrono::milliseconds longest, const clock_source& clock) {
  const auto all = std::make_shared<holding>(engine, clock, id, volumes);
  const auto deadline = clock.boot_now() + longest;
  for (std::size_t i = 0; i < volumes.size(); ++i)
    engine.hold(volumes[i], id, deadline, [all, i](const auto& answer) { all->on_held(i, answer); });
  std::unique_lock lock(all->mutex);
  // Every hold answers by the deadline; the margin is for an engine that does not.
  const auto decided = [&] { return all->over || (all->answers == volumes.size() && all->held < volumes.size()); };
  all->wake.wait_for(lock, longest + std::chrono::seconds(1), decided);
  const bool over = all->over;
  if (!over) {
    if (all->report.failure.empty())
      all->report.failure = "not every member held before the deadline";
    // A late `held` finds held < size, or its id given up.
    all->held = 0;
    all->answers = 0;
  }
  all->report.released = over && all->report.failure.empty();
  const auto report = all->report;
  lock.unlock();
  if (!report.released) // whatever cut a hold made goes with it
    for (const auto& volume : volumes)
      engine.abandon(volume, id);
  return report;
}

} // namespace gnomon::actors
