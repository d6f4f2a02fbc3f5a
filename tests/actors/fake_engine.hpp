// A data plane in memory, for tests of the control plane: volumes are maps of bytes, every answer comes from a thread
// of its own, as the real one's do, and may be held back or made to fail. It keeps the promises of io/engine/engine.hpp:
// `done` exactly once, also when it stops. Thread-safe.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "io/engine/engine.hpp"
#include "io/granule/source.hpp"

namespace gnomon::tests {

// The content of a volume: what was written, zeros elsewhere. A block is there from its first byte on.
class sparse_content {
public:
  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t length) const {
    std::vector<std::byte> out(length);
    each(offset, length, [&](std::uint64_t block, std::uint64_t at, std::uint64_t n, std::uint64_t done) {
      if (const auto found = blocks_.find(block); found != blocks_.end())
        std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(at), n,
                    out.begin() + static_cast<std::ptrdiff_t>(done));
    });
    return out;
  }
  void write(std::uint64_t offset, const std::vector<std::byte>& data) {
    each(offset, data.size(), [&](std::uint64_t block, std::uint64_t at, std::uint64_t n, std::uint64_t done) {
      auto& to = blocks_[block];
      to.resize(block_bytes);
      std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(done), n, to.begin() + static_cast<std::ptrdiff_t>(at));
    });
  }
  void zero(std::uint64_t offset, std::uint64_t length) {
    each(offset, length, [&](std::uint64_t block, std::uint64_t at, std::uint64_t n, std::uint64_t) {
      if (const auto found = blocks_.find(block); found != blocks_.end())
        std::fill_n(found->second.begin() + static_cast<std::ptrdiff_t>(at), n, std::byte{0});
    });
  }

private:
  static constexpr std::uint64_t block_bytes = 4096;
  // with(block, first byte in it, bytes, bytes before it)
  static void each(std::uint64_t offset, std::uint64_t length, auto&& with) {
    for (std::uint64_t done = 0; done < length;) {
      const auto at = (offset + done) % block_bytes, n = std::min(block_bytes - at, length - done);
      with((offset + done) / block_bytes, at, n, done);
      done += n;
    }
  }
  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
};

class fake_engine final : public io::engine {
public:
  explicit fake_engine(io::engine_options options = {}) : options_(std::move(options)), worker_([this] { work(); }) {}
  ~fake_engine() override { (void)stop(std::chrono::milliseconds{100}); }

