#include "io/redirect/data_export.hpp"

#include <charconv>

namespace gnomon::io {

namespace {
constexpr std::string_view mark = "@node:";
constexpr std::size_t uuid_length = 36, session_length = 16, proof_length = 2 * session::proof_bytes;
constexpr std::size_t name_length = uuid_length + mark.size() + session_length + 1 + proof_length + 1 + 1;

void add_hex(std::string& to, std::uint64_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    to += "0123456789abcdef"[value >> shift & 15];
}

template <class Integer>
bool take_hex(std::string_view text, Integer& value) {
  std::uint64_t read = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), read, 16);
  value = static_cast<Integer>(read);
  return why == std::errc{} && end == text.data() + text.size();
}
} // namespace

std::string data_export_name(const volume_uuid& volume, session::session_id session, const session::proof& proven,
                             data_use use) {
  std::string name = volume.to_string();
  name += mark;
  add_hex(name, session.value, session_length);
  name += ':';
  for (const auto byte : proven)
    add_hex(name, static_cast<std::uint64_t>(byte), 2);
  name += ':';
  name += static_cast<char>(use);
  return name;
}

std::optional<data_export> parse_data_export(std::string_view name) {
  if (name.size() != name_length || name.substr(uuid_length, mark.size()) != mark)
    return std::nullopt;
  data_export d;
  const auto uuid = volume_uuid::parse(name.substr(0, uuid_length));
  if (!uuid)
    return std::nullopt;
  d.volume = *uuid;
  name.remove_prefix(uuid_length + mark.size());
  if (!take_hex(name.substr(0, session_length), d.session.value) || name[session_length] != ':')
    return std::nullopt;
  name.remove_prefix(session_length + 1);
  for (std::size_t i = 0; i < d.proven.size(); ++i) {
    std::uint8_t byte = 0;
    if (!take_hex(name.substr(2 * i, 2), byte))
      return std::nullopt;
    d.proven[i] = static_cast<std::byte>(byte);
  }
  name.remove_prefix(proof_length);
  if (name[0] != ':' || (name[1] != 'r' && name[1] != 'w' && name[1] != 'f'))
    return std::nullopt;
  d.use = static_cast<data_use>(name[1]);
  return d;
}

} // namespace gnomon::io
