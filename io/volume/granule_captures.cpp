// Cuts, holds and captures of one volume: from "make a cut" to "the layer is sealed" or "it is given up".
//
//   none -> starting (tracking, spill) -> cut (a generation began with it) -> running (changes from before are over,
//   it is read) -> ending (no ring knows it any more) -> none
#include <algorithm>
#include <cstring>

#include "config/log.hpp"
#include "io/fault/planted.hpp"
#include "io/volume/core.hpp"
#include "io/volume/file_io.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

namespace {

std::atomic<std::uint64_t> next_capture_id{1};

tl::unexpected<error> no_capture() { return fail(errc::not_found, "no such capture of this volume"); }

bool is_all_zeros(const std::byte* data, std::size_t bytes) {
  static constexpr std::byte zeros[block_bytes]{};
  for (; bytes > 0; data += std::min(bytes, sizeof zeros), bytes -= std::min(bytes, sizeof zeros))
    if (std::memcmp(data, zeros, std::min(bytes, sizeof zeros)) != 0)
      return false;
  return true;
}

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
  const auto step = [this, id, deadline, kept](volume_core& core) {
    generation_gate& generations = core.generations();
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
  core_.plane().generations.add(self, step, std::move(then), id ? deadline : boot_time::max());
}

// --- holds

void granule_state::hold(std::shared_ptr<volume_core> self, hold_id id, boot_time deadline,
                         std::function<void(result<held_report>)> done) {
  deadline = std::min(deadline, boot_clock::now() + hold_max);
  {
    const auto control = core_.plane().generations.exclusive();
    const auto outcome = core_.generations().outcome(id);
    if (outcome == hold_outcome::abandoned)
      return done(fail(errc::permission_denied, "this hold was abandoned"));
    if (outcome) {
      const std::lock_guard lock{mutex_};
      for (const auto& one : reports_)
        if (one.id == id)
          return done(one.report);
      return done(fail(errc::not_found, "this hold is forgotten"));
    }
  }
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

// --- captures

void granule_state::begin_capture(std::shared_ptr<volume_core> self, capture_kind kind, std::optional<hold_id> held,
                                  std::function<void(result<capture_begun>)> done) {
  if (!held)
    return start(self, {}, boot_time::max(), [this, self, kind, done](result<void> outcome) {
      if (!outcome)
        return done(tl::unexpected(outcome.error()));
      scan(self, kind, done);
    });
  {
    const std::lock_guard lock{mutex_};
    if (unclaimed_ != held)
      return done(fail(errc::not_found, "this hold made no cut here, or nobody asked for it in time"));
    unclaimed_.reset();
  }
  core_.plane().generations.poke();
  scan(std::move(self), kind, std::move(done));
}

void granule_state::scan(std::shared_ptr<volume_core> self, capture_kind kind,
                         std::function<void(result<capture_begun>)> done) {
  generation_number cut;
  {
    const std::lock_guard lock{mutex_};
    cut = cut_;
  }
  const auto old_changes_over = [cut](volume_core& core) {
    return core.generations().drained(generation_number{cut.value - 1});
  };
  core_.plane().generations.add(self, old_changes_over, [this, self, kind, done](result<void> outcome) {
    if (!outcome)
      return end(self, capture_end::failed, [done, outcome](const result<void>&) {
        done(tl::unexpected(outcome.error()));
      });
    capture_begun begun;
    {
      const std::lock_guard lock{mutex_};
      stage_ = stage::running;
      begun = {capture_->id(), capture_->size(), cut_, live_ != nullptr && known_at_cut_};
      const bool some = kind == capture_kind::changed && begun.changed_known;
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
  struct reading {
    capture_piece piece;
    granule_buffer content;
    std::size_t bytes = 0; // so far, also while they are all zero and not kept
  };
  const auto state = std::make_shared<reading>();
  granule_pass pass;
  pass.first = pass.end = of->next_wanted(from.value);
  const std::uint32_t limit = std::clamp(granules_max, 1u, piece_granules_max);
  while (pass.end < of->granules() && pass.end < pass.first + limit && of->next_wanted(pass.end) == pass.end)
    ++pass.end;
  state->piece.first = granule_index{pass.first};
  state->piece.next = granule_index{pass.end};
  state->piece.granules = static_cast<std::uint32_t>(pass.end - pass.first);
  pass.needed = [](std::uint64_t) { return true; };
  pass.work = [this, of, state](std::uint64_t granule) -> result<void> {
    if (auto why = of->failure())
      return tl::unexpected(*why);
    const std::uint32_t bytes = of->bytes_of(granule);
    result<void> got;
    bool zero = false;
    if (of->settled(granule)) {
      got = of->read_copy(granule, state->content.first(bytes));
    } else {
      zero = reads_as_hole(granule, bytes);
      if (!zero)
        got = read_logical(granule, state->content.data(), bytes);
      of->settle(granule);
    }
    if (!got)
      return got;
    auto& data = state->piece.data;
    if (!zero && (!data.empty() || !is_all_zeros(state->content.data(), bytes))) {
      data.resize(state->bytes); // what came before is zeros, or is there
      data.insert(data.end(), state->content.data(), state->content.data() + bytes);
    }
    state->bytes += bytes;
    return {};
  };
  pass.done = [this, self, of, state, done](const result<void>& outcome) {
    {
      const std::lock_guard lock{mutex_};
      reading_ = false;
    }
    if (!outcome) {
      of->fail_with(outcome.error());
      return done(tl::unexpected(outcome.error()));
    }
    capture_piece& piece = state->piece;
    piece.zero = piece.granules != 0 && piece.data.empty();
    if (!piece.data.empty())
      piece.data.resize(state->bytes);
    piece.end = of->next_wanted(piece.next.value) >= of->granules();
    done(std::move(piece));
  };
  start_pass(core_, std::move(pass));
}

void granule_state::end_capture(std::shared_ptr<volume_core> self, std::uint64_t id, capture_end how,
                                done_callback done) {
  {
    const std::lock_guard lock{mutex_};
    if (capture_ == nullptr || capture_->id() != id || stage_ != stage::running)
      return done(no_capture());
    if (how == capture_end::sealed && capture_->failed())
      return done(fail(errc::invalid_argument, "this capture has failed and cannot be sealed"));
  }
  end(std::move(self), how, std::move(done));
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
  generations.add(self, old_changes_over, [this, self, how, then, &generations](const result<void>&) {
    publish_duties([](granule_duties& d) {
      d.capturing = nullptr;
      d.before = nullptr;
      d.cut = {};
    });
    generations.when_over(self, generation_scheduler::classes::changes, [this, how, then](const result<void>& over) {
      {
        const std::lock_guard lock{mutex_};
        if (over && live_ != nullptr && !useless_) {
          granule_bits& before = live_->bits(1 - active_);
          if (how == capture_end::failed && !plants(planted::failed_capture_keeps_bits))
            live_->bits(active_).merge(before);
          before.clear();
          if (how == capture_end::sealed)
            live_->set_known(true);
        }
      }
      back_to_none();
      then({});
    });
  });
}

} // namespace gnomon::io
