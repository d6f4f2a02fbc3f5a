// Whatever comes as an event over HTTP: no crash, no exception, problems that are bounded and printable, and what
// is accepted obeys the rules and reads back the same. The first byte chooses the decoder.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "config/event_json.hpp"
#include "config/text.hpp"
#include "config/times.hpp"

using namespace gnomon;

namespace {

const wall_time now{microseconds{1'700'000'000'000'000}};

void require(bool promise, const char* what, std::string_view input) {
  if (promise)
    return;
  std::fprintf(stderr, "broken: %s\nfor: %s\n", what, quote(input, 100'000).c_str());
  std::abort();
}

void check_events(std::string_view text) {
  const auto parsed = parse_events(text, now);
  require(parsed.problems.size() <= event_problems_max, "problems are limited", text);
  const auto said = dump_json(event_errors_to_json(parsed.problems, parsed.problems_unlisted));
  require(parse_json(said).has_value(), "problems are JSON", text);
  for (const auto& problem : parsed.problems)
    for (const unsigned char c : problem.to_string())
      require(c >= 0x20 && c != 0x7f, "problems are printable", text);
  if (!parsed.ok())
    return;
  require(!parsed.events.empty() && parsed.events.size() <= event_batch_max, "some events, and not too many", text);
  for (const auto& notice : parsed.events) {
    require(check_event(notice).has_value(), "what is accepted obeys the rules", text);
    auto written = event_to_json({event_id{1}, notice, event_source::http, now}, now);
    for (const char* key : {"id", "end", "past", "source", "added"})
      written.erase(key);
    const auto again = parse_events(dump_json(written), now);
    require(again.ok() && again.events.front() == notice, "an event is the same after it was written and read", text);
  }
}

void check_words(std::string_view text) {
  if (const auto time = parse_time(text, now)) {
    const auto again = parse_time(format_time(*time), now);
    require(again && *again == *time, "times print exactly", text);
  }
  const auto time = suggest_time(text);
  require(time.empty() || parse_time(time, now), "a suggested time is one", text);
  if (const auto target = parse_event_target(text)) {
    const auto again = parse_event_target(target->to_string());
    require(again && *again == *target, "targets print exactly", text);
  }
  const auto target = suggest_event_target(text);
  require(target.empty() || parse_event_target(target), "a suggested target is one", text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 't')
    check_words(text);
  else
    check_events(text);
  return 0;
}
