#include "actors/cli/import/topology_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "config/json.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "store/files/text_stream.hpp"

namespace gnomon::actors::cli {
namespace {
using forecasting::placed_node;

constexpr double space_max = 1e6;

result<void> bad(const std::string& at, std::string_view what) {
  return fail(errc::invalid_argument, fmt::format("{}: {}", at.empty() ? "/" : at, what));
}

// An object of which every key is looked at once.
class object_reader {
public:
  object_reader(const json& value, std::string at) : value_(value), at_(std::move(at)) {}
  result<void> only(std::span<const std::string_view> keys) const {
    if (!value_.is_object())
      return bad(at_, "expected an object");
    for (const auto& [key, ignored] : value_.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        const auto meant = nearest(key, keys);
        return bad(json_pointer_child(at_, key), meant.empty()
                                                     ? "there is no such key"
                                                     : fmt::format("there is no such key; did you mean {}?", meant));
      }
    return {};
  }
  const json* find(const char* key) const {
    const auto found = value_.find(key);
    return found == value_.end() ? nullptr : &*found;
  }
  std::string at(const char* key) const { return json_pointer_child(at_, key); }
  result<void> seconds(const char* key, double& to) const {
    const json* v = find(key);
    if (v == nullptr)
      return {};
    const auto parsed = v->is_string() ? parse_duration(v->get_ref<const std::string&>())
                                       : fail(errc::invalid_argument, "expected a duration such as \"500us\"");
    if (!parsed)
      return bad(at(key), parsed.error().message);
    to = static_cast<double>(parsed->count()) / 1e6;
    return {};
  }
  result<void> bytes_per_second(const char* key, double& to) const {
    const json* v = find(key);
    if (v == nullptr)
      return {};
    const auto parsed = v->is_string() ? parse_size(v->get_ref<const std::string&>())
                                       : fail(errc::invalid_argument, "expected bytes per second such as \"128MiB\"");
    if (!parsed || parsed->value == 0)
      return bad(at(key), parsed ? "expected more than nothing" : parsed.error().message);
    to = static_cast<double>(parsed->value);
    return {};
  }
  result<std::string> name(const char* key) const {
    const json* v = find(key);
    if (v == nullptr || !v->is_string() || v->get_ref<const std::string&>().empty())
      return fail(errc::invalid_argument, fmt::format("{}: expected a name", at(key)));
    return v->get<std::string>();
  }

private:
  const json& value_;
  std::string at_;
};

using links = forecasting::link_model;

class topology_parser {
public:
  result<topology> parse(const json& document) {
    static constexpr std::array<std::string_view, 8> keys{"nodes",     "round_trip",     "home_read", "near_read",
                                                          "bandwidth", "copy_bandwidth", "paths",     "volumes"};
    const object_reader root(document, "");
    links link;
    for (const auto& done :
         {root.only(keys), root.seconds("round_trip", out_.round_trip_seconds),
          root.seconds("home_read", out_.home_read_seconds), root.seconds("near_read", link.near_seconds),
          root.bytes_per_second("bandwidth", link.demand_bytes_per_second),
          root.bytes_per_second("copy_bandwidth", link.ahead_bytes_per_second)})
      if (!done)
        return tl::unexpected(done.error());
    link.far_seconds = out_.round_trip_seconds + out_.home_read_seconds;
    for (const auto& [key, each] :
         {std::pair{"nodes", &topology_parser::node}, std::pair{"paths", &topology_parser::path},
          std::pair{"volumes", &topology_parser::volume}})
      if (auto done = list(root, key, each, link); !done)
        return tl::unexpected(done.error());
    if (out_.nodes.empty())
      return tl::unexpected(bad("/nodes", "expected at least one node").error());
    return std::move(out_);
  }

private:
  using element = result<void> (topology_parser::*)(const object_reader&, const links&);
  result<void> list(const object_reader& root, const char* key, element each, const links& link) {
    const json* v = root.find(key);
    if (v == nullptr)
      return {};
    if (!v->is_array())
      return bad(root.at(key), "expected a list");
    for (std::size_t i = 0; i < v->size(); ++i)
      if (auto done = (this->*each)(object_reader((*v)[i], fmt::format("{}/{}", root.at(key), i)), link); !done)
        return done;
    return {};
  }
  result<void> node(const object_reader& o, const links& link) {
    static constexpr std::array<std::string_view, 2> keys{"node", "space"};
    if (auto done = o.only(keys); !done)
      return done;
    const auto name = o.name("node");
    if (!name)
      return tl::unexpected(name.error());
    if (out_.nodes.size() >= forecasting::simulated_nodes_max)
      return bad(o.at("node"), fmt::format("at most {} nodes", forecasting::simulated_nodes_max));
    placed_node n{*name, 1, link};
    if (const json* v = o.find("space")) {
      if (!v->is_number() || !(v->get<double>() >= 0) || v->get<double>() > space_max)
        return bad(o.at("space"), "expected a number from 0 to 1000000");
      n.space_share = v->get<double>();
    }
    if (!number_.try_emplace(*name, static_cast<std::uint32_t>(out_.nodes.size())).second)
      return bad(o.at("node"), "there is such a node already");
    out_.nodes.push_back(std::move(n));
    return {};
  }
  result<std::uint32_t> number(const std::string& at, const std::string& name) const {
    const auto found = number_.find(name);
    if (found == number_.end())
      return fail(errc::invalid_argument, fmt::format("{}: there is no node {}", at, quote(name)));
    return found->second;
  }
  result<void> path(const object_reader& o, const links&) {
    static constexpr std::array<std::string_view, 2> keys{"between", "round_trip"};
    if (auto done = o.only(keys); !done)
      return done;
    const json* v = o.find("between");
    if (v == nullptr || !v->is_array() || v->size() != 2 || !(*v)[0].is_string() || !(*v)[1].is_string())
      return bad(o.at("between"), "expected the names of two nodes");
    const auto a = number(o.at("between"), (*v)[0].get<std::string>());
    const auto b = number(o.at("between"), (*v)[1].get<std::string>());
    if (!a || !b)
      return tl::unexpected(a ? b.error() : a.error());
    return o.seconds("round_trip", out_.paths[std::minmax(*a, *b)]);
  }
  result<void> volume(const object_reader& o, const links&) {
    static constexpr std::array<std::string_view, 3> keys{"volume", "home", "gateway"};
    if (auto done = o.only(keys); !done)
      return done;
    topology::place p;
    const auto name = o.name("volume");
    if (!name)
      return tl::unexpected(name.error());
    for (auto [key, to] : {std::pair{"home", &p.home}, std::pair{"gateway", &p.gateway}}) {
      const auto node = o.name(key);
      if (!node)
        return tl::unexpected(node.error());
      const auto found = number(o.at(key), *node);
      if (!found)
        return tl::unexpected(found.error());
      *to = *found;
    }
    out_.volumes[*name] = p;
    return {};
  }

