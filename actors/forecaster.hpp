// The forecaster actor of one volume, or (without one) of the node and its instances. It decides when to fit: in the
// background when there was load since the last fit and `forecast.refit_every` has passed, volumes of critical
// instances first; at once when a person asks and the last forecast is old. Fits run on the fit threads. It owns the
// latest forecasts and who waits for one; models are in the history, so a dead forecaster loses nothing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/fit_pool.hpp"
#include "actors/forecast_fit.hpp"
#include "actors/node_context.hpp"
#include "actors/protocol.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds forecast_fresh_for{30}; // a forecast that a person is given without a new fit
inline constexpr std::size_t forecasts_kept_max = 64;         // per forecaster: subjects and quantities
inline constexpr std::size_t forecast_waiting_max = 256;      // people who wait, per forecaster

struct forecaster_state {
  explicit forecaster_state(forecaster_actor::pointer self) : self(self) {}
  ~forecaster_state();
  void start(node_context* n, volume_uuid of);
  caf::result<forecast_view> forecast(const forecast_request& request);
  void tick();
  void reload();
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  struct fit {
    result<forecast_view> view = fail(errc::internal, "not fitted");
    std::string key;
    std::vector<caf::response_promise> waiting;
  };
  forecaster_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;                                                   // nil: the node
  std::map<std::string, std::shared_ptr<const forecast_view>> latest; // by subject and quantity
  std::map<std::uint64_t, std::shared_ptr<fit>> under_way;
  std::uint64_t next_fit = 1;
  boot_time fitted_at{}; // in the background
  bool fitted_once = false;
  const char* name = "forecaster";

private:
  result<forecast_subject> subject_of(const forecast_request& request) const;
  std::shared_ptr<fit> begin(const forecast_subject& subject, load_kind load, fit_pool::urgency level,
                             std::chrono::seconds model_age_max);
};

// `uuid` nil: the node's own.
caf::actor spawn_forecaster(caf::actor_system& system, node_context* node, volume_uuid uuid);
forecaster_actor::behavior_type forecaster(forecaster_actor::stateful_pointer<forecaster_state> self,
                                           node_context* node, volume_uuid uuid);

} // namespace gnomon::actors
