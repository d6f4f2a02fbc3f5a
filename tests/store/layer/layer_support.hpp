// What the tests of layers share: contents of a kind, a small layer, a volume in memory to compare with.
#pragma once

#include <map>
#include <random>

#include "store/layer/layer_chain.hpp"
#include "store/layer/layer_verify.hpp"
#include "store/lmdb/codec.hpp"
#include "tests/store/support.hpp"

namespace gnomon::store::testing {

inline constexpr std::uint64_t test_seed = 0x5eed;

template <class Id>
Id numbered(std::uint8_t number) {
  Id id;
  id.bytes.fill(number);
  return id;
}

inline layer_header sample_header(std::uint64_t granules) {
  layer_header h;
  h.id = numbered<layer_id>(1);
  h.snapshot = numbered<snapshot_uuid>(2);
  h.volume = numbered<volume_uuid>(3);
  h.name = volume_name("db");
  h.size = byte_count(granules * granule_bytes);
  h.cut = wall_time(std::chrono::seconds(1'700'000'000));
  h.hash_seed = test_seed;
  return h;
}

enum class filling { zeros, repeated, random };

inline bytes content(filling kind, std::uint64_t seed, std::size_t length = granule_bytes) {
  bytes out(length);
  if (kind == filling::zeros)
    return out;
  std::mt19937_64 random(seed);
  const auto word = random();
  for (std::size_t i = 0; i < length; ++i)
    out[i] = static_cast<std::byte>(kind == filling::random ? random() : word >> (8 * (i % 8)));
  return out;
}

inline bytes file_bytes_of(const std::string& path) { return read_small_file(path, 64 << 20).value(); }

inline std::shared_ptr<const layer_reader> opened(const std::string& path) {
  auto layer = layer_reader::open(path);
  REQUIRE_OK(layer);
  return std::move(*layer);
}

inline bytes read_granule(const layer_chain& chain, std::uint64_t granule) {
  bytes out(granule_bytes);
  REQUIRE_OK(chain.read(granule_index(granule), out));
  return out;
}

} // namespace gnomon::store::testing
