#include "actors/runtime/ask.hpp"

#include <charconv>

#include <fmt/format.h>

#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors {

result<asked> parse_asked(std::string_view message) {
  if (message.size() > ask_text_max)
    return fail(errc::invalid_argument, fmt::format("a message has at most {} characters", ask_text_max));
  std::vector<std::string> words;
  std::string word;
  bool inside = false, quoted = false;
  for (const char c : message) {
    if (c == '"') {
      quoted = !quoted;
      inside = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\n')) {
      if (inside)
        words.push_back(std::move(word));
      word.clear();
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (quoted)
    return fail(errc::invalid_argument, "a quotation is not closed");
  if (inside)
    words.push_back(std::move(word));
  if (words.empty())
    return fail(errc::invalid_argument, "the message is empty; try \"help\"");
  asked out;
  out.verb = std::move(words.front());
  out.arguments.assign(std::make_move_iterator(words.begin() + 1), std::make_move_iterator(words.end()));
  return out;
}

std::string help_text(std::span<const ask_verb> verbs) {
  std::string out;
  for (const auto& [usage, what] : verbs)
    out += fmt::format("{:<28} {}\n", usage, what);
  out += fmt::format("{:<28} {}\n", "report", "answers what the supervision tree asks: mailbox and activity");
  out += fmt::format("{:<28} {}\n", "kill", "ends the actor abruptly; its supervisor restarts it");
  out += fmt::format("{:<28} {}", "revive", "restarts it after its supervisor gave it up");
  return out;
}

tl::unexpected<error> unknown_verb(const asked& message, std::span<const ask_verb> verbs) {
  std::string known;
  for (const auto& [usage, what] : verbs)
    known += std::string(usage.substr(0, usage.find(' '))) + ", ";
  return fail(errc::invalid_argument,
              fmt::format("unknown message \"{}\"; there are: {}report, kill, revive, help", message.verb, known));
}

result<std::uint64_t> parse_number(std::string_view text, std::string_view what) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || text.empty())
    return fail(errc::invalid_argument, fmt::format("{}: \"{}\" is not a whole number", what, text));
  return value;
}

} // namespace gnomon::actors
