#include "actors/runtime/recordings.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace gnomon::actors {

result<recording_number> recording_table::start(io::engine& engine, volume_uuid volume) {
  auto made = std::make_shared<recording>();
  made->engine = &engine;
  made->volume = volume;
  made->last_asked = clock_.boot_now();
  std::uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    if (recordings_.size() >= recordings_max)
      return fail(errc::limit_reached, fmt::format("{} recordings are running already", recordings_max));
    number = next_++;
    recordings_.emplace(number, made);
  }
  const auto sink = [weak = std::weak_ptr(made)](std::span<const io::request_record> batch, std::uint64_t dropped) {
    const auto target = weak.lock();
    if (!target)
      return;
    std::lock_guard lock(target->mutex);
    target->dropped_by_engine = dropped;
    const auto room = recording_buffer_max - std::min(recording_buffer_max, target->records.size());
    const auto kept = std::min(room, batch.size());
    for (const auto& r : batch.first(kept))
      target->records.push_back({r.time_ns, r.offset_bytes, r.length_bytes, static_cast<std::uint8_t>(r.op)});
    target->dropped += batch.size() - kept;
  };
  if (auto started = engine.start_recording(volume, sink); !started) {
    std::lock_guard lock(mutex_);
    recordings_.erase(number);
    return tl::unexpected(started.error());
  }
  return recording_number{number};
}

std::shared_ptr<recording_table::recording> recording_table::find(recording_number number) const {
  std::lock_guard lock(mutex_);
  const auto found = recordings_.find(number.value);
  return found == recordings_.end() ? nullptr : found->second;
}

result<record_batch> recording_table::take(recording_number number) {
  const auto from = find(number);
  if (!from)
    return fail(errc::not_found, fmt::format("there is no recording {}", number.value));
  // Looked at first: what arrived before the end is in the buffer by now.
  const bool stopped = from->stopped;
  record_batch out;
  {
    std::lock_guard lock(from->mutex);
    from->last_asked = clock_.boot_now();
    const auto count = std::min(record_batch_max, from->records.size());
    const auto end = from->records.begin() + static_cast<std::ptrdiff_t>(count);
    out.records.assign(from->records.begin(), end);
    from->records.erase(from->records.begin(), end);
    out.dropped = from->dropped + from->dropped_by_engine;
    out.finished = stopped && from->records.empty();
  }
  if (out.finished) {
    std::lock_guard lock(mutex_);
    recordings_.erase(number.value);
  }
  return out;
}

void recording_table::begin_stop(const std::shared_ptr<recording>& r) {
  std::lock_guard lock(r->mutex);
  if (r->stopper.joinable() || r->stopped)
    return;
  r->stopper = std::thread([raw = r.get()] { // joined by the recording's destructor
    // A volume that was deleted meanwhile has stopped recording by itself.
    (void)raw->engine->stop_recording(raw->volume);
    raw->stopped = true;
  });
}

result<void> recording_table::stop(recording_number number) {
  const auto target = find(number);
  if (!target)
    return fail(errc::not_found, fmt::format("there is no recording {}", number.value));
  begin_stop(target);
  return {};
}

void recording_table::expire() {
  std::vector<std::shared_ptr<recording>> idle;
  const auto now = clock_.boot_now();
  {
    std::lock_guard lock(mutex_);
    for (auto at = recordings_.begin(); at != recordings_.end();) {
      std::unique_lock inner(at->second->mutex);
      const bool gone = now - at->second->last_asked > recording_idle_max;
      const bool ended = at->second->stopped;
      inner.unlock();
      if (gone)
        idle.push_back(at->second);
      at = gone && ended ? recordings_.erase(at) : std::next(at);
    }
  }
  for (const auto& r : idle)
    begin_stop(r);
}

void recording_table::stop_all() {
  std::map<std::uint64_t, std::shared_ptr<recording>> all;
  {
    std::lock_guard lock(mutex_);
    all.swap(recordings_);
  }
  for (const auto& [number, r] : all)
    begin_stop(r);
}

std::size_t recording_table::size() const {
  std::lock_guard lock(mutex_);
  return recordings_.size();
}

} // namespace gnomon::actors
