// The gateway's half of a session: its lease, and the shadows that are coherent because of it. Pure: no I/O, the
// clock is a parameter. One thread (the ring that owns the stream) calls everything but what is marked "any thread".
//
//          connected        challenge, proof good      opened             renewed
//   idle ────────────► greeting ────────────► proving ───────► open ◄──────────────┐
//     ▲                    │                     │              │ renew each second │
//     └────────────────────┴──── broken, refused, lease over ───┴───────────────────┘
//
// Leaving `open` gives the lease up first: no shadow is served, and every fill under way is void, before another
// hello or a goodbye leaves. A shadow is served again when its directory has arrived in the new session.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "io/session/frame.hpp"
#include "io/session/granule_word.hpp"

namespace gnomon::io::session {

using clock_function = boot_time (*)(void* context);
// The proof of the shared secret over these bytes.
using prove_function = std::function<proof(std::span<const std::byte>)>;

// What both ends prove to each other: role, both starts, both salts, both names.
enum class role : std::uint8_t { gateway, home, data };
std::vector<std::byte> transcript(role who, const frame& hello, const frame& challenge, session_id session);

// Until when the gateway may serve. Written by the session's thread, read by any.
class lease {
public:
  bool holds(boot_time now) const noexcept {
    return now.time_since_epoch().count() < until_.load(std::memory_order_acquire);
  }
  boot_time until() const noexcept { return boot_time{nanoseconds{until_.load(std::memory_order_acquire)}}; }
  void extend(boot_time until) noexcept {
    const auto ns = until.time_since_epoch().count();
    if (ns > until_.load(std::memory_order_relaxed))
      until_.store(ns, std::memory_order_release);
  }
  void give_up() noexcept { until_.store(0, std::memory_order_release); }

private:
  std::atomic<std::int64_t> until_{0}; // ns of CLOCK_BOOTTIME
};

// One volume's shadow: which granules of its file are current.
class gateway_shadow {
public:
  static constexpr std::uint32_t fills_max = 64; // under way at once

  gateway_shadow(volume_uuid volume, std::uint64_t granules, std::shared_ptr<const lease> held)
      : volume_(volume), granules_(granules), lease_(std::move(held)),
        words_(std::make_unique<granule_word[]>(granules)) {}

  const volume_uuid& volume() const noexcept { return volume_; }
  std::uint64_t granules() const noexcept { return granules_; }

  // --- any thread
  struct read_ticket {
    std::uint64_t versions = 0; // summed over the run
  };
  enum class refusal : std::uint8_t { none, not_serving, no_lease, not_valid };
  struct looked {
    refusal why = refusal::none;
    read_ticket ticket;
  };
  // May `run` be read from the shadow file? The clock is read inside, after the request has come.
  looked begin_read(granule_run run, clock_function clock, void* context) const noexcept;
  // Whether what was read since is one valid state of the run; else the read goes to the home.
  bool still_valid(granule_run run, read_ticket ticket) const noexcept;
  // Around forwarding a write, trim or zeroing of this gateway's clients. False: too many at once, nothing is begun.
  [[nodiscard]] bool begin_own_write(granule_run run) noexcept;
  void end_own_write(granule_run run) noexcept;
  bool valid(granule_index g) const noexcept { return words_[g.value].valid(); }
  std::uint64_t valid_granules() const noexcept { return valid_count_.load(std::memory_order_relaxed); }
  bool serving() const noexcept { return serving_.load(std::memory_order_acquire); }

  // --- the session's thread
  struct fill_ticket {
    granule_index granule;
    std::uint64_t version = 0;
    std::uint64_t epoch = 0;
  };
  // Nothing: not now (no directory yet, valid, written by own clients, a fill under way, fills_max).
  std::optional<fill_ticket> begin_fill(granule_index g) noexcept;
  // After the write to the shadow file has ended, or there was none. True: valid now.
  bool end_fill(fill_ticket t, granule_word::fill_result how) noexcept;
  std::uint32_t fills_under_way() const noexcept { return fills_; }

