// `gnomon instance` as text: the list of instances, and one instance's profile. Pure functions of what the node
// answered; any thread.
#pragma once

#include <string>
#include <vector>

#include "actors/protocol/instance_messages.hpp"

namespace gnomon::actors::cli {

std::string instances_text(const std::vector<instance_summary>& instances, std::int64_t now_us);
std::string instance_text(const instance_details& instance, std::int64_t now_us, bool colour);
std::string_view criticality_word(criticality level) noexcept;

// One bar per value, of eight heights; nothing is a space, the most fills the line.
std::string sparkline(const std::vector<finite>& values);

} // namespace gnomon::actors::cli
