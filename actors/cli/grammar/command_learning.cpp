#include "actors/cli/grammar/command_learning.hpp"

#include <charconv>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "actors/cli/grammar/options.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {
template <class Each>
result<void> for_each_part(std::string_view text, Each&& each) {
  for (;;) {
    const auto comma = text.find(',');
    if (auto done = each(text.substr(0, comma)); !done)
      return done;
    if (comma == std::string_view::npos)
      return {};
    text.remove_prefix(comma + 1);
  }
}

} // namespace

result<std::vector<std::chrono::microseconds>> parse_durations(std::string_view text) {
  std::vector<std::chrono::microseconds> out;
  const auto done = for_each_part(text, [&](std::string_view part) -> result<void> {
    const auto parsed = parse_duration(part);
    if (!parsed)
      return tl::unexpected(parsed.error());
    if (parsed->count() <= 0)
      return fail(errc::invalid_argument, "a duration here is longer than nothing");
    out.push_back(*parsed);
    return {};
  });
  if (!done)
    return tl::unexpected(done.error());
  return out;
}

result<std::vector<std::size_t>> parse_counts(std::string_view text) {
  std::vector<std::size_t> out;
  const auto done = for_each_part(text, [&](std::string_view part) -> result<void> {
    std::size_t n = 0;
    const auto end = std::from_chars(part.data(), part.data() + part.size(), n);
    if (end.ec != std::errc{} || end.ptr != part.data() + part.size() || n == 0)
      return fail(errc::invalid_argument, fmt::format("{} is not a number from 1 up", quote(part)));
    out.push_back(n);
    return {};
  });
  if (!done)
    return tl::unexpected(done.error());
  return out;
}

result<std::vector<double>> parse_percentages(std::string_view text) {
  std::vector<double> out;
  const auto done = for_each_part(text, [&](std::string_view part) -> result<void> {
    const auto parsed = parse_percentage(part);
    if (!parsed)
      return tl::unexpected(parsed.error());
    if (!(*parsed > 0) || *parsed > 1)
      return fail(errc::invalid_argument, "a share of space is more than 0% and at most 100%");
    out.push_back(*parsed);
    return {};
  });
  if (!done)
    return tl::unexpected(done.error());
  return out;
}

void add_history(CLI::App& app, history_import_command& s, std::function<void()> chosen) {
  auto* history = app.add_subcommand("history", "what a node knows of the past");
  history->require_subcommand(1);
  auto* import =
      history->add_subcommand("import", "learn from a trace or a series of counters as if it had happened");
  import->add_option("FILE", s.file, "a trace, or a CSV of time_us,volume,reads,writes,...; plain, .gz or .zst")
      ->required()
      ->type_name("");
  import->add_option("--volume", s.volume.text, "whose history it becomes")->required()->type_name("NAME");
  import
      ->add_option("--from", s.source, "which of the file's volumes (default: the one of that name, or the only one)")
      ->type_name("NAME");
  add(
      import, "--as", s.format,
      [](const std::string& text) -> result<import_format> {
        if (text == "trace" || text == "series")
          return text == "trace" ? import_format::trace : import_format::series;
        return fail(errc::invalid_argument, "expected trace or series");
      },
      "what the file is (default: what its first line says)", "trace|series");
  add(
      import, "--end-at", s.end_now,
      [](const std::string& text) -> result<bool> {
        if (text == "now")
          return true;
        return fail(errc::invalid_argument, "expected now");
      },
      "move it in time so that it ends now", "now");
  import->add_flag("--again", s.again, "although it was imported before: it counts twice then");
  import->callback(std::move(chosen));
}

void add_simulate(CLI::App& app, simulate_command& s, std::function<void()> chosen) {
  auto* simulate = app.add_subcommand(
      "simulate", "score what would have been predicted, placed or snapshotted during a trace (no node)");
  simulate->add_option("TRACE", s.trace, "time_us,volume,op,offset_bytes,length_bytes; plain, .gz or .zst")
      ->required()
      ->type_name("");
  auto* topology = simulate->add_option_function<std::string>(
      "--topology",
      [&s](const std::string& file) {
        s.topology = file;
        s.subject = simulate_subject::placement;
      },
      "place data near the readers on these nodes, beside caches and an oracle");
  topology->type_name("FILE");
  add(simulate, "--space", s.space, parse_percentages, "with --topology: shares of what the reads touch (5%,10%)",
      "LIST")
      ->needs(topology);
  simulate
      ->add_flag_callback(
          "--snapshots", [&s] { s.subject = simulate_subject::snapshots; },
          "when snapshots would have been taken, and the load they would have met")
      ->excludes(topology);
  simulate
      ->add_flag_callback(
          "--plan", [&s] { s.subject = simulate_subject::plan; }, "TRACE is a planner's input: print what is decided")
      ->excludes(topology)
      ->excludes("--snapshots");
  simulate->add_option("--volume", s.volume, "only this volume's records")->type_name("NAME");
  add(simulate, "--horizons", s.horizons, parse_durations, "how far ahead, multiples of 10 s (5m,30m,2h)", "LIST");
  add(simulate, "--set-sizes", s.set_sizes, parse_counts, "how many hot chunks to name (8,32)", "LIST");
  const auto duration = [](const std::string& text) { return parse_duration(text); };
  const auto size = [](const std::string& text) { return parse_size(text); };
  add(simulate, "--forecast-every", s.forecast_every, duration,
      "per volume and horizon at most this often; 0s: in every slot (30m)", "DURATION");
  add(simulate, "--score-after", s.score_after, duration, "learn this long before anything is scored (0s)",
      "DURATION");
  add(simulate, "--size", s.size, size, "of every volume (default: the end of the farthest request)", "SIZE");
  add(simulate, "--chunk-size", s.chunk_size, size, "of every volume (default: by the volume's size)", "SIZE");
  simulate->callback(std::move(chosen));
}

} // namespace gnomon::actors::cli
