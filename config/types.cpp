#include "config/types.hpp"

#include <sys/random.h>

namespace gnomon {

std::string volume_uuid::to_string() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

volume_uuid volume_uuid::random() {
  volume_uuid id;
  while (getrandom(id.bytes.data(), id.bytes.size(), 0) != static_cast<ssize_t>(id.bytes.size())) {
  }
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

result<volume_uuid> volume_uuid::parse(std::string_view text) {
  const auto refuse = [&] { return fail(errc::invalid_argument, "not a uuid: \"" + std::string(text) + '"'); };
  if (text.size() != 36) return refuse();
  volume_uuid id;
  std::size_t position = 0;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      if (text[position++] != '-') return refuse();
    }
    const int high = hex_value(text[position]), low = hex_value(text[position + 1]);
    if (high < 0 || low < 0) return refuse();
    id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    position += 2;
  }
  return id;
}

} // namespace gnomon
