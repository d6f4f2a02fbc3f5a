#include "io/engine/hydrator.hpp"

#include <algorithm>
#include <vector>

#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

void yielding_pace::measured(const latency_histogram& beside, const latency_histogram& alone) {
  if (beside.count() < samples_min || alone.count() < samples_min)
    return;
  const double bound = alone.quantile_nanoseconds(0.99) * latency_bound;
  const std::uint64_t now = std::min(rate_, std::max(moved_, rate_min));
  if (beside.quantile_nanoseconds(0.99) > bound)
    rate_ = std::max(rate_min, now / 2);
  else
    rate_ = std::min(rate_max, rate_ + std::max(now / 8, rate_min));
}

struct hydrator::work {
  std::shared_ptr<volume_core> core;
  granule_plan plan;
  std::shared_ptr<work_control> control;
  done_callback done;
  std::size_t run = 0;          // of the plan
  std::uint64_t at = 0;         // granules of that run that were begun
  unsigned in_flight = 0;
  std::uint64_t unsynced = 0;   // bytes
  clock::time_point chained{}, next{};
  bool chaining = false, ending = false, ended = false;
  std::optional<error> failure;
};

struct hydrator::shared {
  std::mutex mutex;
  std::condition_variable wake;
  std::list<std::shared_ptr<work>> works;
  std::uint64_t moved = 0; // bytes, of all works
  bool poked = false, stopping = false;
  void poke() {
    poked = true;
    wake.notify_all();
  }
};

hydrator::hydrator(std::function<latency_histogram()> latencies)
    : latencies_(std::move(latencies)), shared_(std::make_shared<shared>()), thread_([this] { run(); }) {}

void hydrator::begin(std::shared_ptr<volume_core> core, granule_plan plan, std::shared_ptr<work_control> control,
                     done_callback done) {
  auto w = std::make_shared<work>();
  std::uint64_t total = 0;
  for (const auto& run : plan)
    total += run.granules * granule_bytes;
  control->set_total(total);
  w->core = std::move(core), w->plan = std::move(plan), w->control = std::move(control), w->done = std::move(done);
  w->chained = w->next = clock::now();
  w->control->on_change([weak = std::weak_ptr(shared_)] {
    if (const auto s = weak.lock()) {
      const std::lock_guard lock{s->mutex};
      s->poke();
    }
  });
  {
    const std::lock_guard lock{shared_->mutex};
    if (!shared_->stopping && shared_->works.size() < hydrations_max) {
      shared_->works.push_back(w);
      return shared_->poke();
    }
  }
  w->control->on_change({});
  w->done(shared_->stopping ? fail(errc::shutting_down, "the node is stopping")
                            : fail(errc::limit_reached, std::to_string(hydrations_max) + " hydrations are under way"));
}

void hydrator::stop() {
  std::list<std::shared_ptr<work>> left;
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->stopping = true;
    shared_->poke();
  }
  if (thread_.joinable())
    thread_.join();
  {
    const std::lock_guard lock{shared_->mutex};
    left.swap(shared_->works);
    for (const auto& w : left)
      w->ended = true;
  }
  for (const auto& w : left)
    finish(w, fail(errc::shutting_down, "the node is stopping"));
}

void hydrator::finish(const std::shared_ptr<work>& w, result<void> outcome) {
  w->control->on_change({});
  w->core.reset();
  const auto done = std::move(w->done);
  done(std::move(outcome));
}

void hydrator::piece_done(const std::shared_ptr<shared>& s, const std::shared_ptr<work>& w, std::uint64_t granules,
                          const result<void>& outcome) {
  w->control->add_done(granules * granule_bytes);
  const std::lock_guard lock{s->mutex};
  --w->in_flight;
  if (!outcome && !w->failure)
    w->failure = outcome.error();
  w->unsynced += granules * granule_bytes;
  s->moved += granules * granule_bytes;
  s->poke();
}

