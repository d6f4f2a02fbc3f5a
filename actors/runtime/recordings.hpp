// The recordings of a node: bounded buffers between the data plane, which never waits, and a client that pulls. They
// belong to the node, not to the recorder actor, whose next incarnation carries on with them. Any thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "actors/protocol/volume_messages.hpp"
#include "config/clock.hpp"
#include "config/error.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

inline constexpr std::size_t recording_buffer_max = 262'144; // records per recording: 6 MiB

class recording_table {
public:
  explicit recording_table(const clock_source& clock = system_clock_source()) : clock_(clock) {}
  ~recording_table() { stop_all(); }
  recording_table(const recording_table&) = delete;

  // limit_reached; busy or not_found from the engine.
  result<recording_number> start(io::engine& engine, volume_uuid volume);
  // Up to record_batch_max records, possibly none. After `finished` the number is forgotten. not_found.
  result<record_batch> take(recording_number number);
  // Asks the data plane to stop; what it had seen follows by take(). not_found.
  result<void> stop(recording_number number);
  // Stops and forgets those whose client has not asked for recording_idle_max.
  void expire();
  // Stops all and waits. The engine must still be there.
  void stop_all();
  std::size_t size() const;

private:
  struct recording {
    std::mutex mutex;
    std::deque<trace_record> records;
    std::uint64_t dropped = 0, dropped_by_engine = 0;
    io::engine* engine = nullptr;
    volume_uuid volume;
    boot_time last_asked{};
    std::atomic<bool> stopped{false};
    std::thread stopper; // engine::stop_recording waits for the last batch; actors do not
    ~recording() {
      if (stopper.joinable())
        stopper.join();
    }
  };
  std::shared_ptr<recording> find(recording_number number) const;
  static void begin_stop(const std::shared_ptr<recording>& r);

  const clock_source& clock_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<recording>> recordings_;
  std::uint64_t next_ = 1;
};

} // namespace gnomon::actors
