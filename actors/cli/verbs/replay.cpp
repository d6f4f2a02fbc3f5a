// `gnomon replay`: finds the export, surveys the trace, runs it, reads back what it wrote, prints the report.
#include <unistd.h>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "actors/cli/replay/nbd_target.hpp"
#include "actors/cli/run.hpp"
#include "actors/cli/terminal/progress_display.hpp"
#include "actors/cli/view/replay_report.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::uint64_t read_back_bytes_max = 1u << 20;

result<std::string> target_of(const replay_command& wanted, const trace_survey& survey, node_access& access) {
  if (!wanted.uri.empty())
    return wanted.uri;
  auto name = !wanted.to.empty() ? wanted.to : wanted.volume;
  if (name.empty() && survey.volumes.size() == 1)
    name = survey.volumes.front();
  if (name.empty())
    return fail(errc::invalid_argument, "where to? name a volume of the node with --to, or any export with --uri");
  const auto node = access.get();
  if (!node)
    return tl::unexpected(node.error());
  const auto status = (*node)->status();
  if (!status)
    return tl::unexpected(status.error());
  return nbd_uri(status->nbd, name);
}

// A volume of the node that nobody would miss: without clients and without data. A URI is taken at its word.
result<void> check_unused(const replay_command& wanted, node_access& access) {
  if (wanted.to.empty())
    return {};
  const auto node = access.get();
  if (!node)
    return tl::unexpected(node.error());
  const auto details = (*node)->show({wanted.to});
  if (!details)
    return tl::unexpected(details.error());
  struct stat file {};
  const bool has_data = ::stat(details->path.c_str(), &file) != 0 || !S_ISREG(file.st_mode) || file.st_blocks > 0;
  if (details->summary.connections > 0 || has_data)
    return fail(errc::busy, fmt::format("volume {} {}, which the trace would write over; --yes does it all the same, "
                                        "--reads-only leaves it alone",
                                        details->summary.name.value,
                                        details->summary.connections > 0 ? "has clients" : "has data"));
  return {};
}

replay_result play(const replay_command& wanted, const trace_survey& survey, nbd_link& link, replay_source& source,
                   write_model* model, progress_display& display) {
  replay_options options;
  options.paced = wanted.speed.has_value();
  options.depth = wanted.depth;
  options.write_bytes_max =
      std::min((survey.write_bytes_max / link.facts().alignment_bytes + 2) * link.facts().alignment_bytes,
               link.facts().payload_bytes_max);
  options.duration = wanted.duration;
  options.model = model;
  options.interrupted = [] { return interruption::requested(); };
  const auto started = monotonic::now();
  options.progress = [&](std::uint64_t requests, std::uint64_t bytes, std::chrono::nanoseconds reached) {
    const std::chrono::nanoseconds elapsed = monotonic::now() - started;
    double fraction = wanted.speed && survey.span_us > 0
                          ? static_cast<double>(reached.count()) * *wanted.speed / 1e3 / double(survey.span_us)
                          : double(source.counters().records) / double(survey.records);
    if (wanted.duration)
      fraction = std::max(fraction, double(elapsed.count()) / 1e3 / double(wanted.duration->count()));
    display.show(progress_line(fraction, requests, bytes, elapsed));
  };
  return run_replay(
      link, [&] { return source.next(); }, options);
}

