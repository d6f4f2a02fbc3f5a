#include "actors/cli/import/import_source.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "store/files/trace_file.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::size_t volumes_named_max = 8;
constexpr std::int64_t span_of_one_row_us = 300'000'000; // a series of one row says nothing about its slots
constexpr std::array<std::string_view, 4> known_columns{"reads", "writes", "read_bytes", "write_bytes"};
constexpr std::int64_t time_us_max = 100'000'000'000'000'000; // the year 5138
constexpr double count_max = 9e15;                            // exact as a double

// Two independent lanes of a multiplicative hash: against mistakes, not against malice.
class digester {
public:
  void add(std::uint64_t word) {
    a_ = (a_ ^ word) * 0x9e3779b97f4a7c15ull;
    a_ ^= a_ >> 29;
    b_ = (b_ + word) * 0xbf58476d1ce4e5b9ull;
    b_ ^= b_ >> 32;
  }
  std::string text() const { return fmt::format("{:016x}{:016x}", a_, b_); }

private:
  std::uint64_t a_ = 0x243f6a8885a308d3ull, b_ = 0x13198a2e03707344ull;
};

bool is_series(const std::string& header) {
  return header.starts_with("time_us,volume,") && header != store::trace_header;
}

result<bool> looks_like_series(const std::string& path) {
  auto lines = store::line_reader::open(path);
  if (!lines)
    return tl::unexpected(lines.error());
  const auto first = lines->next();
  if (!first)
    return tl::unexpected(first.error());
  return *first && is_series(std::string(**first));
}

std::string volume_list(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), volumes_named_max); ++i)
    out += (i == 0 ? "" : ", ") + names[i];
  return names.size() > volumes_named_max ? fmt::format("{} and {} more", out, names.size() - volumes_named_max) : out;
}

// Which of the file's volumes is meant.
result<std::string> choose(const std::vector<std::string>& names, const history_import_command& wanted,
                           const std::string& like) {
  if (names.empty())
    return fail(errc::invalid_argument, fmt::format("{} holds no records", wanted.file));
  const auto has = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!wanted.source.empty() && !has(wanted.source))
    return fail(errc::invalid_argument,
                fmt::format("{} holds no volume {}; its volumes: {}", wanted.file, wanted.source, volume_list(names)));
  if (!wanted.source.empty())
    return wanted.source;
  if (has(like) || names.size() == 1)
    return has(like) ? like : names.front();
  return fail(errc::invalid_argument, fmt::format("{} holds {} volumes ({}); choose one with --from", wanted.file,
                                                  names.size(), volume_list(names)));
}

// The usual distance between two rows.
std::int64_t span_of(std::vector<std::int64_t> times) {
  std::sort(times.begin(), times.end());
  std::vector<std::int64_t> steps;
  for (std::size_t i = 1; i < times.size(); ++i)
    if (times[i] > times[i - 1])
      steps.push_back(times[i] - times[i - 1]);
  if (steps.empty())
    return span_of_one_row_us;
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  return steps[steps.size() / 2];
}

std::uint64_t request_count(const import_item& item) { return item.reads + item.writes; }
} // namespace

result<void> import_source::read_trace(const std::function<result<void>(const import_item&)>& each,
                                       const progress& ask, std::uint64_t& skipped,
                                       std::vector<std::string>& names) const {
  auto reader = store::trace_reader::open(path_);
  if (!reader)
    return tl::unexpected(reader.error());
  std::vector<store::trace_record> batch;
  for (;;) {
    if (auto got = reader->read(batch); !got)
      return got;
    names = reader->volumes();
    if (batch.empty())
      return {};
    if (ask && !ask(reader->progress()))
      return fail(errc::unavailable, "interrupted");
    for (const auto& r : batch) {
      if (!found_.volume.empty() && names[r.volume] != found_.volume)
        continue;
      using enum store::trace_operation;
      const bool reads = r.op == read, changes = r.op == write || r.op == trim || r.op == zero;
      if (r.time_us > static_cast<std::uint64_t>(time_us_max))
        return fail(errc::invalid_argument, fmt::format("{}: time {} us is out of range", path_, r.time_us));
      if (r.length_bytes == 0 || (!reads && !changes)) {
        ++skipped;
        continue;
      }
      import_item item;
      item.time_us = static_cast<std::int64_t>(r.time_us);
      item.offset = r.offset_bytes, item.length = r.length_bytes;
      (reads ? item.reads : item.writes) = 1;
      (reads ? item.read_bytes : item.write_bytes) = r.length_bytes;
      if (auto done = each(item); !done)
        return done;
    }
  }
}

