// An NBD connection from its first to its last moment: begin, drain, drop, and what its client may open.
#include "io/nbd/connection.hpp"

#include "io/nbd/socket.hpp"

namespace gnomon::io {

nbd_connection::nbd_connection(nbd_service& service, new_client client)
    : service_(service), stream_(service.on(), client.fd, static_cast<stream_user&>(*this)), id_(client.id), peer_(std::move(client.peer)),
      anonymous_(std::move(client.anonymous)), default_export_(std::move(client.default_export)),
      on_closed_(std::move(client.on_closed)), since_(service.on().now()),
      since_wall_(system_clock_source().wall_now()) {}

nbd_connection::~nbd_connection() {
  if (serving_) {
    attached_.core->meter().connection_closed(ring_index{service_.on().index()});
    service_.plane().report({alert::kind::detached, attached_.core->uuid(), attached_.instance, 0, peer_});
  }
  if (attached_.core)
    service_.exports().closed(attached_);
  if (on_closed_)
    on_closed_();
}

connection_status nbd_connection::status() const {
  connection_status s;
  s.id = id_;
  s.ring = service_.on().index();
  if (attached_.core)
    s.volume = attached_.core->uuid();
  s.instance = instance();
  s.peer = peer_;
  s.size_seen = size_seen_;
  s.read_only = attached_.core && !attached_.writing;
  s.since = since_wall_;
  s.requests = requests_;
  return s;
}

void nbd_connection::begin() {
  prepare_client_socket(stream_.fd());
  service_.status_changed(status());
  handshake_limits limits;
  limits.options_max = service_.limits().handshake_options_max;
  limits.extended_headers = true;
  handshake_ = std::make_unique<handshake>(directory_, limits);
  const auto greeting = handshake_->greeting();
  say({greeting.begin(), greeting.end()}, false);
  receive();
}

// --- the end

void nbd_connection::drain() {
  if (phase_ == phase::dropped || phase_ == phase::draining)
    return;
  if (phase_ == phase::handshake)
    return drop();
  phase_ = phase::draining;
  stream_.stop_receiving(); // replies still leave
  check_end();
}

void nbd_connection::drop() {
  if (phase_ == phase::dropped)
    return;
  phase_ = phase::dropped;
  outgoing* unsent = stream_.take_queued();
  stream_.close();
  while (unsent) {
    auto& request = static_cast<nbd_request&>(*unsent);
    unsent = unsent->next_outgoing;
    release(request);
  }
  check_end();
}

void nbd_connection::check_end() {
  if (phase_ != phase::draining && phase_ != phase::dropped)
    return;
  if (incoming_ && !(stream_.receiving_into() && receiving_into_ == target::payload)) { // its payload will never be whole
    release(*incoming_);
    incoming_ = nullptr;
  }
  if (phase_ == phase::draining) {
    if (in_flight_ != (incoming_ ? 1u : 0u) || !stream_.all_sent())
      return;
    phase_ = phase::dropped;
    stream_.close();
  }
  stream_.release_input();
  if (!stream_.idle() || in_flight_ != 0)
    return;
  service_.gone(*this);
}

bool nbd_connection::login_overdue() const {
  // A client that asks about each of many exports needs longer than one that opens one.
  constexpr std::chrono::milliseconds each_option{1};
  return phase_ == phase::handshake && service_.on().now() - since_ > service_.limits().handshake_timeout +
                                                                          each_option * handshake_->options_allowed();
}

// --- what this client may open

std::vector<export_listing> nbd_connection::directory::list() const {
  std::vector<export_listing> found;
  for (auto& one : connection_.service_.exports().list(connection_.anonymous_))
    found.push_back({std::move(one.name), std::move(one.description)});
  return found;
}

result<export_info> nbd_connection::directory::find(std::string_view name, export_purpose purpose) {
  if (name.empty())
    name = connection_.default_export_;
  const bool go = purpose == export_purpose::go;
  auto opened = connection_.service_.exports().open(name, connection_.anonymous_, go);
  if (!opened)
    return tl::unexpected(opened.error());
  const volume_spec spec = opened->core->spec();
  const bool read_only = !opened->writing; // as it was claimed: the volume may have changed since
  if (go)
    connection_.attached_ = std::move(*opened);
  return export_info{std::string(name), spec.description, spec.size.value, read_only};
}

} // namespace gnomon::io
