#include "io/volume/core.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

#include <unistd.h>

#include "config/log.hpp"
#include "io/fault/planted.hpp"
#include "io/volume/fences.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

// What is put in the file's place, or what accept-loss makes of it, is not what the changed bits were counted on: they
// go before an operator can do either. While they cannot be made to go the failure says so, and not what to do.
static tl::unexpected<error> damaged(const volume_spec& spec, const data_plane& plane, std::string text) {
  live_bits::options bits;
  bits.volume = spec.uuid;
  bits.boot = plane.boot;
  bits.saved_path = spec.path + ".changed";
  if (auto gone = live_bits::forget(bits); !gone)
    return fail(errc::io_failed, "volume " + spec.name.value + ": its file is damaged, and what changed since its newest "
                                 "layer cannot be forgotten: " + gone.error().message, gone.error().os_errno);
  return fail(errc::corrupt, std::move(text));
}

result<std::shared_ptr<volume_core>> volume_core::open(volume_spec spec, data_plane& plane) {
  if (spec.size.value == 0 || spec.size.value > volume_bytes_max || spec.size.value % sector_bytes != 0)
    return fail(errc::invalid_argument, "volume " + spec.name.value + ": size " + std::to_string(spec.size.value) +
                                            " is not a positive multiple of 512 up to 1 PiB");
  const auto found = identity_of(spec.path); // opening may change the file's times
  if (!found && found.error().code == errc::not_found)
    return damaged(spec, plane, "volume " + spec.name.value + " is damaged: " + spec.path +
                                   " is missing; put it back, or let all of it read as zeros with: gnomon volume "
                                   "accept-loss " +
                                   spec.name.value);
  if (!found)
    return fail(found.error().code, "volume " + spec.name.value + ": " + found.error().message, found.error().os_errno);
  auto file = block_file::open({.path = spec.path,
                                .cache = spec.cache,
                                .read_only = spec.read_only,
                                .exclusive_block_device = spec.exclusive_block_device});
  if (!file)
    return fail(file.error().code, "volume " + spec.name.value + ": " + file.error().message, file.error().os_errno);
  const auto holds = file->size();
  if (!holds)
    return tl::unexpected(holds.error());
  // What is missing is lost, not zero.
  if (holds->value < spec.size.value)
    return damaged(spec, plane, "volume " + spec.name.value + " is damaged: " + spec.path + " has " +
                                   std::to_string(holds->value) + " of " + std::to_string(spec.size.value) +
                                   " bytes; put the file back, or let the lost end read as zeros with: gnomon volume "
                                   "accept-loss " +
                                   spec.name.value);
  std::shared_ptr<volume_core> core{new volume_core(std::move(spec), std::move(*file), plane)};
  auto faults = fault_plan::from_environment();
  if (!faults)
    return tl::unexpected(faults.error());
  core->faults_ = std::move(*faults);
  if (auto ready = core->granules_->open(*found); !ready)
    return tl::unexpected(ready.error());
  return core;
}

volume_core::volume_core(volume_spec spec, block_file file, data_plane& plane)
    : plane_(plane), uuid_(spec.uuid), opened_read_only_(spec.read_only), file_(std::move(file)),
      generations_(plane.ring_count() + 1, plane.resume.wake), granules_(std::make_unique<granule_state>(*this)),
      route_(plane.epochs), syncs_(spec.writes_failed), meter_(plane.ring_count()),
      admitted_per_ring_max_(admitted_max / plane.ring_count()),
      observations_(plane.ring_count(), default_chunk_bytes(spec.size), &plane.observations_spilled),
      condition_(spec.writes_failed ? core_condition::changes_refused : core_condition::sound),
      disk_(plane.disks.of(file_.device_number())), spec_(std::move(spec)) {
  if (file_.is_direct() && !spec_.read_only) {
    granule_gate::options o;
    o.unit = byte_count{block_bytes};
    o.waiters_max = admitted_max;
    o.resume = plane.resume;
    block_gate_ = std::make_unique<granule_gate>(o);
  }
  fences_ = spec_.fences;
  auto first = std::make_unique<route>();
  first->size = spec_.size;
  first->read_only = spec_.read_only;
  route_.swap(std::move(first));
  chain_.core = this;
  chain_.resume = [](parked& node) {
    const auto& self = static_cast<const chain_step&>(node);
    self.core->chain_done(*self.core->plane_.rings[self.ring.value], self.os_errno);
  };
  sync_.core = this;
  sync_.on_complete = [](completion& self, ring& on, int result, unsigned) {
    static_cast<sync_operation&>(self).core->sync_done(on, result);
  };
}

