// The events of a node: LMDB is the truth, a snapshot in memory answers reads. Keeps at most
// calendar_events_max; when more come, the oldest past ones go, and never one that is planned or runs. Ids grow and
// are never used twice.
//
// Threads: every member may be called from any thread. events() returns at once. A change returns at once and calls
// `done` exactly once: on the environment's writer thread after the commit is durable, or in the caller's when it is
// refused at once. `done` must not block. What was changed before `done` is visible in events() during it. Blocks
// only in open(). Forgets nothing by itself: time passing alone changes nothing here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/event.hpp"
#include "store/lmdb/environment.hpp"

namespace gnomon::store {

// By how much ids jump when the counter was lost, so that none of the erased ones comes back.
inline constexpr std::uint64_t event_id_leap = 1'000'000;

// By start, then id.
using event_list = std::shared_ptr<const std::vector<calendar_event>>;

struct event_book_options {
  environment* meta = nullptr; // outlives the book
  const clock_source* clock = &system_clock_source();
  std::size_t events_max = calendar_events_max;
  // Called with the new list after each change and once by open(), one call after the other, on the writer thread
  // (open: the caller's). Must not block.
  std::function<void(const event_list&)> changed;
  const clock_source* ages = nullptr; // tells which events are past and may make room; none: `clock`
};

// Found by open(), for the log.
struct event_book_opening {
  std::size_t events = 0;
  std::vector<std::string> problems; // records that cannot be read, one line each; at most problems_max
  std::size_t problems_unlisted = 0;
  static constexpr std::size_t problems_max = 20;
};

struct event_addition {
  std::vector<calendar_event> events; // as kept, in the order in which they were told
  std::size_t forgotten = 0;          // past ones that went to make room
};

class event_book {
public:
  using done_added = std::function<void(result<event_addition>)>;
  using done_removed = std::function<void(result<calendar_event>)>;

  // io_failed, no_space; unsupported: the counter was written by a newer release. Damaged records do not fail it:
  // they are skipped and named in `opening->problems` until somebody removes them by their id.
  static result<std::unique_ptr<event_book>> open(event_book_options options, event_book_opening* opening = nullptr);
  ~event_book();
  event_book(const event_book&) = delete;

  event_list events() const;
  // All of them or none. invalid_argument (none, too many for one call, against the rules of check_event);
  // limit_reached: the book is full of events that are not past; busy: too many changes wait; no_space, io_failed,
  // shutting_down.
  void add(std::vector<event_notice> told, event_source source, done_added done);
  // not_found. Of a record that cannot be read only the id comes back.
  void remove(event_id id, done_removed done);

private:
  struct state;
  explicit event_book(std::shared_ptr<state> s);
  std::shared_ptr<state> state_; // shared with the changes that wait: they may outlive the book
};

} // namespace gnomon::store
