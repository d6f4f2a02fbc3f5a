// The in-process interface: typed read/write/flush messages of CAF programs, carried out by a ring like any other request.
// submit(): any thread.
#pragma once

#include <memory>

#include "io/engine/engine.hpp"
#include "io/volume/core.hpp"

namespace gnomon::io {

inline constexpr std::uint64_t local_request_bytes_max = 1 << 20;

// `done` is called exactly once, on a ring or, for requests refused at once, on the caller's thread.
void submit_local(std::shared_ptr<volume_core> core, local_request request, std::function<void(local_reply)> done);

} // namespace gnomon::io
