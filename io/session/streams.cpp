#include "io/session/streams.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/log.hpp"
#include "io/session/proof.hpp"

namespace gnomon::io::session {

namespace {
constexpr double announced_unit = 1000, announced_max = 1e9; // reads per second, in a frame

constexpr std::size_t receive_bytes = 64 * 1024;
constexpr std::chrono::seconds unproven_max{10}, accept_pause{1};
constexpr std::chrono::milliseconds reconnect_min{50}, reconnect_max{2000};

home_options home_options_of(const streams_options& o, std::function<void(session_id)> on_outgoing) {
  home_options h;
  h.self = o.self;
  h.start = o.start;
  h.lease = o.lease;
  h.prove = o.prove;
  h.data_address = o.data_address;
  h.on_outgoing = std::move(on_outgoing);
  return h;
}

std::string_view to_string(gateway_session::state s) {
  switch (s) {
  case gateway_session::state::idle:
    return "idle";
  case gateway_session::state::greeting:
    return "greeting";
  case gateway_session::state::proving:
    return "proving";
  case gateway_session::state::open:
    return "open";
  }
  return "unknown";
}

std::string host_of_peer(int fd) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  char host[NI_MAXHOST];
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&peer), length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0)
    return {};
  return host;
}

void prepare(int fd) {
  const int one = 1, limit = 10'000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
}

} // namespace

std::string reachable_address(const std::string& told, const std::string& peer_host) {
  auto where = parse_endpoint(told);
  if (!where || where->type != endpoint::kind::tcp || peer_host.empty() ||
      (where->host != "0.0.0.0" && where->host != "::"))
    return told;
  where->host = peer_host;
  return where->to_string();
}

session_streams::session_streams(streams_options options, stream_events& events)
    : options_(std::move(options)), events_(events), home_(home_options_of(options_, [this](session_id) {
        if (!dirty_.exchange(true))
          wake();
      })) {
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (const auto& peer : options_.peers) {
    auto out = std::make_unique<outbound>();
    out->peer = peer;
    gateway_options g;
    g.self = options_.self;
    g.start = options_.start;
    g.home = peer.node;
    g.renew_every = options_.lease / 5;
    g.answer_patience = std::max<nanoseconds>(2 * options_.lease, std::chrono::seconds{2});
    g.prove = options_.prove;
    out->session = std::make_unique<gateway_session>(std::move(g));
    outbound_.push_back(std::move(out));
  }
}

session_streams::~session_streams() {
  stop();
  for (const auto& in : inbound_)
    if (in->fd >= 0)
      ::close(in->fd);
  for (const auto& out : outbound_)
    if (out->fd >= 0)
      ::close(out->fd);
  if (options_.listen_fd >= 0)
    ::close(options_.listen_fd);
  if (wake_fd_ >= 0)
    ::close(wake_fd_);
}

void session_streams::start() {
  thread_ = std::thread([this] { run(); });
}

void session_streams::stop() {
  stop_ = true;
  wake();
  if (thread_.joinable())
    thread_.join();
}

void session_streams::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_fd_, &one, sizeof one);
}

// --- the loop

void session_streams::run() {
  const auto step = std::clamp<std::int64_t>(options_.lease.count() / 1'000'000 / 40, 5, 50); // ms
  boot_time ticked{};
  while (!stop_) {
    turn(static_cast<int>(step));
    if (const auto now = boot_clock::now(); now - ticked >= std::chrono::milliseconds{step}) {
      ticked = now;
      tick();
    }
  }
  const std::lock_guard lock(mutex_);
  for (auto& out : outbound_) {
    out->session->say_goodbye();
    pump(*out);
    (void)flush(*out);
  }
}

