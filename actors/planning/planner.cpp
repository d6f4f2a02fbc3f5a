#include "actors/planning/planner.hpp"

#include <map>
#include <set>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/planning/plan_view.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/instance_summary.hpp"
#include "config/log.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb planner_verbs[] = {{"plan [json]", "the last plan, its mode, and when the next one is made"},
                                      {"why OBJECT [json]", "what was decided about a volume or a node, and why"},
                                      {"dump", "the last plan's input, for `gnomon simulate --plan`"}};
constexpr std::chrono::milliseconds planner_looks_every{100};
constexpr std::size_t planner_readers_max = 65'536;

// Three plans and a moment, since a busy node plans late: then the other node forgets them.
std::chrono::milliseconds announcement_stands_for(const settings& wanted) {
  return 3 * wanted.planner.every + std::chrono::seconds{10};
}

// Tells the actor that its job has ended, however it ends.
class end_of_plan {
public:
  end_of_plan(caf::actor_addr to, std::uint64_t number) : to_(std::move(to)), number_(number) {}
  end_of_plan(const end_of_plan&) = delete;
  ~end_of_plan() {
    if (const auto strong = caf::actor_cast<planner_actor>(to_))
      caf::anon_send(strong, atom::fitted_v, fit_completion{number_});
  }

private:
  caf::actor_addr to_;
  std::uint64_t number_;
};

void add_readers(const node_context& node, planning_facts& facts) {
  std::set<std::pair<volume_uuid, instance_id>> readers;
  for (const auto& c : node.engine->connections())
    readers.insert({c.volume, c.instance});
  for (const auto& d : facts.demand)
    if (readers.size() < planner_readers_max)
      readers.insert({d.volume, d.instance});
  for (const auto& [volume, instance] : readers) {
    const auto known = summary_of(node, instance).metadata;
    facts.readers.push_back(
        {volume, instance, known.application, known.level, static_cast<double>(known.read_p99_us) * 1e-6});
  }
}

} // namespace

void planner_state::start(node_context* n) {
  node = n;
  next_at = node->clock->boot_now() + node->current_settings()->planner.every;
  self->delayed_send(self, planner_looks_every, atom::tick_v);
}

planning_facts planner_state::gather() const {
  planning_facts out;
  out.now_seconds = seconds_of(node->clock->wall_now());
  out.wanted = node->current_settings();
  out.board = node->predictions.board();
  out.events = node->events();
  out.remote = *node->remote_volumes();
  out.cluster = node->engine->nodes();
  out.demand = node->demand.at(out.now_seconds);
  for (const auto& record : node->catalogue->list())
    out.own.push_back({record.uuid, record.name, record.size});
  return out;
}

void planner_state::tick() {
  self->delayed_send(self, planner_looks_every, atom::tick_v);
  const auto now = node->clock->boot_now();
  const auto wanted = node->current_settings();
  if (away || now < next_at || node->fits == nullptr || node->state != node_state::serving)
    return;
  next_at = now + wanted->planner.every;
  node->demand.set_half_life(std::chrono::duration<double>(wanted->planner.demand_half_life).count());
  if (node->remote_volumes()->empty() && wanted->cluster.peers.empty())
    return; // alone: there is nothing to plan
  const auto job = std::make_shared<plan_job>();
  job->number = next_job++;
  job->facts = gather();
  job->book = std::move(book);
  job->begun_at = now;
  const auto work = [job, node = node, to = self->address()] {
    if (job->begun.exchange(true))
      return;
    const end_of_plan tell(to, job->number);
    add_readers(*node, job->facts);
    auto made = job->book->plan(job->facts);
    made.took_seconds = std::chrono::duration<double>(node->clock->boot_now() - job->begun_at).count();
    job->plan = std::move(made);
  };
  if (const auto sent = node->fits->submit({"plan", background_pool::urgency::critical, work}); !sent) {
    book = std::move(job->book); // the next tick tries again
    return;
  }
  away = job;
}

void planner_state::fitted(const fit_completion& done) {
  if (!away || done.job != away->number)
    return;
  const auto job = std::exchange(away, nullptr);
  book = std::move(job->book);
  if (!job->plan)
    return; // it broke off: the log has the reason
  carry_out(*job->plan, *job->facts.wanted);
  last = std::make_shared<const finished_plan>(std::move(*job->plan));
  shown = std::make_shared<const plan_book>(*book);
}

// On the actor's thread: the engine's members return at once, and a fit thread, which runs when nothing else does, must
// not hold its locks.
void planner_state::carry_out(finished_plan& plan, const settings& wanted) {
  if (!plan.problem.empty())
    return log::error("the planner has no plan: {}", plan.problem);
  auto* engine = node->engine;
  engine->set_copy_rate(static_cast<double>(wanted.planner.copy_rate.value));
  std::map<volume_name, planner_rule> rules;
  for (const auto& volume : wanted.volumes)
    if (volume.planner != planner_rule::act)
      rules.emplace(volume.name, volume.planner);
  engine->set_planner_rules(std::move(rules));
  book->carry_out(plan, {[engine](volume_uuid v, io::chunk_run run) { return engine->widen_shadow(v, run); },
                         [engine](volume_uuid v, io::chunk_run run) { return engine->narrow_shadow(v, run); }});
  for (auto& [volume, predicted] : plan.predictions)
    engine->predict_reads(volume, std::move(predicted));
  plan.predictions.clear();
  if (wanted.planner.mode != planner_rule::off)
    for (const auto& one : plan.announced)
      if (const auto sent = engine->announce_reads(one.to, one.reads, announcement_stands_for(wanted)); !sent)
        break; // said again with the next plan
  for (const auto& e : plan.entries)
    if (e.outcome != "advice" && !e.outcome.starts_with("waits"))
      log::info("planner: {}: {}", e.text, e.outcome);
}

result<std::string> planner_state::answer(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return tl::unexpected(parsed.error());
  if (parsed->verb == "help")
    return help_text(planner_verbs);
  plan_view view;
  view.node = node->current_settings()->node.value;
  view.mode = node->current_settings()->planner.mode;
  view.now_seconds = seconds_of(node->clock->wall_now());
  view.next_in_seconds = std::max(0.0, std::chrono::duration<double>(next_at - node->clock->boot_now()).count());
  view.last = last;
  view.book = shown;
  const auto& words = parsed->arguments;
  const bool json = !words.empty() && words.back() == "json";
  if (parsed->verb == "plan" && words.size() <= 1)
    return json ? plan_json(view) : plan_text(view);
  if (parsed->verb == "why" && (words.size() == 1 || (words.size() == 2 && json)))
    return json ? why_json(view, words[0]) : why_text(view, words[0]);
  if (parsed->verb == "dump" && words.empty())
    return dump_of(view);
  return tl::unexpected(unknown_verb(*parsed, planner_verbs).value());
}

planner_actor::behavior_type planner(planner_actor::stateful_pointer<planner_state> self, node_context* node) {
  auto* state = &self->state;
  state->start(node);
  return {
      [state](atom::report) {
        return actor_report{state->self->mailbox().size(), state->away ? "a plan is being made" : ""};
      },
      [state](atom::ask, const std::string& message) -> caf::result<std::string> {
        auto answer = state->answer(message);
        if (!answer)
          return to_caf(answer.error());
        return *std::move(answer);
      },
      [state](atom::tick) { state->tick(); },
      [state](atom::fitted, const fit_completion& done) { state->fitted(done); },
  };
}

caf::actor spawn_planner(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(planner, node));
}

} // namespace gnomon::actors
