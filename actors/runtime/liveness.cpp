#include "actors/runtime/liveness.hpp"

#include <algorithm>
#include <set>

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {

struct liveness_state {
  explicit liveness_state(liveness_actor::pointer self) : self(self) {}

  // The node's own actors every time; volumes and the like in turn.
  void tick() {
    self->delayed_send(self, liveness_every, atom::tick_v);
    const auto actors = tree->list();
    std::size_t asked = 0;
    std::string first_of_next;
    for (const auto& actor : actors)
      if (actor.name.find('/') == std::string::npos)
        ask(actor.name);
    const auto ask_from = [&](auto from, auto to) {
      for (auto at = from; at != to && asked < liveness_batch_max; ++at)
        if (at->name.find('/') != std::string::npos) {
          ask(at->name);
          ++asked;
          last_asked = at->name;
        }
    };
    const auto after_last = std::find_if(actors.begin(), actors.end(), [&](const auto& a) { return a.name == last_asked; });
    const auto next = after_last == actors.end() ? actors.begin() : std::next(after_last);
    ask_from(next, actors.end());
    ask_from(actors.begin(), next);
  }

  void ask(const std::string& name) {
    const auto handle = tree->find_as<supervised_actor>(name);
    if (!handle || handle == self || !waiting.insert(name).second)
      return;
    const auto since = clock->boot_now();
    self->request(handle, stuck_after, atom::report_v)
        .then(
            [this, name](const actor_report&) {
              waiting.erase(name);
              if (stuck.erase(name) > 0) {
                log::info("actor {} answers again", name);
                tree->note_stuck(name, std::nullopt);
              }
            },
            [this, name, since](const caf::error& why) {
              waiting.erase(name);
              if (from_caf(why).code != errc::timed_out) {
                stuck.erase(name); // it ended: its supervisor knows
                return;
              }
              if (!stuck.insert(name).second)
                return;
              log::error("actor {} has not answered for {} s", name, stuck_after.count());
              tree->note_stuck(name, since);
            });
  }

  liveness_actor::pointer self;
  supervision_tree* tree = nullptr;
  const clock_source* clock = nullptr;
  std::set<std::string> waiting, stuck;
  std::string last_asked;
  const char* name = "liveness";
};

liveness_actor::behavior_type liveness(liveness_actor::stateful_pointer<liveness_state> self, supervision_tree* tree,
                                       const clock_source* clock) {
  self->state.tree = tree;
  self->state.clock = clock;
  self->delayed_send(self, liveness_every, atom::tick_v);
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), fmt::format("{} stuck", self->state.stuck.size())};
      },
      [](atom::ask, const std::string&) -> caf::result<std::string> {
        return to_caf({errc::invalid_argument, "there are: report, kill, revive, help", 0});
      },
      [self](atom::tick) { self->state.tick(); },
  };
}

} // namespace

caf::actor spawn_liveness(caf::actor_system& system, supervision_tree* tree, const clock_source* clock) {
  return caf::actor_cast<caf::actor>(system.spawn(liveness, tree, clock));
}

} // namespace gnomon::actors
