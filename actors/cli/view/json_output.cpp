#include "actors/cli/view/json_output.hpp"

#include "actors/cli/view/instance_view.hpp"
#include "config/event_json.hpp"
#include "config/json.hpp"
#include "config/settings/inert.hpp"

namespace gnomon::actors::cli {
namespace {

json value_of(const volume_summary& v) {
  return {{"name", v.name.value},        {"uuid", v.uuid.to_string()},   {"size_bytes", v.size.value},
          {"state", to_string(v.state)}, {"cache", cache_word(v.cache)}, {"read_only", v.read_only},
          {"shared", v.shared},          {"connections", v.connections}, {"deleted_until_us", v.deleted_until_us},
          {"problem", v.problem}};
}
json ids_of(const std::vector<instance_id>& instances) {
  auto out = json::array();
  for (const auto& one : instances)
    out.push_back(one.value);
  return out;
}
json value_of(const connection_info& c) {
  return {{"id", c.id},
          {"volume", c.volume.value},
          {"instance", c.instance.value},
          {"peer", c.peer},
          {"size_seen_bytes", c.size_seen.value},
          {"read_only", c.read_only},
          {"since_us", c.since_us},
          {"requests", c.requests}};
}
json value_of(const operation_rates& r) {
  return {{"requests_per_second", double(r.requests_per_second)},
          {"bytes_per_second", double(r.bytes_per_second)},
          {"errors_per_second", double(r.errors_per_second)},
          {"p50_us", double(r.p50_us)},
          {"p99_us", double(r.p99_us)}};
}
json value_of(const volume_rates& v) {
  return {{"name", v.name.value},       {"uuid", v.uuid.to_string()}, {"read", value_of(v.read)},
          {"write", value_of(v.write)}, {"other", value_of(v.other)}, {"connections", v.connections},
          {"in_flight", v.in_flight}};
}
json value_of(const actor_info& a) {
  return {{"name", a.name},
          {"parent", a.parent},
          {"id", a.id},
          {"state", to_string(a.state)},
          {"restarts", a.restarts},
          {"answered", a.answered},
          {"mailbox", a.report.mailbox},
          {"activity", a.report.activity},
          {"started_us", a.started_us},
          {"last_error", a.last_error}};
}
json value_of(finite number) { return double(number); }
json value_of(std::int64_t number) { return number; }
json value_of(const method_score& v) {
  return {{"name", v.name}, {"naive", v.naive}, {"mase", double(v.mase)}, {"weight", double(v.weight)}};
}
json value_of(const predicted_window& w) {
  return {{"start_us", w.start_us},
          {"end_us", w.end_us},
          {"expected_load", double(w.expected_load)},
          {"fraction_of_mean", double(w.fraction_of_mean)}};
}
json value_of(const board_horizon& h) {
  auto loads = json::object();
  for (const auto& row : h.loads)
    loads[std::string(to_string(row.load))] = {
        {"per_second", double(row.per_second)}, {"low", double(row.low)}, {"high", double(row.high)}};
  return {{"ahead_us", h.ahead_us},
          {"loads", loads},
          {"origins", h.origins},
          {"served_mase", double(h.served_mase)},
          {"best_naive_mase", double(h.naive_mase)},
          {"burst",
           {{"threshold", double(h.burst_threshold)},
            {"chance", double(h.burst_chance)},
            {"announced", h.burst_announced}}}};
}
json value_of(const board_hot_chunk& c) {
  return {{"chunk", c.chunk.value},
          {"expected_requests", double(c.requests)},
          {"expected_read_bytes", double(c.read_bytes)},
          {"trust", double(c.trust)}};
}
json value_of(const board_chunk& c) {
  return {
      {"chunk", c.chunk.value}, {"reads_per_second", double(c.reads)},    {"requests_per_second", double(c.requests)},
      {"trend", c.trend},       {"trend_factor", double(c.trend_factor)}, {"read_share", double(c.read_share)},
      {"last_us", c.last_us}};
}
json value_of(const burst_chance& b) {
  return {{"ahead_us", b.ahead_us},
          {"threshold_per_second", double(b.threshold)},
          {"chance", double(b.chance)},
          {"announced", b.announced}};
}
json value_of(const event_mark& e) {
  return {{"type", e.type}, {"start_us", e.start_us}, {"end_us", e.end_us}, {"factor", double(e.factor)}};
}
std::string_view word_of(subject_kind kind) {
  return kind == subject_kind::volume ? "volume" : kind == subject_kind::instance ? "instance" : "node";
}
json value_of(const latency_quantiles& l) { return {{"p50_us", double(l.p50_us)}, {"p99_us", double(l.p99_us)}}; }
json value_of(const recent_latency& l) { return {{"reads", value_of(l.reads)}, {"writes", value_of(l.writes)}}; }
json value_of(const chunk_warmth& c) {
  return {{"chunk", c.chunk.value},
          {"kind", c.kind},
          {"requests_per_second_now", double(c.rate_now)},
          {"requests_per_second_half_hour", double(c.rate_half_hour)},
          {"requests_per_second_day", double(c.rate_day)},
          {"bytes_per_second", double(c.bytes_per_second)},
          {"write_share", double(c.write_share)},
          {"last_us", c.last_us},
          {"latency", value_of(c.latency)}};
}
json value_of(const locality& l) {
  auto chunks = json::array();
  for (const auto chunk : l.chunks)
    chunks.push_back(chunk.value);
  return {{"instance", l.instance.value},
          {"requests", double(l.requests)},
          {"share", double(l.share)},
          {"chunks", chunks},
          {"latency", value_of(l.latency)}};
}
json value_of(const predicted_hot_set& s) {
  auto chunks = json::array();
  for (const auto& c : s.chunks)
    chunks.push_back({{"chunk", c.chunk.value},
                      {"expected_bytes", double(c.bytes)},
                      {"expected_requests", double(c.requests)},
                      {"ahead_of_stream", c.ahead_of_stream}});
  return {{"horizon_us", s.horizon_us},
          {"method", s.method},
          {"recall", double(s.recall)},
          {"windows_scored", double(s.windows_scored)},
          {"chunks", chunks}};
}
json value_of(const instance_summary& i) {
  return {{"id", i.id.value},
          {"in_config", i.in_config},
          {"set_by_hand", i.set_by_hand},
          {"application", i.metadata.application},
          {"criticality", criticality_word(i.metadata.level)},
          {"sla", {{"read_p99_us", i.metadata.read_p99_us}, {"rpo_us", i.metadata.rpo_us}}},
          {"host", i.metadata.host},
          {"connections", i.connections},
          {"requests_per_second", double(i.requests_per_second)},
          {"bytes_per_second", double(i.bytes_per_second)},
          {"requests_last_hour", double(i.requests_last_hour)},
          {"bytes_last_hour", double(i.bytes_last_hour)},
          {"volumes", i.volumes},
          {"last_us", i.last_us},
          {"latency", value_of(i.latency)}};
}
json value_of(const predicted_load& p) {
  return {{"ahead_us", p.ahead_us},
          {"requests_per_second", double(p.expected)},
          {"low", double(p.low)},
          {"high", double(p.high)}};
}
json value_of(const touched_volume& v); // below: they have lists themselves
json value_of(const horizon_score& h);
json value_of(const board_hot_set& set);
json value_of(const board_user& u);
json value_of(const board_sum& sum);
json value_of(const board_volume& v);
template <class T>
json list_of(const std::vector<T>& values) {
  auto out = json::array();
  for (const auto& value : values)
    out.push_back(value_of(value));
  return out;
}
json value_of(const board_hot_set& set) {
  return {{"ahead_us", set.ahead_us},
          {"recall", double(set.recall)},
          {"windows_scored", double(set.windows_scored)},
          {"chunks", list_of(set.chunks)}};
}
json value_of(const board_user& u) {
  return {{"instance", u.instance.value},
          {"application", u.application},
          {"share", double(u.share)},
          {"horizons", list_of(u.horizons)},
          {"hot_sets", list_of(u.hot_sets)}};
}
json value_of(const board_sum& sum) {
  return {{"name", sum.name},
          {"subjects", sum.subjects},
          {"oldest_us", sum.oldest_us},
          {"horizons", list_of(sum.horizons)}};
}
json value_of(const board_volume& v) {
  auto read_share = json::array();
  for (const double share : v.read_share_by_hour)
    read_share.push_back(share < 0 ? json() : json(share));
  return {{"name", v.name.value},
          {"uuid", v.uuid.to_string()},
          {"size_bytes", v.size.value},
          {"chunk_bytes", v.chunk_size.value},
          {"fitted_us", v.fitted_us},
          {"heat_us", v.heat_us},
          {"enough_past", v.enough_past},
          {"horizons", list_of(v.horizons)},
          {"quiet", list_of(v.quiet)},
          {"busy", list_of(v.busy)},
          {"hot_sets", list_of(v.hot_sets)},
          {"read_share_by_hour", read_share},
          {"chunks_known", v.chunks_known},
          {"users_known", v.users_known},
          {"chunks", list_of(v.chunks)},
          {"users", list_of(v.users)}};
}
json value_of(const horizon_score& h) {
  return {{"ahead_us", h.ahead_us},
          {"origins", h.origins},
          {"served_mase", double(h.served_mase)},
          {"best_naive", h.best_naive},
          {"best_naive_mase", double(h.best_naive_mase)},
          {"naive_share", double(h.naive_share)},
          {"methods", list_of(h.methods)}};
}
json value_of(const touched_volume& v) {
  auto chunks = json::array();
  for (const auto& c : v.chunks)
    chunks.push_back({{"chunk", c.chunk.value}, {"requests", double(c.requests)}, {"share", double(c.share)}});
  return {{"name", v.name.value},
          {"uuid", v.uuid.to_string()},
          {"requests", double(v.requests)},
          {"bytes", double(v.bytes)},
          {"write_share", double(v.write_share)},
          {"share_of_volume", double(v.share)},
          {"chunk_count", v.chunk_count},
          {"chunks", chunks},
          {"hot_sets", list_of(v.hot_sets)}};
}
std::string print(const json& value) { return dump_json(value, json_style::pretty) + "\n"; }

} // namespace

std::string_view cache_word(cache_mode mode) noexcept { return mode == cache_mode::direct ? "direct" : "buffered"; }

std::string json_of(const node_status& s) {
  auto rings = json::array();
  for (const auto& r : s.rings)
    rings.push_back({{"index", r.index},
                     {"connections", r.connections},
                     {"requests", r.requests},
                     {"buffer_bytes", r.buffer_bytes}});
  return print({{"node", s.node.value},
                {"version", s.version},
                {"state", to_string(s.state)},
                {"healthy", s.problems.empty()},
                {"problems", s.problems},
                {"pid", s.pid},
                {"started_us", s.started_us},
                {"data_dir", s.data_dir},
                {"previous_stop", s.previous_stop},
                {"nbd", s.nbd},
                {"cluster", s.cluster},
                {"admin", s.admin},
                {"volumes", s.volumes},
                {"connections", s.connections},
                {"actors", s.actors},
                {"rings", rings},
                {"settings",
                 {{"wanted", s.generation_wanted},
                  {"in_force", s.generation_in_force},
                  {"waiting_for_restart", s.waiting},
                  {"warnings", s.warnings}}}});
}
std::string json_of(const reload_report& r) {
  return print({{"generation", r.generation},
                {"in_force", r.in_force},
                {"changed", r.followed},
                {"waiting", r.waiting},
                {"refused", r.refused},
                {"warnings", r.warnings},
                {"file_problems", r.file_problems}});
}
std::string json_of_error(const error& why) {
  return print({{"error", {{"code", to_string(why.code)}, {"message", why.message}, {"errno", why.os_errno}}}});
}
std::string json_of(const std::vector<actor_info>& actors) { return print(list_of(actors)); }
std::string json_of(const telemetry_snapshot& t) {
  auto rings = json::array();
  for (const auto& r : t.rings)
    rings.push_back({{"index", r.index},
                     {"connections", r.connections},
                     {"requests", r.requests},
                     {"buffer_bytes", r.buffer_bytes},
                     {"cpu_fraction", double(r.cpu_fraction)},
                     {"requests_per_turn", double(r.requests_per_turn)}});
  return print({{"taken_us", t.taken_us},
                {"interval_s", double(t.interval_s)},
                {"volumes", list_of(t.volumes)},
                {"rings", rings}});
}
std::string json_of(const volume_summary& volume) { return print(value_of(volume)); }
std::string json_of(const std::vector<volume_summary>& volumes) { return print(list_of(volumes)); }
std::string json_of(const volume_details& d) {
  auto out = value_of(d.summary);
  auto writers = json::array();
  for (const auto& writer : d.writers)
    writers.push_back(writer.value);
  out.update({{"description", d.description},
              {"path", d.path},
              {"from_config", d.from_config},
              {"created_us", d.created_us},
              {"generation", d.generation},
              {"in_flight", d.in_flight},
              {"writers", writers},
              {"epoch", d.epoch},
              {"everybody_fenced", d.everybody_fenced},
              {"fenced", ids_of(d.fenced)},
              {"handed_to", d.handed_to.value},
              {"granted", ids_of(d.granted)},
              {"anonymous", d.anonymous}});
  return print(out);
}
std::string json_of(const std::vector<connection_info>& connections) { return print(list_of(connections)); }
std::string json_of(const resize_report& r) {
  return print({{"volume", value_of(r.volume)}, {"must_reconnect", list_of(r.must_reconnect)}});
}
std::string json_of(const event_info& event, wall_time now) { return print(event_to_json(event.to_event(), now)); }
std::string json_of(const std::vector<event_info>& events, wall_time now) {
  auto out = json::array();
  for (const auto& event : events)
    out.push_back(event_to_json(event.to_event(), now));
  return print(out);
}
std::string json_of(const forecast_view& v) {
  auto past = json::array();
  for (const double load : v.past)
    past.push_back(load < 0 ? json() : json(load));
  return print({{"subject", v.subject},
                {"kind", word_of(v.kind)},
                {"load", to_string(v.load)},
                {"start_us", v.start_us},
                {"step_us", v.step_us},
                {"enough_past", v.enough_past},
                {"past_slots", v.past_slots},
                {"observed_slots", v.observed_slots},
                {"past", past},
                {"ahead", list_of(v.ahead)},
                {"low", list_of(v.low)},
                {"high", list_of(v.high)},
                {"interval", double(v.interval)},
                {"horizons", list_of(v.horizons)},
                {"periods_us", list_of(v.periods_us)},
                {"quiet", list_of(v.quiet)},
                {"busy", list_of(v.busy)},
                {"bursts", list_of(v.bursts)},
                {"events", list_of(v.events)},
                {"fitted_us", v.fitted_us},
                {"fit_seconds", double(v.fit_seconds)}});
}
std::string json_of(const board_view& v) {
  return print({{"made_us", v.made_us},
                {"now_us", v.now_us},
                {"bytes", v.bytes},
                {"volumes_known", v.volumes_known},
                {"users_known", v.users_known},
                {"refused", v.refused},
                {"node", value_of(v.node)},
                {"applications", list_of(v.applications)},
                {"volumes", list_of(v.volumes)}});
}
std::string json_of(const heat_view& v) {
  auto chart = json::array();
  for (std::size_t row = 0; row < v.rows; ++row) {
    auto line = json::array();
    for (std::size_t i = row * v.columns; i < (row + 1) * v.columns && i < v.chart.size(); ++i)
      line.push_back(double(v.chart[i]));
    chart.push_back(std::move(line));
  }
  auto kinds = json::object();
  for (const auto& k : v.kinds)
    kinds[k.kind] = k.chunks;
  return print({{"volume", v.name.value},
                {"uuid", v.uuid.to_string()},
                {"size_bytes", v.size.value},
                {"chunk_bytes", v.chunk_size.value},
                {"chunk_count", v.chunk_count},
                {"known_chunks", v.known_chunks},
                {"from_us", v.from_us},
                {"to_us", v.to_us},
                {"rows", v.rows},
                {"columns", v.columns},
                {"picture_requests", chart},
                {"requests", double(v.requests)},
                {"bytes", double(v.bytes)},
                {"kinds", kinds},
                {"hottest", list_of(v.hottest)},
                {"localities", list_of(v.localities)},
                {"hot_sets", list_of(v.hot_sets)}});
}
std::string json_of(const instance_summary& instance) { return print(value_of(instance)); }
std::string json_of(const std::vector<instance_summary>& instances) { return print(list_of(instances)); }
std::string json_of(const instance_details& d) {
  auto out = value_of(d.summary);
  auto allowed = json::array();
  for (const auto& volume : d.allowed)
    allowed.push_back(volume.value);
  auto past = json::array();
  for (const auto value : d.past)
    past.push_back(double(value));
  out.update({{"allowed_volumes", allowed},
              {"touched_volumes", list_of(d.volumes)},
              {"past", {{"from_us", d.from_us}, {"to_us", d.to_us}, {"requests_per_second", past}}},
              {"predicted", list_of(d.predicted)},
              {"why_not_predicted", d.why_not_predicted}});
  return print(out);
}
std::string json_of(const parsed_settings& checked) {
  auto problems = json::array();
  for (const auto& p : checked.problems)
    problems.push_back(
        {{"pointer", p.pointer}, {"expected", p.expected}, {"found", p.found}, {"suggestion", p.suggestion}});
  return print({{"ok", checked.ok()}, {"problems", problems}, {"problems_unlisted", checked.problems_unlisted},
                {"warnings", checked.ok() ? settings_warnings(checked.value) : std::vector<std::string>{}}});
}
std::string json_of_answer(std::string_view actor, std::string_view answer) {
  return print({{"actor", actor}, {"answer", answer}});
}
std::string json_of_recording(std::string_view volume, std::string_view file, std::uint64_t recorded,
                              std::uint64_t dropped, double seconds) {
  return print(
      {{"volume", volume}, {"file", file}, {"recorded", recorded}, {"dropped", dropped}, {"duration_s", seconds}});
}

} // namespace gnomon::actors::cli
