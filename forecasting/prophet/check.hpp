// Is this a model that can be fitted, and are these covariates its? One place for every refusal of options and
// covariates. Internal to forecasting/. Pure functions; any thread.
#pragma once

#include "config/error.hpp"
#include "forecasting/prophet/prophet.hpp"

namespace gnomon::forecasting {

// errc::invalid_argument with the name of the option, what it is and what it may be.
result<void> check(const prophet_options& options);

// `rows` times are to be fitted or predicted. `capacity_required`: logistic growth and no value remembered.
enum class capacity_need { none, optional, required };
result<void> check(const covariates& known, const prophet_options& options, arma::uword rows, capacity_need capacity);

} // namespace gnomon::forecasting
