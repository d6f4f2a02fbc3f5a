#include "actors/telemetry/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "actors/runtime/background_pool.hpp"
#include "actors/telemetry/health.hpp"
#include "io/engine/engine.hpp"
#include "store/history/history.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

using buffer = fmt::memory_buffer;

template <class... Args>
void put(buffer& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

void head(buffer& out, std::string_view name, std::string_view type, std::string_view help) {
  put(out, "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

struct volume_figures {
  std::string label; // escaped name
  io::volume_status status;
  io::volume_counters counters;
};

// Those that every volume shows; the others appear once they were used, which keeps thousands of idle volumes short.
bool is_basic(io::operation op) {
  return op == io::operation::read || op == io::operation::write || op == io::operation::flush;
}

template <class Value>
void put_operations(buffer& out, const std::vector<volume_figures>& volumes, std::string_view name,
                    std::string_view help, Value value) {
  head(out, name, "counter", help);
  for (const auto& volume : volumes)
    for (std::size_t i = 0; i < io::operation_count; ++i) {
      const auto& counters = volume.counters.by_operation[i];
      const auto op = static_cast<io::operation>(i);
      if (!is_basic(op) && counters.requests == 0 && counters.errors == 0)
        continue;
      put(out, "{}{{volume=\"{}\",operation=\"{}\"}} {}\n", name, volume.label, io::to_string(op), value(counters));
    }
}

void put_latencies(buffer& out, const std::vector<volume_figures>& volumes) {
  constexpr std::string_view name = "gnomon_volume_request_duration_seconds";
  head(out, name, "histogram",
       "End-to-end latency, request parsed to reply handed to the socket; the sum is from bucket midpoints.");
  for (const auto& volume : volumes)
    for (std::size_t i = 0; i < io::operation_count; ++i) {
      const auto& latency = volume.counters.by_operation[i].latency;
      const auto count = latency.count();
      if (count == 0)
        continue;
      const auto labels =
          fmt::format("volume=\"{}\",operation=\"{}\"", volume.label, io::to_string(static_cast<io::operation>(i)));
      for (unsigned exponent = latency_exponent_first; exponent <= latency_exponent_last; ++exponent)
        put(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, std::ldexp(1e-9, static_cast<int>(exponent)),
            count_up_to(latency, exponent));
      put(out, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, count);
      put(out, "{}_sum{{{}}} {}\n", name, labels, latency.mean_nanoseconds() * 1e-9 * static_cast<double>(count));
      put(out, "{}_count{{{}}} {}\n", name, labels, count);
    }
}

template <class Value>
void put_gauges(buffer& out, const std::vector<volume_figures>& volumes, std::string_view name, std::string_view help,
                Value value) {
  head(out, name, "gauge", help);
  for (const auto& volume : volumes)
    put(out, "{}{{volume=\"{}\"}} {}\n", name, volume.label, value(volume));
}

void put_volumes(buffer& out, const node_context& node) {
  std::vector<volume_figures> volumes;
  for (auto& status : node.engine->volumes()) {
    auto counters = node.engine->counters(status.spec.uuid);
    if (!counters)
      continue;
    auto label = escape_label(status.spec.name.value);
    volumes.push_back({std::move(label), std::move(status), std::move(*counters)});
  }
  put_operations(out, volumes, "gnomon_volume_requests_total", "Requests answered since the volume was opened.",
                 [](const auto& c) { return c.requests; });
  put_operations(out, volumes, "gnomon_volume_bytes_total", "Bytes of the requests answered.",
                 [](const auto& c) { return c.bytes; });
  put_operations(out, volumes, "gnomon_volume_errors_total", "Requests answered with an error.",
                 [](const auto& c) { return c.errors; });
  put_latencies(out, volumes);
  put_gauges(out, volumes, "gnomon_volume_connections", "Open NBD connections.",
             [](const auto& v) { return v.counters.connections; });
  put_gauges(out, volumes, "gnomon_volume_in_flight_requests", "Requests being worked on.",
             [](const auto& v) { return v.counters.in_flight; });
  put_gauges(out, volumes, "gnomon_volume_size_bytes", "Size of the volume.",
             [](const auto& v) { return v.status.spec.size.value; });
  put_gauges(out, volumes, "gnomon_volume_writes_failed", "1 if its writes fail since a failed fsync.",
             [](const auto& v) { return v.status.spec.writes_failed ? 1 : 0; });
}

void put_rates(buffer& out, const node_context& node) {
  const auto rates = node.rates();
  if (!rates)
    return;
  head(out, "gnomon_volume_iops", "gauge", "Requests per second over the last second.");
  for (const auto& volume : rates->volumes) {
    const auto label = escape_label(volume.name.value);
    put(out, "gnomon_volume_iops{{volume=\"{}\",operation=\"read\"}} {}\n", label,
        static_cast<double>(volume.read.requests_per_second));
    put(out, "gnomon_volume_iops{{volume=\"{}\",operation=\"write\"}} {}\n", label,
        static_cast<double>(volume.write.requests_per_second));
  }
}

template <class Value>
void put_rings(buffer& out, const std::vector<io::ring_status>& rings, std::string_view name, std::string_view type,
               std::string_view help, Value value) {
  head(out, name, type, help);
  for (const auto& ring : rings)
    put(out, "{}{{ring=\"{}\"}} {}\n", name, ring.index, value(ring));
}

void put_rings(buffer& out, const node_context& node) {
  const auto rings = node.engine->rings();
  std::uint64_t connections = 0;
  for (const auto& ring : rings)
    connections += ring.connections;
  head(out, "gnomon_connections", "gauge", "Open connections, those that have not chosen a volume yet included.");
  put(out, "gnomon_connections {}\n", connections);
  put_rings(out, rings, "gnomon_ring_connections", "gauge", "Connections of the ring.",
            [](const auto& r) { return r.connections; });
  put_rings(out, rings, "gnomon_ring_requests_total", "counter", "Requests the ring has taken.",
            [](const auto& r) { return r.requests; });
  put_rings(out, rings, "gnomon_ring_turns_total", "counter", "Turns of the ring's loop.",
            [](const auto& r) { return r.turns; });
  put_rings(out, rings, "gnomon_ring_enters_total", "counter", "io_uring_enter calls.",
            [](const auto& r) { return r.enters; });
  put_rings(out, rings, "gnomon_ring_buffer_bytes", "gauge", "Memory held for buffers.",
            [](const auto& r) { return r.buffer_bytes; });
  put_rings(out, rings, "gnomon_ring_cpu_seconds_total", "counter", "CPU time of the ring's thread.",
            [](const auto& r) { return static_cast<double>(r.cpu_nanoseconds) * 1e-9; });
}

void put_learning(buffer& out, const node_context& node) {
  const auto one = [&out](std::string_view name, std::string_view type, std::string_view help, auto value) {
    head(out, name, type, help);
    put(out, "{} {}\n", name, value);
  };
  one("gnomon_observation_collections_total", "counter", "Times that the rings' counts were collected.",
      node.observed.collections.load());
  one("gnomon_observation_rows_total", "counter", "Rows collected: a chunk touched by an instance during a second.",
      node.observed.rows.load());
  one("gnomon_observation_lost_rows_total", "counter", "Collected rows that reached no pattern actor.",
      node.observed.lost.load());
  one("gnomon_observation_unplaced_requests_total", "counter",
      "Requests counted without their chunk and instance, for want of room in the rings.",
      node.observed.unplaced.load());
  one("gnomon_learned_bytes", "gauge", "Memory of the volumes' access patterns.", node.learned.total());
  one("gnomon_learned_patterns", "gauge", "Volumes whose access pattern is loaded.", node.learned.loaded());
  if (node.history != nullptr) {
    const auto h = node.history->status();
    one("gnomon_history_rows_total", "counter", "Rows appended to the history.", h.rows_appended);
    one("gnomon_history_refused_rows_total", "counter", "Rows that met a limit or a full disk.", h.rows_refused);
    one("gnomon_history_disk_bytes", "gauge", "Size of the history's file.", h.disk_bytes);
    one("gnomon_history_used_bytes", "gauge", "Pages of it in use.", h.used_bytes);
    one("gnomon_history_model_bytes", "gauge", "Pages of learned models, within the file.", h.model_bytes);
    one("gnomon_history_models_trimmed_total", "counter", "Models dropped by age or size.", h.models_trimmed);
    one("gnomon_history_parts_sealed_total", "counter", "Parts rolled up to a coarser resolution.", h.parts_sealed);
    one("gnomon_history_parts_trimmed_total", "counter", "Parts dropped by age or size.", h.parts_trimmed);
    one("gnomon_history_corrupt_records_total", "counter", "Damaged records skipped.", h.corrupt_records);
  }
  if (node.fits != nullptr) {
    const auto f = node.fits->now();
    one("gnomon_fit_jobs_waiting", "gauge", "Fits and charts that wait for a thread.", f.queued);
    one("gnomon_fit_jobs_total", "counter", "Fits and charts done.", f.done);
    one("gnomon_fit_jobs_failed_total", "counter", "Fits and charts that failed.", f.failed);
    one("gnomon_fit_cpu_seconds_total", "counter", "CPU time of the fit threads.", f.cpu_seconds);
    one("gnomon_fit_longest_seconds", "gauge", "Longest fit or chart since the start.", f.longest_seconds);
  }
}

// From the prediction board: volumes that were fitted.
void put_forecasts(buffer& out, const node_context& node) {
  const auto board = node.predictions.board();
  const double now = seconds_of(node.clock->wall_now());
  const auto one = [&out](std::string_view name, std::string_view type, std::string_view help, auto value) {
    head(out, name, type, help);
    put(out, "{} {}\n", name, value);
  };
  one("gnomon_board_volumes", "gauge", "Volumes on the prediction board.", board->volumes().size());
  one("gnomon_board_instances", "gauge", "Instances of volumes on it.", board->instances().size());
  one("gnomon_board_bytes", "gauge", "Memory of it.", board->bytes());
  one("gnomon_board_refused_total", "counter", "Entries that found no room on it.", node.predictions.refused());
  std::map<std::string, const forecasting::load_outlook*> forecasts; // by name
  for (const auto& volume : board->volumes())
    if (volume->load->fitted_seconds > 0)
      forecasts.emplace(escape_label(volume->name.value), volume->load.get());
  if (forecasts.empty())
    return;
  head(out, "gnomon_forecast_age_seconds", "gauge", "Since the volume's load was forecast.");
  for (const auto& [name, forecast] : forecasts)
    put(out, "gnomon_forecast_age_seconds{{volume=\"{}\"}} {:.0f}\n", name,
        std::max(0.0, now - forecast->fitted_seconds));
  head(out, "gnomon_forecast_requests_per_second", "gauge", "Mean load expected within the horizon.");
  for (const auto& [name, forecast] : forecasts)
    for (const auto& horizon : forecast->horizons)
      put(out, "gnomon_forecast_requests_per_second{{volume=\"{}\",horizon_seconds=\"{:.0f}\"}} {:.3f}\n", name,
          horizon.ahead_seconds, horizon.of(forecasting::board_load::requests).per_second);
  head(out, "gnomon_forecast_burst_chance", "gauge", "Chance of a burst within the horizon, 0 to 1.");
  for (const auto& [name, forecast] : forecasts)
    for (const auto& horizon : forecast->horizons)
      put(out, "gnomon_forecast_burst_chance{{volume=\"{}\",horizon_seconds=\"{:.0f}\"}} {:.3f}\n", name,
          horizon.ahead_seconds, horizon.burst.chance);
  head(out, "gnomon_forecast_error", "gauge",
       "Error on the volume's own past over that of \"as one slot ago\" (MASE, log scale); method: served, or the "
       "best naive one.");
  for (const auto& [name, forecast] : forecasts)
    for (const auto& horizon : forecast->horizons)
      for (const auto& [method, error] :
           {std::pair("served", horizon.accuracy.served_mase), {"naive", horizon.accuracy.naive_mase}})
        if (horizon.accuracy.origins > 0)
          put(out, "gnomon_forecast_error{{volume=\"{}\",horizon_seconds=\"{:.0f}\",method=\"{}\"}} {:.3f}\n", name,
              horizon.ahead_seconds, method, error);
}

void put_groups(buffer& out, const node_context& node) {
  const auto groups = node.group_ages.all();
  if (groups.empty())
    return;
  const auto now = node.clock->wall_now();
  const auto seconds = [](auto span) { return static_cast<double>(span.count()) * 1e-6; };
  head(out, "gnomon_group_snapshot_age_seconds", "gauge",
       "Since the point in time of the group's last good snapshot, or since the group was made.");
  for (const auto& [name, age] : groups)
    put(out, "gnomon_group_snapshot_age_seconds{{group=\"{}\"}} {:.0f}\n", escape_label(name.value),
        std::max(0.0, seconds(age.age(now))));
  head(out, "gnomon_group_snapshot_age_seconds_max", "gauge",
       "How old that may become; beyond it the node is not healthy. Absent where nothing is promised.");
  for (const auto& [name, age] : groups)
    if (age.bound.count() > 0)
      put(out, "gnomon_group_snapshot_age_seconds_max{{group=\"{}\"}} {}\n", escape_label(name.value), age.bound.count());
  head(out, "gnomon_group_next_snapshot_seconds", "gauge", "Until the next planned one.");
  for (const auto& [name, age] : groups)
    if (age.next)
      put(out, "gnomon_group_next_snapshot_seconds{{group=\"{}\"}} {:.0f}\n", escape_label(name.value),
          std::max(0.0, seconds(*age.next - now)));
}

// Of volumes of other nodes that are served here: who answered their reads, and why.
void put_redirects(buffer& out, const node_context& node) {
  const auto report = node.engine->nodes();
  if (report.volumes.empty())
    return;
  head(out, "gnomon_redirect_reads_total", "counter", "Reads of volumes of other nodes, by the side that answered.");
  for (const auto& v : report.volumes) {
    const auto label = escape_label(v.volume.value);
    put(out, "gnomon_redirect_reads_total{{volume=\"{}\",side=\"shadow\"}} {}\n", label, v.reads.near);
    put(out, "gnomon_redirect_reads_total{{volume=\"{}\",side=\"home\"}} {}\n", label, v.reads.far);
  }
  head(out, "gnomon_redirect_home_reads_total", "counter", "Those that the home answered, by the reason.");
  for (const auto& v : report.volumes)
    for (const auto& [reason, count] :
         {std::pair{"not_predicted", v.reads.not_predicted}, std::pair{"no_shadow", v.reads.no_shadow},
          std::pair{"invalidated", v.reads.not_valid}, std::pair{"no_lease", v.reads.no_lease},
          std::pair{"slower", v.reads.slower}, std::pair{"overtaken", v.reads.overtaken},
          std::pair{"device_failed", v.reads.device_failed}})
      put(out, "gnomon_redirect_home_reads_total{{volume=\"{}\",reason=\"{}\"}} {}\n", escape_label(v.volume.value),
          reason, count);
  head(out, "gnomon_shadow_valid_bytes", "gauge", "Bytes of the shadow that may be read now.");
  for (const auto& v : report.volumes)
    if (v.has_shadow)
      put(out, "gnomon_shadow_valid_bytes{{volume=\"{}\",planned=\"{}\"}} {}\n", escape_label(v.volume.value),
          v.by_hand ? 0 : 1, v.valid_bytes.value);
  head(out, "gnomon_stage_used_bytes", "gauge", "Of the stage's capacity, what shadows may fill.");
  put(out, "gnomon_stage_used_bytes {}\n", report.stage_used.value);
}

void put_actors(buffer& out, const node_context& node) {
  const auto actors = node.tree.list();
  head(out, "gnomon_actors", "gauge", "Actors by state.");
  for (const auto state : {actor_state::starting, actor_state::running, actor_state::backing_off,
                           actor_state::given_up, actor_state::stopped}) {
    std::size_t count = 0;
    for (const auto& actor : actors)
      count += actor.state == state ? 1 : 0;
    put(out, "gnomon_actors{{state=\"{}\"}} {}\n", to_string(state), count);
  }
  head(out, "gnomon_actor_restarts_total", "counter",
       "Restarts since the node started; actors of a volume or an instance appear once they were restarted.");
  for (const auto& actor : actors)
    if (actor.restarts > 0 || actor.name.find('/') == actor.name.npos)
      put(out, "gnomon_actor_restarts_total{{actor=\"{}\"}} {}\n", escape_label(actor.name), actor.restarts);
}

} // namespace

std::string escape_label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"')
      out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::uint64_t count_up_to(const io::latency_histogram& histogram, unsigned exponent) {
  std::uint64_t sum = 0;
  const auto end = io::latency_histogram::bucket_of(std::uint64_t{1} << exponent);
  for (std::size_t bucket = 0; bucket < end; ++bucket)
    sum += histogram.count_in(bucket);
  return sum;
}

std::string metrics_text(const node_context& node) {
  buffer out;
  const auto facts = node.facts();
  head(out, "gnomon_build_info", "gauge", "Always 1; what runs here.");
  put(out, "gnomon_build_info{{version=\"{}\",node=\"{}\"}} 1\n", escape_label(GNOMON_VERSION),
      escape_label(facts->node.value));
  head(out, "gnomon_start_time_seconds", "gauge", "When the node started, in seconds since 1970.");
  put(out, "gnomon_start_time_seconds {}\n", static_cast<double>(facts->started_us) / 1e6);
  head(out, "gnomon_healthy", "gauge", "1 if /health answers 200.");
  put(out, "gnomon_healthy {}\n", health_problems(node).empty() ? 1 : 0);
  if (node.engine != nullptr) {
    put_volumes(out, node);
    put_rates(out, node);
    put_rings(out, node);
    put_redirects(out, node);
  }
  put_learning(out, node);
  put_forecasts(out, node);
  put_groups(out, node);
  put_actors(out, node);
  head(out, "gnomon_events_dropped_total", "counter", "Events of the data plane lost to a full inbox.");
  put(out, "gnomon_events_dropped_total {}\n", node.inbox.dropped());
  return fmt::to_string(out);
}

} // namespace gnomon::actors
