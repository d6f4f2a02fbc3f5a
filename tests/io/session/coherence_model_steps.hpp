// The steps of coherence_model.hpp.
#pragma once

#include <algorithm>
#include <cassert>

#include "tests/io/session/coherence_model.hpp"

namespace gnomon::io::session::simulated {

// --- nodes

inline void model::start_home() {
  ++home_.incarnation;
  home_options o;
  o.self = node_name{"home"};
  o.start = start_id{++starts_};
  if (home_.incarnation > 1) // the setting may have changed
    home_.lease = random_.one_in(3) ? lease_now / 2 : lease_now;
  o.lease = home_.lease;
  o.prove = prove;
  home_.side = std::make_unique<home_side>(std::move(o));
  if (home_.shadowed)
    home_.side->recovered(model_volume, home_.longest, home_clock());
  home_.longest = std::max(home_.longest, home_.lease);
  home_.gate = {};
  home_.up = true;
}

inline void model::crash_home() {
  ++counters_.crashes;
  home_.up = false;
  for (auto& o : operations_)
    if (at_home(o)) {
      o.c = {};
      o.gated = false;
      lose(o);
    }
  for (auto& line : lines_) {
    cut(*line);
    line->home_end = false;
  }
  home_.side.reset();
}

inline void model::start_gateway(gateway& g) {
  g.start = start_id{++starts_};
  gateway_options o;
  o.self = node_name{"gateway-" + std::to_string(twins_ ? 0 : &g - gateways_.data())};
  o.home = node_name{"home"};
  o.start = g.start;
  o.renew_every = std::chrono::milliseconds{40};
  o.answer_patience = std::chrono::milliseconds{300};
  o.prove = prove;
  g.session = std::make_unique<gateway_session>(std::move(o));
  g.shadow = std::make_shared<gateway_shadow>(model_volume, granules, g.session->held());
  g.session->add(g.shadow);
  g.shadowed = true;
  g.file = {};
  g.up = true;
}

// An operator's verbs; one who is quick has made a shadow again before the home has answered the first announcement.
inline void model::drop_or_add_shadow(std::size_t i) {
  gateway& g = gateways_[i];
  const bool unanswered = now_ < g.line->to_gateway_from;
  if (g.shadowed && !calm_ && random_.one_in(unanswered ? 4 : 60)) {
    if (random_.one_in(2))
      g.line->to_home_from = now_ + static_cast<std::int64_t>(random_.below(150'000'000));
    g.session->drop(model_volume);
    g.shadowed = false;
    ++counters_.drops;
  }
  // Shadows share the file, so the fills of the one before have ended; so have writes that cleared granules in it.
  const bool in_use = std::any_of(operations_.begin(), operations_.end(), [&](const operation& o) {
    return o.node == i && !o.gone && o.what != kind::read && o.stage != at::begin && o.stage != at::done;
  });
  if (!g.shadowed && !in_use && random_.one_in(2)) {
    g.shadow = std::make_shared<gateway_shadow>(model_volume, granules, g.session->held());
    g.session->add(g.shadow);
    g.shadowed = true;
  }
}

inline void model::crash_gateway(std::size_t i) {
  ++counters_.crashes;
  gateway& g = gateways_[i];
  for (auto& o : operations_) {
    if (o.node != i || o.gone)
      continue;
    o.gone = true; // what is on its way or at the home goes on there
    o.own = false;
    if (!at_home(o) && o.stage != at::to_home)
      o.stage = at::done;
  }
  close_line(g);
  g.session.reset();
  g.shadow.reset();
  g.up = false;
}

// --- streams

inline void model::cut(stream& line) {
  if (line.cut)
    return;
  line.cut = true; // what was sent last may never arrive, and one end may learn of it late
  line.gateway_notices_at = now_ + static_cast<std::int64_t>(random_.one_in(2) ? random_.below(300'000'000) : 0);
  line.to_home.resize(random_.below(line.to_home.size() + 1));
  line.to_gateway.resize(random_.below(line.to_gateway.size() + 1));
}

inline void model::close_line(gateway& g) {
  if (!g.line)
    return;
  cut(*g.line);
  g.line->gateway_end = false;
  g.line.reset();
}

// The gateway's session has ended: its data connections are closed, nothing is sent again but reads.
inline void model::session_over(std::size_t i) {
  for (auto& o : operations_) {
    if (o.node != i || o.gone || o.session.value == 0)
      continue;
    const bool away = o.stage >= at::to_home && o.stage <= at::to_gateway;
    if (!away)
      continue;
    if (o.what == kind::fill)
      o.shadow->end_fill(o.fill, granule_word::fill_result::failed);
    if (o.what == kind::write) {
      if (o.own)
        o.shadow->end_own_write({granule_index{o.granule}, 1});
      ++counters_.failed_changes;
    }
    if (o.what == kind::read) { // asked again in the next session
      operations_.push_back({});
      operation& again = operations_.back();
      again.what = kind::read;
      again.node = i;
      again.granule = o.granule;
      again.least = o.least;
    }
    o.own = false;
    o.gone = true;
    if (o.stage == at::to_gateway || o.stage == at::lost)
      o.stage = at::done;
  }
}

inline void model::connect(gateway& g) {
  auto line = std::make_shared<stream>();
  g.line = line;
  lines_.push_back(line);
  nonce salt{};
  salt[0] = static_cast<std::byte>(random_.below(256));
  g.session->connected(salt, clock_of(g));
  pump_gateway(g);
}

inline void model::pump_gateway(gateway& g) {
  for (auto& f : g.session->take_outgoing())
    if (g.line && !g.line->cut && !(mute_ && &g == &gateways_[0] && f.type == frame_type::ack)) {
      std::vector<std::byte> bytes;
      encode(f, bytes);
      const decoded d = decode(bytes);
      if (d.what != decoded::outcome::whole || d.bytes != bytes.size())
        wrong_ = "a frame does not survive its codec";
      g.line->to_home.push_back(d.value);
    }
}

inline void model::pump_home() {
  for (auto& line : lines_)
    if (line->talk.session.value != 0 && line->home_end)
      for (auto& f : home_.side->take_outgoing(line->talk.session))
        if (!line->cut)
          line->to_gateway.push_back(std::move(f));
}

inline void model::deliver_to_home(std::shared_ptr<stream> line) {
  if (line->to_home.empty()) {
    if (line->cut && line->home_end) {
      home_.side->stream_broken(line->talk);
      line->home_end = false;
    }
    return;
  }
  if (!line->cut && now_ < line->to_home_from)
    return;
  const frame f = line->to_home.front();
  if (f.type == frame_type::shadow_add && random_.one_in(4))
    line->to_gateway_from = now_ + static_cast<std::int64_t>(random_.below(60'000'000));
  line->to_home.pop_front();
  if (!line->home_end)
    return;
  nonce salt{};
  salt[1] = static_cast<std::byte>(random_.below(256));
  auto r = home_.side->receive(line->talk, f, salt, home_clock());
  if (!r) {
    home_.side->stream_broken(line->talk);
    cut(*line);
    line->home_end = false;
    return;
  }
  if (r->reply && !line->cut)
    line->to_gateway.push_back(*r->reply);
  if (r->record_shadow) {
    home_.shadowed = true;
    home_.side->add_shadow(line->talk.session, *r->record_shadow, home_clock());
  }
  pump_home();
}

inline void model::deliver_to_gateway(std::size_t i) {
  gateway& g = gateways_[i];
  if (!g.line)
    return;
  if (g.line->to_gateway.empty()) {
    if (g.line->cut && g.line->gateway_notices_at <= now_) {
      g.session->broken();
      session_over(i);
      close_line(g);
    }
    return;
  }
  if (!g.line->cut && now_ < g.line->to_gateway_from)
    return;
  const frame f = g.line->to_gateway.front();
  g.line->to_gateway.pop_front();
  if (f.type == frame_type::opened)
    ++counters_.sessions;
  if (!g.session->receive(f, clock_of(g))) {
    g.session->broken();
    session_over(i);
    close_line(g);
    return;
  }
  pump_gateway(g);
}

inline void model::tick_gateway(std::size_t i) {
  gateway& g = gateways_[i];
  g.last_tick = clock_of(g);
  if (!g.line) {
    if (random_.one_in(3))
      connect(g);
    return;
  }
  if (!g.session->tick(g.last_tick)) {
    session_over(i);
    close_line(g);
    return;
  }
  drop_or_add_shadow(i);
  pump_gateway(g);
}

// --- operations

inline void model::begin_operation() {
  if (calm_ || operations_.size() >= operations_max)
    return;
  operations_.push_back({});
  operation& o = operations_.back();
  o.granule = random_.below(granules);
  o.node = random_.below(gateways_.size() + 1);
  const auto dice = random_.below(10);
  o.what = dice < 5 ? kind::read : dice < 6 ? kind::write : kind::fill;
  const bool home_client = o.node == gateways_.size();
  if (home_client ? o.what == kind::fill || !home_runs() : !runs(gateways_[o.node])) {
    operations_.pop_back();
    return;
  }
  o.least = answered_[o.granule];
  if (home_client) {
    o.stage = at::home_enter;
    o.home_incarnation = home_.incarnation;
  }
}

// The home has dropped it: its gateway finds that out when its session ends.
inline void model::lose(operation& o) { o.stage = o.gone || o.node == gateways_.size() ? at::done : at::lost; }

inline void model::forward(operation& o) {
  gateway& g = gateways_[o.node];
  if (g.session->current().value == 0)
    return; // waits for a session
  o.session = g.session->current();
  o.start = g.start;
  o.stage = at::to_home;
}

inline void model::advance(operation& o) {
  if (at_home(o)) {
    if (home_runs())
      advance_at_home(o);
    return;
  }
  if (o.stage == at::to_home) { // a message on a connection of its session
    if (!home_runs())
      return;
    if (o.gone && random_.one_in(2)) {
      o.stage = at::done;
      return;
    }
    o.home_incarnation = home_.incarnation;
    o.stage = at::home_enter;
    return;
  }
  if (o.gone) {
    o.stage = at::done;
    return;
  }
  gateway& g = gateways_[o.node];
  if (runs(g) && o.stage != at::lost)
    advance_at_gateway(o, g);
}

inline void model::complete_read(operation& o) {
  ++counters_.reads;
  if (o.index < o.least && wrong_.empty())
    wrong_ = "a read of granule " + std::to_string(o.granule) + " by " +
             (o.node == gateways_.size() ? "the home" : "gateway " + std::to_string(o.node)) + " returned write " +
             std::to_string(o.index) + " after write " + std::to_string(o.least) + " had been answered";
  answered_[o.granule] = std::max(answered_[o.granule], o.index);
  o.stage = at::done;
}

inline void model::advance_at_gateway(operation& o, gateway& g) {
  const granule_run run{granule_index{o.granule}, 1};
  switch (o.stage) {
  case at::begin:
    o.shadow = g.shadow;
    if (o.what == kind::read) {
      o.stage = at::look_at_shadow;
    } else if (o.what == kind::write) {
      if (!g.shadow->begin_own_write(run)) {
        o.stage = at::done;
        return;
      }
      o.own = true;
      o.stage = at::forward;
    } else {
      if (g.session->current().value == 0 || !g.shadowed) {
        o.stage = at::done;
        return;
      }
      const auto ticket = g.shadow->begin_fill(run.first);
      if (!ticket) {
        o.stage = at::done;
        return;
      }
      ++counters_.fills;
      o.fill = *ticket;
      forward(o);
    }
    return;
  case at::look_at_shadow: {
    struct context {
      model* m;
      gateway* g;
    } here{this, &g};
    const auto clock = [](void* c) {
      auto& [m, g] = *static_cast<context*>(c);
      return planted(fault::lease_checked_before_receive) ? g->last_tick : m->clock_of(*g);
    };
    const auto l = o.shadow->begin_read(run, clock, &here);
    o.ticket = l.ticket;
    o.stage = l.why == gateway_shadow::refusal::none ? at::read_shadow : at::forward;
    return;
  }
  case at::read_shadow:
    o.index = g.file[o.granule].index;
    o.torn = g.file[o.granule].writers != 0;
    o.stage = at::recheck;
    return;
  case at::recheck:
    if (!o.shadow->still_valid(run, o.ticket)) {
      ++counters_.torn_reads;
      o.stage = at::forward;
      return;
    }
    if (o.torn && wrong_.empty())
      wrong_ = "a read met a granule of the shadow file that was being written";
    ++counters_.shadow_reads;
    return complete_read(o);
  case at::forward:
    return forward(o);
  case at::to_gateway:
    return reply_arrived(o);
  case at::file_begin:
    ++g.file[o.granule].writers;
    o.stage = at::file_end;
    return;
  case at::file_end: {
    --g.file[o.granule].writers;
    g.file[o.granule].index = o.index;
    const bool valid = o.shadow->end_fill(o.fill, granule_word::fill_result::written);
    ++(valid ? counters_.valid_fills : counters_.void_fills);
    o.stage = at::done;
    return;
  }
  default:
    assert(false);
  }
}

inline void model::reply_arrived(operation& o) {
  switch (o.what) {
  case kind::read:
    return complete_read(o);
  case kind::write:
    o.shadow->end_own_write({granule_index{o.granule}, 1});
    o.own = false;
    if (o.applied) {
      ++counters_.writes;
      answered_[o.granule] = std::max(answered_[o.granule], o.index);
    }
    o.stage = at::done;
    return;
  case kind::fill:
    if (o.refused) {
      o.shadow->end_fill(o.fill, granule_word::fill_result::failed);
      o.stage = at::done;
    } else {
      o.stage = at::file_begin;
    }
    return;
  }
}

// The home is done with it: the reply leaves, or the client of the home has it.
inline void model::leave_home(operation& o) {
  if (o.node < gateways_.size()) {
    o.stage = o.gone ? at::done : at::to_gateway;
    return;
  }
  if (o.what == kind::read)
    return complete_read(o);
  if (o.applied) {
    ++counters_.writes;
    answered_[o.granule] = std::max(answered_[o.granule], o.index);
  }
  o.stage = at::done;
}

inline void model::advance_at_home(operation& o) {
  home_side& side = *home_.side;
  auto& gate = home_.gate[o.granule];
  const granule_run run{granule_index{o.granule}, 1};
  switch (o.stage) {
  case at::home_enter:
    if (o.what == kind::read) {
      o.stage = at::home_read;
      return;
    }
    if (o.what == kind::fill) {
      o.stage = at::home_gate;
      return;
    }
    o.c.volume = model_volume;
    o.c.run = run;
    o.c.session = o.session;
    o.c.own_cleared = o.session.value != 0;
    o.c.owner = &o;
    o.c.resume = [](change& c) { static_cast<operation*>(c.owner)->stage = at::home_enter; };
    if (side.enter(o.c) == home_side::verdict::ended) {
      side.answered(o.c);
      return lose(o);
    }
    o.stage = at::home_gate;
    return;
  case at::home_gate:
    if (o.what == kind::fill ? gate != 0 : gate < 0)
      return;
    gate = o.what == kind::fill ? -1 : gate + 1;
    o.gated = true;
    o.stage = at::home_look;
    return;
  case at::home_look: {
    if (o.what == kind::fill) {
      const auto v = side.begin_fill(o.session, model_volume, run, home_clock());
      counters_.later += v == home_side::verdict::later;
      o.refused = v != home_side::verdict::go;
      o.stage = o.refused ? at::home_release : at::home_read;
      return;
    }
    o.stage = at::parked;
    const auto v = side.look(o.c, home_clock());
    if (v == home_side::verdict::go) {
      o.stage = at::home_apply;
      return;
    }
    --gate;
    o.gated = false;
    if (v == home_side::verdict::wait) {
      ++counters_.waits;
    } else {
      side.answered(o.c);
      o.refused = true;
      v == home_side::verdict::ended ? lose(o) : leave_home(o);
    }
    pump_home();
    return;
  }
  case at::parked:
    return;
  case at::home_apply: {
    if (o.node < gateways_.size() && gateways_[o.node].up && gateways_[o.node].start == o.start) {
      const auto current = gateways_[o.node].session->current();
      if (current.value != 0 && current != o.session && wrong_.empty())
        wrong_ = "a change was carried out after the next session of its gateway had opened";
    }
    o.index = ++home_.data[o.granule];
    o.applied = true;
    o.stage = at::home_release;
    return;
  }
  case at::home_read:
    o.index = home_.data[o.granule];
    if (planted(fault::bit_after_read) && o.gated) {
      gate = 0;
      o.gated = false;
    }
    o.stage = at::home_release;
    return;
  case at::home_release:
    if (o.what == kind::write) {
      side.leave(o.c);
      side.answered(o.c);
    }
    if (o.what == kind::fill)
      side.end_fill(o.session, model_volume, run);
    if (o.gated) {
      gate = o.what == kind::fill ? 0 : gate - 1;
      o.gated = false;
    }
    leave_home(o);
    pump_home();
    return;
  default:
    assert(false);
  }
}

// --- the scheduler

inline void model::disturb() {
  const auto dice = random_.below(100);
  if (dice < 30 && !lines_.empty()) {
    cut(*lines_[random_.below(lines_.size())]);
  } else if (dice < 50) {
    gateway& g = gateways_[random_.below(gateways_.size())];
    g.paused_until = now_ + static_cast<std::int64_t>(random_.below(400'000'000));
    ++counters_.pauses;
  } else if (dice < 60) {
    home_.paused_until = now_ + static_cast<std::int64_t>(random_.below(400'000'000));
    ++counters_.pauses;
  } else if (dice < 75) {
    const std::size_t i = random_.below(gateways_.size());
    if (gateways_[i].up)
      crash_gateway(i);
  } else if (dice < 85) {
    if (home_.up)
      crash_home();
  } else if (dice < 90) { // a clean stop: goodbye, then another start
    const std::size_t i = random_.below(gateways_.size());
    gateway& g = gateways_[i];
    if (runs(g) && g.line) {
      g.session->say_goodbye();
      session_over(i);
      pump_gateway(g);
      close_line(g);
    }
  } else {
    now_ += static_cast<std::int64_t>(random_.below(300'000'000));
  }
}

inline void model::step() {
  ++counters_.steps;
  now_ += static_cast<std::int64_t>(random_.below(400'000));
  const auto dice = random_.below(100);
  if (dice < 8) {
    begin_operation();
  } else if (dice < 60) {
    if (operations_.empty())
      return;
    auto it = operations_.begin();
    std::advance(it, random_.below(operations_.size()));
    if (it->stage != at::done)
      advance(*it);
  } else if (dice < 75) {
    if (!lines_.empty() && home_runs())
      deliver_to_home(lines_[random_.below(lines_.size())]);
  } else if (dice < 90) {
    const std::size_t i = random_.below(gateways_.size());
    if (runs(gateways_[i]))
      deliver_to_gateway(i);
  } else if (dice < 95) {
    const std::size_t i = random_.below(gateways_.size());
    gateway& g = gateways_[i];
    if (runs(g))
      tick_gateway(i);
    else if (!g.up && random_.one_in(4))
      start_gateway(g);
  } else if (dice < 99) {
    if (home_runs()) {
      home_.side->tick(home_clock());
      pump_home();
    } else if (!home_.up && random_.one_in(4)) {
      start_home();
    }
  } else if (!calm_ && random_.one_in(8)) {
    disturb();
  }
  std::erase_if(operations_, [](const operation& o) { return o.stage == at::done; });
  std::erase_if(lines_, [](const auto& l) { return !l->gateway_end && !l->home_end; });
}

inline std::string model::describe() const {
  std::string all;
  for (const auto& g : home_.side->status())
    all += g.node.value + (g.open ? " open" : " not open") + (g.stream ? ", " : ", no stream, ") +
           std::to_string(g.outstanding) + " outstanding; ";
  for (const auto& g : gateways_)
    all += "state " + std::to_string(static_cast<int>(g.session->now_in())) + (g.line ? ", line; " : "; ");
  for (const auto& o : operations_)
    all += std::to_string(static_cast<int>(o.what)) + " at " + std::to_string(static_cast<int>(o.stage)) + "; ";
  return all;
}

// Everybody is up, nothing is lost any more: each operation must come to its end.
inline void model::finish() {
  calm_ = true;
  for (std::uint64_t i = 0; i < 100'000 && wrong_.empty() && !operations_.empty(); ++i) {
    for (auto& g : gateways_) {
      g.paused_until = 0;
      if (!g.up)
        start_gateway(g);
    }
    home_.paused_until = 0;
    if (!home_.up)
      start_home();
    step();
  }
  if (wrong_.empty() && !operations_.empty())
    wrong_ = describe() + "an operation never ends: step " +
             std::to_string(static_cast<int>(operations_.front().stage)) + " of kind " +
             std::to_string(static_cast<int>(operations_.front().what));
}

} // namespace gnomon::io::session::simulated
