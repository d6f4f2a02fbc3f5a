// The pattern actor of one volume: rolls up what the rings counted into the history and keeps the volume's pattern
// (actors/learning/volume_pattern.hpp), which it loads when it is first needed: an idle volume costs nothing. What is open
// when it dies (at most one slot of 10 s) it hands to the history on its way out; the pattern is rebuilt from there.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "actors/learning/latency_tally.hpp"
#include "actors/learning/volume_pattern.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::minutes pattern_save_every{5};
inline constexpr std::size_t pattern_seconds_waiting_max = 600; // observed while the pattern is loaded
inline constexpr std::size_t heat_requests_max = 64;            // under way at once
inline constexpr std::size_t chunks_timed_max = 16'384;         // whose latencies are known at once, per volume
inline constexpr std::size_t hot_set_size = 32;                 // chunks of a predicted hot set

struct pattern_state {
  explicit pattern_state(pattern_actor::pointer self) : self(self) {}
  ~pattern_state(); // hands what is open to the history, answers who waits
  void start(node_context* n, volume_uuid of);

  void observe(const observed& second);
  void tick();
  void reload();
  caf::result<heat_view> heat(const heat_request& request);
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  // What a job on the fit threads made; the job fills it before it says that it is done.
  struct load_job {
    std::optional<volume_pattern> pattern;
  };
  struct heat_job {
    result<heat_view> view = fail(errc::internal, "not drawn");
    caf::response_promise promise;
  };
  pattern_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;
  open_slot slot;
  std::optional<volume_pattern> pattern; // none until it was needed
  std::unordered_map<std::uint64_t, read_write_tally> chunk_latencies;
  std::unordered_map<instance_id, read_write_tally> instance_latencies;
  std::deque<observed> waiting;          // for the pattern
  std::shared_ptr<load_job> loading;
  std::uint64_t loading_number = 0, next_job = 1;
  bool reload_again = false;
  std::unordered_map<std::uint64_t, std::shared_ptr<heat_job>> heat_jobs;
  boot_time saved_at{};
  bool changed = false; // since it was saved
  const char* name = "pattern";

private:
  std::optional<volume_pattern::shape> shape() const;
  void need_pattern(bool use_saved);
  void learn(const observed& second);
  void time(const observed& second);
  // Hands a slot to the history; `then` runs when it is there (or is lost), on any thread.
  void keep(std::optional<open_slot::closed> over, std::function<void()> then = {});
  void save();
  // Does `work` on a fit thread, then sends `fitted` with that number.
  fit_pool::job job_of(const char* what, std::function<void()> work, std::uint64_t number) const;
};

caf::actor spawn_pattern(caf::actor_system& system, node_context* node, volume_uuid uuid);
pattern_actor::behavior_type pattern(pattern_actor::stateful_pointer<pattern_state> self, node_context* node,
                                     volume_uuid uuid);

} // namespace gnomon::actors
