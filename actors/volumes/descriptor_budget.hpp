// How many file descriptors a configuration needs, and whether the process may have them. Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gnomon::actors {

inline constexpr std::uint64_t descriptors_kept = 256; // for rings, the store, listeners, logs; see io::block_file

// What is wrong, with the arithmetic; nothing if `volumes` can be opened under `limit` (RLIMIT_NOFILE). A volume holds
// one descriptor, and a second one once it was written to, where there is room.
std::optional<std::string> descriptor_shortage(std::uint64_t volumes, std::uint64_t limit);
// The hard limit of this process.
std::uint64_t descriptor_limit();

} // namespace gnomon::actors
