// Granules that are read one after the other, put together to one piece: zeros at its end, or all through, take no memory.
// One thread at a time.
#pragma once

#include <cstring>
#include <utility>

#include "io/types.hpp"
#include "io/volume/file_io.hpp"

namespace gnomon::io {

class granule_piece {
public:
  static bool is_all_zeros(const std::byte* data, std::size_t bytes) {
    return bytes == 0 || (data[0] == std::byte{0} && std::memcmp(data, data + 1, bytes - 1) == 0);
  }
  granule_piece(std::uint64_t first, std::uint64_t end) {
    piece_.first = granule_index{first};
    piece_.next = granule_index{end};
    piece_.granules = static_cast<std::uint32_t>(end - first);
  }
  std::byte* memory() noexcept { return content_.data(); }
  std::span<std::byte> first(std::size_t bytes) noexcept { return content_.first(bytes); }
  // The next granule is in memory(), or it is a hole.
  void append(std::uint32_t bytes, bool hole) {
    auto& data = piece_.data;
    if (!hole && (!data.empty() || !is_all_zeros(content_.data(), bytes))) {
      data.resize(bytes_); // what came before is zeros, or is there
      data.insert(data.end(), content_.data(), content_.data() + bytes);
    }
    bytes_ += bytes;
  }
  capture_piece finish(bool end) {
    piece_.zero = piece_.data.empty() && piece_.granules > 0;
    if (!piece_.zero)
      piece_.data.resize(bytes_);
    piece_.end = end;
    return std::move(piece_);
  }

private:
  capture_piece piece_;
  granule_buffer content_;
  std::size_t bytes_ = 0;
};

} // namespace gnomon::io
