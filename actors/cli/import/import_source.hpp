// The file of an import: a block trace, or counters per slot, as one kind of item. Reads the whole file twice: once
// to know what is in it, once to hand its items out. Blocks on the disk; one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/cli/grammar/command.hpp"
#include "store/files/series_file.hpp"

namespace gnomon::actors::cli {

// One request, or what the counters say of one stretch of time.
struct import_item {
  std::int64_t time_us = 0;
  std::int64_t span_us = 0;             // 0: a request
  std::uint64_t offset = 0, length = 0; // of a request
  std::uint64_t reads = 0, writes = 0, read_bytes = 0, write_bytes = 0;
};

struct import_survey {
  std::string volume;                  // the file's
  std::int64_t from_us = 0, to_us = 0; // as the file says
  std::uint64_t requests = 0;
  std::uint64_t items = 0;
  std::uint64_t skipped = 0;               // neither reads nor changes data, of length 0, or a slot without a value
  std::string digest;                      // of the items
  std::vector<std::string> unused_columns; // of counters that are no requests and bytes
  bool has_requests = true;                // false: counters of bytes alone
};

class import_source {
public:
  using progress = std::function<bool(double)>; // 0..1; false: stop

  // Reads the file for the first time. corrupt, not_found …; invalid_argument: nothing in it, no known column,
  // several volumes and no choice among them; unavailable: stopped.
  static result<import_source> open(const history_import_command& wanted, const std::string& like,
                                    const progress& ask);
  const import_survey& found() const noexcept { return found_; }
  // Hands every item of the chosen volume to `each`, in the file's order.
  result<void> read(const std::function<result<void>(const import_item&)>& each, const progress& ask) const;

private:
  result<void> survey(const progress& ask, std::vector<std::string>& names);
  result<void> read_trace(const std::function<result<void>(const import_item&)>& each, const progress& ask,
                          std::uint64_t& skipped, std::vector<std::string>& names) const;
  result<void> read_series_rows(const std::function<result<void>(const import_item&)>& each,
                                std::uint64_t& skipped) const;

  std::string path_;
  import_survey found_;
  std::shared_ptr<const store::series_table> series_; // none: a trace
};

} // namespace gnomon::actors::cli
