#include "actors/cli/replay/replay_model.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace gnomon::actors::cli {
namespace {
constexpr std::uint64_t magic = 0x6e6f6d6f6e677274ull;
constexpr std::size_t words_per_sector = sector_bytes / 8;
using sector_words = std::array<std::uint64_t, words_per_sector>;

// The whole of a sector: four words that say what it is, then words that depend on all of them.
void make_sector(sector_words& words, std::uint64_t run, std::uint64_t sector, write_number number) {
  words[0] = magic;
  words[1] = run;
  words[2] = sector;
  words[3] = number;
  std::uint64_t state = run ^ (sector * 0x9e3779b97f4a7c15ull) ^ (std::uint64_t{number} << 32 | number);
  for (std::size_t i = 4; i < words.size(); ++i) {
    state = (state + 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    words[i] = state ^ (state >> 31);
  }
}

std::string describe_found(const unsigned char* data, std::uint64_t run, std::uint64_t sector) {
  sector_words found;
  std::memcpy(found.data(), data, sector_bytes);
  if (std::all_of(found.begin(), found.end(), [](auto w) { return w == 0; }))
    return "zeros";
  if (found[0] != magic)
    return "foreign data";
  if (found[1] != run)
    return "data of another replay";
  sector_words whole;
  make_sector(whole, run, found[2], static_cast<write_number>(found[3]));
  const bool torn = whole != found;
  if (found[2] != sector)
    return fmt::format("{}write {} to offset {}", torn ? "part of " : "", found[3], found[2] * sector_bytes);
  return fmt::format("{}write {}", torn ? "part of " : "", found[3]);
}
} // namespace

void write_model::stamp(std::span<unsigned char> data, std::uint64_t offset, write_number number) const {
  sector_words words;
  for (std::size_t at = 0; at + sector_bytes <= data.size(); at += sector_bytes) {
    make_sector(words, run_, (offset + at) / sector_bytes, number);
    std::memcpy(data.data() + at, words.data(), sector_bytes);
  }
}

result<void> write_model::set(std::uint64_t offset, std::uint64_t length, write_number state) {
  sorted_.clear();
  const auto end = (offset + length) / sector_bytes;
  for (auto sector = offset / sector_bytes; sector < end;) {
    const auto stop = std::min(end, (sector / sectors_per_region + 1) * sectors_per_region);
    auto found = regions_.find(sector / sectors_per_region);
    if (found == regions_.end()) {
      if (state == unknown) {
        sector = stop;
        continue;
      }
      if (regions_.size() == model_regions_max)
        return fail(errc::limit_reached,
                    fmt::format("--verify keeps track of {} GiB at most; replay less with --limit",
                                model_regions_max * granule_bytes >> 30));
      found = regions_.emplace(sector / sectors_per_region, std::make_unique<region>()).first;
    }
    for (; sector < stop; ++sector) {
      auto& known = (*found->second)[sector % sectors_per_region];
      known_sectors_ += (state != unknown ? 1 : 0);
      known_sectors_ -= (known != unknown ? 1 : 0);
      known = state;
    }
  }
  return {};
}

write_number write_model::state_of(std::uint64_t sector) const {
  const auto found = regions_.find(sector / sectors_per_region);
  return found == regions_.end() ? unknown : (*found->second)[sector % sectors_per_region];
}

std::optional<std::string> write_model::check(std::span<const unsigned char> data, std::uint64_t offset) const {
  static constexpr sector_words zeros{};
  sector_words words;
  for (std::size_t at = 0; at + sector_bytes <= data.size(); at += sector_bytes) {
    const auto sector = (offset + at) / sector_bytes;
    const auto expected = state_of(sector);
    if (expected == unknown)
      continue;
    if (expected != zeroed)
      make_sector(words, run_, sector, expected);
    if (std::memcmp(data.data() + at, expected == zeroed ? zeros.data() : words.data(), sector_bytes) != 0)
      return fmt::format("offset {}: expected {}, found {}", offset + at,
                         expected == zeroed ? "zeros" : fmt::format("write {}", expected),
                         describe_found(data.data() + at, run_, sector));
  }
  return std::nullopt;
}

std::optional<write_model::range> write_model::next_known(std::uint64_t offset, std::uint64_t length_max) {
  if (sorted_.empty()) {
    for (const auto& [key, content] : regions_)
      sorted_.push_back(key);
    std::sort(sorted_.begin(), sorted_.end());
  }
  const auto first = offset / sector_bytes;
  for (auto at = std::lower_bound(sorted_.begin(), sorted_.end(), first / sectors_per_region); at != sorted_.end();
       ++at) {
    const auto& content = *regions_.at(*at);
    const auto base = *at * sectors_per_region;
    for (auto i = first > base ? first - base : 0; i < sectors_per_region; ++i) {
      if (content[i] == unknown)
        continue;
      auto end = i;
      while (end < sectors_per_region && content[end] != unknown && (end - i + 1) * sector_bytes <= length_max)
        ++end;
      return range{(base + i) * sector_bytes, (end - i) * sector_bytes};
    }
  }
  return std::nullopt;
}

} // namespace gnomon::actors::cli
