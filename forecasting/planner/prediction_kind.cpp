#include "forecasting/planner/prediction_kind.hpp"

namespace gnomon::forecasting {

std::string_view to_string(prediction_kind kind) noexcept {
  switch (kind) {
  case prediction_kind::demand:
    return "demand";
  case prediction_kind::run:
    return "run";
  case prediction_kind::recurring:
    return "recurring";
  case prediction_kind::event:
    return "event";
  }
  return "?";
}

} // namespace gnomon::forecasting
