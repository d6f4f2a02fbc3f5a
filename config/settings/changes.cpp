#include "config/settings/changes.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "config/settings/table.hpp"

namespace gnomon {
namespace {

std::string in_words(const json& value) { return value.is_null() ? "nothing" : dump_json(value); }

class comparison {
public:
  comparison(const settings& old, const settings& now) : old_(old), now_(now) { found_.applied = old; }

  settings_differences run() {
    compare_members(settings_tree(), {}, 0, 0);
    compare_instance_sections();
    collect();
    return std::move(found_);
  }

private:
  // `i` and `j`: the position in the object list the node is inside, in the old and in the new settings. The applied
  // ones have the element at `j`, unless the list is not followed.
  struct place {
    std::string pointer, object;
  };

  void compare_members(const setting_node& node, const place& at, std::size_t i, std::size_t j) {
    for (const auto& child : node.children) {
      const place below{json_pointer_child(at.pointer, child.key), at.object};
      switch (child.row->kind) {
      case setting_kind::value:
      case setting_kind::value_list:
        compare_value(*child.row, below, i, j);
        break;
      case setting_kind::object:
        compare_members(child, below, i, j);
        break;
      case setting_kind::optional_object:
        compare_optional(child, below, i, j);
        break;
      case setting_kind::object_list:
        compare_list(child, below);
        break;
      }
    }
  }

  void compare_value(const setting_row& row, const place& at, std::size_t i, std::size_t j) {
    const auto before = row.write(old_, i), after = row.write(now_, j);
    if (before == after)
      return;
    const auto effect = effect_of(row, i, j);
    found_.all.push_back({at.pointer, at.object, in_words(before), in_words(after), effect});
    if (effect == change_effect::live)
      row.copy(found_.applied, j, now_, j);
  }

  change_effect effect_of(const setting_row& row, std::size_t i, std::size_t j) const {
    if (row.change == setting_change::restart)
      return change_effect::restart;
    if (row.pointer != "/volumes/*/size")
      return change_effect::live;
    const auto before = old_.volumes[i].size, after = now_.volumes[j].size;
    // The size of a device is only known to those who open it.
    if (before.value == 0 || after.value == 0)
      return change_effect::restart;
    return after > before ? change_effect::live : change_effect::refused;
  }

  void compare_optional(const setting_node& node, const place& at, std::size_t i, std::size_t j) {
    const bool before = node.row->count(old_, i) > 0, after = node.row->count(now_, j) > 0;
    if (before && after)
      return compare_members(node, at, i, j);
    if (before != after)
      found_.all.push_back({at.pointer, at.object, before ? "a section" : "nothing", after ? "a section" : "nothing",
                            change_effect::restart});
  }

  // The first key of an element is its name; elements are compared by it, wherever they stand.
  void compare_list(const setting_node& node, const place& at) {
    const auto& name_row = *node.children.front().row;
    const auto effect = node.row->change == setting_change::live ? change_effect::live : change_effect::restart;
    const auto old_count = node.row->count(old_, 0), now_count = node.row->count(now_, 0);
    std::unordered_map<std::string, std::size_t> old_positions;
    for (std::size_t i = 0; i < old_count; ++i)
      old_positions.emplace(name_row.write(old_, i).get<std::string>(), i);

    std::vector<std::optional<std::size_t>> kept(now_count);
    std::vector<std::string> names(now_count);
    for (std::size_t j = 0; j < now_count; ++j) {
      names[j] = name_row.write(now_, j).get<std::string>();
      const auto known = old_positions.find(names[j]);
      if (known == old_positions.end())
        continue;
      kept[j] = known->second;
      old_positions.erase(known);
    }
    if (effect == change_effect::live)
      node.row->merge(found_.applied, now_, kept);

    for (std::size_t i = 0; i < old_count; ++i) {
      const auto name = name_row.write(old_, i).get<std::string>();
      if (old_positions.contains(name))
        found_.all.push_back({element(at, i), name, in_words(name), "nothing", effect});
    }
    for (std::size_t j = 0; j < now_count; ++j) {
      const place below{element(at, j), names[j]};
      if (kept[j])
        compare_members(node, below, *kept[j], j);
      else
        found_.all.push_back({below.pointer, names[j], "nothing", in_words(names[j]), effect});
    }
  }

  static std::string element(const place& at, std::size_t i) {
    return json_pointer_child(at.pointer, std::to_string(i));
  }

  void compare_instance_sections() {
    if (old_.instances_section == now_.instances_section)
      return;
    found_.applied.instances_section = now_.instances_section;
    const auto words = [](bool there) { return there ? "a section" : "nothing"; };
    found_.all.push_back(
        {"/instances", {}, words(old_.instances_section), words(now_.instances_section), change_effect::live});
  }

  void collect() {
    const auto& applied = found_.applied;
    std::unordered_map<std::string_view, const volume_settings*> before;
    for (const auto& volume : old_.volumes)
      before.emplace(volume.name.value, &volume);
    for (const auto& volume : applied.volumes) {
      const auto known = before.find(volume.name.value);
      if (known == before.end()) {
        found_.volumes_added.push_back(volume);
        continue;
      }
      if (*known->second != volume)
        found_.volumes_changed.push_back({*known->second, volume});
      before.erase(known);
    }
    for (const auto& volume : old_.volumes)
      if (before.contains(volume.name.value))
        found_.volumes_removed.push_back(volume.name);
    found_.instances_changed =
        old_.instances != applied.instances || old_.instances_section != applied.instances_section;
    found_.snapshot_groups_changed = old_.snapshot_groups != applied.snapshot_groups;
    found_.log_level_changed = old_.log_level != applied.log_level;
    found_.forecast_changed = old_.forecast != applied.forecast;
    found_.history_changed = old_.history != applied.history;
    found_.undelete_changed = old_.undelete_for != applied.undelete_for;
  }

  const settings& old_;
  const settings& now_;
  settings_differences found_;
};

} // namespace

std::string setting_difference::to_string() const {
  return object.empty() ? fmt::format("{}: {} -> {}", pointer, from, to)
                        : fmt::format("{} ({}): {} -> {}", pointer, object, from, to);
}

bool settings_differences::any(change_effect effect) const {
  return std::any_of(all.begin(), all.end(), [&](const auto& difference) { return difference.effect == effect; });
}

settings_differences settings_difference(const settings& old, const settings& now) {
  return comparison(old, now).run();
}

} // namespace gnomon
