// The instance registry: which compute instances there are - those of the configuration, those an operator described and those
// that were seen at work - and a profile actor for each of them, at most instances_max. It also lists them and takes
// descriptions. Owns nothing that is not found again after its death: the rest is in the configuration, in `meta` and
// in the history.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/instances/instance_profile.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"
#include "store/meta/instance_book.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds instances_look_every{10}; // new instances of history and configuration are looked for
inline constexpr std::size_t instance_requests_max = 64;  // lists and changes under way at once

struct instance_registry_state {
  explicit instance_registry_state(instance_registry_actor::pointer self) : self(self) {}
  ~instance_registry_state(); // answers who waits
  void start(node_context* n);
  void tick();
  // Takes note of instances that are new in the history, then sync().
  void look();
  // Makes the children agree with what there is.
  void sync();
  caf::result<std::vector<instance_summary>> list();
  caf::result<instance_summary> describe(const instance_id& id, const instance_change& change);
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  // What another thread made; filled before it says that it is done.
  struct job {
    result<std::vector<instance_summary>> listed = fail(errc::internal, "not listed");
    result<void> described = fail(errc::internal, "not described");
    instance_id whom; // empty: it is a list
    caf::response_promise promise;
  };
  instance_registry_actor::pointer self;
  node_context* node = nullptr;
  std::uint32_t seen_until = 0; // instances of the history up to this index are among `seen`
  std::vector<instance_id> seen;
  std::unordered_map<std::uint64_t, std::shared_ptr<job>> jobs;
  std::uint64_t next_job = 1;
  std::set<std::string> children; // names of the profile actors
  std::size_t left_out = 0;
  bool told = false; // that some were left out
  const char* name = "instance_registry";

private:
  std::vector<instance_id> wanted() const;
};

caf::actor spawn_instance_registry(caf::actor_system& system, node_context* node);
instance_registry_actor::behavior_type instance_registry(instance_registry_actor::stateful_pointer<instance_registry_state> self, node_context* node);

} // namespace gnomon::actors
