#include "forecasting/planner/planner_text.hpp"

#include <charconv>
#include <concepts>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "forecasting/planner/planner_checks.hpp"

namespace gnomon::forecasting {
namespace {

// Every row's fields, in the order of the text. One list serves writing and reading.
void fields(auto& o, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(o)>>, planner_options> {
  each(o.horizon_seconds), each(o.default_round_trip_seconds), each(o.pay_factor), each(o.copy_cost);
  each(o.keep_bonus), each(o.stay_seconds_min), each(o.return_factor), each(o.memory_half_life_seconds);
  each(o.trust_min), each(o.trust_after), each(o.event_lead_seconds), each(o.event_claim_max);
  each(o.move_read_share), each(o.move_requests_min), each(o.decisions_max);
}
void fields(auto& n, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(n)>>, planner_node> {
  each(n.name), each(n.zone), each(n.space_bytes), each(n.copy_bytes_per_second), each(n.stage_read_seconds);
  each(n.mode);
}
void fields(auto& p, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(p)>>, planner_path> {
  each(p.a), each(p.b), each(p.round_trip_seconds);
}
void fields(auto& v, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(v)>>, planner_volume> {
  each(v.name), each(v.home), each(v.chunk_bytes), each(v.home_read_seconds), each(v.archive_read_seconds);
  each(v.quota_bytes), each(v.archive_after_seconds), each(v.archive_expected_below), each(v.mode);
}
void fields(auto& r, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(r)>>, planner_reader> {
  each(r.instance), each(r.application), each(r.volume), each(r.node), each(r.weight), each(r.sla_read_p99_seconds);
}
void fields(auto& c, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(c)>>, planner_chunk> {
  each(c.node), each(c.volume), each(c.chunk), each(c.reads_per_second), each(c.writes_per_second);
  for (auto& e : c.expected_reads)
    each(e);
  each(c.useful_share), each(c.last_access_seconds), each(c.archived);
}
void fields(auto& t, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(t)>>, planner_trust> {
  each(t.volume), each(t.chunk), each(t.kind), each(t.copied), each(t.used);
}
void fields(auto& s, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(s)>>, planner_shadow> {
  each(s.node), each(s.volume), each(s.first_chunk), each(s.chunks), each(s.since_seconds), each(s.filled_bytes);
  each(s.hits_per_second), each(s.saved_seconds_per_second), each(s.kind);
}
void fields(auto& e, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(e)>>, planner_event> {
  each(e.kind), each(e.target), each(e.node), each(e.at_seconds), each(e.instances);
}
void fields(auto& m, auto&& each) requires
    std::same_as<std::remove_const_t<std::remove_reference_t<decltype(m)>>, planner_memory> {
  each(m.node), each(m.volume), each(m.chunk), each(m.dropped_seconds), each(m.times);
}

constexpr std::uint64_t largest(planner_mode) { return 2; }
constexpr std::uint64_t largest(prediction_kind) { return prediction_kind_count - 1; }
constexpr std::uint64_t largest(planner_event_kind) { return 2; }

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-:@/").find(c) != std::string_view::npos;
}

struct line_writer {
  std::string& out;
  void operator()(const std::string& name) const {
    out += ' ';
    if (name.empty())
      out += '%';
    for (const char c : name)
      if (is_plain(c))
        out += c;
      else
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  void operator()(double v) const { out += fmt::format(" {}", v); }
  void operator()(bool v) const { out += v ? " 1" : " 0"; }
  template <class T>
  requires(std::unsigned_integral<T> && !std::same_as<T, bool>) void operator()(T v) const {
    out += fmt::format(" {}", v);
  }
  template <class T>
  requires std::is_enum_v<T>
  void operator()(T v) const { out += fmt::format(" {}", static_cast<unsigned>(v)); }
};

// Reads the fields of one line; `good` falls at the first that does not fit.
struct line_parser {
  std::string_view rest;
  bool good = true;
  std::string_view word() {
    if (rest.empty() || rest.front() != ' ') {
      good = false;
      return {};
    }
    rest.remove_prefix(1);
    const auto end = std::min(rest.find(' '), rest.size());
    const auto out = rest.substr(0, end);
    rest.remove_prefix(end);
    return out;
  }
  template <class T>
  T number() {
    T v{};
    const auto w = word();
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), v);
    good = good && error == std::errc{} && end == w.data() + w.size();
    return v;
  }
  void operator()(std::string& name) {
    const auto w = word();
    name.clear();
    if (w.empty())
      good = false;
    if (w == "%")
      return;
    for (std::size_t i = 0; i < w.size() && good; ++i) {
      if (w[i] != '%') {
        good = is_plain(w[i]);
        name += w[i];
        continue;
      }
      unsigned code = 0;
      const auto end = i + 3 <= w.size() ? std::from_chars(&w[i] + 1, &w[i] + 3, code, 16).ptr : nullptr;
      good = end == &w[i] + 3;
      name += static_cast<char>(code);
      i += 2;
    }
  }
  void operator()(double& v) { v = number<double>(); }
  void operator()(bool& v) {
    const auto n = number<unsigned>();
    good = good && n <= 1;
    v = n == 1;
  }
  template <class T>
  requires(std::unsigned_integral<T> && !std::same_as<T, bool>) void operator()(T& v) { v = number<T>(); }
  template <class T>
  requires std::is_enum_v<T>
  void operator()(T& v) {
    const auto n = number<std::uint64_t>();
    good = good && n <= largest(T{});
    v = static_cast<T>(good ? n : 0);
  }
};

void write_line(std::string& out, std::string_view kind, const auto& row) {
  out += kind;
  fields(row, line_writer{out});
  out += '\n';
}

bool parse_row(std::string_view rest, auto& row) {
  line_parser p{rest};
  fields(row, p);
  return p.good && p.rest.empty();
}

bool add_row(std::string_view rest, auto& rows) {
  if (rows.size() >= planner_rows_max)
    return false;
  return parse_row(rest, rows.emplace_back());
}

bool parse_line(std::string_view line, planner_input& to) {
  const auto end = std::min(line.find(' '), line.size());
  const auto kind = line.substr(0, end);
  const auto rest = line.substr(end);
  if (kind == "now") {
    line_parser p{rest};
    p(to.now_seconds);
    return p.good && p.rest.empty();
  }
  return kind == "options"  ? parse_row(rest, to.options)
         : kind == "node"   ? add_row(rest, to.nodes)
         : kind == "path"   ? add_row(rest, to.paths)
         : kind == "volume" ? add_row(rest, to.volumes)
         : kind == "reader" ? add_row(rest, to.readers)
         : kind == "chunk"  ? add_row(rest, to.chunks)
         : kind == "trust"  ? add_row(rest, to.trust)
         : kind == "shadow" ? add_row(rest, to.shadows)
         : kind == "event"  ? add_row(rest, to.events)
         : kind == "memory" ? add_row(rest, to.memory)
                            : false;
}

} // namespace

std::string to_text(const planner_input& input) {
  std::string out(planner_text_header);
  out += "\nnow";
  line_writer{out}(input.now_seconds);
  out += '\n';
  write_line(out, "options", input.options);
  const auto all = [&](std::string_view kind, const auto& rows) {
    for (const auto& row : rows)
      write_line(out, kind, row);
  };
  all("node", input.nodes);
  all("path", input.paths);
  all("volume", input.volumes);
  all("reader", input.readers);
  all("chunk", input.chunks);
  all("trust", input.trust);
  all("shadow", input.shadows);
  all("event", input.events);
  all("memory", input.memory);
  return out;
}

result<planner_input> planner_input_from(std::string_view text) {
  planner_input out;
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (++number == 1) {
      if (line == planner_text_header)
        continue;
      if (line.starts_with("gnomon planner input "))
        return fail(errc::unsupported, "this planner input is of a version that this build does not know");
      return fail(errc::corrupt, "line 1: not a planner input");
    }
    if (!line.empty() && !parse_line(line, out))
      return fail(errc::corrupt, fmt::format("line {}: not a row of a planner input", number));
  }
  if (number == 0)
    return fail(errc::corrupt, "an empty planner input");
  if (auto ok = check(out); !ok)
    return tl::unexpected(ok.error());
  return out;
}

} // namespace gnomon::forecasting
