// Which settings a node runs with: generations of the configuration, numbered from 1 at the start. `wanted` is the newest
// one that was accepted; `in_force` the newest one that the registry has carried out in every volume. They differ while
// that is under way, or while something keeps it from being done. And the desk where others ask the main thread, which
// owns the configuration's file, to read it again. Values and one bounded queue; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "actors/protocol/volume_messages.hpp"
#include "config/clock.hpp"
#include "config/error.hpp"

namespace gnomon::actors {

inline constexpr std::size_t reload_requests_max = 16;
inline constexpr std::chrono::seconds reload_patience{20}; // how long an answer waits for the settings to be in force
inline constexpr std::chrono::seconds settings_late{5};    // settings that are not in force after this are a problem

struct configuration_state {
  std::uint64_t wanted = 0, in_force = 0;
  boot_time wanted_since{};
  std::vector<std::string> waiting;  // changes that wait for a restart, or are never followed
  std::vector<std::string> warnings; // keys that do nothing
  std::string file_refused;          // why the file was refused when it was read last; empty: it was not
};

struct reload_request {
  reload_mode mode = reload_mode::follow;
  std::function<void(result<reload_report>)> answer; // from the main thread, once
};

class reload_desk {
public:
  // The main thread takes requests from now on; `wake` makes it look. Before the first actor.
  void open(std::function<void()> wake) {
    std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  // busy; unavailable: nobody takes requests (--nbd-stdio, tests).
  result<void> ask(reload_request request) {
    std::function<void()> wake;
    {
      std::lock_guard lock(mutex_);
      if (!wake_)
        return fail(errc::unavailable, "this node rereads no configuration");
      if (requests_.size() >= reload_requests_max)
        return fail(errc::busy, "the configuration is being reread already; try again");
      requests_.push_back(std::move(request));
      wake = wake_;
    }
    wake();
    return {};
  }
  std::vector<reload_request> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }

private:
  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<reload_request> requests_;
};

} // namespace gnomon::actors
