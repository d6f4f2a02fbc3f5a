// Cuts and captures of one volume: from "make a cut" to "the layer is sealed" or "it is given up".
//
//   none -> starting (tracking, spill) -> cut (a generation began with it) -> running (changes from before are over,
//   it is read) -> ending (no ring knows it any more) -> none
//
// Holds: granule_holds.cpp.
#include <algorithm>
#include <cstring>

#include "config/log.hpp"
#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/file_io.hpp"
#include "io/volume/granule_piece.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

namespace {

std::atomic<std::uint64_t> next_capture_id{1};

error not_sound(const volume_core& core) {
  return {errc::io_failed, "a sync of volume " + core.spec().name.value + " failed: what it holds is in doubt", EIO};
}

tl::unexpected<error> no_capture() { return fail(errc::not_found, "no such capture of this volume"); }

} // namespace

void granule_state::back_to_none() {
  const std::lock_guard lock{mutex_};
  stage_ = stage::none;
  capture_ = nullptr;
  unclaimed_.reset();
}

// --- up to the cut

void granule_state::start(std::shared_ptr<volume_core> self, std::optional<hold_id> id, boot_time deadline,
                          callback then) {
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return then(fail(errc::shutting_down, "the volume is closing"));
    if (stage_ != stage::none)
      return then(fail(errc::busy, "a capture of volume " + core_.spec().name.value + " runs already"));
    if (core_.condition() != core_condition::sound)
      return then(tl::unexpected(not_sound(core_)));
    stage_ = stage::starting;
  }
  const callback or_none = [this, then](result<void> outcome) {
    if (!outcome)
      back_to_none();
    then(std::move(outcome));
  };
  pass_begins();
  on_worker([this, self, id, deadline, or_none] {
    auto spill = granule_spill::create(folder());
    const auto ended = [this](granule_state*) { pass_ended(); };
    const std::unique_ptr<granule_state, decltype(ended)> counted(this, ended);
    if (!spill)
      return or_none(tl::unexpected(spill.error()));
    auto kept = std::make_shared<std::unique_ptr<granule_spill>>(std::move(*spill));
    ensure_tracking(self, [this, self, id, deadline, or_none, kept](result<void> ready) {
      if (!ready)
        return or_none(std::move(ready));
      make_cut(self, id, deadline, std::move(*kept), or_none);
    });
  });
}

// Changes are marked from now on; where no memory is to be had for it, what changed stays unknown.
void granule_state::ensure_tracking(std::shared_ptr<volume_core> self, callback then) {
  bool have = false;
  {
    const std::lock_guard lock{mutex_};
    have = live_ != nullptr && !useless_;
  }
  if (have)
    return then({});
  const auto file = identity_of(core_.file().data_fd());
  if (!file)
    return then(tl::unexpected(file.error()));
  auto made = live_bits::create(bits_options(*file));
  if (!made)
    log::warning("volume {}: its changes cannot be tracked, each snapshot reads all of it: {}",
                 core_.spec().name.value, made.error().to_string());
  granule_bits* after = nullptr;
  {
    const std::lock_guard lock{mutex_};
    if (live_ != nullptr)
      outgrown_ = std::move(live_);
    if (made) {
      live_ = std::move(*made);
      useless_ = false;
      active_ = 0;
      after = &live_->bits(0);
    }
  }
  publish_duties([after](granule_duties& d) { d.before = nullptr, d.after = after; });
  // Only then does every change hold the gate and mark its granules.
  core_.plane().generations.when_over(self, generation_scheduler::classes::changes, std::move(then));
}

