// Whether a fence lets a connection in, by the name it attached under. A gateway's connection stands for all instances
// behind it: while one is fenced, or the volume was handed over to one, it may be any of them and is kept out. Pure.
#pragma once

#include "io/types.hpp"

namespace gnomon::io {

inline bool is_gateway(const instance_id& who) { return who.value.starts_with("node:"); }

inline bool admits_connection(const fence_set& fences, const instance_id& who) {
  return fences.admits(who) && !(is_gateway(who) && (fences.only || !fences.fenced.empty()));
}

} // namespace gnomon::io
