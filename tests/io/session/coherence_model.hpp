// A home, its gateways and their clients around the shipped session code, one step at a time: every message, every
// I/O step and every clock is the scheduler's to order, delay, lose, pause or crash. Nothing here is a socket or a
// thread.
//
// Per granule the home's applications of writes are one order; each has an index. A read is right when its index is
// at least that of everything that was answered before it began. A change must not be applied after its session's
// successor has opened at its gateway.
#pragma once

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/session/gateway.hpp"
#include "io/session/home.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io::session::simulated {

using gnomon::io::test::random_source;

inline const volume_uuid model_volume = [] {
  volume_uuid u;
  u.bytes[0] = 7;
  return u;
}();

struct model_counters {
  std::uint64_t steps = 0, reads = 0, shadow_reads = 0, torn_reads = 0, writes = 0, waits = 0, fills = 0,
                valid_fills = 0, void_fills = 0, drops = 0, sessions = 0, crashes = 0, pauses = 0, failed_changes = 0, later = 0;
};

class model {
public:
  static constexpr std::uint64_t granules = 4;
  static constexpr std::size_t operations_max = 12;
  static constexpr nanoseconds lease_now = std::chrono::milliseconds{200};

  model(std::uint64_t seed, std::size_t gateway_count, model_counters& counters)
      : random_(seed), counters_(counters), gateways_(gateway_count), twins_(seed % 5 == 0), mute_(seed % 7 == 0) {
    home_.rate = clock_rate();
    start_home();
    for (auto& g : gateways_) {
      g.rate = clock_rate();
      g.offset = static_cast<std::int64_t>(random_.below(1'000'000'000));
      start_gateway(g);
    }
  }

  // Empty: nothing wrong in so many steps, and afterwards everything came to its end.
  std::string run(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps && wrong_.empty(); ++i)
      step();
    if (wrong_.empty())
      finish();
    return wrong_;
  }

private:
  struct stream {
    std::deque<frame> to_home, to_gateway;
    bool cut = false;
    std::int64_t to_home_from = 0, to_gateway_from = 0; // it stalls until then; data connections overtake it
    std::int64_t gateway_notices_at = 0;
    bool gateway_end = true, home_end = true; // that end still has it
    home_side::conversation talk;
  };
  struct file_granule {
    std::uint64_t index = 0;
    unsigned writers = 0;
  };
  struct gateway {
    double rate = 1;
    std::int64_t offset = 0;
    bool up = false;
    std::int64_t paused_until = 0;
    start_id start;
    std::unique_ptr<gateway_session> session;
    std::shared_ptr<gateway_shadow> shadow;
    std::array<file_granule, granules> file{};
    std::shared_ptr<stream> line;
    boot_time last_tick{};
    bool shadowed = false;
  };
  struct home {
    double rate = 1;
    bool up = false;
    std::int64_t paused_until = 0;
    std::uint64_t incarnation = 0;
    std::unique_ptr<home_side> side;
    nanoseconds lease = lease_now;
    nanoseconds longest = lease_now; // on record
    bool shadowed = false;           // on record
    std::array<std::uint64_t, granules> data{};
    std::array<int, granules> gate{}; // > 0: shared holders, -1: exclusive
  };
  enum class kind { read, write, fill };
  enum class at {
    begin,
    look_at_shadow,
    read_shadow,
    recheck,
    forward,
    to_home,
    home_enter,
    home_gate,
    home_look,
    parked,
    home_apply,
    home_read,
    home_release,
    lost,
    to_gateway,
    file_begin,
    file_end,
    done
  };
  struct operation {
    kind what = kind::read;
    at stage = at::begin;
    std::size_t node = 0; // gateway; gateways_.size(): a client of the home
    std::uint64_t granule = 0, least = 0, index = 0;
    bool torn = false, gone = false; // gone: its gateway has forgotten it
    session_id session;
    start_id start;
    std::uint64_t home_incarnation = 0;
    std::shared_ptr<gateway_shadow> shadow;
    gateway_shadow::read_ticket ticket;
    gateway_shadow::fill_ticket fill;
    bool own = false, gated = false, refused = false, applied = false;
    change c;
  };

  double clock_rate() { return 0.976 + static_cast<double>(random_.below(48)) / 1000.0; } // pairs within 5 %
  boot_time clock_of(const gateway& g) const {
    return boot_time{nanoseconds{g.offset + static_cast<std::int64_t>(static_cast<double>(now_) * g.rate)}};
  }
  boot_time home_clock() const {
    return boot_time{nanoseconds{static_cast<std::int64_t>(static_cast<double>(now_) * home_.rate)}};
  }
  static proof prove(std::span<const std::byte> bytes) {
    proof p{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
      p[i % p.size()] =
          static_cast<std::byte>(static_cast<unsigned>(p[i % p.size()]) * 31u + static_cast<unsigned>(bytes[i]));
    return p;
  }
  bool at_home(const operation& o) const { return o.stage >= at::home_enter && o.stage <= at::home_release; }
  bool home_runs() const { return home_.up && home_.paused_until <= now_; }
  bool runs(const gateway& g) const { return g.up && g.paused_until <= now_; }

  void start_home();
  void crash_home();
  void start_gateway(gateway& g);
  void drop_or_add_shadow(std::size_t i);
  void crash_gateway(std::size_t i);
  void close_line(gateway& g);
  void session_over(std::size_t i);
  void connect(gateway& g);
  void deliver_to_home(std::shared_ptr<stream> line);
  void deliver_to_gateway(std::size_t i);
  void pump_home();
  void pump_gateway(gateway& g);
  void cut(stream& line);
  void tick_gateway(std::size_t i);
  void step();
  void disturb();
  void begin_operation();
  void advance(operation& o);
  void advance_at_gateway(operation& o, gateway& g);
  void advance_at_home(operation& o);
  void forward(operation& o);
  void leave_home(operation& o);
  void lose(operation& o);
  void complete_read(operation& o);
  void reply_arrived(operation& o);
  void finish();
  std::string describe() const;

  random_source random_;
  model_counters& counters_;
  std::int64_t now_ = 1'000'000'000;
  std::uint64_t starts_ = 0;
  home home_;
  std::vector<gateway> gateways_;
  std::vector<std::shared_ptr<stream>> lines_;
  std::list<operation> operations_;
  std::array<std::uint64_t, granules> answered_{};
  std::string wrong_;
  const bool twins_;  // all gateways bear one name: starts of a node that live at once
  const bool mute_;   // the first gateway acknowledges nothing
  bool calm_ = false; // finishing: no new operations, no faults
};

} // namespace gnomon::io::session::simulated

#include "tests/io/session/coherence_model_steps.hpp"
