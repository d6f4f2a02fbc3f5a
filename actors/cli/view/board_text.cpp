#include "actors/cli/view/board_text.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {

std::string ahead_text(std::int64_t us) { return human_span(std::chrono::seconds(us / 1'000'000)); }
std::string age_of(std::int64_t when_us, std::int64_t now_us) {
  return when_us == 0 ? "-" : ahead_text(std::max<std::int64_t>(0, now_us - when_us));
}
std::string part(double share) { return fmt::format("{:.0f}%", 100 * share); }
std::string name_or(const std::string& name, const char* otherwise) {
  return name.empty() ? otherwise : printable(name, 40);
}

double load_of(const board_horizon& h, load_kind kind) {
  for (const auto& row : h.loads)
    if (row.load == kind)
      return row.per_second;
  return 0;
}

// "12.5 (8 to 17)" of the requests.
std::string expectation(const std::vector<board_horizon>& all, std::size_t at) {
  if (at >= all.size())
    return "-";
  for (const auto& row : all[at].loads)
    if (row.load == load_kind::requests)
      return fmt::format("{} ({} to {})", human_count(row.per_second), human_count(row.low), human_count(row.high));
  return "-";
}

std::string error_of(const board_horizon& h) {
  return h.origins == 0 ? "not known yet"
                        : fmt::format("{:.2f} (naive {:.2f})", double(h.served_mase), double(h.naive_mase));
}

void sums(std::string& out, const board_view& view) {
  table t({{"TOGETHER"}, {"SUBJECTS", table::align::right}, {"WITHIN"}, {"REQUESTS/S"}, {"BYTES/S"}, {"OLDEST"}});
  const auto add = [&](const board_sum& sum, const std::string& name) {
    for (std::size_t i = 0; i < sum.horizons.size(); ++i)
      t.row({i == 0 ? name : "", i == 0 ? fmt::format("{}", sum.subjects) : "", ahead_text(sum.horizons[i].ahead_us),
             expectation(sum.horizons, i), human_bytes(load_of(sum.horizons[i], load_kind::bytes)),
             i == 0 ? age_of(sum.oldest_us, view.now_us) : ""});
  };
  add(view.node, "node " + printable(view.node.name, 40));
  for (const auto& sum : view.applications)
    add(sum, printable(sum.name, 40));
  if (t.rows() > 0)
    out += "\n" + t.to_string();
}

std::string all_volumes(const board_view& view) {
  std::string out = fmt::format("{} on the board, {}; made {} ago; {}{}\n", counted(view.volumes_known, "volume"),
                                counted(view.users_known, "user"), age_of(view.made_us, view.now_us),
                                human_bytes(static_cast<double>(view.bytes)),
                                view.refused > 0 ? fmt::format("; {} entries found no room", view.refused) : "");
  sums(out, view);
  if (view.volumes.empty())
    return out;
  table t({{"VOLUME"},
           {"REQUESTS/S SOON"},
           {"LATER"},
           {"BURST", table::align::right},
           {"ERROR"},
           {"CHUNKS", table::align::right},
           {"USERS", table::align::right},
           {"FITTED", table::align::right}});
  for (std::size_t i = 0; i < std::min(view.volumes.size(), board_lines_max); ++i) {
    const auto& v = view.volumes[i];
    const bool known = !v.horizons.empty();
    t.row({printable(v.name.value, 40), expectation(v.horizons, 0),
           known ? expectation(v.horizons, v.horizons.size() - 1) : "-",
           known ? part(v.horizons.back().burst_chance) : "-", known ? error_of(v.horizons.front()) : "-",
           fmt::format("{}", v.chunks_known), fmt::format("{}", v.users_known), age_of(v.fitted_us, view.now_us)});
  }
  out += "\n" + t.to_string();
  if (view.volumes_known > std::min(view.volumes.size(), board_lines_max))
    out += fmt::format("… and {} more; --json lists {}\n",
                       view.volumes_known - std::min(view.volumes.size(), board_lines_max), view.volumes.size());
  return out;
}

std::string chunk_list(const std::vector<board_hot_chunk>& chunks) {
  std::string out;
  for (std::size_t i = 0; i < std::min(chunks.size(), board_chunk_lines); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : " ", chunks[i].chunk.value);
  if (chunks.size() > board_chunk_lines)
    out += fmt::format(" +{}", chunks.size() - board_chunk_lines);
  return out.empty() ? "none" : out;
}