void session_streams::turn(int timeout_ms) {
  const bool accepts = boot_clock::now() >= accept_again_;
  std::vector<pollfd> fds{{wake_fd_, POLLIN, 0}, {accepts ? options_.listen_fd : -1, POLLIN, 0}};
  std::vector<inbound*> ins;
  std::vector<outbound*> outs;
  for (auto& in : inbound_) {
    ins.push_back(in.get());
    fds.push_back({in->fd, static_cast<short>(POLLIN | (in->out.empty() ? 0 : POLLOUT)), 0});
  }
  for (auto& out : outbound_)
    if (out->fd >= 0) {
      outs.push_back(out.get());
      fds.push_back(
          {out->fd, static_cast<short>(POLLIN | (out->out.empty() && !out->connecting ? 0 : POLLOUT)), 0});
    }
  if (::poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR)
    return;
  std::uint64_t count = 0;
  (void)!::read(wake_fd_, &count, sizeof count);
  const bool dirty = dirty_.exchange(false);
  if (fds[1].revents != 0)
    accept_all();
  for (std::size_t i = 0; i < ins.size(); ++i) {
    inbound& in = *ins[i];
    const auto seen = fds[2 + i].revents;
    if ((seen & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const bool more = receive(in);
      take_frames(in);
      if (!more)
        close_inbound(in);
    }
  }
  for (std::size_t i = 0; i < outs.size(); ++i) {
    outbound& out = *outs[i];
    const auto seen = fds[2 + ins.size() + i].revents;
    if (out.connecting && (seen & (POLLOUT | POLLHUP | POLLERR)) != 0)
      connected(out);
    else if (!out.connecting && (seen & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const bool more = receive(out);
      take_frames(out);
      if (!more)
        close_outbound(out, "the peer has closed the connection");
    }
  }
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    changed = std::exchange(catalogue_changed_, false);
    if (changed)
      told_ = catalogue_;
  }
  send_announcements();
  for (auto& in : inbound_) {
    if (in->fd < 0)
      continue;
    if (changed)
      in->catalogue_sent = false;
    if (dirty || changed)
      pump(*in);
    if (!flush(*in))
      close_inbound(*in);
  }
  std::erase_if(inbound_, [](const auto& in) { return in->fd < 0; });
  for (auto& out : outbound_)
    if (out->fd >= 0 && !out->connecting) {
      bool ending = false;
      {
        const std::lock_guard lock(mutex_);
        const session_id asked = std::exchange(out->ending, {});
        ending = asked.value != 0 && out->session->current() == asked;
        pump(*out);
      }
      if (ending)
        close_outbound(*out, "a change was lost on a data connection");
      else if (!flush(*out))
        close_outbound(*out, "the connection broke");
    }
}

void session_streams::accept_all() {
  for (;;) {
    const int fd = accept4(options_.listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log::warning("a gateway waits: {}", std::strerror(errno));
        accept_again_ = boot_clock::now() + accept_pause;
      }
      return;
    }
    if (inbound_.size() >= inbound_max) {
      ::close(fd);
      continue;
    }
    prepare(fd);
    auto in = std::make_unique<inbound>();
    in->fd = fd;
    in->since = boot_clock::now();
    inbound_.push_back(std::move(in));
  }
}

// False: the stream is over; what came before is in `in`.
bool session_streams::receive(channel& c) {
  for (;;) {
    const std::size_t had = c.in.size();
    if (had > 4 * receive_bytes)
      return true;
    c.in.resize(had + receive_bytes);
    const ssize_t got = ::recv(c.fd, c.in.data() + had, receive_bytes, 0);
    const int error = errno;
    c.in.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && (error == EAGAIN || error == EINTR))
      return true;
    if (got <= 0)
      return false;
    if (static_cast<std::size_t>(got) < receive_bytes)
      return true;
  }
}

