// The home's half of all sessions: who may hold a lease, which node may hold which granule, which changes wait for
// whom. Pure: no I/O, the clock is a parameter. Any thread; one short mutex, never held over a call that waits.
//
// A session at the home:
//
//      hello proven            changes of the session before are over
//   ──────────────► opening ───────────────────────────────────────────► open
//                      │                                                   │ stream broken: no more renewals
//                      │   next hello of the same start, goodbye           ▼
//                      ├──────────────────────────────────────────────► ended (what still waits in it is dropped)
//                      └── the last granted lease and its margin are over ──┘
//
// A change (write, trim, zeroing) goes: enter (counted, session looked at), gate shared, look (bits). `go` holds
// until leave(); `wait` gives the count back, parks it, and the change begins again at enter when it is resumed. Its
// closing marks stand until answered(). A fill goes: gate exclusive, begin_fill (bits set), read, reply.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "io/session/frame.hpp"
#include "io/session/gateway.hpp" // transcript, prove_function
#include "io/session/planted.hpp"

namespace gnomon::io::session {

// A change of a shadowed volume, embedded in its request; alive from enter() to answered(). Only this class's owner
// and home_side touch it.
struct change {
  volume_uuid volume;
  granule_run run;
  session_id session;       // that its data connection logged in with; 0: a client of the home itself
  bool own_cleared = false; // its gateway has cleared its own granules before it forwarded
  void (*resume)(change& self) =
      nullptr; // from any thread, with home_side's mutex held: hand it over, do not call back
  void* owner = nullptr;

  // private to home_side
  bool waiting = false, marked = false, counted = false;
  change* earlier = nullptr;
  change* later = nullptr;
};

struct home_options {
  node_name self;
  start_id start;
  nanoseconds lease = std::chrono::seconds{5};
  prove_function prove;
  std::string data_address; // where this node serves block data, told to gateways
  std::function<void(session_id)>
      on_outgoing; // frames wait for this session; with the mutex held, must not call back
};

// How long a lease may be out at most by a gateway's clock, by this node's: it runs at most 5 % slower.
inline nanoseconds with_margin(nanoseconds lease) noexcept {
  return planted(fault::no_margin) ? lease * 9 / 10 : lease + lease / 10;
}

struct gateway_status {
  node_name node;
  session_id session;
  bool open = false, stream = false;
  boot_time lease_over{};
  std::uint64_t shadows = 0, outstanding = 0, invalidations = 0, granules = 0; // granules: directory bits set
};

class home_side {
public:
  static constexpr std::size_t gateways_max = 64;
  static constexpr std::size_t sessions_max = 256; // not ended, of all gateways
  static constexpr std::size_t shadows_per_gateway_max = 4096;
  static constexpr std::size_t closing_max = 1 << 18;     // granules with a closing mark
  static constexpr std::size_t outstanding_max = 1 << 16; // invalidations of one gateway without an ack
  static constexpr std::uint64_t directory_bytes_max = 1ull << 30;
  static constexpr std::size_t outgoing_max = 256; // frames taken at once

  explicit home_side(home_options options) : options_(std::move(options)) {}

  // --- the stream, from the ring that owns it. A stream is one conversation: it greets, then belongs to a session.
  struct conversation {
    std::optional<frame> hello, challenge;
    session_id session; // 0 until proven
  };
  // An error ends the stream; what `refused` says is sent first. `salt` is random.
  struct received {
    std::optional<frame> reply;               // to be sent on this stream, outside a session
    std::optional<volume_uuid> record_shadow; // add_shadow() when it is on record
    std::optional<volume_uuid> forget_shadow; // its directory is gone: it may leave the record
  };
  result<received> receive(conversation& c, const frame& f, const nonce& salt, boot_time now);
  void stream_broken(const conversation& c);
  // At most outgoing_max frames of the session, in the order in which they must leave.
  std::vector<frame> take_outgoing(session_id session);
  // Ends what is over and resumes those who waited for that. Every 50 ms or so.
  void tick(boot_time now);

  // --- shadows. The record of (volume, node) is durable before its first bit is set.
  void add_shadow(session_id session, const volume_uuid& volume, boot_time now);
  void refuse_shadow(session_id session, const volume_uuid& volume, std::string why);
  // After an unclean start: leases of at most `longest_lease` may be out on the volume's shadows, whose directory is
  // lost. Its changes wait, and no shadow of it is filled, until they are over.
  void recovered(const volume_uuid& volume, nanoseconds longest_lease, boot_time now);
  bool recovering(const volume_uuid& volume, boot_time now) const;
  bool has_shadows(const volume_uuid& volume) const;

  // Nothing waits any more: what would have to is answered `ended`.
  void stop();

