#include "config/settings/rules.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/settings/table.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon {
namespace {

std::string element(std::string_view list, std::size_t i, std::string_view key) {
  return fmt::format("{}/{}/{}", list, i, key);
}
std::string element(std::string_view list, std::size_t i) { return fmt::format("{}/{}", list, i); }

class rules {
public:
  rules(const settings& value, problem_list& problems) : value_(value), problems_(problems) {
    for (const auto& volume : value.volumes)
      names_.insert(volume.name.value);
    names_complete_ = !names_.contains("") && !(value.volumes.empty() && problems.concern("/volumes"));
  }

  void check() {
    check_names();
    check_endpoints();
    check_peers();
    check_paths();
    for (std::size_t i = 0; i < value_.volumes.size(); ++i)
      check_volume(value_.volumes[i], i);
    for (std::size_t i = 0; i < value_.instances.size(); ++i)
      check_references(value_.instances[i].volumes, element("/instances", i, "volumes"));
    check_groups();
    check_limits();
  }

private:
  bool sound(const std::string& pointer) const { return !problems_.concern(pointer); }

  // `name_of(element)` is its name; empty where it was refused.
  template <class List, class NameOf>
  void check_unique(const List& list, std::string_view pointer, std::string_view key, NameOf name_of) {
    std::unordered_map<std::string_view, std::size_t> first;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string& name = name_of(list[i]);
      if (name.empty())
        continue;
      const auto [known, is_new] = first.emplace(name, i);
      if (!is_new)
        problems_.add(element(pointer, i, key),
                      fmt::format("a name other than that of {}", element(pointer, known->second)), quote(name));
    }
  }

  void check_names() {
    check_unique(value_.volumes, "/volumes", "name",
                 [](const auto& v) -> const std::string& { return v.name.value; });
    check_unique(value_.instances, "/instances", "id",
                 [](const auto& v) -> const std::string& { return v.id.value; });
    check_unique(value_.snapshot_groups, "/snapshot_groups", "name",
                 [](const auto& v) -> const std::string& { return v.name.value; });
    check_unique(value_.cluster.peers, "/cluster/peers", "node",
                 [](const auto& v) -> const std::string& { return v.node.value; });
  }

