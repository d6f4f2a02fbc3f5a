// One or several connections to one NBD export (libnbd), driven by the calling thread: submit without waiting, then
// wait for completions. The only file that knows libnbd. One thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "actors/cli/replay/replay_plan.hpp"

namespace gnomon::actors::cli {

using monotonic = std::chrono::steady_clock;

class nbd_link {
public:
  struct completion {
    std::uint32_t slot = 0;
    int error = 0; // the errno the server gave; 0: done
    monotonic::time_point finished;
  };

  // unavailable: nobody there, or no such export; unsupported: several connections to an export that does not promise
  // that they agree (multi-conn).
  static result<std::unique_ptr<nbd_link>> connect(const std::string& uri, std::uint32_t connections,
                                                   std::uint32_t slots);
  ~nbd_link();
  nbd_link(const nbd_link&) = delete;

  const export_facts& facts() const noexcept { return facts_; }
  // Sends on the connection with the fewest requests. `slot` (below `slots`, not in use) comes back in the
  // completion; `buffer` is read or filled until then. unavailable: the connection is lost.
  result<void> submit(std::uint32_t slot, const planned_request& request, unsigned char* buffer);
  // Waits until something has completed, at most `patience`, and appends it. unavailable: a connection is lost.
  result<void> wait(std::chrono::nanoseconds patience, std::vector<completion>& done);

private:
  struct connection;
  struct pending;
  nbd_link();
  result<void> open(const std::string& uri);
  tl::unexpected<error> lost(const connection& c) const;

  std::string uri_;
  export_facts facts_;
  std::vector<std::unique_ptr<connection>> connections_;
  std::vector<pending> pending_;
  std::vector<completion> done_;
};

} // namespace gnomon::actors::cli
