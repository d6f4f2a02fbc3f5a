// The words of `gnomon snapshot …` and `gnomon group …`: a part of the grammar in actors/cli/grammar/command.cpp. Owns
// what its options write to, so it lives as long as the parse. Main thread.
#pragma once

#include <string>

#include "actors/cli/grammar/command.hpp"

namespace CLI {
class App;
}

namespace gnomon::actors::cli {

class snapshot_grammar {
public:
  // Adds the verbs below `snapshot` and `group`; the one that is parsed is written to `what`.
  void add_to(CLI::App& snapshot, CLI::App& group, command& what);

private:
  void add_snapshot_verbs(CLI::App& snapshot, command& what);
  void add_group_verbs(CLI::App& group, command& what);
  snapshot_create_command create_;
  snapshot_ls_command ls_;
  snapshot_show_command show_;
  snapshot_rm_command rm_;
  snapshot_verify_command verify_;
  snapshot_restore_command restore_;
  group_create_command group_create_;
  group_status_command group_status_;
  group_snapshot_command group_snapshot_;
  group_plan_command group_plan_;
  group_set_command group_set_;
  group_rm_command group_rm_;
  snapshot_merge_command merge_;
  snapshot_diff_command diff_;
  std::vector<std::string> volumes_;
  std::vector<std::string> diff_snapshots_;
  group_change create_rule_;
  std::string prediction_; // empty: not said
  bool wait_ = false;
};

} // namespace gnomon::actors::cli
