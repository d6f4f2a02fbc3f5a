// NBD messages as tests write and compare them: a builder of big-endian bytes and a hex dump for what differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::io {

struct wire {
  std::vector<std::byte> bytes;

  wire& u16(std::uint64_t v) { return big_endian(v, 2); }
  wire& u32(std::uint64_t v) { return big_endian(v, 4); }
  wire& u64(std::uint64_t v) { return big_endian(v, 8); }
  wire& text(std::string_view s) {
    const auto raw = std::as_bytes(std::span(s));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    return *this;
  }
  wire& zeroes(std::size_t n) {
    bytes.resize(bytes.size() + n);
    return *this;
  }
  wire& then(const wire& other) {
    bytes.insert(bytes.end(), other.bytes.begin(), other.bytes.end());
    return *this;
  }
  friend bool operator==(const wire&, const wire&) = default;
  friend std::ostream& operator<<(std::ostream& out, const wire& w) {
    constexpr char digits[] = "0123456789abcdef";
    for (const std::byte b : w.bytes)
      out << digits[std::to_integer<unsigned>(b) >> 4] << digits[std::to_integer<unsigned>(b) & 15];
    return out;
  }

private:
  wire& big_endian(std::uint64_t v, int size) {
    while (size-- > 0)
      bytes.push_back(static_cast<std::byte>(v >> (8 * size)));
    return *this;
  }
};

} // namespace gnomon::io
