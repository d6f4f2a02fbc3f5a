// The table as a tree, and the walk from settings back to a document.
#include "config/settings/table.hpp"

namespace gnomon {
namespace {

void insert(setting_node& node, std::string_view rest, const setting_row& row) {
  if (rest.empty()) {
    node.row = &row;
    return;
  }
  rest.remove_prefix(1); // the slash
  const auto key = rest.substr(0, rest.find('/'));
  rest.remove_prefix(key.size());
  if (key == "*")
    return insert(node, rest, row); // an element's keys stand under the list
  for (auto& child : node.children)
    if (child.key == key)
      return insert(child, rest, row);
  insert(node.children.emplace_back(setting_node{key, nullptr, {}}), rest, row);
}

json write_object(const setting_node& node, const settings& value, std::size_t i) {
  json out = json::object();
  for (const auto& child : node.children) {
    const auto& row = *child.row;
    json member;
    switch (row.kind) {
    case setting_kind::value:
    case setting_kind::value_list:
      member = row.write(value, i);
      break;
    case setting_kind::optional_object:
      if (row.count(value, i) == 0)
        continue;
      [[fallthrough]];
    case setting_kind::object:
      member = write_object(child, value, i);
      break;
    case setting_kind::object_list:
      member = json::array();
      for (std::size_t element = 0; element < row.count(value, i); ++element)
        member.push_back(write_object(child, value, element));
      break;
    }
    if (row.kind == setting_kind::object && member.empty())
      continue;
    if (!member.is_null())
      out[std::string(child.key)] = std::move(member);
  }
  return out;
}

} // namespace

const setting_node& settings_tree() {
  static const auto root = [] {
    setting_node tree;
    for (const auto& row : settings_table())
      insert(tree, row.pointer, row);
    return tree;
  }();
  return root;
}

json settings_to_json(const settings& value) {
  auto document = write_object(settings_tree(), value, 0);
  // An empty list of instances forbids what a missing one allows.
  if (value.instances.empty() && !value.instances_section)
    document.erase("instances");
  return document;
}

} // namespace gnomon
