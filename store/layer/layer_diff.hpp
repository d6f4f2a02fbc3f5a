// What differs between two points in time of one volume, by the 128-bit hashes in the layers' indexes: no content is
// read. Any thread; reads the indexes, so it blocks on the layers' disks.
#pragma once

#include <functional>
#include <vector>

#include "store/layer/layer_chain.hpp"

namespace gnomon::store {

struct layer_difference {
  struct run {
    granule_index first;
    std::uint64_t granules = 0;
    bool zero = false; // the newer point reads as zeros there
    friend bool operator==(const run&, const run&) = default;
  };
  std::vector<run> runs; // ascending, not adjacent unless `zero` differs
  granule_index next;    // where to go on; the newer point's granules: nothing more differs
};

// From granule `from` on, at most `runs_max` runs. Without `older`: what is not zero. invalid_argument: points of two
// volumes; corrupt, io_failed; shutting_down where `go_on` says false.
result<layer_difference> diff_layers(const layer_chain* older, const layer_chain& newer, granule_index from,
                                     std::size_t runs_max, const std::function<bool()>& go_on = {});

} // namespace gnomon::store
