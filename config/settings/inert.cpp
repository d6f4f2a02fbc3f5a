#include "config/settings/inert.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/settings/table.hpp"

namespace gnomon {
namespace {

constexpr inert_key keys[] = {
    {"/cluster/listen", "peers"},
    {"/cluster/data_listen", "peers"},
    {"/cluster/peers", "peers"},
    {"/stage", "shadows"},
    {"/archive", "the archive"},
    {"/volumes/*/shadow/granularity", "shadows"},
    {"/volumes/*/archive_after", "the archive"},
    {"/instances/*/snapshots", "snapshots"},
    {"/snapshot_groups", "snapshots"},
};

// How many places of `value` the row is set in.
std::size_t times_set(const setting_row& row, const settings& value) {
  if (row.count)
    return row.count(value, 0);
  const auto lists = row.pointer.find("/*/");
  std::size_t elements = 1;
  if (lists != row.pointer.npos)
    for (const auto& other : settings_table())
      if (other.pointer == row.pointer.substr(0, lists))
        elements = other.count(value, 0);
  std::size_t set = 0;
  for (std::size_t i = 0; i < elements; ++i)
    if (const auto written = row.write(value, i); !written.is_null() && written != row.default_value)
      ++set;
  return set;
}

} // namespace

std::span<const inert_key> inert_keys() { return keys; }

std::vector<std::string> inert_warnings(const settings& value) {
  std::vector<std::string> out;
  for (const auto& row : settings_table()) {
    const auto inert =
        std::find_if(std::begin(keys), std::end(keys), [&](const auto& key) { return key.pointer == row.pointer; });
    if (inert == std::end(keys))
      continue;
    if (const auto set = times_set(row, value); set > 0)
      out.push_back(fmt::format("{} does nothing yet{}: this version has not {}", inert->pointer,
                                set > 1 ? fmt::format(" (set {} times)", set) : "", inert->what));
  }
  return out;
}

std::vector<std::string> settings_warnings(const settings& value) {
  auto out = inert_warnings(value);
  const bool writable = std::any_of(value.volumes.begin(), value.volumes.end(),
                                    [](const auto& volume) { return !volume.read_only && !volume.shared; });
  if (!value.instances_section && writable && !value.nbd.listen.empty())
    out.push_back("there is no \"instances\" section: all clients of a listener count as one instance, and two of them "
                  "may write one volume at once");
  return out;
}

} // namespace gnomon
