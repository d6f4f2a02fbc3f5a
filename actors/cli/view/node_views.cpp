#include "actors/cli/view/node_views.hpp"

#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;

std::string age(std::int64_t since_us, std::int64_t now_us) {
  return since_us == 0 ? "-" : human_span(std::chrono::seconds((now_us - since_us) / 1'000'000));
}
double per_second(const volume_rates& v, finite operation_rates::*what) {
  return v.read.*what + v.write.*what + v.other.*what;
}
std::string volume_of_bytes(double value) { return value == 0 ? "-" : human_count(value / 1e6); }
std::string latency(double us) { return us == 0 ? "-" : human_time_us(us); }
} // namespace

std::string status_text(const node_status& s, std::int64_t now_us, bool colour) {
  std::string out;
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty())
      out += fmt::format("{:<13}{}\n", what, value);
  };
  const bool well = s.problems.empty() && s.state == node_state::serving;
  line("node", s.node.value);
  line("state", styled(to_string(s.state), well ? style::green : style::yellow, colour));
  line("version", s.version);
  line("pid", fmt::format("{}, up {}", s.pid, age(s.started_us, now_us)));
  line("data", s.data_dir);
  line("last stop", s.previous_stop);
  line("nbd", fmt::format("{}", fmt::join(s.nbd, " ")));
  line("cluster", fmt::format("{}", fmt::join(s.cluster, " ")));
  line("admin", fmt::format("{}", fmt::join(s.admin, " ")));
  line("volumes", fmt::format("{}", s.volumes));
  line("connections", fmt::format("{}", s.connections));
  line("rings", fmt::format("{}", s.rings.size()));
  line("actors", fmt::format("{}", s.actors));
  line("settings", s.generation_in_force == s.generation_wanted
                       ? fmt::format("generation {}", s.generation_in_force)
                       : fmt::format("generation {}; {} is not in force yet", s.generation_in_force, s.generation_wanted));
  for (const auto& change : s.waiting)
    line("waiting", printable(change, 300));
  for (const auto& warning : s.warnings)
    line("note", printable(warning, 300));
  line("health", s.problems.empty() ? styled("no problems", style::green, colour) : "");
  for (const auto& problem : s.problems)
    line("problem", styled(printable(problem, 300), style::red, colour));
  return out;
}

std::string reload_text(const reload_report& r, reload_mode mode) {
  const bool dry = mode == reload_mode::dry_run;
  std::string out;
  if (!r.file_problems.empty())
    return fmt::format("the file is refused, nothing {}:\n{}\n", dry ? "would change" : "has changed", r.file_problems);
  const auto list = [&out](std::string_view what, const std::vector<std::string>& lines) {
    for (const auto& text : lines)
      out += fmt::format("{:<9}{}\n", what, printable(text, 300));
  };
  list(dry ? "would" : "changed", r.followed);
  list("waiting", r.waiting);
  list("refused", r.refused);
  list("note", r.warnings);
  if (r.followed.empty() && r.waiting.empty())
    out += "nothing differs from the settings in force\n";
  if (dry)
    return out;
  out += r.in_force >= r.generation
             ? fmt::format("settings of generation {} are in force\n", r.in_force)
             : fmt::format("settings of generation {} are not in force yet, those of {} are; it is tried on\n",
                           r.generation, r.in_force);
  return out;
}

