// The connections of a gateway to a volume's home.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "config/log.hpp"
#include "config/text.hpp"
#include "io/redirect/data_export.hpp"
#include "io/redirect/remote_volume.hpp"

namespace gnomon::io {

namespace {
constexpr std::chrono::milliseconds reopen_pause{200};
constexpr std::chrono::seconds unused_max{10}; // one for changes is a claim at the home, and stays while there are writers
}

remote_lane::remote_lane(remote_volume& volume, ring& on, lane_kind kind)
    : volume_(volume), ring_(on), kind_(kind) {
  timer_.self = this;
  timer_.on_complete = [](completion& c, ring&, int, unsigned) {
    auto& self = *static_cast<timer_completion&>(c).self;
    self.timer_armed_ = false;
    self.ticked();
  };
}

remote_lane::~remote_lane() = default;

void remote_lane::submit(remote_errand& e) {
  e.remote.finish = answered;
  e.remote.owner = &e;
  e.lane = this;
  used_ = boot_clock::now();
  if (shut_ || waiting_.size() >= waiting_max) {
    e.remote.error = shut_ ? ESHUTDOWN : ENOMEM;
    return volume_.finished(e);
  }
  idle_.store(false, std::memory_order_release);
  waiting_.push_back(&e);
  if (client_ && client_->ready() && boot_clock::now() >= hold_until_)
    return send_waiting();
  ensure_open();
  arm();
}

void remote_lane::hold() {
  if (shut_)
    return;
  held_open_ = true;
  idle_.store(false, std::memory_order_release);
  ensure_open();
  arm();
}

void remote_lane::send_waiting() {
  if (boot_clock::now() < hold_until_)
    return arm(); // the timer goes on
  while (!waiting_.empty() && client_ && client_->ready()) {
    remote_errand& e = *waiting_.front();
    e.home_start = volume_.home_start();
    switch (client_->submit(e.remote)) {
    case nbd_client::admission::accepted:
      waiting_.pop_front();
      break;
    case nbd_client::admission::later:
      return;
    case nbd_client::admission::refused:
      if (e.remote.error == ENOTCONN)
        return;
      waiting_.pop_front();
      volume_.finished(e);
      break;
    }
  }
}

void remote_lane::ensure_open() {
  if (client_ || shut_ || boot_clock::now() < next_open_)
    return;
  const auto session = volume_.options().streams->current(volume_.options().home);
  if (session.id.value == 0 || session.id == dead_ || session.home_start.value != volume_.home_start())
    return; // the timer asks again, and session_changed() tells
  const auto where = parse_endpoint(session.data_address);
  if (!where)
    return;
  nbd_client_options o;
  o.to = *where;
  o.wishes.export_name = data_export_name(volume_.options().volume, session.id, session.data_proof,
                                          kind_ == lane_kind::changes ? data_use::changes
                                          : kind_ == lane_kind::fills ? data_use::fills
                                                                      : data_use::reads);
  session_ = session.id;
  client_ = std::make_unique<nbd_client>(ring_, std::move(o), *this);
  client_->open();
}

void remote_lane::opened(nbd_client&) {
  complained_ = false;
  was_ready_ = true;
  send_waiting();
}
void remote_lane::room(nbd_client&) { send_waiting(); }

void remote_lane::ended(nbd_client&, const result<void>& why) {
  if (!why && !shut_) {
    next_open_ = boot_clock::now() + reopen_pause;
    if (!std::exchange(complained_, true))
      log::warning("volume {} at node {}: {}", volume_.options().volume.to_string(), volume_.options().home.value,
                 to_string(why.error().code)); // its text has the login in it
    if (why.error().code == errc::permission_denied) // another holds the claim; the rest may pass
      give_up(EPERM, true);
    // Who would write must not be left to believe that it may.
    const auto& options = volume_.options();
    if (why.error().code == errc::permission_denied && kind_ == lane_kind::changes && options.drop_clients)
      options.drop_clients();
  }
  client_.reset();
  if (std::exchange(was_ready_, false))
    gone_since_ = boot_clock::now();
  session_ = {};
  arm();
}

void remote_lane::answered(nbd_client_request& r, ring&) {
  auto& e = *static_cast<remote_errand*>(r.owner);
  remote_lane& self = *e.lane;
  if (!r.lost && r.error == ESHUTDOWN && self.kind_ != lane_kind::fills && !self.shut_) {
    const auto now = boot_clock::now();
    if (!std::exchange(self.holding_, true))
      self.gone_since_ = now;
    r.error = 0;
    self.hold_until_ = now + reopen_pause;
    self.waiting_.push_front(&e);
    return self.arm();
  }
  if (!r.lost)
    self.holding_ = false;
  if (r.lost && self.kind_ == lane_kind::reads && r.op != operation::flush && !self.shut_) {
    r.lost = false;
    r.error = 0;
    self.waiting_.push_front(&e); // asked again, in the next session or connection
    return self.arm();
  }
  if (r.lost && self.kind_ == lane_kind::changes && !self.shut_) {
    self.dead_ = self.session_;
    self.volume_.options().streams->end_session(self.volume_.options().home, self.session_);
    self.lost_.push_back(&e);
    return self.arm();
  }
  self.volume_.finished(e);
}

void remote_lane::session_changed() {
  if (client_ && session_ != volume_.options().streams->current(volume_.options().home).id)
    client_->drop();
  answer_lost(false);
  if (!waiting_.empty())
    ensure_open();
}

void remote_lane::answer_lost(bool all) {
  if (lost_.empty())
    return;
  const auto current = volume_.options().streams->current(volume_.options().home).id;
  all |= current.value != 0 && current != dead_;
  std::vector<remote_errand*> ended;
  std::erase_if(lost_, [&](remote_errand* e) {
    const bool ends = all || over(*e);
    if (ends)
      ended.push_back(e);
    return ends;
  });
  for (remote_errand* e : ended)
    volume_.finished(*e);
}

void remote_lane::arm() {
  if (timer_armed_ || (waiting_.empty() && lost_.empty() && !client_ && !held_open_)) {
    if (!timer_armed_)
      idle_.store(true, std::memory_order_release);
    return;
  }
  timer_armed_ = true;
  ring_.submit_timeout(timer_, &span_);
}

void remote_lane::ticked() {
  const auto now = boot_clock::now();
  if (!client_ || !client_->ready() || holding_) // else the home is there, and takes its time
    give_up(kind_ == lane_kind::changes ? EIO : ETIMEDOUT, false);
  answer_lost(false);
  send_waiting();
  const bool writers = kind_ == lane_kind::changes && volume_.options().has_writers && volume_.options().has_writers();
  held_open_ = held_open_ && writers;
  if (!waiting_.empty() || held_open_)
    ensure_open();
  const bool unused = kind_ == lane_kind::changes ? !writers : now - used_ > unused_max;
  if (client_ && client_->ready() && waiting_.empty() && client_->in_flight() == 0 && unused)
    client_->drain();
  arm();
}

bool remote_lane::over(const remote_errand& e) const {
  return boot_clock::now() - std::max(e.since, gone_since_) > volume_.options().patience;
}

// Answers those who have waited longer than the volume's patience, or all.
void remote_lane::give_up(int error, bool all) {
  std::deque<remote_errand*> kept, ends;
  for (remote_errand* e : waiting_)
    (all || over(*e) ? ends : kept).push_back(e);
  waiting_ = std::move(kept);
  for (remote_errand* e : ends) {
    e->remote.error = error;
    volume_.finished(*e);
  }
}

void remote_lane::shut() {
  shut_ = true;
  held_open_ = false;
  give_up(ESHUTDOWN, true);
  answer_lost(true);
  if (client_)
    client_->drop();
  arm();
}

} // namespace gnomon::io
