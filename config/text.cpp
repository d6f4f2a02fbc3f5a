#include "config/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "config/json.hpp"

namespace gnomon {
namespace {

constexpr std::size_t word_length_max = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// JSON leaves DEL and the C1 controls (U+0080..U+009F, some of which steer terminals) as they are.
std::string escape_remaining_controls(std::string text) {
  static constexpr char digits[] = "0123456789abcdef";
  const auto escape = [](unsigned char code) { return std::string("\\u00") + digits[code >> 4] + digits[code & 15]; };
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if (byte == 0x7f) {
      safe += escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next <= 0x9f) {
      safe += escape(static_cast<unsigned char>(next));
      ++i;
    } else {
      safe += text[i];
    }
  }
  return safe;
}

// The code point at the beginning of `text` and its bytes; 0 bytes: not UTF-8.
std::pair<char32_t, std::size_t> first_code_point(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80)
    return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length)
    return {0, 0};
  char32_t code = lead & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80)
      return {0, 0};
    code = code << 6 | (at(i) & 0x3fu);
  }
  constexpr char32_t shortest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < shortest[length] || code > 0x10ffff || surrogate ? std::pair<char32_t, std::size_t>{0, 0}
                                                                 : std::pair{code, length};
}

} // namespace

bool is_printable_text(std::string_view text) {
  while (!text.empty()) {
    const auto [code, length] = first_code_point(text);
    const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
    const bool turns = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    if (length == 0 || control || turns)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string quote(std::string_view text, std::size_t length_max) {
  const bool cut = text.size() > length_max;
  if (cut) {
    text = text.substr(0, length_max);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80)
      text.remove_suffix(1);
    if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0xc0)
      text.remove_suffix(1);
  }
  auto safe = escape_remaining_controls(dump_json(json(text)));
  if (cut)
    safe += "...";
  return safe;
}

std::string printable(std::string_view text, std::size_t length_max) {
  auto safe = quote(text, length_max);
  safe.erase(0, 1);
  safe.erase(safe.rfind('"'), 1);
  return safe;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  if (a.size() > word_length_max || b.size() > word_length_max)
    return std::max(a.size(), b.size());
  // Optimal string alignment, three rows of the table at a time.
  using row_of_table = std::array<std::uint8_t, word_length_max + 1>;
  row_of_table rows[3];
  auto *before = &rows[0], *last = &rows[1], *row = &rows[2];
  for (std::size_t j = 0; j <= b.size(); ++j)
    (*last)[j] = static_cast<std::uint8_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    (*row)[0] = static_cast<std::uint8_t>(i);
    const char here = lower(a[i - 1]), earlier = i > 1 ? lower(a[i - 2]) : '\0';
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const char there = lower(b[j - 1]);
      int edits = std::min({(*last)[j] + 1, (*row)[j - 1] + 1, (*last)[j - 1] + (here == there ? 0 : 1)});
      if (i > 1 && j > 1 && here == lower(b[j - 2]) && earlier == there)
        edits = std::min(edits, (*before)[j - 2] + 1);
      (*row)[j] = static_cast<std::uint8_t>(edits);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return (*last)[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t best_distance = 0;
  for (const auto candidate : candidates) {
    // The lengths alone may tell; there can be thousands of candidates.
    const auto longer = std::max(word.size(), candidate.size()),
               apart = longer - std::min(word.size(), candidate.size());
    if (apart * 2 > longer || (!best.empty() && apart >= best_distance))
      continue;
    const auto distance = edit_distance(word, candidate);
    if (distance * 2 > longer)
      continue;
    if (!best.empty() && distance >= best_distance)
      continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

} // namespace gnomon
