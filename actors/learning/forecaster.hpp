// The forecaster actor of one volume, or (without one) of the node and its instances. It decides when to fit: in the
// background when `forecast.refit_every` has passed and there was load since the last fit, volumes of critical
// instances first, idle volumes now and then; at once when a person asks and the last forecast is old. Fits run on
// the fit threads. What is expected of the volume's load goes to the prediction board after each fit of its requests;
// the other kinds of load follow by their recent ratio. The actor owns the latest forecasts that operators asked for and
// who waits for one; models are in the history, so a dead forecaster loses nothing.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/learning/forecast_fit.hpp"
#include "actors/learning/load_outlook.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::chrono::seconds forecast_fresh_for{30}; // a forecast that a person is given without a new fit
inline constexpr std::chrono::seconds refit_every_min{60};    // of a young volume; refit_every where that is less
inline constexpr std::chrono::minutes forecast_kept_for{10};  // since somebody asked for one
inline constexpr int idle_refit_factor = 12;                  // times refit_every, between fits of an idle volume
inline constexpr std::size_t forecasts_kept_max = 64;         // per forecaster: subjects and quantities
inline constexpr std::size_t forecast_waiting_max = 256;      // waiting requests per forecaster

struct forecaster_state {
  explicit forecaster_state(forecaster_actor::pointer self) : self(self) {}
  ~forecaster_state();
  void start(node_context* n, volume_uuid of);
  caf::result<forecast_view> forecast(const forecast_request& request);
  void tick();
  void round();
  void reload();
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message);

  // The events as the node publishes them: another pointer after each change.
  using load_events = std::shared_ptr<const std::vector<calendar_event>>;
  struct fit {
    forecast_subject subject;
    load_kind load = load_kind::requests;
    std::string key;
    load_events events;
    std::atomic<bool> begun{false}; // it runs once, however often it is submitted
    // Written by the fit thread before it says that it has ended, read by the actor after that.
    result<forecast_view> view = fail(errc::internal, "the fit broke off; the log has the reason");
    std::optional<forecasting::load_outlook> outlook; // of a volume's requests, with the other kinds by ratio
    std::vector<caf::response_promise> waiting;
    bool outlook_wanted() const { return subject.kind == subject_kind::volume && load == load_kind::requests; }
    bool urgent = false; // a client waits for it
    bool again = false;  // a second attempt, with the events that were told during the first
  };
  forecaster_actor::pointer self;
  node_context* node = nullptr;
  volume_uuid uuid;                                                   // nil: the node
  std::map<std::string, std::shared_ptr<const forecast_view>> latest; // by subject and quantity
  std::map<std::string, load_events> known_events; // what the latest forecast knew, by the same key
  std::map<std::uint64_t, std::shared_ptr<fit>> under_way;
  std::uint64_t next_fit = 1;
  boot_time fitted_at{}; // in the background
  boot_time asked_at{};
  std::chrono::seconds past_known{0}; // of a volume, at the last fit
  bool fitted_once = false;
  const char* name = "forecaster";

private:
  void fit_after(std::chrono::seconds age);
  result<forecast_subject> subject_of(const forecast_request& request) const;
  result<void> submit(const std::shared_ptr<fit>& job, std::uint64_t number, background_pool::urgency level,
                      std::chrono::seconds model_age_max);
  std::shared_ptr<fit> begin(const forecast_subject& subject, load_kind load, background_pool::urgency level,
                             std::chrono::seconds model_age_max);
};

// `uuid` nil: the node's own.
caf::actor spawn_forecaster(caf::actor_system& system, node_context* node, volume_uuid uuid);
forecaster_actor::behavior_type forecaster(forecaster_actor::stateful_pointer<forecaster_state> self,
                                           node_context* node, volume_uuid uuid);

} // namespace gnomon::actors
