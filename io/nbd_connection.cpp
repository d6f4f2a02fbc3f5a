#include "io/nbd_connection.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

#include "io/socket.hpp"

namespace gnomon::io {

nbd_connection::nbd_connection(nbd_service& service, new_client client)
    : service_(service), fd_(client.fd), id_(client.id), peer_(std::move(client.peer)),
      anonymous_(std::move(client.anonymous)), default_export_(std::move(client.default_export)),
      on_closed_(std::move(client.on_closed)), since_(service.on().now()),
      since_wall_(system_clock_source().wall_now()) {
  receive_.self = send_.self = send_task_.self = this;
  receive_.on_complete = [](completion& c, ring&, int result, unsigned flags) {
    static_cast<receive_completion&>(c).self->received(result, flags);
  };
  send_.on_complete = [](completion& c, ring&, int result, unsigned) {
    static_cast<send_completion&>(c).self->sent(result);
  };
  send_task_.run = [](turn_task& t, ring&) { static_cast<send_task&>(t).self->send_queued(); };
}

nbd_connection::~nbd_connection() {
  if (fd_ >= 0)
    close(fd_);
  if (serving_) {
    attached_.core->meter().connection_closed(ring_index{service_.on().index()});
    service_.plane().report({event::kind::detached, attached_.core->uuid(), attached_.instance, 0, peer_});
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
  prepare_client_socket(fd_);
  service_.status_changed(status());
  handshake_limits limits;
  limits.options_max = service_.limits().handshake_options_max;
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
  if (receiving_)
    shutdown(fd_, SHUT_RD); // ends the receive; replies still leave
  check_end();
}

void nbd_connection::drop() {
  if (phase_ == phase::dropped)
    return;
  phase_ = phase::dropped;
  shutdown(fd_, SHUT_RDWR);
  while (ready_) {
    nbd_request* request = ready_;
    ready_ = request->next;
    release(*request);
  }
  ready_tail_ = &ready_;
  check_end();
}

void nbd_connection::check_end() {
  if (phase_ != phase::draining && phase_ != phase::dropped)
    return;
  if (incoming_ && !(receiving_ && receiving_into_ == target::payload)) { // its payload will never be whole
    release(*incoming_);
    incoming_ = nullptr;
  }
  if (phase_ == phase::draining) {
    if (in_flight_ != (incoming_ ? 1u : 0u) || ready_ || sending_)
      return;
    phase_ = phase::dropped;
    shutdown(fd_, SHUT_RDWR);
  }
  release_input();
  if (receiving_ || sending_ || in_flight_ != 0 || send_task_.queued)
    return;
  service_.gone(*this);
}

bool nbd_connection::login_overdue() const {
  return phase_ == phase::handshake && service_.on().now() - since_ > service_.limits().handshake_timeout;
}

// --- receiving

void nbd_connection::receive() {
  if (receiving_ || phase_ == phase::draining || phase_ == phase::dropped)
    return;
  receiving_ = true;
  ring& on = service_.on();
  if (incoming_ && incoming_->io.length - incoming_filled_ >= direct_payload_bytes) {
    receiving_into_ = target::payload;
    on.submit_receive(receive_, fd_, incoming_->io.data + incoming_filled_, incoming_->io.length - incoming_filled_);
  } else if (!incoming_ && long_payloads_) {
    // Another long write is likely: take its header alone, so that its payload need not be copied.
    receiving_into_ = target::header;
    on.submit_receive(receive_, fd_, header_.data() + header_bytes_, nbd::request_bytes - header_bytes_);
  } else {
    receiving_into_ = target::receive_buffer;
    on.submit_receive_selected(receive_, fd_);
  }
}

void nbd_connection::received(int result, unsigned flags) {
  receiving_ = false;
  if (result > 0 && receiving_into_ == target::receive_buffer) {
    input_buffer_ = ring::receive_buffer_id(flags);
    input_ = {service_.on().receive_buffer(flags), static_cast<std::size_t>(result)};
  }
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return check_end();
  if (result == -ENOBUFS) {
    waiting_ = true;
    return service_.wait_for_memory(*this);
  }
  if (result == -EINTR || result == -EAGAIN)
    return receive();
  if (result <= 0)
    return input_ended();
  if (receiving_into_ == target::payload) {
    incoming_filled_ += static_cast<std::uint64_t>(result);
    if (incoming_filled_ == incoming_->io.length)
      start_io(*std::exchange(incoming_, nullptr));
  } else if (receiving_into_ == target::header) {
    header_bytes_ += static_cast<std::size_t>(result);
    if (header_bytes_ == nbd::request_bytes) {
      header_bytes_ = 0;
      decode_header(header_.data());
    }
  }
  parse();
}

void nbd_connection::input_ended() {
  // The client has gone, or has only stopped sending: what it asked for is answered where that still works.
  if (phase_ == phase::handshake)
    return drop();
  phase_ = phase::draining;
  check_end();
}

void nbd_connection::release_input() noexcept {
  input_ = {};
  if (input_buffer_ < 0) {
    if (!kept_input_.empty())
      std::vector<std::byte>{}.swap(kept_input_);
    return;
  }
  service_.on().return_receive_buffer(static_cast<std::uint16_t>(input_buffer_));
  input_buffer_ = -1;
}

// A client may make its connection wait for as long as it likes: it must not hold one of the ring's receive buffers.
void nbd_connection::keep_input() {
  if (input_buffer_ < 0)
    return;
  kept_input_.assign(input_.begin(), input_.end());
  release_input();
  input_ = kept_input_;
}

void nbd_connection::resume() {
  if (!waiting_)
    return;
  waiting_ = false;
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return;
  parse();
}

void nbd_connection::parse() {
  while ((!input_.empty() || waiting_request_) && (phase_ == phase::handshake || phase_ == phase::transmission)) {
    const parsed outcome = phase_ == phase::handshake      ? parse_handshake()
                           : skip_bytes_ != 0 || incoming_ ? take_payload()
                                                           : parse_request();
    if (outcome == parsed::wait) { // room comes when replies have left or memory was released
      waiting_ = true;
      keep_input();
      return service_.wait_for_memory(*this);
    }
  }
  release_input();
  if (phase_ == phase::draining || phase_ == phase::dropped)
    return check_end();
  receive();
}

nbd_connection::parsed nbd_connection::parse_handshake() {
  std::vector<std::byte> output;
  const auto outcome = handshake_->consume(input_, output);
  const bool last = outcome == handshake_outcome::close;
  if (!output.empty())
    say(std::move(output), last);
  if (outcome == handshake_outcome::transmission) {
    const selection& chosen = handshake_->chosen();
    structured_ = chosen.structured_replies;
    base_allocation_ = chosen.base_allocation.value_or(0);
    assert(attached_.core);
    size_seen_ = byte_count{chosen.what.size};
    limits_ = {chosen.what.size, chosen.what.read_only, structured_, chosen.base_allocation.has_value()};
    handshake_.reset();
    serving_ = true;
    phase_ = phase::transmission;
    const ring_index here{service_.on().index()};
    attached_.core->meter().connection_opened(here);
    service_.status_changed(status());
    service_.plane().report({event::kind::attached, attached_.core->uuid(), attached_.instance, 0, peer_});
  } else if (last) {
    phase_ = phase::draining;
    release_input();
  }
  return parsed::more;
}

bool nbd_connection::room_for(const nbd::request& r) const noexcept {
  if (in_flight_ == 0)
    return true; // one request always fits
  if (in_flight_ >= service_.limits().requests_in_flight_max)
    return false;
  const bool moves_data = r.type == nbd::command::read || r.type == nbd::command::write;
  return !moves_data || in_flight_bytes_ + r.length <= service_.limits().in_flight_max.value;
}

nbd_connection::parsed nbd_connection::parse_request() {
  if (!waiting_request_) {
    const std::byte* bytes = input_.data();
    if (header_bytes_ != 0 || input_.size() < nbd::request_bytes) { // it comes in pieces
      const std::size_t n = std::min(nbd::request_bytes - header_bytes_, input_.size());
      std::memcpy(header_.data() + header_bytes_, bytes, n);
      header_bytes_ += n;
      consume(n);
      if (header_bytes_ < nbd::request_bytes)
        return parsed::more;
      bytes = header_.data();
      header_bytes_ = 0;
    } else {
      consume(nbd::request_bytes);
    }
    decode_header(bytes);
    if (!waiting_request_)
      return parsed::more;
  }
  const parsed outcome = begin_request(*waiting_request_);
  if (outcome == parsed::more)
    waiting_request_.reset();
  return outcome;
}

void nbd_connection::decode_header(const std::byte* bytes) {
  waiting_request_ = nbd::decode_request(bytes);
  if (!waiting_request_)
    return drop(); // out of step: nothing that follows can be trusted
  long_payloads_ = waiting_request_->type == nbd::command::write && waiting_request_->length >= long_payload_bytes;
}

nbd_connection::parsed nbd_connection::take_payload() {
  if (skip_bytes_ != 0) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(skip_bytes_, input_.size()));
    skip_bytes_ -= n;
    consume(n);
    return parsed::more;
  }
  const std::size_t n =
      static_cast<std::size_t>(std::min<std::uint64_t>(incoming_->io.length - incoming_filled_, input_.size()));
  std::memcpy(incoming_->io.data + incoming_filled_, input_.data(), n);
  incoming_filled_ += n;
  consume(n);
  if (incoming_filled_ == incoming_->io.length)
    start_io(*std::exchange(incoming_, nullptr));
  return parsed::more;
}

