// What the layers of a node mean together: which snapshots there are, which layers one needs, which layers nothing
// needs, which snapshots a retention rule gives up. Pure functions over records; any thread.
//
// A snapshot is a point in time; a layer file is one way to have it. A merge gives a point a second file with a shorter
// chain; the better one is used, and the other is not needed any more. Points form a tree by `parent`.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "config/error.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

class snapshot_tree {
public:
  explicit snapshot_tree(std::vector<layer_record> layers);

  const std::vector<layer_record>& layers() const noexcept { return layers_; }
  // The file that stands for the point; none: no such point. A baseline before a differential.
  const layer_record* best(snapshot_uuid snapshot) const;
  // The layers that make up the point, newest first, down to a baseline. not_found; corrupt: one is missing, named.
  result<std::vector<const layer_record*>> chain(snapshot_uuid snapshot) const;
  // Points that are offered (state live), oldest cut first.
  std::vector<const layer_record*> snapshots() const;
  // The live point that `text` means: a uuid, or the first characters of one (4 at least).
  // not_found; invalid_argument: several begin so.
  result<const layer_record*> resolve(std::string_view text) const;
  // The layers directly on this point.
  std::vector<const layer_record*> above(snapshot_uuid snapshot) const;

  // Bytes of files that would go with this snapshot alone, and of all that it needs.
  struct usage {
    std::uint64_t unique_bytes = 0, all_bytes = 0;
    std::size_t layers = 0;
  };
  usage used_by(snapshot_uuid snapshot) const;

  // Layers that no live point and none of `in_use` needs.
  std::vector<layer_id> unneeded(const std::unordered_set<snapshot_uuid>& in_use) const;

private:
  std::unordered_set<layer_id> needed(const std::unordered_set<snapshot_uuid>& points) const;
  std::vector<layer_record> layers_;
};

// What to keep, as backup tools say it: the newest `count`, and the newest of each of so many hours, days, weeks.
struct retention {
  std::uint32_t count = 0, hourly = 0, daily = 0, weekly = 0;
  bool keeps_all() const noexcept { return count == 0 && hourly == 0 && daily == 0 && weekly == 0; }
};

// Of the given points of one volume or group, oldest first, those to give up; never the newest, none that is locked at
// `now`. Empty where the rule keeps all.
std::vector<snapshot_uuid> given_up(const std::vector<const layer_record*>& points, const retention& rule,
                                    wall_time now);

} // namespace gnomon::store
