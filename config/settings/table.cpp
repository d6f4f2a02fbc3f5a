#include "config/settings/table.hpp"

#include <optional>
#include <type_traits>

namespace gnomon {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr byte_count kib(std::uint64_t n) { return byte_count{n << 10}; }
constexpr byte_count mib(std::uint64_t n) { return byte_count{n << 20}; }
constexpr byte_count gib(std::uint64_t n) { return byte_count{n << 30}; }
constexpr byte_count tib(std::uint64_t n) { return byte_count{n << 40}; }
constexpr auto day = std::chrono::hours{24};

// What a row says besides its pointer, spelling and place.
struct facts {
  bool required = false;
  std::string_view unless{};
  setting_change change = setting_change::restart;
  std::string_view absent{}; // the default in words; an empty or zero value then counts as absent
  json example = nullptr;    // if the default is not a good one
  std::size_t count_min = 0, count_max = 0;
};
constexpr auto live = setting_change::live;

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;
template <class T>
constexpr bool is_list = false;
template <class T>
constexpr bool is_list<std::vector<T>> = true;

// Settings with one element in every list, so that every place a row can point to exists.
settings one_of_each() {
  settings all;
  all.stage.emplace();
  all.archive.emplace();
  all.cluster.peers.emplace_back();
  all.volumes.emplace_back();
  all.instances.emplace_back();
  all.snapshot_groups.emplace_back();
  return all;
}

// A key with a value: `place(settings, i)` is the T, optional<T> or vector<T> it fills, T the codec's value_type.
template <class Codec, class Place>
setting_row value(std::string_view pointer, Codec codec, Place place, facts f, std::string_view doc) {
  using member = std::remove_cvref_t<decltype(place(std::declval<settings&>(), 0))>;
  setting_row row;
  row.pointer = pointer;
  row.doc = doc;
  row.required = f.required;
  row.unless = f.unless;
  row.change = f.change;
  row.expected = codec.expected();
  row.schema = codec.schema();
  row.count_min = f.count_min;
  row.count_max = f.count_max;

  if constexpr (is_list<member>) {
    row.kind = setting_kind::value_list;
    row.enter = [place](settings& s, std::size_t i) { place(s, i).clear(); };
    row.read = [codec, place](settings& s, std::size_t i, const json& in) {
      return codec.decode(in).map([&](auto v) { place(s, i).push_back(std::move(v)); });
    };
    row.write = [codec, place](const settings& s, std::size_t i) {
      json out = json::array();
      for (const auto& v : place(s, i))
        out.push_back(codec.encode(v));
      return out;
    };
  } else {
    row.kind = setting_kind::value;
    row.read = [codec, place](settings& s, std::size_t i, const json& in) {
      return codec.decode(in).map([&](auto v) { place(s, i) = std::move(v); });
    };
    row.write = [codec, place, zero_is_absent = !f.absent.empty()](const settings& s, std::size_t i) -> json {
      const auto& v = place(s, i);
      if constexpr (is_optional<member>)
        return v ? codec.encode(*v) : json();
      else
        return zero_is_absent && v == member{} ? json() : codec.encode(v);
    };
  }

  row.copy = [place](settings& to, std::size_t i, const settings& from, std::size_t j) {
    place(to, i) = place(from, j);
  };

  const json by_default = f.required || !f.unless.empty() ? json() : row.write(one_of_each(), 0);
  row.example = f.example.is_null() ? by_default : std::move(f.example);
  row.default_value = by_default;
  row.default_words = !f.absent.empty()      ? std::string(f.absent)
                      : by_default.is_null() ? "none"
                                             : dump_json(by_default);
  return row;
}

setting_row object(std::string_view pointer, std::string_view doc) {
  setting_row row;
  row.pointer = pointer;
  row.kind = setting_kind::object;
  row.doc = doc;
  row.expected = "an object";
  return row;
}

template <class Place>
setting_row optional_object(std::string_view pointer, Place place, std::string_view doc) {
  auto row = object(pointer, doc);
  row.kind = setting_kind::optional_object;
  row.enter = [place](settings& s, std::size_t i) { place(s, i).emplace(); };
  row.count = [place](const settings& s, std::size_t i) -> std::size_t { return place(s, i) ? 1 : 0; };
  return row;
}

template <class Place>
setting_row object_list(std::string_view pointer, Place place, std::size_t count_max, std::string_view doc) {
  auto row = object(pointer, doc);
  row.kind = setting_kind::object_list;
  row.change = live;
  row.count_max = count_max;
  row.enter = [place](settings& s, std::size_t i) { place(s, i).emplace_back(); };
  row.count = [place](const settings& s, std::size_t i) { return place(s, i).size(); };
  row.merge = [place](settings& to, const settings& from, std::span<const std::optional<std::size_t>> kept) {
    std::remove_cvref_t<decltype(place(to, 0))> merged;
    for (std::size_t j = 0; j < kept.size(); ++j)
      merged.push_back(kept[j] ? place(to, 0)[*kept[j]] : place(from, 0)[j]);
    place(to, 0) = std::move(merged);
  };
  return row;
}

// The member a row fills, for settings and for const settings.
#define AT(member)                                                                                                   \
  [](auto& s, [[maybe_unused]] std::size_t i) -> auto& { return s.member; }

const auto a_node = name_codec<node_name>{parse_node_name, "a node name", node_name_length_max};
const auto a_volume = name_codec<volume_name>{parse_volume_name, "a volume name", volume_name_length_max};
const auto an_instance = name_codec<instance_id>{parse_instance_id, "an instance id", instance_id_length_max};
const auto a_group = name_codec<group_name>{parse_group_name, "a group name", group_name_length_max};

void add_node_rows(std::vector<setting_row>& rows) {
  rows.push_back(object("", "One node: a gnomond process, its disks and the volumes that are at home on it."));
  rows.push_back(value("/node", a_node, AT(node), {.required = true, .example = "alpha"},
                       "The node's name, unique in its cluster."));
  rows.push_back(value("/data_dir", path_codec{}, AT(data_dir), {.required = true, .example = "/var/lib/gnomon"},
                       "Where volumes and metadata are kept. One running node per directory."));
  rows.push_back(
      value("/log_level",
            choice_codec<std::string>{{"debug", "info", "warning", "error"}, {"debug", "info", "warning", "error"}},
            AT(log_level), {.change = live}, "The least important lines that are logged."));
  rows.push_back(value("/undelete_for", duration_codec<seconds>{0s, 365 * day}, AT(undelete_for), {.change = live},
                       "How long a deleted volume can be brought back before its space is freed."));

  rows.push_back(object("/io", "The ring threads that carry every request."));
  rows.push_back(value("/io/rings", integer_codec{0, 16}, AT(io.rings),
                       {.absent = "one per core, at most 16", .example = 2},
                       "Ring threads; 0 stands for the default."));
  rows.push_back(value("/io/ring_entries", integer_codec{64, 32'768}, AT(io.ring_entries), {},
                       "Submission queue entries of each ring."));
  rows.push_back(value("/io/busy_poll", duration_codec<std::chrono::microseconds>{0us, 10ms}, AT(io.busy_poll), {},
                       "How long a ring spins before it sleeps while a client with little in flight sends at once; 0s: never."));
  rows.push_back(value("/io/disk_poll", duration_codec<std::chrono::microseconds>{0us, 10ms}, AT(io.disk_poll), {},
                       "The same while transfers of volumes with cache: direct are under way; 0s: never."));
  rows.push_back(value("/io/buffer_memory_max", size_codec{mib(64), tib(1)}, AT(io.buffer_memory_max), {},
                       "Memory for requests and replies of all rings together. When it is used up, sockets wait."));

  rows.push_back(object("/nbd", "Listeners for NBD clients and the limits of one client."));
  rows.push_back(
      value("/nbd/listen", endpoint_codec{endpoint_use::listen}, AT(nbd.listen),
            {.example = json::array({"unix:/run/gnomon/nbd.sock", "127.0.0.1:10809"}), .count_max = listen_max},
            "Where NBD clients connect. Sockets passed by systemd are served as well."));
  rows.push_back(value("/nbd/connections_max", integer_codec{1, 65'536}, AT(nbd.connections_max), {},
                       "Open connections; more are refused."));
  rows.push_back(value("/nbd/handshake_options_max", integer_codec{4, 4'096}, AT(nbd.handshake_options_max), {},
                       "Options a client may send before it is dropped."));
  rows.push_back(value("/nbd/handshake_timeout", duration_codec<milliseconds>{100ms, 1h}, AT(nbd.handshake_timeout),
                       {}, "How long a client may take from connecting to opening a volume."));
  rows.push_back(value(
      "/nbd/in_flight_max", size_codec{mib(32), gib(64)}, AT(nbd.in_flight_max), {},
      "Request and reply bytes in flight per connection; at least one request of the largest size NBD allows."));
  rows.push_back(value("/nbd/requests_in_flight_max", integer_codec{1, 65'536}, AT(nbd.requests_in_flight_max), {},
                       "Requests in flight per connection; more wait in the socket."));
  rows.push_back(
      value("/nbd/socket_mode", file_mode_codec{}, AT(nbd.socket_mode), {}, "File permissions of Unix sockets."));

  rows.push_back(object("/admin", "The HTTP endpoint for metrics and health."));
  rows.push_back(value("/admin/listen", endpoint_codec{endpoint_use::listen_tcp}, AT(admin.listen),
                       {.example = "127.0.0.1:10880"}, "Where /metrics and /health are served."));
  rows.push_back(value("/admin/hosts", text_codec{255}, AT(admin.hosts),
                       {.example = json::array({"alpha.example.com"}), .count_max = 16},
                       "Names with a dot by which HTTP clients call this node, besides its host name and addresses; "
                       "requests to other names are refused."));
}

const choice_codec<planner_rule> a_planner_rule{{"act", "advise", "off"},
                                                {planner_rule::act, planner_rule::advise, planner_rule::off}};

void add_cluster_rows(std::vector<setting_row>& rows) {
  rows.push_back(object("/cluster", "How this node and its peers reach each other."));
  rows.push_back(value("/cluster/listen", endpoint_codec{endpoint_use::listen_tcp}, AT(cluster.listen),
                       {.example = "127.0.0.1:10900"}, "Where peers open their sessions."));
  rows.push_back(value("/cluster/data_listen", endpoint_codec{endpoint_use::listen_tcp}, AT(cluster.data_listen),
                       {.example = "127.0.0.1:10902"}, "Where peers read and write volumes."));
  rows.push_back(value("/cluster/secret_file", path_codec{}, AT(cluster.secret_file),
                       {.absent = "this node is in no cluster", .example = "/etc/gnomon/cluster.secret"},
                       "A file of mode 0600 with at least 16 bytes that every node of the cluster has and proves to have."));
  rows.push_back(value("/cluster/lease", duration_codec<milliseconds>{100ms, 60s}, AT(cluster.lease), {},
                       "How long a node may serve a shadow without hearing from the home; a write waits at most a tenth "
                       "longer for a node that is gone."));
  rows.push_back(value("/cluster/patience", duration_codec<milliseconds>{100ms, 1h}, AT(cluster.patience), {},
                       "How long requests of a volume wait for its home before they fail."));
  rows.push_back(value("/cluster/redirect",
                       choice_codec<redirect_rule>{{"predicted", "nearest", "off"},
                                                   {redirect_rule::predicted, redirect_rule::nearest, redirect_rule::off}},
                       AT(cluster.redirect), {},
                       "Which reads a shadow on this node serves: those of chunks that are predicted hot for the instance, "
                       "all where the shadow is the quicker side, or none."));
  rows.push_back(value("/cluster/tls",
                       choice_codec<cluster_tls>{{"required", "none"}, {cluster_tls::required, cluster_tls::none}},
                       AT(cluster.tls), {},
                       "\"none\" lets cluster listeners stand beyond loopback although there is no TLS yet."));
  rows.push_back(object_list("/cluster/peers", AT(cluster.peers), peers_max, "The other nodes of the cluster."));
  rows.back().change = setting_change::restart;
  rows.push_back(value("/cluster/peers/*/node", a_node, AT(cluster.peers[i].node),
                       {.required = true, .example = "beta"}, "The peer's name."));
  rows.push_back(value("/cluster/peers/*/address", endpoint_codec{endpoint_use::connect},
                       AT(cluster.peers[i].address), {.required = true, .example = "127.0.0.1:10901"},
                       "The peer's cluster.listen, as it is reached from here."));
  rows.push_back(value("/cluster/peers/*/data_address", endpoint_codec{endpoint_use::connect},
                       AT(cluster.peers[i].data_address),
                       {.absent = "where the peer says that it listens", .example = "127.0.0.1:10903"},
                       "The peer's cluster.data_listen, as it is reached from here: through a forwarded port, say."));

  rows.push_back(optional_object("/stage", AT(stage), "The fast store for shadows of volumes."));
  rows.push_back(value("/stage/path", path_codec{}, AT(stage->path), {.required = true, .example = "/nvme/gnomon"},
                       "Its directory, best on NVMe."));
  rows.push_back(value("/stage/capacity", size_codec{mib(16), byte_count{volume_bytes_max}}, AT(stage->capacity),
                       {.required = true, .example = "64GiB"}, "How much of the device shadows may use."));
  rows.push_back(object("/planner", "What this node does by itself about shadows of other nodes' volumes."));
  rows.push_back(value("/planner/mode", a_planner_rule, AT(planner.mode), {.change = live},
                       "\"act\" makes and drops shadows, \"advise\" shows what it would do, \"off\" does nothing."));
  rows.push_back(value("/planner/every", duration_codec<milliseconds>{100ms, 1h}, AT(planner.every), {.change = live},
                       "The time between two plans."));
  rows.push_back(value("/planner/copy_rate", size_codec{kib(64), tib(1)}, AT(planner.copy_rate), {.change = live},
                       "Bytes per second that its shadows may copy into this node, together."));
  rows.push_back(value("/planner/horizon", duration_codec<milliseconds>{1s, 7 * day}, AT(planner.horizon),
                       {.change = live}, "A copy must pay within this time."));
  rows.push_back(value("/planner/stay_min", duration_codec<milliseconds>{0ms, 7 * day}, AT(planner.stay_min),
                       {.change = live}, "What it has made is not dropped sooner."));
  rows.push_back(value("/planner/demand_half_life", duration_codec<milliseconds>{1s, 7 * day},
                       AT(planner.demand_half_life), {.change = live},
                       "After this time a read counts half as observed demand."));
  rows.push_back(optional_object("/archive", AT(archive), "The slow, cheap store for cold chunks and old layers."));
  rows.push_back(value("/archive/path", path_codec{}, AT(archive->path),
                       {.required = true, .example = "/mnt/archive"}, "Its directory."));

  rows.push_back(object("/forecast", "What forecasting may cost."));
  rows.push_back(value("/forecast/cpu_budget", percentage_codec{0.01, 16}, AT(forecast.cpu_budget), {.change = live},
                       "CPU time for fitting models; 100% is one core."));
  rows.push_back(value("/forecast/refit_every", duration_codec<seconds>{10s, 7 * day}, AT(forecast.refit_every),
                       {.change = live}, "How old a volume's model may become before it is fitted anew."));
  rows.push_back(value("/forecast/memory_max", size_codec{mib(1), tib(1)}, AT(forecast.memory_max), {.change = live},
                       "Memory for the access patterns of all volumes; those used longest ago are unloaded first."));
  rows.push_back(object("/history", "How much of the past is kept for learning."));
  rows.push_back(value("/history/retention", duration_codec<seconds>{1h, 730 * day}, AT(history.retention),
                       {.change = live}, "How long access counts are kept."));
  rows.push_back(value("/history/disk_max", size_codec{mib(16), tib(1)}, AT(history.disk_max), {},
                       "Disk space for the history; the oldest goes first."));
}

void add_volume_rows(std::vector<setting_row>& rows) {
  rows.push_back(object_list("/volumes", AT(volumes), volumes_max, "The volumes at home on this node."));
  rows.push_back(value("/volumes/*/name", a_volume, AT(volumes[i].name),
                       {.required = true, .change = live, .example = "db"}, "Its name and NBD export name."));
  rows.push_back(value("/volumes/*/description", text_codec{description_length_max}, AT(volumes[i].description),
                       {.change = live, .absent = "none", .example = "orders database"},
                       "A line for operators, shown to NBD clients."));
  rows.push_back(value("/volumes/*/size", size_codec{kib(4), byte_count{volume_bytes_max}, block_bytes},
                       AT(volumes[i].size),
                       {.unless = "path", .change = live, .absent = "the size of what path names", .example = "8GiB"},
                       "Its size, in whole blocks of 4 KiB. A volume can grow, never shrink."));
  rows.push_back(value("/volumes/*/path", path_codec{}, AT(volumes[i].path),
                       {.absent = "a sparse file in data_dir", .example = "/dev/vg0/db"},
                       "A block device or file to use, outside data_dir."));
  rows.push_back(value("/volumes/*/cache",
                       choice_codec<cache_mode>{{"buffered", "direct"}, {cache_mode::buffered, cache_mode::direct}},
                       AT(volumes[i].cache), {}, "Whether I/O goes through the page cache or past it (O_DIRECT)."));
  rows.push_back(value("/volumes/*/read_only", boolean_codec{}, AT(volumes[i].read_only), {.change = live},
                       "Refuse every write."));
  rows.push_back(value("/volumes/*/shared", boolean_codec{}, AT(volumes[i].shared), {},
                       "Let several instances write at once, as cluster file systems do."));
  rows.push_back(object("/volumes/*/shadow", "Read-only copies of parts of the volume near its readers."));
  rows.push_back(
      value("/volumes/*/shadow/granularity", size_codec{mib(16), byte_count{volume_bytes_max}, chunk_bytes_min},
            AT(volumes[i].shadow_granularity), {.change = live, .absent = "one chunk", .example = "1GiB"},
            "The unit of shadows: a multiple of the volume's chunk, which is the smallest power of two from 16MiB "
            "up that gives at most 4096 chunks."));
  rows.push_back(value("/volumes/*/planner", a_planner_rule, AT(volumes[i].planner), {.change = live},
                       "What planners of all nodes may do about this volume; a node's own planner.mode may be stricter."));
  rows.push_back(object("/volumes/*/forecast", "What is predicted for the volume."));
  rows.push_back(value("/volumes/*/forecast/horizons", duration_codec<seconds>{1min, 7 * day},
                       AT(volumes[i].forecast_horizons), {.change = live, .count_min = 1, .count_max = horizons_max},
                       "How far ahead demand is predicted."));
  rows.push_back(value("/volumes/*/archive_after", duration_codec<seconds>{1h, 3650 * day},
                       AT(volumes[i].archive_after), {.change = live, .absent = "never", .example = "30d"},
                       "Move chunks that nobody used for so long to the archive."));
}

void add_client_rows(std::vector<setting_row>& rows) {
  rows.push_back(
      object_list("/instances", AT(instances), instances_max,
                  "Who may attach which volumes. Without this section every client of a listener is one anonymous "
                  "instance; with an empty one nobody may attach."));
  rows.back().seen = [](settings& s) { s.instances_section = true; };
  rows.push_back(value("/instances/*/id", an_instance, AT(instances[i].id),
                       {.required = true, .change = live, .example = "web-1"},
                       "How the instance names itself: VOLUME@instance:ID."));
  rows.push_back(value("/instances/*/volumes", a_volume, AT(instances[i].volumes),
                       {.change = live, .example = json::array({"db"}), .count_max = instance_volumes_max},
                       "The volumes it may attach."));
  rows.push_back(value(
      "/instances/*/listen", endpoint_codec{endpoint_use::listen}, AT(instances[i].listen),
      {.example = json::array({"unix:/run/gnomon/web-1.sock"}), .count_max = instance_listen_max},
      "Where this instance alone connects: every client there is it, for those that cannot name an export with "
      "@instance. A running node adds those of an instance that is new."));
  rows.push_back(value("/instances/*/application", text_codec{128}, AT(instances[i].application),
                       {.change = live, .absent = "none", .example = "postgresql"},
                       "What runs on it; events can address it."));
  rows.push_back(value("/instances/*/criticality",
                       choice_codec<criticality>{{"low", "normal", "high"},
                                                 {criticality::low, criticality::normal, criticality::high}},
                       AT(instances[i].level), {.change = live}, "Who comes first when budgets are short."));
  rows.push_back(value("/instances/*/snapshots", boolean_codec{}, AT(instances[i].snapshots), {.change = live},
                       "Whether it may open snapshots of its volumes: VOLUME@snapshot:ID."));
  rows.push_back(object("/instances/*/sla", "What it was promised."));
  rows.push_back(value("/instances/*/sla/read_p99", duration_codec<std::chrono::microseconds>{1us, 1h},
                       AT(instances[i].sla.read_p99), {.change = live, .example = "2ms"},
                       "99 of 100 reads are answered within this time."));
  rows.push_back(value("/instances/*/sla/rpo", duration_codec<seconds>{1s, 365 * day}, AT(instances[i].sla.rpo),
                       {.change = live, .example = "1h"},
                       "How much recent work a restore may lose: bounds the age of the newest snapshot."));

  rows.push_back(object_list("/snapshot_groups", AT(snapshot_groups), snapshot_groups_max,
                             "Volumes that are snapshotted together at one point in time."));
  rows.push_back(value("/snapshot_groups/*/name", a_group, AT(snapshot_groups[i].name),
                       {.required = true, .change = live, .example = "nightly"}, "The group's name."));
  rows.push_back(value("/snapshot_groups/*/volumes", a_volume, AT(snapshot_groups[i].volumes),
                       {.required = true,
                        .change = live,
                        .example = json::array({"db"}),
                        .count_min = 1,
                        .count_max = snapshot_group_volumes_max},
                       "Its members. A volume is in at most one group."));
  rows.push_back(value("/snapshot_groups/*/prediction", boolean_codec{}, AT(snapshot_groups[i].prediction),
                       {.change = live}, "Choose the moments by predicted load instead of the clock alone."));
  rows.push_back(value("/snapshot_groups/*/every", duration_codec<seconds>{10s, 365 * day},
                       AT(snapshot_groups[i].every), {.change = live}, "The usual time between two snapshots."));
  rows.push_back(value("/snapshot_groups/*/quiet_below", percentage_codec{0.01, 1},
                       AT(snapshot_groups[i].quiet_below), {.change = live},
                       "Load below this part of the mean counts as quiet."));
  rows.push_back(value("/snapshot_groups/*/latest_by", duration_codec<seconds>{10s, 365 * day},
                       AT(snapshot_groups[i].latest_by), {.change = live},
                       "A snapshot is taken at last when the newest one is this old, quiet or not; at least every."));
  rows.push_back(value("/snapshot_groups/*/retain", integer_codec{1, 100'000}, AT(snapshot_groups[i].retain),
                       {.change = live}, "How many snapshots are kept."));
}
#undef AT

} // namespace

std::span<const setting_row> settings_table() {
  static const auto rows = [] {
    std::vector<setting_row> all;
    add_node_rows(all);
    add_cluster_rows(all);
    add_volume_rows(all);
    add_client_rows(all);
    return all;
  }();
  return rows;
}

} // namespace gnomon
