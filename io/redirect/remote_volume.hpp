// A volume whose home is another node, at a gateway: its requests go to the home over NBD, reads of granules that the
// local shadow holds are served from the core's file, which is the shadow file. Rings; the session decides what is valid.
//
// Nothing is sent twice but reads and what only looks. A change that was under way when its connection or session was
// lost is answered with an error, and the session ends, so that the home drops it before anything newer arrives. Requests
// without a connection wait for `patience`.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "io/nbd/client.hpp"
#include "io/redirect/home_volume.hpp"
#include "io/redirect/read_choice.hpp"
#include "io/redirect/shadow_extent.hpp"
#include "io/session/streams.hpp"
#include "io/volume/core.hpp"
#include "io/volume/interposer.hpp"
#include "io/volume/request.hpp"

namespace gnomon::io {

struct change_counters {
  std::atomic<std::uint64_t> changes{0}, lost_changes{0};
};

// What a shadow is: which granules of its file are current, and which chunks it is for.
struct shadow_parts {
  std::shared_ptr<session::gateway_shadow> granules; // null: there is no shadow
  std::shared_ptr<shadow_extent> extent;
};

enum class lane_kind : std::uint8_t { reads, changes, fills };

// What a lane asks of its volume; see remote_lane.
struct remote_options {
  node_name self, home;
  volume_uuid volume;
  redirect_rule redirect = redirect_rule::nearest;
  nanoseconds patience = std::chrono::seconds{30};
  session::session_streams* streams = nullptr; // outlives the volume
  // The home has restarted while this volume had changes that no flush covers: its clients must see their connections
  // end. Any thread; must not block.
  std::function<void()> drop_clients;
  // Whether clients have it open for writing: for as long, the claim at the home is kept. Any thread.
  std::function<bool()> has_writers;
};

class remote_volume;
class remote_lane;
class shadow_filler;

// One request at the home: what was replaced in it, and the NBD request it became.
struct remote_errand {
  nbd_client_request remote;
  remote_volume* self = nullptr;
  remote_lane* lane = nullptr;
  volume_request* request = nullptr; // null: a fill
  shadow_filler* filler = nullptr;
  session::gateway_shadow::fill_ticket fill;
  buffer memory;                     // of a fill
  std::uint64_t changes_before = 0;  // of a flush: how many changes had been answered when it was sent
  std::uint64_t home_start = 0;      // of a change, when it left
  ring* on = nullptr;
  volume_request::finish_function finish = nullptr;
  void* owner = nullptr;
  boot_time since{};
  session::granule_run run;
  read_counters* reads = nullptr;            // of the instance
  shadow_parts shadow;
  session::gateway_shadow::read_ticket ticket;
};

// The connection of one ring for one kind of request. Opens when it is needed, closes when the session is over.
class remote_lane final : public nbd_client_user {
public:
  static constexpr std::size_t waiting_max = volume_core::admitted_max; // what a volume admits has room

  remote_lane(remote_volume& volume, ring& on, lane_kind kind);
  ~remote_lane();
  void submit(remote_errand& e); // finished() of the volume follows, exactly once
  void session_changed();        // another session, or none
  void hold();                   // opens it, and keeps it open while the volume has writers
  void shut();                   // no more; idle() afterwards
  bool idle() const noexcept { return idle_.load(std::memory_order_acquire); } // any thread

private:
  struct timer_completion : completion {
    remote_lane* self = nullptr;
  };
  void opened(nbd_client& client) override;
  void room(nbd_client& client) override;
  void ended(nbd_client& client, const result<void>& why) override;
  void send_waiting();
  void ensure_open();
  void arm();
  void ticked();
  void give_up(int error, bool all);
  bool over(const remote_errand& e) const; // it has waited for a connection for longer than the volume's patience
  void answer_lost(bool all);
  static void answered(nbd_client_request& r, ring& on);

  remote_volume& volume_;
  ring& ring_;
  const lane_kind kind_;
  std::unique_ptr<nbd_client> client_;
  session::session_id session_, dead_;
  std::deque<remote_errand*> waiting_;
  std::vector<remote_errand*> lost_; // changes; answered when a later session is open: the home has dropped them then
  timer_completion timer_;
  __kernel_timespec span_{0, 50'000'000};
  bool timer_armed_ = false, shut_ = false;
  boot_time used_{}, next_open_{};
  boot_time gone_since_{}; // the home has answered until then
  boot_time hold_until_{}; // it is between two states of the volume, and has carried out nothing of what it said so to
  bool was_ready_ = false, holding_ = false;
  bool held_open_ = false;
  bool complained_ = false;
  std::atomic<bool> idle_{true};
};

class remote_volume final : public interposer {
public:
  remote_volume(remote_options options, data_plane& plane);
  ~remote_volume() override;

  void start(volume_request& request, ring& on) override;
  // Null: none. What was set before is freed when no request can look at it any more. Any thread.
  void set_shadow(shadow_parts shadow);
  // What clients are expected to read; null: nothing is known. Any thread.
  void set_prediction(std::unique_ptr<const predicted_reads> predicted) { predicted_.swap(std::move(predicted)); }
  const read_counter_table& reads() const noexcept { return reads_; }
  const read_choice& choice() const noexcept { return choice_; }
  const change_counters& counters() const noexcept { return counters_; }
  const remote_options& options() const noexcept { return options_; }

  // --- any thread
  void session_changed(session::start_id home_start); // 0: it is over
  void claim(); // a client has attached it for writing: so does this node at the home
  void shut();
  bool idle() const noexcept;

  // --- lanes
  data_plane& plane() noexcept { return plane_; }
  void finished(remote_errand& e); // remote.error and remote.lost say how
  std::uint64_t home_start() const noexcept { return home_start_.load(); }
  remote_lane& lane(const ring& on, lane_kind kind) noexcept {
    return *lanes_[on.index()][static_cast<std::size_t>(kind)];
  }

private:
  void send(volume_request& request, ring& on, read_counters* reads);
  static void read_from_shadow(volume_request& request, ring& on);

  const remote_options options_;
  data_plane& plane_;
  std::vector<std::array<std::unique_ptr<remote_lane>, 3>> lanes_; // [ring][kind]
  published<shadow_parts> shadow_;
  published<predicted_reads> predicted_;
  read_choice choice_;
  read_counter_table reads_;
  std::atomic<std::uint64_t> home_start_{0};  // of the last session
  std::atomic<std::uint64_t> answered_changes_{0};
  std::atomic<std::uint64_t> flushed_{0};     // of answered_changes_, how many a flush has covered
  change_counters counters_;
};

} // namespace gnomon::io