void granule_state::make_cut(std::shared_ptr<volume_core> self, std::optional<hold_id> id, boot_time deadline,
                             std::unique_ptr<granule_spill> spill, callback then) {
  auto kept = std::make_shared<std::unique_ptr<granule_spill>>(std::move(spill));
  auto refused = std::make_shared<std::optional<error>>();
  const auto step = [this, id, deadline, kept, refused](volume_core& core) {
    generation_gate& generations = core.generations();
    if (id && generations.outcome(*id)) { // it was abandoned on its way here: nothing will ever advance for it
      *refused = abandoned_hold();
      return true;
    }
    if (id && boot_clock::now() >= deadline)
      return false; // over before it began: the scheduler ends it
    if (core.condition() != core_condition::sound) {
      *refused = not_sound(core);
      return true;
    }
    if (id ? !generations.may_hold() : !generations.may_advance())
      return false;
    const generation_number cut{generations.current().value + 1};
    // Published before the advance: a request of the new generation finds it.
    publish_duties([&](granule_duties& d) {
      const std::lock_guard lock{mutex_};
      cut_ = cut;
      stage_ = stage::cut;
      unclaimed_ = id;
      capture_ = std::make_shared<capture>(next_capture_id++, core.current_route().size, std::move(*kept));
      if (core.condition() != core_condition::sound) // since the look above; later sync_failed() finds the capture
        capture_->fail_with(not_sound(core));
      d.cut = cut;
      d.capturing = capture_;
      if (live_ != nullptr) {
        known_at_cut_ = live_->known();
        d.before = &live_->bits(active_);
        active_ = 1 - active_;
        d.after = &live_->bits(active_);
      }
    });
    if (!id)
      return generations.advance().has_value();
    const auto held = generations.advance_and_hold(*id, deadline);
    const std::lock_guard lock{mutex_};
    reports_.push_back({*id, {held.generation, boot_clock::now(), deadline}});
    if (reports_.size() > holds_reported_max)
      reports_.pop_front();
    return true;
  };
  const auto answer = [then = std::move(then), refused](result<void> outcome) {
    if (outcome && *refused)
      outcome = tl::unexpected(**refused);
    then(std::move(outcome));
  };
  core_.plane().generations.add(self, step, answer, id ? deadline : boot_time::max());
}

// --- captures

void granule_state::begin_capture(std::shared_ptr<volume_core> self, capture_order order, std::optional<hold_id> held,
                                  std::function<void(result<capture_begun>)> done) {
  if (!held)
    return start(self, {}, boot_time::max(), [this, self, order, done](result<void> outcome) {
      if (!outcome)
        return done(tl::unexpected(outcome.error()));
      scan(self, order, done);
    });
  {
    const std::lock_guard lock{mutex_};
    if (unclaimed_ != held)
      return done(fail(errc::not_found, "this hold made no cut here, or nobody asked for it in time"));
    unclaimed_.reset();
  }
  core_.plane().generations.poke();
  scan(std::move(self), order, std::move(done));
}

void granule_state::scan(std::shared_ptr<volume_core> self, capture_order order,
                         std::function<void(result<capture_begun>)> done) {
  generation_number cut;
  {
    const std::lock_guard lock{mutex_};
    cut = cut_;
  }
  const auto old_changes_over = [cut](volume_core& core) {
    return core.generations().drained(generation_number{cut.value - 1});
  };
  core_.plane().generations.add(self, old_changes_over, [this, self, order, done](result<void> outcome) {
    if (!outcome)
      return end(self, capture_end::failed, [done, outcome](const result<void>&) {
        done(tl::unexpected(outcome.error()));
      });
    capture_begun begun;
    {
      const std::lock_guard lock{mutex_};
      stage_ = stage::running;
      becomes_ = order.snapshot;
      begun = {capture_->id(), capture_->size(), cut_,
               live_ != nullptr && known_at_cut_ && live_->since() == order.below};
      const bool some = order.kind == capture_kind::changed && begun.changed_known;
      capture_->begin_scan(some ? &live_->bits(1 - active_) : nullptr);
    }
    done(begun);
  });
}

void granule_state::read_capture(std::shared_ptr<volume_core> self, std::uint64_t id, granule_index from,
                                 std::uint32_t granules_max, std::function<void(result<capture_piece>)> done) {
  std::shared_ptr<capture> of;
  {
    const std::lock_guard lock{mutex_};
    if (capture_ == nullptr || capture_->id() != id || stage_ != stage::running)
      return done(no_capture());
    if (reading_)
      return done(fail(errc::busy, "another read of this capture is under way"));
    of = capture_;
    reading_ = true;
  }
  of->delivered_before(from.value);
  granule_pass pass;
  pass.first = pass.end = of->next_wanted(from.value);
  const std::uint32_t limit = std::clamp(granules_max, 1u, piece_granules_max);
  while (pass.end < of->granules() && pass.end < pass.first + limit && of->next_wanted(pass.end) == pass.end)
    ++pass.end;
  const auto state = std::make_shared<granule_piece>(pass.first, pass.end);
  pass.needed = [](std::uint64_t) { return true; };
  pass.work = [this, of, state](std::uint64_t granule) -> result<void> {
    if (auto why = of->failure())
      return tl::unexpected(*why);
    const std::uint32_t bytes = of->bytes_of(granule);
    result<void> got;
    bool zero = false;
    if (of->settled(granule)) {
      got = of->read_copy(granule, state->first(bytes));
    } else {
      zero = reads_as_hole(granule, bytes);
      if (!zero)
        got = read_logical(granule, state->memory(), bytes);
      of->settle(granule);
    }
    if (!got)
      return got;
    state->append(bytes, zero);
    return {};
  };
  pass.done = [this, self, of, state, next = pass.end, done](const result<void>& outcome) {
    {
      const std::lock_guard lock{mutex_};
      reading_ = false;
    }
    if (!outcome) {
      of->fail_with(outcome.error());
      return done(tl::unexpected(outcome.error()));
    }
    deliver(self, of, state->finish(of->next_wanted(next) >= of->granules()), done);
  };
  start_pass(core_, std::move(pass));
}