volume_core::~volume_core() { granules_.reset(); } // it uses the fault plan

void volume_core::note_error(int os_errno) {
  if (os_errno == EFBIG && !size_limit_told_.exchange(true))
    plane_.report({alert::kind::write_failed, uuid_, {}, os_errno,
                   "it lies beyond the limit of file sizes: raise it (LimitFSIZE, ulimit -f)"});
}

void volume_core::request_sync(sync_waiter& waiter, ring& on) {
  awaiting_sync_.fetch_add(1, std::memory_order_relaxed);
  switch (syncs_.arrive(waiter)) {
  case sync_coalescer::arrival::start_sync:
    return submit_sync(on);
  case sync_coalescer::arrival::joined:
    return;
  case sync_coalescer::arrival::full:
    waiter.os_errno = ENOMEM;
    [[fallthrough]];
  case sync_coalescer::arrival::failed:
    return waiter.resume(waiter);
  }
}

void volume_core::sync_in_background(std::function<void(int)> done) {
  struct background : sync_waiter {
    volume_core* core;
    std::function<void(int)> done;
  };
  auto* const one = new background;
  one->core = this;
  one->done = std::move(done);
  one->ring = ring_index{0};
  one->resume = [](parked& node) {
    const std::unique_ptr<background> self{static_cast<background*>(static_cast<sync_waiter*>(&node))};
    volume_core& core = *self->core;
    self->done(self->os_errno);
    core.sync_answered();
  };
  awaiting_sync_.fetch_add(1, std::memory_order_relaxed); // also on its way there: a close waits for it
  const bool posted = plane_.rings[0]->post([this, one](ring& on) {
    request_sync(*one, on);
    sync_answered();
  });
  if (!posted) {
    one->done(ESHUTDOWN);
    delete one;
    sync_answered();
  }
}

void volume_core::request_chain() {
  if (!chain_requested_.exchange(true))
    sync_in_background([this](int) { chain_requested_ = false; });
}

void volume_core::submit_sync(ring& on) {
  presence* const present = granules_->present();
  if (present != nullptr && plants(planted::present_before_data))
    (void)present->make_durable(present->take_list());
  else if (present != nullptr && !plants(planted::list_after_sync_began))
    chain_list_ = present->take_list(); // before the sync begins: what it covers
  if (faults_) [[unlikely]] {
    sync_fault_id_ = faults_->before_sync(file_.data_fd()).value;
    if (const auto decision = faults_->decide(disk_operation::sync, byte_offset{0}, byte_count{0});
        decision.os_errno != 0)
      return on.complete_later(sync_, -decision.os_errno);
  }
  on.submit_sync(sync_, file_.sync_fd());
}

