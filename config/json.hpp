// The project's only way to nlohmann/json: strict parsing of text that comes from outside, and dumping that cannot
// throw. Pure functions, any thread. Nobody else includes <nlohmann/json.hpp>, and nobody calls json::parse or
// json::dump on text or strings from outside: both throw.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "config/error.hpp"

namespace gnomon {

// Keeps keys in the order of the document, so that what is printed reads like what was written. Look-up by key is
// linear in the number of keys of the object.
using json = nlohmann::ordered_json;

// What one document may cost its reader.
struct json_limits {
  std::size_t bytes_max = 4u << 20;
  std::size_t depth_max = 64; // objects and arrays inside each other
};

// RFC 8259, read strictly: refuses duplicate keys, anything after the document, comments, NUL bytes, invalid UTF-8,
// numbers that do not fit a finite double, and whatever exceeds `limits`. A leading byte order mark is skipped.
// Errors: invalid_argument with "line L, column C: what is wrong there" (both from 1, columns in bytes);
// limit_reached when the text is larger than limits.bytes_max or memory ran out. Never throws.
result<json> parse_json(std::string_view text, json_limits limits = {});

enum class json_style { compact, pretty }; // one line, or indented by two spaces

// Strings that are not valid UTF-8 get U+FFFD in place of the bad bytes; NaN and infinities become null.
std::string dump_json(const json& value, json_style style = json_style::compact);

// A value as an error message shows it: strings quoted and shortened, "an object", "a list".
std::string shown(const json& value);

// RFC 6901: `pointer` + "/" + `key` with "~" and "/" escaped.
inline constexpr std::size_t json_pointer_key_length_max = 200; // of an unknown key that an error's pointer shows
std::string json_pointer_child(std::string_view pointer, std::string_view key);

} // namespace gnomon