std::string actors_text(const std::vector<actor_info>& actors, std::int64_t now_us, bool colour) {
  std::set<std::string> names;
  std::map<std::string, std::vector<const actor_info*>> children;
  for (const auto& actor : actors)
    names.insert(actor.name);
  for (const auto& actor : actors) {
    const bool root = actor.parent == actor.name || !names.contains(actor.parent);
    children[root ? std::string() : actor.parent].push_back(&actor);
  }
  table t({{"ACTOR"},
           {"STATE"},
           {"UP", align::right},
           {"RESTARTS", align::right},
           {"MAILBOX", align::right},
           {""}});
  std::set<const actor_info*> drawn; // a circle of parents cannot hang us
  std::function<void(const actor_info&, const std::string&, const std::string&)> draw =
      [&](const actor_info& a, const std::string& own, const std::string& below) {
        if (!drawn.insert(&a).second)
          return;
        std::string activity = a.report.activity;
        if (!a.answered && a.state == actor_state::running)
          activity = "no answer: busy or stuck";
        if (!a.last_error.empty())
          activity += fmt::format("{}last ended: {}", activity.empty() ? "" : "; ", a.last_error);
        t.row({own + a.name, std::string(to_string(a.state)), age(a.started_us, now_us),
               fmt::format("{}", a.restarts), a.answered ? fmt::format("{}", a.report.mailbox) : "?", activity});
        const auto found = children.find(a.name);
        if (found == children.end())
          return;
        for (const auto* child : found->second) {
          const bool last = child == found->second.back();
          draw(*child, below + (last ? "└─ " : "├─ "), below + (last ? "   " : "│  "));
        }
      };
  for (const auto* root : children[std::string()])
    draw(*root, "", "");
  for (const auto& actor : actors) // what hangs in a circle is still shown
    draw(actor, "", "");
  auto text = t.to_string();
  if (!colour)
    return text;
  std::string out;
  std::size_t from = 0;
  for (std::size_t end = 0; (end = text.find('\n', from)) != std::string::npos; from = end + 1) {
    const std::string_view row(text.data() + from, end - from);
    const bool bad = row.find("given_up") != row.npos || row.find("no answer") != row.npos;
    const auto look = from == 0 ? style::bold : bad ? style::red : style::plain;
    out += styled(row, row.find("backing_off") != row.npos ? style::yellow : look, true) + "\n";
  }
  return out;
}

std::string top_text(const telemetry_snapshot& s, bool colour) {
  double reads = 0, writes = 0, bytes = 0;
  std::uint64_t idle = 0;
  table t({{"VOLUME"},
           {"READ/s", align::right},
           {"WRITE/s", align::right},
           {"OTHER/s", align::right},
           {"READ MB/s", align::right},
           {"WRITE MB/s", align::right},
           {"READ p50", align::right},
           {"p99", align::right},
           {"WRITE p50", align::right},
           {"p99", align::right},
           {"CONN", align::right},
           {"BUSY", align::right},
           {"ERR/s", align::right}});
  for (const auto& v : s.volumes) {
    reads += v.read.requests_per_second;
    writes += v.write.requests_per_second;
    bytes += per_second(v, &operation_rates::bytes_per_second);
    const bool quiet = per_second(v, &operation_rates::requests_per_second) == 0 && v.connections == 0;
    if (quiet && t.rows() >= 20) {
      ++idle;
      continue;
    }
    t.row({v.name.value, human_rate(v.read.requests_per_second), human_rate(v.write.requests_per_second),
           human_rate(v.other.requests_per_second), volume_of_bytes(v.read.bytes_per_second),
           volume_of_bytes(v.write.bytes_per_second), latency(v.read.p50_us), latency(v.read.p99_us),
           latency(v.write.p50_us), latency(v.write.p99_us), fmt::format("{}", v.connections),
           fmt::format("{}", v.in_flight), human_rate(per_second(v, &operation_rates::errors_per_second))});
  }
  auto out =
      fmt::format("{}  {} reads/s, {} writes/s, {} MB/s\n\n", styled(human_date(s.taken_us), style::bold, colour),
                  human_count(reads), human_count(writes), human_count(bytes / 1e6));
  out += t.to_string();
  if (idle > 0)
    out += fmt::format("and {}\n", counted(idle, "idle volume"));
  table rings({{"RING", align::right},
               {"CPU", align::right},
               {"CONN", align::right},
               {"REQUESTS", align::right},
               {"PER TURN", align::right},
               {"BUFFERS", align::right}});
  for (const auto& r : s.rings)
    rings.row({fmt::format("{}", r.index), fmt::format("{:.0f}%", 100 * double(r.cpu_fraction)),
               fmt::format("{}", r.connections), human_count(static_cast<double>(r.requests)),
               fmt::format("{:.1f}", double(r.requests_per_turn)), human_bytes(static_cast<double>(r.buffer_bytes))});
  return out + "\n" + rings.to_string();
}

} // namespace gnomon::actors::cli
