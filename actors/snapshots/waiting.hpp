// Calls an asynchronous member of the engine or the catalogue and waits for its answer. For threads that may block;
// never in an actor, on a ring or in a callback of what is called.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "config/error.hpp"

namespace gnomon::actors {

// `call(done)` begins; `done` is called exactly once with a result<T>.
template <class T, class Call>
result<T> wait_for(Call&& call) {
  const auto promise = std::make_shared<std::promise<result<T>>>();
  auto answer = promise->get_future();
  std::forward<Call>(call)([promise](result<T> outcome) { promise->set_value(std::move(outcome)); });
  return answer.get();
}

} // namespace gnomon::actors
