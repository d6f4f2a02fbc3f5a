#include "actors/cli/replay/replay_plan.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::size_t names_shown_max = 8;

std::string name_list(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), names_shown_max); ++i)
    out += (i == 0 ? "" : ", ") + names[i];
  return names.size() > names_shown_max ? fmt::format("{} and {} more", out, names.size() - names_shown_max) : out;
}
bool selected(const store::trace_reader& reader, const store::trace_record& record, const std::string& only) {
  return only.empty() || reader.volumes()[record.volume] == only;
}
} // namespace

result<trace_survey> survey_trace(const replay_command& wanted, const std::function<bool(double)>& progress) {
  auto reader = store::trace_reader::open(wanted.trace);
  if (!reader)
    return tl::unexpected(reader.error());
  trace_survey out;
  std::vector<store::trace_record> batch;
  std::optional<std::uint64_t> first_us;
  const auto limit = wanted.limit.value_or(UINT64_MAX);
  while (out.records < limit) {
    if (auto got = reader->read(batch); !got)
      return tl::unexpected(got.error());
    if (batch.empty())
      break;
    if (progress && !progress(reader->progress()))
      return fail(errc::unavailable, "interrupted");
    for (const auto& r : batch) {
      if (!selected(*reader, r, wanted.volume))
        continue;
      if (out.records == limit)
        break;
      ++out.records;
      first_us = first_us.value_or(r.time_us);
      out.span_us = std::max(out.span_us, r.time_us > *first_us ? r.time_us - *first_us : 0);
      if (r.op == store::trace_operation::flush || (wanted.reads_only && changes_data(r.op)))
        continue;
      out.extent_bytes = std::max(out.extent_bytes, r.offset_bytes + r.length_bytes);
      out.changes_data = out.changes_data || changes_data(r.op);
      if (r.op == store::trace_operation::write)
        out.write_bytes_max = std::max(out.write_bytes_max, r.length_bytes);
    }
  }
  out.volumes = reader->volumes();
  if (wanted.volume.empty() && !wanted.all_volumes && out.volumes.size() > 1)
    return fail(errc::invalid_argument,
                fmt::format("{} holds {} volumes ({}); choose one with --volume, or --all-volumes", wanted.trace,
                            out.volumes.size(), name_list(out.volumes)));
  if (out.records == 0)
    return fail(errc::invalid_argument,
                out.volumes.empty() ? fmt::format("{} holds no records", wanted.trace)
                                    : fmt::format("{} holds no records of volume {}; its volumes: {}", wanted.trace,
                                                  quote(wanted.volume), name_list(out.volumes)));
  return out;
}

result<replay_planner> replay_planner::make(const replay_command& wanted, const trace_survey& survey,
                                            const export_facts& facts) {
  replay_planner p;
  p.facts_ = facts;
  p.beyond_ = wanted.beyond;
  p.reads_only_ = wanted.reads_only;
  p.speed_ = wanted.speed;
  p.usable_bytes_ = facts.size_bytes - facts.size_bytes % facts.alignment_bytes;
  if (p.usable_bytes_ == 0)
    return fail(errc::invalid_argument, "the export is empty");
  if (facts.read_only && survey.changes_data)
    return fail(errc::permission_denied,
                "the export is read-only and the trace writes; --reads-only leaves that out");
  if (survey.extent_bytes > p.usable_bytes_) {
    if (wanted.beyond == beyond_policy::refuse)
      return fail(
          errc::out_of_range,
          fmt::format("the trace reaches to {} and the export has {}; use --wrap (offsets modulo its size) or "
                      "--scale (shrink all offsets in proportion)",
                      human_bytes(static_cast<double>(survey.extent_bytes)),
                      human_bytes(static_cast<double>(facts.size_bytes))));
    p.scale_ = static_cast<double>(p.usable_bytes_) / static_cast<double>(survey.extent_bytes);
  }
  return p;
}