  void check_endpoints() {
    std::vector<std::pair<std::string, const endpoint*>> all;
    if (sound("/nbd/listen"))
      for (std::size_t i = 0; i < value_.nbd.listen.size(); ++i)
        all.emplace_back(element("/nbd/listen", i), &value_.nbd.listen[i]);
    std::size_t of_instances = 0;
    for (std::size_t i = 0; i < value_.instances.size(); ++i) {
      const auto& own = value_.instances[i].listen;
      of_instances += own.size();
      if (sound(element("/instances", i, "listen")))
        for (std::size_t j = 0; j < own.size(); ++j)
          all.emplace_back(element(element("/instances", i, "listen"), j), &own[j]);
    }
    if (of_instances > instance_listeners_max)
      return problems_.add("/instances", fmt::format("at most {} listen endpoints of all instances", instance_listeners_max),
                           fmt::format("{}", of_instances));
    if (value_.admin.listen)
      all.emplace_back("/admin/listen", &*value_.admin.listen);
    if (value_.cluster.listen)
      all.emplace_back("/cluster/listen", &*value_.cluster.listen);
    if (value_.cluster.data_listen)
      all.emplace_back("/cluster/data_listen", &*value_.cluster.data_listen);
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        if (!listen_conflict(*all[i].second, *all[j].second))
          continue;
        problems_.add(all[i].first, fmt::format("an endpoint other than that of {}", all[j].first),
                      quote(all[i].second->to_string()));
        break;
      }
  }

  void check_peers() {
    const auto& cluster = value_.cluster;
    if (!cluster.peers.empty() && !cluster.listen && sound("/cluster/listen"))
      problems_.add("/cluster/listen", "an endpoint, since there are peers", "nothing");
    const auto loopback = [](const endpoint& where) { return where.host == "::1" || where.host.starts_with("127."); };
    for (const auto& [pointer, where] : {std::pair{"/cluster/listen", &cluster.listen},
                                         std::pair{"/cluster/data_listen", &cluster.data_listen}})
      if (!cluster.secret_file.empty() && cluster.tls != cluster_tls::none && *where && !loopback(**where))
        problems_.add(pointer, "an address of this machine's loopback, or \"tls\": \"none\" beside it",
                      quote((*where)->to_string()));
    std::unordered_map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < cluster.peers.size(); ++i) {
      const auto& peer = cluster.peers[i];
      if (!peer.node.value.empty() && peer.node == value_.node)
        problems_.add(element("/cluster/peers", i, "node"), "the name of another node",
                      fmt::format("this node's own, {}", quote(peer.node.value)));
      if (!sound(element("/cluster/peers", i, "address")) || !sound(element("/cluster/peers", i)))
        continue;
      const auto address = peer.address.to_string();
      if (const auto [known, is_new] = first.emplace(address, i); !is_new)
        problems_.add(element("/cluster/peers", i, "address"),
                      fmt::format("an address other than that of {}", element("/cluster/peers", known->second)),
                      quote(address));
      if (cluster.listen == peer.address)
        problems_.add(element("/cluster/peers", i, "address"), "the address of another node",
                      "this node's own cluster.listen");
    }
  }

  // Directories and volume files must not lie inside each other.
  void check_paths() {
    struct claim {
      std::string path; // ends in '/', so that only whole components are compared
      std::string pointer;
    };
    std::vector<claim> claims;
    const auto add = [&](const std::string& path, std::string pointer) {
      if (!path.empty())
        claims.push_back({path.ends_with('/') ? path : path + '/', std::move(pointer)});
    };
    add(value_.data_dir, "/data_dir");
    if (value_.stage)
      add(value_.stage->path, "/stage/path");
    if (value_.archive)
      add(value_.archive->path, "/archive/path");
    for (std::size_t i = 0; i < value_.volumes.size(); ++i)
      if (value_.volumes[i].path)
        add(*value_.volumes[i].path, element("/volumes", i, "path"));
    // Sorted, everything inside a path follows it at once; of equal paths the first in the document comes first.
    std::stable_sort(claims.begin(), claims.end(), [](const claim& a, const claim& b) { return a.path < b.path; });
    std::vector<const claim*> around;
    for (const auto& claim : claims) {
      while (!around.empty() && !claim.path.starts_with(around.back()->path))
        around.pop_back();
      if (!around.empty())
        report_overlap(*around.back(), claim);
      around.push_back(&claim);
    }
  }

  void report_overlap(const auto& outer, const auto& inner) {
    const auto shown = inner.path.size() > 1 ? inner.path.substr(0, inner.path.size() - 1) : inner.path;
    if (inner.path == outer.path)
      problems_.add(inner.pointer, fmt::format("a path other than that of {}", outer.pointer), quote(shown));
    else
      problems_.add(inner.pointer, fmt::format("a path outside that of {}", outer.pointer), quote(shown));
  }

  void check_volume(const volume_settings& volume, std::size_t i) {
    const auto chunk = default_chunk_bytes(volume.size);
    const auto granularity = volume.shadow_granularity.value;
    if (volume.size.value > 0 && granularity % chunk.value != 0) {
      const byte_count rounded_up{(granularity / chunk.value + 1) * chunk.value};
      problems_.add(element("/volumes", i, "shadow/granularity"),
                    fmt::format("a multiple of the volume's chunk, {}", format_size(chunk)),
                    quote(format_size(volume.shadow_granularity)), format_size(rounded_up));
    }
    if (volume.archive_after && !value_.archive && sound("/archive"))
      problems_.add("/archive", fmt::format("an archive, since {} is set", element("/volumes", i, "archive_after")),
                    "nothing");
  }

  void check_references(const std::vector<volume_name>& volumes, const std::string& pointer) {
    if (!sound(pointer))
      return;
    std::unordered_map<std::string_view, std::size_t> first;
    for (std::size_t i = 0; i < volumes.size(); ++i) {
      const std::string& name = volumes[i].value;
      if (const auto [known, is_new] = first.emplace(name, i); !is_new)
        problems_.add(element(pointer, i), fmt::format("a volume other than {}", element(pointer, known->second)),
                      quote(name));
      else if (names_complete_ && !names_.contains(name))
        problems_.add(element(pointer, i), "the name of a volume of this node", quote(name), nearest_volume(name));
    }
  }

  std::string nearest_volume(std::string_view name) const {
    if (problems_.full())
      return {};
    return std::string(nearest(name, std::vector<std::string_view>(names_.begin(), names_.end())));
  }

  void check_groups() {
    std::unordered_map<std::string_view, std::string> member_of;
    for (std::size_t i = 0; i < value_.snapshot_groups.size(); ++i) {
      const auto& group = value_.snapshot_groups[i];
      const auto pointer = element("/snapshot_groups", i);
      check_references(group.volumes, pointer + "/volumes");
      if (sound(pointer + "/volumes"))
        for (std::size_t v = 0; v < group.volumes.size(); ++v) {
          const auto [known, is_new] = member_of.emplace(group.volumes[v].value, pointer);
          if (!is_new)
            problems_.add(element(pointer + "/volumes", v), "a volume that is in no other group",
                          fmt::format("{}, which is in {}", quote(group.volumes[v].value), known->second));
        }
      if (group.latest_by < group.every && sound(pointer + "/latest_by") && sound(pointer + "/every"))
        problems_.add(pointer + "/latest_by",
                      fmt::format("at least {}/every, {}", pointer, format_duration(group.every)),
                      quote(format_duration(group.latest_by)));
    }
  }

  void check_limits() {
    if (value_.nbd.in_flight_max > value_.io.buffer_memory_max && sound("/nbd/in_flight_max") &&
        sound("/io/buffer_memory_max"))
      problems_.add("/nbd/in_flight_max",
                    fmt::format("at most /io/buffer_memory_max, {}", format_size(value_.io.buffer_memory_max)),
                    quote(format_size(value_.nbd.in_flight_max)));
  }

  const settings& value_;
  problem_list& problems_;
  std::set<std::string_view> names_; // of volumes
  bool names_complete_;              // no name was refused: references can be checked
};

} // namespace

void check_settings_rules(const settings& value, problem_list& problems) { rules(value, problems).check(); }

void check_volume_identities(const settings& value, problem_list& problems) {
  // (0, device number) for a block device, (1 + device, inode) for a file.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> first;
  for (std::size_t i = 0; i < value.volumes.size(); ++i) {
    const auto& path = value.volumes[i].path;
    struct stat status;
    if (!path || stat(path->c_str(), &status) != 0)
      continue; // one that does not exist is the opener's business
    const bool device = S_ISBLK(status.st_mode);
    const auto [known, is_new] =
        first.emplace(device ? std::pair{std::uint64_t{0}, std::uint64_t{status.st_rdev}}
                             : std::pair{std::uint64_t{status.st_dev} + 1, std::uint64_t{status.st_ino}},
                      i);
    if (!is_new)
      problems.add(element("/volumes", i, "path"),
                   fmt::format("a file or device other than that of {}", element("/volumes", known->second)),
                   fmt::format("{}, another name for it", quote(*path)));
  }
}

} // namespace gnomon