  // --- controls of the test
  void hold() { set_held(true); }
  void release() { set_held(false); }
  void fail_opening(const volume_name& name, error why) {
    std::lock_guard lock(mutex_);
    failing_[name.value] = std::move(why);
  }
  void open_works_again() {
    std::lock_guard lock(mutex_);
    failing_.clear();
  }
  void report(io::alert event) {
    if (options_.on_alert)
      options_.on_alert(std::move(event));
  }
  void fail_sync(volume_uuid volume) {
    {
      std::lock_guard lock(mutex_);
      volumes_.at(volume).spec.writes_failed = true;
    }
    io::alert event;
    event.what = io::alert::kind::sync_failed;
    event.volume = volume;
    event.os_errno = EIO;
    report(std::move(event));
    if (options_.record_failure)
      options_.record_failure(volume, EIO, [](const result<void>&) {});
  }
  void connect(volume_uuid volume, std::string instance, std::string peer) {
    std::lock_guard lock(mutex_);
    io::connection_status connection;
    connection.id = ++next_connection_;
    connection.volume = volume;
    connection.instance = instance_id{std::move(instance)};
    connection.peer = std::move(peer);
    connection.size_seen = volumes_.at(volume).spec.size;
    connections_.push_back(connection);
  }
  void count(volume_uuid volume, io::operation op, std::uint64_t requests, std::uint64_t nanoseconds) {
    std::lock_guard lock(mutex_);
    auto& counters = volumes_.at(volume).counters.by_operation[static_cast<std::size_t>(op)];
    counters.requests += requests;
    counters.bytes += requests * 4096;
    counters.latency.record(nanoseconds, requests);
    requests_ += requests;
  }
  std::size_t looks_at_counters() const {
    std::lock_guard lock(mutex_);
    return looks_;
  }
  io::access_policy access() const {
    std::lock_guard lock(mutex_);
    return access_;
  }
  std::vector<std::string> calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }

  // --- volumes
  void open_volume(io::volume_spec spec, io::done_callback done) override {
    later(done, [this, spec]() -> result<void> {
      if (const auto found = failing_.find(spec.name.value); found != failing_.end())
        return tl::unexpected(found->second);
      calls_.push_back("open " + spec.name.value);
      auto& volume = volumes_[spec.uuid];
      volume.spec = spec;
      volume.opened_read_only = spec.read_only;
      if (spec.open_source) {
        auto source = spec.open_source();
        if (!source)
          return tl::unexpected(source.error());
        volume.spec.source = std::move(*source);
        volume.spec.open_source = nullptr;
      }
      return {};
    });
  }
  void close_volume(volume_uuid volume, io::done_callback done) override {
    later(done, [this, volume]() -> result<void> {
      const auto found = volumes_.find(volume);
      if (found == volumes_.end())
        return fail(errc::not_found, "no such volume");
      if (close_failure_) {
        found->second.closing = true;
        if (close_failure_->code == errc::io_failed) // the last sync: it is closed all the same
          volumes_.erase(found);
        return tl::unexpected(*close_failure_);
      }
      volumes_.erase(found);
      std::erase_if(connections_, [&](const auto& c) { return c.volume == volume; });
      calls_.push_back("close");
      return {};
    });
  }
  void resize_volume(volume_uuid volume, byte_count size, io::done_callback done) override {
    change(volume, done, [size](auto& v) { v.spec.size = size; });
  }
  void rename_volume(volume_uuid volume, volume_name name, io::done_callback done) override {
    change(volume, done, [name](auto& v) { v.spec.name = name; });
  }
  void set_read_only(volume_uuid volume, bool read_only, io::done_callback done) override {
    change(volume, done, [read_only](auto& v) { v.spec.read_only = read_only; });
  }
  void set_description(volume_uuid volume, std::string description, io::done_callback done) override {
    change(volume, done, [description](auto& v) { v.spec.description = description; });
  }
  void clear_write_failure(volume_uuid volume, io::done_callback done) override {
    change(volume, done, [](auto& v) { v.spec.writes_failed = false; });
  }
  void failure_recorded(volume_uuid volume, io::done_callback done) override {
    change(volume, done, [](auto&) {});
  }
  std::optional<io::volume_status> status(volume_uuid volume) const override {
    std::lock_guard lock(mutex_);
    const auto found = volumes_.find(volume);
    if (found == volumes_.end())
      return std::nullopt;
    return status_of(found->second);
  }
  std::vector<io::volume_status> volumes() const override {
    std::lock_guard lock(mutex_);
    std::vector<io::volume_status> out;
    for (const auto& [uuid, volume] : volumes_)
      out.push_back(status_of(volume));
    return out;
  }
  std::optional<io::volume_counters> counters(volume_uuid volume) const override {
    std::lock_guard lock(mutex_);
    ++looks_;
    const auto found = volumes_.find(volume);
    if (found == volumes_.end())
      return std::nullopt;
    return found->second.counters;
  }

  // The next captures end with `why` after so many pieces; none: they work.
  void fail_captures(std::optional<error> why, std::size_t after_pieces = 0) {
    std::lock_guard lock(mutex_);
    capture_failure_ = std::move(why);
    capture_pieces_left_ = after_pieces;
  }
  // What was written since the last sealed capture is not known any more, as after an unclean stop.
  void forget_changed(volume_uuid volume) {
    std::lock_guard lock(mutex_);
    volumes_.at(volume).changed_known = false;
  }
  // The holds of a volume fail from now on, or work again.
  void fail_holds(volume_uuid volume, bool failing) {
    std::lock_guard lock(mutex_);
    volumes_.at(volume).holds_fail = failing;
  }
  std::size_t granules_captured() const {
    std::lock_guard lock(mutex_);
    return granules_captured_;
  }

  // --- points in time and captures of the bytes in memory: a capture copies them at its cut.
  void hold(volume_uuid volume, io::hold_id id, boot_time deadline,
            std::function<void(result<io::held_report>)> done) override {
    answer<io::held_report>(std::move(done), [this, volume, id, deadline]() -> result<io::held_report> {
      const auto found = volumes_.find(volume);
      if (found == volumes_.end())
        return fail(errc::not_found, "no such volume");
      if (found->second.holds_fail)
        return fail(errc::busy, "no generation was free before the deadline");
      if (abandoned_.contains(id.value))
        return fail(errc::permission_denied, "the hold was abandoned");
      held_ids_.insert(id.value);
      return io::held_report{generation_number{2}, boot_time{}, deadline};
    });
  }
  void release(volume_uuid, io::hold_id id, std::function<void(result<io::hold_outcome>)> done) override {
    answer<io::hold_outcome>(std::move(done), [this, id]() -> result<io::hold_outcome> {
      if (!held_ids_.contains(id.value))
        return fail(errc::not_found, "no such hold");
      return abandoned_.contains(id.value) ? io::hold_outcome::expired : io::hold_outcome::released;
    });
  }
  void abandon(volume_uuid, io::hold_id id) override {
    std::lock_guard lock(mutex_);
    abandoned_.insert(id.value);
  }
  void begin_capture(volume_uuid uuid, io::capture_order order, std::optional<io::hold_id>,
                     std::function<void(result<io::capture_begun>)> done) override {
    answer<io::capture_begun>(std::move(done), [this, uuid, order]() -> result<io::capture_begun> {
      const auto found = volumes_.find(uuid);
      if (found == volumes_.end())
        return fail(errc::not_found, "no such volume");
      auto& volume = found->second;
      if (volume.capture != 0)
        return fail(errc::busy, "a capture runs");
      if (volume.spec.source)
        for (std::uint64_t g = 0; g < granules_of(volume); ++g)
          if (auto brought = bring_in_one(volume, g); !brought)
            return tl::unexpected(brought.error());
      volume.capture = ++captures_;
      volume.captured = volume.bytes;
      const bool known =
          order.kind == io::capture_kind::changed && volume.changed_known && volume.counted_from == order.below;
      volume.becomes = order.snapshot;
      volume.captured_all = !known;
      volume.captured_changed = std::exchange(volume.changed, {});
      volume.changed_known = true;
      return io::capture_begun{captures_, volume.spec.size, generation_number{2}, known};
    });
  }
  void read_capture(volume_uuid uuid, std::uint64_t id, granule_index from, std::uint32_t granules_max,
                    std::function<void(result<io::capture_piece>)> done) override {
    answer<io::capture_piece>(std::move(done), [this, uuid, id, from, granules_max]() -> result<io::capture_piece> {
      const auto found = volumes_.find(uuid);
      if (found == volumes_.end() || found->second.capture != id)
        return fail(errc::not_found, "no such capture");
      if (capture_failure_ && capture_pieces_left_-- == 0)
        return tl::unexpected(*capture_failure_);
      return piece_of(found->second, from.value, granules_max);
    });
  }
  void end_capture(volume_uuid uuid, std::uint64_t id, io::capture_end how, io::done_callback done) override {
    later(std::move(done), [this, uuid, id, how]() -> result<void> {
      const auto found = volumes_.find(uuid);
      if (found == volumes_.end() || found->second.capture != id)
        return fail(errc::not_found, "no such capture");
      auto& volume = found->second;
      volume.capture = 0;
      volume.captured = {};
      if (how == io::capture_end::failed) {
        volume.changed.insert(volume.captured_changed.begin(), volume.captured_changed.end());
        volume.changed_known = volume.changed_known && !volume.captured_all;
      } else {
        volume.counted_from = volume.becomes;
      }
      return {};
    });
  }
  void bring_in(volume_uuid volume, granule_index, std::uint32_t, io::done_callback done) override {
    change(volume, std::move(done), [](auto&) {});
  }
  // Hydrations wait while they are held back.
  void hold_hydrations(bool held) {
    std::lock_guard lock(mutex_);
    hydrations_held_ = held;
  }
  void hydrate(volume_uuid uuid, io::granule_plan plan, std::shared_ptr<work_control> control,
               io::done_callback done) override {
    later(std::move(done), [this, uuid, plan = std::move(plan), control]() -> result<void> {
      const auto found = volumes_.find(uuid);
      if (found == volumes_.end())
        return fail(errc::not_found, "no such volume");
      if (hydrations_held_)
        return fail(errc::shutting_down, "held back by the test");
      for (const auto& run : plan)
        for (auto g = run.first.value; g < run.first.value + run.granules; ++g)
          if (auto brought = bring_in_one(found->second, g); !brought)
            return brought;
      return {};
    });
  }
  std::optional<io::presence_report> presence(volume_uuid uuid) const override {
    std::lock_guard lock(mutex_);
    const auto found = volumes_.find(uuid);
    if (found == volumes_.end() || !found->second.spec.source)
      return std::nullopt;
    return io::presence_report{granules_of(found->second), found->second.present.size()};
  }
  void drop_source(volume_uuid volume, io::done_callback done) override {
    change(volume, std::move(done), [](auto& v) { v.spec.source = nullptr; });
  }

  // --- who
  void set_access(io::access_policy policy) override {
    std::lock_guard lock(mutex_);
    access_ = std::move(policy);
  }
  std::vector<io::connection_status> connections(std::optional<volume_uuid> volume) const override {
    std::lock_guard lock(mutex_);
    std::vector<io::connection_status> out;
    for (const auto& connection : connections_)
      if (!volume || connection.volume == *volume)
        out.push_back(connection);
    return out;
  }
  void set_fences(volume_uuid volume, io::fence_set fences, io::done_callback done) override {
    change(volume, done, [this, volume, fences](auto& v) {
      v.spec.fences = fences;
      std::erase_if(connections_, [&](const auto& c) { return c.volume == volume && !fences.admits(c.instance); });
    });
  }
  // Every close fails, as on a disk that does not answer, until close_works_again().
  void fail_closing(error why) {
    std::lock_guard lock(mutex_);
    close_failure_ = std::move(why);
  }
  void close_works_again() {
    std::lock_guard lock(mutex_);
    close_failure_.reset();
  }

  // --- the in-process interface
  void submit(volume_uuid volume, io::local_request request, std::function<void(io::local_reply)> done) override {
    enqueue([this, volume, request = std::move(request), done = std::move(done)](bool stopping) {
      io::local_reply reply =
          stopping ? io::local_reply(fail(errc::shutting_down, "the engine stops")) : carry_out(volume, request);
      done(std::move(reply));
    });
  }

  // --- listeners
  result<endpoint> listen(const endpoint& where, std::optional<instance_id>) override {
    auto bound = where;
    if (bound.type == endpoint::kind::tcp && bound.port == 0)
      bound.port = 10809;
    return bound;
  }
  result<void> listen_fd(int) override { return {}; }
  result<void> serve_fd(int, int, volume_name, std::function<void()>) override { return {}; }

  result<void> start_recording(volume_uuid volume, io::record_sink sink) override {
    std::lock_guard lock(mutex_);
    if (!sinks_.emplace(volume, std::move(sink)).second)
      return fail(errc::busy, "the volume is being recorded");
    return {};
  }
  result<void> stop_recording(volume_uuid volume) override {
    std::lock_guard lock(mutex_);
    sinks_.erase(volume);
    return {};
  }
  void record(volume_uuid volume, const std::vector<io::request_record>& batch, std::uint64_t dropped = 0) {
    io::record_sink sink;
    {
      std::lock_guard lock(mutex_);
      sink = sinks_.at(volume);
    }
    sink(batch, dropped);
  }

  void collect_observations(std::function<void(std::vector<io::observation>)> done) override {
    enqueue([done = std::move(done)](bool) { done({}); });
  }

  std::vector<io::ring_status> rings() const override {
    std::lock_guard lock(mutex_);
    io::ring_status ring;
    ring.connections = connections_.size();
    ring.requests = requests_;
    ring.turns = requests_;
    return {ring};
  }
  result<void> stop(std::chrono::milliseconds) override {
    {
      std::lock_guard lock(mutex_);
      if (stopping_)
        return {};
      stopping_ = true;
      held_ = false;
    }
    changed_.notify_all();
    worker_.join();
    std::lock_guard lock(mutex_);
    volumes_.clear();
    return {};
  }

