#include "actors/cli/view/instance_view.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "actors/cli/terminal/terminal.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;

std::string ago(std::int64_t when_us, std::int64_t now_us) {
  if (when_us == 0)
    return "-";
  return human_span(std::chrono::seconds(std::max<std::int64_t>(now_us - when_us, 0) / 1'000'000)) + " ago";
}
std::string or_dash(std::string text) { return text.empty() ? "-" : text; }
std::string bytes(double count) { return count <= 0 ? "-" : human_bytes(std::floor(count)); }
std::string share_text(double share) { return fmt::format("{:.0f}%", 100 * share); }
std::string source_of(const instance_summary& i) {
  return i.in_config ? (i.set_by_hand ? "config, set" : "config") : i.set_by_hand ? "set" : "seen";
}

std::string sla_of(const instance_metadata& m) {
  std::string out;
  if (m.read_p99_us > 0)
    out += "99% of reads within " + format_duration(std::chrono::microseconds(m.read_p99_us));
  if (m.rpo_us > 0)
    out += fmt::format("{}at most {} of data lost", out.empty() ? "" : ", ",
                       format_duration(std::chrono::microseconds(m.rpo_us)));
  return out;
}

// "half within 40us, 99% within 1.2ms"; empty: none were answered lately.
std::string latency_of(const latency_quantiles& took, std::int64_t promised_us) {
  if (took.p99_us <= 0)
    return {};
  auto out = fmt::format("half within {}, 99% within {}", human_time_us(took.p50_us), human_time_us(took.p99_us));
  if (promised_us > 0)
    out += took.p99_us <= static_cast<double>(promised_us) ? ": as promised" : ": longer than promised";
  return out;
}

std::string volumes_of(const instance_details& d) {
  if (d.volumes.empty())
    return {};
  table t({{"VOLUME"},
           {"REQUESTS", align::right},
           {"BYTES", align::right},
           {"WRITES", align::right},
           {"OF VOLUME", align::right},
           {"CHUNKS", align::right},
           {"BUSIEST (ITS SHARE)"}});
  for (const auto& v : d.volumes) {
    std::string busiest;
    for (std::size_t i = 0; i < std::min<std::size_t>(v.chunks.size(), 4); ++i)
      busiest += fmt::format("{}{} ({})", i == 0 ? "" : " ", v.chunks[i].chunk.value, share_text(v.chunks[i].share));
    t.row({printable(v.name.value, 128), human_count(v.requests), bytes(v.bytes), share_text(v.write_share),
           share_text(v.share), fmt::format("{}", v.chunk_count), busiest});
  }
  return "\n" + t.to_string();
}

std::string hot_sets_of(const instance_details& d) {
  table t({{"HOT IN THE NEXT"},
           {"VOLUME"},
           {"CHUNKS"},
           {"EXPECTED", align::right},
           {"CHOSEN BY"},
           {"RIGHT LATELY", align::right}});
  for (const auto& v : d.volumes)
    for (const auto& set : v.hot_sets) {
      std::string chunks;
      double expected = 0;
      for (std::size_t i = 0; i < set.chunks.size(); ++i) {
        expected += set.chunks[i].bytes;
        if (i < 6)
          chunks += fmt::format("{}{}", i == 0 ? "" : " ", set.chunks[i].chunk.value);
      }
      if (set.chunks.size() > 6)
        chunks += fmt::format(" +{}", set.chunks.size() - 6);
      t.row({human_span(std::chrono::seconds(set.horizon_us / 1'000'000)), printable(v.name.value, 128),
             chunks.empty() ? "none" : chunks, bytes(expected), printable(set.method, 20),
             set.windows_scored > 0 ? share_text(set.recall) : "not known yet"});
    }
  return t.rows() == 0 ? std::string() : "\n" + t.to_string();
}
} // namespace

std::string_view criticality_word(criticality level) noexcept {
  switch (level) {
  case criticality::low:
    return "low";
  case criticality::high:
    return "high";
  case criticality::normal:
    break;
  }
  return "normal";
}

std::string sparkline(const std::vector<finite>& values) {
  constexpr std::array bars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double most = 0;
  for (const auto value : values)
    most = std::max<double>(most, value);
  std::string out;
  for (const auto value : values) {
    if (value <= 0 || most <= 0) {
      out += ' ';
      continue;
    }
    const auto level = static_cast<std::size_t>(std::ceil(value / most * static_cast<double>(bars.size())));
    out += bars[std::clamp<std::size_t>(level, 1, bars.size()) - 1];
  }
  return out;
}

std::string instances_text(const std::vector<instance_summary>& instances, std::int64_t now_us) {
  if (instances.empty())
    return "no instance is known: none stands in the configuration, none was described, none was seen\n";
  table t({{"INSTANCE"},
           {"APPLICATION"},
           {"CRITICALITY"},
           {"CONN", align::right},
           {"REQUESTS/s", align::right},
           {"BYTES/s", align::right},
           {"LAST HOUR", align::right},
           {"VOLUMES", align::right},
           {"LAST SEEN"},
           {"KNOWN FROM"}});
  for (const auto& i : instances)
    t.row({printable(i.id.value, 128), or_dash(printable(i.metadata.application, 40)),
           std::string(criticality_word(i.metadata.level)), fmt::format("{}", i.connections),
           human_rate(i.requests_per_second), bytes(i.bytes_per_second),
           i.requests_last_hour > 0 ? human_count(i.requests_last_hour) : "-", fmt::format("{}", i.volumes),
           ago(i.last_us, now_us), source_of(i)});
  return t.to_string();
}

std::string instance_text(const instance_details& d, std::int64_t now_us, bool colour) {
  const auto& s = d.summary;
  std::string out;
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty())
      out += fmt::format("{:<13}{}\n", what, value);
  };
  std::string allowed;
  for (const auto& volume : d.allowed)
    allowed += (allowed.empty() ? "" : ", ") + printable(volume.value, 128);
  line("instance", styled(printable(s.id.value, 128), style::bold, colour));
  line("application", printable(s.metadata.application, 256));
  line("criticality", std::string(criticality_word(s.metadata.level)));
  line("sla", sla_of(s.metadata));
  line("host", printable(s.metadata.host, 256));
  line("known from", source_of(s));
  line("may use", allowed);
  line("connections", fmt::format("{}", s.connections));
  line("load now", s.requests_per_second > 0
                       ? fmt::format("{} requests/s, {}/s", human_rate(s.requests_per_second), bytes(s.bytes_per_second))
                       : "none in the last minute");
  line("reads", latency_of(s.latency.reads, s.metadata.read_p99_us));
  line("writes", latency_of(s.latency.writes, 0));
  for (const auto& p : d.predicted)
    line(fmt::format("next {}", human_span(std::chrono::seconds(p.ahead_us / 1'000'000))),
         fmt::format("{} requests/s, between {} and {}", human_rate(p.expected), human_rate(p.low), human_rate(p.high)));
  line("prediction", d.why_not_predicted.empty() ? "" : "none: " + printable(d.why_not_predicted, 300));
  line("last seen", ago(s.last_us, now_us));
  if (const auto past = sparkline(d.past); past.find_first_not_of(' ') != std::string::npos) {
    const double most = *std::max_element(d.past.begin(), d.past.end(), [](auto a, auto b) { return a < b; });
    out += fmt::format("\nthe last {}, at most {} requests/s\n│{}│\n",
                       human_span(std::chrono::seconds((d.to_us - d.from_us) / 1'000'000)), human_rate(most), past);
  }
  return out + volumes_of(d) + hot_sets_of(d);
}

} // namespace gnomon::actors::cli
