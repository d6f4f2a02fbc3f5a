// Looks at every byte of a layer: does each block lie where the index says, match its checksum, and does each granule's
// content match its hash. Findings are named and counted; a layer that cannot be opened at all is one finding.
// One thread, blocks; reads the whole file once, in order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/layer/layer_reader.hpp"

namespace gnomon::store {

inline constexpr std::size_t layer_findings_listed_max = 100;

enum class layer_damage : std::uint8_t {
  unreadable, // the file cannot be read: the disk, or permissions
  layer,      // header, root, footer or trailer: nothing of it can be used
  page,       // an index page: its granules cannot be found
  record,     // a granule's record
  content,    // a granule's content against its hash
  layout,     // blocks overlap, or bytes belong to none
  counts,     // the footer counts other granules or bytes than there are
};
std::string_view to_string(layer_damage kind) noexcept;

struct layer_finding {
  layer_damage kind = layer_damage::layer;
  std::optional<granule_index> granule;
  std::string text;
};

struct layer_report {
  std::uint64_t granules_checked = 0, bytes_checked = 0;
  std::uint64_t findings_count = 0;
  std::vector<layer_finding> findings; // the first layer_findings_listed_max
  bool good() const noexcept { return findings_count == 0; }
};

// `go_on` is asked once per page; false ends the walk early (the report then covers what was seen).
layer_report verify_layer(const std::string& path, const layer_expectation& expected = {},
                          const std::function<bool()>& go_on = {});
layer_report verify_layer(std::unique_ptr<layer_file> file, const layer_expectation& expected = {},
                          const std::function<bool()>& go_on = {});

} // namespace gnomon::store
