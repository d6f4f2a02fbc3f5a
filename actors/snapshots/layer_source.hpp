// The layers of a point in time as the place where a volume's missing granules come from, and the order in which they
// are best brought in. It keeps the point in use for as long as it lives.
//
// holds() and read(): any thread, several at once. Until learn() has read the layers' indexes, holds() says yes to all:
// what no layer has reads as zeros either way.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/snapshots/layer_uses.hpp"
#include "io/granule/source.hpp"
#include "io/types.hpp"
#include "store/layer/layer_chain.hpp"

namespace gnomon::actors {

class layer_source final : public io::granule_source {
public:
  layer_source(std::shared_ptr<const store::layer_chain> chain, layer_uses::use used)
      : chain_(std::move(chain)), used_(std::move(used)) {}

  bool holds(granule_index granule) const override;
  result<void> read(granule_index granule, std::span<std::byte> into) override;

  // Reads the indexes. Which granules have content, and in which order to bring them in: those of the newest layer
  // first, the baseline's last, within a layer those of `hot_first` (in that order) first; what is zero comes at the
  // very end. Every granule of the volume is in it once. Blocks; once.
  result<io::granule_plan> learn(const std::vector<io::granule_run>& hot_first);

  // Nobody reads from it any more: the point is not in use because of it, though routes may still hold the object.
  void let_go();

  const store::layer_chain& chain() const noexcept { return *chain_; }

private:
  const std::shared_ptr<const store::layer_chain> chain_;
  std::mutex mutex_;
  layer_uses::use used_; // guarded by mutex_
  std::vector<std::uint64_t> held_; // a bit per granule; written before `known_`
  std::atomic<bool> known_{false};
};

} // namespace gnomon::actors
