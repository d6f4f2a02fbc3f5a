// The grammar of the verbs that concern learning from traces. Used by parse_command alone (command.cpp).
#pragma once

#include <functional>

#include "actors/cli/grammar/command.hpp"

namespace CLI {
class App;
}

namespace gnomon::actors::cli {

// Adds the verb to `app`; its words go to `storage`, then `chosen` is called. Both must outlive the parse.
void add_simulate(CLI::App& app, simulate_command& storage, std::function<void()> chosen);
void add_history(CLI::App& app, history_import_command& storage, std::function<void()> chosen);

// "5m,30m,2h": at least one, none of them zero. invalid_argument.
result<std::vector<std::chrono::microseconds>> parse_durations(std::string_view text);
// "8,32": numbers from 1 up. invalid_argument.
result<std::vector<std::size_t>> parse_counts(std::string_view text);
// "5%,10%": above 0, at most 100 %. invalid_argument.
result<std::vector<double>> parse_percentages(std::string_view text);

} // namespace gnomon::actors::cli
