// One NBD request and its reply, from parsing to the last byte sent: what a connection, the reply encoder and the
// service's pool share. Owned by the connection that took it from the pool; ring thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <sys/uio.h>

#include "io/volume/request.hpp"

namespace gnomon::io {

class nbd_connection;

struct nbd_request {
  volume_request io;
  nbd_connection* connection = nullptr;
  std::uint64_t cookie = 0;
  std::uint64_t asked_at = 0;      // offset as the client sent it; extended replies repeat it
  std::uint64_t counted_bytes = 0; // against the connection's limit
  bool dont_fragment = false;
  bool metered = false; // counted as in flight by the volume's meter
  bool last = false;    // the connection ends after this reply
  static constexpr std::size_t pieces_max = 4;
  iovec pieces[pieces_max] = {};
  std::uint32_t piece_count = 0;
  std::byte head[160];          // replies without a data buffer: headers, errors and short texts
  std::vector<std::byte> words; // handshake output, block status, errors with long texts
  nbd_request* next = nullptr;
};

} // namespace gnomon::io
