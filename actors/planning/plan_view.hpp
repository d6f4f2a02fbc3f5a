// Plans as an operator reads them: as text, as JSON, and as the input for `gnomon simulate --plan`. Pure functions.
#pragma once

#include <memory>
#include <string>

#include "actors/planning/plan_book.hpp"

namespace gnomon::actors {

inline constexpr std::size_t plan_dump_bytes_max = 64u << 20;

struct plan_view {
  std::string node;
  planner_rule mode = planner_rule::advise;
  double now_seconds = 0, next_in_seconds = 0;
  std::shared_ptr<const finished_plan> last; // null: none was made yet
  std::shared_ptr<const plan_book> book;
};

std::string plan_text(const plan_view& view);
std::string plan_json(const plan_view& view);
// OBJECT: a volume's name or uuid, a node's name. not_found: nothing is known of one.
result<std::string> why_text(const plan_view& view, const std::string& object);
result<std::string> why_json(const plan_view& view, const std::string& object);
// {"input": TEXT, "decisions": [LINE, …]}: of one plan. not_found: there is none; limit_reached: too large.
result<std::string> dump_of(const plan_view& view);

} // namespace gnomon::actors
