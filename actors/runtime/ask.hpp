// The words of the shell's `ask ACTOR MESSAGE…`: splits a message into verb and arguments, prints an actor's help.
// Pure functions; any thread. What a verb does belongs to each actor.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"

namespace gnomon::actors {

struct asked {
  std::string verb; // lower case as written
  std::vector<std::string> arguments;
};

struct ask_verb {
  std::string_view usage; // "read OFFSET LENGTH"
  std::string_view what;  // "reads bytes through the in-process interface"
};

// invalid_argument: empty, longer than ask_text_max, or an unfinished quotation. "…" keeps spaces together.
result<asked> parse_asked(std::string_view message);
// One line per verb; `kill` and `revive`, which every actor has, are added.
std::string help_text(std::span<const ask_verb> verbs);
// invalid_argument that names the verbs there are.
tl::unexpected<error> unknown_verb(const asked& message, std::span<const ask_verb> verbs);
// A decimal number, the whole text. invalid_argument names `what`.
result<std::uint64_t> parse_number(std::string_view text, std::string_view what);

} // namespace gnomon::actors
