#include "io/session/gateway.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "io/session/proof.hpp"

namespace gnomon::io::session {

std::vector<std::byte> transcript(role who, const frame& hello, const frame& challenge, session_id session) {
  std::vector<std::byte> all;
  const auto add = [&all](const void* from, std::size_t bytes) {
    const auto* p = static_cast<const std::byte*>(from);
    all.insert(all.end(), p, p + bytes);
  };
  const auto add_name = [&](const std::string& name) {
    const auto bytes = static_cast<std::uint64_t>(name.size()); // so that two names never run into each other
    add(&bytes, sizeof bytes);
    add(name.data(), name.size());
  };
  const auto as = static_cast<std::uint8_t>(who);
  add(&frame_version, sizeof frame_version);
  add(&as, sizeof as);
  add(&hello.start.value, sizeof hello.start.value);
  add(&challenge.start.value, sizeof challenge.start.value);
  add(hello.salt.data(), hello.salt.size());
  add(challenge.salt.data(), challenge.salt.size());
  add_name(hello.text);
  add_name(challenge.text);
  add(&session.value, sizeof session.value);
  return all;
}

// --- a shadow

gateway_shadow::looked gateway_shadow::begin_read(granule_run run, clock_function clock,
                                                  void* context) const noexcept {
  looked l;
  if (!serving()) {
    l.why = refusal::not_serving;
    return l;
  }
  if (!lease_->holds(clock(context))) {
    l.why = refusal::no_lease;
    return l;
  }
  if (run.end() > granules_) {
    l.why = refusal::not_valid;
    return l;
  }
  for (std::uint64_t g = run.first.value; g < run.end(); ++g) {
    // The version first: if it is the same afterwards, the granule was valid all the while.
    l.ticket.versions += words_[g].version();
    if (!words_[g].valid()) {
      l.why = refusal::not_valid;
      return l;
    }
  }
  return l;
}

bool gateway_shadow::still_valid(granule_run run, read_ticket ticket) const noexcept {
  std::atomic_thread_fence(std::memory_order_acquire); // what was read, then the versions
  std::uint64_t versions = 0;
  for (std::uint64_t g = run.first.value; g < run.end(); ++g)
    versions += words_[g].version();
  return versions == ticket.versions; // versions only rise
}

bool gateway_shadow::begin_own_write(granule_run run) noexcept {
  for (std::uint64_t g = run.first.value; g < std::min(run.end(), granules_); ++g) {
    if (words_[g].begin_own_write())
      continue;
    end_own_write({run.first, g - run.first.value});
    return false;
  }
  return true;
}

void gateway_shadow::end_own_write(granule_run run) noexcept {
  for (std::uint64_t g = run.first.value; g < std::min(run.end(), granules_); ++g)
    words_[g].end_own_write();
}

std::optional<gateway_shadow::fill_ticket> gateway_shadow::begin_fill(granule_index g) noexcept {
  if (g.value >= granules_ || fills_ == fills_max || !serving())
    return std::nullopt;
  const auto version = words_[g.value].begin_fill();
  if (!version)
    return std::nullopt;
  ++fills_;
  return fill_ticket{g, *version, epoch_};
}

bool gateway_shadow::end_fill(fill_ticket t, granule_word::fill_result how) noexcept {
  assert(fills_ > 0);
  --fills_;
  if (t.epoch != epoch_)
    how = granule_word::fill_result::failed;
  const bool valid = words_[t.granule.value].end_fill(t.version, how);
  if (valid)
    valid_count_.fetch_add(1, std::memory_order_relaxed);
  return valid;
}

void gateway_shadow::invalidate(granule_run run) noexcept {
  for (std::uint64_t g = run.first.value; g < std::min(run.end(), granules_); ++g) {
    if (words_[g].valid())
      valid_count_.fetch_sub(1, std::memory_order_relaxed);
    words_[g].invalidate();
  }
}

void gateway_shadow::keep_only(const frame& piece) noexcept {
  if (planted(fault::directory_ignored))
    return;
  for (std::uint64_t i = 0; i < piece.run.count; ++i) {
    const bool listed = !piece.bits.empty() && (static_cast<unsigned>(piece.bits[i / 8]) >> (i % 8) & 1u) != 0;
    if (!listed)
      invalidate({granule_index{piece.run.first.value + i}, 1});
  }
}

void gateway_shadow::stop_serving() noexcept {
  serving_.store(false, std::memory_order_release);
  ++epoch_;
}

// --- the session

gateway_session::gateway_session(gateway_options options) : options_(std::move(options)) {
  assert(options_.start.value != 0 && options_.prove);
}

void gateway_session::connected(const nonce& salt, boot_time now) {
  end();
  state_ = state::greeting;
  opened_at_ = now;
  hello_ = {};
  hello_.type = frame_type::hello;
  hello_.start = options_.start;
  hello_.salt = salt;
  hello_.text = options_.self.value;
  outgoing_.push_back(hello_);
}

void gateway_session::end() {
  if (!planted(fault::lease_kept_over_hello)) {
    lease_->give_up();
    for (auto& [volume, one] : shadows_)
      one.shadow->stop_serving();
  }
  state_ = state::idle;
  session_ = {};
  was_leased_ = false;
  questions_.clear();
  outgoing_.clear();
}

void gateway_session::broken() { end(); }

void gateway_session::say_goodbye() {
  const bool told = state_ == state::open;
  end();
  if (!told)
    return;
  frame f;
  f.type = frame_type::goodbye;
  outgoing_.push_back(f);
}

void gateway_session::ask(boot_time now) {
  asked_at_ = now;
  if (questions_.size() == questions_max)
    return; // nobody answers; the lease will run out
  questions_.push_back({next_question_, now});
  frame f;
  f.type = frame_type::renew;
  f.number = next_question_++;
  outgoing_.push_back(f);
}

bool gateway_session::tick(boot_time now) {
  if (state_ == state::idle)
    return true;
  const bool over = state_ != state::open ? now - opened_at_ > options_.answer_patience
                    : was_leased_         ? !lease_->holds(now)
                                          : now - opened_at_ > 2 * granted_;
  if (over) {
    end();
    return false;
  }
  if (state_ == state::open && now - asked_at_ >= options_.renew_every)
    ask(now);
  return true;
}

result<void> gateway_session::opened(const frame& f, boot_time now) {
  if (f.session.value == 0)
    return fail(errc::corrupt, "node " + options_.home.value + " opened a session without a number");
  state_ = state::open;
  session_ = f.session;
  data_address_ = f.text;
  granted_ = f.lease;
  opened_at_ = now;
  data_proof_ = options_.prove(transcript(role::data, hello_, challenge_, session_));
  ask(now);
  for (auto& [volume, one] : shadows_) {
    announce(one);
    if (planted(fault::serve_before_directory))
      one.shadow->serve();
  }
  return {};
}

void gateway_session::announce(announced_shadow& one) {
  one.number = ++announced_;
  one.refusal.clear();
  frame f;
  f.type = frame_type::shadow_add;
  f.number = one.number;
  f.volume = one.shadow->volume();
  f.run.count = one.shadow->granules();
  outgoing_.push_back(f);
}

// The shadow whose last announcement the home answers with `f`; null: another, or none.
gateway_session::announced_shadow* gateway_session::meant_by(const frame& f) {
  const auto found = shadows_.find(f.volume);
  const bool last =
      found != shadows_.end() && (found->second.number == f.number || planted(fault::answer_to_another_add));
  return last ? &found->second : nullptr;
}

result<void> gateway_session::receive(const frame& f, boot_time now) {
  const auto out_of_place = [&] {
    return fail(errc::corrupt, "node " + options_.home.value + " sent " + std::string(to_string(f.type)) +
                                   " where it does not belong");
  };
  if (f.type == frame_type::refused)
    return fail(errc::permission_denied, "node " + options_.home.value + " refused the session: " + f.text);
  if (state_ == state::greeting) {
    if (f.type != frame_type::challenge)
      return out_of_place();
    if (f.text != options_.home.value)
      return fail(errc::permission_denied,
                  "node " + f.text + " answers where node " + options_.home.value + " was expected");
    challenge_ = f;
    home_start_ = f.start;
    if (!same_proof(options_.prove(transcript(role::home, hello_, challenge_, {})), f.proven))
      return fail(errc::permission_denied, "node " + options_.home.value + " has another cluster secret");
    frame answer;
    answer.type = frame_type::response;
    answer.proven = options_.prove(transcript(role::gateway, hello_, challenge_, {}));
    outgoing_.push_back(answer);
    state_ = state::proving;
    return {};
  }
  if (state_ == state::proving)
    return f.type == frame_type::opened ? opened(f, now) : out_of_place();
  if (state_ != state::open)
    return out_of_place();

  const auto shadow = find(f.volume);
  switch (f.type) {
  case frame_type::renewed: {
    const auto asked =
        std::find_if(questions_.begin(), questions_.end(), [&](const question& q) { return q.number == f.number; });
    if (asked == questions_.end())
      return out_of_place();
    lease_->extend((planted(fault::lease_from_answer) ? now : asked->asked) + f.lease);
    was_leased_ = true;
    questions_.erase(questions_.begin(), asked + 1); // those before it were passed over
    return {};
  }
  case frame_type::invalidate: {
    if (shadow)
      shadow->invalidate(f.run);
    ++invalidations_;
    frame ack;
    ack.type = frame_type::ack;
    ack.number = f.number;
    outgoing_.push_back(ack);
    return {};
  }
  case frame_type::directory:
    if (const auto* const one = meant_by(f))
      one->shadow->keep_only(f);
    return {};
  case frame_type::directory_end:
    if (const auto* const one = meant_by(f))
      one->shadow->serve();
    return {};
  case frame_type::shadow_dropped:
    if (auto* const one = meant_by(f)) {
      one->shadow->stop_serving();
      one->shadow->invalidate({granule_index{0}, one->shadow->granules()});
      one->refusal = f.text.empty() ? "refused" : f.text;
    }
    return {};
  default:
    return out_of_place();
  }
}

std::vector<frame> gateway_session::take_outgoing() { return std::exchange(outgoing_, {}); }

void gateway_session::add(std::shared_ptr<gateway_shadow> shadow) {
  auto& one = shadows_[shadow->volume()];
  if (one.shadow)
    one.shadow->stop_serving();
  one.shadow = std::move(shadow);
  if (state_ == state::open)
    announce(one);
}

void gateway_session::drop(const volume_uuid& volume) {
  const auto found = shadows_.find(volume);
  if (found == shadows_.end())
    return;
  gateway_shadow& shadow = *found->second.shadow;
  shadow.stop_serving();
  shadow.invalidate({granule_index{0}, shadow.granules()});
  shadows_.erase(found);
  if (state_ != state::open)
    return;
  frame f;
  f.type = frame_type::shadow_drop;
  f.volume = volume;
  outgoing_.push_back(f);
}

std::shared_ptr<gateway_shadow> gateway_session::find(const volume_uuid& volume) const {
  const auto found = shadows_.find(volume);
  return found == shadows_.end() ? nullptr : found->second.shadow;
}

std::string gateway_session::refusal(const volume_uuid& volume) const {
  const auto found = shadows_.find(volume);
  return found == shadows_.end() ? std::string{} : found->second.refusal;
}

void gateway_session::volume_served(const volume_uuid& volume) {
  const auto found = shadows_.find(volume);
  if (state_ == state::open && found != shadows_.end() && !found->second.refusal.empty())
    announce(found->second);
}

} // namespace gnomon::io::session
