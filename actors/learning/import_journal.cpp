#include "actors/learning/import_journal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/json.hpp"
#include "config/log.hpp"
#include "config/text.hpp"

namespace gnomon::actors {
namespace {
constexpr std::int64_t day_us = 86'400'000'000;
constexpr std::int64_t ahead_us_max = 60'000'000;       // clocks differ a little, and slots are not over yet
constexpr std::int64_t behind_us_slack = 3'600'000'000; // time passes during an import
constexpr std::size_t journal_bytes_max = 4u << 20;

std::string text_of(const store::bytes& blob) { return {reinterpret_cast<const char*>(blob.data()), blob.size()}; }
store::bytes blob_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// What is remembered; nothing where it cannot be read: a journal is no reason to refuse an import.
result<json> read_journal(const store::history& history, volume_uuid volume) {
  const auto stored = history.get_model(volume.to_string(), imports_model_name);
  if (!stored && stored.error().code == errc::not_found)
    return json::array();
  if (!stored && stored.error().code != errc::corrupt)
    return tl::unexpected(stored.error());
  auto parsed =
      stored && stored->version == imports_model_version ? parse_json(text_of(stored->blob)) : result<json>(json());
  if (parsed && parsed->is_array())
    return parsed;
  log::warning("volume {}: which files were imported cannot be read; beginning anew", volume.to_string());
  return json::array();
}

// A member of an entry, or its default where the entry does not have it in that form.
template <class T>
T member(const json& entry, const char* key, T otherwise) {
  const auto found = entry.is_object() ? entry.find(key) : entry.end();
  if (!entry.is_object() || found == entry.end())
    return otherwise;
  if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->template get<std::string>() : otherwise;
  else
    return found->is_boolean() ? found->template get<bool>() : otherwise;
}
} // namespace

std::string import_progress_name(const std::string& digest) { return "import " + digest; }

store::bytes encode_progress(const import_progress& progress) {
  return blob_of(dump_json({{"slots", progress.slots}, {"now_us", progress.now_us}, {"shift_us", progress.shift_us}}));
}

result<import_progress> decode_progress(const store::bytes& blob) {
  const auto parsed = parse_json(text_of(blob));
  const auto number = [&](const char* key) -> std::optional<std::int64_t> {
    if (!parsed || !parsed->is_object() || !parsed->contains(key) || !(*parsed)[key].is_number_integer())
      return std::nullopt;
    return (*parsed)[key].get<std::int64_t>();
  };
  const auto slots = number("slots"), now = number("now_us"), shift = number("shift_us");
  if (!slots || !now || !shift || *slots < 0)
    return fail(errc::corrupt, "how far the import has come cannot be read; --again begins it anew");
  return import_progress{static_cast<std::uint64_t>(*slots), *now, *shift};
}

result<import_progress> read_progress(const store::history& history, volume_uuid volume, const std::string& digest) {
  const auto stored = history.get_model(volume.to_string(), import_progress_name(digest));
  if (!stored)
    return tl::unexpected(stored.error());
  return decode_progress(stored->blob);
}

result<import_receipt> note_import(store::history& history, volume_uuid volume, const import_note& note,
                                   wall_time now) {
  auto journal = read_journal(history, volume);
  if (!journal)
    return tl::unexpected(journal.error());
  const auto known = std::find_if(journal->begin(), journal->end(), [&](const json& entry) {
    return member<std::string>(entry, "digest", {}) == note.digest;
  });
  if (note.finished) {
    if (known == journal->end())
      return fail(errc::not_found, "this import never began");
    (*known)["finished"] = true;
  } else {
    if (known != journal->end() && !note.again) {
      if (member(*known, "finished", false))
        return fail(errc::already_exists,
                    fmt::format("these records were imported before, from {}; with --again they count twice",
                                member<std::string>(*known, "source", "a file")));
      const auto progress = read_progress(history, volume, note.digest);
      if (progress)
        return import_receipt{0, 0, progress->slots, progress->now_us, progress->shift_us};
      return fail(errc::already_exists,
                  fmt::format("an import of these records, from {}, began and did not end ({}); with --again what "
                              "came in then counts twice",
                              member<std::string>(*known, "source", "a file"), progress.error().message));
    }
    if (known != journal->end())
      journal->erase(known);
    journal->push_back({{"digest", note.digest},
                        {"source", note.source},
                        {"from_us", note.from_us},
                        {"to_us", note.to_us},
                        {"requests", note.requests},
                        {"at_us", now.time_since_epoch().count()},
                        {"finished", false}});
    std::string text = dump_json(*journal);
    while (journal->size() > imports_remembered_max || (text.size() > journal_bytes_max && journal->size() > 1)) {
      journal->erase(journal->begin());
      text = dump_json(*journal);
    }
  }
  // The progress first: an entry of the journal without it could not be resumed.
  if (!note.finished)
    if (auto begun = history.put_model(volume.to_string(), import_progress_name(note.digest), imports_model_version,
                                       encode_progress({0, note.now_us, note.shift_us}));
        !begun)
      return tl::unexpected(begun.error());
  if (auto kept = history.put_model(volume.to_string(), imports_model_name, imports_model_version,
                                    blob_of(dump_json(*journal)));
      !kept)
    return tl::unexpected(kept.error());
  return import_receipt{0, 0, 0, note.now_us, note.shift_us};
}

result<void> check_import_note(const import_note& note, const import_terms& terms) {
  if (note.digest.empty() || note.digest.size() > import_digest_length_max ||
      note.source.size() > import_text_length_max || note.from_us > note.to_us)
    return fail(errc::invalid_argument, "the description of the import makes no sense");
  if (note.from_us < terms.now_us - terms.keep_us - behind_us_slack)
    return fail(errc::invalid_argument,
                fmt::format("it begins {} days ago, and this node keeps {}; --end-at now moves it to end now",
                            (terms.now_us - note.from_us) / day_us, terms.keep_us / day_us));
  if (note.to_us > terms.now_us + ahead_us_max)
    return fail(errc::invalid_argument, "it ends in the future; --end-at now moves it to end now");
  return {};
}

result<void> check_import_rows(const history_rows& rows, const import_terms& terms) {
  std::size_t count = 0;
  for (const auto& slot : rows.slots) {
    count += slot.rows.size();
    const auto length_us = std::int64_t{slot.seconds} * 1'000'000;
    if (slot.seconds != 10 && slot.seconds != 60 && slot.seconds != 300)
      return fail(errc::invalid_argument, fmt::format("there are no slots of {} s", slot.seconds));
    if (slot.start_us < 0 || slot.start_us < terms.now_us - terms.keep_us - behind_us_slack - length_us ||
        slot.start_us > terms.now_us + ahead_us_max)
      return fail(errc::invalid_argument, "a slot is older than what is kept, or in the future");
    for (const auto& row : slot.rows)
      if (row.chunk.value >= terms.chunk_count)
        return fail(errc::out_of_range, fmt::format("chunk {} of a volume of {}; has it been replaced? begin again",
                                                    row.chunk.value, terms.chunk_count));
  }
  if (rows.slots.size() > import_slots_max || count > import_rows_max)
    return fail(errc::limit_reached, fmt::format("{} slots and {} rows in one message", rows.slots.size(), count));
  return {};
}

result<std::vector<store::history_batch>> batches_of(const history_rows& rows, volume_uuid volume,
                                                     const import_progress& progress) {
  if (rows.first_slot > progress.slots)
    return fail(errc::invalid_argument, fmt::format("slot {} of the import comes before slot {}", rows.first_slot,
                                                    progress.slots));
  std::vector<store::history_batch> out;
  auto number = rows.first_slot;
  const auto counters = [](const import_row& r) {
    return store::access_counters{r.reads, r.writes, r.read_bytes, r.write_bytes, r.sequential};
  };
  for (const auto& slot : rows.slots) {
    if (number++ < progress.slots)
      continue;
    store::history_batch batch;
    const auto reached = [&](std::uint64_t slots) {
      return encode_progress({slots, progress.now_us, progress.shift_us});
    };
    batch.mark = store::history_mark{volume.to_string(), import_progress_name(rows.digest), imports_model_version,
                                     reached(number - 1), reached(number)};
    batch.volume = volume;
    batch.at = slot.seconds == 10   ? store::resolution::ten_seconds
               : slot.seconds == 60 ? store::resolution::one_minute
                                    : store::resolution::five_minutes;
    batch.time = wall_time{microseconds{slot.start_us}};
    auto total = counters(slot.elsewhere);
    for (const auto& row : slot.rows) {
      batch.rows.push_back({row.chunk, store::instance_index{0}, counters(row)});
      total += counters(row);
    }
    batch.total = total;
    out.push_back(std::move(batch));
  }
  return out;
}

} // namespace gnomon::actors