// Everything the model knows, in pieces, at full speed.
replay_result read_back(const replay_command& wanted, nbd_link& link, write_model& model, progress_display& display) {
  std::uint64_t at = 0;
  const auto piece_max = std::min(read_back_bytes_max, link.facts().payload_bytes_max);
  const auto unit = link.facts().alignment_bytes;
  const request_pull next = [&]() -> result<std::optional<planned_request>> {
    const auto known = model.next_known(at, piece_max);
    if (!known)
      return std::nullopt;
    at = known->offset + known->length;
    // What was written was aligned; what a failed write made unknown inside it need not leave aligned pieces.
    const auto from = known->offset / unit * unit, to = (at + unit - 1) / unit * unit;
    return planned_request{{}, store::trace_operation::read, from, to - from};
  };
  const auto started = monotonic::now();
  replay_options options;
  options.paced = false;
  options.depth = wanted.depth;
  options.model = &model;
  options.interrupted = [] { return interruption::requested(); };
  options.progress = [&](std::uint64_t requests, std::uint64_t bytes, std::chrono::nanoseconds) {
    display.show("reading back " + progress_line(double(bytes) / double(model.known_bytes()), requests, bytes,
                                                 monotonic::now() - started));
  };
  return run_replay(link, next, options);
}

} // namespace

int run(const replay_command& asked, context& c) {
  auto wanted = asked;
  const bool named = !wanted.to.empty() || !wanted.uri.empty();
  if (!named && wanted.verify)
    return complain(c, {errc::invalid_argument, "--verify writes: say where to with --to or --uri", 0});
  if (!named && !std::exchange(wanted.reads_only, true))
    c.io.err << "gnomon: only reads are replayed: the volume that was recorded is not written to; --to or --uri says "
                "where writes may go\n";
  interruption ctrl_c;
  progress_display display(c.io);
  const auto survey = survey_trace(wanted, [&](double part) {
    display.show(fmt::format("reading the trace {:3.0f}%", 100 * part));
    return !interruption::requested();
  });
  display.clear();
  if (!survey)
    return complain(c, survey.error());
  const auto target = target_of(wanted, *survey, c.node);
  if (!target)
    return complain(c, target.error());
  if (!wanted.reads_only && survey->write_bytes_max > 0 && !wanted.yes)
    if (const auto free = check_unused(wanted, c.node); !free)
      return complain(c, free.error());
  const auto link = nbd_link::connect(*target, wanted.connections, wanted.depth);
  if (!link)
    return complain(c, link.error());
  auto planner = replay_planner::make(wanted, *survey, (*link)->facts());
  if (!planner)
    return complain(c, planner.error());
  auto source = replay_source::open(wanted, std::move(*planner));
  if (!source)
    return complain(c, source.error());
  (void)::prctl(PR_SET_TIMERSLACK, 1'000UL, 0UL, 0UL, 0UL); // wake up when asked to, not 50 us later

  replay_outcome outcome;
  outcome.trace = wanted.trace;
  outcome.target = *target;
  outcome.speed = wanted.speed;
  outcome.run = static_cast<std::uint64_t>(monotonic::now().time_since_epoch().count()) ^
                static_cast<std::uint64_t>(::getpid()) << 48;
  write_model model(outcome.run);
  outcome.main = play(wanted, *survey, **link, *source, wanted.verify ? &model : nullptr, display);
  outcome.plan = source->counters();
  if (wanted.verify && !outcome.main.failed)
    outcome.read_back = read_back(wanted, **link, model, display);
  display.clear();

  c.io.out << (c.json ? report_json(outcome) : report_text(outcome));
  for (const auto* part : {&outcome.main, outcome.read_back ? &*outcome.read_back : nullptr})
    if (part != nullptr && part->failed)
      return complain(c, *part->failed);
  if (outcome.main.end == replay_end::interrupted)
    return complain(c, {errc::unavailable, "interrupted", 0});
  const auto wrong =
      outcome.main.mismatched_requests + (outcome.read_back ? outcome.read_back->mismatched_requests : 0);
  if (wrong > 0)
    return complain(c, {errc::corrupt, fmt::format("{} did not return what was written", counted(wrong, "read")), 0});
  const auto errors = outcome.main.errors() + (outcome.read_back ? outcome.read_back->errors() : 0);
  if (errors > 0)
    return complain(c, {errc::io_failed, fmt::format("{} failed", counted(errors, "request")), 0});
  return outcome.good() ? exit_done : exit_failed;
}

} // namespace gnomon::actors::cli
