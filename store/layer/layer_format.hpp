// The layer file, version 1: the content of a volume at a point in time, or what changed since the point below it.
// This header and its .cpp are the format's one home. Pure; any thread; hostile bytes get errc::corrupt.
//
//   header          512 bytes                    layer_header; its checksum in the last 8
//   records, pages  for every index page: the records of its entries, in order, then the page
//   root            40 bytes for every page      where it lies, what it spans, its checksum
//   footer          as long as it needs          layer_footer
//   trailer         128 bytes, the last          where root and footer are, their checksums and the header's
//
// Little-endian; nothing lies between these. A record: 48 bytes of head, then the stored bytes (one zstd frame, or the
// granule itself where that is not longer). A page: 64 bytes of head, then entries of 40 bytes, ascending by granule.
// An entry without a record is a run of zero granules; a granule without an entry is as the layer below has it. Only a
// baseline has nothing below: there it is zero.
//
// What finds damage: every checksum is seeded with the volume, the layer and the place in the file, so that a block of
// another file or place does not pass; the trailer covers the root, the root the pages, the pages the hashes of raw
// content. layer_seal is the hash of the trailer: a catalogue that has it recognises an older or another file.
//
// Room for encryption: `cipher` and `key` in the header, 16 bytes of tag in every record and page. A reader refuses a
// cipher that it does not have.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/tagged_uuid.hpp"
#include "config/types.hpp"
#include "store/files/posix_file.hpp"
#include "store/group_point.hpp"
#include "store/layer/content_hash.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

inline constexpr std::uint16_t layer_version = 1;
inline constexpr std::size_t layer_header_bytes = 512, layer_trailer_bytes = 128;
inline constexpr std::size_t record_head_bytes = 48;
inline constexpr std::size_t page_head_bytes = 64, entry_bytes = 40, root_entry_bytes = 40;
inline constexpr std::uint32_t page_entries_max = 1024;
inline constexpr std::uint32_t layer_pages_max = 1u << 21; // 128 TiB of data in one layer; the root is kept in memory
inline constexpr std::size_t layer_footer_bytes_max = 256 << 10;
inline constexpr std::size_t layer_bytes_min = layer_header_bytes + layer_trailer_bytes;

enum class layer_kind : std::uint8_t { baseline = 1, differential = 2 };
enum class layer_cipher : std::uint8_t { none = 0, aes_256_gcm = 1 }; // aes_256_gcm: reserved
std::string_view to_string(layer_kind kind) noexcept;

struct layer_header {
  layer_id id;
  snapshot_uuid snapshot;              // the point in time
  std::optional<snapshot_uuid> parent; // the point whose content lies below; none: a baseline
  volume_uuid volume;
  volume_name name; // of the volume at the cut, for operators
  byte_count size;  // of the volume at the cut
  wall_time cut;
  std::uint64_t hash_seed = 0; // of the raw contents' hashes; one per volume
  layer_cipher cipher = layer_cipher::none;
  std::array<std::uint8_t, 16> key{};
  layer_kind kind() const noexcept { return parent ? layer_kind::differential : layer_kind::baseline; }
  // Granules of the volume, its shorter last one included.
  std::uint64_t granules() const noexcept { return (size.value + granule_bytes - 1) / granule_bytes; }
  friend bool operator==(const layer_header&, const layer_header&) = default;
};

struct layer_footer {
  std::string note;
  std::optional<group_point> group;
  std::uint64_t data_granules = 0, zero_granules = 0; // as the index has them
  std::uint64_t stored_bytes = 0;                     // of the records, without their heads
  friend bool operator==(const layer_footer&, const layer_footer&) = default;
};

struct layer_entry {
  granule_index granule;
  std::uint32_t run = 1;           // granules; 1 where there is a record
  std::uint32_t stored_length = 0; // 0: zeros, no record
  std::uint64_t offset = 0;        // of the record's head; 0: no record
  content_hash hash;               // of one granule's raw content
  bool is_zero() const noexcept { return offset == 0; }
  std::uint64_t end() const noexcept { return granule.value + run; }
  friend bool operator==(const layer_entry&, const layer_entry&) = default;
};

enum class record_coding : std::uint8_t { raw = 0, zstd = 1 };

struct record_head {
  granule_index granule;
  std::uint32_t stored_length = 0;
  record_coding coding = record_coding::raw;
};

struct root_entry {
  std::uint64_t first = 0, end = 0; // granules that the page spans
  std::uint64_t offset = 0;
  std::uint32_t entries = 0;
  std::uint64_t checksum = 0; // the page's
};

struct layer_trailer {
  std::uint64_t file_bytes = 0, root_offset = 0, footer_offset = 0;
  std::uint32_t pages = 0, footer_bytes = 0;
  std::uint64_t header_checksum = 0, root_checksum = 0, footer_checksum = 0;
  layer_id id;
};

using layer_seal = content_hash; // of a sealed file's trailer

// Each returns exactly the bytes of its part. `binding`: layer_binding() of the file.
bytes encode_header(const layer_header& header); // checksum: its last 8 bytes
bytes encode_record_head(const record_head& head, bytes_view stored, std::uint64_t binding, std::uint64_t offset);
bytes encode_page(const std::vector<layer_entry>& entries, std::uint64_t binding, std::uint64_t offset);
bytes encode_root(const std::vector<root_entry>& pages);
bytes encode_footer(const layer_footer& footer);
bytes encode_trailer(const layer_trailer& trailer);
std::uint64_t stored_checksum(bytes_view block) noexcept; // the last 8 bytes of a header or trailer

// corrupt; unsupported: a newer version or a cipher. `what` names the file.
result<layer_header> decode_header(bytes_view block, std::string_view what);
result<record_head> decode_record_head(bytes_view head, bytes_view stored, std::uint64_t binding,
                                       std::uint64_t offset, std::string_view what);
// Looks at the head only, to know how many bytes follow it: nothing in it has been checked yet.
std::uint32_t peek_stored_length(bytes_view head) noexcept;
result<std::vector<layer_entry>> decode_page(bytes_view page, const root_entry& where, std::uint64_t binding,
                                             std::string_view what);
result<std::vector<root_entry>> decode_root(bytes_view root, const layer_trailer& trailer, std::string_view what);
result<layer_footer> decode_footer(bytes_view footer, std::string_view what);
result<layer_trailer> decode_trailer(bytes_view block, std::string_view what);

inline std::size_t page_bytes(std::uint32_t entries) noexcept { return page_head_bytes + entries * entry_bytes; }

} // namespace gnomon::store
