// The engine's life: it makes the rings and what they share, and takes everything down in order.
#include "io/engine/ring_engine.hpp"

#include <algorithm>
#include <thread>

#include <unistd.h>

#include "config/log.hpp"
#include "io/volume/granule_state.hpp"

namespace gnomon::io {

std::string_view to_string(operation op) noexcept {
  switch (op) {
  case operation::read:
    return "read";
  case operation::write:
    return "write";
  case operation::flush:
    return "flush";
  case operation::trim:
    return "trim";
  case operation::zero:
    return "zero";
  case operation::cache:
    return "cache";
  case operation::block_status:
    return "block_status";
  }
  return "unknown";
}

namespace {
constexpr std::uint32_t rings_default_max = 16;
} // namespace

// --- rings

result<void> node_engine::start_rings(std::uint32_t ring_count) {
  for (std::uint32_t i = 0; i < ring_count; ++i) {
    ring_options o;
    o.index = i;
    o.entries = options_.io.ring_entries;
    o.busy_poll = options_.io.busy_poll;
    o.disk_poll = options_.io.disk_poll;
    o.buffer_memory_max = byte_count{options_.io.buffer_memory_max.value / ring_count};
    auto made = ring::create(o);
    if (!made)
      return tl::unexpected(made.error());
    plane_.rings.push_back(std::move(*made));
    services_.push_back(std::make_unique<nbd_service>(*plane_.rings.back(), plane_, registry_, options_.nbd));
    plane_.holds[i].set_ring(*plane_.rings.back());
  }
  for (std::uint32_t i = 0; i < ring_count; ++i) {
    const ring_index index{i};
    nbd_service* service = services_[i].get();
    ring::hooks h;
    h.at_start = [this, index](ring&) { plane_.epochs.online(index); };
    h.before_sleep = [this, index](ring&) { plane_.epochs.offline(index); };
    h.after_wake = [this, index](ring&) { plane_.epochs.online(index); };
    // Clients on this machine, and whatever else it is for, need processors too: at least as many as the rings.
    h.may_spin = [this, processors = std::thread::hardware_concurrency()] {
      return plane_.epochs.online_count() * 2 <= processors;
    };
    h.each_turn = [this, index, service](ring&) {
      plane_.inboxes[index.value].resume_all();
      plane_.holds[index.value].turn();
      service->end_of_turn();
      plane_.generations.turn_ended();
      plane_.epochs.quiescent(index);
    };
    h.each_second = [this, index, service](ring&) {
      service->each_second();
      if (index.value == 0)
        reclaim();
    };
    h.at_exit = [this, index](ring&) { plane_.epochs.offline(index); };
    if (auto started = plane_.rings[i]->start(std::move(h)); !started)
      return started;
  }
  watch_rings();
  hydrator_ = std::make_unique<hydrator>([this] {
    latency_histogram all;
    for (const auto& core : registry_.all()) {
      const auto counted = core->meter().sum();
      for (const auto op : {operation::read, operation::write})
        all.merge(counted.by_operation[static_cast<std::size_t>(op)].latency);
    }
    return all;
  });
  return {};
}

// On a thread: what goes with a route may be the spill of a capture, and closing that frees gigabytes on a disk.
void node_engine::reclaim() {
  if (plane_.epochs.pending() == 0 || reclaiming_.exchange(true))
    return;
  const bool queued = plane_.granule_work.submit(reclaiming_lane_, [this] {
    plane_.epochs.reclaim();
    reclaiming_ = false;
  });
  if (!queued)
    reclaiming_ = false; // in a second again; after a stop the epochs' end frees all
}

// A ring that waits for a disk in spite of all care keeps the others from that disk, and leaves a line in the log.
void node_engine::watch_rings() {
  std::vector<ring*> all;
  for (const auto& one : plane_.rings)
    all.push_back(one.get());
  watch_ = std::make_unique<ring_watch>(
      std::move(all), [logged = std::vector<std::int64_t>(plane_.rings.size())](ring& one, nanoseconds stayed) mutable {
        if (auto* disk = static_cast<inline_pace*>(one.working_on()))
          disk->suspend(boot_clock::now());
        constexpr nanoseconds worth_a_line = std::chrono::seconds{1};
        const std::int64_t began = one.stats().turn_began_ns.load(std::memory_order_relaxed);
        if (stayed < worth_a_line || std::exchange(logged[one.index()], began) == began)
          return;
        log::warning("ring {} has been busy with one step for {} ms, probably because a disk does not answer; the "
                     "clients it serves wait",
                     one.index(), std::chrono::duration_cast<std::chrono::milliseconds>(stayed).count());
      });
}

std::vector<ring_status> node_engine::rings() const {
  std::vector<ring_status> all;
  for (std::size_t i = 0; i < plane_.rings.size(); ++i) {
    const auto& s = plane_.rings[i]->stats();
    ring_status one;
    one.index = static_cast<std::uint32_t>(i);
    one.connections = services_[i]->connection_count();
    one.requests = services_[i]->requests_served();
    one.turns = s.turns.load(std::memory_order_relaxed);
    one.enters = s.enters.load(std::memory_order_relaxed);
    one.buffer_bytes = s.buffer_bytes.load(std::memory_order_relaxed);
    one.cpu_nanoseconds = s.cpu_ns.load(std::memory_order_relaxed);
    all.push_back(one);
  }
  return all;
}

// --- stop

result<void> node_engine::stop(std::chrono::milliseconds grace) {
  std::lock_guard lock{stop_mutex_};
  if (stopped_)
    return stop_result_;
  stopped_ = true;
  registry_.stop(); // no new connections, ESHUTDOWN to whoever logs in
  if (hydrator_)
    hydrator_->stop();
  {
    std::lock_guard listeners_lock{listeners_mutex_};
    for (auto& l : listeners_)
      l->close();
  }
  const auto until = std::chrono::steady_clock::now() + grace;
  auto served = registry_.all();
  for (auto& core : registry_.remotes())
    served.push_back(std::move(core));
  plane_.generations.poke(); // changes that wait for requests look at registry_.stopping()
  for (const auto& core : served) { // without its control: a change that waits for a disk may hold it
    core->publish([](route& r) { r.closing = true; });
    core->granules().begin_close();
  }
  end_connections(nullptr, {}, nbd_service::manner::drain);
  const auto open = [this] {
    return std::any_of(services_.begin(), services_.end(), [](const auto& s) { return s->connection_count() != 0; });
  };
  while (open() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  const bool unanswered = cluster_ && !cluster_->stop(boot_clock::now() + std::chrono::seconds{5});
  if (unanswered)
    log::error("requests to other nodes do not end");
  if (open()) {
    end_connections(nullptr, {}, nbd_service::manner::drop);
    const auto last = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (open() && std::chrono::steady_clock::now() < last)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  bool abandoned = open() || unanswered;
  const auto left = std::max<std::chrono::nanoseconds>(until - std::chrono::steady_clock::now(), std::chrono::seconds{1});
  const auto last = std::chrono::steady_clock::now() + left + last_sync_patience;
  last_syncs_ = std::make_unique<last_syncs>(plane_.generations, [this](const volume_core& core) {
    return registry_.find(core.uuid()).get() == &core;
  });
  for (const auto& core : registry_.all())
    last_syncs_->begin(core, boot_clock::now() + left);
  if (!plane_.maintenance.stop(last)) {
    log::error("changes of volumes do not end");
    abandoned = true;
  }
  const auto synced = last_syncs_->wait(last);
  if (!synced.unrecorded)
    stop_result_ = synced.unrecorded;
  abandoned |= synced.late;
  abandoned |= !plane_.seeking.stop(std::max(until, std::chrono::steady_clock::now() + std::chrono::seconds{1}));
  {
    std::lock_guard recorders_lock{recorders_mutex_};
    for (auto& [uuid, one] : recorders_) {
      if (auto core = registry_.find(uuid))
        core->publish_recording(nullptr);
    }
    if (!recorders_.empty())
      wait_for_quiescence();
    for (auto& [uuid, one] : recorders_)
      one->stop();
    recorders_.clear();
  }
  abandoned |= !plane_.granule_work.stop(std::max(last, std::chrono::steady_clock::now() + std::chrono::seconds{1}));
  plane_.generations.stop();
  if (abandoned) {
    stop_result_ = fail(errc::timed_out, "the node stopped with requests under way");
    // The kernel may still write into their memory: nothing of it is freed, the process ends soon.
    for (auto& one : plane_.rings)
      one->request_stop();
    return stop_result_;
  }
  watch_.reset();
  for (auto& one : plane_.rings)
    one->request_stop();
  for (auto& one : plane_.rings)
    one->join();
  std::lock_guard listeners_lock{listeners_mutex_};
  listeners_.clear();
  return stop_result_;
}

result<std::unique_ptr<engine>> engine::start(engine_options options) {
  if (auto ok = ring::probe(); !ok)
    return tl::unexpected(ok.error());
  std::uint32_t count = options.io.rings;
  if (count == 0)
    count = std::clamp(std::thread::hardware_concurrency(), 1u, rings_default_max);
  auto made = std::make_unique<node_engine>(std::move(options), count);
  if (auto ok = made->start_rings(count); !ok)
    return tl::unexpected(ok.error());
  return made;
}

} // namespace gnomon::io