// --- requests

static operation operation_of(nbd::command c) {
  switch (c) {
  case nbd::command::read:
    return operation::read;
  case nbd::command::write:
    return operation::write;
  case nbd::command::flush:
    return operation::flush;
  case nbd::command::trim:
    return operation::trim;
  case nbd::command::cache:
    return operation::cache;
  case nbd::command::write_zeroes:
    return operation::zero;
  default:
    return operation::block_status;
  }
}

nbd_connection::parsed nbd_connection::begin_request(const nbd::request& r) {
  if (r.type == nbd::command::disconnect) {
    input_ = {};
    drain();
    return parsed::more;
  }
  const nbd::verdict checked = nbd::validate(r, limits_);
  if (checked.error != nbd::error::none) {
    if (checked.drop) {
      drop();
      return parsed::more;
    }
    if (in_flight_ >= service_.limits().requests_in_flight_max)
      return parsed::wait;
    skip_bytes_ = checked.skip_bytes;
    refuse(r, checked.error, checked.text);
    return parsed::more;
  }
  if (!room_for(r))
    return parsed::wait;

  volume_core& core = *attached_.core;
  ring& on = service_.on();
  const bool payload_here = r.type == nbd::command::write && input_.size() >= r.length;
  const bool at_once = payload_here && takes_payload_at_once(core, r.length, on);
  buffer memory;
  if (r.type == nbd::command::read || (r.type == nbd::command::write && !at_once)) {
    memory = on.buffers().acquire(memory_bytes(core, r.offset, r.length));
    if (!memory)
      return parsed::wait;
  }
  nbd_request& request = *service_.take_request();
  volume_request& io = request.io;
  request.connection = this;
  request.cookie = r.cookie;
  request.last = false;
  request.words.clear();
  request.piece_count = 0;
  request.counted_bytes = memory ? r.length : 0;
  request.dont_fragment = r.flags & nbd::flag_dont_fragment;
  io.core = &core;
  io.op = operation_of(r.type);
  io.fua = r.flags & nbd::flag_fua;
  io.may_punch = !(r.flags & nbd::flag_no_hole);
  io.fast_only = r.flags & nbd::flag_fast_zero;
  io.offset = io.op == operation::flush ? 0 : r.offset;
  io.length = io.op == operation::flush ? 0 : r.length;
  io.extents_max = r.flags & nbd::flag_request_one ? 1 : nbd::extents_max;
  io.memory = memory;
  io.finish = io_finished;
  io.owner = &request;
  io.started = on.now();
  in_flight_bytes_ += request.counted_bytes;
  ++in_flight_;
  if (r.type != nbd::command::write) {
    io.data = memory ? memory.data + memory_skew(core, r.offset) : nullptr;
    start_io(request);
  } else if (at_once) {
    io.data = const_cast<std::byte*>(input_.data()); // read only, and only inside start()
    const std::size_t bytes = r.length;
    start_io(request);
    consume(bytes);
  } else {
    io.data = memory.data + memory_skew(core, r.offset);
    incoming_ = &request;
    incoming_filled_ = 0;
  }
  return parsed::more;
}

