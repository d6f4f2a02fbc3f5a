#include "io/redirect/shadow_filler.hpp"

#include <algorithm>
#include <cerrno>

#include "config/log.hpp"

namespace gnomon::io {

shadow_filler::shadow_filler(remote_volume& volume, volume_core& core, shadow_parts shadow, copy_budget* budget,
                             ring& on)
    : volume_(volume), core_(core), shadow_(std::move(shadow.granules)), extent_(std::move(shadow.extent)),
      budget_(budget), bound_(budget != nullptr), ring_(on) {
  for (auto& w : writes_) {
    w.self = this;
    w.on_complete = [](completion& c, ring&, int result, unsigned) {
      auto& w = static_cast<write_completion&>(c);
      if (result == -EINTR || result == -EAGAIN)
        return w.self->write(w);
      remote_errand& e = *w.e;
      if (result > 0) {
        w.done += static_cast<std::uint64_t>(result);
        if (w.done < e.remote.length)
          return w.self->write(w);
        w.e = nullptr;
        return w.self->end(e, session::granule_word::fill_result::written);
      }
      if (w.self->device_errno_.exchange(result == 0 ? EIO : -result) == 0)
        log::error("shadow of volume {}: its file cannot be written: {}", w.self->shadow_->volume().to_string(),
                   fail_errno("write", result == 0 ? EIO : -result).value().message);
      w.e = nullptr;
      w.self->end(e, session::granule_word::fill_result::failed);
    };
  }
  timer_.self = this;
  timer_.on_complete = [](completion& c, ring&, int, unsigned) {
    auto& self = *static_cast<timer_completion&>(c).self;
    self.timer_armed_ = false;
    self.look();
  };
}

void shadow_filler::start() {
  stopped_.store(false, std::memory_order_release);
  if (!ring_.post([this](ring&) { look(); }))
    stopped_.store(true, std::memory_order_release);
}

void shadow_filler::stop() {
  ring_.post([this](ring&) {
    stopping_ = true;
    look();
  });
}

void shadow_filler::look() {
  if (looking_)
    return;
  if (stopping_) {
    if (under_way_ == 0 && !timer_armed_)
      stopped_.store(true, std::memory_order_release); // the last access
    return;
  }
  looking_ = true;
  std::uint64_t looked_at = 0;
  while (under_way_ < fills_max && looked_at < granules_per_look && shadow_->serving() && device_errno() == 0) {
    if (cursor_ >= shadow_->granules()) {
      cursor_ = 0;
      passes_.fetch_add(1, std::memory_order_relaxed);
      break; // the timer begins the next one
    }
    ++looked_at;
    const granule_index g{cursor_};
    if (!extent_->wants(g)) {
      cursor_ = extent_->next_chunk_after(g.value);
      continue;
    }
    if (shadow_->valid(g)) {
      ++cursor_;
      continue;
    }
    if (bound_.load(std::memory_order_relaxed) && !budget_->take(granule_bytes, boot_clock::now()))
      break; // the timer looks again
    ++cursor_;
    if (const auto ticket = volume_.options().streams->begin_fill(*shadow_, g))
      begin(*ticket);
  }
  looking_ = false;
  arm();
}

void shadow_filler::arm() {
  if (timer_armed_)
    return;
  timer_armed_ = true;
  ring_.submit_timeout(timer_, &span_);
}

void shadow_filler::begin(session::gateway_shadow::fill_ticket t) {
  ++under_way_;
  auto* e = new remote_errand;
  e->self = &volume_;
  e->filler = this;
  e->on = &ring_;
  e->fill = t;
  e->since = boot_clock::now();
  e->remote.op = operation::read;
  e->remote.offset = t.granule.value * granule_bytes;
  e->remote.length = std::min(granule_bytes, core_.spec().size.value - e->remote.offset);
  e->memory = ring_.buffers().acquire(static_cast<std::uint32_t>(e->remote.length));
  if (!e->memory)
    return end(*e, session::granule_word::fill_result::failed);
  e->remote.data = e->memory.data;
  volume_.lane(ring_, lane_kind::fills).submit(*e);
}

void shadow_filler::read_done(remote_errand& e) {
  if (e.remote.error != 0 || e.remote.lost || stopping_)
    return end(e, session::granule_word::fill_result::failed);
  const auto free = std::find_if(writes_.begin(), writes_.end(), [](const auto& w) { return w.e == nullptr; });
  free->e = &e;
  free->done = 0;
  write(*free);
}

void shadow_filler::write(write_completion& w) {
  ring_.submit_write(w, core_.file().data_fd(), w.e->memory.data + w.done,
                     static_cast<std::uint32_t>(w.e->remote.length - w.done), w.e->remote.offset + w.done);
}

void shadow_filler::end(remote_errand& e, session::granule_word::fill_result how) {
  if (!extent_->wants(e.fill.granule))
    how = session::granule_word::fill_result::failed; // it was taken out meanwhile
  const bool valid = volume_.options().streams->end_fill(*shadow_, e.fill, how);
  if (valid) {
    filled_bytes_.fetch_add(e.remote.length, std::memory_order_relaxed);
    extent_->copied(e.fill.granule);
  } else {
    void_.fetch_add(1, std::memory_order_relaxed);
  }
  if (e.memory)
    ring_.buffers().release(e.memory);
  delete &e;
  --under_way_;
  if (valid || stopping_)
    look();
  else
    arm(); // not at once: what was refused would be refused again
}

} // namespace gnomon::io
