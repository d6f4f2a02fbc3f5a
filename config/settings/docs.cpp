// The two documents made from the table: the commented reference for operators and the JSON Schema for editors.
#include <fmt/format.h>

#include "config/settings/table.hpp"

namespace gnomon {
namespace {

constexpr std::size_t comment_width = 112;

std::string with_capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

void add_comment(std::string& out, std::size_t indent, std::string_view text) {
  while (!text.empty()) {
    auto length = std::min(text.size(), comment_width - indent);
    if (length < text.size())
      if (const auto space = text.rfind(' ', length); space != text.npos)
        length = space;
    out += fmt::format("{:{}}// {}\n", "", indent, text.substr(0, length));
    text.remove_prefix(std::min(text.size(), length + 1));
  }
}

// "A size like "1GiB", 4KiB to 1PiB. Required. Default: ... A change needs a restart."
std::string facts_of(const setting_row& row) {
  std::string text;
  if (row.kind == setting_kind::value)
    text = with_capital(row.expected) + '.';
  if (row.kind == setting_kind::value_list)
    text = fmt::format("A list of {} to {}, each {}.", row.count_min, row.count_max, row.expected);
  if (row.kind == setting_kind::object_list)
    text = fmt::format("A list of at most {} objects.", row.count_max);
  if (row.kind == setting_kind::optional_object)
    text = "Without this section there is none.";
  const bool has_value = row.kind == setting_kind::value || row.kind == setting_kind::value_list;
  if (row.required)
    text += " Required.";
  else if (!row.unless.empty())
    text += fmt::format(" Required unless there is a {}: default then {}.", row.unless, row.default_words);
  else if (has_value)
    text += fmt::format(" Default: {}.", row.default_words);
  if (has_value || row.kind == setting_kind::object_list)
    text += row.change == setting_change::live ? " A change is followed on SIGHUP." : " A change needs a restart.";
  return text;
}

void add_members(std::string& out, const setting_node& node, std::size_t indent);

void add_node(std::string& out, const setting_node& node, std::size_t indent, bool last) {
  const auto& row = *node.row;
  add_comment(out, indent, row.doc);
  add_comment(out, indent, facts_of(row));
  out += fmt::format("{:{}}\"{}\": ", "", indent, node.key);
  switch (row.kind) {
  case setting_kind::value:
  case setting_kind::value_list:
    out += dump_json(row.example);
    break;
  case setting_kind::object:
  case setting_kind::optional_object:
    out += "{\n";
    add_members(out, node, indent + 2);
    out += fmt::format("{:{}}}}", "", indent);
    break;
  case setting_kind::object_list:
    out += fmt::format("[\n{:{}}{{\n", "", indent + 2);
    add_members(out, node, indent + 4);
    out += fmt::format("{:{}}}}\n{:{}}]", "", indent + 2, "", indent);
    break;
  }
  out += last ? "\n" : ",\n";
}

void add_members(std::string& out, const setting_node& node, std::size_t indent) {
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    if (i > 0 && !node.children[i].children.empty())
      out += '\n';
    add_node(out, node.children[i], indent, i + 1 == node.children.size());
  }
}

json schema_of(const setting_node& node);

json object_schema(const setting_node& node) {
  json properties = json::object(), required = json::array(), any_of = json::array();
  for (const auto& child : node.children) {
    properties[std::string(child.key)] = schema_of(child);
    if (child.row->required)
      required.push_back(child.key);
    if (!child.row->unless.empty())
      any_of =
          json::array({{{"required", json::array({child.key})}}, {{"required", json::array({child.row->unless})}}});
  }
  json schema = {{"type", "object"}};
  schema["properties"] = std::move(properties);
  if (!required.empty())
    schema["required"] = std::move(required);
  if (!any_of.empty())
    schema["anyOf"] = std::move(any_of);
  schema["additionalProperties"] = false;
  return schema;
}

json list_schema(const setting_row& row, json element) {
  json schema = {{"type", "array"}};
  schema["items"] = std::move(element);
  if (row.count_min > 0)
    schema["minItems"] = row.count_min;
  schema["maxItems"] = row.count_max;
  return schema;
}

json schema_of(const setting_node& node) {
  const auto& row = *node.row;
  json schema;
  switch (row.kind) {
  case setting_kind::value:
    schema = row.schema;
    break;
  case setting_kind::value_list:
    schema = list_schema(row, row.schema);
    break;
  case setting_kind::object:
  case setting_kind::optional_object:
    schema = object_schema(node);
    break;
  case setting_kind::object_list:
    schema = list_schema(row, object_schema(node));
    break;
  }
  const auto facts = facts_of(row);
  schema["description"] = facts.empty() ? std::string(row.doc) : fmt::format("{} {}", row.doc, facts);
  if (!row.default_value.is_null())
    schema["default"] = row.default_value;
  if (!row.example.is_null() && row.example != row.default_value)
    schema["examples"] = json::array({row.example});
  return schema;
}

} // namespace

std::string settings_reference() {
  std::string out;
  add_comment(
      out, 0,
      "Every key of gnomond's configuration, with an example or its default. A configuration itself is strict "
      "JSON, without comments. Check one with: gnomon check FILE");
  out += "{\n";
  add_members(out, settings_tree(), 2);
  return out + "}\n";
}

std::string settings_schema() {
  json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "gnomond configuration"}};
  schema.update(schema_of(settings_tree()));
  return dump_json(schema, json_style::pretty) + '\n';
}

} // namespace gnomon