bool session_streams::flush(channel& c) {
  std::size_t done = 0;
  while (done < c.out.size()) {
    const ssize_t sent = ::send(c.fd, c.out.data() + done, c.out.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
      return false;
    if (sent <= 0)
      break;
    done += static_cast<std::size_t>(sent);
  }
  c.out.erase(c.out.begin(), c.out.begin() + static_cast<std::ptrdiff_t>(done));
  return c.out.size() <= buffered_bytes_max;
}

// --- gateways that came

void session_streams::take_frames(inbound& in) {
  std::size_t used = 0;
  while (in.fd >= 0) {
    auto d = decode(std::span(in.in).subspan(used));
    if (d.what == decoded::outcome::incomplete)
      break;
    result<home_side::received> r = fail(errc::corrupt, std::string(d.why));
    if (d.what == decoded::outcome::whole) {
      used += d.bytes;
      r = home_.receive(in.talk, d.value, random_nonce(), boot_clock::now());
    }
    const std::string who = in.talk.hello ? in.talk.hello->text : "unknown";
    if (!r) {
      if (r.error().code != errc::unavailable)
        log::warning("session stream of node {}: {}", who, r.error().message);
      if (r.error().code == errc::permission_denied || r.error().code == errc::limit_reached) {
        frame refused;
        refused.type = frame_type::refused;
        refused.text = r.error().message;
        encode(refused, in.out);
        (void)flush(in);
      }
      return close_inbound(in);
    }
    if (r->reply)
      encode(*r->reply, in.out);
    if (r->record_shadow) {
      const auto recorded = events_.record_shadow(node_name{who}, *r->record_shadow);
      if (recorded)
        home_.add_shadow(in.talk.session, *r->record_shadow, boot_clock::now());
      else
        home_.refuse_shadow(in.talk.session, *r->record_shadow, recorded.error().message);
    }
    if (r->forget_shadow)
      events_.shadow_forgotten(node_name{who}, *r->forget_shadow);
  }
  in.in.erase(in.in.begin(), in.in.begin() + static_cast<std::ptrdiff_t>(used));
  if (in.fd >= 0)
    pump(in);
}

void session_streams::tell(inbound& in, const told_volume& volume) {
  frame f;
  f.type = frame_type::volume;
  f.volume = volume.uuid;
  f.number = volume.size.value;
  f.run.count = (volume.read_only ? volume_is_read_only : 0) | (volume.shared ? volume_is_shared : 0) |
                (volume.planner == planner_rule::advise ? volume_planner_advises : 0) |
                (volume.planner == planner_rule::off ? volume_planner_is_off : 0);
  f.text = volume.name.value;
  encode(f, in.out);
}

// A gateway that reads slowly, or is not there, misses them.
void session_streams::send_announcements() {
  std::vector<std::pair<node_name, frame>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(announcements_);
  }
  for (const auto& [gateway, f] : waiting)
    for (auto& in : inbound_)
      if (in->fd >= 0 && in->talk.session.value != 0 && in->talk.hello && in->talk.hello->text == gateway.value &&
          in->out.size() < buffered_bytes_max / 2 && home_.is_open(in->talk.session))
        encode(f, in->out);
}

void session_streams::pump(inbound& in) {
  if (in.talk.session.value == 0)
    return;
  if (in.out.size() < buffered_bytes_max / 2)
    for (const auto& f : home_.take_outgoing(in.talk.session))
      encode(f, in.out);
  else
    dirty_ = true; // again when there is room
  if (!in.catalogue_sent && home_.is_open(in.talk.session)) {
    in.catalogue_sent = true;
    for (const auto& volume : told_)
      tell(in, volume);
    frame end; // whatever was not named again is gone
    end.type = frame_type::volume_gone;
    encode(end, in.out);
  }
}

void session_streams::close_inbound(inbound& in) {
  if (in.fd < 0)
    return;
  ::close(std::exchange(in.fd, -1));
  home_.stream_broken(in.talk);
}

// --- homes of others

session_streams::outbound* session_streams::find(const node_name& home) const {
  for (const auto& out : outbound_)
    if (out->peer.node == home)
      return out.get();
  return nullptr;
}

void session_streams::connect(outbound& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto port = std::to_string(out.peer.address.port);
  if (const int why = getaddrinfo(out.peer.address.host.c_str(), port.c_str(), &hints, &found); why != 0)
    return close_outbound(out, gai_strerror(why));
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool begun = fd >= 0 && (::connect(fd, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS);
  const int error = errno;
  freeaddrinfo(found);
  out.fd = fd;
  if (!begun)
    return close_outbound(out, std::strerror(error));
  prepare(fd);
  out.connecting = true;
  out.since = boot_clock::now();
}

void session_streams::connected(outbound& out) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(out.fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0)
    return close_outbound(out, std::strerror(error));
  out.connecting = false;
  const std::lock_guard lock(mutex_);
  out.session->connected(random_nonce(), boot_clock::now());
  pump(out);
}

