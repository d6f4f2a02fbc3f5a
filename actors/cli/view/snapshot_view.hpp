// Snapshots and groups as text and as JSON. Pure; any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "actors/protocol/snapshot_messages.hpp"

namespace gnomon::actors::cli {

inline constexpr std::chrono::milliseconds look_again_after{200}; // --wait

std::string to_text(const snapshot_info& snapshot);
std::string to_text(const std::vector<snapshot_info>& snapshots);
std::string to_text(const snapshot_check& check);
std::string to_text(const restore_info& restore);
std::string to_text(const std::vector<restore_info>& restores);
std::string json_of(const std::vector<restore_info>& restores);
std::string to_text(const rebuild_report& report);
std::string to_text(const group_plan& plan);
std::string json_of(const group_plan& plan);
std::string to_text(const snapshot_diff& diff);
std::string json_of(const snapshot_diff& diff);
std::string to_text(const group_info& group);
std::string to_text(const std::vector<group_info>& groups);

std::string json_of(const snapshot_info& snapshot);
std::string json_of(const std::vector<snapshot_info>& snapshots);
std::string json_of(const snapshot_check& check);
std::string json_of(const restore_info& restore);
std::string json_of(const rebuild_report& report);
std::string json_of(const group_info& group);
std::string json_of(const std::vector<group_info>& groups);

} // namespace gnomon::actors::cli
