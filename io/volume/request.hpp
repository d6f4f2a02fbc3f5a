// One request against a volume core, from start() to its one call of `finish`: the same path for NBD connections and
// for the in-process interface. Owned by its caller (embedded in the NBD request or the local request); ring thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/granule/granule_gate.hpp"
#include "io/measure/observation.hpp"
#include "io/ring/buffer_pool.hpp"
#include "io/ring/ring.hpp"
#include "io/ring/wake.hpp"
#include "io/types.hpp"
#include "io/volume/block_status.hpp"
#include "io/volume/sync_coalescer.hpp"

namespace gnomon::io {

class volume_core;
struct volume_request;

// A request's place in each of the lines it may have to wait in.
struct gate_link : gate_waiter {
  volume_request* request = nullptr;
};
struct sync_link : sync_waiter {
  volume_request* request = nullptr;
};
struct hold_link : parked {
  volume_request* request = nullptr;
};
// While granule workers do something for it.
struct work_link : parked {
  volume_request* request = nullptr;
  int os_errno = 0;
};

struct volume_request : completion {
  // --- filled by the caller
  volume_core* core = nullptr; // outlives the request
  operation op = operation::read;
  bool fua = false;
  bool may_punch = true;     // zero: holes allowed (no NBD_CMD_FLAG_NO_HOLE)
  bool fast_only = false;    // zero: ENOTSUP rather than slow
  std::uint64_t offset = 0;  // bytes from the start of the volume; start() may move it, and `finish` sees it as it was
  std::uint64_t length = 0;  // bytes; the same
  buffer memory;             // read, write: from acquire(memory_bytes(...))
  std::byte* data = nullptr; // read, write: memory.data + memory_skew(...); or, for a write of a buffered
                             // volume, anywhere that stays valid until `finish`
  using finish_function = void (*)(volume_request& self, ring& on);
  finish_function finish = nullptr;
  void* owner = nullptr; // the caller's, for `finish`
  boot_time started{};   // when it was parsed
  instance_slot instance{}; // the client's
  std::uint64_t session = 0; // of the gateway whose data connection it came through; 0: this node's own client
  bool fill = false;         // read: for a shadow of that gateway

  // --- the answer
  int error = 0;               // errno, 0 = done
  std::vector<extent> extents; // block_status: at most extents_max of them, from `offset` on
  std::uint32_t extents_max = 1;

  // --- private to volume_steps.hpp
  ring* on = nullptr;
  generation_number generation;
  std::uint8_t entered_slot = 0;
  std::uint64_t asked_offset = 0, asked_length = 0; // the whole range, while offset and length are a window of it
  std::uint64_t memory_offset = 0;  // of the part of a read under way in `memory`
  std::uint64_t io_offset = 0; // the device operation under way
  std::uint64_t io_bytes = 0, io_done = 0;
  std::byte* io_memory = nullptr; // null: no memory (fallocate)
  int io_mode = 0;                // fallocate mode
  buffer scratch;                 // one aligned block for read-modify-write, or zeroes to write
  std::uint8_t step = 0;
  std::uint8_t zero_part_number = 0; // steps.hpp
  bool counted = false, gated = false, writing = false;
  bool granules_held = false; // shared, of a volume with duties
  bool has_duties = false;    // this window or part was begun with duties
  bool trim_must_zero = false; // of granules whose source holds something else
  bool recorded = false;
  // buffered volumes: marks of changes, and pieces of a read
  bool marked = false, holds_back = false;
  std::uint8_t tries = 0;
  std::uint64_t read_done = 0; // bytes of a read that are in its memory
  std::uint64_t marks_seen = 0;
  boot_time device_since{};
  __kernel_timespec moment{};
  bool in_device = false; // an O_DIRECT transfer is under way
  gate_link gate;
  sync_link sync;
  hold_link hold; // while new writes are held
  gate_link granules;
  work_link waits;
  // with a fault plan only (tests)
  std::uint64_t fault_write = 0;
  int fault_result = 0;
  __kernel_timespec fault_wait{};
};

// O_DIRECT wants whole aligned blocks: a request's memory covers the blocks it touches, its data starts inside them.
std::uint32_t memory_bytes(const volume_core& core, std::uint64_t offset, std::uint64_t length) noexcept;
std::uint32_t memory_skew(const volume_core& core, std::uint64_t offset) noexcept;

// Whether a write's payload will be taken before start() returns, so that it may lie in memory that goes away then.
// Should it have to wait after all (a hold), start() keeps a copy.
bool takes_payload_at_once(const volume_core& core, std::uint64_t offset, std::uint64_t length,
                           const ring& on) noexcept;

// Carries the request out. `finish` is called exactly once, possibly from inside start().
void start(volume_request& request, ring& on);

} // namespace gnomon::io
