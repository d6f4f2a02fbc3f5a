// The threads, captures and group cuts of snapshot_works, and what it tells from memory.
#include "actors/snapshots/snapshot_works.hpp"

#include <algorithm>

#include <sys/random.h>

#include <fmt/format.h>

#include "actors/snapshots/group_hold.hpp"
#include "actors/snapshots/restore_progress.hpp"
#include "config/log.hpp"

namespace gnomon::actors {

namespace {

std::int64_t to_us(wall_time t) { return t.time_since_epoch().count(); }

io::hold_id random_hold_id() {
  std::uint64_t id = 0;
  do {
    while (::getrandom(&id, sizeof id, 0) != sizeof id) {
    }
  } while (id == 0);
  return io::hold_id(id);
}

} // namespace

snapshot_works::snapshot_works(snapshot_works_options options)
    : options_(std::move(options)), folder_(options_.layers_path) {
  life_->works = this;
  for (unsigned i = 0; i < options_.threads; ++i)
    threads_.emplace_back([this] { run(); });
}

void snapshot_works::ask_to_stop(std::chrono::milliseconds patience) {
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  wake_.notify_all();
  std::vector<std::shared_ptr<restore_progress>> under_way;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [volume, progress] : restores_)
      under_way.push_back(progress);
  }
  for (const auto& progress : under_way)
    progress->cancel();
  // They answer "shutting down" by themselves: each asks go_on() first.
  for (auto& work : dropped)
    work();
  std::unique_lock lock(mutex_);
  idle_.wait_for(lock, patience, [this] { return busy_ == 0; });
}

void snapshot_works::stop() {
  {
    std::lock_guard lock(life_->mutex);
    life_->works = nullptr;
  }
  std::lock_guard once(stop_mutex_);
  ask_to_stop(std::chrono::milliseconds(0));
  for (auto& thread : threads_)
    thread.join();
  threads_.clear();
}

void snapshot_works::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty())
      return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    if (--busy_ == 0)
      idle_.notify_all();
  }
}

result<void> snapshot_works::submit(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_)
      return fail(errc::shutting_down, "the node stops");
    if (queue_.size() >= works_queued_max)
      return fail(errc::limit_reached, fmt::format("{} snapshot works wait already", works_queued_max));
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return {};
}

std::size_t snapshot_works::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

volume_capture::places snapshot_works::places() noexcept {
  return {options_.engine, options_.book, &folder_, &uses_, options_.clock};
}

// --- captures

result<store::volume_record> snapshot_works::volume_to_capture(volume_uuid volume) const {
  const auto record = options_.catalogue->find(volume);
  if (!record)
    return fail(errc::not_found, "there is no volume " + volume.to_string());
  if (record->failure)
    return fail(errc::io_failed, fmt::format("volume {}: a flush of it failed; accept the loss first (volume clear)",
                                             record->name.value));
  return *record;
}

std::shared_ptr<capture_progress> snapshot_works::note_capture(const store::volume_record& volume, std::string note,
                                                               std::optional<store::group_point> group) {
  auto progress = std::make_shared<capture_progress>();
  progress->snapshot = snapshot_uuid::random();
  progress->volume = volume.uuid;
  progress->name = volume.name;
  progress->note = std::move(note);
  progress->cut = options_.clock->wall_now();
  progress->group = std::move(group);
  return progress;
}

void snapshot_works::finish_capture(volume_capture& capture, const std::shared_ptr<capture_progress>& progress) {
  const auto record = capture.finish([this] { return go_on(); });
  std::lock_guard lock(mutex_);
  if (record) {
    progress->now = capture_progress::phase::complete;
    std::erase(captures_, progress);
    log::info("volume {}: snapshot {} ({}, {} granules, {} bytes)", progress->name.value,
              progress->snapshot.to_string(), record->parent ? "differential" : "baseline", record->data_granules,
              record->file_bytes);
    return;
  }
  progress->fail(record.error().to_string());
  log::error("volume {}: its snapshot {} failed: {}", progress->name.value, progress->snapshot.to_string(),
             record.error().to_string());
  while (captures_.size() > captures_remembered_max) {
    const auto over = std::find_if(captures_.begin(), captures_.end(),
                                   [](const auto& c) { return c->now != capture_progress::phase::capturing; });
    if (over == captures_.end())
      break;
    captures_.erase(over);
  }
}

