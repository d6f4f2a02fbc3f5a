#include "config/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace gnomon::log {

static spdlog::level::level_enum to_spdlog(level l) {
  switch (l) {
    case level::debug: return spdlog::level::debug;
    case level::info: return spdlog::level::info;
    case level::warning: return spdlog::level::warn;
    case level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

static spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("gnomon", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::warn);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

void start(level lowest, std::string_view component) {
  logger().set_level(to_spdlog(lowest));
  logger().set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l " + std::string(component) + ": %v", spdlog::pattern_time_type::utc);
}

void set_level(level lowest) { logger().set_level(to_spdlog(lowest)); }

level level_of(std::string_view text) noexcept {
  return text == "debug" ? level::debug : text == "warning" ? level::warning : text == "error" ? level::error : level::info;
}

bool enabled(level at) noexcept { return logger().should_log(to_spdlog(at)); }

void write(level at, std::string_view text) { logger().log(to_spdlog(at), text); }

} // namespace gnomon::log
