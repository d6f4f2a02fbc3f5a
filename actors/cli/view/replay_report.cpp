#include "actors/cli/view/replay_report.hpp"

#include <cmath>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/json.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;
constexpr std::array<std::pair<const char*, double>, 4> quantiles{
    {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}}};

double seconds(std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1e9; }

std::vector<std::string> latency_cells(const latency_summary& l) {
  std::vector<std::string> cells;
  for (const auto& [name, fraction] : quantiles)
    cells.push_back(human_time_us(l.quantile_us(fraction)));
  cells.push_back(human_time_us(static_cast<double>(l.max_ns) / 1e3));
  return cells;
}

json latency_value(const latency_summary& l) {
  json out = {{"count", l.histogram.count()}};
  for (const auto& [name, fraction] : quantiles)
    out[fmt::format("{}_us", name)] = l.quantile_us(fraction);
  out["max_us"] = static_cast<double>(l.max_ns) / 1e3;
  out["mean_us"] = l.histogram.mean_nanoseconds() / 1e3;
  auto buckets = json::array();
  for (std::size_t i = 0; i < io::latency_histogram::bucket_count; ++i)
    if (const auto n = l.histogram.count_in(i); n > 0)
      buckets.push_back({io::latency_histogram::lower_bound(i), n});
  out["buckets_from_ns"] = buckets; // [lower bound, count]
  return out;
}

std::string_view end_word(const replay_result& r) {
  if (r.failed)
    return "failed";
  switch (r.end) {
  case replay_end::finished:
    return "finished";
  case replay_end::duration:
    return "duration";
  case replay_end::interrupted:
    return "interrupted";
  }
  return "?";
}

json result_value(const replay_result& r, bool paced) {
  json operations = json::object();
  for (std::size_t i = 0; i < replay_operations.size(); ++i) {
    const auto& op = r.by_operation[i];
    if (op.requests == 0)
      continue;
    json value = {{"requests", op.requests},
                  {"bytes", op.bytes},
                  {"errors", op.errors},
                  {"latency", latency_value(op.service)}};
    if (paced)
      value["latency_from_intended"] = latency_value(op.response);
    operations[std::string(operation_name(replay_operations[i]))] = std::move(value);
  }
  json out = {{"end", end_word(r)},      {"elapsed_s", seconds(r.elapsed)}, {"requests", r.requests()},
              {"errors", r.errors()},    {"unanswered", r.unanswered},      {"first_error", r.first_error},
              {"operations", operations}};
  if (paced)
    out["lateness"] = latency_value(r.lateness);
  return out;
}
} // namespace

bool replay_outcome::good() const {
  const auto clean = [](const replay_result& r) {
    return !r.failed && r.end != replay_end::interrupted && r.errors() == 0 && r.mismatched_requests == 0;
  };
  return clean(main) && (!read_back || clean(*read_back));
}

