// What is told from outside - a deployment, a scaling action, a batch job - and what it does to the load, learned
// from its past occurrences. Pure functions on values: any thread, no clock, no I/O.
#pragma once

#include <string>
#include <vector>

#include <armadillo>

#include "forecasting/ensemble/methods.hpp"
#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t event_kinds_max = 32;        // learned per series; the most frequent ones are kept
inline constexpr std::size_t learned_events_max = 10'000; // per series, newest kept

enum class event_target { volume, instance, application, everything };

// An event as an operator or a deployment system tells it; past or planned.
struct load_event {
  std::string type; // "deployment", "scaling", "batch", ...: free text, equal text means equal effect
  event_target target = event_target::everything;
  std::string target_name; // of the volume, instance or application; empty for everything
  double start_seconds = 0;
  double duration_seconds = 0;
};

// Whose load is forecast, and so which events concern it.
struct event_subject {
  std::string volume;
  std::vector<std::string> instances;    // that attach it
  std::vector<std::string> applications; // that run on them
};

// Those that concern the subject, as events whose kind is the type, sorted by start.
std::vector<event> events_for(const std::vector<load_event>& events, const event_subject& subject);

// What one kind of event adds to the log load while it lasts: load is multiplied by about exp(effect).
struct event_effect {
  std::string kind;
  double effect = 0;
  double slots_seen = 0; // observed slots it was learned from; 0: nothing known, effect 0
};

// Learns the effects by Prophet's model with one indicator per kind, shrunk towards 0 where little was seen:
// n / (n + 2). Kinds without an observed past occurrence have effect 0. Empty on no events.
std::vector<event_effect> learn_effects(const method_input& past, const std::vector<event>& events,
                                        const std::vector<detected_period>& periods);

// The sum of the effects in force in each of `slots` slots from `first_seconds` on: an event counts in a slot by the
// share of the slot it covers (an instant counts as a whole slot).
arma::vec effect_path(const std::vector<event_effect>& effects, const std::vector<event>& events,
                      double first_seconds, double step_seconds, arma::uword slots);

} // namespace gnomon::forecasting