  topology out_;
  std::map<std::string, std::uint32_t> number_;
};

} // namespace

topology::place topology::place_of(const std::string& volume, std::size_t number) const {
  if (const auto found = volumes.find(volume); found != volumes.end())
    return found->second;
  return {static_cast<std::uint32_t>(number % nodes.size()), static_cast<std::uint32_t>((number + 1) % nodes.size())};
}

double topology::far_seconds(const place& p) const {
  if (p.home == p.gateway)
    return home_read_seconds;
  const auto found = paths.find(std::minmax(p.home, p.gateway));
  return home_read_seconds + (found == paths.end() ? round_trip_seconds : found->second);
}

result<topology> topology_from(std::string_view text) {
  const auto document = parse_json(text);
  if (!document)
    return tl::unexpected(document.error());
  return topology_parser().parse(*document);
}

result<topology> read_topology(const std::string& path) {
  const auto text = read_whole(path, topology_bytes_max);
  if (!text)
    return tl::unexpected(text.error());
  auto out = topology_from(*text);
  if (!out)
    return fail(out.error().code, path + ": " + out.error().message);
  return out;
}

result<std::string> read_whole(const std::string& path, std::size_t bytes_max) {
  auto lines = store::line_reader::open(path);
  if (!lines)
    return tl::unexpected(lines.error());
  std::string out;
  for (;;) {
    const auto line = lines->next();
    if (!line)
      return tl::unexpected(line.error());
    if (!*line)
      return out;
    if (out.size() + (*line)->size() + 1 > bytes_max)
      return fail(errc::limit_reached, fmt::format("{} is larger than {}", path, format_size(byte_count{bytes_max})));
    out += **line;
    out += '\n';
  }
}

} // namespace gnomon::actors::cli
