// Background steps on granules of one volume, each with the granule's gate held exclusively: copies for a capture,
// bringing in from a source, a capture's own reads. They run on the granule workers, which may block on files and
// sources; where the gate is taken they wait in its line without a thread.
// Each volume has a lane of its own (io/ring/lane_pool.hpp): a stuck disk or source leaves workers to the others.
#pragma once

#include <cstdint>
#include <functional>

#include "config/error.hpp"
#include "io/granule/generation.hpp"
#include "io/granule/granule_gate.hpp"

namespace gnomon::io {

class volume_core;

// Counts an internal user into the generation it finds, while it touches files; never held up by a hold. Any thread
// that is not a ring.
class internal_visit {
public:
  internal_visit(volume_core& core, request_class what);
  ~internal_visit();
  internal_visit(const internal_visit&) = delete;
  internal_visit& operator=(const internal_visit&) = delete;
  generation_number generation() const noexcept { return entered_.generation; }

private:
  volume_core& core_;
  generation_gate::entry entered_;
};

// Walks over [first, end) in ascending order and calls `work` for each granule that is `needed`, when asked again with
// its gate held. `done` is called once, on a worker or a ring, with the first error.
struct granule_pass {
  std::uint64_t first = 0, end = 0;
  request_class what = request_class::looks;
  std::function<bool(std::uint64_t granule)> needed;
  std::function<result<void>(std::uint64_t granule)> work;
  std::function<void(result<void>)> done;
  bool background = false; // nobody waits for it: it leaves the volume's workers to those who do
};
// `core` has duties, hence a gate, and stays until `done` was called.
void start_pass(volume_core& core, granule_pass pass);

} // namespace gnomon::io