void hot_sets(std::string& out, const board_volume& v) {
  table t(
      {{"HOT WITHIN"}, {"FOR"}, {"CHUNKS"}, {"READS", table::align::right}, {"RIGHT LATELY", table::align::right}});
  const auto add = [&](const std::vector<board_hot_set>& sets, const std::string& whom) {
    for (const auto& set : sets) {
      double bytes = 0;
      for (const auto& hot : set.chunks)
        bytes += hot.read_bytes;
      t.row({ahead_text(set.ahead_us), whom, chunk_list(set.chunks), human_bytes(bytes),
             set.windows_scored > 0 ? part(set.recall) : "not known yet"});
    }
  };
  add(v.hot_sets, "all");
  for (std::size_t i = 0; i < std::min(v.users.size(), board_lines_max); ++i)
    add(v.users[i].hot_sets, name_or(v.users[i].instance.value, "anonymous"));
  if (t.rows() > 0)
    out += "\n" + t.to_string();
}

void load_ahead(std::string& out, const board_volume& v) {
  table t({{"WITHIN"},
           {"REQUESTS/S"},
           {"READS/S"},
           {"WRITES/S"},
           {"BYTES/S"},
           {"BURST", table::align::right},
           {"ERROR"}});
  for (std::size_t i = 0; i < v.horizons.size(); ++i) {
    const auto& h = v.horizons[i];
    t.row({ahead_text(h.ahead_us), expectation(v.horizons, i), human_count(load_of(h, load_kind::reads)),
           human_count(load_of(h, load_kind::writes)), human_bytes(load_of(h, load_kind::bytes)),
           part(h.burst_chance), error_of(h)});
  }
  if (t.rows() > 0)
    out += "\n" + t.to_string();
  if (!v.horizons.empty() && !v.enough_past)
    out += "there is too little past to judge this: it says little more than \"as now\"\n";
}

void users(std::string& out, const board_volume& v) {
  table t({{"INSTANCE"}, {"APPLICATION"}, {"OF THE VOLUME", table::align::right}, {"REQUESTS/S SOON"}});
  for (std::size_t i = 0; i < std::min(v.users.size(), board_lines_max); ++i) {
    const auto& u = v.users[i];
    t.row({name_or(u.instance.value, "anonymous"), name_or(u.application, "-"), part(u.share),
           expectation(u.horizons, 0)});
  }
  if (t.rows() > 0)
    out += "\n" + t.to_string();
}

void warmest(std::string& out, const board_view& view, const board_volume& v) {
  table t({{"CHUNK", table::align::right},
           {"REQUESTS/S", table::align::right},
           {"READS", table::align::right},
           {"TREND"},
           {"LAST", table::align::right}});
  for (std::size_t i = 0; i < std::min(v.chunks.size(), board_chunk_lines); ++i) {
    const auto& c = v.chunks[i];
    t.row({fmt::format("{}", c.chunk.value), human_rate(c.requests), part(c.read_share),
           fmt::format("{} ({:.1f}x)", printable(c.trend, 16), double(c.trend_factor)),
           age_of(c.last_us, view.now_us) + " ago"});
  }
  if (t.rows() > 0)
    out += "\n" + t.to_string();
}

std::string one_volume(const board_view& view, const board_volume& v) {
  std::string out = fmt::format(
      "{}: {} of {}; load forecast {} ago, heat {} ago; {} warm\n", printable(v.name.value, 128),
      human_bytes(static_cast<double>(v.size.value)), human_bytes(static_cast<double>(v.chunk_size.value)),
      age_of(v.fitted_us, view.now_us), age_of(v.heat_us, view.now_us), counted(v.chunks_known, "chunk"));
  load_ahead(out, v);
  for (std::size_t i = 0; i < std::min<std::size_t>(v.quiet.size(), 5); ++i)
    out +=
        fmt::format("{}quiet from {} for {} ({} of the mean)\n", i == 0 ? "\n" : "", human_date(v.quiet[i].start_us),
                    ahead_text(v.quiet[i].end_us - v.quiet[i].start_us), part(v.quiet[i].fraction_of_mean));
  hot_sets(out, v);
  users(out, v);
  warmest(out, view, v);
  return out;
}

} // namespace

std::string board_text(const board_view& view, std::string_view volume) {
  if (volume.empty())
    return all_volumes(view);
  if (view.volumes.empty())
    return fmt::format("{} is not on the prediction board yet; it is taken up within a minute\n", quote(volume));
  return one_volume(view, view.volumes.front());
}

} // namespace gnomon::actors::cli
