#include "config/settings/load.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/json.hpp"
#include "config/settings/rules.hpp"
#include "config/settings/table.hpp"
#include "config/text.hpp"

namespace gnomon {
namespace {

constexpr std::string_view missing = "nothing";

class document_reader {
public:
  explicit document_reader(problem_list& problems) : problems_(problems) {}

  // `i`: the position in the object list the node is inside, if any.
  void read(const setting_node& node, const json& in, const std::string& pointer, std::size_t i) {
    switch (node.row->kind) {
    case setting_kind::object:
      return read_object(node, in, pointer, i);
    case setting_kind::optional_object:
      node.row->enter(value_, i);
      return read_object(node, in, pointer, i);
    case setting_kind::object_list:
      return read_object_list(node, in, pointer, i);
    case setting_kind::value:
      return read_value(*node.row, in, pointer, i);
    case setting_kind::value_list:
      return read_value_list(*node.row, in, pointer, i);
    }
  }

  settings take() { return std::move(value_); }

private:
  void read_object(const setting_node& node, const json& in, const std::string& pointer, std::size_t i) {
    if (!in.is_object())
      return problems_.add(pointer, "an object with the keys " + keys_of(node), shown(in));
    std::vector<std::string> misspelt; // keys that unknown ones were probably meant to be
    for (const auto& member : in.items()) {
      const auto child = std::find_if(node.children.begin(), node.children.end(),
                                      [&](const auto& candidate) { return candidate.key == member.key(); });
      if (child == node.children.end())
        misspelt.push_back(unknown_key(node, member.key(), pointer));
      else
        read(*child, member.value(), json_pointer_child(pointer, member.key()), i);
    }
    for (const auto& child : node.children) {
      const auto& row = *child.row;
      const bool needed = row.required || (!row.unless.empty() && !in.contains(row.unless));
      if (needed && !in.contains(child.key) &&
          std::find(misspelt.begin(), misspelt.end(), child.key) == misspelt.end())
        problems_.add(json_pointer_child(pointer, child.key), row.expected, std::string(missing));
    }
  }

  void read_object_list(const setting_node& node, const json& in, const std::string& pointer, std::size_t i) {
    const auto& row = *node.row;
    if (!in.is_array())
      return problems_.add(pointer, "a list of objects", shown(in));
    if (row.seen)
      row.seen(value_);
    if (!check_count(row, in, pointer))
      return;
    for (std::size_t element = 0; element < in.size(); ++element) {
      row.enter(value_, i);
      read_object(node, in[element], json_pointer_child(pointer, std::to_string(element)), element);
    }
  }

  void read_value_list(const setting_row& row, const json& in, const std::string& pointer, std::size_t i) {
    if (!in.is_array())
      return problems_.add(pointer, fmt::format("a list, each {}", row.expected), shown(in), listed(row, in, i));
    row.enter(value_, i);
    if (!check_count(row, in, pointer))
      return;
    for (std::size_t element = 0; element < in.size(); ++element)
      read_value(row, in[element], json_pointer_child(pointer, std::to_string(element)), i);
  }

  void read_value(const setting_row& row, const json& in, const std::string& pointer, std::size_t i) {
    const auto read = row.read(value_, i, in);
    if (read)
      return;
    problems_.add(pointer, read.error().expected.empty() ? row.expected : read.error().expected, shown(in),
                  read.error().suggestion);
  }

  bool check_count(const setting_row& row, const json& in, const std::string& pointer) {
    if (in.size() >= row.count_min && in.size() <= row.count_max)
      return true;
    problems_.add(pointer, fmt::format("{} to {} elements", row.count_min, row.count_max),
                  fmt::format("{} elements", in.size()));
    return false;
  }

  // A lone value where a list of such values stands: "db" -> ["db"].
  std::string listed(const setting_row& row, const json& in, std::size_t i) {
    if (problems_.full())
      return {};
    settings scratch = value_;
    return row.read(scratch, i, in) ? dump_json(json::array({in})) : std::string();
  }

  // Reports it and returns what it was probably meant to be.
  std::string unknown_key(const setting_node& node, std::string_view key, const std::string& pointer) {
    if (problems_.full())
      return problems_.add({}, {}, {}), std::string();
    std::vector<std::string_view> keys;
    for (const auto& child : node.children)
      keys.push_back(child.key);
    // The whole pointer as a key says exactly what was meant.
    std::string suggestion = key.starts_with('/') ? place_elsewhere(key) : std::string();
    if (suggestion.empty())
      suggestion = nearest(key, keys);
    if (suggestion.empty())
      suggestion = place_elsewhere(key);
    problems_.add(json_pointer_child(pointer, printable(key, json_pointer_key_length_max)),
                  "one of the keys " + keys_of(node), "an unknown key", suggestion);
    return suggestion;
  }

