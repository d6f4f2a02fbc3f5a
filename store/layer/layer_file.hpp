// The bytes of a layer, wherever they lie: a file here, memory in tests, an export of another node. read_at() may be
// called by several threads at once and may block; a layer is immutable, so that nothing else is needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "config/error.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon::store {

class layer_file {
public:
  virtual ~layer_file() = default;
  virtual std::uint64_t size() const = 0;
  // Fills `into` or fails: corrupt beyond the end, io_failed.
  virtual result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const = 0;
  virtual const std::string& name() const = 0; // for messages
};

// not_found, permission_denied, io_failed.
result<std::unique_ptr<layer_file>> open_layer_file(const std::string& path);

// Keeps a copy of `content`.
std::unique_ptr<layer_file> layer_in_memory(bytes content, std::string name);

} // namespace gnomon::store