void snapshot_works::capture(volume_uuid volume, std::string note, done<snapshot_info> begun) {
  auto work = [this, volume, note = std::move(note), begun] {
    if (!go_on())
      return begun(fail(errc::shutting_down, "the node stops"));
    const auto record = volume_to_capture(volume);
    if (!record)
      return begun(tl::unexpected(record.error()));
    const auto progress = note_capture(*record, note);
    volume_capture one(places(), progress);
    if (auto cut = one.begin(); !cut)
      return begun(tl::unexpected(cut.error()));
    {
      std::lock_guard lock(mutex_);
      captures_.push_back(progress);
    }
    begun(info_of(*progress));
    finish_capture(one, progress);
  };
  if (auto sent = submit(std::move(work)); !sent)
    begun(tl::unexpected(sent.error()));
}

// --- groups

void snapshot_works::cut_group(store::group_record group, done<group_cut_id> cut_made, when_complete then) {
  auto work = [this, group = std::move(group), cut_made, then] {
    if (!go_on())
      return cut_made(fail(errc::shutting_down, "the node stops"));
    const auto cut = std::make_shared<group_cut>();
    cut->id = group_cut_id::random();
    cut->when = options_.clock->wall_now();
    const auto publish = [&] {
      std::lock_guard lock(mutex_);
      cuts_[group.name] = std::make_shared<const group_cut>(*cut);
    };
    const auto refuse = [&](error why) {
      cut->failure = why.to_string();
      publish();
      log::error("snapshot group {}: {}", group.name.value, cut->failure);
      cut_made(tl::unexpected(std::move(why)));
    };
    // Everybody who cannot be captured is found before anybody is held.
    store::group_point point{group.name, cut->id, false, {}};
    std::vector<std::shared_ptr<capture_progress>> progress;
    for (const auto& volume : group.volumes) {
      const auto record = volume_to_capture(volume);
      if (!record)
        return refuse(record.error());
      progress.push_back(note_capture(*record, "group " + group.name.value));
      point.members.push_back({volume, progress.back()->snapshot});
      cut->members.push_back({volume, {}, progress.back(), {}});
    }
    const auto hold = random_hold_id();
    const auto held = hold_group(*options_.engine, group.volumes, hold, group_hold_max, *options_.clock);
    cut->span = held.span;
    for (std::size_t i = 0; i < cut->members.size(); ++i) {
      cut->members[i].held = held.members[i].held;
      cut->members[i].failure = held.members[i].failure;
    }
    if (!held.released) {
      for (auto& member : cut->members)
        member.progress.reset();
      return refuse({errc::timed_out, held.failure, 0});
    }
    // The point exists. Each capture takes its member's cut over before any of them is read to its end.
    point.released = true;
    std::vector<std::unique_ptr<volume_capture>> captures;
    for (auto& one : progress) {
      one->group = point;
      one->cut = options_.clock->wall_now();
      auto capture = std::make_unique<volume_capture>(places(), one);
      if (auto begun = capture->begin(hold); !begun)
        one->fail(begun.error().to_string());
      else
        captures.push_back(std::move(capture));
    }
    if (captures.size() < progress.size()) {
      // All or nothing: a member less, and there is no group snapshot; the captures end as failed.
      for (const auto& one : progress)
        if (one->now == capture_progress::phase::failed)
          return refuse({errc::io_failed, fmt::format("volume {}: {}", one->name.value, one->failure()), 0});
    }
    {
      std::lock_guard lock(mutex_);
      captures_.insert(captures_.end(), progress.begin(), progress.end());
    }
    publish();
    cut_made(cut->id);
    std::size_t next = 0;
    for (auto& capture : captures)
      finish_capture(*capture, progress[next++]);
    for (const auto& one : progress)
      if (one->now == capture_progress::phase::failed)
        cut->failure = fmt::format("volume {}: {}", one->name.value, one->failure());
    publish();
    if (!cut->failure.empty())
      return;
    merge_cut(point, then);
    retain(group);
  };
  if (auto sent = submit(std::move(work)); !sent)
    cut_made(tl::unexpected(sent.error()));
}

std::shared_ptr<const group_cut> snapshot_works::latest_cut(const group_name& group) const {
  std::lock_guard lock(mutex_);
  const auto known = cuts_.find(group);
  return known == cuts_.end() ? nullptr : known->second;
}

// --- from memory