void volume_core::sync_done(ring& on, int result) {
  if (result == -EINTR || result == -EAGAIN) {
    if (presence* const present = granules_->present())
      present->give_back(std::exchange(chain_list_, {}));
    return submit_sync(on);
  }
  const int error = result < 0 ? -result : 0;
  if (faults_) [[unlikely]] {
    if (auto ok = faults_->after_sync(file_.data_fd(), fault_plan::sync_id{sync_fault_id_}, error); !ok)
      log::error("fault plan: {}", ok.error().to_string());
  }
  if (presence* const present = granules_->present()) {
    if (plants(planted::list_after_sync_began))
      chain_list_ = present->take_list();
    if (error != 0) {
      present->give_back(std::exchange(chain_list_, {}));
    } else if (!chain_list_.granules.empty() || !chain_list_.cleared.empty()) {
      chain_.ring = ring_index{on.index()};
      return granules_->on_worker([this, present] {
        chain_.os_errno = present->make_durable(std::exchange(chain_list_, {}));
        plane_.resume.resume(chain_); // never refused, as a job for the ring may be
      });
    }
  }
  chain_done(on, error);
}

void volume_core::chain_done(ring& on, int error) {
  const auto outcome = syncs_.completed(error);
  if (outcome.newly_failed)
    begin_marking(error);
  if (outcome.start_another)
    submit_sync(on);
  plane_.resume.resume_list(outcome.answer);
}

// --- a failed sync

void volume_core::mark_failed(int os_errno) {
  if (syncs_.fail(os_errno))
    begin_marking(os_errno);
}

result<void> volume_core::grow_file(byte_count size) {
  const auto holds = file_.size();
  if (holds && holds->value < spec().size.value)
    return fail(errc::corrupt, "volume " + spec().name.value + " is damaged: its file has lost its end");
  if (auto grown = file_.extend(size); !grown)
    return grown; // refused, and nothing has changed
  if (file_.is_block_device())
    return {};
  // Also where the file was long enough: an attempt before may have got no further than that.
  if (const int error = sync_with([this] { return file_.sync_beside(); }); error != 0) {
    mark_failed(error); // whatever it is, it may have met older writes
    return fail(errc::io_failed, "volume " + spec().name.value + ": sync after growing", error);
  }
  return {};
}

void volume_core::begin_marking(int os_errno) {
  {
    std::lock_guard lock{mark_mutex_};
    failure_recorded_ = false;
  }
  condition_.store(core_condition::changes_refused, std::memory_order_release);
  change_spec([](volume_spec& s) { s.writes_failed = true; });
  granules_->sync_failed();
  plane_.report({alert::kind::sync_failed, uuid_, {}, os_errno, "writes that were not yet flushed may be lost"});
  if (!plane_.record_failure)
    return failure_marked({});
  plane_.record_failure(uuid_, os_errno,
                        [self = shared_from_this()](const result<void>& recorded) { self->failure_marked(recorded); });
}

void volume_core::failure_marked(const result<void>& recorded) {
  if (!recorded) {
    condition_.store(core_condition::refused, std::memory_order_release);
    plane_.report({alert::kind::failure_unrecorded, uuid_, {}, recorded.error().os_errno, recorded.error().message});
  }
  parked* answered = nullptr;
  {
    std::lock_guard lock{mark_mutex_};
    failure_recorded_ = recorded.has_value();
    answered = syncs_.marked();
    mark_decided_.notify_all();
  }
  plane_.resume.resume_list(answered);
}

void volume_core::failure_recorded() {
  std::lock_guard lock{mark_mutex_};
  if (syncs_.marking() || !syncs_.failed())
    return;
  failure_recorded_ = true;
  condition_.store(core_condition::changes_refused, std::memory_order_release);
}

bool volume_core::failure_is_recorded() const {
  std::lock_guard lock{mark_mutex_};
  return failure_recorded_;
}

int volume_core::sync_now() {
  return sync_with([this] { return fdatasync(file_.sync_fd()) == 0 ? 0 : errno; });
}

int volume_core::sync_with(const std::function<int()>& sync) {
  if (!faults_)
    return sync();
  const auto id = faults_->before_sync(file_.data_fd());
  const auto decision = faults_->decide(disk_operation::sync, byte_offset{0}, byte_count{0});
  int error = decision.os_errno;
  if (error == 0)
    error = sync();
  if (auto ok = faults_->after_sync(file_.data_fd(), id, error); !ok)
    log::error("fault plan: {}", ok.error().to_string());
  return error;
}

