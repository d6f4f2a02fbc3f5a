// The live supervision tree: which actors there should be, how each is made, which incarnation runs now and how often
// it was restarted. It belongs to the node, not to an actor, so that a supervisor which dies is replaced by one that
// adopts what still runs. Any thread (one lock, never held while an actor is spawned or told something).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>

#include "actors/protocol/volume_messages.hpp"
#include "actors/runtime/restart_policy.hpp"
#include "config/clock.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

inline constexpr std::size_t tree_size_max = 110'000; // every volume of a full catalogue, and the node's own actors

// How a child is made. `spawn` must not block; it is called by the supervisor, in its thread.
struct child_spec {
  std::string name;   // unique in the node: "registry", "volume/db"
  std::string parent; // a supervisor's name; empty for the root
  std::function<caf::actor(caf::actor_system&)> spawn;
  restart_policy policy;
};

// What a supervisor does about a child's death.
enum class verdict { ignore, restart_later, give_up };
struct death_decision {
  verdict what = verdict::ignore;
  std::string child;
  std::chrono::milliseconds wait{0};    // restart_later
  std::chrono::seconds revive_after{0}; // give_up
};

class supervision_tree {
public:
  explicit supervision_tree(const clock_source& clock = system_clock_source(), std::uint64_t jitter_seed = 0);
  supervision_tree(const supervision_tree&) = delete;

  // already_exists, limit_reached. The parent must be told to adopt (see tell_supervisor).
  result<void> add(child_spec spec);
  // Ends the child's supervision and returns its present incarnation, if any, for the caller to end. not_found.
  result<caf::actor> remove(std::string_view name);
  result<void> rename(std::string_view name, std::string new_name);

  // The present incarnation, or a null handle while there is none (being restarted, given up, unknown).
  caf::actor find(std::string_view name) const;
  template <class Handle>
  Handle find_as(std::string_view name) const {
    return caf::actor_cast<Handle>(find(name));
  }
  std::string parent_of(std::string_view name) const;
  bool contains(std::string_view name) const;

  // Children of `parent` that should be started now: never started, or their backoff has passed.
  std::vector<std::string> to_start(std::string_view parent) const;
  // Children of `parent` that run (to be monitored by a new supervisor), and those in backoff with what is left of
  // it.
  std::vector<std::pair<std::string, caf::actor>> running(std::string_view parent) const;
  std::vector<std::pair<std::string, std::chrono::milliseconds>> waiting(std::string_view parent) const;

  // Given-up children of `parent` with what is left until their next chance: a new supervisor sees to it.
  std::vector<std::pair<std::string, std::chrono::milliseconds>> given_up_below(std::string_view parent) const;

  // Makes the child and records it, unless it runs already or must not. Null if nothing was spawned.
  caf::actor spawn(std::string_view name, caf::actor_system& system);
  // `source` has ended; looks which child of `parent` that was. Deaths of former incarnations are ignored.
  death_decision on_death(std::string_view parent, const caf::actor_addr& source, const caf::error& reason);
  // A given-up child may be started again. not_found; busy: it is not given up.
  result<void> revive(std::string_view name);

  // From now on nothing is restarted.
  void begin_stop();
  bool stopping() const;
  // Lets go of all handles: they must not outlive the actor system.
  void release();

  // Parents before children, otherwise by name. `report` and `answered` are for the caller to fill.
  std::vector<actor_info> list() const;
  std::vector<std::string> given_up() const;
  // Actors that are given up, end again and again, or do not answer: one sentence each, with what to do.
  std::vector<std::string> problems() const;
  // Why there is no incarnation of `name` just now: unavailable, in words for who asked it something.
  error absence(std::string_view name) const;
  // From whoever asks the actors for reports: it has not answered since `since`, or (nothing) answers again.
  void note_stuck(std::string_view name, std::optional<boot_time> since);
  std::size_t size() const;
  std::uint64_t restarts_total() const;

private:
  struct entry {
    child_spec spec;
    restart_tracker tracker;
    actor_state state = actor_state::starting;
    caf::actor handle;
    std::int64_t started_us = 0;
    boot_time restart_at{}; // of a given-up child: its next chance
    std::optional<boot_time> stuck_since;
    std::string last_error;
  };
  using entries = std::map<std::string, entry, std::less<>>;
  void list_children(std::string_view parent, const std::multimap<std::string_view, const entry*>& children,
                     std::vector<actor_info>& out) const;

  const clock_source& clock_;
  mutable std::mutex mutex_;
  entries entries_;
  std::map<caf::actor_id, std::string> names_; // of present incarnations
  std::mt19937_64 random_;
  bool stopping_ = false;
};

// Tells a supervisor that its list of children has changed. No effect while it is down: it adopts when it is back.
void tell_supervisor(const supervision_tree& tree, std::string_view name);

} // namespace gnomon::actors