hydrator::clock::time_point hydrator::advance(const std::shared_ptr<work>& w, clock::time_point now,
                                              std::vector<std::function<void()>>& outside) {
  const auto later = now + std::chrono::seconds{1};
  if (w->control->cancelled() && !w->failure)
    w->failure = error{errc::shutting_down, "it was cancelled", 0};
  const bool all_begun = w->run == w->plan.size();
  if (w->failure || all_begun) {
    if (w->in_flight != 0 || w->chaining)
      return later;
    // The end: what was brought in becomes durable, and `done` says so.
    w->ending = w->chaining = true;
    outside.push_back([w, s = shared_] {
      const auto synced = [w, s](int failed) {
        {
          const std::lock_guard lock{s->mutex};
          if (w->ended)
            return;
          w->ended = true;
          s->works.remove(w);
        }
        if (w->failure)
          return finish(w, tl::unexpected(*w->failure));
        if (failed != 0)
          return finish(w, fail_errno("sync of what was brought in", failed));
        finish(w, {});
      };
      if (plants(planted::source_gone_before_chain))
        return synced(0);
      w->core->sync_in_background(synced);
    });
    return later;
  }
  if (!w->chaining && w->unsynced > 0 && (w->unsynced >= chain_bytes || now - w->chained >= chain_every)) {
    w->chaining = true;
    w->unsynced = 0;
    w->chained = now;
    outside.push_back([w, s = shared_] {
      w->core->sync_in_background([w, s](int failed) {
        const std::lock_guard lock{s->mutex};
        w->chaining = false;
        if (failed != 0 && !w->failure)
          w->failure = error{errc::io_failed, "sync of what was brought in", failed};
        s->poke();
      });
    });
  }
  if (w->control->paused() || resting_)
    return later;
  while (w->in_flight < pieces_in_flight && w->run < w->plan.size() && w->next <= now) {
    const granule_run& run = w->plan[w->run];
    const std::uint64_t granules = std::min(piece_granules, run.granules - w->at);
    const granule_run piece{granule_index{run.first.value + w->at}, granules};
    w->at += granules;
    if (w->at >= run.granules)
      ++w->run, w->at = 0;
    if (granules == 0)
      continue;
    presence* const present = w->core->granules().present();
    if (present == nullptr || !present->any_missing(piece.first.value, piece.first.value + granules)) {
      w->control->add_done(granules * granule_bytes); // it is there
      continue;
    }
    const std::uint64_t asked = w->control->bytes_per_second();
    const std::uint64_t rate = asked == 0 ? pace_.bytes_per_second() : std::min(asked, pace_.bytes_per_second());
    w->next = std::max(w->next, now - std::chrono::milliseconds{20}) +
              std::chrono::nanoseconds{granules * granule_bytes * 1'000'000'000 / rate};
    ++w->in_flight;
    outside.push_back([w, s = shared_, piece] {
      w->core->granules().hydrate_piece(
          w->core, piece, [w, s, piece](const result<void>& outcome) { piece_done(s, w, piece.granules, outcome); });
    });
  }
  if (w->run == w->plan.size() && w->in_flight == 0)
    return now; // all of it was there
  return w->in_flight < pieces_in_flight ? std::max(w->next, now) : later;
}

// A cycle is a slice of work and one of rest. Without requests of clients there is nothing to compare, and no rest.
void hydrator::measure(clock::time_point now) {
  if (now < slice_ends_)
    return;
  const latency_histogram total = latencies_();
  latency_histogram here;
  for (std::size_t b = 0; b < latency_histogram::bucket_count; ++b)
    here.add_bucket(b, total.count_in(b) - std::min(total.count_in(b), at_slice_.count_in(b)));
  if (slice_ends_ != clock::time_point{}) {
    (resting_ ? alone_ : beside_).merge(here);
    if (!resting_) {
      pace_.moved((shared_->moved - moved_at_slice_) * 1000 / run_slice.count());
      if (here.count() < yielding_pace::samples_min)
        pace_.unwatched();
    } else if (++cycles_ % 2 == 0) {
      pace_.measured(beside_, alone_);
      beside_ = alone_ = {};
    }
  }
  resting_ = !resting_ && slice_ends_ != clock::time_point{} && here.count() >= yielding_pace::samples_min;
  slice_ends_ = now + (resting_ ? rest_slice : run_slice);
  at_slice_ = total;
  moved_at_slice_ = shared_->moved;
}

void hydrator::run() {
  std::unique_lock lock{shared_->mutex};
  while (!shared_->stopping) {
    shared_->poked = false;
    if (shared_->works.empty()) {
      resting_ = false, slice_ends_ = {}, beside_ = alone_ = {};
      shared_->wake.wait(lock, [this] { return shared_->poked || shared_->stopping; });
      continue;
    }
    const auto now = clock::now();
    measure(now);
    auto until = slice_ends_;
    std::vector<std::function<void()>> outside;
    for (const auto& w : shared_->works)
      if (!w->ending)
        until = std::min(until, advance(w, now, outside));
    if (!outside.empty()) { // what it starts may call back at once
      lock.unlock();
      for (const auto& start : outside)
        start();
      lock.lock();
      continue;
    }
    shared_->wake.wait_until(lock, until, [this] { return shared_->poked || shared_->stopping; });
  }
}

} // namespace gnomon::io
