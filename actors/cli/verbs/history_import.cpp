// `gnomon history import`: rolls a file up here and hands the rows to the node, message by message, each only when
// the one before is in the history.
#include <poll.h>

#include <filesystem>

#include <fmt/format.h>

#include "actors/cli/import/import_rollup.hpp"
#include "actors/cli/run.hpp"
#include "actors/cli/terminal/progress_display.hpp"
#include "actors/cli/view/replay_report.hpp"
#include "config/json.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr int busy_tries_max = 200; // other imports go first, for some ten seconds
constexpr int busy_wait_ms = 50;

struct import_outcome {
  import_terms terms;
  import_survey found;
  std::uint64_t slots = 0, rows = 0, messages = 0, requests = 0, too_old = 0, beyond = 0;
  std::int64_t from_us = 0, to_us = 0, shift_us = 0;
  std::uint64_t slots_before = 0; // that an interrupted import had brought in
};

template <class Ask>
auto ask_patiently(Ask ask) {
  auto answer = ask();
  for (int tries = 0; !answer && answer.error().code == errc::busy && tries < busy_tries_max; ++tries) {
    ::poll(nullptr, 0, busy_wait_ms);
    answer = ask();
  }
  return answer;
}

import_note note_of(const history_import_command& wanted, const import_outcome& out) {
  import_note note;
  note.digest = out.found.digest;
  note.source = std::filesystem::path(wanted.file).filename().string().substr(0, import_text_length_max);
  // What is too old after the move is left out; without a move the node refuses it.
  note.from_us = out.found.from_us + out.shift_us;
  if (wanted.end_now)
    note.from_us = std::max(note.from_us, out.terms.now_us - out.terms.keep_us);
  note.to_us = out.found.to_us + out.shift_us;
  note.requests = out.found.requests;
  note.again = wanted.again;
  note.now_us = out.terms.now_us;
  note.shift_us = out.shift_us;
  return note;
}

result<import_outcome> import_file(const history_import_command& wanted, client& node, progress_display& display) {
  import_outcome out;
  const auto terms = node.terms_of_import(wanted.volume);
  if (!terms)
    return tl::unexpected(terms.error());
  out.terms = *terms;
  const auto source = import_source::open(wanted, terms->name.value, [&](double part) {
    display.show(fmt::format("reading {:3.0f}%", 100 * part));
    return !interruption::requested();
  });
  if (!source)
    return tl::unexpected(source.error());
  out.found = source->found();
  out.shift_us = wanted.end_now ? terms->now_us - out.found.to_us : 0;
  auto note = note_of(wanted, out);
  if (const auto begun =
          ask_patiently([&] { return node.note_import(volume_ref{out.terms.uuid.to_string()}, note); });
      !begun) {
    return tl::unexpected(begun.error());
  } else {
    // The same rows as the first time, so that the node can leave out those it has.
    out.terms.now_us = begun->now_us;
    out.shift_us = begun->shift_us;
    out.slots_before = begun->slots_before;
  }

  import_rollup rollup(out.terms, out.shift_us);
  std::uint64_t slots_sent = 0;
  const auto started = std::chrono::steady_clock::now();
  std::uint64_t items = 0, bytes = 0;
  const auto show = [&] {
    const std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - started;
    display.show(progress_line(double(items) / double(out.found.items), rollup.requests(), bytes, elapsed));
  };
  const auto send = [&]() -> result<void> {
    for (auto& message : rollup.take()) {
      if (interruption::requested())
        return fail(errc::unavailable, "interrupted; the same import goes on from here");
      message.digest = note.digest;
      message.first_slot = std::exchange(slots_sent, slots_sent + message.slots.size());
      if (slots_sent <= out.slots_before)
        continue;
      const auto receipt =
          ask_patiently([&] { return node.take_in(volume_ref{out.terms.uuid.to_string()}, message); });
      if (!receipt)
        return tl::unexpected(receipt.error());
      out.slots += receipt->slots, out.rows += receipt->rows, ++out.messages;
      show();
    }
    return {};
  };
  auto fed = source->read(
      [&](const import_item& item) -> result<void> {
        rollup.add(item);
        ++items, bytes += item.read_bytes + item.write_bytes;
        return rollup.full() ? send() : result<void>{};
      },
      [](double) { return !interruption::requested(); });
  if (fed)
    fed = send();
  if (!fed)
    return tl::unexpected(fed.error());
  note.finished = true;
  if (const auto ended =
          ask_patiently([&] { return node.note_import(volume_ref{out.terms.uuid.to_string()}, note); });
      !ended)
    return tl::unexpected(ended.error());
  out.requests = rollup.requests(), out.too_old = rollup.too_old(), out.beyond = rollup.beyond();
  out.from_us = rollup.from_us(), out.to_us = rollup.to_us();
  return out;
}

std::string text_of(const history_import_command& wanted, const import_outcome& o) {
  auto out = fmt::format("imported {} of {} from {} into {}: {} in {} ({} to {})\n", counted(o.requests, "request"),
                         o.found.volume, wanted.file, o.terms.name.value, counted(o.rows, "row"),
                         counted(o.slots, "slot"), human_date(o.from_us), human_date(o.to_us));
  const auto note = [&](std::uint64_t n, std::string_view what) {
    if (n > 0)
      out += fmt::format("{} {}\n", counted(n, "record"), what);
  };
  if (o.slots_before > 0)
    out += fmt::format("{} were in the history already, from an import that was interrupted\n",
                       counted(o.slots_before, "slot"));
  note(o.found.skipped, "skipped: they move no data");
  note(o.too_old, "skipped: older than the node keeps");
  note(o.beyond, "beyond the end of the volume: counted as load, in no chunk");
  if (!o.found.has_requests)
    out += "the file counts bytes alone: forecasts of requests learn nothing from it\n";
  for (const auto& column : o.found.unused_columns)
    out += fmt::format("column {} is not used\n", column);
  return out;
}

std::string import_json_of(const history_import_command& wanted, const import_outcome& o) {
  const json out = {{"file", wanted.file},
                    {"from_volume", o.found.volume},
                    {"volume", o.terms.name.value},
                    {"requests", o.requests},
                    {"rows", o.rows},
                    {"slots", o.slots},
                    {"slots_before", o.slots_before},
                    {"messages", o.messages},
                    {"from_us", o.from_us},
                    {"to_us", o.to_us},
                    {"shift_us", o.shift_us},
                    {"skipped", o.found.skipped},
                    {"too_old", o.too_old},
                    {"beyond", o.beyond},
                    {"unused_columns", o.found.unused_columns},
                    {"digest", o.found.digest}};
  return dump_json(out, json_style::pretty) + "\n";
}

} // namespace

int run(const history_import_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  interruption ctrl_c;
  progress_display display(c.io);
  const auto outcome = import_file(wanted, **node, display);
  display.clear();
  if (!outcome)
    return complain(c, outcome.error());
  c.io.out << (c.json ? import_json_of(wanted, *outcome) : text_of(wanted, *outcome));
  return exit_done;
}

} // namespace gnomon::actors::cli
