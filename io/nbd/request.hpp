// One NBD request and its reply, from parsing to the last byte sent: what a connection, the reply encoder and the
// service's pool share. Owned by the connection that took it from the pool; ring thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/ring/stream.hpp"
#include "io/volume/request.hpp"

namespace gnomon::io {

class nbd_connection;

struct nbd_request : outgoing {
  volume_request io;
  nbd_connection* connection = nullptr;
  std::uint64_t cookie = 0;
  std::uint64_t asked_at = 0;      // offset as the client sent it; extended replies repeat it
  std::uint64_t counted_bytes = 0; // against the connection's limit
  std::size_t charged_bytes = 0;   // to the ring's memory, for `words`
  bool dont_fragment = false;
  bool metered = false; // counted as in flight by the volume's meter
  bool last = false;    // the connection ends after this reply
  std::byte head[160];          // replies without a data buffer: headers, errors and short texts
  std::vector<std::byte> words; // handshake output, block status, errors with long texts
};

} // namespace gnomon::io
