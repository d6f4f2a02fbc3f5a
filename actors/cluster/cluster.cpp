#include "actors/cluster/cluster.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "config/names.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb cluster_verbs[] = {{"nodes [json]", "peers, sessions and gateways"},
                                      {"shadows [json]", "volumes of other nodes served here, and their shadows"},
                                      {"reads VOLUME [json]", "who answered reads of the volume, by instance and reason"},
                                      {"create VOLUME NODE", "makes a shadow on this node"},
                                      {"drop VOLUME NODE", "drops it"},
                                      {"progress VOLUME", "valid bytes, size, passes, trouble"}};

std::string nodes_text(const io::cluster_report& r) {
  std::string out = fmt::format("{:<16} {:<24} {:<11} {:>9} {:>9}  {}\n", "PEER", "ADDRESS", "SESSION", "RTT", "VOLUMES",
                                "TROUBLE");
  for (const auto& p : r.peers)
    out += fmt::format("{:<16} {:<24} {:<11} {:>6} us {:>9}  {}\n", p.node.value, p.address, p.state,
                       p.round_trip.count(), p.volumes, p.trouble);
  if (!r.gateways.empty())
    out += fmt::format("\n{:<16} {:<11} {:>8} {:>16} {:>13}\n", "GATEWAY", "SESSION", "SHADOWS", "GRANULES HELD",
                       "INVALIDATIONS");
  for (const auto& g : r.gateways)
    out += fmt::format("{:<16} {:<11} {:>8} {:>16} {:>13}\n", g.node.value, g.open ? "open" : "over", g.shadows,
                       g.granules, g.invalidations);
  return out;
}

std::string nodes_json(const io::cluster_report& r) {
  std::string out = "{\"peers\": [";
  for (const auto& p : r.peers)
    out += fmt::format("{}{{\"node\": {}, \"address\": {}, \"session\": {}, \"round_trip_us\": {}, \"sessions\": {}, "
                       "\"volumes\": {}, \"trouble\": {}}}",
                       out.back() == '[' ? "" : ", ", quote(p.node.value), quote(p.address), quote(p.state),
                       p.round_trip.count(), p.sessions, p.volumes, quote(p.trouble));
  out += "], \"gateways\": [";
  for (const auto& g : r.gateways)
    out += fmt::format("{}{{\"node\": {}, \"open\": {}, \"shadows\": {}, \"granules\": {}, \"outstanding\": {}, "
                       "\"invalidations\": {}}}",
                       out.back() == '[' ? "" : ", ", quote(g.node.value), g.open, g.shadows, g.granules,
                       g.outstanding, g.invalidations);
  return out + "]}\n";
}

std::string state_of(const io::remote_volume_status& v) {
  return !v.has_shadow ? "none" : fmt::format("{}{}", v.serving ? "serving" : "waiting", v.by_hand ? "" : ", planned");
}

std::string reads_json(const io::read_report& r) {
  return fmt::format("\"near\": {}, \"far\": {}, \"far_by_reason\": {{\"not_predicted\": {}, \"no_shadow\": {}, "
                     "\"not_valid\": {}, \"no_lease\": {}, \"slower\": {}, \"overtaken\": {}, \"device_failed\": {}}}, "
                     "\"near_us\": {}, \"far_us\": {}",
                     r.near, r.far, r.not_predicted, r.no_shadow, r.not_valid, r.no_lease, r.slower, r.overtaken,
                     r.device_failed, r.near_us(), r.far_us());
}

std::string instances_json(const std::vector<io::read_report>& all) {
  std::string out = "[";
  for (const auto& r : all)
    out += fmt::format("{}{{\"instance\": {}, {}}}", out.back() == '[' ? "" : ", ",
                       r.instance ? quote(r.instance->value) : "null", reads_json(r));
  return out + "]";
}

std::string shadows_text(const io::cluster_report& r) {
  std::string out = fmt::format("{:<20} {:<12} {:>10} {:<16} {:>7} {:>10} {:>10} {:>9} {:>9}  {}\n", "VOLUME", "HOME",
                                "SIZE", "SHADOW", "VALID", "NEAR", "FAR", "NEAR us", "FAR us", "TROUBLE");
  for (const auto& v : r.volumes)
    out += fmt::format("{:<20} {:<12} {:>10} {:<16} {:>6.1f}% {:>10} {:>10} {:>9} {:>9}  {}\n", v.volume.value,
                       v.home.value, format_size(v.size), state_of(v),
                       100.0 * static_cast<double>(v.valid_bytes.value) /
                           static_cast<double>(std::max<std::uint64_t>(v.size.value, 1)),
                       v.reads.near, v.reads.far, v.reads.near_us(), v.reads.far_us(), v.trouble);
  return out;
}