bool replay_planner::possible(store::trace_operation op) const noexcept {
  using enum store::trace_operation;
  switch (op) {
  case read:
  case write:
    return true;
  case flush:
    return facts_.can_flush;
  case trim:
    return facts_.can_trim;
  case zero:
    return facts_.can_zero;
  case cache:
    return facts_.can_cache;
  case block_status:
    return facts_.can_block_status;
  }
  return false;
}

// Where a request of this aligned length goes; it fits there.
std::uint64_t replay_planner::place(std::uint64_t offset, std::uint64_t length) {
  auto placed = offset;
  if (beyond_ == beyond_policy::scale && scale_ < 1)
    placed = static_cast<std::uint64_t>(static_cast<double>(offset) * scale_);
  else if (beyond_ == beyond_policy::wrap)
    placed = offset % usable_bytes_;
  placed -= placed % facts_.alignment_bytes;
  placed = std::min(placed, usable_bytes_ - length);
  if (placed != offset - offset % facts_.alignment_bytes)
    ++counters_.moved;
  return placed;
}

void replay_planner::plan(const store::trace_record& r, std::vector<planned_request>& out) {
  using enum store::trace_operation;
  ++counters_.records;
  if (!first_us_)
    first_us_ = r.time_us;
  if (speed_ && r.time_us > *first_us_) {
    // Positions fit 2^62, so this many nanoseconds could overflow: a trace of more than 146 years ends there.
    const double ns = static_cast<double>(r.time_us - *first_us_) * 1e3 / *speed_;
    last_ = std::max(last_, std::chrono::nanoseconds(std::llround(std::min(ns, 4.6e18))));
  }
  if (!possible(r.op)) {
    ++counters_.unsupported;
    return;
  }
  if (reads_only_ && changes_data(r.op)) {
    ++counters_.left_out;
    return;
  }
  if (r.op == flush) {
    out.push_back({last_, flush, 0, 0});
    return;
  }
  if (r.length_bytes == 0) {
    ++counters_.left_out;
    return;
  }
  const auto unit = facts_.alignment_bytes;
  const auto shift = r.offset_bytes % unit;
  auto length = (shift + r.length_bytes + unit - 1) / unit * unit;
  if (length != r.length_bytes)
    ++counters_.aligned;
  if (length > usable_bytes_) {
    ++counters_.shortened;
    length = usable_bytes_;
  }
  auto offset = place(r.offset_bytes, length);
  const bool has_payload = r.op == read || r.op == write;
  const auto piece_max = has_payload ? facts_.payload_bytes_max - facts_.payload_bytes_max % unit
                                     : replay_extent_bytes_max - replay_extent_bytes_max % unit;
  if (length > piece_max)
    ++counters_.split;
  for (; length > 0; offset += piece_max) {
    const auto piece = std::min(length, piece_max);
    out.push_back({last_, r.op, offset, piece});
    length -= piece;
  }
}

result<replay_source> replay_source::open(const replay_command& wanted, replay_planner planner) {
  auto reader = store::trace_reader::open(wanted.trace);
  if (!reader)
    return tl::unexpected(reader.error());
  return replay_source(std::move(*reader), std::move(planner), wanted);
}

result<std::optional<planned_request>> replay_source::next() {
  while (ready_at_ == ready_.size()) {
    ready_.clear();
    ready_at_ = 0;
    if (left_ == 0)
      return std::nullopt;
    if (at_ == batch_.size()) {
      at_ = 0;
      if (auto got = reader_.read(batch_, 4096); !got)
        return tl::unexpected(got.error());
      if (batch_.empty())
        return std::nullopt;
    }
    const auto& record = batch_[at_++];
    if (!selected(reader_, record, only_))
      continue;
    --left_;
    planner_.plan(record, ready_);
  }
  return ready_[ready_at_++];
}

} // namespace gnomon::actors::cli
