// Holds of one volume: a cut that keeps new changes waiting until it is released, abandoned or over, and that a capture
// takes over within a minute. How the cut is made: granule_captures.cpp.
#include "io/volume/core.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

error abandoned_hold() { return {errc::permission_denied, "this hold was abandoned", 0}; }

void granule_state::hold(std::shared_ptr<volume_core> self, hold_id id, boot_time deadline,
                         std::function<void(result<held_report>)> done) {
  deadline = std::min(deadline, boot_clock::now() + hold_max);
  if (const auto known = repeated_hold(id)) // no mutex is held now: `done` may call back
    return done(*known);
  start(self, id, deadline, [this, self, id, done](result<void> outcome) {
    if (!outcome)
      return done(outcome.error().code == errc::timed_out
                      ? result<held_report>{fail(errc::busy, "no generation was free before the deadline")}
                      : result<held_report>{tl::unexpected(outcome.error())});
    held_report report{};
    {
      const std::lock_guard lock{mutex_};
      report = reports_.back().report;
    }
    watch_hold(self, id, report.cut, report.deadline);
    done(report);
  });
}

std::optional<result<held_report>> granule_state::repeated_hold(hold_id id) {
  const auto control = core_.plane().generations.exclusive();
  const auto outcome = core_.generations().outcome(id);
  if (!outcome)
    return std::nullopt;
  if (outcome == hold_outcome::abandoned)
    return tl::unexpected(abandoned_hold());
  const std::lock_guard lock{mutex_};
  for (const auto& one : reports_)
    if (one.id == id)
      return one.report;
  return fail(errc::not_found, "this hold is forgotten");
}

// A ring with parked requests ends the hold at its deadline; where none is parked, this does.
void granule_state::watch_hold(std::shared_ptr<volume_core> self, hold_id id, generation_number cut,
                               boot_time deadline) {
  generation_scheduler& generations = core_.plane().generations;
  const auto over = [cut](volume_core& core) {
    return !core.generations().held() || core.generations().current() != cut;
  };
  generations.add(
      self, over,
      [this, self, id, cut, &generations](const result<void>&) {
        {
          const auto control = generations.exclusive();
          (void)core_.generations().expire(cut);
        }
        const auto claimed = [this, id](volume_core&) {
          const std::lock_guard lock{mutex_};
          return unclaimed_ != id;
        };
        generations.add(
            self, claimed,
            [this, self, id](const result<void>& outcome) {
              if (!outcome && outcome.error().code == errc::timed_out)
                drop_unclaimed(self, id);
            },
            boot_clock::now() + unclaimed_cut_max);
      },
      deadline);
}

result<hold_outcome> granule_state::release(hold_id id) {
  generation_scheduler& generations = core_.plane().generations;
  std::optional<hold_outcome> outcome;
  {
    const auto control = generations.exclusive();
    outcome = core_.generations().release(id);
  }
  generations.poke();
  if (!outcome)
    return fail(errc::not_found, "this hold never held");
  return *outcome;
}

void granule_state::abandon(std::shared_ptr<volume_core> self, hold_id id) {
  {
    const auto control = core_.plane().generations.exclusive();
    core_.generations().abandon(id);
  }
  core_.plane().generations.poke();
  drop_unclaimed(std::move(self), id);
}

void granule_state::drop_unclaimed(std::shared_ptr<volume_core> self, hold_id id) {
  {
    const std::lock_guard lock{mutex_};
    if (unclaimed_ != id || stage_ != stage::cut)
      return;
    unclaimed_.reset();
  }
  end(self, capture_end::failed, [](const result<void>&) {});
}

} // namespace gnomon::io
