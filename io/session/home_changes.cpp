// Changes, fills and directories of the home side.
#include <algorithm>
#include <cassert>
#include <utility>

#include "io/session/home.hpp"

namespace gnomon::io::session {

// --- shadows and their directories

std::uint64_t home_side::directory_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, g] : gateways_)
    for (const auto& [volume, d] : g.directories)
      bytes += d.bits.size() * sizeof(std::uint64_t);
  return bytes;
}

void home_side::add_shadow(session_id session, const volume_uuid& volume, boot_time now) {
  const std::lock_guard lock(mutex_);
  session_record* const s = find(session);
  if (!s || s->state == session_state::ended)
    return;
  const auto announced = s->announced.find(volume);
  if (announced == s->announced.end())
    return; // dropped meanwhile
  s->wanted[volume] = announced->second;
  s->announced.erase(announced);
  start_wanted(*s, now);
}

void home_side::refuse_shadow(session_id session, const volume_uuid& volume, std::string why) {
  const std::lock_guard lock(mutex_);
  session_record* const s = find(session);
  if (!s || s->state == session_state::ended)
    return;
  const auto announced = s->announced.find(volume);
  if (announced == s->announced.end())
    return; // dropped meanwhile
  frame f;
  f.type = frame_type::shadow_dropped;
  f.number = announced->second.number;
  s->announced.erase(announced);
  f.volume = volume;
  f.text = std::move(why);
  send(*s, std::move(f));
}

// Sends the directories of shadows that may be filled now: the session owns the bits, and no older lease is out.
void home_side::start_wanted(session_record& s, boot_time now) {
  gateway& g = *gateway_of(s);
  if (g.owner != s.id || s.state != session_state::open)
    return;
  for (auto it = s.wanted.begin(); it != s.wanted.end();) {
    const auto& [volume, wanted] = *it;
    const std::uint64_t granules = wanted.granules;
    if (const auto r = recovering_.find(volume); r != recovering_.end() && r->second > now) {
      ++it;
      continue;
    }
    directory& d = g.directories[volume];
    if (granules > d.granules) {
      const std::size_t words = (granules + 63) / 64;
      if (directory_bytes() + (words - d.bits.size()) * sizeof(std::uint64_t) > directory_bytes_max) {
        frame f;
        f.type = frame_type::shadow_dropped;
        f.number = wanted.number;
        f.volume = volume;
        f.text = "the directories of node " + options_.self.value + " are full";
        send(s, std::move(f));
        it = s.wanted.erase(it);
        continue;
      }
      d.bits.resize(words);
      d.granules = granules;
    }
    s.directories.push_back({volume, wanted.number, 0});
    it = s.wanted.erase(it);
  }
  if (!s.directories.empty() && options_.on_outgoing)
    options_.on_outgoing(s.id);
}

// Pieces are made when they leave, so they tell the bits as they are then; nothing sets one before the end is sent.
void home_side::next_directory_piece(session_record& s) {
  auto& [volume, number, next] = s.directories.front();
  const gateway& g = *gateway_of(s);
  const auto found = g.directories.find(volume);
  frame f;
  f.volume = volume;
  f.number = number;
  if (found == g.directories.end() || next >= found->second.granules) {
    f.type = frame_type::directory_end;
    s.fillable.insert(volume);
    s.outgoing.push_back(std::move(f));
    s.directories.pop_front();
    return;
  }
  const directory& d = found->second;
  f.type = frame_type::directory;
  f.run.first = granule_index{next};
  const auto empty = [&](std::uint64_t from) { // a whole piece, from a multiple of its size
    for (std::uint64_t w = from / 64; w < std::min<std::uint64_t>((from + directory_bits_max) / 64, d.bits.size());
         ++w)
      if (d.bits[w] != 0)
        return false;
    return true;
  };
  std::uint64_t end = std::min(next + directory_bits_max, d.granules);
  if (empty(next)) {
    while (end < d.granules && empty(end))
      end = std::min(end + directory_bits_max, d.granules);
  } else {
    f.bits.resize((end - next + 7) / 8);
    for (std::uint64_t granule = next; granule < end; ++granule)
      if (d.test(granule))
        f.bits[(granule - next) / 8] |= std::byte{1} << ((granule - next) % 8);
  }
  f.run.count = end - next;
  next = end;
  s.outgoing.push_back(std::move(f));
}

