// The importer: takes rolled-up rows of the past into the history, beside what the node observes itself. Answers a
// message when its rows are in the history; whoever sends the next one only then can never overrun the node. Holds
// no state that a restart would lose: who waits is told to ask again.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "actors/protocol/import_messages.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"

namespace gnomon::actors {

inline constexpr std::size_t import_jobs_max = 8; // messages under way at once: 32,768 rows, an eighth of the queue

struct importer_state {
  explicit importer_state(importer_actor::pointer self) : self(self) {}
  ~importer_state();
  caf::result<import_terms> terms(const volume_ref& ref) const;
  caf::result<import_receipt> note(const volume_ref& ref, const import_note& note);
  caf::result<import_receipt> take_in(const volume_ref& ref, const history_rows& rows);
  void fitted(const fit_completion& done);
  caf::result<std::string> ask(const std::string& message) const;

  // Written by the threads that do the work, read when the last of it is done.
  struct job {
    std::mutex mutex;
    std::size_t left = 0;
    result<void> outcome;
    import_receipt receipt;
    bool ends = false; // an import: the volume is learned again
    volume_name volume;
    caf::response_promise promise;
    // True for the last part.
    bool one_done(const result<void>& part);
  };
  importer_actor::pointer self;
  node_context* node = nullptr;
  std::unordered_map<std::uint64_t, std::shared_ptr<job>> jobs;
  std::uint64_t next_job = 1, imported_rows = 0;
  const char* name = "importer";

private:
  result<import_terms> terms_of(const volume_ref& ref) const;
  std::shared_ptr<job> begin(const volume_name& volume, std::uint64_t number);
};

caf::actor spawn_importer(caf::actor_system& system, node_context* node);
importer_actor::behavior_type importer(importer_actor::stateful_pointer<importer_state> self, node_context* node);

} // namespace gnomon::actors
