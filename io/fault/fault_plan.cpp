#include "io/fault/fault_plan.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace gnomon::io {
namespace {

constexpr std::array<std::string_view, disk_operation_count> operation_names{"read", "write", "sync", "trim", "zero"};
constexpr std::array<disk_operation, disk_operation_count> all_operations{
    disk_operation::read, disk_operation::write, disk_operation::sync, disk_operation::trim, disk_operation::zero};

tl::unexpected<error> wrong_value(std::string_view key, std::string_view expected, std::string_view found) {
  return fail(errc::invalid_argument, fmt::format("fault plan: {}: expected {}, found \"{}\"", key, expected, found));
}

template <class Number>
bool parse_number(std::string_view text, Number& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// "EIO" or "5"; 0 when it is neither.
int parse_errno(std::string_view text) {
  int number = 0;
  if (parse_number(text, number))
    return number > 0 && strerrorname_np(number) != nullptr ? number : 0;
  for (number = 1; number < 256; ++number) {
    const char* const name = strerrorname_np(number);
    if (name != nullptr && text == name)
      return number;
  }
  return 0;
}

bool parse_duration(std::string_view text, microseconds& into) {
  std::uint64_t factor = 0;
  if (text.ends_with("us"))
    factor = 1, text.remove_suffix(2);
  else if (text.ends_with("ms"))
    factor = 1'000, text.remove_suffix(2);
  else if (text.ends_with("s"))
    factor = 1'000'000, text.remove_suffix(1);
  std::uint64_t count = 0;
  constexpr std::uint64_t longest = 3600ull * 1'000'000;
  if (factor == 0 || !parse_number(text, count) || count > longest / factor)
    return false;
  into = microseconds{count * factor};
  return true;
}

std::pair<std::string_view, std::string_view> split(std::string_view text, char at) {
  const auto position = text.find(at);
  if (position == std::string_view::npos)
    return {text, {}};
  return {text.substr(0, position), text.substr(position + 1)};
}

// Reads whole sectors, also from an O_DIRECT descriptor: through an aligned buffer. What lies past the end is zeros.
result<void> read_sectors(int fd, std::uint64_t first, std::uint64_t count, std::byte* into) {
  const std::uint64_t from = first * sector_bytes / block_bytes * block_bytes;
  const std::uint64_t to = ((first + count) * sector_bytes + block_bytes - 1) / block_bytes * block_bytes;
  const std::unique_ptr<std::byte, decltype(&std::free)> aligned(
      static_cast<std::byte*>(std::aligned_alloc(block_bytes, to - from)), &std::free);
  if (aligned == nullptr)
    return fail(errc::limit_reached, "fault plan: no memory for old content");
  for (std::uint64_t done = 0; done < to - from;) {
    const ssize_t n = ::pread(fd, aligned.get() + done, to - from - done, static_cast<off_t>(from + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_errno("fault plan: reading old content");
    if (n == 0) {
      std::memset(aligned.get() + done, 0, to - from - done);
      break;
    }
    done += static_cast<std::uint64_t>(n);
  }
  std::memcpy(into, aligned.get() + (first * sector_bytes - from), count * sector_bytes);
  return {};
}

result<void> write_sector(int fd, std::uint64_t sector, const std::byte* from) {
  for (std::uint64_t done = 0; done < sector_bytes;) {
    const ssize_t n =
        ::pwrite(fd, from + done, sector_bytes - done, static_cast<off_t>(sector * sector_bytes + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail_errno("fault plan: putting old content back");
    done += static_cast<std::uint64_t>(n);
  }
  return {};
}

} // namespace

// --- the specification

bool fault_plan::parse_when(std::string_view text, when& into) {
  if (text.starts_with('#')) {
    text.remove_prefix(1);
    return parse_number(text, into.nth) && into.nth > 0;
  }
  return parse_number(text, into.probability) && into.probability >= 0 && into.probability <= 1;
}

result<void> fault_plan::apply_latency(std::string_view key, std::string_view value,
                                       std::span<const disk_operation> to) {
  const auto [probability, duration] = split(value, ':');
  when slow;
  microseconds latency_max{0};
  if (!parse_when(probability, slow) || !parse_duration(duration, latency_max))
    return wrong_value(key, "WHEN:DURATION like 0.05:20ms or #3:1s, at most an hour", value);
  for (const auto op : to) {
    rules_[static_cast<std::size_t>(op)].slow = slow;
    rules_[static_cast<std::size_t>(op)].latency_max = latency_max;
  }
  return {};
}

result<void> fault_plan::apply(std::string_view key, std::string_view value) {
  if (key == "seed") {
    if (!parse_number(value, seed_))
      return wrong_value(key, "a whole number", value);
    return {};
  }
  if (key == "latency")
    return apply_latency(key, value, all_operations);
  if (key == "power_loss") {
    when at;
    if (!parse_when(value, at) || at.nth == 0)
      return wrong_value(key, "#N, the number of a write from 1", value);
    power_loss_at_ = at.nth;
    return {};
  }
  if (key == "unsynced") {
    if (value != "lost" && value != "kept")
      return wrong_value(key, "lost or kept", value);
    remember_unsynced_ = value == "lost";
    return {};
  }
  for (const auto op : {disk_operation::read, disk_operation::write}) {
    if (!key.starts_with("short_") || key.substr(6) != operation_names[static_cast<std::size_t>(op)])
      continue;
    if (!parse_when(value, rules_[static_cast<std::size_t>(op)].shortened))
      return wrong_value(key, "a probability from 0 to 1, or #N", value);
    return {};
  }
  const auto [name, what] = split(key, '_');
  const auto known = std::find(operation_names.begin(), operation_names.end(), name);
  if (known != operation_names.end()) {
    const auto op = static_cast<std::size_t>(known - operation_names.begin());
    if (what == "latency")
      return apply_latency(key, value, std::span(all_operations).subspan(op, 1));
    if (what == "error") {
      const auto [probability, number] = split(value, ':');
      rules_[op].os_errno = value.find(':') == std::string_view::npos ? EIO : parse_errno(number);
      if (!parse_when(probability, rules_[op].error) || rules_[op].os_errno == 0)
        return wrong_value(key, "WHEN or WHEN:ERRNO like 0.01:EIO or #3:ENOSPC", value);
      return {};
    }
  }
  return fail(errc::invalid_argument,
              fmt::format("fault plan: unknown key \"{}\"; known are seed, OP_error, OP_latency (OP is read, write, "
                          "sync, trim or zero), latency, short_read, short_write, power_loss, unsynced",
                          key));
}

result<std::unique_ptr<fault_plan>> fault_plan::parse(std::string_view spec) {
  if (spec.size() > spec_length_max)
    return fail(errc::invalid_argument, fmt::format("fault plan: longer than {} characters", spec_length_max));
  std::unique_ptr<fault_plan> plan(new fault_plan);
  plan->seed_ = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  std::vector<std::pair<std::string_view, std::string_view>> items;
  while (!spec.empty()) {
    const auto [item, rest] = split(spec, ',');
    if (item.size() + 1 == spec.size())
      return fail(errc::invalid_argument, "fault plan: ends with a comma");
    spec = rest;
    const auto [key, value] = split(item, '=');
    if (key.size() == item.size())
      return fail(errc::invalid_argument, fmt::format("fault plan: expected KEY=VALUE, found \"{}\"", item));
    if (std::any_of(items.begin(), items.end(), [k = key](const auto& other) { return other.first == k; }))
      return fail(errc::invalid_argument, fmt::format("fault plan: {} is given twice", key));
    items.emplace_back(key, value);
  }
  // What is said about one operation stands against what is said about all, in whatever order.
  std::stable_partition(items.begin(), items.end(), [](const auto& item) { return item.first == "latency"; });
  for (const auto& [key, value] : items)
    if (auto applied = plan->apply(key, value); !applied)
      return tl::unexpected(std::move(applied.error()));
  plan->random_.seed(plan->seed_);
  return plan;
}

result<std::unique_ptr<fault_plan>> fault_plan::from_environment() {
  const char* const spec = std::getenv(environment_variable);
  if (spec == nullptr || *spec == '\0')
    return std::unique_ptr<fault_plan>{};
  return parse(spec);
}

// --- decisions

double fault_plan::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

std::uint64_t fault_plan::below(std::uint64_t bound) {
  return static_cast<std::uint64_t>(uniform() * static_cast<double>(bound));
}

bool fault_plan::happens(const when& w, std::uint64_t nth) {
  if (w.nth != 0)
    return w.nth == nth;
  return w.probability > 0 && uniform() < w.probability;
}

fault_decision fault_plan::decide(disk_operation op, byte_offset, byte_count length) {
  const std::lock_guard lock(mutex_);
  rule& r = rules_[static_cast<std::size_t>(op)];
  const std::uint64_t nth = ++r.seen;
  fault_decision decision;
  decision.length = length;
  decision.power_loss = op == disk_operation::write && nth == power_loss_at_;
  if (happens(r.slow, nth))
    decision.latency = microseconds{1 + below(static_cast<std::uint64_t>(r.latency_max.count()))};
  if (happens(r.error, nth)) {
    decision.os_errno = r.os_errno;
    return decision;
  }
  const std::uint64_t sectors = length.value / sector_bytes;
  if (sectors > 1 && happens(r.shortened, nth))
    decision.length = byte_count{(1 + below(sectors - 1)) * sector_bytes};
  return decision;
}

// --- what was not synced

result<fault_plan::write_id> fault_plan::before_write(int fd, byte_offset offset, byte_count length) {
  if (length.value == 0)
    return write_id{0};
  const std::lock_guard lock(mutex_);
  if (!remember_unsynced_)
    return write_id{0};
  file& f = files_[fd];
  const std::uint64_t first = offset.value / sector_bytes;
  const std::uint64_t end = (offset.value + length.value + sector_bytes - 1) / sector_bytes;
  if ((end - first) * sector_bytes > remembered_write_bytes_max) {
    // It counts as done, so nothing older may come back over it.
    std::erase_if(f.writes, [&](const unsynced_write& w) {
      const bool overlaps = w.first_sector < end && first < w.end_sector();
      if (overlaps)
        f.remembered_bytes -= w.before.size();
      return overlaps;
    });
    return write_id{0};
  }
  unsynced_write write;
  write.id = ++ticks_;
  write.first_sector = first;
  write.before.resize((end - first) * sector_bytes);
  if (auto read = read_sectors(fd, first, end - first, write.before.data()); !read)
    return tl::unexpected(std::move(read.error()));
  f.remembered_bytes += write.before.size();
  f.writes.push_back(std::move(write));
  forget_oldest(f);
  return write_id{f.writes.back().id};
}

// The kernel may write back what it likes when it likes, so forgetting from the oldest on is a loss that can happen.
void fault_plan::forget_oldest(file& f) {
  auto keep = f.writes.begin();
  while (f.remembered_bytes > remembered_bytes_max)
    f.remembered_bytes -= (keep++)->before.size();
  f.writes.erase(f.writes.begin(), keep);
}

void fault_plan::after_write(int fd, write_id id) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(fd);
  if (id.value == 0 || found == files_.end())
    return;
  file& f = found->second;
  const auto write = std::find_if(f.writes.begin(), f.writes.end(), [&](const auto& w) { return w.id == id.value; });
  if (write == f.writes.end())
    return;
  write->completed_at = ++ticks_;
  refresh_in_flight(fd, f, write->first_sector, write->end_sector(), write->id);
}

// Overlapping writes still in flight were announced before this change: their loss must not undo it, since it may be
// synced before they are.
void fault_plan::refresh_in_flight(int fd, file& f, std::uint64_t first_sector, std::uint64_t end_sector,
                                   std::uint64_t except) {
  for (auto& w : f.writes) {
    const std::uint64_t first = std::max(first_sector, w.first_sector), end = std::min(end_sector, w.end_sector());
    if (!w.in_flight() || w.id == except || first >= end)
      continue;
    (void)read_sectors(fd, first, end - first, w.before.data() + (first - w.first_sector) * sector_bytes);
  }
}

fault_plan::sync_id fault_plan::before_sync(int) {
  const std::lock_guard lock(mutex_);
  return sync_id{++ticks_};
}

result<void> fault_plan::after_sync(int fd, sync_id id, int os_errno) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(fd);
  if (found == files_.end())
    return {};
  file& f = found->second;
  if (os_errno != 0)
    return lose_some(fd, f, loss::completed_writes);
  std::erase_if(f.writes, [&](const unsynced_write& w) {
    const bool covered = !w.in_flight() && w.completed_at < id.value;
    if (covered)
      f.remembered_bytes -= w.before.size();
    return covered;
  });
  return {};
}

result<void> fault_plan::lose_some(int fd, file& f, loss which) {
  // Newest first. A sector in which a write has reached the disk is settled: what older ones did there is history.
  std::unordered_set<std::uint64_t> settled;
  std::unordered_map<std::uint64_t, const std::byte*> put_back;
  if (which == loss::completed_writes)
    for (const auto& w : f.writes)
      for (std::uint64_t s = w.first_sector; w.in_flight() && s < w.end_sector(); ++s)
        settled.insert(s);
  for (auto w = f.writes.rbegin(); w != f.writes.rend(); ++w) {
    if (which == loss::completed_writes && w->in_flight())
      continue;
    const auto its_fate = static_cast<fate>(below(3));
    for (std::uint64_t s = w->first_sector; s < w->end_sector(); ++s) {
      if (settled.contains(s))
        continue;
      const bool reached = its_fate == fate::reached || (its_fate == fate::torn && below(2) == 0);
      if (reached)
        settled.insert(s);
      else
        put_back[s] = w->before.data() + (s - w->first_sector) * sector_bytes;
    }
  }
  // A descriptor of its own, through the page cache: single sectors can be written to an O_DIRECT file as well.
  const int own = ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDWR | O_CLOEXEC);
  if (own < 0)
    return fail_errno("fault plan: opening the file a second time");
  result<void> outcome;
  for (const auto& [sector, content] : put_back)
    if (outcome)
      outcome = write_sector(own, sector, content);
  ::close(own);
  std::erase_if(f.writes, [&](const unsynced_write& w) { return which == loss::all_writes || !w.in_flight(); });
  f.remembered_bytes = 0;
  for (const auto& w : f.writes)
    f.remembered_bytes += w.before.size();
  return outcome;
}

result<void> fault_plan::power_loss(int fd) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(fd);
  return found == files_.end() ? result<void>{} : lose_some(fd, found->second, loss::all_writes);
}

result<void> fault_plan::power_loss() {
  const std::lock_guard lock(mutex_);
  for (auto& [fd, f] : files_)
    if (auto lost = lose_some(fd, f, loss::all_writes); !lost)
      return lost;
  return {};
}

void fault_plan::cut_power() {
  mutex_.lock(); // for ever: nobody may announce another write
  for (auto& [fd, f] : files_)
    (void)lose_some(fd, f, loss::all_writes);
  std::_Exit(137);
}

void fault_plan::forget(int fd) {
  const std::lock_guard lock(mutex_);
  files_.erase(fd);
}

std::size_t fault_plan::unsynced_writes(int fd) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(fd);
  return found == files_.end() ? 0 : found->second.writes.size();
}

} // namespace gnomon::io
