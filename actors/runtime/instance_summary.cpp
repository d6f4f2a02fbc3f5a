#include "actors/runtime/instance_summary.hpp"

namespace gnomon::actors {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

const instance_settings* configured(const settings& all, const instance_id& id) {
  for (const auto& instance : all.instances)
    if (instance.id == id)
      return &instance;
  return nullptr;
}

} // namespace

instance_metadata metadata_of(const instance_settings* configured, const store::instance_record* by_hand) {
  instance_metadata out;
  if (configured != nullptr) {
    out.application = configured->application;
    out.level = configured->level;
    out.read_p99_us = configured->sla.read_p99.value_or(microseconds(0)).count();
    out.rpo_us = microseconds(configured->sla.rpo.value_or(seconds(0))).count();
  }
  if (by_hand != nullptr) {
    out.application = by_hand->application.value_or(out.application);
    out.level = by_hand->level.value_or(out.level);
    out.read_p99_us = by_hand->read_p99.value_or(microseconds(out.read_p99_us)).count();
    out.rpo_us = microseconds(by_hand->rpo.value_or(duration_cast<seconds>(microseconds(out.rpo_us)))).count();
    out.host = by_hand->host.value_or(out.host);
  }
  return out;
}

instance_summary summary_of(const node_context& node, const instance_id& id) {
  const auto settings = node.current_settings();
  const auto* in_config = configured(*settings, id);
  const auto by_hand = node.instances != nullptr ? node.instances->find(id) : std::nullopt;
  instance_summary out;
  out.id = id;
  out.in_config = in_config != nullptr;
  out.set_by_hand = by_hand.has_value();
  out.metadata = metadata_of(in_config, by_hand ? &*by_hand : nullptr);
  const auto latencies = node.latencies();
  if (const auto known = latencies->find(id); known != latencies->end())
    out.latency = known->second;
  return out;
}

} // namespace gnomon::actors
