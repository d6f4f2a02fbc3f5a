// The words of `gnomon event …`: a part of the grammar in actors/cli/grammar/command.cpp. Owns what its options write to, so
// it lives as long as the parse. Main thread.
#pragma once

#include <string>

#include "actors/cli/grammar/command.hpp"

namespace CLI {
class App;
}

namespace gnomon::actors::cli {

class event_grammar {
public:
  // Adds the verbs below `event`; the one that is parsed is written to `what`.
  void add_to(CLI::App& event, command& what);

private:
  void add_targets(CLI::App& add);
  event_add_command add_;
  event_ls_command ls_;
  event_rm_command rm_;
  std::string to_;
  std::uint32_t instances_ = 1;
  std::string type_, volume_, instance_, application_;
  bool everything_ = false, past_ = false, planned_ = false;
};

} // namespace gnomon::actors::cli
