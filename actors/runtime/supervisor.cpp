#include "actors/runtime/supervisor.hpp"

#include <mutex>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {
constexpr ask_verb supervisor_verbs[] = {{"children", "lists who runs below it"}};
} // namespace

void supervisor_state::start(supervision_tree* t, std::string own_name) {
  tree = t;
  own = std::move(own_name);
  // Children that the former incarnation started run on: their deaths are ours to repair from now on.
  for (const auto& [child, handle] : tree->running(own))
    self->monitor(handle);
  for (const auto& [child, wait] : tree->waiting(own))
    self->delayed_send(self, wait, atom::restart_v, child);
  // What the former incarnation had given up would wait for a chance that nobody gives it.
  for (const auto& [child, wait] : tree->given_up_below(own))
    self->delayed_send(self, wait, atom::revive_v, child);
  adopt();
}

void supervisor_state::adopt() {
  for (const auto& child : tree->to_start(own))
    start_child(child);
}

void supervisor_state::start_child(const std::string& child) {
  if (const auto handle = tree->spawn(child, self->system()))
    self->monitor(handle);
}

void supervisor_state::on_down(const caf::down_msg& down) {
  const auto decision = tree->on_death(own, down.source, down.reason);
  switch (decision.what) {
  case verdict::ignore:
    return;
  case verdict::restart_later:
    log::warning("actor {} ended ({}); restarting it in {} ms", decision.child, describe(down.reason),
                 decision.wait.count());
    self->delayed_send(self, decision.wait, atom::restart_v, decision.child);
    return;
  case verdict::give_up:
    log::error("actor {} ended too often ({}); giving up, next try in {} s. The data plane serves on", decision.child,
               describe(down.reason), decision.revive_after.count());
    self->delayed_send(self, decision.revive_after, atom::revive_v, decision.child);
    return;
  }
}

caf::result<std::string> supervisor_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(supervisor_verbs);
  if (parsed->verb != "children")
    return to_caf(unknown_verb(*parsed, supervisor_verbs).value());
  std::string out;
  for (const auto& [child, handle] : tree->running(own))
    out += child + "\n";
  return out;
}

caf::actor spawn_supervisor(caf::actor_system& system, supervision_tree* tree, std::string own_name) {
  return caf::actor_cast<caf::actor>(system.spawn(supervisor, tree, std::move(own_name)));
}

supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           supervision_tree* tree, std::string own_name) {
  self->set_down_handler([self](const caf::down_msg& down) { self->state.on_down(down); });
  self->state.start(tree, std::move(own_name));
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(),
                            std::to_string(self->state.tree->running(self->state.own).size()) + " children"};
      },
      [self](atom::ask, const std::string& message) { return self->state.ask(message); },
      [self](atom::adopt) { self->state.adopt(); },
      [self](atom::restart, const std::string& child) { self->state.start_child(child); },
      [self](atom::revive, const std::string& child) {
        if (self->state.tree->revive(child))
          self->state.start_child(child);
      },
  };
}

// --- the root
// ---------------------------------------------------------------------------------------------------------

struct root_guard::shared {
  std::mutex mutex;
  std::vector<std::pair<caf::actor_addr, caf::error>> deaths;
  std::function<void()> on_root_down;
};

root_guard::root_guard(caf::actor_system& system, supervision_tree& tree, std::function<void()> on_root_down)
    : system_(system), tree_(tree), shared_(std::make_shared<shared>()) {
  shared_->on_root_down = std::move(on_root_down);
}

std::optional<std::chrono::milliseconds> root_guard::check() {
  std::vector<std::pair<caf::actor_addr, caf::error>> deaths;
  {
    std::lock_guard lock(shared_->mutex);
    deaths.swap(shared_->deaths);
  }
  for (const auto& [source, reason] : deaths) {
    const auto decision = tree_.on_death("", source, reason);
    if (decision.what == verdict::restart_later)
      log::warning("the root supervisor ended ({}); restarting it in {} ms", describe(reason), decision.wait.count());
    if (decision.what == verdict::give_up) {
      // There is nobody above: it is tried again for ever, slowly.
      log::error("the root supervisor ended too often ({}); restarting it once more. The data plane serves on",
                 describe(reason));
      if (const auto revived = tree_.revive(decision.child); !revived)
        log::error("{}", revived.error().to_string());
    }
  }
  for (const auto& name : tree_.to_start("")) {
    const auto root = tree_.spawn(name, system_);
    if (!root)
      continue;
    auto state = shared_;
    root->attach_functor([state, address = root.address()](const caf::error& reason) {
      {
        std::lock_guard lock(state->mutex);
        state->deaths.emplace_back(address, reason);
      }
      state->on_root_down();
    });
  }
  const auto waiting = tree_.waiting("");
  if (waiting.empty())
    return std::nullopt;
  return waiting.front().second;
}

} // namespace gnomon::actors
