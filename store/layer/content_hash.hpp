// The hashes of this room: 128 bits of a granule's raw content, and the 64-bit checksums of what lies in a layer file.
// Pure; any thread. XXH3, which keeps up with memory; a granule's hash is seeded with a number that is random per volume
// and never leaves the layer files, so that a client cannot prepare two contents with one hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "config/tagged_uuid.hpp"
#include "config/types.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

struct content_hash {
  std::uint64_t low = 0, high = 0;
  friend bool operator==(const content_hash&, const content_hash&) = default;
};

// `granule`: exactly granule_bytes; a volume's shorter last granule is filled up with zeros first.
content_hash hash_content(bytes_view granule, std::uint64_t seed) noexcept;

// 64 bits over `first` and `second` together. `binding` makes equal bytes differ by what and where they are.
std::uint64_t bound_checksum(std::uint64_t binding, bytes_view first, bytes_view second = {}) noexcept;

// The binding of what lies at `offset` of a layer file. `record_seed` is layer_binding() of the file.
inline std::uint64_t place_binding(std::uint64_t record_seed, std::uint64_t offset) noexcept {
  return record_seed ^ (offset * 0x9e3779b97f4a7c15ull);
}
std::uint64_t layer_binding(volume_uuid volume, layer_id layer) noexcept;

// A whole file's: of its trailer, which covers the checksums of all the rest.
content_hash hash_bytes(bytes_view data) noexcept;

bool is_zero(bytes_view data) noexcept;

} // namespace gnomon::store
