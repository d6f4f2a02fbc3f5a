// The requests of one actor that wait for work on another thread: the work's callback may come on any thread and ends
// in a message `completed`, which answers the request in the actor. What still waits when the actor goes is answered
// `unavailable`. Owned by an actor's state; every member but the callbacks runs in that actor.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"

namespace gnomon::actors {

inline constexpr std::size_t work_replies_max = 1024;

template <class Actor>
class work_replies {
public:
  explicit work_replies(typename Actor::pointer self) : self_(self) {}
  ~work_replies() {
    for (auto& [operation, waiting] : waiting_)
      waiting.refuse({errc::unavailable, "the actor was restarted; the work goes on: look at its outcome", 0});
  }

  bool full() const noexcept { return waiting_.size() >= work_replies_max; }
  std::size_t size() const noexcept { return waiting_.size(); }

  // `start(done)` begins the work; `map` turns its outcome into the reply, in the actor.
  template <class Reply, class T, class Start, class Map>
  caf::result<Reply> run(Start start, Map map) {
    if (full())
      return to_caf({errc::limit_reached, "too many requests wait already", 0});
    auto promise = self_->template make_response_promise<Reply>();
    const auto box = std::make_shared<std::optional<result<T>>>();
    const auto operation = next_++;
    waiting_.emplace(operation, waiting{[box, promise, map]() mutable {
                                          if (!**box)
                                            promise.deliver(to_caf((*box)->error()));
                                          else
                                            promise.deliver(map(***box));
                                        },
                                        [promise](const error& why) mutable { promise.deliver(to_caf(why)); }});
    start([box, to = self_->address(), operation](result<T> outcome) {
      *box = std::move(outcome);
      if (const auto strong = caf::actor_cast<Actor>(to))
        caf::anon_send(strong, atom::completed_v, snapshot_completion{operation});
    });
    return caf::delegated<Reply>{};
  }
  template <class Reply, class Start>
  caf::result<Reply> run(Start start) {
    return run<Reply, Reply>(std::move(start), [](const Reply& reply) { return reply; });
  }

  void complete(const snapshot_completion& done) {
    const auto found = waiting_.find(done.operation);
    if (found == waiting_.end())
      return;
    auto one = std::move(found->second);
    waiting_.erase(found);
    one.answer();
  }

private:
  struct waiting {
    std::function<void()> answer;
    std::function<void(const error&)> refuse;
  };
  typename Actor::pointer self_;
  std::unordered_map<std::uint64_t, waiting> waiting_;
  std::uint64_t next_ = 1;
};

} // namespace gnomon::actors
