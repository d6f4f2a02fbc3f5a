// What is wrong with a document (a configuration, events over HTTP): one problem, and a list of them with a limit.
// The list is used by the walk over the document and by the rules between keys; one thread, short-lived.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gnomon {

// Where in the document something is wrong, what was expected, and the nearest valid key or value if there is one.
struct settings_problem {
  std::string pointer;     // RFC 6901, for example /volumes/0/size; empty: the document
  std::string expected;    // "a size like \"1GiB\", 4KiB to 1PiB, a multiple of 4KiB"
  std::string found;       // "\"1 gig\""
  std::string suggestion;  // nearest valid key or what was probably meant ("1GiB"), or empty
  std::string to_string() const; // one line: `/volumes/0/size: expected a size ..., found "1 gig"; did you mean "1GiB"?`
  friend bool operator==(const settings_problem&, const settings_problem&) = default;
};

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

} // namespace gnomon