void session_streams::close_outbound(outbound& out, std::string why) {
  bool was_open = false;
  {
    const std::lock_guard lock(mutex_);
    was_open = out.session->current().value != 0;
    out.session->broken();
    if (out.trouble != why)
      log::info("session with node {}: {}", out.peer.node.value, why);
    out.trouble = std::move(why);
  }
  if (out.fd >= 0)
    ::close(std::exchange(out.fd, -1));
  out.connecting = false;
  out.in.clear();
  out.out.clear();
  out.failures = was_open ? 0 : std::min(out.failures + 1, 6u);
  static thread_local std::minstd_rand random{std::random_device{}()};
  const auto pause = std::min(reconnect_min * (1u << out.failures), reconnect_max);
  out.next_try = boot_clock::now() + pause / 2 + pause * (random() % 1000) / 1000;
  if (was_open)
    events_.session_over(out.peer.node);
}

void session_streams::take_frames(outbound& out) {
  std::size_t used = 0;
  while (out.fd >= 0) {
    auto d = decode(std::span(out.in).subspan(used));
    if (d.what == decoded::outcome::incomplete)
      break;
    if (d.what == decoded::outcome::bad)
      return close_outbound(out, std::string(d.why));
    used += d.bytes;
    handle(out, d.value);
  }
  if (out.fd >= 0)
    out.in.erase(out.in.begin(), out.in.begin() + static_cast<std::ptrdiff_t>(used));
}

void session_streams::handle(outbound& out, const frame& f) {
  const bool open = out.session->now_in() == gateway_session::state::open;
  if (open && f.type == frame_type::volume) {
    {
      const std::lock_guard lock(mutex_);
      out.session->volume_served(f.volume);
      pump(out);
    }
    told_volume v{f.volume, volume_name{f.text}, byte_count{f.number}, (f.run.count & volume_is_read_only) != 0,
                  (f.run.count & volume_is_shared) != 0,
                  (f.run.count & volume_planner_is_off) != 0    ? planner_rule::off
                  : (f.run.count & volume_planner_advises) != 0 ? planner_rule::advise
                                                                : planner_rule::act};
    return events_.volume_told(out.peer.node, v);
  }
  if (open && f.type == frame_type::volume_gone)
    return events_.volume_gone(out.peer.node, f.volume);
  if (open && f.type == frame_type::expect)
    return events_.reads_announced(out.peer.node,
                                   {f.volume, f.run, static_cast<double>(f.number) / announced_unit, f.lease});
  result<void> done;
  {
    const std::lock_guard lock(mutex_);
    const auto now = boot_clock::now();
    done = out.session->receive(f, now);
    if (done && f.type == frame_type::renewed)
      out.round_trip = now - out.asked;
    if (done && f.type == frame_type::opened)
      out.data_address = reachable_address(out.session->data_address(), host_of_peer(out.fd));
    pump(out);
  }
  if (!done)
    return close_outbound(out, done.error().message);
  if (f.type == frame_type::opened) {
    out.trouble.clear();
    ++out.sessions;
    log::info("session with node {} is open", out.peer.node.value);
    events_.session_opened(out.peer.node, current(out.peer.node));
  }
}

// Under mutex_.
void session_streams::pump(outbound& out) {
  for (const auto& f : out.session->take_outgoing()) {
    if (f.type == frame_type::renew)
      out.asked = boot_clock::now();
    if (out.fd >= 0 && !out.connecting)
      encode(f, out.out);
  }
}

void session_streams::tick() {
  const auto now = boot_clock::now();
  home_.tick(now);
  for (auto& in : inbound_)
    if (in->talk.session.value == 0 && now - in->since > unproven_max)
      close_inbound(*in);
    else if (in->talk.session.value != 0 && !home_.is_alive(in->talk.session))
      close_inbound(*in); // its gateway may be gone without a word
    else if (in->talk.session.value != 0)
      pump(*in);
  for (auto& out : outbound_) {
    if (out->fd < 0) {
      if (now >= out->next_try)
        connect(*out);
      continue;
    }
    if (out->connecting) {
      if (now - out->since > unproven_max)
        close_outbound(*out, "no answer");
      continue;
    }
    bool alive = true;
    {
      const std::lock_guard lock(mutex_);
      const bool was_open = out->session->current().value != 0;
      alive = out->session->tick(now);
      pump(*out);
      if (!alive && was_open)
        out->failures = 0;
    }
    if (!alive) {
      events_.session_over(out->peer.node);
      close_outbound(*out, "the lease ran out without an answer");
    }
  }
}

