// Which files were imported into a volume's history, so that nobody imports one twice by mistake. Kept with the
// history as the volume's model "imports". Reads and writes the history and waits for it: fit threads, not actors.
#pragma once

#include "actors/protocol/import_messages.hpp"
#include "config/clock.hpp"
#include "config/error.hpp"
#include "store/history/history.hpp"

namespace gnomon::actors {

inline constexpr std::size_t imports_remembered_max = 256; // per volume; the oldest are forgotten
inline constexpr const char* imports_model_name = "imports";
inline constexpr std::uint32_t imports_model_version = 1;

// Remembers that the import begins or has ended. already_exists: the same records were imported before, or began to
// be, and `again` is not set; not_found: the end of something that never began; and what the history says.
// One that began and did not end is resumed: the receipt says what of it is in the history.
result<import_receipt> note_import(store::history& history, volume_uuid volume, const import_note& note, wall_time now);

// What may be in a note and in rows, for this volume at this time. invalid_argument, limit_reached.
result<void> check_import_note(const import_note& note, const import_terms& terms);
result<void> check_import_rows(const history_rows& rows, const import_terms& terms);

// How far an import has come: a model of the volume that moves on with every slot, in the slot's own commit, so that
// none is counted twice or left out, whatever ends in between. Erased with the journal's entry.
struct import_progress {
  std::uint64_t slots = 0; // in the history
  std::int64_t now_us = 0, shift_us = 0;
  friend bool operator==(const import_progress&, const import_progress&) = default;
};
std::string import_progress_name(const std::string& digest);
store::bytes encode_progress(const import_progress& progress);
result<import_progress> decode_progress(const store::bytes& blob);
// not_found: the import never began.
result<import_progress> read_progress(const store::history& history, volume_uuid volume, const std::string& digest);

// The same rows as batches for the history, in the order given, without those slots that are in it. invalid_argument: a
// slot between is missing.
result<std::vector<store::history_batch>> batches_of(const history_rows& rows, volume_uuid volume,
                                                     const import_progress& progress);

} // namespace gnomon::actors
