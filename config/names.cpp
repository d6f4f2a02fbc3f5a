#include "config/names.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_name_character(char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; }

template <class Name>
result<Name> parse_name(std::string_view what, std::string_view text, std::size_t length_max) {
  if (text.empty())
    return fail(errc::invalid_argument, fmt::format("{} is empty", what));
  if (text.size() > length_max)
    return fail(errc::invalid_argument,
                fmt::format("{} has at most {} bytes, not {}: {}", what, length_max, text.size(), quote(text)));
  const auto bad = std::find_if_not(text.begin(), text.end(), is_name_character);
  if (bad != text.end()) {
    // A multi-byte character is shown whole by showing what follows, too.
    const auto from = text.substr(static_cast<std::size_t>(bad - text.begin()), 4);
    const auto shown = static_cast<unsigned char>(*bad) < 0x80 ? from.substr(0, 1) : from;
    return fail(errc::invalid_argument,
                fmt::format("{} consists of ASCII letters, digits, '.', '_' and '-', without {}: {}", what,
                            quote(shown), quote(text)));
  }
  if (!is_letter_or_digit(text.front()))
    return fail(errc::invalid_argument,
                fmt::format("{} begins with a letter or digit, not '{}': {}", what, text.front(), quote(text)));
  return Name(std::string(text));
}

} // namespace

result<node_name> parse_node_name(std::string_view text) {
  return parse_name<node_name>("a node name", text, node_name_length_max);
}
result<instance_id> parse_instance_id(std::string_view text) {
  return parse_name<instance_id>("an instance id", text, instance_id_length_max);
}
result<group_name> parse_group_name(std::string_view text) {
  return parse_name<group_name>("a group name", text, group_name_length_max);
}
result<snapshot_id> parse_snapshot_id(std::string_view text) {
  return parse_name<snapshot_id>("a snapshot id", text, snapshot_id_length_max);
}
result<volume_name> parse_volume_name(std::string_view text) {
  auto name = parse_name<volume_name>("a volume name", text, volume_name_length_max);
  if (name && volume_uuid::parse(text))
    return fail(errc::invalid_argument, fmt::format("a volume name must not look like a uuid: {}", quote(text)));
  return name;
}

std::string export_name::to_string() const {
  std::string text = volume.value;
  if (instance)
    text += "@instance:" + instance->value;
  if (snapshot)
    text += "@snapshot:" + snapshot->value;
  return text;
}

result<export_name> parse_export_name(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(errc::invalid_argument, fmt::format("not an export name: {}: {}", quote(text), why));
  };
  if (text.size() > export_name_length_max)
    return refuse("too long");
  auto take_until_at = [rest = text]() mutable {
    const auto at = std::min(rest.find('@'), rest.size());
    const auto part = rest.substr(0, at);
    const bool more = at < rest.size();
    rest.remove_prefix(more ? at + 1 : at);
    return std::pair{part, more};
  };

  auto [part, more] = take_until_at();
  const auto volume = parse_volume_name(part);
  if (!volume)
    return refuse(volume.error().message);
  export_name name{*volume, {}, {}};
  while (more) {
    std::tie(part, more) = take_until_at();
    const auto colon = part.find(':');
    const auto qualifier = part.substr(0, colon);
    const auto value = colon == part.npos ? std::string_view() : part.substr(colon + 1);
    if (qualifier == "instance") {
      if (name.instance)
        return refuse("two instances");
      const auto id = parse_instance_id(value);
      if (!id)
        return refuse(id.error().message);
      name.instance = *id;
    } else if (qualifier == "snapshot") {
      if (name.snapshot)
        return refuse("two snapshots");
      const auto id = parse_snapshot_id(value);
      if (!id)
        return refuse(id.error().message);
      name.snapshot = *id;
    } else {
      return refuse("after the volume's name come \"@instance:ID\" or \"@snapshot:ID\"");
    }
  }
  return name;
}

} // namespace gnomon
