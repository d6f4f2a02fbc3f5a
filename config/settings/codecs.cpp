#include "config/settings/codecs.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/text.hpp"

namespace gnomon {
namespace {

auto refuse(std::string suggestion = {}) { return tl::unexpected(setting_refusal{std::move(suggestion), {}}); }

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// What a quantity looks like as text when somebody wrote a bare number, so that the unit can be guessed.
std::string bare_number(const json& value) { return value.is_number() ? dump_json(value) : std::string(); }

std::string_view text_of(const json& value) { return value.get_ref<const std::string&>(); }

} // namespace

decoded<bool> boolean_codec::decode(const json& value) const {
  if (value.is_boolean())
    return value.get<bool>();
  if (!value.is_string())
    return refuse();
  static constexpr std::string_view words[] = {"true", "false", "yes", "no", "on", "off"};
  for (std::size_t i = 0; i < std::size(words); ++i)
    if (edit_distance(text_of(value), words[i]) == 0)
      return refuse(i % 2 == 0 ? "true" : "false");
  return refuse();
}

decoded<std::uint32_t> integer_codec::decode(const json& value) const {
  // The lexer gives non-negative whole numbers as unsigned ones; "2.0" and "1e3" are written as something else.
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number < min || number > max)
      return refuse();
    return static_cast<std::uint32_t>(number);
  }
  if (value.is_string()) {
    const auto unquoted = parse_json(text_of(value), {.bytes_max = 20});
    if (unquoted && decode(*unquoted))
      return refuse(dump_json(*unquoted));
  }
  return refuse();
}

std::string integer_codec::expected() const { return fmt::format("a whole number, {} to {}", min, max); }

decoded<std::uint32_t> file_mode_codec::decode(const json& value) const {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 777)
    return refuse('0' + dump_json(value));
  if (!value.is_string())
    return refuse();
  const auto text = text_of(value);
  const bool octal = text.find_first_not_of("01234567") == text.npos;
  if (octal && text.size() == 3)
    return refuse('0' + std::string(text));
  if (!octal || text.size() != 4 || text.front() != '0')
    return refuse();
  std::uint32_t mode = 0;
  for (const char digit : text)
    mode = mode * 8 + static_cast<std::uint32_t>(digit - '0');
  return mode;
}

json file_mode_codec::encode(std::uint32_t value) const { return fmt::format("{:04o}", value); }

decoded<byte_count> size_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse(suggest_size(bare_number(value)));
  const auto size = parse_size(text_of(value));
  if (!size)
    return refuse(suggest_size(text_of(value)));
  if (*size < min || *size > max)
    return refuse();
  const auto remainder = size->value % multiple_of;
  if (remainder == 0)
    return *size;
  const byte_count rounded_up{size->value - remainder + multiple_of};
  return refuse(rounded_up <= max ? format_size(rounded_up) : std::string());
}

std::string size_codec::expected() const {
  auto text = fmt::format("a size like \"{}\", {} to {}", format_size(std::clamp(byte_count{1ull << 30}, min, max)),
                          format_size(min), format_size(max));
  if (multiple_of > 1)
    text += fmt::format(", a multiple of {}", format_size(byte_count{multiple_of}));
  return text;
}

json size_codec::schema() const { return {{"type", "string"}, {"pattern", "^(0|[1-9][0-9]*)([KMGTP]i)?B$"}}; }

decoded<std::chrono::microseconds> any_duration_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse(suggest_duration(bare_number(value)));
  const auto duration = parse_duration(text_of(value));
  if (!duration)
    return refuse(suggest_duration(text_of(value)));
  if (*duration < min || *duration > max || duration->count() % unit.count() != 0)
    return refuse();
  return *duration;
}

std::string any_duration_codec::expected() const {
  auto text = fmt::format("a duration like \"{}\", {} to {}",
                          format_duration(std::clamp<std::chrono::microseconds>(std::chrono::minutes{5}, min, max)),
                          format_duration(min), format_duration(max));
  if (unit.count() > 1)
    text += fmt::format(", in whole {}", unit == std::chrono::seconds{1} ? "seconds" : "milliseconds");
  return text;
}

