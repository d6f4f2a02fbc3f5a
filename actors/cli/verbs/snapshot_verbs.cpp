// `gnomon snapshot …`: one request each, and its answer as a table or JSON. With --wait, the answer is looked at again
// until the work is over.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/snapshot_view.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {

int print_info(context& c, const snapshot_info& info) {
  if (c.json)
    c.io.out << json_of(info);
  else
    c.io.out << to_text(info);
  return info.state == snapshot_state::failed ? exit_failed : exit_done;
}

} // namespace

int run(const snapshot_create_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  auto info = (*node)->create_snapshot(wanted.request);
  while (info && wanted.until == patience::done && info->state == snapshot_state::capturing) {
    std::this_thread::sleep_for(look_again_after);
    info = (*node)->show_snapshot({info->id});
  }
  if (!info)
    return complain(c, info.error());
  return print_info(c, *info);
}

int run(const snapshot_ls_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto all = (*node)->list_snapshots(wanted.query);
  if (!all)
    return complain(c, all.error());
  c.io.out << (c.json ? json_of(*all) : to_text(*all));
  return exit_done;
}

int run(const snapshot_show_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto info = (*node)->show_snapshot(wanted.snapshot);
  if (!info)
    return complain(c, info.error());
  (void)print_info(c, *info);
  return exit_done;
}

int run(const snapshot_rm_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto gone = (*node)->remove_snapshot(wanted.snapshot);
  if (!gone)
    return complain(c, gone.error());
  if (c.json)
    c.io.out << json_of(*gone);
  else
    c.io.out << fmt::format("snapshot {} of volume {} is deleted; {} are freed\n", gone->id, gone->name.value,
                            counted(gone->unique_bytes, "byte"));
  return exit_done;
}

int run(const snapshot_verify_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto check = (*node)->verify_snapshot(wanted.snapshot);
  if (!check)
    return complain(c, check.error());
  c.io.out << (c.json ? json_of(*check) : to_text(*check));
  return check->findings == 0 ? exit_done : exit_failed;
}

int run(const snapshot_restores_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto all = (*node)->list_restores();
  if (!all)
    return complain(c, all.error());
  c.io.out << (c.json ? json_of(*all) : to_text(*all));
  return exit_done;
}

int run(const snapshot_merge_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto info = (*node)->merge_snapshot(wanted.snapshot);
  return info ? print_info(c, *info) : complain(c, info.error());
}

// Answers of the node follow each other until there is no more, or as many as were asked for.
int run(const snapshot_diff_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  auto request = wanted.request;
  snapshot_diff all;
  for (;;) {
    request.extents_max = diff_extents_max;
    if (wanted.extents_max > 0)
      request.extents_max = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(diff_extents_max, wanted.extents_max - all.extents.size()));
    auto part = (*node)->diff_snapshots(request);
    if (!part)
      return complain(c, part.error());
    part->extents.insert(part->extents.begin(), all.extents.begin(), all.extents.end());
    all = std::move(*part);
    request.from_offset = all.next_offset;
    if (all.next_offset >= all.size.value || (wanted.extents_max > 0 && all.extents.size() >= wanted.extents_max))
      break;
  }
  c.io.out << (c.json ? json_of(all) : to_text(all));
  return exit_done;
}

int run(const snapshot_restore_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  auto info = (*node)->restore_snapshot(wanted.request);
  if (!info)
    return complain(c, info.error());
  while (wanted.until == patience::done && !info->done && info->problem.empty()) {
    std::this_thread::sleep_for(look_again_after);
    const auto all = (*node)->list_restores();
    if (!all)
      return complain(c, all.error());
    for (const auto& one : *all)
      if (one.volume == info->volume)
        info = one;
  }
  c.io.out << (c.json ? json_of(*info) : to_text(*info));
  return info->problem.empty() ? exit_done : exit_failed;
}

int run(const snapshot_rebuild_command&, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto report = (*node)->rebuild_snapshots();
  if (!report)
    return complain(c, report.error());
  c.io.out << (c.json ? json_of(*report) : to_text(*report));
  return report->problems.empty() ? exit_done : exit_failed;
}

} // namespace gnomon::actors::cli