  void invalidate(granule_run run) noexcept;
  void keep_only(const frame& directory_piece) noexcept;
  void serve() noexcept { serving_.store(true, std::memory_order_release); }
  void stop_serving() noexcept; // and void what is being filled

private:
  const volume_uuid volume_;
  const std::uint64_t granules_;
  const std::shared_ptr<const lease> lease_;
  std::unique_ptr<granule_word[]> words_;
  std::atomic<bool> serving_{false};
  std::atomic<std::uint64_t> valid_count_{0}; // ever filled, not exact after invalidations of other threads
  std::uint64_t epoch_ = 0;
  std::uint32_t fills_ = 0;
};

struct gateway_options {
  node_name self;
  start_id start;
  node_name home; // that is expected to answer
  nanoseconds renew_every = std::chrono::seconds{1};
  nanoseconds answer_patience = std::chrono::seconds{10}; // until a session is open
  prove_function prove;
};

class gateway_session {
public:
  static constexpr std::size_t questions_max = 64; // renewals without an answer

  enum class state : std::uint8_t { idle, greeting, proving, open };

  explicit gateway_session(gateway_options options);

  // --- the stream. Frames to send are collected; take them after each call.
  void connected(const nonce& salt, boot_time now);
  // An error ends the stream: call broken() and close it.
  result<void> receive(const frame& f, boot_time now);
  void broken();
  // Renews what is due. False: the lease has run out; the session is over, close the stream and connect again.
  [[nodiscard]] bool tick(boot_time now);
  void say_goodbye();
  std::vector<frame> take_outgoing();

  // --- shadows. add: from now on announced in every session. drop: stops serving at once; the object may go when no
  // fill is under way.
  void add(std::shared_ptr<gateway_shadow> shadow);
  void drop(const volume_uuid& volume);
  std::shared_ptr<gateway_shadow> find(const volume_uuid& volume) const;
  // Why the home would not have it; empty: it has not refused it.
  std::string refusal(const volume_uuid& volume) const;
  // The home serves this volume (now): what it refused before is asked for once more.
  void volume_served(const volume_uuid& volume);

  state now_in() const noexcept { return state_; }
  session_id current() const noexcept { return session_; } // 0 unless open
  const proof& data_proof() const noexcept { return data_proof_; }
  const std::string& data_address() const noexcept { return data_address_; } // as the home told it
  start_id home_start() const noexcept { return home_start_; }
  std::shared_ptr<const lease> held() const noexcept { return lease_; } // any thread may ask it
  std::uint64_t invalidations() const noexcept { return invalidations_; }

private:
  struct question {
    std::uint64_t number;
    boot_time asked;
  };

  // Each time a shadow is announced it gets a new number; what the home says of an earlier one is passed over.
  struct announced_shadow {
    std::shared_ptr<gateway_shadow> shadow;
    std::uint64_t number = 0;
    std::string refusal; // empty: not refused
  };

  void end();
  void ask(boot_time now);
  void announce(announced_shadow& one);
  announced_shadow* meant_by(const frame& f);
  result<void> opened(const frame& f, boot_time now);

  gateway_options options_;
  state state_ = state::idle;
  session_id session_;
  start_id home_start_;
  frame hello_, challenge_;
  proof data_proof_{};
  std::string data_address_;
  std::shared_ptr<lease> lease_ = std::make_shared<lease>();
  bool was_leased_ = false;
  boot_time opened_at_{}, asked_at_{};
  nanoseconds granted_{0};
  std::uint64_t next_question_ = 1;
  std::deque<question> questions_;
  std::map<volume_uuid, announced_shadow> shadows_;
  std::uint64_t announced_ = 0; // the last number
  std::vector<frame> outgoing_;
  std::uint64_t invalidations_ = 0;
};

} // namespace gnomon::io::session