void nbd_connection::start_io(nbd_request& request) {
  volume_request& io = request.io;
  const ring_index here{service_.on().index()};
  ++requests_;
  service_.count_request();
  request.metered = true;
  attached_.core->meter().begin(here);
  if (io.length != 0)
    attached_.core->observations().observe(here, attached_.slot, io.op, byte_offset{io.offset},
                                           byte_count{io.length});
  start(io, service_.on());
}

void nbd_connection::io_finished(volume_request& io, ring&) {
  auto& request = *static_cast<nbd_request*>(io.owner);
  nbd_connection& self = *request.connection;
  if (self.phase_ == phase::dropped) {
    self.release(request);
    return self.check_end();
  }
  self.encode_reply(request);
  self.queue(request);
}

// --- replies

void nbd_connection::encode_reply(nbd_request& r) {
  volume_request& io = r.io;
  if (io.error != 0)
    return encode_error(r, nbd::error_from_errno(io.error), std::strerror(io.error));
  if (io.op == operation::read)
    return encode_read(r);
  if (io.op == operation::block_status)
    return encode_block_status(r);
  const std::size_t n =
      structured_ ? nbd::encode_done(r.head, r.cookie) : nbd::encode_simple(r.head, nbd::error::none, r.cookie);
  r.pieces[r.piece_count++] = {r.head, n};
}

