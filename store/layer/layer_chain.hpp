// The layers of one point in time, newest first, down to a baseline: what the volume was, granule by granule. "No entry"
// means "look below"; below the baseline, and behind the end of a lower layer, everything is zero.
//
// Immutable once it is made; every member may be called by several threads at once, reads block on the layers' disks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "store/layer/layer_reader.hpp"
#include "store/layer/layer_writer.hpp"

namespace gnomon::store {

inline constexpr std::size_t layer_chain_length_max = 1024;

class layer_chain {
public:
  // invalid_argument: not a chain (another volume, a link that does not fit, no baseline at the end where `complete`),
  // or too long.
  enum class needs { baseline, nothing_below };
  static result<std::shared_ptr<const layer_chain>> make(std::vector<std::shared_ptr<const layer_reader>> newest_first,
                                                         needs what = needs::baseline);

  const layer_header& header() const noexcept { return layers_.front()->header(); } // of the newest
  const std::vector<std::shared_ptr<const layer_reader>>& layers() const noexcept { return layers_; }

  struct place {
    const layer_reader* layer = nullptr;
    layer_entry entry;
  };
  // Where the granule's content is; none: nowhere, so it is zero (or, without a baseline, unknown).
  result<std::optional<place>> find(granule_index granule) const;
  // granule_bytes, zeros where there is nothing.
  result<void> read(granule_index granule, std::span<std::byte> into) const;
  // Of the raw content as of this point; that of zeros where there is nothing.
  result<content_hash> hash(granule_index granule) const;

  // Runs of granules in ascending order, each with the place that decides it (none: no layer has an entry).
  struct run {
    granule_index first;
    std::uint64_t granules = 0;
    std::optional<place> from;
  };
  result<void> walk(const std::function<result<void>(const run&)>& visit) const;

  // The hash that an entry's granules have, and those without one.
  content_hash zero_hash() const noexcept { return zero_hash_; }

private:
  explicit layer_chain(std::vector<std::shared_ptr<const layer_reader>> layers);
  std::vector<std::shared_ptr<const layer_reader>> layers_;
  content_hash zero_hash_;
};

// Goes through a chain in ascending order without looking anything up twice. One thread; the chain outlives it.
class layer_walk {
public:
  explicit layer_walk(const layer_chain& chain);
  // The run that covers `granule`, from there to where another layer decides or the volume ends; never goes back.
  // out_of_range: behind the volume's end.
  result<layer_chain::run> at(std::uint64_t granule);

private:
  const layer_chain* chain_;
  std::vector<layer_cursor> cursors_;
};

struct merge_request {
  layer_id id;       // of the new layer
  std::string path;  // where it goes
};

// One layer with the content of the whole chain as of its newest point: a baseline where the chain ends in one, else a
// differential on what is below. Reads the layers only. Copies records as they are stored, each one's checksum and
// index entry compared. Errors as of layer_writer and layer_reader, and shutting_down where `go_on` says false.
result<sealed_layer> merge_layers(const layer_chain& chain, const merge_request& request,
                                  const std::function<bool()>& go_on = {});

} // namespace gnomon::store
