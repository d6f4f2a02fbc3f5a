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
result<void> note_import(store::history& history, volume_uuid volume, const import_note& note, wall_time now);

// What may be in a note and in rows, for this volume at this time. invalid_argument, limit_reached.
result<void> check_import_note(const import_note& note, const import_terms& terms);
result<void> check_import_rows(const history_rows& rows, const import_terms& terms);

// The same rows as batches for the history, in the order given.
std::vector<store::history_batch> batches_of(const history_rows& rows, volume_uuid volume);

} // namespace gnomon::actors
