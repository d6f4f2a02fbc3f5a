// The writing half of the history: tails, blocks, roll-up, trimming. Everything here runs inside write jobs, which
// may run more than once: what they count for the status is an estimate then.
#include <algorithm>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/history/history.hpp"
#include "store/history/layout.hpp"

namespace gnomon::store {

using namespace history_layout;

namespace {

constexpr std::size_t seal_rows_max = 131'072; // rows held at once while a part is sealed: 7 MiB
constexpr std::size_t seals_per_job_max = 64;
constexpr std::size_t erased_per_job_max = 20'000;
constexpr unsigned append_attempts_max = 12;                        // freed pages can be used two commits later
constexpr double trim_by = 0.05;                                    // of the disk bound, at once
constexpr double fill_floor = 0.4, fill_step = 0.9;                 // how far and how fast the fill may fall
constexpr std::array table_kinds{std::uint8_t{0}, std::uint8_t{1}}; // chunks, totals

// The number of rows a tail says it has, unchecked.
std::uint64_t rows_claimed(bytes_view value) {
  if (value.size() < value_header_bytes)
    return 0;
  field_reader r(value.subspan(value_header_bytes));
  return std::min<std::uint64_t>(r.varint(), history_block_rows_max);
}

// `rows` (normalized, slots of `from`) added up to slots of `to`; `part` is where the rows' slots are counted from.
std::vector<stored_row> rolled_up(const std::vector<stored_row>& rows, std::uint64_t part, resolution from,
                                  resolution to, std::uint64_t first) {
  std::vector<stored_row> coarse;
  for (const auto& row : rows) {
    auto sum = row;
    sum.slot = static_cast<std::uint32_t>((part + row.slot * slot_seconds(from)) / slot_seconds(to) - first);
    if (!coarse.empty() && coarse.back().chunk == sum.chunk && coarse.back().instance == sum.instance &&
        coarse.back().slot == sum.slot)
      coarse.back().counters += sum.counters;
    else
      coarse.push_back(sum);
  }
  return coarse;
}

} // namespace

struct history::writer {
  history& owner;
  write_transaction& t;
  std::uint64_t now;

  std::chrono::seconds kept(std::uint8_t kind, resolution r) const {
    if (kind == 0 && r == resolution::five_minutes)
      return std::chrono::seconds(owner.retention_s_.load());
    return (kind == 0 ? owner.options_.keep_chunks : owner.options_.keep_totals)[static_cast<std::size_t>(r)];
  }

  // Hundreds of instances on one chunk could outgrow a value; the last of them are not kept.
  void limit(std::vector<stored_row>& rows) {
    normalize(rows);
    if (rows.size() <= history_block_rows_max)
      return;
    owner.rows_refused_ += rows.size() - history_block_rows_max;
    log::warning("history: {} rows of one slot or block, {} are kept", rows.size(), history_block_rows_max);
    rows.resize(history_block_rows_max);
  }

  // --- tails

  result<void> add_to_tail(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t slot,
                           std::vector<stored_row> rows) {
    if (rows.empty())
      return {};
    const auto key = tail_key(kind, r, volume, slot);
    auto present = t.get(history_database::tails, key);
    if (!present)
      return tl::unexpected(present.error());
    if (*present)
      if (auto ok = decode_tail(key, **present, rows); !ok)
        owner.skip_damaged(ok.error());
    for (auto& row : rows)
      row.slot = 0;
    limit(rows);
    return t.put(history_database::tails, key,
                 seal_value(value_type::history_tail, history_tail_version, encode_rows(rows)));
  }

  // --- blocks

  result<void> add_to_blocks(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t part,
                             const std::vector<stored_row>& rows) {
    for (auto begin = rows.begin(), end = begin; begin != rows.end(); begin = end) {
      const auto group = begin->chunk / chunks_per_block;
      end = std::find_if(begin, rows.end(), [&](auto& row) { return row.chunk / chunks_per_block != group; });
      std::vector<stored_row> block(begin, end);
      const auto key = block_key(kind, r, part, volume, group);
      auto present = t.get(history_database::blocks, key);
      if (!present)
        return tl::unexpected(present.error());
      if (*present) {
        if (auto ok = decode_block(key, **present, block); !ok)
          owner.skip_damaged(ok.error());
      }
      limit(block);
      if (auto ok = t.put(history_database::blocks, key,
                          seal_value(value_type::history_block, history_block_version, encode_rows(block)));
          !ok)
        return ok;
    }
    return {};
  }

