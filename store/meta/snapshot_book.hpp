// Snapshots of a node, in `meta`: its layer files, the point that each volume's changes are counted from, and its groups.
// LMDB is the truth while the node runs, a copy in memory answers reads; what is lost of it is rebuilt from the files
// (store/layer/layer_folder.hpp). Knows no files.
//
// Threads: every member may be called from any thread. Reads copy out and return at once. commit() returns at once and
// calls `done` exactly once: on the environment's writer thread after the commit is durable, or in the caller's when it
// is refused at once. `done` must not block. Blocks only in open() and commit_and_wait().
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

inline constexpr std::size_t layer_records_max = 200'000;
inline constexpr std::size_t group_records_max = 4'096;

// Found by open(), for the log.
struct snapshot_book_opening {
  std::size_t layers = 0, groups = 0;
  std::vector<std::string> problems; // records that cannot be read, one line each; at most problems_max
  std::size_t problems_unlisted = 0;
  static constexpr std::size_t problems_max = 20;
};

// What one commit changes: all of it or nothing.
struct snapshot_changes {
  std::vector<layer_record> put_layers;
  std::vector<layer_id> erase_layers;
  std::vector<std::pair<volume_uuid, snapshot_uuid>> put_heads;
  std::vector<volume_uuid> erase_heads;
  std::vector<group_record> put_groups;
  std::vector<group_name> erase_groups;
};

class snapshot_book {
public:
  using done = std::function<void(result<void>)>;

  // io_failed, no_space. Damaged records do not fail it: they are named in `opening->problems`. `meta` outlives the
  // book and everything it was asked.
  static result<std::unique_ptr<snapshot_book>> open(environment* meta, snapshot_book_opening* opening = nullptr);
  ~snapshot_book();
  snapshot_book(const snapshot_book&) = delete;

  std::vector<layer_record> layers() const; // oldest cut first
  std::vector<layer_record> layers(volume_uuid volume) const;
  std::optional<layer_record> find(layer_id id) const;
  std::optional<snapshot_uuid> head(volume_uuid volume) const;
  std::vector<group_record> groups() const; // by name
  std::optional<group_record> find(const group_name& name) const;

  // limit_reached: too many layers, groups or queued commits; no_space, io_failed, shutting_down.
  void commit(snapshot_changes changes, done finished);
  result<void> commit_and_wait(snapshot_changes changes); // never in an actor

private:
  struct state;
  explicit snapshot_book(std::shared_ptr<state> s);
  std::shared_ptr<state> state_; // shared with the changes that wait: they may outlive the book
};

} // namespace gnomon::store