// A page that could not be written back reads as it was before, and only a sync tells: the capture is good when one
// that began behind its last read has succeeded. That one comes before the last piece is answered.
void granule_state::deliver(std::shared_ptr<volume_core> self, std::shared_ptr<capture> of, capture_piece piece,
                            std::function<void(result<capture_piece>)> done) {
  if (!piece.end || core_.opened_read_only())
    return done(std::move(piece));
  core_.sync_in_background([self, of, last = std::make_shared<capture_piece>(std::move(piece)), done](int error) {
    if (error != 0)
      of->fail_with({errc_from_errno(error), "a sync of the volume failed", error});
    if (auto why = of->failure())
      return done(tl::unexpected(*why));
    done(std::move(*last));
  });
}

void granule_state::end_capture(std::shared_ptr<volume_core> self, std::uint64_t id, capture_end how,
                                done_callback done) {
  std::optional<error> failed;
  {
    const std::lock_guard lock{mutex_};
    if (capture_ == nullptr || capture_->id() != id || stage_ != stage::running)
      return done(no_capture());
    if (how == capture_end::sealed)
      failed = capture_->failure();
  }
  if (!failed)
    return end(std::move(self), how, std::move(done));
  // It ends all the same, or no other could ever begin.
  end(std::move(self), capture_end::failed, [done, why = *failed](const result<void>&) {
    done(fail(errc::invalid_argument, "this capture has failed and cannot be sealed: " + why.message, why.os_errno));
  });
}

// A wait of the end was refused: changes may still mark bits that the next capture clears. A close takes both over.
void granule_state::bits_in_doubt() {
  const std::lock_guard lock{mutex_};
  if (live_ == nullptr || closed_)
    return;
  useless_ = true;
  live_->set_known(false);
}

void granule_state::end(std::shared_ptr<volume_core> self, capture_end how, callback then) {
  generation_number cut;
  {
    const std::lock_guard lock{mutex_};
    stage_ = stage::ending;
    cut = cut_;
    if (how == capture_end::failed && capture_ != nullptr)
      capture_->fail_with({errc::busy, "it was given up", 0}); // writes copy nothing for it any more
  }
  if (is_closed()) { // what the next start takes over is both bitmaps
    back_to_none();
    return then({});
  }
  // Until the changes from before the cut are over, they mark `before`.
  const auto old_changes_over = [cut](volume_core& core) {
    return core.generations().drained(generation_number{cut.value - 1});
  };
  generation_scheduler& generations = core_.plane().generations;
  generations.add(self, old_changes_over, [this, self, how, then, &generations](const result<void>& drained) {
    if (!drained)
      bits_in_doubt();
    publish_duties([](granule_duties& d) {
      d.capturing = nullptr;
      d.before = nullptr;
      d.cut = {};
    });
    generations.when_over(self, generation_scheduler::classes::changes, [this, how, then](const result<void>& over) {
      if (!over)
        bits_in_doubt();
      {
        const std::lock_guard lock{mutex_};
        if (over && live_ != nullptr && !useless_) {
          granule_bits& before = live_->bits(1 - active_);
          if (how == capture_end::failed && !plants(planted::failed_capture_keeps_bits))
            live_->bits(active_).merge(before);
          before.clear();
          if (how == capture_end::sealed)
            live_->count_from(becomes_);
        }
      }
      back_to_none();
      then({});
    });
  });
}

} // namespace gnomon::io