std::string reads_text(const io::remote_volume_status& v) {
  std::string out = fmt::format("volume {} of node {}: shadow {}, {} of {} wanted bytes valid; median read {} us near, {} us far\n\n",
                                v.volume.value, v.home.value, state_of(v), v.valid_bytes.value, v.wanted_bytes.value,
                                v.near_p50_ns / 1000, v.far_p50_ns / 1000);
  constexpr std::string_view row = "{:<28} {:>10} {:>10} {:>13} {:>9} {:>11} {:>8} {:>7} {:>9} {:>7}\n";
  out += fmt::format(fmt::runtime(row), "INSTANCE", "NEAR", "FAR", "NOT PREDICTED", "NO SHADOW", "INVALIDATED",
                     "NO LEASE", "SLOWER", "OVERTAKEN", "FAILED");
  const auto add = [&](std::string_view who, const io::read_report& r) {
    out += fmt::format(fmt::runtime(row), who, r.near, r.far, r.not_predicted, r.no_shadow, r.not_valid, r.no_lease,
                       r.slower, r.overtaken, r.device_failed);
  };
  for (const auto& r : v.instances)
    add(r.instance ? std::string_view(r.instance->value) : "(others)", r);
  add("all", v.reads);
  return out;
}

std::string shadows_json(const io::cluster_report& r) {
  std::string out = "[";
  for (const auto& v : r.volumes)
    out += fmt::format(
        "{}{{\"volume\": {}, \"uuid\": {}, \"home\": {}, \"size\": {}, \"shadow\": {}, \"serving\": {}, "
        "\"planned\": {}, \"wanted_bytes\": {}, \"chunks\": {}, "
        "\"valid_bytes\": {}, \"filled_bytes\": {}, \"void_fills\": {}, {}, \"changes\": {}, \"lost_changes\": {}, "
        "\"instances\": {}, \"trouble\": {}}}",
        out.back() == '[' ? "" : ", ", quote(v.volume.value), quote(v.uuid.to_string()), quote(v.home.value),
        v.size.value, v.has_shadow, v.serving, v.has_shadow && !v.by_hand, v.wanted_bytes.value, v.chunks.size(),
        v.valid_bytes.value, v.filled_bytes.value, v.void_fills, reads_json(v.reads), v.changes, v.lost_changes,
        instances_json(v.instances), quote(v.trouble));
  return out + "]\n";
}

} // namespace

result<std::string> cluster_state::answer(const std::string& message) const {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return tl::unexpected(parsed.error());
  const auto& words = parsed->arguments;
  const bool json = words.size() == 1 && words[0] == "json";
  if (parsed->verb == "help")
    return help_text(cluster_verbs);
  if (parsed->verb == "nodes")
    return json ? nodes_json(node->engine->nodes()) : nodes_text(node->engine->nodes());
  if (parsed->verb == "shadows")
    return json ? shadows_json(node->engine->nodes()) : shadows_text(node->engine->nodes());
  if (parsed->verb == "reads" && (words.size() == 1 || (words.size() == 2 && words[1] == "json"))) {
    auto report = node->engine->nodes();
    std::erase_if(report.volumes, [&](const auto& v) { return v.volume.value != words[0]; });
    if (!report.volumes.empty())
      return words.size() == 2 ? shadows_json(report) : reads_text(report.volumes[0]);
    return fail(errc::not_found, fmt::format("no volume {} of another node is known here", quote(words[0])));
  }
  const bool create = parsed->verb == "create", drop = parsed->verb == "drop";
  if ((create || drop) && words.size() == 2) {
    const auto volume = parse_volume_name(words[0]);
    if (!volume)
      return tl::unexpected(volume.error());
    if (const auto self = node->facts()->node.value; words[1] != self)
      return fail(errc::unsupported, fmt::format("this is node {}: ask node {} itself", self, quote(words[1])));
    const auto done = create ? node->engine->create_shadow(*volume) : node->engine->drop_shadow(*volume);
    if (!done)
      return tl::unexpected(done.error());
    return fmt::format("{} the shadow of {} on {}\n", create ? "making" : "dropped", volume->value, words[1]);
  }
  if (parsed->verb == "progress" && words.size() == 1) {
    const auto report = node->engine->nodes();
    for (const auto& v : report.volumes)
      if (v.volume.value == words[0] && v.has_shadow)
        return fmt::format("{} {} {} {}", v.valid_bytes.value, v.size.value, v.passes, v.trouble);
    return fail(errc::not_found, fmt::format("volume {} has no shadow here", words[0]));
  }
  return tl::unexpected(unknown_verb(*parsed, cluster_verbs).value());
}

static supervised_actor::behavior_type cluster(supervised_actor::stateful_pointer<cluster_state> self,
                                               node_context* node) {
  self->state.node = node;
  return {
      [self](atom::report) { return actor_report{self->mailbox().size(), {}}; },
      [self](atom::ask, const std::string& message) -> caf::result<std::string> {
        auto answer = self->state.answer(message);
        if (!answer)
          return to_caf(answer.error());
        return *std::move(answer);
      },
  };
}

caf::actor spawn_cluster(caf::actor_system& system, node_context* node) {
  return caf::actor_cast<caf::actor>(system.spawn(cluster, node));
}

} // namespace gnomon::actors