  // Makes blocks of all tails of parts that began before `before`, finest first, and rolls them up.
  result<void> seal(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t before) {
    for (;;) {
      std::optional<std::uint64_t> part;
      auto found =
          t.scan(history_database::tails, tail_prefix(kind, r, volume), [&](std::string_view key, bytes_view) {
            part = floor_to(tail_slot(key), part_seconds(r));
            return scan_step::stop;
          });
      if (!found)
        return found;
      if (!part || *part >= before)
        return {};
      if (auto ok = seal_part(kind, r, volume, *part); !ok)
        return ok;
      const auto next = coarser(r);
      if (!next)
        continue;
      if (auto ok = seal(kind, *next, volume, floor_to(*part + part_seconds(r), part_seconds(*next))); !ok)
        return ok;
    }
  }

  result<void> seal_part(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t part) {
    std::vector<std::string> keys;
    std::uint64_t claimed = 0;
    auto listed = t.scan(history_database::tails, tail_key(kind, r, volume, part), tail_prefix(kind, r, volume),
                         [&](std::string_view key, bytes_view value) {
                           if (tail_slot(key) >= part + part_seconds(r))
                             return scan_step::stop;
                           keys.emplace_back(key);
                           claimed += rows_claimed(value);
                           return scan_step::next;
                         });
    if (!listed)
      return listed;
    // A part of many rows is taken in several passes over its tails, so that memory stays bounded.
    const auto passes = static_cast<std::uint32_t>(claimed / seal_rows_max + 1);
    for (std::uint32_t pass = 0; pass < passes; ++pass)
      if (auto ok = seal_pass(kind, r, volume, part, keys, pass, passes); !ok)
        return ok;
    for (const auto& key : keys)
      if (auto ok = t.erase(history_database::tails, key); !ok)
        return tl::unexpected(ok.error());
    ++owner.parts_sealed_;
    return {};
  }

  result<void> seal_pass(std::uint8_t kind, resolution r, volume_uuid volume, std::uint64_t part,
                         const std::vector<std::string>& keys, std::uint32_t pass, std::uint32_t passes) {
    std::vector<stored_row> rows, slot_rows;
    for (const auto& key : keys) {
      auto value = t.get(history_database::tails, key);
      if (!value)
        return tl::unexpected(value.error());
      slot_rows.clear();
      if (*value)
        if (auto ok = decode_tail(key, **value, slot_rows); !ok && pass == 0)
          owner.skip_damaged(ok.error());
      const auto slot = static_cast<std::uint32_t>((tail_slot(key) - part) / slot_seconds(r));
      for (auto& row : slot_rows) {
        if (row.chunk / chunks_per_block % passes != pass)
          continue;
        row.slot = slot;
        rows.push_back(row);
      }
    }
    normalize(rows);
    if (auto ok = add_to_blocks(kind, r, volume, part, rows); !ok)
      return ok;
    const auto next = coarser(r);
    if (!next)
      return {};
    const auto first = part / slot_seconds(*next);
    auto coarse = rolled_up(rows, part, r, *next, first);
    std::stable_sort(coarse.begin(), coarse.end(), [](auto& a, auto& b) { return a.slot < b.slot; });
    for (auto begin = coarse.begin(), end = begin; begin != coarse.end(); begin = end) {
      end = std::find_if(begin, coarse.end(), [&](auto& row) { return row.slot != begin->slot; });
      if (auto ok = add_to_tail(kind, *next, volume, (first + begin->slot) * slot_seconds(*next), {begin, end}); !ok)
        return ok;
    }
    return {};
  }

  // --- trimming

