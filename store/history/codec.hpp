// How rolled-up observations are laid out in bytes. Values only; any thread; never throws on hostile bytes.
//
// A history_tail holds the rows of one slot, a history_block those of one part (many slots) and 64 chunks; both have
// the same payload. Rows are sorted by chunk, instance, slot; the rows of one chunk and instance are a series.
//   varint rows, series; varint unit of read_bytes, of write_bytes (the greatest common divisor of the column, 0 if
//   all 0) bit stream, most significant bit first, six columns of adaptive Rice codes, each with a state of its own:
//     per series: chunk minus the last series' chunk, instance, rows of the series minus 1
//     per row:    slot minus the last slot minus 1 (first of a series: slot), reads, writes, read_bytes, write_bytes,
//                 sequential
// Counts are coded as the difference from a running mean of the series; bytes as the difference, in units, from the
// count times the series' mean request size so far. Both cost next to nothing where a chunk behaves as before.
// Rice codes: Rice 1979; the choice of the parameter from a running mean follows JPEG-LS (ITU-T T.87, A.5).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

// Rows of one value: what a decoder accepts, and at most 53 MB encoded.
inline constexpr std::size_t history_block_rows_max = 800'000;

// What was done to something during a slot.
struct access_counters {
  std::uint64_t reads = 0, writes = 0, read_bytes = 0, write_bytes = 0;
  std::uint64_t sequential = 0; // requests that began where the one before them ended
  access_counters& operator+=(const access_counters& other) noexcept {
    reads += other.reads, writes += other.writes, read_bytes += other.read_bytes, write_bytes += other.write_bytes;
    sequential += other.sequential;
    return *this;
  }
  friend bool operator==(const access_counters&, const access_counters&) = default;
};

struct stored_row {
  std::uint32_t chunk = 0, instance = 0, slot = 0; // slot: counted from the start of the part
  access_counters counters;
  friend bool operator==(const stored_row&, const stored_row&) = default;
};

// Sorts and adds up rows of the same chunk, instance and slot.
void normalize(std::vector<stored_row>& rows);

// `rows` normalized. The payload, without the envelope of store/lmdb/codec.hpp.
bytes encode_rows(const std::vector<stored_row>& rows);
// Appends to `rows`. corrupt, naming `what`; then `rows` is as before.
result<void> decode_rows(bytes_view payload, std::string_view what, std::vector<stored_row>& rows);

} // namespace gnomon::store
