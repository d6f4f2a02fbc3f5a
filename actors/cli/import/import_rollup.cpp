#include "actors/cli/import/import_rollup.hpp"

#include <algorithm>

namespace gnomon::actors::cli {
namespace {
constexpr std::int64_t us_per_second = 1'000'000;

void add_to(import_row& to, const import_row& what) {
  to.reads += what.reads, to.writes += what.writes, to.read_bytes += what.read_bytes;
  to.write_bytes += what.write_bytes, to.sequential += what.sequential;
}
} // namespace

// The finest slots whose rows somebody will still read: an old row in fine slots would be read by nobody.
std::uint32_t import_rollup::slot_seconds_at(std::int64_t time_us) const {
  const auto age = terms_.now_us - time_us;
  return age < terms_.fine_us ? 10 : age < terms_.minute_us ? 60 : 300;
}

import_rollup::slot& import_rollup::slot_at(std::int64_t time_us, std::uint32_t seconds) {
  const auto length = seconds * us_per_second;
  const auto [found, is_new] = open_.try_emplace({time_us / length * length, seconds});
  open_rows_ += is_new ? 1 : 0;
  return found->second;
}

// As io::observation_set: a start where one of the latest requests ended.
bool import_rollup::continues_a_stream(const import_item& item) {
  for (auto& end : stream_ends_)
    if (end == item.offset && item.offset != 0) {
      end = item.offset + item.length;
      return true;
    }
  stream_ends_[next_stream_++ % streams] = item.offset + item.length;
  return false;
}

void import_rollup::add_request(const import_item& item, slot& to) {
  const std::uint64_t sequential = continues_a_stream(item) ? 1 : 0;
  const auto end = item.offset + item.length;
  for (auto at = item.offset; at < end;) {
    const auto chunk = at / terms_.chunk_size.value;
    const auto next = std::min(end, (chunk + 1) * terms_.chunk_size.value);
    if (at >= terms_.size.value || chunk >= terms_.chunk_count) {
      // A chunk that the volume does not have: the load counts, once.
      ++beyond_;
      if (at == item.offset)
        add_to(to.elsewhere, {{}, item.reads, item.writes, item.read_bytes, item.write_bytes, sequential});
      return;
    }
    const auto [row, is_new] = to.rows.try_emplace(chunk);
    open_rows_ += is_new ? 1 : 0;
    row->second.chunk = chunk_index{chunk};
    add_to(
        row->second,
        {{}, item.reads, item.writes, item.reads > 0 ? next - at : 0, item.writes > 0 ? next - at : 0, sequential});
    at = next;
  }
}

// Counters of a stretch of time, evenly over its slots; nothing is lost to rounding.
void import_rollup::spread(const import_item& item, std::int64_t start_us, std::uint32_t seconds) {
  const auto parts = static_cast<std::uint64_t>(std::max<std::int64_t>(1, item.span_us / (seconds * us_per_second)));
  for (std::uint64_t i = 0; i < parts; ++i) {
    const auto part = [&](std::uint64_t whole) {
      const auto up_to = [&](std::uint64_t n) { return whole / parts * n + whole % parts * n / parts; };
      return up_to(i + 1) - up_to(i);
    };
    add_to(slot_at(start_us + static_cast<std::int64_t>(i) * seconds * us_per_second, seconds).elsewhere,
           {{}, part(item.reads), part(item.writes), part(item.read_bytes), part(item.write_bytes), 0});
  }
}

void import_rollup::add(const import_item& item) {
  const auto time_us = item.time_us + shift_us_;
  if (time_us < 0 || time_us < terms_.now_us - terms_.keep_us) {
    ++too_old_;
    return;
  }
  const auto end_us = time_us + item.span_us;
  from_us_ = from_us_ == 0 ? time_us : std::min(from_us_, time_us);
  to_us_ = std::max(to_us_, end_us);
  requests_ += item.reads + item.writes;
  const auto seconds = slot_seconds_at(time_us);
  if (item.span_us > 0)
    spread(item, time_us, seconds);
  else
    add_request(item, slot_at(time_us, seconds));
}

std::vector<history_rows> import_rollup::take() {
  std::vector<history_rows> out;
  std::size_t rows = 0;
  const auto room = [&](std::size_t wanted) -> history_rows& {
    if (out.empty() || out.back().slots.size() >= import_slots_max || rows + wanted > import_rows_max) {
      out.emplace_back();
      rows = 0;
    }
    return out.back();
  };
  for (auto& [key, from] : open_) {
    const auto begin_slot = [&, start_us = key.first, seconds = key.second](std::size_t wanted) -> import_slot& {
      auto& to = room(wanted).slots.emplace_back();
      to.start_us = start_us, to.seconds = seconds;
      return to;
    };
    auto* to = &begin_slot(std::min<std::size_t>(from.rows.size(), 1));
    to->elsewhere = from.elsewhere;
    for (const auto& [chunk, row] : from.rows) {
      if (rows >= import_rows_max)
        to = &begin_slot(1);
      to->rows.push_back(row);
      ++rows;
    }
  }
  open_.clear();
  open_rows_ = 0;
  return out;
}

} // namespace gnomon::actors::cli
