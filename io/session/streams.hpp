// The session streams of a node: one thread that owns the listener for gateways, the streams of the gateways that came,
// and one stream to each peer, with timers and reconnects. It carries frames between sockets and the pure halves
// (home_side, gateway_session); block data never passes through it, and no actor stands in the way of a frame.
//
// Threads: members are called from any thread; the events are called on the streams' own thread and must not block
// for long nor call back, but for what is said there.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "config/endpoint.hpp"
#include "config/settings/settings.hpp"
#include "io/session/gateway.hpp"
#include "io/session/home.hpp"

namespace gnomon::io::session {

// A volume that a home tells its gateways about.
struct told_volume {
  volume_uuid uuid;
  volume_name name;
  byte_count size;
  bool read_only = false, shared = false;
  planner_rule planner = planner_rule::act; // what planners may do about it
  friend bool operator==(const told_volume&, const told_volume&) = default;
};

// Reads that an event will bring to a gateway.
struct announced_reads {
  volume_uuid volume;
  granule_run run;
  double reads_per_second = 0; // of each chunk of it
  nanoseconds stands{0};       // it is forgotten afterwards
};

// What a gateway needs to log in to a home's data listener.
struct open_session {
  session_id id; // 0: none
  proof data_proof{};
  std::string data_address;
  start_id home_start;
};

class stream_events {
public:
  virtual void session_opened(const node_name& home, const open_session& session) = 0;
  virtual void session_over(const node_name& home) = 0;
  virtual void volume_told(const node_name& home, const told_volume& volume) = 0;
  virtual void volume_gone(const node_name& home, const volume_uuid& volume) = 0;
  virtual void reads_announced(const node_name& by, const announced_reads& reads) = 0;
  // A gateway asks for a shadow: durably on record when it returns ok. Blocks on the disk; home_side may be called.
  virtual result<void> record_shadow(const node_name& gateway, const volume_uuid& volume) = 0;
  virtual void shadow_forgotten(const node_name& gateway, const volume_uuid& volume) = 0;

protected:
  ~stream_events() = default;
};

struct streams_options {
  node_name self;
  start_id start;
  prove_function prove;
  nanoseconds lease = std::chrono::seconds{5};
  int listen_fd = -1;       // taken over; -1: no gateway can come
  std::string data_address; // told to gateways
  std::vector<cluster_peer> peers;
};

struct peer_status {
  node_name node;
  std::string address;
  std::string state; // "connecting", "greeting", "proving", "open", "idle"
  std::string trouble; // why it is not open
  session_id session;
  nanoseconds round_trip{0};
  std::uint64_t invalidations = 0;
  std::uint64_t sessions = 0; // opened since the start
};

// Where a home that says `told` can be reached: a wildcard stands for the address that its session has.
std::string reachable_address(const std::string& told, const std::string& peer_host);

class session_streams {
public:
  static constexpr std::size_t inbound_max = 256;
  static constexpr std::size_t buffered_bytes_max = 4 << 20; // that a slow reader may leave unread
  static constexpr std::size_t told_volumes_max = 65536;
  static constexpr std::size_t announcements_max = 4096; // waiting to be sent

  session_streams(streams_options options, stream_events& events);
  ~session_streams();
  void start();
  void stop(); // says goodbye; idempotent

  home_side& home() noexcept { return home_; }
  void set_catalogue(std::vector<told_volume> volumes);
  // To a gateway with an open session, else to nobody: what matters is said again. limit_reached.
  result<void> announce(const node_name& gateway, const announced_reads& reads);

  // --- this node as a gateway of `home`; not_found: no such peer
  result<void> add_shadow(const node_name& home, std::shared_ptr<gateway_shadow> shadow);
  void drop_shadow(const node_name& home, const volume_uuid& volume);
  std::shared_ptr<const lease> lease_of(const node_name& home) const;
  open_session current(const node_name& home) const;
  // A change was lost on a data connection: whatever of this session is under way at the home must not be carried out
  // after what comes next, so the session ends.
  void end_session(const node_name& home, session_id session);
  // Fills touch their shadow under the same lock as the session does.
  std::optional<gateway_shadow::fill_ticket> begin_fill(gateway_shadow& shadow, granule_index g);
  bool end_fill(gateway_shadow& shadow, gateway_shadow::fill_ticket t, granule_word::fill_result how);
  // The gateway gives up what it holds of a run: nothing of it is served before it is filled again.
  void give_up(gateway_shadow& shadow, granule_run run);
  std::string refusal(const node_name& home, const volume_uuid& volume);

  std::vector<peer_status> peers() const;

private:
  struct channel {
    int fd = -1;
    bool connecting = false;
    std::vector<std::byte> in, out;
    boot_time since{};
  };
  struct inbound : channel {
    home_side::conversation talk;
    bool catalogue_sent = false;
  };
  struct outbound : channel {
    cluster_peer peer;
    std::unique_ptr<gateway_session> session;
    boot_time next_try{}, asked{};
    unsigned failures = 0;
    std::string trouble;
    nanoseconds round_trip{0};
    std::uint64_t sessions = 0;
    std::string data_address; // of the open session, as it can be reached from here
    session_id ending; // end_session() was asked for this one
  };

  void run();
  void turn(int timeout_ms);
  void accept_all();
  bool receive(channel& c);
  bool flush(channel& c);
  void take_frames(inbound& in);
  void take_frames(outbound& out);
  void handle(outbound& out, const frame& f);
  void pump(outbound& out);
  void pump(inbound& in);
  void tell(inbound& in, const told_volume& volume);
  void send_announcements();
  void close_inbound(inbound& in);
  void close_outbound(outbound& out, std::string why);
  void connect(outbound& out);
  void connected(outbound& out);
  void tick();
  void wake() noexcept;
  outbound* find(const node_name& home) const;

  const streams_options options_;
  stream_events& events_;
  home_side home_;
  int wake_fd_ = -1;
  std::thread thread_;
  std::atomic<bool> stop_{false}, dirty_{false};
  mutable std::mutex mutex_; // the gateway halves and the catalogue
  std::vector<std::unique_ptr<outbound>> outbound_;
  std::vector<std::unique_ptr<inbound>> inbound_;
  std::vector<told_volume> catalogue_, told_;
  std::vector<std::pair<node_name, frame>> announcements_; // waiting to be sent
  bool catalogue_changed_ = false;
  boot_time accept_again_{}; // descriptors had run out
};

} // namespace gnomon::io::session
