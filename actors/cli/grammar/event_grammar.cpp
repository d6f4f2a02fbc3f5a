#include "actors/cli/grammar/event_grammar.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "actors/runtime/ask.hpp"
#include "config/times.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {

// What is wrong with a word is a usage error.
template <class Take>
CLI::Option* add_option(CLI::App& app, const char* name, const char* type, const char* what, Take take) {
  const auto read = [take](const CLI::results_t& words) {
    if (const auto taken = take(words.at(0)); !taken)
      throw CLI::ValidationError(taken.error().message);
    return true;
  };
  return app.add_option(name, read, what)->type_name(type)->expected(1);
}
} // namespace

void event_grammar::add_targets(CLI::App& add) {
  auto* target = add.add_option_group("target", "whose load it changes; exactly one");
  target->add_option("--volume", volume_, "one volume's")->type_name("NAME");
  target->add_option("--instance", instance_, "that of all volumes of one instance")->type_name("ID");
  target->add_option("--application", application_, "that of all instances of one application")->type_name("NAME");
  target->add_flag("--everything", everything_, "the whole node's");
  target->require_option(1);
}

void event_grammar::add_to(CLI::App& event, command& what) {
  event.require_subcommand(1);
  auto* add = event.add_subcommand("add", "tell of a deployment, a scaling action, a batch job: past or planned");
  add->add_option("--type", type_, "any text; equal text means equal effect")->required()->type_name("TYPE");
  add_targets(*add);
  add_option(*add, "--start", "WHEN", "2026-11-30T22:00:00Z, now, \"in 2h\", \"2h ago\"", [this](const auto& text) {
    return parse_time(text, system_clock_source().wall_now()).map([this](wall_time start) {
      add_.event.start_us = to_microseconds(start);
    });
  })->required();
  add_option(*add, "--duration", "DURATION", "how long it lasts, such as 10m; 0s: an instant",
             [this](const auto& text) {
               return parse_duration(text).map([this](auto duration) { add_.event.duration_us = duration.count(); });
             })
      ->required();
  auto* to = add->add_option("--to", to_, "types scale_out and move: the node to which instances come")->type_name("NODE");
  add->add_option("--instances", instances_, "type scale_out: how many more of the application")->type_name("N")->needs(to);
  add->add_option("--note", add_.event.note, "shown to operators")->type_name("TEXT");
  add->callback([this, &what] {
    auto& e = add_.event;
    e.type = type_;
    e.scope = everything_          ? event_scope::everything
              : !volume_.empty()   ? event_scope::volume
              : !instance_.empty() ? event_scope::instance
                                   : event_scope::application;
    e.target = volume_ + instance_ + application_;
    if (!to_.empty()) {
      if (type_ != scale_out_event && type_ != move_event)
        throw CLI::ValidationError("event add: --to is for the types scale_out and move");
      e.note = note_of_order({type_ == move_event, node_name{to_}, instances_}, e.note);
    }
    if (const auto good = check_event(e.to_notice()); !good)
      throw CLI::ValidationError("event add: " + good.error().message);
    what = add_;
  });
  auto* ls = event.add_subcommand("ls", "all events");
  auto* past = ls->add_flag("--past", past_, "those that are over");
  ls->add_flag("--planned", planned_, "those that are not over")->excludes(past);
  ls->callback([this, &what] {
    ls_.when = past_ ? event_when::past : planned_ ? event_when::planned : event_when::all;
    what = ls_;
  });
  auto* rm = event.add_subcommand("rm", "forget an event: it was not so, or will not be");
  add_option(*rm, "ID", "", "as `event ls` lists it", [this](const auto& text) {
    return parse_number(text, "ID").map([this](std::uint64_t id) { rm_.id = event_id{id}; });
  })->required();
  rm->callback([this, &what] { what = rm_; });
}

} // namespace gnomon::actors::cli
