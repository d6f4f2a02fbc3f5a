// The forecaster actor of one volume, or (without one) of the node and its instances. It decides when to fit: in the
// background when there was load since the last fit and `forecast.refit_every` has passed, volumes of critical
// instances first; at once when a person asks and the last forecast is old. Fits run on the fit threads. It owns the
// latest forecasts and who waits for one; models are in the history, so a dead forecaster loses nothing.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/learning/forecast_fit.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"

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

  // The told events as the node publishes them: another pointer after each change.
  using told_events = std::shared_ptr<const std::vector<calendar_event>>;
  struct fit {
    forecast_subject subject;
    load_kind load = load_kind::requests;
    std::string key;
    told_events events;
    std::atomic<bool> begun{false}; // it runs once, however often it is submitted
    // Written by the fit thread before it says that it has ended, read by the actor after that.
    result<forecast_view> view = fail(errc::internal, "the fit broke off; the log has the reason");
    std::vector<caf::response_promise> waiting;
    bool urgent = false; // submitted for people
    bool again = false;  // a second attempt, with the events that were told during the first
  };
  forecaster_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;                                                   // nil: the node
  std::map<std::string, std::shared_ptr<const forecast_view>> latest; // by subject and quantity
  std::map<std::string, told_events> known_events; // what the latest forecast knew, by the same key
  std::map<std::uint64_t, std::shared_ptr<fit>> under_way;
  std::uint64_t next_fit = 1;
  boot_time fitted_at{}; // in the background
  bool fitted_once = false;
  const char* name = "forecaster";

private:
  result<forecast_subject> subject_of(const forecast_request& request) const;
  result<void> submit(const std::shared_ptr<fit>& job, std::uint64_t number, fit_pool::urgency level,
                      std::chrono::seconds model_age_max);
  std::shared_ptr<fit> begin(const forecast_subject& subject, load_kind load, fit_pool::urgency level,
                             std::chrono::seconds model_age_max);
};

// `uuid` nil: the node's own.
caf::actor spawn_forecaster(caf::actor_system& system, node_context* node, volume_uuid uuid);
forecaster_actor::behavior_type forecaster(forecaster_actor::stateful_pointer<forecaster_state> self,
                                           node_context* node, volume_uuid uuid);

} // namespace gnomon::actors
