#include "config/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor; // in bytes or microseconds
};
// Ascending, each a divisor of the next.
constexpr std::array<unit, 6> size_units{{{"B", 1},
                                          {"KiB", 1ull << 10},
                                          {"MiB", 1ull << 20},
                                          {"GiB", 1ull << 30},
                                          {"TiB", 1ull << 40},
                                          {"PiB", 1ull << 50}}};
constexpr std::array<unit, 6> duration_units{
    {{"us", 1}, {"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}, {"d", 86'400'000'000}}};

// Common spellings instead of a unit, in lower case; only used to guess what was meant.
struct alias {
  std::string_view written, meant;
  std::uint64_t times = 1;
};
constexpr alias size_aliases[] = {
    {"", "B"},      {"b", "B"},     {"byte", "B"},  {"bytes", "B"}, {"k", "KiB"},   {"kb", "KiB"}, {"ki", "KiB"},
    {"kib", "KiB"}, {"m", "MiB"},   {"mb", "MiB"},  {"mi", "MiB"},  {"mib", "MiB"}, {"g", "GiB"},  {"gb", "GiB"},
    {"gi", "GiB"},  {"gib", "GiB"}, {"gig", "GiB"}, {"t", "TiB"},   {"tb", "TiB"},  {"ti", "TiB"}, {"tib", "TiB"},
    {"p", "PiB"},   {"pb", "PiB"},  {"pi", "PiB"},  {"pib", "PiB"},
};
constexpr alias duration_aliases[] = {
    {"", "s"},         {"us", "us"},     {"usec", "us"},   {"usecs", "us"},  {"\xC2\xB5s", "us"}, {"\xCE\xBCs", "us"},
    {"ms", "ms"},      {"msec", "ms"},   {"msecs", "ms"},  {"millis", "ms"}, {"s", "s"},          {"sec", "s"},
    {"secs", "s"},     {"second", "s"},  {"seconds", "s"}, {"m", "m"},       {"min", "m"},        {"mins", "m"},
    {"minute", "m"},   {"minutes", "m"}, {"h", "h"},       {"hr", "h"},      {"hrs", "h"},        {"hour", "h"},
    {"hours", "h"},    {"d", "d"},       {"day", "d"},     {"days", "d"},    {"w", "d", 7},       {"week", "d", 7},
    {"weeks", "d", 7},
};

struct quantity {
  std::uint64_t number = 0;
  std::string_view unit_text; // what follows the digits
  bool too_large = false;
};

// Digits, then anything. Nothing when it does not begin with a digit or has a leading zero.
std::optional<quantity> split(std::string_view text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || (digits > 1 && text.front() == '0'))
    return {};
  quantity q;
  q.unit_text = text.substr(digits);
  q.too_large = std::from_chars(text.data(), text.data() + digits, q.number).ec != std::errc{};
  return q;
}

const unit* find_unit(std::span<const unit> units, std::string_view name) {
  for (const auto& u : units)
    if (u.name == name)
      return &u;
  return nullptr;
}

enum class refusal { malformed, too_large };

// The value in the smallest unit; at most `limit`.
tl::expected<std::uint64_t, refusal> read(std::string_view text, std::span<const unit> units, std::uint64_t limit) {
  const auto q = split(text);
  if (!q)
    return tl::unexpected(refusal::malformed);
  const auto* found = find_unit(units, q->unit_text);
  if (!found)
    return tl::unexpected(refusal::malformed);
  if (q->too_large || q->number > limit / found->factor)
    return tl::unexpected(refusal::too_large);
  return q->number * found->factor;
}

std::string write(std::uint64_t value, std::span<const unit> units, std::string_view zero) {
  if (value == 0)
    return std::string(zero);
  const auto* best = &units.front();
  for (const auto& u : units)
    if (value % u.factor == 0)
      best = &u;
  return fmt::format("{}{}", value / best->factor, best->name);
}

// Tolerates spaces, case, leading zeros, a decimal point and the aliases.
std::string suggest(std::string_view text, std::span<const unit> units, std::span<const alias> aliases,
                    std::uint64_t limit) {
  if (text.size() > 40 || read(text, units, limit))
    return {};
  std::string squeezed;
  for (const char c : text)
    if (c != ' ' && c != '\t' && c != '_' && c != ',')
      squeezed += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  squeezed.erase(0, std::min(squeezed.find_first_not_of("0"), squeezed.size()));
  const auto number_end = std::min(squeezed.find_first_not_of("0123456789."), squeezed.size());
  const std::string_view unit_text = std::string_view(squeezed).substr(number_end);
  long double number = 0;
  const char* first = squeezed.data();
  const auto parsed = std::from_chars(first, first + number_end, number, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || parsed.ptr != first + number_end)
    return {};
  for (const auto& known : aliases) {
    if (known.written != unit_text)
      continue;
    const auto* base = find_unit(units, known.meant);
    const long double value = number * static_cast<long double>(known.times) * static_cast<long double>(base->factor);
    if (value < 1 || value >= static_cast<long double>(limit) || value != std::floor(value))
      return {};
    const auto whole = static_cast<std::uint64_t>(value);
    if (whole % base->factor == 0)
      return fmt::format("{}{}", whole / base->factor, base->name);
    return write(whole, units, {});
  }
  return {};
}

tl::unexpected<error> refuse(std::string_view what, std::string_view text, std::string_view how,
                             const std::string& meant) {
  auto message = fmt::format("not a {}: {}; {}", what, quote(text), how);
  if (!meant.empty())
    message += fmt::format("; did you mean {}?", quote(meant));
  return fail(errc::invalid_argument, std::move(message));
}

constexpr auto size_limit = std::numeric_limits<std::uint64_t>::max();
constexpr auto duration_limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
constexpr std::size_t percentage_length_max = 24;

// "30%" -> 0.3 by way of "30e-2", so that one rounding happens instead of two.
std::optional<double> read_percentage(std::string_view text) {
  if (text.size() > percentage_length_max || !text.ends_with('%'))
    return {};
  text.remove_suffix(1);
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  const auto is_number = [](std::string_view digits) {
    return !digits.empty() && digits.find_first_not_of("0123456789") == digits.npos;
  };
  if (!is_number(whole) || (whole.size() > 1 && whole.front() == '0'))
    return {};
  if (point != text.npos && !is_number(text.substr(point + 1)))
    return {};
  const auto shifted = std::string(text) + "e-2";
  double fraction = 0;
  if (std::from_chars(shifted.data(), shifted.data() + shifted.size(), fraction).ec != std::errc{})
    return {};
  return fraction;
}

} // namespace

result<byte_count> parse_size(std::string_view text) {
  const auto value = read(text, size_units, size_limit);
  if (value)
    return byte_count{*value};
  if (value.error() == refusal::too_large)
    return fail(errc::invalid_argument, "more than 2^64 bytes: " + quote(text));
  return refuse("size", text, "write a whole number with B, KiB, MiB, GiB, TiB or PiB, like \"1GiB\"",
                suggest_size(text));
}

std::string format_size(byte_count size) { return write(size.value, size_units, "0B"); }

result<std::chrono::microseconds> parse_duration(std::string_view text) {
  const auto value = read(text, duration_units, duration_limit);
  if (value)
    return std::chrono::microseconds{static_cast<std::int64_t>(*value)};
  if (value.error() == refusal::too_large)
    return fail(errc::invalid_argument, "more than 292,000 years: " + quote(text));
  return refuse("duration", text, "write a whole number with us, ms, s, m, h or d, like \"5m\"",
                suggest_duration(text));
}

std::string format_duration(std::chrono::microseconds duration) {
  const auto count = duration.count();
  const auto magnitude = count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  return (count < 0 ? "-" : "") + write(magnitude, duration_units, "0s");
}

result<double> parse_percentage(std::string_view text) {
  if (const auto fraction = read_percentage(text))
    return *fraction;
  return refuse("percentage", text, "write a number with %, like \"30%\"", suggest_percentage(text));
}

std::string format_percentage(double fraction) {
  if (!(fraction > 0) || !std::isfinite(fraction))
    return "0%";
  // Shortest digits that give the same double ("3e-01"), with the point moved two places: "30%".
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, fraction, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<std::size_t>(end - buffer));
  const auto e = scientific.find('e');
  std::string digits(scientific.substr(0, e));
  std::erase(digits, '.');
  int exponent = 0;
  const auto exponent_text = scientific.substr(e + (scientific[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  const int point = exponent + 1 + 2; // digits before the decimal point of the percentage
  if (point <= 0)
    return "0." + std::string(static_cast<std::size_t>(-point), '0') + digits + '%';
  const auto whole = static_cast<std::size_t>(point);
  if (digits.size() <= whole)
    return digits + std::string(whole - digits.size(), '0') + '%';
  return digits.substr(0, whole) + '.' + digits.substr(whole) + '%';
}

std::string suggest_size(std::string_view text) { return suggest(text, size_units, size_aliases, size_limit); }
std::string suggest_duration(std::string_view text) {
  return suggest(text, duration_units, duration_aliases, duration_limit);
}

std::string suggest_percentage(std::string_view text) {
  if (text.size() > percentage_length_max || read_percentage(text))
    return {};
  std::string squeezed(text);
  std::erase(squeezed, ' ');
  if (!squeezed.ends_with('%'))
    squeezed += '%';
  return read_percentage(squeezed) ? squeezed : std::string();
}

} // namespace gnomon
