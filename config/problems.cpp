#include "config/problems.hpp"

#include <fmt/format.h>

#include "config/json.hpp"
#include "config/text.hpp"

namespace gnomon {

std::string settings_problem::to_string() const {
  auto text = fmt::format("{}: expected {}, found {}", pointer.empty() ? "the document" : pointer, expected, found);
  if (suggestion.empty())
    return text;
  // Words are quoted as they have to be written; numbers, booleans and lists stand for themselves.
  const auto as_json = parse_json(suggestion);
  return text + fmt::format("; did you mean {}?", as_json ? suggestion : quote(suggestion));
}

} // namespace gnomon
