// What the data plane reports of the load it served: counters per volume, observations per chunk and instance. Values.
#pragma once

#include <array>
#include <cstdint>

#include "io/measure/coarse_latency.hpp"
#include "io/measure/latency_histogram.hpp"
#include "io/types.hpp"

namespace gnomon::io {

// Counters of one volume since it was opened, summed over rings; monotone.
struct operation_counters {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  latency_histogram latency;        // end to end, from request parsed to reply handed to the socket, nanoseconds
};
struct volume_counters {
  std::array<operation_counters, operation_count> by_operation;
  std::uint64_t connections = 0;    // open now
  std::uint64_t in_flight = 0;      // requests now
};

// What one instance did in one chunk of one volume since the last collection.
struct observation {
  volume_uuid volume;
  chunk_index chunk;                // in units of default_chunk_bytes(size when the volume was opened)
  bool whole_volume = false;        // found no cell of its own: counted without its chunk and instance
  instance_id instance;
  std::uint32_t reads = 0, writes = 0; // writes: trims and zeroings too
  std::uint32_t sequential = 0;     // of both: continued where an earlier request of the instance ended
  std::uint64_t read_bytes = 0, write_bytes = 0;
  coarse_latency::counts read_latency{}, write_latency{}; // of requests that were answered since the last collection
};

} // namespace gnomon::io