snapshot_info snapshot_works::info_of(const capture_progress& p) const {
  snapshot_info out;
  out.id = p.snapshot.to_string();
  out.volume = p.volume;
  out.name = p.name;
  out.size = byte_count(p.size_bytes);
  out.cut_us = to_us(p.cut);
  out.state = p.now == capture_progress::phase::failed ? snapshot_state::failed : snapshot_state::capturing;
  out.failure = p.failure();
  out.note = p.note;
  const auto all = p.granules.load();
  out.done_permille = all == 0 ? 0 : static_cast<std::uint32_t>(p.granules_done.load() * 1000 / all);
  if (p.group) {
    out.group = p.group->name.value;
    out.group_cut = p.group->cut.to_string();
  }
  return out;
}

snapshot_info snapshot_works::info_of(const store::snapshot_tree& tree, const store::layer_record& layer) const {
  snapshot_info out;
  out.id = layer.snapshot.to_string();
  out.parent = layer.parent ? layer.parent->to_string() : "";
  out.volume = layer.volume;
  out.name = layer.name;
  out.size = layer.size;
  out.cut_us = to_us(layer.cut);
  out.note = layer.note;
  out.file_bytes = layer.file_bytes;
  const auto usage = tree.used_by(layer.snapshot);
  out.unique_bytes = usage.unique_bytes;
  out.all_bytes = usage.all_bytes;
  out.layers = static_cast<std::uint32_t>(usage.layers);
  out.data_granules = layer.data_granules;
  out.zero_granules = layer.zero_granules;
  if (layer.group) {
    out.group = layer.group->name.value;
    out.group_cut = layer.group->cut.to_string();
    out.group_complete = layer.group->released && is_complete(*layer.group);
  }
  return out;
}

bool snapshot_works::is_complete(const store::group_point& point) const {
  return std::all_of(point.members.begin(), point.members.end(), [&](const store::group_member& member) {
    for (const auto& layer : options_.book->layers(member.volume))
      if (layer.snapshot == member.snapshot && layer.state != store::layer_state::deleting)
        return layer.group && layer.group->cut == point.cut && layer.group->released;
    return false;
  });
}

// Captures first, then the records: one that ends in between is among the records. A capture under way hides its record,
// which is there a moment before the data plane is done with it.
std::vector<std::shared_ptr<capture_progress>> snapshot_works::captures() const {
  std::lock_guard lock(mutex_);
  return {captures_.begin(), captures_.end()};
}

std::vector<snapshot_info> snapshot_works::list(const snapshot_query& query) const {
  std::vector<snapshot_info> out;
  const auto asked_for = [&](const volume_uuid& volume, const volume_name& name, const std::string& group) {
    return (query.volume.empty() || query.volume == name.value || query.volume == volume.to_string()) &&
           (query.group.empty() || query.group == group);
  };
  std::unordered_set<snapshot_uuid> hidden;
  for (const auto& capture : captures()) {
    if (capture->now == capture_progress::phase::complete)
      continue;
    hidden.insert(capture->snapshot);
    if (asked_for(capture->volume, capture->name, capture->group ? capture->group->name.value : ""))
      out.push_back(info_of(*capture));
  }
  std::map<volume_uuid, std::vector<store::layer_record>> by_volume;
  for (auto& layer : options_.book->layers())
    by_volume[layer.volume].push_back(std::move(layer));
  for (auto& [volume, layers] : by_volume) {
    const store::snapshot_tree tree(std::move(layers));
    for (const auto* layer : tree.snapshots())
      if (!hidden.contains(layer->snapshot) &&
          asked_for(volume, layer->name, layer->group ? layer->group->name.value : ""))
        out.push_back(info_of(tree, *layer));
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.cut_us < b.cut_us; });
  if (out.size() > snapshot_list_max)
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(snapshot_list_max));
  return out;
}

result<snapshot_info> snapshot_works::show(const std::string& text) const {
  const auto under_way = captures();
  for (const auto& capture : under_way)
    if (capture->snapshot.to_string() == text && capture->now != capture_progress::phase::complete)
      return info_of(*capture);
  const store::snapshot_tree tree(options_.book->layers());
  const auto found = tree.resolve(text);
  if (found)
    return info_of(store::snapshot_tree(options_.book->layers((*found)->volume)), **found);
  for (const auto& capture : under_way)
    if (text.size() >= 4 && capture->snapshot.to_string().starts_with(text))
      return info_of(*capture);
  return tl::unexpected(found.error());
}

} // namespace gnomon::actors
