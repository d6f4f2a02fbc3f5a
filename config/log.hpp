// The node's log: one line per event, to standard error (and so to the journal), levels as in syslog. Thread-safe.
// Arguments are formatted by fmt; nothing is formatted when the level is off.
#pragma once

#include <string_view>

#include <fmt/format.h>

namespace gnomon::log {

enum class level { debug, info, warning, error };

// Call once before threads start. `component` prefixes every line, for example the node's name.
void start(level lowest, std::string_view component);
// From now on; any thread.
void set_level(level lowest);
// "debug", "info", "warning", "error" as in the configuration; anything else is info.
level level_of(std::string_view text) noexcept;
bool enabled(level at) noexcept;
void write(level at, std::string_view text);

template <class... Args>
void at(level l, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(l)) write(l, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) { at(level::debug, format, std::forward<Args>(args)...); }
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) { at(level::info, format, std::forward<Args>(args)...); }
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) { at(level::warning, format, std::forward<Args>(args)...); }
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) { at(level::error, format, std::forward<Args>(args)...); }

} // namespace gnomon::log
