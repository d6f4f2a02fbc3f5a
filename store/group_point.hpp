// One point in time of a snapshot group, as each of its members records it. A value; any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "config/tagged_uuid.hpp"
#include "config/types.hpp"

namespace gnomon::store {

inline constexpr std::size_t group_members_max = 1024;

struct group_member {
  volume_uuid volume;
  snapshot_uuid snapshot;
  friend bool operator==(const group_member&, const group_member&) = default;
};

// The point exists for the group iff the sealed layer of every member says `released`.
struct group_point {
  group_name name;
  group_cut_id cut;
  bool released = false; // the hold lasted until every member held
  std::vector<group_member> members;
  friend bool operator==(const group_point&, const group_point&) = default;
};

} // namespace gnomon::store