  // --- data logins
  bool is_open(session_id session) const;
  bool is_alive(session_id session) const; // known, and not ended
  // Whether `proven` is what the gateway of this open session computes; its node's name then.
  std::optional<node_name> check_data_login(session_id session, const proof& proven) const;

  // --- changes and fills
  enum class verdict : std::uint8_t {
    go,
    wait,  // parked; resumed once
    ended, // its session has ended, or this node stops: drop it, unanswered
    later, // a named limit: as at any full queue
  };
  [[nodiscard]] verdict enter(change& c);               // go, ended
  [[nodiscard]] verdict look(change& c, boot_time now); // with the gate held; anything but go gives back the count
  void leave(change& c);                                // after go: the I/O is over
  void answered(change& c);                             // however it ended; not while it waits
  bool cancel(change& c);                               // gives up a wait; false: it is on its way already
  [[nodiscard]] verdict begin_fill(session_id session, const volume_uuid& volume, granule_run run, boot_time now);
  void end_fill(session_id session, const volume_uuid& volume, granule_run run); // after the read

  std::vector<gateway_status> status() const;

private:
  enum class session_state : std::uint8_t { opening, open, ended };
  struct announcement {
    std::uint64_t granules = 0, number = 0;
  };
  struct session_record {
    session_id id;
    node_name node;
    start_id start;
    frame hello, challenge;
    session_state state = session_state::opening;
    bool stream = true;
    boot_time lease_over{}; // granted, with margin
    std::uint64_t counted = 0;
    std::deque<frame> outgoing;
    std::map<volume_uuid, announcement> wanted;    // shadows on record here, not yet told their directory
    std::map<volume_uuid, announcement> announced; // shadows whose record is awaited
    std::set<volume_uuid> fillable;                // shadows that may be filled in it
    struct sent_directory {
      volume_uuid volume;
      std::uint64_t number = 0, next = 0; // of the announcement; granule
    };
    std::deque<sent_directory> directories; // being sent
  };
  struct directory {
    std::vector<std::uint64_t> bits;
    std::uint64_t granules = 0;
    bool test(std::uint64_t g) const { return g < granules && (bits[g / 64] >> (g % 64) & 1) != 0; }
    void set(std::uint64_t g) { bits[g / 64] |= std::uint64_t{1} << (g % 64); }
    void clear(std::uint64_t g) { bits[g / 64] &= ~(std::uint64_t{1} << (g % 64)); }
  };
  struct invalidation {
    std::uint64_t number;
    volume_uuid volume;
    granule_run run;
    boot_time sent;
  };
  struct position {
    volume_uuid volume;
    std::uint64_t granule;
    friend bool operator==(const position&, const position&) = default;
  };
  struct position_hash {
    std::size_t operator()(const position& p) const noexcept {
      return std::hash<volume_uuid>{}(p.volume) ^ (p.granule * 0x9e3779b97f4a7c15ull);
    }
  };
  struct gateway {
    node_name node;
    session_id owner;    // the directory's bits belong to this session's start
    session_id newcomer; // of another start: opens, but waits for the owner's lease before it shadows; 0: none
    std::map<volume_uuid, directory> directories;
    std::deque<invalidation> outstanding; // sent in the owner's session, not acknowledged
    std::unordered_set<position, position_hash> outstanding_granules;
    std::uint64_t next_number = 1;
    std::uint64_t invalidations = 0;
  };

  session_record* find(session_id id);
  const session_record* find(session_id id) const;
  gateway* gateway_of(const session_record& s);
  result<session_id> begin_session(const frame& hello, const frame& challenge, boot_time now);
  void end_session(session_record& s, boot_time now);
  void open_if_drained(session_record& s, boot_time now);
  void take_over(gateway& g, session_record& s);
  void start_wanted(session_record& s, boot_time now);
  void send(session_record& s, frame f);
  void next_directory_piece(session_record& s);
  void acknowledged(session_record& s, std::uint64_t number);
  void wake(const volume_uuid* volume, std::optional<granule_run> run);
  bool invalidate_at(gateway& g, const change& c, boot_time now);
  void mark(change& c);
  void unlink(change& c);
  std::uint64_t directory_bytes() const;
  void expire(boot_time now);
  void forget_ended();

  const home_options options_;
  mutable std::mutex mutex_;
  std::uint64_t last_session_ = 0;
  std::map<session_id, session_record> sessions_;
  std::map<std::string, gateway> gateways_;
  std::map<volume_uuid, boot_time> recovering_;
  std::unordered_map<position, std::uint32_t, position_hash> closing_;
  bool stopped_ = false;
  change* oldest_ = nullptr;
  change* newest_ = nullptr;
};

} // namespace gnomon::io::session