void home_side::recovered(const volume_uuid& volume, nanoseconds longest_lease, boot_time now) {
  if (planted(fault::no_wait_after_restart))
    return;
  const std::lock_guard lock(mutex_);
  recovering_[volume] = now + with_margin(planted(fault::new_lease_waited_out) ? options_.lease : longest_lease);
}

bool home_side::recovering(const volume_uuid& volume, boot_time now) const {
  const std::lock_guard lock(mutex_);
  const auto r = recovering_.find(volume);
  return r != recovering_.end() && r->second > now;
}

bool home_side::has_shadows(const volume_uuid& volume) const {
  const std::lock_guard lock(mutex_);
  // A shadow that is only announced or wanted gets its directory later, and no change would look for it then.
  return recovering_.contains(volume) ||
         std::any_of(gateways_.begin(), gateways_.end(),
                     [&](const auto& g) { return g.second.directories.contains(volume); }) ||
         std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& one) {
           const session_record& s = one.second;
           return s.state != session_state::ended &&
                  (s.announced.contains(volume) || s.wanted.contains(volume) || s.fillable.contains(volume));
         });
}

void home_side::acknowledged(session_record& s, std::uint64_t number) {
  gateway& g = *gateway_of(s);
  if (g.owner != s.id)
    return;
  while (!g.outstanding.empty() && g.outstanding.front().number <= number) {
    const invalidation done = g.outstanding.front();
    g.outstanding.pop_front();
    const auto d = g.directories.find(done.volume);
    for (std::uint64_t granule = done.run.first.value; granule < done.run.end(); ++granule) {
      g.outstanding_granules.erase({done.volume, granule});
      if (d != g.directories.end() && granule < d->second.granules)
        d->second.clear(granule);
    }
    wake(&done.volume, done.run);
  }
}

// --- changes

home_side::verdict home_side::enter(change& c) {
  assert(!c.waiting && !c.counted);
  if (c.session.value == 0)
    return verdict::go;
  const std::lock_guard lock(mutex_);
  session_record* const s = find(c.session);
  if (!s)
    return verdict::ended;
  if (s->state != session_state::open && !planted(fault::ended_change_carried_out))
    return verdict::ended;
  ++s->counted;
  c.counted = true;
  return verdict::go;
}

void home_side::leave(change& c) {
  if (!c.counted)
    return;
  c.counted = false;
  const std::lock_guard lock(mutex_);
  session_record* const s = find(c.session);
  assert(s && s->counted > 0);
  if (--s->counted != 0 || s->state != session_state::ended)
    return;
  for (auto& [id, other] : sessions_)
    if (other.node == s->node)
      open_if_drained(other, {});
}

// What the gateway must acknowledge before `c` may go. True: something is left to wait for.
bool home_side::invalidate_at(gateway& g, const change& c, boot_time now) {
  const auto found = g.directories.find(c.volume);
  if (found == g.directories.end())
    return false;
  directory& d = found->second;
  session_record* const s = find(g.owner);
  const bool live = s && s->state == session_state::open && s->stream;
  const bool own = c.session.value != 0 && c.own_cleared && c.session == g.owner;
  const bool own_node =
      planted(fault::own_bit_skipped_always) && c.own_cleared && find(c.session) && find(c.session)->node == g.node;
  if ((own && s && s->state == session_state::open) || own_node)
    return false;
  // An opening session has said hello, so its start serves nothing until it gets a directory; an ended one has no
  // lease.
  const bool leased = s && s->state == session_state::open && s->lease_over > now;
  bool wait = false;
  granule_run unsent;
  const auto flush = [&] {
    if (unsent.count == 0)
      return;
    frame f;
    f.type = frame_type::invalidate;
    f.number = g.next_number++;
    f.volume = c.volume;
    f.run = unsent;
    g.outstanding.push_back({f.number, c.volume, unsent, now});
    ++g.invalidations;
    send(*s, std::move(f));
    unsent = {};
  };
  for (std::uint64_t granule = c.run.first.value; granule < std::min(c.run.end(), d.granules); ++granule) {
    if (!d.test(granule)) {
      flush();
      continue;
    }
    if (!leased) {
      d.clear(granule);
      continue;
    }
    wait = true;
    if (!live || g.outstanding.size() >= outstanding_max ||
        !g.outstanding_granules.insert({c.volume, granule}).second) {
      flush();
      continue;
    }
    if (unsent.count == 0)
      unsent.first = granule_index{granule};
    ++unsent.count;
  }
  flush();
  return wait;
}

