// What the terminal behind standard output can show: how wide it is, whether it has colours and Unicode. Reads the
// environment and asks the terminal; main thread.
#pragma once

#include <cstddef>

namespace gnomon::actors::cli {

inline constexpr std::size_t usual_terminal_width = 80;

// Columns of the terminal; usual_terminal_width where there is none.
std::size_t terminal_width(bool is_terminal);
// Not in the locales that promise no more than ASCII ("C", "POSIX"). No locale at all counts as one with Unicode:
// most containers set none, and their terminals show it.
bool shows_unicode();
// A terminal that is not dumb, unless NO_COLOR is set (https://no-color.org).
bool shows_colour(bool is_terminal);

} // namespace gnomon::actors::cli