static bool all_zero(const std::byte* bytes, std::size_t n) {
  // The first byte is zero and each byte equals its neighbour.
  return n == 0 || (bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, n - 1) == 0);
}

// The header is written just before the data it belongs to; a run of zeros becomes a hole chunk, whose header and the
// next one's lie in the room its own zeros took.
void nbd_connection::encode_read(nbd_request& r) {
  volume_request& io = r.io;
  std::byte* const data = io.data = io.memory.data + memory_skew(*io.core, io.offset);
  const std::size_t length = io.length;
  if (!structured_) {
    std::byte* head = data - nbd::simple_reply_bytes;
    nbd::encode_simple(head, nbd::error::none, r.cookie);
    r.pieces[r.piece_count++] = {head, nbd::simple_reply_bytes + length};
    return;
  }
  const auto hole_at = [&](std::size_t at) {
    const std::size_t n = std::min(hole_unit_bytes, length - at);
    return n >= hole_bytes_min && all_zero(data + at, n);
  };
  // A hole needs room for itself and the data behind it; data may end at a hole only if that hole will find room, for
  // data behind data would write its header over the former's last bytes.
  const auto room_for = [&](std::size_t pieces) { return r.piece_count + pieces <= nbd_request::pieces_max; };
  const bool all_or_nothing = r.dont_fragment && length > hole_unit_bytes;
  std::size_t at = 0;
  while (at < length) {
    const std::size_t begin = at;
    const bool hole = !all_or_nothing && room_for(2) && hole_at(begin);
    const bool ends_at_hole = !r.dont_fragment && room_for(3);
    do
      at = std::min(at + hole_unit_bytes, length);
    while (at < length && (hole ? hole_at(at) : !ends_at_hole || !hole_at(at)));
    const bool last = at == length;
    if (hole) {
      std::byte* head = data + at - nbd::hole_chunk_bytes - nbd::data_chunk_header_bytes;
      nbd::encode_hole(head, r.cookie, io.offset + begin, static_cast<std::uint32_t>(at - begin), last);
      r.pieces[r.piece_count++] = {head, nbd::hole_chunk_bytes};
    } else {
      std::byte* head = data + begin - nbd::data_chunk_header_bytes;
      nbd::encode_data_header(head, r.cookie, io.offset + begin, static_cast<std::uint32_t>(at - begin), last);
      r.pieces[r.piece_count++] = {head, nbd::data_chunk_header_bytes + (at - begin)};
    }
  }
}

void nbd_connection::encode_block_status(nbd_request& r) {
  volume_request& io = r.io;
  r.words.resize(nbd::block_status_bytes(io.extents.size()));
  const std::size_t bytes = nbd::encode_block_status(r.words.data(), r.cookie, base_allocation_, io.extents);
  r.pieces[r.piece_count++] = {r.words.data(), bytes};
}

void nbd_connection::encode_error(nbd_request& r, nbd::error error, std::string_view text) {
  const std::size_t n = structured_ ? nbd::encode_error_chunk(r.head, sizeof r.head, r.cookie, error, text)
                                    : nbd::encode_simple(r.head, error, r.cookie);
  r.piece_count = 0;
  r.pieces[r.piece_count++] = {r.head, n};
}

void nbd_connection::refuse(const nbd::request& r, nbd::error error, std::string_view text) {
  nbd_request& request = *service_.take_request();
  request.connection = this;
  request.cookie = r.cookie;
  request.counted_bytes = 0;
  request.metered = false;
  request.last = false;
  request.io.error = EINVAL;
  request.words.clear();
  ++in_flight_;
  encode_error(request, error, text);
  queue(request);
}

void nbd_connection::say(std::vector<std::byte> words, bool last) {
  nbd_request& request = *service_.take_request();
  request.connection = this;
  request.counted_bytes = 0;
  request.metered = false;
  request.last = last;
  request.words = std::move(words);
  request.piece_count = 1;
  request.pieces[0] = {request.words.data(), request.words.size()};
  ++in_flight_;
  queue(request);
}

