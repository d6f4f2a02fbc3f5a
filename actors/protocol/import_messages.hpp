// What messages about imported history carry: plain values, each with its `inspect`; as actors/protocol/volume_messages.hpp. Times
// are microseconds since 1970 UTC, sizes are bytes. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/protocol/inspect.hpp"
#include "actors/protocol/volume_messages.hpp"
#include "config/types.hpp"

namespace gnomon::actors {

inline constexpr std::size_t import_rows_max = 4096;        // of one message, all slots together: about 200 KiB
inline constexpr std::size_t import_slots_max = 512;        // of one message
inline constexpr std::size_t import_text_length_max = 4096; // of a file's name, in bytes
inline constexpr std::size_t import_digest_length_max = 64;

// What a client must know before it rolls a file up for a volume.
struct import_terms {
  volume_name name;
  volume_uuid uuid;
  byte_count size, chunk_size;
  std::uint64_t chunk_count = 0;
  std::int64_t now_us = 0; // the node's
  // Rows younger than this are wanted in slots of 10 s; than this, of a minute; than this, of five minutes; older
  // ones are not kept.
  std::int64_t fine_us = 0, minute_us = 0, keep_us = 0;
  friend bool operator==(const import_terms&, const import_terms&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, import_terms& x) {
  return f(caf::meta::type_name("import_terms"), x.name, x.uuid, x.size, x.chunk_size, x.chunk_count, x.now_us,
           x.fine_us, x.minute_us, x.keep_us);
}

// The beginning or the end of an import: what the node remembers of it.
struct import_note {
  std::string digest; // of the records, not of the file: a compressed copy is the same
  std::string source; // name of the file
  std::int64_t from_us = 0, to_us = 0;
  std::uint64_t requests = 0;
  bool finished = false; // false: about to begin
  bool again = false;    // begin although it was imported before
  std::int64_t now_us = 0, shift_us = 0; // by which the rows are made: the node's time then, and what is added to theirs
  friend bool operator==(const import_note&, const import_note&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, import_note& x) {
  return f(caf::meta::type_name("import_note"), x.digest, x.source, x.from_us, x.to_us, x.requests, x.finished,
           x.again, x.now_us, x.shift_us);
}

// What happened in one chunk during one slot.
struct import_row {
  chunk_index chunk;
  std::uint64_t reads = 0, writes = 0, read_bytes = 0, write_bytes = 0, sequential = 0;
  friend bool operator==(const import_row&, const import_row&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, import_row& x) {
  return f(caf::meta::type_name("import_row"), x.chunk, x.reads, x.writes, x.read_bytes, x.write_bytes, x.sequential);
}

// One slot of one volume; a slot may come in several pieces, which add up.
struct import_slot {
  std::int64_t start_us = 0;
  std::uint32_t seconds = 0; // 10, 60 or 300
  std::vector<import_row> rows;
  import_row elsewhere; // load in no known chunk; its `chunk` means nothing
  friend bool operator==(const import_slot&, const import_slot&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, import_slot& x) {
  return f(caf::meta::type_name("import_slot"), x.start_us, x.seconds, x.rows, x.elsewhere);
}

struct history_rows {
  std::string digest;           // of the import they belong to
  std::uint64_t first_slot = 0; // how many slots of this import came before these
  std::vector<import_slot> slots;
  friend bool operator==(const history_rows&, const history_rows&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, history_rows& x) {
  return f(caf::meta::type_name("history_rows"), x.digest, x.first_slot, x.slots);
}

struct import_receipt {
  std::uint64_t slots = 0, rows = 0; // in the history now
  // Of a note that begins: slots that an interrupted import of the same records has brought in; they are left out when
  // they come again, if the rows are made by the same time and shift.
  std::uint64_t slots_before = 0;
  std::int64_t now_us = 0, shift_us = 0;
  friend bool operator==(const import_receipt&, const import_receipt&) = default;
};
template <class Inspector>
auto inspect(Inspector& f, import_receipt& x) {
  return f(caf::meta::type_name("import_receipt"), x.slots, x.rows, x.slots_before, x.now_us, x.shift_us);
}

} // namespace gnomon::actors
