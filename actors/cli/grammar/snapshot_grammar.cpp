#include "actors/cli/grammar/snapshot_grammar.hpp"

#include <charconv>
#include <cmath>

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

// "0.3" as 300.
result<std::int64_t> parse_share(const std::string& text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || !(value >= 0 && value <= 1))
    return fail(errc::invalid_argument, "a share of the mean load, 0 to 1");
  return static_cast<std::int64_t>(std::llround(value * 1000));
}

result<std::int64_t> parse_count(const std::string& text) {
  std::uint32_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{} || end.ptr != text.data() + text.size())
    return fail(errc::invalid_argument, "a number");
  return value;
}

// The words of a group's rule, the same for `create` and `set`.
void add_rule(CLI::App* app, group_change& rule, std::string& prediction) {
  app->add_option("--prediction", prediction, "on: snapshots go where the forecast sees little load")
      ->check(CLI::IsMember({"on", "off"}).description(""))
      ->type_name("on|off");
  add(app, "--every", rule.every_s, parse_seconds, "take one this often", "DURATION");
  add(app, "--latest-by", rule.latest_by_s, parse_seconds, "the longest time between two good ones (twice --every)",
      "DURATION");
  add(app, "--baseline-every", rule.baseline_every_s, parse_seconds, "merge the layers into a baseline this often",
      "DURATION");
  add(app, "--quiet-below", rule.quiet_below_permille, parse_share, "share of the mean load that counts as quiet (0.3)",
      "SHARE");
  add(app, "--retain", rule.retain, parse_count, "how many of the newest are kept (30)", "N");
  add(app, "--hourly", rule.hourly, parse_count, "and the newest of so many hours", "N");
  add(app, "--daily", rule.daily, parse_count, "and the newest of so many days", "N");
  add(app, "--weekly", rule.weekly, parse_count, "and the newest of so many weeks", "N");
}

std::int64_t flag_of(const std::string& prediction) {
  return prediction.empty() ? -1 : prediction == "on" ? 1 : 0;
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
  snapshot.add_subcommand("restores", "volumes that are filled from snapshots: how far, how fast, how long still")
      ->callback([&what] { what = snapshot_restores_command{}; });
  auto* merge = snapshot.add_subcommand("merge", "put its layers together in one, without reading the volume");
  add_snapshot(merge, merge_.snapshot);
  merge->callback([this, &what] { what = merge_; });
  auto* diff = snapshot.add_subcommand("diff", "which bytes differ between two snapshots of a volume, or what one holds");
  diff->add_option("SNAPSHOTS", diff_snapshots_, "the older and the newer one; one alone: all that is not zero")
      ->required()
      ->expected(1, 2)
      ->type_name("");
  diff->add_option("--from-offset", diff_.request.from_offset, "go on there")->type_name("BYTES");
  diff->add_option("--max", diff_.extents_max, "at most so many extents (all)")->type_name("N");
  diff->callback([this, &what] {
    diff_.request.newer.text = diff_snapshots_.back();
    diff_.request.older = diff_snapshots_.size() == 2 ? diff_snapshots_.front() : "";
    what = diff_;
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
  add_rule(create, create_rule_, prediction_);
  create->callback([this, &what] {
    for (const auto& volume : volumes_)
      group_create_.request.volumes.push_back({volume});
    create_rule_.prediction = flag_of(prediction_);
    group_create_.request.rule = {};
    apply(create_rule_, group_create_.request.rule);
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
  auto* plan = group.add_subcommand("plan", "the snapshots of the next 24 hours, and why they are taken then");
  add_group(plan, group_plan_.group);
  plan->callback([this, &what] { what = group_plan_; });
  auto* set = group.add_subcommand("set", "change when its snapshots are taken and which are kept");
  set->add_option("GROUP", group_set_.change.name.value, "its name")->required()->type_name("");
  add_rule(set, group_set_.change, prediction_);
  set->callback([this, &what] {
    group_set_.change.prediction = flag_of(prediction_);
    what = group_set_;
  });
  auto* rm = group.add_subcommand("rm", "forget the group; the snapshots stay");
  add_group(rm, group_rm_.group);
  rm->callback([this, &what] { what = group_rm_; });
}

} // namespace gnomon::actors::cli
