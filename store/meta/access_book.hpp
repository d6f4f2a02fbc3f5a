// Who may and may not attach each volume by an operator's hand (`gnomon volume fence`, `unfence`, `grant`, `revoke`), in
// `meta`: LMDB is the truth, a copy in memory answers reads. Owns those records, their epochs and their limits. Fences
// and handing over are a volume's claims: what a fence has ended stays ended over restarts.
//
// Threads: every member may be called from any thread. Reads return at once. A change returns at once and calls `done`
// exactly once: on the environment's writer thread after the commit is durable, or in the caller's when it is refused
// at once. `done` must not block. Blocks only in open().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "store/lmdb/environment.hpp"
#include "store/meta/schema.hpp"

namespace gnomon::store {

// Found by open(), for the log.
struct access_book_opening {
  std::size_t volumes = 0;
  std::vector<std::string> problems; // records that cannot be read, one line each; at most problems_max
  std::size_t problems_unlisted = 0;
  static constexpr std::size_t problems_max = 20;
};

class access_book {
public:
  using done = std::function<void(result<access_record>)>; // as it is from now on

  // A volume whose record cannot be read is fenced for everybody until `unfence` replaces the record: nobody is let in
  // whom the lost record may have shut out. io_failed, no_space. `meta` outlives the book and everything it was asked.
  static result<std::unique_ptr<access_book>> open(environment* meta, const clock_source& clock,
                                                   access_book_opening* opening = nullptr);
  ~access_book();
  access_book(const access_book&) = delete;

  // An empty record of epoch 0 where nothing was ever said.
  access_record find(volume_uuid volume) const;
  std::vector<access_record> list() const;

  // `who` may not attach any more (nothing: nobody may, or nobody but `heir`). With `heir` the volume is handed over:
  // only that instance may. limit_reached; invalid_argument: an instance hands over to itself.
  void fence(volume_uuid volume, std::optional<instance_id> who, std::optional<instance_id> heir, done finished);
  // Lets `who` in again (nothing: everybody, and the volume is handed to nobody). not_found: it is not fenced.
  void unfence(volume_uuid volume, std::optional<instance_id> who, done finished);
  // Whether an instance may attach beyond what the configuration says. Idempotent. limit_reached.
  void grant(volume_uuid volume, instance_id who, done finished);
  void revoke(volume_uuid volume, instance_id who, done finished);
  // The volume is gone for good.
  void forget(volume_uuid volume, std::function<void(result<void>)> finished);

private:
  struct state;
  explicit access_book(std::shared_ptr<state> s);
  std::shared_ptr<state> state_; // shared with the changes that wait: they may outlive the book
};

} // namespace gnomon::store
