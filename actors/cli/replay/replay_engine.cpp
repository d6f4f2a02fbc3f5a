#include "actors/cli/replay/replay_engine.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "config/types.hpp"

namespace gnomon::actors::cli {
namespace {
using namespace std::chrono_literals;
using kind = store::trace_operation;
constexpr std::size_t buffer_kept_max = 1u << 20; // a slot's larger buffers are given back after use
constexpr auto progress_every = 200ms;

std::size_t index_of(store::trace_operation op) {
  return static_cast<std::size_t>(std::find(replay_operations.begin(), replay_operations.end(), op) -
                                  replay_operations.begin());
}

struct slot {
  planned_request request;
  monotonic::time_point intended, sent;
  write_number number = 0;
  std::vector<unsigned char> buffer;
};

class engine {
public:
  engine(nbd_link& link, const request_pull& pull, const replay_options& options)
      : link_(link), pull_(pull), options_(options), slots_(options.depth) {
    for (std::uint32_t i = options.depth; i > 0; --i)
      free_.push_back(i - 1);
    if (options.model == nullptr)
      fill_common_buffer();
  }

  replay_result run() {
    start_ = progressed_ = told_ = monotonic::now();
    fetch();
    while (!out_.failed && (!active_.empty() || (next_ && !stopping_))) {
      look_at_the_clock();
      issue();
      if (out_.failed || (active_.empty() && (!next_ || stopping_)))
        break;
      done_.clear();
      const auto waited = link_.wait(patience(), done_);
      for (const auto& completion : done_)
        finish(completion);
      if (!waited)
        fail_with(waited.error());
      tell();
    }
    out_.elapsed = monotonic::now() - start_;
    out_.unanswered = active_.size();
    return std::move(out_);
  }

private:
  void fail_with(error why) {
    if (!out_.failed)
      out_.failed = std::move(why);
  }

  // Data that neither compresses nor repeats, for writes nobody checks.
  void fill_common_buffer() {
    common_.resize(options_.write_bytes_max);
    std::uint64_t state = 0x853c49e6748fea9bull;
    for (std::size_t i = 0; i + 8 <= common_.size(); i += 8) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      const auto word = state ^ (state >> 29);
      std::memcpy(common_.data() + i, &word, 8);
    }
  }

  void fetch() {
    auto got = pull_();
    if (!got)
      return fail_with(got.error());
    next_ = *got;
    next_was_held_ = false;
  }

  void look_at_the_clock() {
    now_ = monotonic::now();
    if (!stopping_ && options_.interrupted && options_.interrupted()) {
      stopping_ = true;
      out_.end = replay_end::interrupted;
    }
    if (!stopping_ && options_.duration && now_ - start_ >= *options_.duration) {
      stopping_ = true;
      out_.end = replay_end::duration;
    }
    if (!active_.empty() && now_ - progressed_ > replay_stall_max)
      fail_with({errc::timed_out,
                 fmt::format("no answer to any of {} requests for {} s", active_.size(), replay_stall_max.count()),
                 0});
  }

  bool may_start() {
    if (free_.empty() || (bytes_in_flight_ + next_->length_bytes > replay_bytes_in_flight_max && !active_.empty()))
      return false;
    if (options_.paced && start_ + next_->intended > now_)
      return false;
    if (options_.model == nullptr)
      return true;
    const bool held =
        std::any_of(active_.begin(), active_.end(), [&](auto i) { return must_wait(slots_[i].request, *next_); });
    out_.held_back += held && !next_was_held_ ? 1 : 0;
    next_was_held_ = next_was_held_ || held;
    return !held;
  }

  void issue() {
    while (next_ && !stopping_ && !out_.failed && may_start()) {
      start_one();
      fetch();
      if (options_.paced)
        now_ = monotonic::now();
    }
  }

  void start_one() {
    const auto index = free_.back();
    auto& s = slots_[index];
    s.request = *next_;
    const bool writes = s.request.op == kind::write;
    unsigned char* data = common_.data();
    if (s.request.op == kind::read || (writes && options_.model != nullptr)) {
      s.buffer.resize(s.request.length_bytes);
      data = s.buffer.data();
    }
    if (writes && options_.model != nullptr) {
      if (last_number_ == write_model::write_number_max)
        return fail_with({errc::limit_reached, "--verify can tell 4294967294 writes apart; use --limit", 0});
      s.number = ++last_number_;
      options_.model->stamp(s.buffer, s.request.offset_bytes, s.number);
    }
    s.sent = monotonic::now();
    s.intended = options_.paced ? start_ + s.request.intended : s.sent;
    if (active_.empty())
      progressed_ = s.sent;
    if (auto sent = link_.submit(index, s.request, data); !sent)
      return fail_with(sent.error());
    free_.pop_back();
    active_.push_back(index);
    bytes_in_flight_ += s.request.length_bytes;
    if (!options_.paced)
      return;
    const auto late = s.sent - s.intended;
    out_.lateness.record(late);
    out_.late += late >= late_from ? 1 : 0;
  }

