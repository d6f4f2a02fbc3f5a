// The fields of handshake options and of their replies: taken off a payload, appended to an output. For the handshake
// on either side; no state of its own, any thread, never reads past what it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "io/nbd/protocol.hpp"

namespace gnomon::io::nbd {

template <class Integer>
void append(std::vector<std::byte>& to, Integer value) {
  const std::size_t at = to.size();
  to.resize(at + sizeof value);
  store(to.data() + at, value);
}

inline void append_text(std::vector<std::byte>& to, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Takes fields off the front of a payload, which outlives what it returns. A take that finds too little leaves
// nothing for the next ones.
class option_reader {
public:
  explicit option_reader(std::span<const std::byte> data) : left_(data) {}

  template <class Integer>
  std::optional<Integer> number() {
    if (left_.size() < sizeof(Integer))
      return end();
    const auto value = load<Integer>(left_.data());
    left_ = left_.subspan(sizeof(Integer));
    return value;
  }
  std::optional<std::string_view> text() { // a 32-bit length and as many bytes
    const auto length = number<std::uint32_t>();
    if (!length || *length > left_.size())
      return end();
    const std::string_view found{reinterpret_cast<const char*>(left_.data()), *length};
    left_ = left_.subspan(*length);
    return found;
  }
  std::size_t left() const { return left_.size(); } // bytes

private:
  std::nullopt_t end() {
    left_ = {};
    return std::nullopt;
  }

  std::span<const std::byte> left_;
};

} // namespace gnomon::io::nbd
