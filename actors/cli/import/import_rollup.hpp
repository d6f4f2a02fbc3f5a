// Rolls the items of a file up into slots and chunks as the rings would have counted them, and cuts them into
// messages for the node. Bounded: what is open is handed out when it is too much; pieces of a slot add up in the
// history. A value without clock or I/O; one thread.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "actors/cli/import/import_source.hpp"
#include "actors/protocol/import_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::size_t import_open_rows_max = 65'536; // held at once

class import_rollup {
public:
  // `shift_us` is added to every item's time.
  import_rollup(const import_terms& terms, std::int64_t shift_us) : terms_(terms), shift_us_(shift_us) {}

  // What is older than the node keeps is left out, and counted.
  void add(const import_item& item);
  // True: hand out what is open before more is added.
  bool full() const noexcept { return open_rows_ >= import_open_rows_max; }
  // What is open, in order of time, in messages within their limits; starts anew.
  std::vector<history_rows> take();

  std::uint64_t too_old() const noexcept { return too_old_; }
  std::uint64_t beyond() const noexcept { return beyond_; }  // items that reach beyond the volume's end
  std::int64_t from_us() const noexcept { return from_us_; } // of what was taken; 0 and 0: nothing
  std::int64_t to_us() const noexcept { return to_us_; }
  std::uint64_t requests() const noexcept { return requests_; }

private:
  struct slot {
    std::map<std::uint64_t, import_row> rows; // by chunk
    import_row elsewhere;
  };
  std::uint32_t slot_seconds_at(std::int64_t time_us) const;
  slot& slot_at(std::int64_t time_us, std::uint32_t seconds);
  void add_request(const import_item& item, slot& to);
  void spread(const import_item& item, std::int64_t start_us, std::uint32_t seconds);
  bool continues_a_stream(const import_item& item);

  import_terms terms_;
  std::int64_t shift_us_;
  std::map<std::pair<std::int64_t, std::uint32_t>, slot> open_; // by start and seconds
  std::size_t open_rows_ = 0;
  static constexpr std::size_t streams = 32;
  std::uint64_t stream_ends_[streams] = {};
  std::size_t next_stream_ = 0;
  std::uint64_t too_old_ = 0, beyond_ = 0, requests_ = 0;
  std::int64_t from_us_ = 0, to_us_ = 0;
};

} // namespace gnomon::actors::cli
