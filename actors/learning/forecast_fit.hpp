// From a subject's history to the forecast that operators see: chooses the grid, has the ensemble learn (or takes the saved
// model), and describes the outcome with windows, bursts and the backtest's scores. Reads and computes for tens of
// milliseconds: fit threads only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "actors/protocol/learning_messages.hpp"
#include "config/clock.hpp"
#include "config/error.hpp"
#include "forecasting/ensemble/event_effects.hpp"
#include "forecasting/series/grid.hpp"
#include "store/history/history.hpp"

namespace gnomon::actors {

inline constexpr std::uint32_t forecast_model_blob_version = 1;

// Whose load: volumes, wholly or one instance's part.
struct forecast_subject {
  struct source {
    volume_uuid volume;
    std::optional<store::instance_index> instance; // none: all of the volume
  };
  subject_kind kind = subject_kind::volume;
  std::string name;   // as operators know it
  std::string object; // under which the history keeps its models: a uuid, "node", "instance/web-1"
  std::vector<source> sources;
  std::vector<std::chrono::seconds> horizons;
  forecasting::event_subject concerns; // which events matter
};

// How old a saved model may be to be served instead of a new one; 0: none is.
struct forecast_freshness {
  std::chrono::seconds model_age_max{0};
};

// The past load on an even grid: slots of 10 s while there are two hours of it, of a minute up to a day and a half,
// of five minutes beyond (two weeks at most). Ends with the last whole slot before `now`; slots without requests are
// 0. Empty where nothing ever happened.
result<forecasting::grid> past_load(const store::history& history, const forecast_subject& subject, load_kind load,
                                    wall_time now);

// Never fails on data; errors are those of reading the history. A model that was learned is saved.
result<forecast_view> make_forecast(store::history& history, const forecast_subject& subject, load_kind load,
                                    const std::vector<forecasting::load_event>& events, wall_time now,
                                    forecast_freshness freshness);

} // namespace gnomon::actors
