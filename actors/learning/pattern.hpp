// The pattern actor of one volume: rolls up what the rings counted into the history, keeps the volume's pattern
// (actors/learning/volume_pattern.hpp) and publishes what follows from it on the prediction board. The pattern is
// loaded when it is needed and unloaded when memory is scarce; an idle volume has only its entry on the board.
// Loading, learning at the end of a window and making the entry are one job on the fit threads, which has the pattern
// meanwhile: what is observed then waits here. What is open when the actor dies (at most one slot of 10 s) it hands
// to the history on its way out; the pattern is rebuilt from there.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "actors/learning/latency_tally.hpp"
#include "actors/learning/pattern_outlook.hpp"
#include "actors/learning/volume_pattern.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::minutes pattern_save_every{5};
inline constexpr std::chrono::seconds heat_publish_every{60}; // to the board, while the volume is used
inline constexpr std::chrono::seconds heat_publish_first{5};  // after the first requests since a load
inline constexpr std::size_t heat_publish_jobs_max = 256; // waiting fits from which on only ends of windows publish
inline constexpr std::size_t pattern_seconds_waiting_max = 600; // observed while a job has the pattern
inline constexpr std::size_t pattern_rows_waiting_max = 65'536; // in them; older ones are in the history alone
inline constexpr std::size_t heat_requests_max = 64;            // under way and waiting
inline constexpr std::size_t chunks_timed_max = 16'384;         // whose latencies are known at once, per volume

struct pattern_state {
  explicit pattern_state(pattern_actor::pointer self) : self(self) {}
  ~pattern_state(); // hands what is open to the history, answers who waits
  void start(node_context* n, volume_uuid of);

  void observe(const observed& second);
  void tick();
  void reload();
  void unload(byte_count most);
  caf::result<heat_view> heat(const heat_request& request);
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  // A job on the fit threads that has the pattern: loads it, or learns from windows that are over; then makes the
  // outlook. It fills this before it says that it is done.
  struct pattern_job {
    enum class source : std::uint8_t { memory, saved, history };
    source from = source::memory;
    std::atomic<bool> begun{false}; // it runs once, however often it is submitted
    std::uint64_t number = 0;
    std::optional<volume_pattern> pattern;
    std::optional<pattern_outlook> outlook;
    bool in_use = false; // somebody needs the pattern, not only its outlook
  };
  struct heat_job {
    result<heat_view> view = fail(errc::internal, "not drawn");
    caf::response_promise promise;
  };
  struct waiting_heat {
    heat_request request;
    caf::response_promise promise;
  };
  pattern_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;
  open_slot slot;
  std::optional<volume_pattern> pattern; // none: not loaded, or a job has it
  std::unordered_map<std::uint64_t, read_write_tally> chunk_latencies;
  std::unordered_map<instance_id, read_write_tally> instance_latencies;
  std::deque<observed> waiting;      // for the pattern
  std::size_t rows_waiting = 0;      // in them
  std::shared_ptr<pattern_job> away; // the job that has the pattern
  std::uint64_t next_job = 1;
  bool reload_again = false;
  std::unordered_map<std::uint64_t, std::shared_ptr<heat_job>> heat_jobs;
  std::vector<waiting_heat> heat_waiting; // for the pattern
  boot_time saved_at{}, used_at{}, publish_at{};
  bool changed = false;   // since it was saved
  bool published = false; // since the start
  const char* name = "pattern";

private:
  std::optional<volume_pattern::shape> shape() const;
  // Gives the pattern to a job, or has one load it. At that urgency, also where it is away already.
  void send_away(pattern_job::source from, background_pool::urgency level);
  bool submit(const std::shared_ptr<pattern_job>& job, background_pool::urgency level);
  void came_back(pattern_job& job);
  void publish(pattern_outlook outlook);
  bool publish_is_due();
  void await_pattern(const observed& second);
  void catch_up();
  void draw(const heat_request& request, caf::response_promise promise);
  void report_memory();
  void learn(const observed& second);
  void time(const observed& second);
  // Hands a slot to the history; `then` runs when it is there (or is lost), on any thread.
  void keep(std::optional<open_slot::closed> over, std::function<void()> then = {});
  void save();
  // Does `work` on a fit thread, then sends `fitted` with that number.
  background_pool::job job_of(const char* what, std::function<void()> work, std::uint64_t number,
                       background_pool::urgency level) const;
};

caf::actor spawn_pattern(caf::actor_system& system, node_context* node, volume_uuid uuid);
pattern_actor::behavior_type pattern(pattern_actor::stateful_pointer<pattern_state> self, node_context* node,
                                     volume_uuid uuid);

} // namespace gnomon::actors
