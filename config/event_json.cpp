#include "config/event_json.hpp"

#include <array>

#include <fmt/format.h>

#include "config/problems.hpp"
#include "config/text.hpp"
#include "config/times.hpp"
#include "config/units.hpp"

namespace gnomon {
namespace {

constexpr json_limits limits{events_body_bytes_max, 8};
constexpr std::array<std::string_view, 5> keys{"type", "target", "start", "duration", "note"};
constexpr std::size_t required_keys = 4; // all but the note

// What belongs at a key: words for an operator, and a spelling that reads well ("" where there is none).
class event_reader {
public:
  event_reader(problem_list& problems, wall_time now) : problems_(problems), now_(now) {}

  event_notice read(const json& in, const std::string& pointer) {
    event_notice out;
    if (!in.is_object())
      return problems_.add(pointer, fmt::format("an event: an object with the keys {}", fmt::join(keys, ", ")),
                           shown(in)),
             out;
    std::array<bool, keys.size()> seen{};
    for (const auto& member : in.items()) {
      const auto* key = std::find(keys.begin(), keys.end(), member.key());
      const auto* meant = key == keys.end() ? unknown(member.key(), pointer) : key;
      if (meant != keys.end())
        seen[static_cast<std::size_t>(meant - keys.begin())] = true;
      if (key != keys.end())
        read_key(out, *key, member.value(), json_pointer_child(pointer, *key));
    }
    for (std::size_t i = 0; i < required_keys; ++i)
      if (!seen[i])
        problems_.add(json_pointer_child(pointer, keys[i]), expected(keys[i]), "nothing");
    return out;
  }

private:
  // The key it was probably meant to be, which then does not count as missing as well.
  const std::string_view* unknown(const std::string& key, const std::string& pointer) {
    const auto meant = nearest(key, keys);
    auto shown_key = key.substr(0, json_pointer_key_length_max);
    problems_.add(json_pointer_child(pointer, printable(shown_key, json_pointer_key_length_max)),
                  fmt::format("one of {}", fmt::join(keys, ", ")), quote(shown_key), std::string(meant));
    return meant.empty() ? keys.end() : std::find(keys.begin(), keys.end(), meant);
  }

  static std::string expected(std::string_view key) {
    if (key == "type")
      return fmt::format("text of 1 to {} bytes without control characters", event_type_length_max);
    if (key == "target")
      return R"("volume:NAME", "instance:ID", "application:NAME" or "everything")";
    if (key == "start")
      return R"(a time with its zone like "2026-11-30T22:00:00Z", "now", "in 2h" or "2h ago")";
    if (key == "duration")
      return fmt::format(R"(a duration like "10m", 0s to {})", format_duration(event_duration_max));
    return fmt::format("text of at most {} bytes without control characters", event_note_length_max);
  }

  void read_key(event_notice& out, std::string_view key, const json& in, const std::string& pointer) {
    const auto refuse = [&](std::string meant = {}) { problems_.add(pointer, expected(key), shown(in), meant); };
    if (!in.is_string())
      return refuse(key == "duration" && in.is_number() ? suggest_duration(dump_json(in)) : std::string());
    const auto& text = in.get_ref<const std::string&>();
    if (key == "type") {
      out.type = text;
      if (text.empty() || !is_event_text(text, event_type_length_max))
        refuse();
    } else if (key == "target") {
      if (auto target = parse_event_target(text))
        out.target = *std::move(target);
      else
        refuse(suggest_event_target(text));
    } else if (key == "start") {
      if (const auto start = parse_time(text, now_))
        out.start = *start;
      else
        refuse(suggest_time(text));
    } else if (key == "duration") {
      const auto duration = parse_duration(text);
      if (duration && *duration <= event_duration_max)
        out.duration = *duration;
      else
        refuse(suggest_duration(text));
    } else {
      out.note = text;
      if (!is_event_text(text, event_note_length_max))
        refuse();
    }
  }

  problem_list& problems_;
  const wall_time now_;
};

} // namespace

parsed_events parse_events(std::string_view text, wall_time now) {
  parsed_events out;
  const auto document = parse_json(text, limits);
  if (!document) {
    out.too_large = document.error().code == errc::limit_reached;
    out.problems.push_back({"", "JSON", document.error().message, ""});
    return out;
  }
  problem_list problems(event_problems_max);
  event_reader reader(problems, now);
  out.is_list = document->is_array();
  if (!out.is_list) {
    out.events.push_back(reader.read(*document, ""));
  } else if (document->empty() || document->size() > event_batch_max) {
    out.too_large = !document->empty();
    problems.add("", fmt::format("1 to {} events", event_batch_max), fmt::format("{} of them", document->size()));
  } else {
    for (std::size_t i = 0; i < document->size(); ++i)
      out.events.push_back(reader.read((*document)[i], json_pointer_child("", std::to_string(i))));
  }
  out.problems_unlisted = problems.unlisted();
  out.problems = problems.take();
  return out;
}

json event_to_json(const calendar_event& event, wall_time now) {
  return {{"id", event.id.value},
          {"type", event.notice.type},
          {"target", event.notice.target.to_string()},
          {"start", format_time(event.notice.start)},
          {"duration", format_duration(event.notice.duration)},
          {"end", format_time(event.end())},
          {"past", event.is_past(now)},
          {"note", event.notice.note},
          {"source", to_string(event.source)},
          {"added", format_time(event.added)}};
}

json event_errors_to_json(const std::vector<settings_problem>& problems, std::size_t unlisted) {
  auto errors = json::array();
  for (const auto& problem : problems) {
    const auto message = problem.found.empty()
                             ? problem.expected
                             : fmt::format("expected {}, found {}", problem.expected, problem.found);
    errors.push_back({{"pointer", problem.pointer},
                      {"message", message},
                      {"nearest", problem.suggestion.empty() ? json(nullptr) : json(problem.suggestion)}});
  }
  return {{"errors", errors}, {"unlisted", unlisted}};
}

} // namespace gnomon
