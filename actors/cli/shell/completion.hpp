// What the shell offers when Tab is pressed. Pure: the names come from the caller. Any thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::actors::cli {

enum class name_kind { volumes, deleted_volumes, actors, instances, events };
using name_lookup = std::function<std::vector<std::string>(name_kind)>;

struct completion {
  std::vector<std::string> candidates; // whole words that begin with what is there, sorted
  bool is_path = false;                // a file belongs here
};

// `before`: the finished words left of the one being typed, `partial`.
completion complete(std::span<const std::string> before, std::string_view partial, const name_lookup& names);

// What all candidates begin with; at least as long as what was typed.
std::string common_prefix(std::span<const std::string> candidates);

} // namespace gnomon::actors::cli
