#include "store/layer/content_hash.hpp"

#include <array>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gnomon::store {

content_hash hash_content(bytes_view granule, std::uint64_t seed) noexcept {
  const auto hash = XXH3_128bits_withSeed(granule.data(), granule.size(), seed);
  return {hash.low64, hash.high64};
}

content_hash hash_bytes(bytes_view data) noexcept {
  const auto hash = XXH3_128bits(data.data(), data.size());
  return {hash.low64, hash.high64};
}

std::uint64_t bound_checksum(std::uint64_t binding, bytes_view first, bytes_view second) noexcept {
  const auto head = XXH3_64bits_withSeed(first.data(), first.size(), binding);
  return second.empty() ? head : XXH3_64bits_withSeed(second.data(), second.size(), head);
}

std::uint64_t layer_binding(volume_uuid volume, layer_id layer) noexcept {
  std::array<std::uint8_t, 32> both;
  std::memcpy(both.data(), volume.bytes.data(), 16);
  std::memcpy(both.data() + 16, layer.bytes.data(), 16);
  return XXH3_64bits(both.data(), both.size());
}

bool is_zero(bytes_view data) noexcept {
  // The first bytes by themselves, then every byte against the one before it.
  constexpr std::size_t head = 16;
  for (std::size_t i = 0; i < data.size() && i < head; ++i)
    if (data[i] != std::byte{0})
      return false;
  return data.size() <= head || std::memcmp(data.data(), data.data() + head, data.size() - head) == 0;
}

} // namespace gnomon::store
