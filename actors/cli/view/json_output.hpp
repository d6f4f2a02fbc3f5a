// What `--json` prints, one function per answer: pretty JSON that ends in a newline. Keys are the names of the
// payload fields with their units; times are microseconds since 1970. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "actors/protocol/board_messages.hpp"
#include "actors/protocol/event_messages.hpp"
#include "actors/protocol/instance_messages.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "actors/protocol/volume_messages.hpp"
#include "config/settings/load.hpp"

namespace gnomon::actors::cli {

std::string json_of(const node_status& status);
std::string json_of(const reload_report& report);
// {"error": {"code": …, "message": …}}
std::string json_of_error(const error& why);
std::string json_of(const std::vector<actor_info>& actors);
std::string json_of(const telemetry_snapshot& snapshot);
std::string json_of(const volume_summary& volume);
std::string json_of(const std::vector<volume_summary>& volumes);
std::string json_of(const volume_details& volume);
std::string json_of(const std::vector<connection_info>& connections);
std::string json_of(const resize_report& report);
// Events as GET /v1/events writes them, times as ISO 8601; `now` decides what is past.
std::string json_of(const event_info& event, wall_time now);
std::string json_of(const std::vector<event_info>& events, wall_time now);
// Loads are per second; a past slot that was not observed is null.
std::string json_of(const forecast_view& view);
// Loads are per second; hours without requests have a read share of null.
std::string json_of(const board_view& view);
// The chart is a list of rows, each a list of requests per column.
std::string json_of(const heat_view& view);
std::string json_of(const instance_summary& instance);
std::string json_of(const std::vector<instance_summary>& instances);
std::string json_of(const instance_details& instance);
std::string json_of(const parsed_settings& checked);
// {"actor": …, "answer": …}
std::string json_of_answer(std::string_view actor, std::string_view answer);
// The outcome of `record`.
std::string json_of_recording(std::string_view volume, std::string_view file, std::uint64_t recorded,
                              std::uint64_t dropped, double seconds);
std::string_view cache_word(cache_mode mode) noexcept; // "buffered", "direct"

} // namespace gnomon::actors::cli
