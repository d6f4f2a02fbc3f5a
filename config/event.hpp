// What is told to a node about its load: deployments, scaling actions, batch jobs, past or planned. The vocabulary
// that the store, the control plane and both interfaces (command line, HTTP) share, and the rules every event obeys.
// Values and pure functions; any thread. Where events are kept: store/meta/event_book.hpp; how they read as JSON:
// config/event_json.hpp.
#pragma once

#include <chrono>
#include <optional>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon {

inline constexpr std::size_t calendar_events_max = 10'000; // kept by a node, past and planned
inline constexpr std::size_t event_batch_max = 1'000;      // told at once
inline constexpr std::size_t event_type_length_max = 64;   // bytes
inline constexpr std::size_t event_note_length_max = 256;
inline constexpr std::size_t application_name_length_max = 128; // as in the config's instances
inline constexpr std::chrono::hours event_duration_max{366 * 24};

// Grows with every event, from 1 up; never used twice. 0: none.
using event_id = strong_integer<struct event_id_tag>;

enum class event_scope : std::uint8_t { volume, instance, application, everything };
enum class event_source : std::uint8_t { cli, http };
std::string_view to_string(event_scope scope) noexcept;
std::string_view to_string(event_source source) noexcept;

// Whose load it changes. Nobody has to exist by that name yet.
struct event_target {
  event_scope scope = event_scope::everything;
  std::string name;              // of the volume, instance or application; empty for everything
  std::string to_string() const; // "volume:db", "instance:web-1", "application:shop", "everything"
  friend bool operator==(const event_target&, const event_target&) = default;
};
// invalid_argument: no such spelling, or a name nobody can have.
result<event_target> parse_event_target(std::string_view text);
std::string suggest_event_target(std::string_view text); // empty if `text` is right or beyond guessing

// An event as somebody tells it.
struct event_notice {
  std::string type; // "deployment", "backup": free text; equal text means equal effect
  event_target target;
  wall_time start;
  microseconds duration{0}; // 0: an instant
  std::string note;         // shown to operators
  friend bool operator==(const event_notice&, const event_notice&) = default;
};
// Lengths, characters, names, ranges. invalid_argument with what is wrong.
result<void> check_event(const event_notice& notice);
// Valid UTF-8 without control characters, at most `length_max` bytes.
bool is_event_text(std::string_view text, std::size_t length_max);

// What an event of these types asks of the planner, where its note begins with these words. Without them it is an event
// as any other, of which the load is learned.
inline constexpr std::string_view scale_out_event = "scale_out"; // of an application: "to=NODE instances=N"
inline constexpr std::string_view move_event = "move";           // of an instance: "to=NODE"
inline constexpr std::uint32_t scale_out_instances_max = 10'000;
struct event_order {
  bool is_move = false;   // else scale_out
  node_name to;
  std::uint32_t instances = 1;
};
// Nothing: of another type. invalid_argument: the target or the note is not as the type demands.
result<std::optional<event_order>> order_of(const event_notice& notice);
std::string note_of_order(const event_order& order, std::string_view note);

// An event as it is kept.
struct calendar_event {
  event_id id;
  event_notice notice;
  event_source source = event_source::cli;
  wall_time added;
  wall_time end() const { return notice.start + notice.duration; }
  bool is_past(wall_time now) const { return end() <= now && notice.start < now; }
  friend bool operator==(const calendar_event&, const calendar_event&) = default;
};

} // namespace gnomon
