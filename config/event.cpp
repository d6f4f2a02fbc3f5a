#include "config/event.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "config/json.hpp"
#include "config/names.hpp"
#include "config/text.hpp"
#include "config/times.hpp"
#include "config/units.hpp"

namespace gnomon {
namespace {

constexpr std::string_view scope_words[] = {"volume", "instance", "application", "everything"};
constexpr std::string_view how_to_write_a_target =
    "write \"volume:NAME\", \"instance:ID\", \"application:NAME\" or \"everything\"";

result<void> check_target(const event_target& target) {
  const auto checked = [](const auto& parsed) {
    return parsed ? result<void>{} : result<void>(tl::unexpected(parsed.error()));
  };
  switch (target.scope) {
  case event_scope::volume:
    return checked(parse_volume_name(target.name));
  case event_scope::instance:
    return checked(parse_instance_id(target.name));
  case event_scope::application:
    if (target.name.empty() || !is_event_text(target.name, application_name_length_max))
      return fail(errc::invalid_argument, fmt::format("not an application's name: {}; 1 to {} bytes of text",
                                                      quote(target.name), application_name_length_max));
    return {};
  case event_scope::everything:
    if (!target.name.empty())
      return fail(errc::invalid_argument, "everything has no name: " + quote(target.name));
    return {};
  }
  return fail(errc::invalid_argument, "no such kind of target");
}

// "volume", with or without a name behind it.
std::string_view nearest_scope(std::string_view word) { return nearest(word, scope_words); }

} // namespace

std::string_view to_string(event_scope scope) noexcept {
  const auto i = static_cast<std::size_t>(scope);
  return i < std::size(scope_words) ? scope_words[i] : "unknown";
}

std::string_view to_string(event_source source) noexcept { return source == event_source::http ? "http" : "cli"; }

std::string event_target::to_string() const {
  const std::string word(gnomon::to_string(scope));
  return scope == event_scope::everything ? word : word + ":" + name;
}

result<event_target> parse_event_target(std::string_view text) {
  const auto colon = text.find(':');
  event_target target;
  const auto* word = std::find(std::begin(scope_words), std::end(scope_words), text.substr(0, colon));
  const bool known = word != std::end(scope_words);
  target.scope = known ? static_cast<event_scope>(word - scope_words) : event_scope::everything;
  const bool named = colon != text.npos;
  if (!known || named == (target.scope == event_scope::everything)) {
    auto message = fmt::format("not a target: {}; {}", quote(text), how_to_write_a_target);
    if (const auto meant = suggest_event_target(text); !meant.empty())
      message += fmt::format("; did you mean {}?", quote(meant));
    return fail(errc::invalid_argument, std::move(message));
  }
  if (named)
    target.name = text.substr(colon + 1);
  if (auto ok = check_target(target); !ok)
    return tl::unexpected(ok.error());
  return target;
}

std::string suggest_event_target(std::string_view text) {
  const auto right = [](std::string_view tried) {
    const auto colon = tried.find(':');
    const auto* word = std::find(std::begin(scope_words), std::end(scope_words), tried.substr(0, colon));
    if (word == std::end(scope_words))
      return false;
    const auto scope = static_cast<event_scope>(word - scope_words);
    if ((colon == tried.npos) != (scope == event_scope::everything))
      return false;
    return check_target({scope, colon == tried.npos ? "" : std::string(tried.substr(colon + 1))}).has_value();
  };
  if (text.size() > 2 * application_name_length_max || right(text))
    return {};
  if (text == "all" || text == "*" || text == "node")
    return "everything";
  const auto end = std::min(text.find_first_of(":=/ "), text.size());
  const auto word = nearest_scope(text.substr(0, end));
  if (!word.empty()) {
    auto name = text.substr(std::min(end + 1, text.size()));
    name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
    const auto tried = word == "everything" ? std::string(word) : fmt::format("{}:{}", word, name);
    if (right(tried))
      return tried;
  }
  const auto as_volume = fmt::format("volume:{}", text); // a bare name is mostly a volume's
  return right(as_volume) ? as_volume : std::string();
}

result<std::optional<event_order>> order_of(const event_notice& notice) {
  constexpr std::string_view to_word = "to=", instances_word = "instances=";
  const bool scales = notice.type == scale_out_event;
  std::string_view note = notice.note;
  if ((!scales && notice.type != move_event) || !note.starts_with(to_word))
    return std::optional<event_order>{};
  const auto next_word = [&note] {
    const auto word = note.substr(0, note.find(' '));
    note.remove_prefix(std::min(word.size() + 1, note.size()));
    return word;
  };
  event_order order;
  order.is_move = !scales;
  const auto to = parse_node_name(next_word().substr(to_word.size()));
  if (!to)
    return tl::unexpected(to.error());
  order.to = *to;
  if (scales && note.starts_with(instances_word)) {
    const auto word = next_word().substr(instances_word.size());
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), order.instances);
    if (failed != std::errc{} || end != word.data() + word.size() || order.instances == 0 ||
        order.instances > scale_out_instances_max)
      return fail(errc::invalid_argument,
                  fmt::format("instances={}: a number from 1 to {} is expected", word, scale_out_instances_max));
  }
  const auto wanted = scales ? event_scope::application : event_scope::instance;
  if (notice.target.scope != wanted)
    return fail(errc::invalid_argument, fmt::format("an event {} is of one {}", notice.type, to_string(wanted)));
  return std::optional(order);
}

std::string note_of_order(const event_order& order, std::string_view note) {
  return fmt::format("to={}{}{}{}", order.to.value, order.is_move ? "" : fmt::format(" instances={}", order.instances),
                     note.empty() ? "" : " ", note);
}

bool is_event_text(std::string_view text, std::size_t length_max) {
  if (text.size() > length_max)
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next <= 0x9f))
      return false;
  }
  // What is not UTF-8 comes back as something else.
  const auto back = parse_json(dump_json(json(text)));
  return back && back->is_string() && back->get_ref<const std::string&>() == text;
}

result<void> check_event(const event_notice& notice) {
  if (notice.type.empty() || !is_event_text(notice.type, event_type_length_max))
    return fail(errc::invalid_argument,
                fmt::format("not an event's type: {}; 1 to {} bytes of UTF-8 without control characters",
                            quote(notice.type), event_type_length_max));
  if (!is_event_text(notice.note, event_note_length_max))
    return fail(errc::invalid_argument,
                fmt::format("an event's note has at most {} bytes of UTF-8 without control characters",
                            event_note_length_max));
  if (notice.start < time_min || notice.start > time_max)
    return fail(errc::invalid_argument, "an event starts between 1970 and 9999");
  if (notice.duration.count() < 0 || notice.duration > event_duration_max)
    return fail(errc::invalid_argument,
                fmt::format("an event lasts from 0s to {}, not {}", format_duration(event_duration_max),
                            format_duration(notice.duration)));
  if (const auto order = order_of(notice); !order)
    return tl::unexpected(order.error());
  return check_target(notice.target);
}

} // namespace gnomon