result<void> import_source::read_series_rows(const std::function<result<void>(const import_item&)>& each,
                                             std::uint64_t& skipped) const {
  const auto& table = *series_;
  const auto chosen = std::find_if(table.volumes.begin(), table.volumes.end(),
                                   [&](const auto& v) { return v.volume == found_.volume; });
  if (chosen == table.volumes.end())
    return fail(errc::not_found, "no such volume in the series");
  std::array<const std::vector<double>*, known_columns.size()> columns{};
  for (std::size_t c = 0; c < known_columns.size(); ++c)
    if (const auto at = table.column(known_columns[c]); at < table.columns.size())
      columns[c] = &chosen->values[at];
  for (const auto time : chosen->time_us)
    if (time < 0 || time > time_us_max)
      return fail(errc::invalid_argument, fmt::format("{}: time {} us is out of range", path_, time));
  auto sorted = chosen->time_us;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    return fail(errc::invalid_argument,
                fmt::format("{}: two rows of volume {} are of time {} us: which one is right?", path_, found_.volume,
                            *twice));
  const auto span = span_of(std::move(sorted));
  for (std::size_t row = 0; row < chosen->time_us.size(); ++row) {
    import_item item;
    item.time_us = chosen->time_us[row], item.span_us = span;
    const std::array<std::uint64_t*, known_columns.size()> to{&item.reads, &item.writes, &item.read_bytes,
                                                              &item.write_bytes};
    bool known = false;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const double value = columns[c] != nullptr ? (*columns[c])[row] : NAN;
      if (std::isnan(value))
        continue; // an empty field
      if (value < 0 || value > count_max)
        return fail(errc::invalid_argument, fmt::format("{}: {} at {} us is {}; counts are 0 to {}", path_,
                                                        known_columns[c], item.time_us, value, count_max));
      *to[c] = static_cast<std::uint64_t>(std::llround(value));
      known = true;
    }
    if (!known) {
      ++skipped;
      continue;
    }
    if (auto done = each(item); !done)
      return done;
  }
  return {};
}

result<void> import_source::read(const std::function<result<void>(const import_item&)>& each,
                                 const progress& ask) const {
  std::uint64_t skipped = 0;
  std::vector<std::string> names;
  return series_ ? read_series_rows(each, skipped) : read_trace(each, ask, skipped, names);
}

result<void> import_source::survey(const progress& ask, std::vector<std::string>& names) {
  digester digest;
  const auto look = [&](const import_item& item) -> result<void> {
    found_.from_us = found_.items == 0 ? item.time_us : std::min(found_.from_us, item.time_us);
    found_.to_us =
        found_.items == 0 ? item.time_us + item.span_us : std::max(found_.to_us, item.time_us + item.span_us);
    ++found_.items;
    found_.requests += request_count(item);
    for (const auto word : {static_cast<std::uint64_t>(item.time_us), item.offset, item.length, item.reads,
                            item.writes, item.read_bytes, item.write_bytes})
      digest.add(word);
    return {};
  };
  if (auto done = series_ ? read_series_rows(look, found_.skipped) : read_trace(look, ask, found_.skipped, names);
      !done)
    return done;
  found_.digest = digest.text();
  return {};
}

result<import_source> import_source::open(const history_import_command& wanted, const std::string& like,
                                          const progress& ask) {
  import_source out;
  out.path_ = wanted.file;
  bool series = wanted.format == import_format::series;
  if (wanted.format == import_format::by_header) {
    const auto looks = looks_like_series(wanted.file);
    if (!looks)
      return tl::unexpected(looks.error());
    series = *looks;
  }
  std::vector<std::string> names;
  if (series) {
    auto table = store::read_series(wanted.file);
    if (!table)
      return tl::unexpected(table.error());
    for (const auto& column : table->columns)
      if (std::find(known_columns.begin(), known_columns.end(), column) == known_columns.end())
        out.found_.unused_columns.push_back(column);
    if (out.found_.unused_columns.size() == table->columns.size())
      return fail(errc::invalid_argument, fmt::format("{} has none of the columns reads, writes, read_bytes and "
                                                      "write_bytes",
                                                      wanted.file));
    out.found_.has_requests =
        table->column("reads") < table->columns.size() || table->column("writes") < table->columns.size();
    for (const auto& volume : table->volumes)
      names.push_back(volume.volume);
    out.series_ = std::make_shared<const store::series_table>(std::move(*table));
  } else {
    // Which volumes there are is known at the end of the file; most files hold one, and then this was all.
    if (auto done = out.survey(ask, names); !done)
      return tl::unexpected(done.error());
  }
  const auto chosen = choose(names, wanted, like);
  if (!chosen)
    return tl::unexpected(chosen.error());
  out.found_.volume = *chosen;
  if (series || names.size() > 1) {
    auto fresh = import_survey{};
    fresh.volume = *chosen, fresh.has_requests = out.found_.has_requests;
    fresh.unused_columns = out.found_.unused_columns;
    out.found_ = std::move(fresh);
    if (auto done = out.survey(ask, names); !done)
      return tl::unexpected(done.error());
  }
  if (out.found_.items == 0)
    return fail(errc::invalid_argument, fmt::format("{} holds nothing to learn of volume {}", wanted.file, *chosen));
  return out;
}

} // namespace gnomon::actors::cli