private:
  struct memory_volume {
    io::volume_spec spec;
    bool opened_read_only = false, closing = false;
    io::volume_counters counters;
    sparse_content bytes;
    std::uint64_t capture = 0;                // its id; 0: none
    sparse_content captured;
    std::set<std::uint64_t> present; // granules that came from the source, or were written over it
    std::set<std::uint64_t> changed, captured_changed; // granules since the last sealed capture; of the one that runs
    bool changed_known = false, captured_all = true, holds_fail = false;
    snapshot_uuid counted_from, becomes;
  };

  io::volume_status status_of(const memory_volume& volume) const {
    io::volume_status out;
    out.spec = volume.spec;
    out.generation = generation_number{1};
    out.opened_read_only = volume.opened_read_only;
    out.synced = stopping_ && !volume.spec.writes_failed;
    out.closing = volume.closing;
    return out;
  }
  using job = std::function<void(bool stopping)>;

  static std::uint64_t granules_of(const memory_volume& volume) {
    return (volume.spec.size.value + granule_bytes - 1) / granule_bytes;
  }
  static result<void> bring_in_one(memory_volume& volume, std::uint64_t granule) {
    if (!volume.spec.source || granule >= granules_of(volume) || !volume.present.insert(granule).second)
      return {};
    if (!volume.spec.source->holds(granule_index{granule}))
      return {};
    const auto offset = granule * granule_bytes;
    std::vector<std::byte> content(std::min<std::uint64_t>(granule_bytes, volume.spec.size.value - offset));
    if (auto read = volume.spec.source->read(granule_index{granule}, content); !read) {
      volume.present.erase(granule);
      return read;
    }
    volume.bytes.write(offset, content);
    return {};
  }

  // The next run of granules, at most `granules_max`, as of the cut.
  io::capture_piece piece_of(const memory_volume& volume, std::uint64_t from, std::uint32_t granules_max) {
    const std::uint64_t all = (volume.spec.size.value + granule_bytes - 1) / granule_bytes;
    io::capture_piece piece;
    std::uint64_t first = from, end = std::min<std::uint64_t>(all, from + granules_max);
    if (!volume.captured_all) {
      const auto next = volume.captured_changed.lower_bound(from);
      first = next == volume.captured_changed.end() ? all : *next;
      for (end = first; end < all && end - first < granules_max && volume.captured_changed.contains(end);)
        ++end;
    }
    piece.first = granule_index{first};
    piece.granules = static_cast<std::uint32_t>(end - std::min(first, end));
    piece.next = granule_index{end};
    piece.end = end >= all;
    granules_captured_ += piece.granules;
    const auto begin_byte = first * granule_bytes, end_byte = std::min(end * granule_bytes, volume.spec.size.value);
    if (piece.granules != 0) {
      piece.data = volume.captured.read(begin_byte, end_byte - begin_byte);
      piece.zero = std::all_of(piece.data.begin(), piece.data.end(), [](std::byte b) { return b == std::byte{0}; });
      if (piece.zero)
        piece.data.clear();
    }
    return piece;
  }
  static void mark_changed(memory_volume& volume, std::uint64_t offset, std::uint64_t length) {
    for (auto g = offset / granule_bytes; length > 0 && g <= (offset + length - 1) / granule_bytes; ++g)
      volume.changed.insert(g);
  }

  void set_held(bool held) {
    {
      std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }
  void enqueue(job j) {
    {
      std::lock_guard lock(mutex_);
      if (!stopping_) {
        jobs_.push_back(std::move(j));
        j = nullptr;
      }
    }
    if (j)
      j(true);
    else
      changed_.notify_all();
  }
  // `work` runs under the lock, `done` outside it.
  void later(io::done_callback done, std::function<result<void>()> work) {
    enqueue([this, done = std::move(done), work = std::move(work)](bool stopping) {
      result<void> outcome = fail(errc::shutting_down, "the engine stops");
      if (!stopping) {
        std::lock_guard lock(mutex_);
        outcome = work();
      }
      done(std::move(outcome));
    });
  }
  template <class T>
  void answer(std::function<void(result<T>)> done, std::function<result<T>()> work) {
    enqueue([this, done = std::move(done), work = std::move(work)](bool stopping) {
      result<T> outcome = fail(errc::shutting_down, "the engine stops");
      if (!stopping) {
        std::lock_guard lock(mutex_);
        outcome = work();
      }
      done(std::move(outcome));
    });
  }
  template <class F>
  void change(volume_uuid volume, io::done_callback done, F f) {
    later(std::move(done), [this, volume, f]() -> result<void> {
      const auto found = volumes_.find(volume);
      if (found == volumes_.end())
        return fail(errc::not_found, "no such volume");
      f(found->second);
      return {};
    });
  }
  io::local_reply carry_out(volume_uuid uuid, const io::local_request& request) {
    std::lock_guard lock(mutex_);
    const auto found = volumes_.find(uuid);
    if (found == volumes_.end())
      return fail(errc::not_found, "no such volume");
    auto& volume = found->second;
    if (request.offset.value + request.length.value > volume.spec.size.value)
      return fail(errc::out_of_range, "beyond the end");
    if (request.op == io::operation::write && volume.spec.writes_failed)
      return fail(errc::io_failed, "writes fail");
    if (volume.spec.source && request.length.value > 0)
      for (auto g = request.offset.value / granule_bytes;
           g <= (request.offset.value + request.length.value - 1) / granule_bytes; ++g)
        if (auto brought = bring_in_one(volume, g); !brought)
          return tl::unexpected(brought.error());
    ++requests_;
    ++volume.counters.by_operation[static_cast<std::size_t>(request.op)].requests;
    std::vector<std::byte> out;
    switch (request.op) {
    case io::operation::read:
      return volume.bytes.read(request.offset.value, request.length.value);
    case io::operation::write:
      mark_changed(volume, request.offset.value, request.length.value);
      volume.bytes.write(request.offset.value, request.data);
      return out;
    case io::operation::trim:
    case io::operation::zero:
      mark_changed(volume, request.offset.value, request.length.value);
      volume.bytes.zero(request.offset.value, request.length.value);
      return out;
    default:
      return out;
    }
  }
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || (!jobs_.empty() && !held_); });
      if (jobs_.empty())
        return;
      auto next = std::move(jobs_.front());
      jobs_.pop_front();
      const bool stopping = stopping_;
      lock.unlock();
      next(stopping);
      lock.lock();
    }
  }

  const io::engine_options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<volume_uuid, memory_volume> volumes_;
  std::map<std::string, error> failing_;
  std::map<volume_uuid, io::record_sink> sinks_;
  std::vector<io::connection_status> connections_;
  std::vector<std::string> calls_;
  std::set<std::uint64_t> held_ids_, abandoned_;
  std::uint64_t captures_ = 0;
  bool hydrations_held_ = false;
  std::optional<error> capture_failure_;
  std::size_t capture_pieces_left_ = 0, granules_captured_ = 0;
  io::access_policy access_;
  std::optional<error> close_failure_;
  std::deque<job> jobs_;
  std::uint64_t requests_ = 0, next_connection_ = 0;
  mutable std::size_t looks_ = 0;
  bool held_ = false, stopping_ = false;
  std::thread worker_;
};

} // namespace gnomon::tests