  // A key that is right somewhere else, or where it stands written as the pointer to it.
  static std::string place_elsewhere(std::string_view key) {
    if (key.empty())
      return {};
    const std::string below = fmt::format("/{}", key);
    for (const auto& row : settings_table())
      if (row.pointer == key || row.pointer.ends_with(below))
        return std::string(row.pointer);
    return {};
  }

  static std::string keys_of(const setting_node& node) {
    std::vector<std::string> keys;
    for (const auto& child : node.children)
      keys.push_back(fmt::format("\"{}\"", child.key));
    return fmt::format("{}", fmt::join(keys, ", "));
  }

  problem_list& problems_;
  settings value_;
};

result<std::string> read_whole_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno("configuration " + path);
  std::string text;
  char part[65'536];
  for (;;) {
    const auto got = ::read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR)
      continue;
    const int problem = got < 0 ? errno : 0;
    if (got > 0)
      text.append(part, static_cast<std::size_t>(got));
    if (got > 0 && text.size() <= settings_bytes_max)
      continue;
    close(fd);
    if (got < 0)
      return fail_errno("configuration " + path, problem);
    if (text.size() > settings_bytes_max)
      return fail(errc::limit_reached,
                  fmt::format("configuration {}: larger than {} bytes", path, settings_bytes_max));
    return text;
  }
}

parsed_settings finish(settings value, problem_list& problems) {
  parsed_settings parsed;
  parsed.value = std::move(value);
  parsed.problems_unlisted = problems.unlisted();
  parsed.problems = problems.take();
  return parsed;
}

} // namespace

std::string parsed_settings::to_string() const {
  std::string text;
  for (const auto& problem : problems)
    text += problem.to_string() + '\n';
  if (problems_unlisted > 0)
    text += fmt::format("and {} more\n", problems_unlisted);
  return text;
}

parsed_settings parse_settings(std::string_view text) {
  problem_list problems(settings_problems_max);
  const auto document = parse_json(text, {.bytes_max = settings_bytes_max});
  if (!document) {
    problems.add("", "a JSON document", document.error().message);
    return finish({}, problems);
  }
  document_reader reader(problems);
  reader.read(settings_tree(), *document, "", 0);
  auto value = reader.take();
  if (!problems.full())
    check_settings_rules(value, problems);
  return finish(std::move(value), problems);
}

result<parsed_settings> load_settings(const std::string& path) {
  const auto text = read_whole_file(path);
  if (!text)
    return tl::unexpected(text.error());
  auto parsed = parse_settings(*text);
  if (!parsed.ok())
    return parsed;
  problem_list problems(settings_problems_max);
  check_volume_identities(parsed.value, problems);
  return finish(std::move(parsed.value), problems);
}

result<std::string> find_data_dir_in(const std::string& path) {
  const auto text = read_whole_file(path);
  if (!text)
    return tl::unexpected(text.error());
  const auto is_path = [](const json& value) { return path_codec{}.decode(value).has_value(); };
  if (const auto document = parse_json(*text, {.bytes_max = settings_bytes_max}); document && document->is_object()) {
    if (const auto said = document->find("data_dir"); said != document->end() && is_path(*said))
      return *path_codec{}.decode(*said);
    return fail(errc::not_found, fmt::format("{} names no data_dir", path));
  }
  // Not JSON: the first "data_dir": "…" that stands in it.
  constexpr std::string_view key = "\"data_dir\"";
  auto at = text->find(key);
  at = at == text->npos ? at : text->find_first_not_of(" \t\r\n", at + key.size());
  at = at == text->npos || (*text)[at] != ':' ? text->npos : text->find_first_not_of(" \t\r\n", at + 1);
  const auto end = at == text->npos || (*text)[at] != '"' ? text->npos : text->find('"', at + 1);
  if (end != text->npos)
    if (const auto value = parse_json(text->substr(at, end - at + 1), {.bytes_max = settings_bytes_max});
        value && is_path(*value))
      return *path_codec{}.decode(*value);
  return fail(errc::not_found, fmt::format("{} is no JSON and names no data_dir", path));
}

} // namespace gnomon