  result<std::optional<std::uint64_t>> oldest_part(std::uint8_t kind, resolution r) {
    std::optional<std::uint64_t> part;
    auto found = t.scan(history_database::blocks, table_prefix(kind, r), [&](std::string_view key, bytes_view) {
      part = block_part(key);
      return scan_step::stop;
    });
    if (!found)
      return tl::unexpected(found.error());
    return part;
  }

  // Erases up to `budget` keys with this prefix, and takes them off it.
  result<void> erase_prefix(database_id database, std::string_view prefix, std::size_t& budget) {
    std::vector<std::string> keys;
    auto listed = t.scan(database, prefix, [&](std::string_view key, bytes_view) {
      if (keys.size() >= budget)
        return scan_step::stop;
      keys.emplace_back(key);
      return scan_step::next;
    });
    if (!listed)
      return listed;
    for (const auto& key : keys)
      if (auto ok = t.erase(database, key); !ok)
        return tl::unexpected(ok.error());
    budget -= keys.size();
    return {};
  }

  result<void> trim_by_age(std::size_t& budget) {
    // A clock that leapt ahead makes nothing old.
    const auto* ages = owner.options_.ages;
    const auto today = ages == nullptr ? now : std::min(now, seconds_of(ages->wall_now()));
    for (const auto kind : table_kinds)
      for (const auto r : all_resolutions)
        while (budget > 0) {
          auto part = oldest_part(kind, r);
          if (!part)
            return tl::unexpected(part.error());
          const auto age_kept = static_cast<std::uint64_t>(kept(kind, r).count());
          if (!*part || **part + part_seconds(r) + age_kept > today)
            break;
          if (auto ok = erase_prefix(history_database::blocks, part_prefix(kind, r, **part), budget); !ok)
            return ok;
          ++owner.parts_trimmed_;
        }
    return {};
  }

  result<std::uint64_t> used() {
    std::uint64_t sum = 0;
    for (auto database :
         {history_database::tails, history_database::blocks, history_database::instances, history_database::models}) {
      auto bytes = t.bytes_used(database);
      if (!bytes)
        return bytes;
      sum += *bytes;
    }
    return sum;
  }

  // When the bound is near: the part that is oldest for its resolution, again and again; totals only after all
  // chunks.
  result<void> trim_by_size(std::size_t& budget) {
    auto bytes = used();
    if (!bytes)
      return tl::unexpected(bytes.error());
    const double bound = static_cast<double>(owner.options_.disk_max.value);
    const double fill_max = owner.fill_max_;
    if (static_cast<double>(*bytes) < bound * fill_max)
      return {};
    while (budget > 0 && static_cast<double>(*bytes) > bound * (fill_max - trim_by)) {
      std::string victim;
      double most = -1;
      for (const auto kind : table_kinds) {
        for (const auto r : all_resolutions) {
          auto part = oldest_part(kind, r);
          if (!part)
            return tl::unexpected(part.error());
          // The newest sealed part stays: a history without yesterday's end is of no use.
          if (!*part || **part + 2 * part_seconds(r) > now)
            continue;
          const double age = (static_cast<double>(now) - static_cast<double>(**part)) /
                             static_cast<double>(std::max<std::int64_t>(kept(kind, r).count(), 1));
          if (age > most || victim.empty())
            victim = part_prefix(kind, r, **part), most = age;
        }
        if (!victim.empty())
          break;
      }
      if (victim.empty())
        return {};
      if (auto ok = erase_prefix(history_database::blocks, victim, budget); !ok)
        return ok;
      ++owner.parts_trimmed_;
      bytes = used();
      if (!bytes)
        return tl::unexpected(bytes.error());
    }
    return {};
  }

  // --- volumes that went quiet

  struct overdue {
    std::uint8_t kind;
    resolution r;
    volume_uuid volume;
    std::uint64_t before;
  };

