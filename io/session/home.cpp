// Sessions of the home: greeting, opening, leases, ends. home_changes.cpp has changes, fills and directories.
#include "io/session/home.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "io/session/proof.hpp"

namespace gnomon::io::session {

home_side::session_record* home_side::find(session_id id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}
const home_side::session_record* home_side::find(session_id id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}
home_side::gateway* home_side::gateway_of(const session_record& s) {
  const auto found = gateways_.find(s.node.value);
  return found == gateways_.end() ? nullptr : &found->second;
}

void home_side::send(session_record& s, frame f) {
  s.outgoing.push_back(std::move(f));
  if (options_.on_outgoing)
    options_.on_outgoing(s.id);
}

// --- opening

result<session_id> home_side::begin_session(const frame& hello, const frame& challenge, boot_time now) {
  expire(now);
  forget_ended();
  if (sessions_.size() >= sessions_max || (!gateways_.contains(hello.text) && gateways_.size() >= gateways_max))
    return fail(errc::limit_reached, "node " + options_.self.value + " has too many sessions; try again later");
  session_record made;
  made.id = session_id{(options_.start.value << 24 | (++last_session_ & 0xffffff)) | 1ull << 63};
  made.node = node_name{hello.text};
  made.start = hello.start;
  made.hello = hello;
  made.challenge = challenge;
  made.lease_over = now + with_margin(options_.lease); // how long it may be silent; nothing is leased yet
  gateway& g = gateways_[hello.text];
  g.node = made.node;
  session_record& s = sessions_.emplace(made.id, std::move(made)).first->second;

  session_record* const owner = find(g.owner);
  const session_id before = g.owner;
  const bool same = owner && (owner->start == s.start || planted(fault::new_start_ends_old_lease));
  if (same || !owner || owner->state == session_state::ended) {
    // The same start has given its lease up before it said hello; an ended session has none.
    if (owner && owner->start != s.start)
      take_over(g, s);
    g.owner = s.id;
    g.outstanding.clear();
    g.outstanding_granules.clear();
  } else {
    owner->stream = false; // it is not renewed any more
    g.newcomer = s.id;
  }
  for (auto& [id, other] : sessions_) // of this start one lives; of others, until their lease is over
    if (id != s.id && other.node == s.node && (other.start == s.start || (same && id == before)))
      end_session(other, now);
  open_if_drained(s, now);
  wake(nullptr, {});
  return s.id;
}

// The bits of another start, whose lease is over, go.
void home_side::take_over(gateway& g, session_record& s) {
  for (auto& [volume, d] : g.directories)
    std::fill(d.bits.begin(), d.bits.end(), 0);
  g.owner = s.id;
  g.outstanding.clear();
  g.outstanding_granules.clear();
  if (g.newcomer == s.id)
    g.newcomer = {};
}

void home_side::open_if_drained(session_record& s, boot_time now) {
  if (s.state != session_state::opening)
    return;
  for (const auto& [id, other] : sessions_)
    if (other.node == s.node && other.start == s.start && other.state == session_state::ended && other.counted != 0 &&
        !planted(fault::opened_before_drain))
      return;
  s.state = session_state::open;
  s.lease_over = std::max(s.lease_over, now + with_margin(options_.lease));
  frame f;
  f.type = frame_type::opened;
  f.session = s.id;
  f.lease = options_.lease;
  f.text = options_.data_address;
  send(s, f);
}

void home_side::end_session(session_record& s, boot_time now) {
  if (s.state == session_state::ended)
    return;
  s.state = session_state::ended;
  s.stream = false;
  s.outgoing.clear();
  s.directories.clear();
  s.wanted.clear();
  s.announced.clear();
  s.fillable.clear();
  gateway* const g = gateway_of(s);
  if (g && g->owner == s.id) {
    g->outstanding.clear();
    g->outstanding_granules.clear();
    if (session_record* next = find(g->newcomer); next && next->state != session_state::ended) {
      take_over(*g, *next);
      start_wanted(*next, now);
    }
  }
  wake(nullptr, {});
}

// Before anything relies on a lease being over: the session ends in the same step, so no late renewal revives it.
void home_side::expire(boot_time now) {
  if (planted(fault::late_renewal))
    return;
  for (auto& [id, s] : sessions_)
    if (s.state != session_state::ended && s.lease_over <= now)
      end_session(s, now);
}

// Ended sessions of which nothing is under way are forgotten: an unknown session is an ended one.
void home_side::forget_ended() {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const session_record& s = it->second;
    const auto g = gateways_.find(s.node.value);
    const bool owns = g != gateways_.end() && g->second.owner == s.id;
    it = s.state == session_state::ended && s.counted == 0 && !owns ? sessions_.erase(it) : std::next(it);
  }
}

// --- the stream