  void finish(const nbd_link::completion& done) {
    auto& s = slots_[done.slot];
    progressed_ = done.finished;
    auto& counts = out_.by_operation[index_of(s.request.op)];
    ++counts.requests;
    counts.service.record(done.finished - s.sent);
    if (options_.paced)
      counts.response.record(done.finished - s.intended);
    if (done.error == 0) {
      counts.bytes += s.request.length_bytes;
    } else {
      ++counts.errors;
      if (out_.first_error.empty())
        out_.first_error = fmt::format("{} of {} bytes at offset {}: {}", operation_name(s.request.op),
                                       s.request.length_bytes, s.request.offset_bytes, std::strerror(done.error));
    }
    if (options_.model != nullptr)
      account(s, done.error == 0);
    ++answered_;
    bytes_answered_ += s.request.length_bytes;
    reached_ = std::max(reached_, s.request.intended);
    bytes_in_flight_ -= s.request.length_bytes;
    if (s.buffer.capacity() > buffer_kept_max)
      std::vector<unsigned char>().swap(s.buffer);
    active_.erase(std::find(active_.begin(), active_.end(), done.slot));
    free_.push_back(done.slot);
  }

  // What the request says about the content of the volume, or the volume about the model.
  void account(const slot& s, bool done) {
    const auto& r = s.request;
    if (r.op == kind::read && done) {
      out_.checked_bytes += r.length_bytes;
      const auto wrong = options_.model->check(s.buffer, r.offset_bytes);
      if (!wrong)
        return;
      ++out_.mismatched_requests;
      if (out_.mismatches.size() < mismatches_listed_max)
        out_.mismatches.push_back(*wrong);
      return;
    }
    if (!changes_data(r.op))
      return;
    // A trimmed range may read as zeros or as before; after a failure anything may be there.
    const auto state = !done || r.op == kind::trim ? write_model::unknown
                       : r.op == kind::zero        ? write_model::zeroed
                                                   : s.number;
    if (auto noted = options_.model->set(r.offset_bytes, r.length_bytes, state); !noted)
      fail_with(noted.error());
  }

  std::chrono::nanoseconds patience() const {
    std::chrono::nanoseconds most = progress_every;
    if (options_.duration && !stopping_)
      most = std::min<std::chrono::nanoseconds>(most, start_ + *options_.duration - now_);
    if (next_ && !stopping_ && options_.paced && !free_.empty() && start_ + next_->intended > now_)
      most = std::min<std::chrono::nanoseconds>(most, start_ + next_->intended - monotonic::now());
    return std::max<std::chrono::nanoseconds>(most, 0ns);
  }

  void tell() {
    if (!options_.progress || now_ - told_ < progress_every)
      return;
    told_ = now_;
    options_.progress(answered_, bytes_answered_, reached_);
  }

  nbd_link& link_;
  const request_pull& pull_;
  const replay_options& options_;
  replay_result out_;
  std::vector<slot> slots_;
  std::vector<std::uint32_t> free_, active_;
  std::vector<unsigned char> common_;
  std::vector<nbd_link::completion> done_;
  std::optional<planned_request> next_;
  bool next_was_held_ = false, stopping_ = false;
  write_number last_number_ = 0;
  std::uint64_t bytes_in_flight_ = 0, answered_ = 0, bytes_answered_ = 0;
  std::chrono::nanoseconds reached_{0};
  monotonic::time_point start_, now_, progressed_, told_;
};

} // namespace

void latency_summary::record(std::chrono::nanoseconds t) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(t.count(), 0));
  histogram.record(ns);
  max_ns = std::max(max_ns, ns);
}

double latency_summary::quantile_us(double fraction) const {
  return std::min(histogram.quantile_nanoseconds(fraction), static_cast<double>(max_ns)) / 1e3;
}

std::uint64_t replay_result::requests() const {
  std::uint64_t sum = 0;
  for (const auto& op : by_operation)
    sum += op.requests;
  return sum;
}
std::uint64_t replay_result::errors() const {
  std::uint64_t sum = 0;
  for (const auto& op : by_operation)
    sum += op.errors;
  return sum;
}

std::string_view operation_name(store::trace_operation op) noexcept {
  constexpr std::array<std::string_view, 7> words{"read", "write", "flush", "trim", "zero", "cache", "block status"};
  const auto i = index_of(op);
  return i < words.size() ? words[i] : "?";
}

bool must_wait(const planned_request& in_flight, const planned_request& next) noexcept {
  const bool overlap = in_flight.offset_bytes < next.offset_bytes + next.length_bytes &&
                       next.offset_bytes < in_flight.offset_bytes + in_flight.length_bytes;
  return overlap && (changes_data(in_flight.op) || changes_data(next.op));
}

replay_result run_replay(nbd_link& link, const request_pull& pull, const replay_options& options) {
  return engine(link, pull, options).run();
}

} // namespace gnomon::actors::cli