// --- any thread

void session_streams::set_catalogue(std::vector<told_volume> volumes) {
  if (volumes.size() > told_volumes_max) {
    log::error("only {} of {} volumes are told to other nodes", told_volumes_max, volumes.size());
    volumes.resize(told_volumes_max);
  }
  {
    const std::lock_guard lock(mutex_);
    if (catalogue_ == volumes)
      return;
    catalogue_ = std::move(volumes);
    catalogue_changed_ = true;
  }
  wake();
}

result<void> session_streams::announce(const node_name& gateway, const announced_reads& reads) {
  frame f;
  f.type = frame_type::expect;
  f.volume = reads.volume;
  f.run = reads.run;
  f.number = static_cast<std::uint64_t>(std::clamp(reads.reads_per_second, 0.0, announced_max) * announced_unit);
  f.lease = reads.stands;
  {
    const std::lock_guard lock(mutex_);
    if (announcements_.size() >= announcements_max)
      return fail(errc::limit_reached, "too many announcements wait for node " + gateway.value);
    announcements_.emplace_back(gateway, std::move(f));
  }
  wake();
  return {};
}

result<void> session_streams::add_shadow(const node_name& home, std::shared_ptr<gateway_shadow> shadow) {
  {
    const std::lock_guard lock(mutex_);
    outbound* const out = find(home);
    if (!out)
      return fail(errc::not_found, "no peer " + home.value);
    out->session->add(std::move(shadow));
  }
  wake();
  return {};
}

void session_streams::drop_shadow(const node_name& home, const volume_uuid& volume) {
  {
    const std::lock_guard lock(mutex_);
    if (outbound* const out = find(home))
      out->session->drop(volume);
  }
  wake();
}

std::shared_ptr<const lease> session_streams::lease_of(const node_name& home) const {
  const std::lock_guard lock(mutex_);
  const outbound* const out = find(home);
  return out ? out->session->held() : nullptr;
}

open_session session_streams::current(const node_name& home) const {
  const std::lock_guard lock(mutex_);
  const outbound* const out = find(home);
  if (!out || out->session->current().value == 0)
    return {};
  return {out->session->current(), out->session->data_proof(),
          out->peer.data_address ? out->peer.data_address->to_string() : out->data_address,
          out->session->home_start()};
}

void session_streams::end_session(const node_name& home, session_id session) {
  {
    const std::lock_guard lock(mutex_);
    if (outbound* const out = find(home); out && out->session->current() == session)
      out->ending = session;
  }
  wake();
}

std::optional<gateway_shadow::fill_ticket> session_streams::begin_fill(gateway_shadow& shadow, granule_index g) {
  const std::lock_guard lock(mutex_);
  return shadow.begin_fill(g);
}

bool session_streams::end_fill(gateway_shadow& shadow, gateway_shadow::fill_ticket t,
                               granule_word::fill_result how) {
  const std::lock_guard lock(mutex_);
  return shadow.end_fill(t, how);
}

void session_streams::give_up(gateway_shadow& shadow, granule_run run) {
  const std::lock_guard lock(mutex_);
  shadow.invalidate(run);
}

std::string session_streams::refusal(const node_name& home, const volume_uuid& volume) {
  const std::lock_guard lock(mutex_);
  outbound* const out = find(home);
  return out ? out->session->refusal(volume) : std::string{};
}

std::vector<peer_status> session_streams::peers() const {
  const std::lock_guard lock(mutex_);
  std::vector<peer_status> all;
  for (const auto& out : outbound_)
    all.push_back({out->peer.node, out->peer.address.to_string(),
                   out->connecting ? "connecting" : std::string(to_string(out->session->now_in())), out->trouble,
                   out->session->current(), out->round_trip, out->session->invalidations(), out->sessions});
  return all;
}

} // namespace gnomon::io::session
