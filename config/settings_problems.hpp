// Collects what is wrong with a document, up to a limit. Used by the walk over the document and by the rules between
// keys; one thread, short-lived.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/settings.hpp"

namespace gnomon {

class problem_list {
public:
  explicit problem_list(std::size_t listed_max) : listed_max_(listed_max) {}

  void add(std::string pointer, std::string expected, std::string found, std::string suggestion = {}) {
    if (list_.size() == listed_max_)
      ++unlisted_;
    else
      list_.push_back({std::move(pointer), std::move(expected), std::move(found), std::move(suggestion)});
  }
  bool full() const noexcept { return list_.size() == listed_max_; } // further ones are only counted
  // Whether something at or below `pointer` is already known to be wrong, so that no rule should build on it.
  bool concern(std::string_view pointer) const {
    for (const auto& problem : list_) {
      const std::string_view known = problem.pointer;
      if (known.starts_with(pointer) && (known.size() == pointer.size() || known[pointer.size()] == '/'))
        return true;
    }
    return false;
  }
  std::size_t unlisted() const noexcept { return unlisted_; }
  std::vector<settings_problem> take() { return std::move(list_); }

private:
  std::size_t listed_max_;
  std::size_t unlisted_ = 0;
  std::vector<settings_problem> list_;
};

// The rules no single key can break: duplicates, references, overlaps, order. Skips what `problems` already concern.
void check_settings_rules(const settings& value, problem_list& problems);

// Volumes whose paths name the same existing file or device, by (device, inode) or device number. Reads file
// metadata.
void check_volume_identities(const settings& value, problem_list& problems);

} // namespace gnomon
