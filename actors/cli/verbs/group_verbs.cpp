// `gnomon group …`: one request each, and its answer as a table or JSON.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/snapshot_view.hpp"

namespace gnomon::actors::cli {
namespace {

int print_group(context& c, const group_info& info) {
  c.io.out << (c.json ? json_of(info) : to_text(info));
  return exit_done;
}

bool is_capturing(const group_info& info) {
  return std::any_of(info.members.begin(), info.members.end(),
                     [](const auto& m) { return m.phase == member_phase::capturing; });
}

} // namespace

int run(const group_create_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto info = (*node)->create_group(wanted.request);
  return info ? print_group(c, *info) : complain(c, info.error());
}

int run(const group_ls_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto all = (*node)->list_groups();
  if (!all)
    return complain(c, all.error());
  c.io.out << (c.json ? json_of(*all) : to_text(*all));
  return exit_done;
}

int run(const group_status_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto info = (*node)->group_status(wanted.group);
  return info ? print_group(c, *info) : complain(c, info.error());
}

int run(const group_plan_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto plan = (*node)->plan_of_group(wanted.group);
  if (!plan)
    return complain(c, plan.error());
  c.io.out << (c.json ? json_of(*plan) : to_text(*plan));
  return exit_done;
}

int run(const group_set_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto info = (*node)->change_group(wanted.change);
  return info ? print_group(c, *info) : complain(c, info.error());
}

int run(const group_snapshot_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  auto info = (*node)->snapshot_group(wanted.group);
  const auto cut = info ? info->cut : "";
  while (info && wanted.until == patience::done && info->cut == cut && is_capturing(*info)) {
    std::this_thread::sleep_for(look_again_after);
    info = (*node)->group_status(wanted.group);
  }
  if (!info)
    return complain(c, info.error());
  print_group(c, *info);
  return info->failure.empty() ? exit_done : exit_failed;
}

int run(const group_rm_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto gone = (*node)->remove_group(wanted.group);
  if (!gone)
    return complain(c, gone.error());
  if (c.json)
    c.io.out << json_of(*gone);
  else
    c.io.out << fmt::format("group {} is forgotten; its snapshots stay\n", gone->name.value);
  return exit_done;
}

} // namespace gnomon::actors::cli
