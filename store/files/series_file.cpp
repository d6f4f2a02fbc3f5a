#include "store/files/series_file.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "config/types.hpp"
#include "store/files/text_stream.hpp"

namespace gnomon::store {

namespace {

void split(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const auto comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos)
      return;
    line.remove_prefix(comma + 1);
  }
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

result<std::vector<std::string>> read_header(line_reader& lines, std::vector<std::string_view>& fields) {
  auto line = lines.next();
  if (!line)
    return tl::unexpected(line.error());
  split(line->value_or(""), fields);
  if (fields.size() < 3 || fields[0] != "time_us" || fields[1] != "volume")
    return lines.corrupt("expected a header time_us,volume,COLUMN,...");
  if (fields.size() - 2 > series_columns_max)
    return lines.corrupt(fmt::format("more than {} columns", series_columns_max));
  return std::vector<std::string>(fields.begin() + 2, fields.end());
}

} // namespace

std::size_t series_table::column(std::string_view name) const {
  return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
}

result<series_table> read_series(const std::string& path) {
  auto lines = line_reader::open(path);
  if (!lines)
    return tl::unexpected(lines.error());
  std::vector<std::string_view> fields;
  auto columns = read_header(*lines, fields);
  if (!columns)
    return tl::unexpected(columns.error());
  series_table table{std::move(*columns), {}};
  std::unordered_map<std::string, std::size_t> known;
  std::size_t values = 0;
  for (;;) {
    auto line = lines->next();
    if (!line)
      return tl::unexpected(line.error());
    if (!*line)
      return table;
    if ((*line)->empty())
      continue;
    split(**line, fields);
    if (fields.size() != table.columns.size() + 2)
      return lines->corrupt(fmt::format("{} fields, the header has {}", fields.size(), table.columns.size() + 2));
    std::int64_t time_us = 0;
    if (!parse_number(fields[0], time_us))
      return lines->corrupt("time_us is no number");
    if (fields[1].empty() || fields[1].size() > volume_name_length_max)
      return lines->corrupt("no volume name");
    if ((values += table.columns.size()) > series_values_max)
      return fail(errc::limit_reached, fmt::format("{}: more than {} values", path, series_values_max));
    const auto [entry, is_new] = known.try_emplace(std::string(fields[1]), table.volumes.size());
    if (is_new) {
      if (table.volumes.size() >= series_volumes_max)
        return fail(errc::limit_reached, fmt::format("{}: more than {} volumes", path, series_volumes_max));
      table.volumes.push_back({std::string(fields[1]), {}, std::vector<std::vector<double>>(table.columns.size())});
    }
    auto& series = table.volumes[entry->second];
    series.time_us.push_back(time_us);
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      double value = std::numeric_limits<double>::quiet_NaN();
      const auto text = fields[c + 2];
      if (!text.empty() && (!parse_number(text, value) || !std::isfinite(value)))
        return lines->corrupt(fmt::format("{} is no finite number", table.columns[c]));
      series.values[c].push_back(value);
    }
  }
}

} // namespace gnomon::store