json any_duration_codec::schema() const {
  return {{"type", "string"}, {"pattern", "^(0|[1-9][0-9]*)(us|ms|s|m|h|d)$"}};
}

decoded<double> percentage_codec::decode(const json& value) const {
  if (value.is_number()) {
    const auto number = value.get<double>();
    return refuse(number >= min && number <= max ? format_percentage(number) : suggest_percentage(dump_json(value)));
  }
  if (!value.is_string())
    return refuse();
  const auto fraction = parse_percentage(text_of(value));
  if (!fraction)
    return refuse(suggest_percentage(text_of(value)));
  if (*fraction < min || *fraction > max)
    return refuse();
  return *fraction;
}

std::string percentage_codec::expected() const {
  return fmt::format("a percentage like \"30%\", {} to {}", format_percentage(min), format_percentage(max));
}

json percentage_codec::schema() const { return {{"type", "string"}, {"pattern", "^(0|[1-9][0-9]*)(\\.[0-9]+)?%$"}}; }

decoded<std::string> text_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse();
  const auto text = text_of(value);
  if (text.size() > length_max || !is_printable_text(text))
    return refuse();
  return std::string(text);
}

std::string text_codec::expected() const {
  return fmt::format("text of at most {} bytes without control characters", length_max);
}

decoded<std::string> path_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse();
  const auto text = text_of(value);
  if (!text.starts_with('/') || text.size() > path_length_max || has_control_characters(text))
    return refuse();
  const std::filesystem::path path(text);
  if (std::find(path.begin(), path.end(), "..") != path.end())
    return refuse(path.lexically_normal().string());
  auto normal = path.lexically_normal().string();
  if (normal.size() > 1 && normal.ends_with('/'))
    normal.pop_back();
  return normal;
}

decoded<endpoint> endpoint_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse(suggest_endpoint(bare_number(value)));
  auto parsed = parse_endpoint(text_of(value));
  if (!parsed) {
    const auto meant = suggest_endpoint(text_of(value));
    // A path that is too long is the one mistake the general words do not explain.
    const bool too_long = text_of(value).starts_with("unix:/") && text_of(value).size() > 5 + unix_path_length_max;
    return tl::unexpected(setting_refusal{
        meant, too_long ? fmt::format("a socket path of at most {} bytes", unix_path_length_max) : std::string()});
  }
  if (use != endpoint_use::listen && parsed->type != endpoint::kind::tcp)
    return refuse();
  if (use == endpoint_use::connect && parsed->port == 0)
    return refuse();
  return *std::move(parsed);
}

std::string endpoint_codec::expected() const {
  switch (use) {
  case endpoint_use::listen:
    return "\"unix:/absolute/path\", \"HOST:PORT\" or \"[IPV6]:PORT\"";
  case endpoint_use::listen_tcp:
    return "\"HOST:PORT\" or \"[IPV6]:PORT\"";
  case endpoint_use::connect:
    return "\"HOST:PORT\" or \"[IPV6]:PORT\", the port not 0";
  }
  return {};
}

json endpoint_codec::schema() const {
  return {{"type", "string"}, {"pattern", use == endpoint_use::listen ? "^(unix:/.+|.+:[0-9]+)$" : "^[^/]+:[0-9]+$"}};
}

std::string suggest_name(std::string_view text, std::size_t length_max) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || (!name.empty() && (c == '.' || c == '_' || c == '-')))
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
    if (name.size() == length_max)
      break;
  }
  while (name.ends_with('-'))
    name.pop_back();
  return name;
}

decoded<std::size_t> any_choice_codec::decode(const json& value) const {
  if (!value.is_string())
    return refuse();
  const auto found = std::find(words.begin(), words.end(), text_of(value));
  if (found == words.end())
    return refuse(std::string(nearest(text_of(value), words)));
  return static_cast<std::size_t>(found - words.begin());
}

std::string any_choice_codec::expected() const { return fmt::format("one of \"{}\"", fmt::join(words, "\", \"")); }

} // namespace gnomon