std::string report_text(const replay_outcome& o) {
  const auto& r = o.main;
  const double elapsed = std::max(seconds(r.elapsed), 1e-9);
  std::uint64_t bytes = 0;
  for (const auto& op : r.by_operation)
    bytes += op.bytes;
  auto out =
      fmt::format("{} requests in {}, {} requests/s, {} MB/s{}\n\n", r.requests(),
                  human_time_us(seconds(r.elapsed) * 1e6), human_count(static_cast<double>(r.requests()) / elapsed),
                  human_count(static_cast<double>(bytes) / elapsed / 1e6),
                  r.end == replay_end::finished ? "" : fmt::format(" ({})", end_word(r)));
  table t({{"LATENCY"},
           {"REQUESTS", align::right},
           {"DATA", align::right},
           {"ERRORS", align::right},
           {"p50", align::right},
           {"p90", align::right},
           {"p99", align::right},
           {"p99.9", align::right},
           {"max", align::right}});
  const auto add = [&](std::string name, const operation_result& op, const latency_summary& latency) {
    std::vector<std::string> cells{std::move(name), fmt::format("{}", op.requests),
                                   human_bytes(static_cast<double>(op.bytes)), fmt::format("{}", op.errors)};
    const auto times = latency_cells(latency);
    cells.insert(cells.end(), times.begin(), times.end());
    t.row(std::move(cells));
  };
  for (std::size_t i = 0; i < replay_operations.size(); ++i) {
    const auto& op = r.by_operation[i];
    if (op.requests == 0)
      continue;
    add(std::string(operation_name(replay_operations[i])), op, op.service);
    if (o.speed)
      add("  from its time in the trace", op, op.response);
  }
  if (t.rows() > 0)
    out += t.to_string();
  if (o.speed && r.lateness.histogram.count() > 0)
    out += fmt::format("\nsent late: p50 {}, p99 {}, max {}; {} of {} by {} ms or more\n",
                       human_time_us(r.lateness.quantile_us(.5)), human_time_us(r.lateness.quantile_us(.99)),
                       human_time_us(static_cast<double>(r.lateness.max_ns) / 1e3), r.late,
                       r.lateness.histogram.count(), late_from.count());
  const auto note = [&](std::uint64_t n, std::string_view what) {
    if (n > 0)
      out += fmt::format("{} {}\n", counted(n, "record"), what);
  };
  note(o.plan.moved, "moved to fit the export");
  note(o.plan.aligned, "grown to the export's alignment");
  note(o.plan.shortened, "shortened to the export's size");
  note(o.plan.split, "sent as several requests");
  note(o.plan.unsupported, "left out: the export cannot do that");
  note(o.plan.left_out, "left out");
  if (r.held_back > 0)
    out += fmt::format("{} waited for one it overlaps\n", counted(r.held_back, "request"));
  if (r.unanswered > 0)
    out += fmt::format("{} unanswered\n", counted(r.unanswered, "request"));
  if (!r.first_error.empty())
    out += fmt::format("first error: {}\n", r.first_error);
  const auto checks = [&](const replay_result& checked, std::string_view when) {
    out +=
        fmt::format("verify, {}: {} read back, {}\n", when, human_bytes(static_cast<double>(checked.checked_bytes)),
                    checked.mismatched_requests == 0 ? "all as written"
                                                     : counted(checked.mismatched_requests, "read") + " WRONG");
    for (const auto& mismatch : checked.mismatches)
      out += "  " + mismatch + "\n";
  };
  if (o.read_back) {
    checks(r, "during the replay");
    checks(*o.read_back, "at the end");
    if (!o.read_back->first_error.empty())
      out += fmt::format("first error: {}\n", o.read_back->first_error);
  }
  return out;
}

std::string report_json(const replay_outcome& o) {
  auto out = result_value(o.main, o.speed.has_value());
  json head = {{"trace", o.trace}, {"target", o.target}, {"good", o.good()}};
  head["speed"] = o.speed ? json(*o.speed) : json("max");
  head["error"] = o.main.failed ? json(o.main.failed->to_string()) : json(nullptr);
  head.update(out);
  head["late_requests"] = o.main.late;
  head["records"] = {{"planned", o.plan.records},     {"moved", o.plan.moved}, {"aligned", o.plan.aligned},
                     {"shortened", o.plan.shortened}, {"split", o.plan.split}, {"unsupported", o.plan.unsupported},
                     {"left_out", o.plan.left_out}};
  if (o.read_back) {
    const auto checks = [](const replay_result& r) {
      return json{{"bytes", r.checked_bytes}, {"wrong_reads", r.mismatched_requests}, {"mismatches", r.mismatches}};
    };
    head["verify"] = {{"held_back", o.main.held_back},
                      {"during", checks(o.main)},
                      {"at_end", checks(*o.read_back)},
                      {"at_end_errors", o.read_back->errors()}};
  }
  return dump_json(head, json_style::pretty) + "\n";
}

std::string progress_line(double fraction, std::uint64_t requests, std::uint64_t bytes,
                          std::chrono::nanoseconds elapsed) {
  constexpr std::size_t width = 24;
  const double done = std::isfinite(fraction) ? std::min(std::max(fraction, 0.0), 1.0) : 0;
  const auto filled = static_cast<std::size_t>(done * width);
  const double s = std::max(seconds(elapsed), 1e-9);
  std::string bar(filled, '=');
  bar += filled < width ? ">" : "";
  bar.resize(width, ' ');
  const auto eta = done > 0.001 ? human_span(std::chrono::seconds(std::llround(s * (1 - done) / done))) : "?";
  return fmt::format("[{}] {:3.0f}%  {} requests/s  {} MB/s  ETA {}", bar, 100 * done,
                     human_count(static_cast<double>(requests) / s),
                     human_count(static_cast<double>(bytes) / s / 1e6), eta);
}

} // namespace gnomon::actors::cli
