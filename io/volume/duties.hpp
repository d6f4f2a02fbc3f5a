// What a volume has to do for its changes and looks besides touching its file: the part of a route that plain volumes
// do not have. Immutable once published, like the route; what it points to belongs to the volume's granule_state and
// lives as long as its core, or, where it is shared, until every ring has forgotten the route.
#pragma once

#include <memory>

#include "io/granule/bits.hpp"
#include "io/granule/granule_gate.hpp"
#include "io/granule/source.hpp"
#include "io/volume/archiving.hpp"
#include "io/volume/capture.hpp"
#include "io/volume/presence.hpp"

namespace gnomon::io {

struct granule_duties {
  granule_gate* gate = nullptr; // never null

  // Which granules changed: a change of a generation before `cut` marks `before`, any other one `after`. Null: the
  // volume's changes are not tracked.
  generation_number cut;
  granule_bits* before = nullptr;
  granule_bits* after = nullptr;
  std::shared_ptr<capture> capturing; // of the content at `cut`

  presence* present = nullptr;            // null: the file holds every granule
  std::shared_ptr<granule_source> source; // of the others; null only while the first archiving reads, with all present
  std::shared_ptr<archiving> archived;    // notes what changes since it was read for the archive
};

} // namespace gnomon::io
