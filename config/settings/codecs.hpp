// How one kind of setting is written in JSON: decoded, encoded, described for operators ("expected ...") and for editors
// (JSON Schema). Values and pure functions; only config/settings/table.cpp makes them. Never reports where: the walk
// over the document knows the pointer.
//
// A codec has: value_type; decode(json) -> expected<value_type, setting_refusal>; encode(value_type) -> json;
// expected() -> what the value should have been; schema() -> JSON Schema 2020-12.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/json.hpp"
#include "config/names.hpp"
#include "config/settings/settings.hpp"
#include "config/units.hpp"

namespace gnomon {

// Why a value was refused.
struct setting_refusal {
  std::string suggestion; // what was probably meant, or empty
  std::string expected;   // more precise than the codec's own, or empty
};
template <class T>
using decoded = tl::expected<T, setting_refusal>;

inline constexpr std::size_t path_length_max = 4095; // PATH_MAX less its NUL

struct boolean_codec {
  using value_type = bool;
  decoded<bool> decode(const json& value) const;
  json encode(bool value) const { return value; }
  std::string expected() const { return "true or false"; }
  json schema() const { return {{"type", "boolean"}}; }
};

struct integer_codec {
  using value_type = std::uint32_t;
  std::uint32_t min = 0, max = std::numeric_limits<std::uint32_t>::max();
  decoded<std::uint32_t> decode(const json& value) const;
  json encode(std::uint32_t value) const { return value; }
  std::string expected() const;
  json schema() const { return {{"type", "integer"}, {"minimum", min}, {"maximum", max}}; }
};

// File permissions as four octal digits in a string: "0660".
struct file_mode_codec {
  using value_type = std::uint32_t;
  decoded<std::uint32_t> decode(const json& value) const;
  json encode(std::uint32_t value) const;
  std::string expected() const { return "four octal digits like \"0660\", at most \"0777\""; }
  json schema() const { return {{"type", "string"}, {"pattern", "^0[0-7]{3}$"}}; }
};

struct size_codec {
  using value_type = byte_count;
  byte_count min, max;
  std::uint64_t multiple_of = 1;
  decoded<byte_count> decode(const json& value) const;
  json encode(byte_count value) const { return format_size(value); }
  std::string expected() const;
  json schema() const;
};

// Durations in microseconds; duration_codec below fits them to the unit of a field.
struct any_duration_codec {
  std::chrono::microseconds min{0}, max{0}, unit{1}; // the value is a multiple of `unit`
  decoded<std::chrono::microseconds> decode(const json& value) const;
  std::string expected() const;
  json schema() const;
};
template <class Duration>
struct duration_codec {
  using value_type = Duration;
  Duration min, max;
  any_duration_codec any() const { return {min, max, Duration{1}}; }
  decoded<Duration> decode(const json& value) const {
    return any().decode(value).map([](auto us) { return std::chrono::duration_cast<Duration>(us); });
  }
  json encode(Duration value) const { return format_duration(value); }
  std::string expected() const { return any().expected(); }
  json schema() const { return any().schema(); }
};

struct percentage_codec {
  using value_type = double;
  double min = 0, max = 1; // fractions
  decoded<double> decode(const json& value) const;
  json encode(double value) const { return format_percentage(value); }
  std::string expected() const;
  json schema() const;
};

// Any text of at most length_max bytes, without control characters.
struct text_codec {
  using value_type = std::string;
  std::size_t length_max = 0;
  decoded<std::string> decode(const json& value) const;
  json encode(const std::string& value) const { return value; }
  std::string expected() const;
  json schema() const { return {{"type", "string"}, {"maxLength", length_max}}; }
};

// An absolute path without ".." and control characters; returned without doubled or trailing slashes.
struct path_codec {
  using value_type = std::string;
  decoded<std::string> decode(const json& value) const;
  json encode(const std::string& value) const { return value; }
  std::string expected() const { return "an absolute path without \"..\""; }
  json schema() const { return {{"type", "string"}, {"pattern", "^/"}, {"maxLength", path_length_max}}; }
};

enum class endpoint_use { listen, listen_tcp, connect }; // connect: TCP with a port other than 0
struct endpoint_codec {
  using value_type = endpoint;
  endpoint_use use = endpoint_use::listen;
  decoded<endpoint> decode(const json& value) const;
  json encode(const endpoint& value) const { return value.to_string(); }
  std::string expected() const;
  json schema() const;
};

// The nearest text that follows the rules of names, or empty.
std::string suggest_name(std::string_view text, std::size_t length_max);

template <class Name>
struct name_codec {
  using value_type = Name;
  result<Name> (*parse)(std::string_view);
  std::string_view what; // "a volume name"
  std::size_t length_max;
  decoded<Name> decode(const json& value) const {
    if (!value.is_string())
      return tl::unexpected(setting_refusal{});
    const std::string_view text = value.template get_ref<const std::string&>();
    if (auto name = parse(text))
      return *std::move(name);
    auto meant = suggest_name(text, length_max);
    return tl::unexpected(setting_refusal{parse(meant) ? std::move(meant) : std::string(), {}});
  }
  json encode(const Name& value) const { return value.value; }
  std::string expected() const {
    return std::string(what) + " of 1 to " + std::to_string(length_max) +
           " ASCII letters, digits, '.', '_' and '-', the first a letter or digit" +
           (std::is_same_v<Name, volume_name> ? ", and no uuid" : "");
  }
  json schema() const {
    return {{"type", "string"}, {"pattern", "^[A-Za-z0-9][A-Za-z0-9._-]*$"}, {"maxLength", length_max}};
  }
};

// A choice among words; decode() of the untyped part gives the position.
struct any_choice_codec {
  std::vector<std::string_view> words;
  decoded<std::size_t> decode(const json& value) const;
  std::string expected() const;
  json schema() const { return {{"enum", words}}; }
};
template <class T>
struct choice_codec {
  using value_type = T;
  std::vector<std::string_view> words;
  std::vector<T> values; // as long as `words`
  decoded<T> decode(const json& value) const {
    return any_choice_codec{words}.decode(value).map([&](std::size_t i) { return values[i]; });
  }
  json encode(const T& value) const {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] == value)
        return words[i];
    return nullptr;
  }
  std::string expected() const { return any_choice_codec{words}.expected(); }
  json schema() const { return any_choice_codec{words}.schema(); }
};

} // namespace gnomon
