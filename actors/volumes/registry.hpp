// The registry (metadata) actor: what volumes there should be is the catalogue's word; the registry makes the data
// plane and the volume actors agree with it, one change per volume at a time. It owns only the changes in flight: if
// it dies, their requesters get `unavailable` (outcome unknown) and its next incarnation repairs what is half done.
// Nothing here blocks: the catalogue and the engine call back on their threads, and the outcome comes as a message.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/volumes/volume_plan.hpp"

namespace gnomon::actors {

inline constexpr std::size_t changes_max = 1024;    // changes in flight; more get limit_reached
inline constexpr std::size_t apply_window = 256;    // steps in flight while a config is applied
inline constexpr unsigned steps_per_change_max = 8; // a volume that needs more never comes in line
inline constexpr std::chrono::seconds reconcile_every{60};
inline constexpr std::chrono::seconds probe_every{5}; // the store, and volumes with a problem
inline constexpr std::chrono::seconds purge_every{3600};

struct registry_state {
  using outcome = result<volume_uuid>;
  using step_done = std::function<void(outcome)>; // any thread, exactly once
  using launch = std::function<void(step_done)>;
  using continuation = std::function<void(const outcome&)>; // in the actor
  // Answers its requester when it goes, if nobody did before: a change that dies with the actor is not silence.
  template <class T>
  struct reply_guard {
    caf::typed_response_promise<T> promise;
    explicit reply_guard(caf::typed_response_promise<T> p) : promise(std::move(p)) {}
    ~reply_guard() {
      if (promise.pending())
        refuse({errc::unavailable, "the registry was restarted; the outcome is unknown", 0});
    }
    void give(T value) { promise.deliver(std::move(value)); }
    void refuse(const error& reason) { promise.deliver(to_caf(reason)); }
  };
  template <class T>
  using reply = std::shared_ptr<reply_guard<T>>;

  explicit registry_state(registry_actor::pointer self) : self(self) {}
  void start(node_context* n);

  // --- reads
  std::vector<volume_summary> list(list_filter filter) const;
  caf::result<volume_details> show(const volume_ref& ref) const;
  caf::result<std::vector<connection_info>> who(const volume_ref& ref) const;
  caf::result<std::string> ask(const std::string& message);

  // --- changes (registry_changes.cpp)
  caf::result<volume_summary> create(const volume_request& request);
  caf::result<resize_report> resize(const volume_ref& ref, byte_count size);
  caf::result<volume_summary> erase(const volume_ref& ref, deletion how);
  caf::result<volume_summary> undelete(const volume_ref& ref, const volume_name& new_name);
  caf::result<volume_summary> purge(const volume_ref& ref);
  caf::result<volume_summary> rename(const volume_ref& ref, const volume_name& new_name);
  caf::result<volume_summary> describe(const volume_ref& ref, const std::string& description);
  caf::result<volume_summary> set_access(const volume_ref& ref, volume_access access);
  caf::result<volume_summary> update(const volume_ref& ref, store::volume_changes changes);
  caf::result<volume_summary> clear(const volume_ref& ref);
  caf::result<volume_summary> accept_loss(const volume_ref& ref);
  // --- who may attach (registry_access.cpp)
  caf::result<std::vector<connection_info>> fence(const volume_ref& ref, const instance_id& instance,
                                                  const instance_id& heir);
  caf::result<volume_details> unfence(const volume_ref& ref, const instance_id& instance);
  caf::result<volume_details> set_grant(const volume_ref& ref, const instance_id& instance, bool granted);
  // Who may not attach, as the book has it.
  io::fence_set fences(volume_uuid uuid) const;
  // The data plane follows settings, names and grants.
  void refresh_access() const;

  // Carries out the newest settings (registry_apply.cpp). Who asks while it is under way is answered with the newest.
  caf::result<apply_report> apply();
  void begin_apply();
  // `standing`: what of the settings stays refused.
  void applied(std::uint64_t generation, apply_report report, std::vector<std::string> standing);
  bool settings_pending() const; // not in force yet, or something of them was refused and may work now
  void tick();

  // --- the machinery (registry_steps.cpp)
  // Starts an asynchronous step; `then` gets its outcome in the actor.
  void run(const launch& step, continuation then);
  // Runs all steps, at most apply_window at once; `each` gets the outcome of each, `then` comes last.
  void run_all(std::vector<launch> steps, std::function<void(std::size_t, const outcome&)> each,
               std::function<void()> then);
  void complete(const step_completion& done);
  // The live record, if the volume is wanted.
  std::optional<store::volume_record> wanted(volume_uuid uuid) const;
  // A volume of the config is changed there: here it would come back with the next start. invalid_argument.
  // `instead`: what to do about it.
  result<void> check_not_configured(const store::volume_record& record, std::string_view instead) const;
  // Step by step until record and data plane agree.
  void bring_in_line(volume_uuid uuid, continuation then, unsigned steps_left = steps_per_change_max);
  io::volume_spec spec_to_open(const store::volume_record& record) const;
  launch step_for(volume_step step, volume_uuid uuid, const std::optional<store::volume_record>& record);
  // Claims the volume for one change. busy, limit_reached.
  result<void> claim(volume_uuid uuid);
  template <class T>
  reply<T> promise() {
    return std::make_shared<reply_guard<T>>(self->make_response_promise<T>());
  }
  // The usual change: claim, change the catalogue, bring the data plane in line, release, answer.
  caf::result<volume_summary> change(volume_uuid uuid, const launch& in_catalogue,
                                     std::function<void()> on_success = {});
  void add_actors(const store::volume_record& record, volume_child::whose of);
  // Volume, pattern and forecaster actors for every live volume, none for others.
  void sync_actors();
  // What was learned of volumes that are neither live nor deleted goes too, on a fit thread.
  void forget_purged() const;
  // Whether changes can be recorded, onto the problem board.
  void probe() const;
  // Whatever differs between catalogue and data plane is brought in line; problems are logged once.
  void repair();

  registry_actor::pointer self;
  node_context* node = nullptr;
  std::uint64_t next_step_number = 1;
  std::unordered_map<std::uint64_t, continuation> waiting;
  std::unordered_set<volume_uuid> claimed;
  std::unordered_map<volume_uuid, std::string> last_problem; // logged once per change of text
  std::chrono::seconds since_purge = purge_every;            // the first tick purges
  std::chrono::seconds since_repair{0};
  bool applying = false;
  std::vector<reply<apply_report>> appliers; // wait for it
  const char* name = "registry";
};

caf::actor spawn_registry(caf::actor_system& system, node_context* node);
registry_actor::behavior_type registry(registry_actor::stateful_pointer<registry_state> self, node_context* node);

} // namespace gnomon::actors
