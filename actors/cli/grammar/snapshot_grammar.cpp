#include "actors/cli/grammar/snapshot_grammar.hpp"

#include <CLI/CLI.hpp>

#include "actors/cli/grammar/options.hpp"
#include "config/names.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {

CLI::Option* add_snapshot(CLI::App* app, snapshot_ref& snapshot) {
  return app->add_option("SNAPSHOT", snapshot.text, "its id, or the first characters of it")->required()->type_name("");
}

CLI::Option* add_group(CLI::App* app, group_ref& group) {
  return app->add_option("GROUP", group.name.value, "its name")->required()->type_name("");
}

result<std::int64_t> parse_seconds(const std::string& text) {
  const auto parsed = parse_duration(text);
  if (!parsed)
    return tl::unexpected(parsed.error());
  return std::chrono::duration_cast<std::chrono::seconds>(*parsed).count();
}

} // namespace

void snapshot_grammar::add_to(CLI::App& snapshot, CLI::App& group, command& what) {
  snapshot.require_subcommand(1);
  group.require_subcommand(1);
  add_snapshot_verbs(snapshot, what);
  add_group_verbs(group, what);
}

void snapshot_grammar::add_snapshot_verbs(CLI::App& snapshot, command& what) {
  auto* create = snapshot.add_subcommand("create", "take a snapshot of a volume, which serves on meanwhile");
  create->add_option("VOLUME", create_.request.volume.text, "its name or uuid")->required()->type_name("");
  create->add_option("--note", create_.request.note, "shown to operators")->type_name("TEXT");
  create->add_flag("--wait", wait_, "end when it is complete, not when it has begun");
  create->callback([this, &what] {
    create_.until = wait_ ? patience::done : patience::begun;
    what = create_;
  });
  auto* ls = snapshot.add_subcommand("ls", "all snapshots, oldest first");
  ls->add_option("--volume", ls_.query.volume, "only this volume's")->type_name("VOLUME");
  ls->add_option("--group", ls_.query.group, "only this group's")->type_name("GROUP");
  ls->callback([this, &what] { what = ls_; });
  auto* show = snapshot.add_subcommand("show", "one snapshot: how far it is, what it needs and takes");
  add_snapshot(show, show_.snapshot);
  show->callback([this, &what] { what = show_; });
  auto* rm = snapshot.add_subcommand("rm", "delete a snapshot; what no other one needs is freed");
  add_snapshot(rm, rm_.snapshot);
  rm->callback([this, &what] { what = rm_; });
  auto* verify = snapshot.add_subcommand("verify", "read every byte of its layers and compare it with its checksums");
  add_snapshot(verify, verify_.snapshot);
  verify->callback([this, &what] { what = verify_; });
  auto* restore = snapshot.add_subcommand("restore", "make a new volume with the snapshot's content");
  add_snapshot(restore, restore_.request.snapshot);
  add(
      restore, "--to", restore_.request.to, [](const std::string& text) { return parse_volume_name(text); },
      "the new volume's name", "NAME")
      ->required();
  restore->add_flag("--wait", wait_, "end when it is done, not when it has begun");
  restore->callback([this, &what] {
    restore_.until = wait_ ? patience::done : patience::begun;
    what = restore_;
  });
  auto* rebuild = snapshot.add_subcommand("rebuild-catalogue", "take in the layer files that the catalogue does not name");
  rebuild->callback([&what] { what = snapshot_rebuild_command{}; });
}

void snapshot_grammar::add_group_verbs(CLI::App& group, command& what) {
  auto* create = group.add_subcommand("create", "name volumes that are snapshotted together, at one point in time");
  auto& request = group_create_.request;
  add(
      create, "NAME", request.name, [](const std::string& text) { return parse_group_name(text); }, "its name", "")
      ->required();
  create->add_option("--volumes", volumes_, "its members, separated by commas")
      ->required()
      ->delimiter(',')
      ->type_name("A,B,…");
  create->add_option("--prediction", prediction_, "on: snapshots go where the forecast sees little load (off)")
      ->check(CLI::IsMember({"on", "off"}).description(""))
      ->type_name("on|off");
  add(create, "--every", request.every_s, parse_seconds, "take one this often (on demand only)", "DURATION");
  create->add_option("--retain", request.retain, "how many are kept (30)")->type_name("N");
  create->callback([this, &what] {
    for (const auto& volume : volumes_)
      group_create_.request.volumes.push_back({volume});
    group_create_.request.prediction = prediction_ == "on";
    what = group_create_;
  });
  group.add_subcommand("ls", "all groups")->callback([&what] { what = group_ls_command{}; });
  auto* status = group.add_subcommand("status", "members, latest cut, how long it held them, the next one");
  add_group(status, group_status_.group);
  status->callback([this, &what] { what = group_status_; });
  auto* cut = group.add_subcommand("snapshot", "take a snapshot of every member at one point in time");
  add_group(cut, group_snapshot_.group);
  cut->add_flag("--wait", wait_, "end when it is complete, not when it has begun");
  cut->callback([this, &what] {
    group_snapshot_.until = wait_ ? patience::done : patience::begun;
    what = group_snapshot_;
  });
  auto* rm = group.add_subcommand("rm", "forget the group; the snapshots stay");
  add_group(rm, group_rm_.group);
  rm->callback([this, &what] { what = group_rm_; });
}

} // namespace gnomon::actors::cli
