#include "actors/node/configuration_follower.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/node/service_manager.hpp"
#include "actors/runtime/node_context.hpp"
#include "config/log.hpp"
#include "config/settings/load.hpp"

namespace gnomon::actors {
namespace {

constexpr std::chrono::milliseconds look_again{20};

// Nothing: it is fine. Else why it is refused.
std::string problems_of(const result<parsed_settings>& parsed) {
  if (!parsed)
    return parsed.error().to_string();
  return parsed->ok() ? std::string() : parsed->to_string();
}

} // namespace

configuration_follower::configuration_follower(node& running, std::string path)
    : node_(running), path_(std::move(path)) {}

configuration_follower::~configuration_follower() {
  for (auto& one : waiting_)
    finish(one);
}

void configuration_follower::begin(reload_request request) {
  const bool follow = request.mode == reload_mode::follow;
  if (follow)
    notify_service_manager(
        fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                    std::chrono::duration_cast<std::chrono::microseconds>(
                        std::chrono::steady_clock::now().time_since_epoch())
                        .count()));
  waiting one{std::move(request), {}, node_.context().clock->boot_now() + reload_patience};
  const auto parsed = load_settings(path_);
  if (auto wrong = problems_of(parsed); !wrong.empty()) {
    const auto now = node_.context().configuration();
    one.report.generation = now.wanted;
    one.report.in_force = now.in_force;
    while (wrong.ends_with('\n'))
      wrong.pop_back();
    if (follow) {
      log::error("config {} is refused, nothing is changed: {}", path_, wrong);
      node_.refuse_reload(wrong);
    }
    one.report.file_problems = std::move(wrong);
    return finish(one);
  }
  one.report = node_.reload(parsed->value, one.request.mode);
  if (!follow || is_in_force(one))
    return finish(one);
  waiting_.push_back(std::move(one));
}

bool configuration_follower::is_in_force(const waiting& one) const {
  return node_.context().configuration().in_force >= one.report.generation;
}

void configuration_follower::finish(waiting& one) {
  if (one.request.mode == reload_mode::follow) {
    const auto refused = node_.context().refused();
    one.report.in_force = node_.context().configuration().in_force;
    one.report.refused.insert(one.report.refused.end(), refused->begin(), refused->end());
    if (one.report.in_force < one.report.generation)
      log::error("config: settings of generation {} are not in force yet, those of {} are; it is tried on",
                 one.report.generation, one.report.in_force);
    notify_service_manager("READY=1");
  }
  if (one.request.answer)
    one.request.answer(std::move(one.report));
}

std::optional<std::chrono::milliseconds> configuration_follower::attend() {
  for (auto& request : node_.context().reloads.take())
    begin(std::move(request));
  const auto now = node_.context().clock->boot_now();
  std::erase_if(waiting_, [&](waiting& one) {
    if (!is_in_force(one) && now < one.until)
      return false;
    finish(one);
    return true;
  });
  if (waiting_.empty())
    return std::nullopt;
  return look_again;
}

} // namespace gnomon::actors
