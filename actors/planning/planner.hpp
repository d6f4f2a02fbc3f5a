// The planner actor: at every tick it gathers what the node knows, has a job on the fit threads make a plan
// (actors/planning/plan_book.hpp), carries it out, and hands the rings what they are to take as predicted hot. It blocks
// on nothing; while a job is under way the next tick passes. It answers `gnomon plan` and `gnomon why` from what the last job left.
// What it has learned is in its memory alone: a new incarnation finds the shadows that exist and goes on from there.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include <caf/typed_event_based_actor.hpp>

#include "actors/planning/plan_book.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr char planner_name[] = "planner";

struct planner_state {
  explicit planner_state(planner_actor::pointer self) : self(self) {}
  void start(node_context* n);
  void tick();
  void fitted(const fit_completion& done);
  result<std::string> answer(const std::string& message) const;

  // The book goes to the job and comes back with it.
  struct plan_job {
    std::atomic<bool> begun{false};
    std::uint64_t number = 0;
    boot_time begun_at{};
    planning_facts facts;
    std::shared_ptr<plan_book> book;
    std::optional<finished_plan> plan;
  };
  planner_actor::pointer self;
  node_context* node = nullptr;
  std::shared_ptr<plan_book> book = std::make_shared<plan_book>(); // null: a job has it
  std::shared_ptr<plan_job> away;
  std::shared_ptr<const finished_plan> last; // null: none yet
  std::shared_ptr<const plan_book> shown = std::make_shared<const plan_book>(); // as of the last plan
  boot_time next_at{};
  std::uint64_t next_job = 1;
  const char* name = "planner";

private:
  planning_facts gather() const;
  void carry_out(finished_plan& plan, const settings& wanted);
};

caf::actor spawn_planner(caf::actor_system& system, node_context* node);
planner_actor::behavior_type planner(planner_actor::stateful_pointer<planner_state> self, node_context* node);

} // namespace gnomon::actors
