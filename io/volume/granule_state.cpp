// The volume's granules over the core's life, and what rings and workers ask of them. Captures: granule_captures.cpp.
#include "io/volume/granule_state.hpp"

#include <cstring>

#include "config/log.hpp"
#include "io/volume/core.hpp"
#include "io/volume/file_io.hpp"
#include "io/volume/request.hpp"

namespace gnomon::io {

granule_state::granule_state(volume_core& core) : core_(core) {}
granule_state::~granule_state() = default;

std::string granule_state::folder() const {
  const std::string path = core_.spec().path;
  if (core_.file().is_block_device())
    return "/var/tmp";
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

live_bits::options granule_state::bits_options(const file_identity& found) const {
  const volume_spec spec = core_.spec();
  live_bits::options o;
  o.volume = spec.uuid;
  o.granules = (spec.size.value + granule_bytes - 1) / granule_bytes;
  o.boot = core_.plane().boot;
  o.mark = mount_mark(core_.file().data_fd());
  o.file = found;
  o.doubtful = spec.writes_failed;
  if (!core_.file().is_block_device())
    o.saved_path = spec.path + ".changed";
  return o;
}

void granule_state::publish_duties(const std::function<void(granule_duties&)>& change) {
  {
    const std::lock_guard lock{mutex_};
    if (gate_ == nullptr) {
      granule_gate::options o;
      o.resume = core_.plane().resume;
      gate_ = std::make_unique<granule_gate>(o);
    }
  }
  core_.publish([&](route& r) {
    auto next = r.duties ? std::make_shared<granule_duties>(*r.duties) : std::make_shared<granule_duties>();
    next->gate = gate_.get();
    change(*next);
    r.duties = std::move(next);
  });
}

// --- the core's life

result<void> granule_state::open(const file_identity& found) {
  if (const auto opener = core_.spec().open_source; opener && core_.spec().source == nullptr) {
    auto made = opener();
    if (!made)
      return tl::unexpected(made.error());
    core_.change_spec([&](volume_spec& s) { s.source = *made, s.open_source = nullptr; });
  }
  if (core_.spec().source != nullptr)
    if (auto ready = open_presence(found); !ready)
      return ready;
  if (core_.opened_read_only())
    return {};
  auto bits = live_bits::find(bits_options(found));
  if (!bits)
    return tl::unexpected(bits.error());
  if (*bits == nullptr)
    return {};
  live_ = std::move(*bits);
  // After an unclean stop: before OR after, with no cut.
  live_->bits(0).merge(live_->bits(1));
  live_->bits(1).clear();
  active_ = 0;
  publish_duties([this](granule_duties& d) { d.after = &live_->bits(0); });
  return {};
}

bool granule_state::is_closed() const {
  const std::lock_guard lock{mutex_};
  return closed_;
}

void granule_state::begin_close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  if (capture_)
    capture_->fail_with({errc::shutting_down, "the volume is closed", 0});
}

void granule_state::close_clean() {
  if (presence* const present = this->present(); // the data is synced
      present != nullptr && core_.condition() == core_condition::sound)
    if (const int error = present->make_durable(present->take_list()); error != 0)
      log::error("volume {}: what its file holds could not be noted durably: {}", core_.spec().name.value,
                 std::strerror(error));
  std::unique_ptr<live_bits> bits;
  {
    const std::lock_guard lock{mutex_};
    bits = std::move(live_);
  }
  if (bits == nullptr)
    return;
  if (!bits->known() || useless_ || core_.condition() != core_condition::sound)
    return bits->discard();
  const auto file = identity_of(core_.file().sync_fd());
  const auto saved = file ? bits->save(*file) : result<void>{tl::unexpected(file.error())};
  if (!saved) {
    log::warning("volume {}: what changed since its newest layer could not be saved and is unknown from now on: {}",
                 core_.spec().name.value, saved.error().to_string());
    bits->discard();
  }
}

void granule_state::close_in_doubt() {
  const std::lock_guard lock{mutex_};
  if (live_ != nullptr)
    live_->discard(); // the mapping stays: a ring may still use it
}

void granule_state::resized(byte_count size) {
  const std::lock_guard lock{mutex_};
  if (live_ != nullptr && (size.value + granule_bytes - 1) / granule_bytes > live_->granules()) {
    useless_ = true;
    live_->set_known(false);
  }
}

void granule_state::sync_failed() {
  const std::lock_guard lock{mutex_};
  if (capture_) // pages that were lost read as they were before: it may hold such a one
    capture_->fail_with({errc::io_failed, "a sync of the volume failed", EIO});
  if (live_ == nullptr)
    return;
  useless_ = true;
  live_->set_known(false);
}

// --- rings and workers

void granule_state::on_worker_of(bool background, const std::function<void()>& what) {
  if (!core_.plane().granule_work.submit(background ? background_lane_ : lane_, what))
    what();
}

void granule_state::pass_ended() noexcept {
  data_plane& plane = core_.plane();
  passes_.fetch_sub(1, std::memory_order_release); // the core may go now
  plane.generations.turn_ended();
}

generation_gate::entry granule_state::enter_internal(request_class what) {
  const std::lock_guard lock{internal_mutex_};
  return core_.generations().enter(ring_index{core_.plane().ring_count()}, what, hold_rule::pass);
}

void granule_state::leave_internal(generation_gate::entry entered) {
  {
    const std::lock_guard lock{internal_mutex_};
    core_.generations().leave(ring_index{core_.plane().ring_count()}, entered);
  }
  core_.plane().generations.turn_ended();
}

result<void> granule_state::read_logical(std::uint64_t granule, std::byte* into, std::uint32_t bytes) {
  if (presence* const present = this->present(); present != nullptr && !present->test(granule))
    return read_missing(granule, into, bytes);
  return read_file(core_, into, granule * granule_bytes, bytes);
}

bool granule_state::reads_as_hole(std::uint64_t granule, std::uint32_t bytes) {
  if (presence* const present = this->present(); present != nullptr && !present->test(granule)) {
    const auto from = source();
    return !present->suspect(granule) && from != nullptr && !from->holds(granule_index{granule});
  }
  return is_hole(core_, granule * granule_bytes, bytes);
}

void granule_state::copy_before_change(volume_request& r, std::shared_ptr<capture> taken, std::uint64_t first,
                                       std::uint64_t end) {
  volume_request* request = &r;
  capture& of = *taken;
  granule_pass pass;
  pass.first = first, pass.end = end;
  pass.needed = [&of](std::uint64_t granule) { return of.must_copy(granule); };
  pass.work = [this, &of](std::uint64_t granule) -> result<void> {
    granule_buffer content;
    const std::uint32_t bytes = of.bytes_of(granule);
    auto kept = read_logical(granule, content.data(), bytes);
    if (kept)
      kept = of.keep(granule, content.first(bytes));
    return kept;
  };
  pass.done = [this, request, taken](const result<void>& outcome) {
    if (!outcome) // the capture fails, never the write
      taken->fail_with(outcome.error());
    core_.plane().resume.resume(request->waits);
  };
  start_pass(core_, std::move(pass));
}

} // namespace gnomon::io