result<home_side::received> home_side::receive(conversation& c, const frame& f, const nonce& salt, boot_time now) {
  received r;
  const auto out_of_place = [&] {
    return fail(errc::corrupt, std::string(to_string(f.type)) + " does not belong here");
  };
  if (!c.hello) {
    if (f.type != frame_type::hello || f.start.value == 0)
      return out_of_place();
    c.hello = f;
    frame answer;
    answer.type = frame_type::challenge;
    answer.start = options_.start;
    answer.salt = salt;
    answer.text = options_.self.value;
    answer.proven = options_.prove(transcript(role::home, f, answer, {}));
    c.challenge = answer;
    r.reply = answer;
    return r;
  }
  if (c.session.value == 0) {
    if (f.type != frame_type::response)
      return out_of_place();
    if (!same_proof(options_.prove(transcript(role::gateway, *c.hello, *c.challenge, {})), f.proven))
      return fail(errc::permission_denied, "node " + c.hello->text + " has another cluster secret");
    const std::lock_guard lock(mutex_);
    auto begun = begin_session(*c.hello, *c.challenge, now);
    if (!begun)
      return tl::unexpected(begun.error());
    c.session = *begun;
    return r;
  }
  const std::lock_guard lock(mutex_);
  expire(now);
  session_record* const s = find(c.session);
  if (!s || s->state == session_state::ended || !s->stream)
    return fail(errc::unavailable, "the session has ended");
  gateway& g = *gateway_of(*s);
  switch (f.type) {
  case frame_type::renew: {
    if (s->state != session_state::open)
      return out_of_place();
    const bool slow = g.owner == s->id && !g.outstanding.empty() &&
                      now - g.outstanding.front().sent > options_.lease / 2 && !planted(fault::renewed_without_ack);
    if (slow)
      return r;
    s->lease_over = std::max(s->lease_over, now + with_margin(options_.lease));
    frame answer;
    answer.type = frame_type::renewed;
    answer.number = f.number;
    answer.lease = options_.lease;
    send(*s, answer);
    return r;
  }
  case frame_type::ack:
    if (f.number >= g.next_number)
      return out_of_place();
    acknowledged(*s, f.number);
    return r;
  case frame_type::goodbye:
    if (g.owner == s->id)
      s->lease_over = now; // it serves nothing any more
    end_session(*s, now);
    return r;
  case frame_type::shadow_add:
    if (f.run.count == 0 || f.run.count > granules_max)
      return out_of_place();
    if (s->announced.size() + s->wanted.size() + s->fillable.size() >= shadows_per_gateway_max)
      return fail(errc::limit_reached, "too many shadows");
    s->wanted.erase(f.volume);
    s->fillable.erase(f.volume); // until the directory of this announcement has been sent
    std::erase_if(s->directories, [&](const auto& d) { return d.volume == f.volume; });
    s->announced[f.volume] = {f.run.count, f.number};
    r.record_shadow = f.volume;
    return r;
  case frame_type::shadow_drop:
    s->announced.erase(f.volume);
    s->wanted.erase(f.volume);
    s->fillable.erase(f.volume);
    std::erase_if(s->directories, [&](const auto& d) { return d.volume == f.volume; });
    if (g.owner == s->id) {
      g.directories.erase(f.volume);
      wake(&f.volume, {});
      r.forget_shadow = f.volume;
    }
    return r;
  default:
    return out_of_place();
  }
}

void home_side::stream_broken(const conversation& c) {
  const std::lock_guard lock(mutex_);
  session_record* const s = find(c.session);
  if (!s || s->state == session_state::ended)
    return;
  s->stream = false;
  s->outgoing.clear();
  s->directories.clear();
  if (planted(fault::ended_by_broken_stream)) {
    s->lease_over = {};
    end_session(*s, {});
  }
}

std::vector<frame> home_side::take_outgoing(session_id session) {
  const std::lock_guard lock(mutex_);
  std::vector<frame> frames;
  session_record* const s = find(session);
  if (!s)
    return frames;
  while (frames.size() < outgoing_max) {
    if (s->outgoing.empty() && !s->directories.empty())
      next_directory_piece(*s);
    if (s->outgoing.empty())
      break;
    frames.push_back(std::move(s->outgoing.front()));
    s->outgoing.pop_front();
  }
  if (!s->directories.empty() && options_.on_outgoing)
    options_.on_outgoing(s->id);
  return frames;
}

void home_side::tick(boot_time now) {
  const std::lock_guard lock(mutex_);
  bool recovery_over = false;
  for (auto it = recovering_.begin(); it != recovering_.end();) {
    const bool over = it->second <= now;
    recovery_over |= over;
    it = over ? recovering_.erase(it) : std::next(it);
  }
  expire(now);
  for (auto& [id, s] : sessions_) {
    open_if_drained(s, now);
    if (s.state == session_state::open && !s.wanted.empty())
      start_wanted(s, now);
  }
  if (recovery_over)
    wake(nullptr, {});
  forget_ended();
}

// --- data logins

bool home_side::is_open(session_id session) const {
  const std::lock_guard lock(mutex_);
  const session_record* const s = find(session);
  return s && s->state == session_state::open;
}

bool home_side::is_alive(session_id session) const {
  const std::lock_guard lock(mutex_);
  const session_record* const s = find(session);
  return s && s->state != session_state::ended;
}

void home_side::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  wake(nullptr, {});
}

std::optional<node_name> home_side::check_data_login(session_id session, const proof& proven) const {
  const std::lock_guard lock(mutex_);
  const session_record* const s = find(session);
  if (!s || s->state != session_state::open)
    return std::nullopt;
  if (!same_proof(options_.prove(transcript(role::data, s->hello, s->challenge, s->id)), proven))
    return std::nullopt;
  return s->node;
}

std::vector<gateway_status> home_side::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<gateway_status> all;
  for (const auto& [name, g] : gateways_) {
    gateway_status one;
    one.node = g.node;
    const session_record* const s = find(g.newcomer.value != 0 ? g.newcomer : g.owner);
    if (s) {
      one.session = s->id;
      one.open = s->state == session_state::open;
      one.stream = s->stream;
      one.lease_over = s->lease_over;
      one.shadows = s->fillable.size();
    }
    one.outstanding = g.outstanding.size();
    one.invalidations = g.invalidations;
    for (const auto& [volume, d] : g.directories)
      for (const auto word : d.bits)
        one.granules += static_cast<std::uint64_t>(__builtin_popcountll(word));
    all.push_back(std::move(one));
  }
  return all;
}

} // namespace gnomon::io::session
