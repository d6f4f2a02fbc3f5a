// Text for operators: quoting what came from outside so that it is safe to print, and finding the word somebody meant.
// Pure functions, any thread, never fail.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gnomon {

// `text` in double quotes as JSON would write it: control characters escaped, invalid UTF-8 replaced by U+FFFD, cut
// at `length_max` bytes (followed by "..." then). Safe for a terminal or a log whatever the bytes are.
std::string quote(std::string_view text, std::size_t length_max = 60);

// The same escapes without the quotes.
std::string printable(std::string_view text, std::size_t length_max = 60);

// Whether `text` is UTF-8 for one line: without control characters (C0, C1, DEL), line separators or marks that turn the
// direction of what follows. What is not must be escaped before a person sees it.
bool is_printable_text(std::string_view text);

// Edits (insert, delete, replace, swap of neighbours; each counts 1) that make `b` from `a`, letters compared without
// case. Words longer than 64 bytes count as unrelated: the result is their greater length.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate closest to `word`, the first of several; empty when none is close enough to have been meant
// (more than half of the longer of the two would have to change).
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

} // namespace gnomon