void nbd_connection::queue(nbd_request& r) {
  r.next = nullptr;
  *ready_tail_ = &r;
  ready_tail_ = &r.next;
  if (r.counted_bytes >= send_at_once_bytes && !sending_)
    return send_queued();
  service_.on().at_end_of_turn(send_task_);
}

void nbd_connection::send_queued() {
  if (phase_ == phase::dropped)
    return check_end();
  if (sending_ || !ready_)
    return;
  ring& on = service_.on();
  std::size_t pieces = 0;
  send_bytes_ = 0;
  sending_list_ = ready_;
  nbd_request** tail = &sending_list_;
  while (ready_ && pieces + ready_->piece_count <= send_pieces_max) {
    nbd_request& r = *ready_;
    for (std::uint32_t i = 0; i < r.piece_count; ++i) {
      pieces_[pieces++] = r.pieces[i];
      send_bytes_ += r.pieces[i].iov_len;
    }
    tail = &r.next;
    ready_ = r.next;
  }
  *tail = nullptr;
  if (!ready_)
    ready_tail_ = &ready_;
  message_ = {};
  message_.msg_iov = pieces_.data();
  message_.msg_iovlen = pieces;
  send_started_ = on.now();
  // Sockets mostly have room: sent from here, replies leave before the ring turns. The rest waits in the ring.
  const ssize_t now_sent = sendmsg(fd_, &message_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (now_sent == static_cast<ssize_t>(send_bytes_))
    return all_sent();
  if (now_sent < 0 && errno != EAGAIN && errno != EINTR) {
    release_sent();
    return drop();
  }
  if (now_sent > 0)
    advance_message(static_cast<std::size_t>(now_sent));
  sending_ = true;
  on.submit_send(send_, fd_, &message_);
}

void nbd_connection::advance_message(std::size_t sent) noexcept {
  send_bytes_ -= sent;
  while (sent >= message_.msg_iov->iov_len) {
    sent -= message_.msg_iov->iov_len;
    ++message_.msg_iov;
    --message_.msg_iovlen;
  }
  message_.msg_iov->iov_base = static_cast<std::byte*>(message_.msg_iov->iov_base) + sent;
  message_.msg_iov->iov_len -= sent;
}

void nbd_connection::sent(int result) {
  ring& on = service_.on();
  if (result == -EINTR || result == -EAGAIN)
    return on.submit_send(send_, fd_, &message_);
  if (result > 0 && static_cast<std::uint64_t>(result) < send_bytes_ && phase_ != phase::dropped) {
    advance_message(static_cast<std::size_t>(result));
    return on.submit_send(send_, fd_, &message_);
  }
  sending_ = false;
  if (result > 0)
    return all_sent();
  release_sent();
  drop();
  check_end();
}

bool nbd_connection::release_sent() {
  bool last = false;
  while (sending_list_) {
    nbd_request* r = sending_list_;
    sending_list_ = r->next;
    last |= r->last;
    release(*r);
  }
  return last;
}

void nbd_connection::all_sent() {
  const ring_index here{service_.on().index()};
  const boot_time now = service_.on().read_clock(); // most requests began in this very turn
  for (nbd_request* r = sending_list_; r; r = r->next) {
    if (!r->metered)
      continue;
    r->metered = false;
    const bool ok = r->io.error == 0;
    attached_.core->meter().end(here, r->io.op, byte_count{ok ? r->io.length : 0},
                                static_cast<std::uint64_t>((now - r->io.started).count()),
                                ok ? request_outcome::done : request_outcome::failed);
  }
  if (release_sent() && phase_ != phase::dropped)
    phase_ = phase::draining;
  if (ready_ && phase_ != phase::dropped)
    service_.on().at_end_of_turn(send_task_);
  check_end();
}

void nbd_connection::release(nbd_request& r) {
  volume_request& io = r.io;
  if (r.metered) { // its reply was never sent
    attached_.core->meter().end(ring_index{service_.on().index()}, io.op, byte_count{0},
                                static_cast<std::uint64_t>((service_.on().now() - io.started).count()),
                                request_outcome::failed);
    r.metered = false;
  }
  if (io.memory)
    service_.on().buffers().release(io.memory);
  io.extents.clear();
  if (r.words.capacity() > words_kept_max)
    std::vector<std::byte>{}.swap(r.words);
  in_flight_bytes_ -= r.counted_bytes;
  --in_flight_;
  service_.give_back(&r);
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
  if (go)
    connection_.attached_ = std::move(*opened);
  return export_info{std::string(name), spec.description, spec.size.value, spec.read_only};
}

} // namespace gnomon::io
