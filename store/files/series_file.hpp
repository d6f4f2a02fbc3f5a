// Counter series as CSV, plain, gzip or zstd: a header `time_us,volume,COLUMN,...`, then one row per volume and slot;
// an empty field is a missing value. Read whole into memory, within named limits. Any thread; blocks on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/error.hpp"

namespace gnomon::store {

inline constexpr std::size_t series_columns_max = 64;
inline constexpr std::size_t series_volumes_max = 65'536;
inline constexpr std::size_t series_values_max = 64'000'000; // rows times columns: half a GiB of doubles

// One volume's rows in the order of the file.
struct volume_series {
  std::string volume;
  std::vector<std::int64_t> time_us;       // length T, as in the file; not checked for order
  std::vector<std::vector<double>> values; // values[column]: length T; NaN where the field is empty
};

struct series_table {
  std::vector<std::string> columns;   // without time_us and volume
  std::vector<volume_series> volumes; // in order of first appearance
  // Index of a column, or columns.size() if there is none.
  std::size_t column(std::string_view name) const;
};

// corrupt, with the line number: no header, wrong number of fields, not a finite number, damaged compression;
// limit_reached; not_found.
result<series_table> read_series(const std::string& path);

} // namespace gnomon::store
