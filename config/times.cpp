#include "config/times.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon {
namespace {

constexpr std::size_t time_length_max = 40; // "9999-12-31T23:59:59.999999+23:59" has 32

// Takes fixed-width fields from the front of a text; the first that does not fit sticks.
class fields {
public:
  explicit fields(std::string_view text) : rest_(text) {}
  int number(std::size_t width) {
    int value = 0;
    if (rest_.size() < width)
      return ok_ = false, 0;
    for (const char c : rest_.substr(0, width)) {
      if (c < '0' || c > '9')
        return ok_ = false, 0;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(width);
    return value;
  }
  bool take(char c) {
    if (!rest_.starts_with(c))
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok_ = take(c) && ok_; }
  // One to nine decimals of a second, as whole microseconds: what is finer is dropped.
  int decimals() {
    const auto width = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (width == 0 || width > 9)
      return ok_ = false, 0;
    int value = number(std::min<std::size_t>(width, 6));
    for (auto i = width; i < 6; ++i)
      value *= 10;
    if (width > 6)
      rest_.remove_prefix(width - 6);
    return value;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<wall_time> in_range(std::int64_t us) {
  const wall_time time{microseconds{us}};
  return time < time_min || time > time_max ? std::nullopt : std::optional(time);
}

std::optional<wall_time> read_calendar(std::string_view text) {
  if (text.size() > time_length_max)
    return {};
  fields in(text);
  const int year = in.number(4);
  in.expect('-');
  const int month = in.number(2);
  in.expect('-');
  const int day = in.number(2);
  in.expect('T');
  const int hour = in.number(2);
  in.expect(':');
  const int minute = in.number(2);
  const int second = in.ok() && in.take(':') ? in.number(2) : 0;
  const int fraction = in.ok() && in.take('.') ? in.decimals() : 0;
  int zone_minutes = 0;
  if (in.ok() && !in.take('Z')) {
    const bool west = in.take('-');
    if (!west)
      in.expect('+');
    const int zone_hour = in.number(2);
    in.expect(':');
    const int zone_minute = in.number(2);
    if (zone_hour > 23 || zone_minute > 59)
      return {};
    zone_minutes = (west ? -1 : 1) * (zone_hour * 60 + zone_minute);
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!in.ok() || !in.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 59)
    return {};
  const auto days = std::chrono::sys_days{date}.time_since_epoch().count();
  const std::int64_t seconds = (days * 24LL + hour) * 3600 + (minute - zone_minutes) * 60LL + second;
  return in_range(seconds * 1'000'000 + fraction);
}

std::optional<wall_time> read(std::string_view text, wall_time now) {
  if (text == "now")
    return in_range(now.time_since_epoch().count());
  const bool later = text.starts_with("in "), earlier = text.ends_with(" ago");
  if (later == earlier)
    return read_calendar(text);
  const auto by = parse_duration(later ? text.substr(3) : text.substr(0, text.size() - 4));
  if (!by || *by > time_max - time_min)
    return {};
  return in_range((later ? now + *by : now - *by).time_since_epoch().count());
}

} // namespace

result<wall_time> parse_time(std::string_view text, wall_time now) {
  if (const auto time = read(text, now))
    return *time;
  auto message = fmt::format("not a time: {}; write a time with its zone like \"2026-11-30T22:00:00Z\", \"now\", "
                             "\"in 2h\" or \"2h ago\", from 1970 to 9999",
                             quote(text));
  if (const auto meant = suggest_time(text); !meant.empty())
    message += fmt::format("; did you mean {}?", quote(meant));
  return fail(errc::invalid_argument, std::move(message));
}

std::string format_time(wall_time time) {
  time = std::clamp(time, time_min, time_max);
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                          static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                          clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (const auto fraction = clock.subseconds().count(); fraction != 0) {
    text += fmt::format(".{:06}", fraction);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

std::string suggest_time(std::string_view text) {
  const wall_time somewhen = time_min + (time_max - time_min) / 2;
  if (text.size() > time_length_max || read(text, somewhen))
    return {};
  std::string upper(text);
  for (auto& c : upper)
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
  std::string lower(upper);
  for (auto& c : lower)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  auto joined = upper;
  if (joined.size() > 10 && joined[10] == ' ')
    joined[10] = 'T';
  std::erase(joined, ' ');
  for (const auto& tried : {lower, joined, joined + "Z", joined + "T00:00:00Z", joined + ":00"})
    if (read(tried, somewhen))
      return tried;
  // "2h" and "+2h" are probably ahead, "-2h" is behind.
  const bool behind = lower.starts_with('-');
  if (lower.starts_with('+') || behind)
    lower.erase(0, 1);
  else if (lower.starts_with("in "))
    lower.erase(0, 3);
  const bool ago = lower.ends_with(" ago");
  if (ago)
    lower.resize(lower.size() - 4);
  const auto meant = parse_duration(lower) ? lower : suggest_duration(lower);
  // A bare number is no duration: it may as well be seconds since 1970.
  if (meant.empty() || lower.find_first_not_of("0123456789") == lower.npos)
    return {};
  const auto tried = behind || ago ? meant + " ago" : "in " + meant;
  return read(tried, somewhen) ? tried : std::string();
}

} // namespace gnomon