home_side::verdict home_side::look(change& c, boot_time now) {
  const std::unique_lock lock(mutex_);
  const auto give_back = [&](verdict v) {
    if (c.counted) {
      c.counted = false;
      session_record* const s = find(c.session);
      assert(s && s->counted > 0);
      if (--s->counted == 0 && s->state == session_state::ended)
        for (auto& [id, other] : sessions_)
          if (other.node == s->node)
            open_if_drained(other, now);
    }
    return v;
  };
  expire(now);
  if (c.session.value != 0) {
    const session_record* const s = find(c.session);
    if ((!s || s->state != session_state::open) && !planted(fault::ended_change_carried_out))
      return give_back(verdict::ended);
  }
  bool wait = false;
  if (const auto r = recovering_.find(c.volume); r != recovering_.end() && r->second > now)
    wait = true;
  for (auto& [name, g] : gateways_)
    wait |= invalidate_at(g, c, now);
  if (!wait)
    return verdict::go;
  if (stopped_)
    return give_back(verdict::ended);
  mark(c);
  c.waiting = true;
  c.earlier = newest_;
  c.later = nullptr;
  (newest_ ? newest_->later : oldest_) = &c;
  newest_ = &c;
  return give_back(verdict::wait);
}

// A change too many, or too long, waits without marks: fills may come before it, and it invalidates them again.
void home_side::mark(change& c) {
  if (c.marked || closing_.size() + c.run.count > closing_max)
    return;
  c.marked = true;
  for (std::uint64_t granule = c.run.first.value; granule < c.run.end(); ++granule)
    ++closing_[{c.volume, granule}];
}

void home_side::answered(change& c) {
  assert(!c.waiting && !c.counted);
  if (!c.marked)
    return;
  const std::lock_guard lock(mutex_);
  c.marked = false;
  for (std::uint64_t granule = c.run.first.value; granule < c.run.end(); ++granule)
    if (const auto m = closing_.find({c.volume, granule}); m != closing_.end() && --m->second == 0)
      closing_.erase(m);
}

void home_side::unlink(change& c) {
  (c.earlier ? c.earlier->later : oldest_) = c.later;
  (c.later ? c.later->earlier : newest_) = c.earlier;
  c.earlier = c.later = nullptr;
  c.waiting = false;
}

bool home_side::cancel(change& c) {
  const std::lock_guard lock(mutex_);
  if (!c.waiting)
    return false;
  unlink(c);
  return true;
}

// Resumes those whose run overlaps (no run: of the volume; no volume: all). A spurious one only looks again.
void home_side::wake(const volume_uuid* volume, std::optional<granule_run> run) {
  for (change* c = oldest_; c != nullptr;) {
    change* const next = c->later;
    const bool here = !volume || (c->volume == *volume &&
                                  (!run || (c->run.first.value < run->end() && run->first.value < c->run.end())));
    if (here) {
      unlink(*c);
      c->resume(*c);
    }
    c = next;
  }
}

// --- fills

home_side::verdict home_side::begin_fill(session_id session, const volume_uuid& volume, granule_run run,
                                         boot_time now) {
  const std::lock_guard lock(mutex_);
  expire(now);
  session_record* const s = find(session);
  if (!s || s->state != session_state::open)
    return verdict::ended;
  gateway& g = *gateway_of(*s);
  const auto d = g.directories.find(volume);
  if (g.owner != s->id || !s->fillable.contains(volume) || d == g.directories.end() || run.end() > d->second.granules)
    return verdict::ended;
  if (const auto r = recovering_.find(volume); r != recovering_.end() && r->second > now)
    return verdict::later;
  for (std::uint64_t granule = run.first.value; granule < run.end(); ++granule) {
    const position p{volume, granule};
    if ((closing_.contains(p) || g.outstanding_granules.contains(p)) && !planted(fault::fill_during_invalidation))
      return verdict::later;
  }
  if (!planted(fault::bit_after_read))
    for (std::uint64_t granule = run.first.value; granule < run.end(); ++granule)
      d->second.set(granule);
  return verdict::go;
}

void home_side::end_fill(session_id session, const volume_uuid& volume, granule_run run) {
  if (!planted(fault::bit_after_read))
    return;
  const std::lock_guard lock(mutex_);
  if (session_record* const s = find(session))
    if (const auto d = gateway_of(*s)->directories.find(volume); d != gateway_of(*s)->directories.end())
      for (std::uint64_t granule = run.first.value; granule < run.end(); ++granule)
        d->second.set(granule);
}

} // namespace gnomon::io::session
