// What operators said about compute instances (`gnomon instance set`), in `meta`: LMDB is the truth, a copy in memory
// answers reads. Owns those records and their limit; knows nothing of the configuration, which it overrides.
//
// Threads: every member may be called from any thread. Reads return at once. A change returns at once and calls
// `done` exactly once: on the environment's writer thread after the commit is durable, or in the caller's when it is
// refused at once. `done` must not block. Blocks only in open().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "store/lmdb/environment.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

inline constexpr std::size_t instance_records_max = 10'000;

// Found by open(), for the log.
struct instance_book_opening {
  std::size_t instances = 0;
  std::vector<std::string> problems; // records that cannot be read, one line each; at most problems_max
  std::size_t problems_unlisted = 0;
  static constexpr std::size_t problems_max = 20;
};

class instance_book {
public:
  using done = std::function<void(result<void>)>;

  // io_failed, no_space. Damaged records do not fail it: they are left where they are, named in `opening->problems`,
  // and replaced when somebody sets that instance again. `meta` outlives the book and everything it was asked.
  static result<std::unique_ptr<instance_book>> open(environment* meta, instance_book_opening* opening = nullptr);
  ~instance_book();
  instance_book(const instance_book&) = delete;

  std::optional<instance_record> find(const instance_id& id) const;
  std::vector<instance_record> list() const; // by id
  // Replaces the instance's record. invalid_argument: no id or a text too long; limit_reached: too many instances or
  // changes; no_space, io_failed, shutting_down.
  void put(instance_record record, done finished);
  // Also succeeds where there is none.
  void erase(instance_id id, done finished);

private:
  struct state;
  explicit instance_book(std::shared_ptr<state> s);
  std::shared_ptr<state> state_; // shared with the changes that wait: they may outlive the book
};

} // namespace gnomon::store