result<void> volume_core::final_sync() {
  if (!opened_read_only_ && !syncs_.failed()) {
    if (const int error = sync_now(); error != 0)
      mark_failed(error);
  }
  if (!syncs_.failed()) {
    synced_.store(true, std::memory_order_release);
    return {};
  }
  std::unique_lock lock{mark_mutex_};
  mark_decided_.wait(lock, [this] { return !syncs_.marking(); });
  return fail(errc::io_failed,
              "volume " + spec().name.value + ": a sync failed; writes that were not flushed may be lost",
              syncs_.failed_errno());
}

volume_spec volume_core::spec() const {
  std::lock_guard lock{spec_mutex_};
  return spec_;
}

void volume_core::change_spec(const std::function<void(volume_spec&)>& change) {
  std::lock_guard lock{spec_mutex_};
  change(spec_);
}

void volume_core::publish(const std::function<void(route&)>& change) {
  std::lock_guard lock{publish_mutex_};
  auto next = std::make_unique<route>(*route_.load()); // nobody else swaps it meanwhile
  change(*next);
  route_.swap(std::move(next));
}

void volume_core::publish_recording(recorder* recording) {
  publish([&](route& r) { r.recording = recording; });
}

void volume_core::clear_write_failure() {
  std::lock_guard lock{mark_mutex_};
  syncs_.clear_failure();
  if (syncs_.failed())
    return; // one under way
  failure_recorded_ = true;
  change_spec([](volume_spec& s) { s.writes_failed = false; });
  condition_.store(core_condition::sound, std::memory_order_release);
}

// For the client that is refused, and the log.
static std::string fenced_text(const volume_name& volume, const instance_id& who, const fence_set& fences) {
  std::string text = "volume " + volume.value;
  if (fences.only)
    text += " was handed over to instance " + fences.only->value + "; instance " + who.value + " may not attach";
  else
    text += fences.everybody  ? " is fenced"
            : is_gateway(who) ? ": an instance is fenced, which may be one behind " + who.value
                              : ": instance " + who.value + " is fenced";
  return text + " (epoch " + std::to_string(fences.epoch) + ") until: gnomon volume unfence " +
         volume.value;
}

result<void> volume_core::attach(const instance_id& who, bool writing) {
  std::lock_guard lock{attach_mutex_};
  if (closing_)
    return fail(errc::shutting_down, "the volume is being closed");
  if (!admits_connection(fences_, who))
    return fail(errc::permission_denied, fenced_text(spec().name, who, fences_));
  if (!writing)
    return {};
  {
    std::lock_guard spec_lock{spec_mutex_};
    if (!spec_.shared) {
      for (const auto& [holder, connections] : writers_)
        if (holder != who)
          return fail(errc::busy, "volume " + spec_.name.value + " is attached by instance " + holder.value +
                                      "; detach it there, or take it over with: gnomon volume fence " +
                                      spec_.name.value);
    }
  }
  file_.open_sync_descriptor();
  ++writers_[who];
  return {};
}

void volume_core::detach(const instance_id& who, bool writing) {
  if (!writing)
    return;
  std::lock_guard lock{attach_mutex_};
  const auto held = writers_.find(who);
  if (held != writers_.end() && --held->second == 0)
    writers_.erase(held);
}

std::vector<instance_id> volume_core::writers() const {
  std::lock_guard lock{attach_mutex_};
  std::vector<instance_id> names;
  for (const auto& [who, connections] : writers_)
    names.push_back(who);
  return names;
}

void volume_core::begin_closing() {
  std::lock_guard lock{attach_mutex_};
  closing_ = true;
}

bool volume_core::closing() const {
  std::lock_guard lock{attach_mutex_};
  return closing_;
}

void volume_core::fence(fence_set fences) {
  std::lock_guard lock{attach_mutex_};
  fences_ = std::move(fences);
}

} // namespace gnomon::io