  result<std::vector<overdue>> find_overdue() {
    std::vector<overdue> found;
    for (const auto kind : table_kinds)
      for (const auto r : all_resolutions) {
        const auto before =
            floor_to(now - std::min(now, slot_seconds(r)), part_seconds(r)); // a slot's grace for late rows
        auto from = table_prefix(kind, r);
        for (bool more = true; more && found.size() < seals_per_job_max;) {
          more = false;
          std::string malformed;
          auto scanned =
              t.scan(history_database::tails, from, table_prefix(kind, r), [&](std::string_view key, bytes_view) {
                more = true;
                from = std::string(key.substr(0, 18)) + std::string(9, '\xff'); // behind all of this volume's tails
                if (key.size() != tail_key_bytes) {
                  malformed = from = key;
                  return scan_step::stop;
                }
                volume_uuid volume;
                std::copy_n(key.begin() + 2, volume.bytes.size(), volume.bytes.begin());
                if (floor_to(tail_slot(key), part_seconds(r)) < before)
                  found.push_back({kind, r, volume, before});
                return scan_step::stop;
              });
          if (scanned && !malformed.empty())
            if (auto ok = t.erase(history_database::tails, malformed); !ok)
              scanned = tl::unexpected(ok.error());
          if (!scanned)
            return tl::unexpected(scanned.error());
        }
      }
    return found;
  }

  // One step of maintain(); true if another is needed.
  result<bool> maintain() {
    auto found = find_overdue();
    if (!found)
      return tl::unexpected(found.error());
    for (const auto& one : *found)
      if (auto ok = seal(one.kind, one.r, one.volume, one.before); !ok)
        return tl::unexpected(ok.error());
    std::size_t budget = erased_per_job_max;
    if (auto ok = trim_by_age(budget); !ok)
      return tl::unexpected(ok.error());
    if (auto ok = trim_by_size(budget); !ok)
      return tl::unexpected(ok.error());
    if (auto ok = owner.trim_models(t, now); !ok)
      return tl::unexpected(ok.error());
    return !found->empty() || budget == 0; // what was sealed may have completed a coarser part
  }

  result<void> append(volume_uuid volume, resolution r, std::uint64_t slot, const std::vector<stored_row>& rows,
                      const stored_row& total) {
    std::size_t budget = erased_per_job_max;
    if (auto ok = trim_by_size(budget); !ok)
      return ok;
    const auto part = floor_to(slot, part_seconds(r));
    for (const auto kind : table_kinds) {
      if (auto ok = add_to_tail(kind, r, volume, slot, kind == 0 ? rows : std::vector<stored_row>{total}); !ok)
        return ok;
      if (auto ok = seal(kind, r, volume, part); !ok)
        return ok;
    }
    return {};
  }

  result<void> forget(volume_uuid volume) {
    for (const auto kind : table_kinds)
      for (const auto r : all_resolutions) {
        std::size_t no_limit = SIZE_MAX;
        if (auto ok = erase_prefix(history_database::tails, tail_prefix(kind, r, volume), no_limit); !ok)
          return ok;
        std::optional<std::uint64_t> part;
        auto next_part = [&](std::uint64_t from) {
          part.reset();
          return t.scan(history_database::blocks, part_prefix(kind, r, from), table_prefix(kind, r),
                        [&](std::string_view key, bytes_view) {
                          part = block_part(key);
                          return scan_step::stop;
                        });
        };
        for (auto found = next_part(0); part; found = next_part(*part + 1)) {
          if (!found)
            return found;
          if (auto ok = erase_prefix(history_database::blocks, block_prefix(kind, r, *part, volume), no_limit); !ok)
            return ok;
        }
      }
    return {};
  }
};

void history::append(history_batch batch, done finished) {
  auto refuse = [&](errc code, std::string why) {
    ++rows_refused_;
    if (finished)
      finished(fail(code, fmt::format("history of volume {}: {}", batch.volume.to_string(), why)));
  };
  if (batch.rows.size() > history_append_rows_max)
    return refuse(errc::limit_reached,
                  fmt::format("{} rows at once, at most {}", batch.rows.size(), history_append_rows_max));
  if (batch.time.time_since_epoch().count() < 0)
    return refuse(errc::invalid_argument, "a time before 1970");
  auto rows = std::make_shared<std::vector<stored_row>>();
  rows->reserve(batch.rows.size());
  stored_row total;
  for (const auto& row : batch.rows) {
    if (row.chunk.value > UINT32_MAX)
      return refuse(errc::invalid_argument, fmt::format("chunk {}", row.chunk.value));
    if (row.counters == access_counters{})
      continue;
    rows->push_back({static_cast<std::uint32_t>(row.chunk.value), row.instance.value, 0, row.counters});
    total.counters += row.counters;
  }
  if (batch.total)
    total.counters = *batch.total;
  if (rows->empty() && total.counters == access_counters{} && !batch.mark)
    return finished ? finished({}) : void();
  normalize(*rows);
  const auto count = rows->size() + 1;
  if (queued_rows_.fetch_add(count) + count > history_queued_rows_max) {
    queued_rows_ -= count;
    return refuse(errc::limit_reached,
                  fmt::format("more than {} rows are waiting to be written", history_queued_rows_max));
  }
  const auto slot = floor_to(seconds_of(batch.time), slot_seconds(batch.at));
  const auto now = std::max(slot, seconds_of(options_.clock->wall_now()));
  write_job job = [this, rows, total, slot, now, volume = batch.volume, at = batch.at,
                   mark = std::move(batch.mark)](write_transaction& t) -> result<void> {
    if (mark)
      if (auto moved = move_mark(t, *mark); !moved)
        return moved;
    if (rows->empty() && total.counters == access_counters{})
      return {};
    return writer{*this, t, now}.append(volume, at, slot, *rows, total);
  };
  done count_and_finish = [this, count, finished = std::move(finished)](result<void> r) {
    queued_rows_ -= count;
    (r ? rows_appended_ : rows_refused_) += r ? count - 1 : 1;
    if (finished)
      finished(std::move(r));
  };
  append_or_make_room(std::make_shared<write_job>(std::move(job)),
                      std::make_shared<done>(std::move(count_and_finish)), now, 1);
}

// The map may have room that is too scattered for a block: then old rows go, more each time, and the append is tried
// again. A full disk (it has an errno) is no reason to give up history: the rows are refused until there is room.
void history::append_or_make_room(std::shared_ptr<write_job> job, std::shared_ptr<done> finished, std::uint64_t now,
                                  unsigned attempt) {
  start([job](write_transaction& t) { return (*job)(t); },
        [this, job, finished, now, attempt, fill_then = fill_max_.load()](result<void> r) {
          const bool map_is_full = !r && r.error().code == errc::no_space && r.error().os_errno == 0;
          if (!map_is_full || attempt >= append_attempts_max)
            return (*finished)(std::move(r));
          // One step down for all appends that met the same full map. This runs on the one writer thread.
          if (fill_max_ == fill_then)
            fill_max_ = std::max(fill_then * fill_step, fill_floor);
          auto trim = [this, now](write_transaction& t) {
            std::size_t budget = erased_per_job_max;
            return writer{*this, t, now}.trim_by_size(budget);
          };
          start(trim, nullptr);
          append_or_make_room(job, finished, now, attempt + 1);
        });
}

void history::maintain(done finished) {
  maintain_step(std::make_shared<done>(std::move(finished)), seconds_of(options_.clock->wall_now()));
}

void history::maintain_step(std::shared_ptr<done> finished, std::uint64_t now) {
  auto more = std::make_shared<bool>(false);
  start(
      [this, more, now](write_transaction& t) -> result<void> {
        auto again = writer{*this, t, now}.maintain();
        if (!again)
          return tl::unexpected(again.error());
        *more = *again;
        return {};
      },
      [this, more, finished, now](result<void> r) {
        if (r && *more)
          return maintain_step(finished, now);
        if (*finished)
          (*finished)(std::move(r));
      });
}

void history::forget(volume_uuid volume, done finished) {
  start([this, volume](write_transaction& t) { return writer{*this, t, 0}.forget(volume); }, std::move(finished));
}

} // namespace gnomon::store
