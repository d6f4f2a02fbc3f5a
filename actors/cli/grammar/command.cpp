#include "actors/cli/grammar/command.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "actors/cli/grammar/command_learning.hpp"
#include "actors/cli/grammar/event_grammar.hpp"
#include "actors/cli/grammar/options.hpp"
#include "actors/cli/grammar/snapshot_grammar.hpp"
#include "config/names.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::string_view verbs[] = {"check",    "status",  "reload", "volume", "instance", "heat",   "forecast",
                                      "board",    "plan",    "why",    "event",   "top",    "actors", "ask",      "record", "replay",
                                      "simulate", "history", "node",   "shadow", "snapshot", "group",
                                      "shell",    "help",    "quit"};
constexpr std::string_view volume_verbs[] = {"ls",       "show",  "create", "resize",   "delete",
                                             "undelete", "purge", "rename", "describe", "read-only",
                                             "who",      "fence", "unfence", "grant",   "revoke",
                                             "clear",    "accept-loss"};
constexpr std::string_view instance_verbs[] = {"ls", "show", "set"};
constexpr std::string_view node_verbs[] = {"ls"};
constexpr std::string_view shadow_verbs[] = {"create", "ls", "show", "drop"};
constexpr std::string_view event_verbs[] = {"add", "ls", "rm"};
constexpr std::string_view history_verbs[] = {"import"};
constexpr std::string_view snapshot_verbs[] = {"create",  "ls",       "show",  "rm",   "verify",
                                               "restore", "restores", "merge", "diff", "rebuild-catalogue"};
constexpr std::string_view group_verbs[] = {"create", "ls", "status", "plan", "set", "snapshot", "rm"};

CLI::Option* add_volume(CLI::App* app, volume_ref& volume) {
  return app->add_option("VOLUME", volume.text, "its name or uuid")->required()->type_name("");
}
result<std::optional<std::chrono::microseconds>> parse_some_duration(const std::string& text) {
  const auto parsed = parse_duration(text);
  if (!parsed)
    return tl::unexpected(parsed.error());
  if (parsed->count() <= 0)
    return fail(errc::invalid_argument, "a duration here is longer than nothing");
  return std::optional(*parsed);
}
result<volume_access> parse_read_only(const std::string& text) {
  if (text == "on")
    return volume_access::read_only;
  if (text == "off")
    return volume_access::read_write;
  return fail(errc::invalid_argument, "expected on or off");
}
result<perhaps<criticality>> parse_criticality(const std::string& text) {
  if (text == "low" || text == "normal" || text == "high")
    return perhaps<criticality>{true, text == "low"    ? criticality::low
                                      : text == "high" ? criticality::high
                                                       : criticality::normal};
  return fail(errc::invalid_argument, "expected low, normal or high");
}
// As `volume who` shows it: the clients of a listener have names of their own kind.
result<instance_id> parse_holder(const std::string& text) {
  if (text.starts_with("anonymous:") && text.size() <= instance_id_length_max)
    return instance_id{text};
  return parse_instance_id(text);
}
const auto to_name = [](const std::string& text) { return parse_volume_name(text); };
const auto to_size = [](const std::string& text) { return parse_size(text); };

result<load_kind> parse_load_kind(const std::string& text) {
  std::vector<std::string_view> known;
  for (auto kind = load_kind::requests; kind <= load_kind::write_bytes; kind = load_kind(int(kind) + 1)) {
    known.push_back(to_string(kind));
    if (text == known.back())
      return kind;
  }
  const auto meant = nearest(text, known);
  return fail(errc::invalid_argument,
              fmt::format("there is no load {}{}", quote(text),
                          meant.empty() ? std::string() : fmt::format("; did you mean {}?", meant)));
}

std::string rejoin(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) {
    const bool quoted = word.empty() || word.find(' ') != std::string::npos;
    out += fmt::format("{}{}{}{}", out.empty() ? "" : " ", quoted ? "\"" : "", word, quoted ? "\"" : "");
  }
  return out;
}

// The parser and the storage its options write to; lives for one parse.
struct grammar {
  explicit grammar(parse_place place) : app("Gnomon: block storage that forecasts. The command line of a node.") {
    app.name(place == parse_place::shell ? "" : "gnomon");
    app.require_subcommand(1);
    app.fallthrough();
    app.set_help_flag("-h,--help", "this help");
    if (place == parse_place::command_line) {
      app.set_version_flag("--version", "gnomon " GNOMON_VERSION, "the version");
      app.add_option("--config", out.location.config_path, "the node's configuration file")->type_name("FILE");
      app.add_option("--data-dir", out.location.data_dir, "the node's data directory (or GNOMON_DATA_DIR)")
          ->type_name("DIR");
      app.footer("Without --config and --data-dir: $GNOMON_DATA_DIR, else /var/lib/gnomon.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage.");
    }
    app.add_flag("--json", out.json, "print JSON instead of text");
    add_check();
    verb<status_command>(&app, "status", "how the node is; exit status 1 when something is wrong with it");
    auto* reload = app.add_subcommand("reload", "reread the configuration, as SIGHUP does; says what changed and what not");
    reload->add_flag("--dry-run", dry_run_, "only say what would change");
    reload->callback([this] { out.what = reload_command{dry_run_ ? reload_mode::dry_run : reload_mode::follow}; });
    add_volume_verbs(app.add_subcommand("volume", "volumes: list, create, resize, delete, who uses them …"));
    auto* top = verb<top_command>(&app, "top", "load per volume, live (one shot when not on a terminal)", top_);
    top->add_flag("--once", top_.once, "print once and end");
    add(
        top, "--interval", top_.interval,
        [](const std::string& text) { return parse_some_duration(text).map([](auto d) { return *d; }); },
        "time between two charts (1s)", "DURATION");
    verb<actors_command>(&app, "actors", "the live supervision tree");
    add_ask();
    event_.add_to(*app.add_subcommand("event", "what is told of the load: deployments, scaling, batch jobs"),
                  out.what);
    snapshot_.add_to(*app.add_subcommand("snapshot", "points in time of a volume: take, list, check, restore, delete"),
                     *app.add_subcommand("group", "volumes that are snapshotted together at one point in time"),
                     out.what);
    add_forecast();
    add_instance_verbs(app.add_subcommand("instance", "compute instances: what they are, do and will do"));
    auto* plan = verb(&app, "plan", "what the planner decided last, and why", plan_);
    plan->add_option("--dump", plan_.dump_file, "write what it was decided from, for `simulate --plan FILE`")->type_name("FILE");
    auto* why = verb(&app, "why", "what was decided about a volume, a shadow or a node, and why", why_);
    why->add_option("OBJECT", why_.object, "a volume's name or uuid, or a node's name")->required()->type_name("");
    auto* board = verb(&app, "board", "the prediction board: what is expected of all volumes, or all of one", board_);
    board->add_option("VOLUME", board_.request.volume, "its name or uuid: everything the board has of it")
        ->type_name("");
    add_heat();
    add_cluster_verbs();
    add_record();
    add_replay();
    add_history(app, history_import_, [this] { out.what = history_import_; });
    add_simulate(app, simulate_, [this] { out.what = simulate_; });
    if (place == parse_place::command_line)
      verb<shell_command>(&app, "shell", "interactive: all of this, with completion and history");
  }

  template <class Command>
  CLI::App* verb(CLI::App* parent, const char* name, const char* what, Command& storage) {
    auto* sub = parent->add_subcommand(name, what);
    sub->callback([this, &storage] { out.what = storage; });
    return sub;
  }
  template <class Command>
  CLI::App* verb(CLI::App* parent, const char* name, const char* what) {
    auto* sub = parent->add_subcommand(name, what);
    sub->callback([this] { out.what = Command{}; });
    return sub;
  }

  void add_check() {
    auto* check = app.add_subcommand("check", "say everything that is wrong with a configuration file");
    check->add_option("FILE", check_.file)->type_name("");
    check->add_flag("--reference", reference_, "print the reference of every key instead");
    check->add_flag("--schema", schema_, "print the JSON Schema instead");
    check->callback([this] {
      if ((check_.file.empty() ? 0 : 1) + (reference_ ? 1 : 0) + (schema_ ? 1 : 0) != 1)
        throw CLI::ValidationError("check: one of FILE, --reference and --schema");
      check_.subject = reference_ ? check_subject::reference : schema_ ? check_subject::schema : check_subject::file;
      out.what = check_;
    });
  }

  void add_volume_verbs(CLI::App* volume) {
    volume->require_subcommand(1);
    auto* ls = volume->add_subcommand("ls", "all volumes");
    ls->add_flag("--deleted", deleted_, "the deleted ones that can be undeleted");
    ls->add_flag("--all", all_, "both");
    ls->callback([this] {
      out.what = volume_ls_command{all_ ? list_filter::all : deleted_ ? list_filter::deleted : list_filter::present};
    });
    add_volume(verb(volume, "show", "one volume", show_), show_.volume);
    auto* create = verb(volume, "create", "make a volume and serve it", create_);
    auto& wanted = create_.request;
    add(create, "NAME", wanted.name, to_name, "its name", "")->required();
    create->add_option("--from", create_from_, "a snapshot: the volume has its content at once, and is filled meanwhile")
        ->type_name("SNAPSHOT");
    add(create, "SIZE,--size", wanted.size, to_size, "such as 8GiB; with --path: the size of what is there", "SIZE");
    create->add_option("--description", wanted.description, "shown to operators")->type_name("TEXT");
    create->add_option("--path", wanted.external_path, "an existing block device or file to use")->type_name("PATH");
    create->add_flag("--direct", direct_, "O_DIRECT instead of the page cache");
    create->add_flag("--read-only", wanted.read_only, "no writes");
    create->add_flag("--shared", wanted.shared, "several instances may write at once");
    create->callback([this] {
      if (!create_from_.empty()) {
        if (create_.request.size.value != 0 || !create_.request.external_path.empty())
          throw CLI::ValidationError("volume create: a volume --from a snapshot has the snapshot's size and a file of its own");
        out.what = snapshot_restore_command{{{create_from_}, create_.request.name}, patience::begun};
        return;
      }
      if (create_.request.size.value == 0 && create_.request.external_path.empty())
        throw CLI::ValidationError("volume create: SIZE is missing");
      create_.request.cache = direct_ ? cache_mode::direct : cache_mode::buffered;
      out.what = create_;
    });
    auto* resize = verb(volume, "resize", "grow; says which connections must reconnect to see it", resize_);
    add_volume(resize, resize_.volume);
    add(resize, "SIZE", resize_.size, to_size, "the new size", "")->required();
    auto* erase = volume->add_subcommand("delete", "stop serving it; it can be undeleted for a while");
    add_volume(erase, delete_.volume);
    erase->add_flag("--force", force_, "although somebody is attached: ends the connections");
    erase->callback([this] {
      delete_.how = force_ ? deletion::forced : deletion::if_unused;
      out.what = delete_;
    });
    auto* undelete = verb(volume, "undelete", "bring a deleted volume back", undelete_);
    add_volume(undelete, undelete_.volume);
    add(undelete, "--as", undelete_.new_name, to_name, "under this name", "NAME");
    auto* purge = volume->add_subcommand("purge", "remove a deleted volume's data for good, now");
    add_volume(purge, purge_.volume);
    purge->add_flag("--yes", yes_, "really: nothing brings it back")->required();
    purge->callback([this] { out.what = purge_; });
    auto* rename = verb(volume, "rename", "give it another name", rename_);
    add_volume(rename, rename_.volume);
    add(rename, "NAME", rename_.new_name, to_name, "the new name", "")->required();
    auto* describe = verb(volume, "describe", "say what it is for; clients can see it", describe_);
    add_volume(describe, describe_.volume);
    describe->add_option("TEXT", describe_.description, "empty: nothing")->required()->type_name("");
    auto* access = verb(volume, "read-only", "on: writes fail from now on; off: they work again", access_);
    add_volume(access, access_.volume);
    add(access, "on|off", access_.access, parse_read_only, "", "")->required();
    add_volume(verb(volume, "who", "who is connected", who_), who_.volume);
    auto* fence = verb(volume, "fence", "shut an instance out until `unfence`: its connections end, its I/O drains",
                       fence_);
    add_volume(fence, fence_.volume);
    add(fence, "--instance", fence_.instance, parse_holder, "this instance (everybody)", "ID");
    add(fence, "--for", fence_.heir, parse_holder, "hand it over: only this instance may attach from now on", "ID");
    auto* unfence = verb(volume, "unfence", "let those in again whom `fence` shut out", unfence_);
    add_volume(unfence, unfence_.volume);
    add(unfence, "--instance", unfence_.instance, parse_holder, "only this instance", "ID");
    add_grant(volume, "grant", "let an instance attach it, besides what the configuration says", grant_);
    revoke_.granted = false;
    add_grant(volume, "revoke", "take a `grant` back; ends the instance's connections", revoke_);
    add_volume(verb(volume, "clear", "accept what a failed fsync or an unclean stop may have lost", clear_),
               clear_.volume);
    add_volume(verb(volume, "accept-loss", "let the lost end of a damaged volume's file read as zeros", accept_loss_),
               accept_loss_.volume);
  }

  void add_cluster_verbs() {
    auto* node = app.add_subcommand("node", "the other nodes of the cluster");
    node->require_subcommand(1);
    verb<node_ls_command>(node, "ls", "peers, sessions and gateways");
    auto* shadow = app.add_subcommand("shadow", "copies of other nodes' volumes on this node, kept current");
    shadow->require_subcommand(1);
    verb<shadow_ls_command>(shadow, "ls", "volumes of other nodes served here, their shadows and who answered reads");
    auto* show = verb(shadow, "show", "who answered reads of a volume: by instance, and why", shadow_show_);
    show->add_option("VOLUME", shadow_show_.volume, "its name")->required()->type_name("");
    auto* create = verb(shadow, "create", "make a shadow on the node that is asked", shadow_create_);
    create->add_option("VOLUME", shadow_create_.volume, "its name")->required()->type_name("");
    create->add_option("--node", shadow_create_.node, "the node that is asked")->required()->type_name("NODE");
    create->add_flag("--wait", shadow_create_.wait, "until all of it has been copied once");
    auto* drop = verb(shadow, "drop", "drop it", shadow_drop_);
    drop->add_option("VOLUME", shadow_drop_.volume, "its name")->required()->type_name("");
    drop->add_option("--node", shadow_drop_.node, "the node that is asked")->required()->type_name("NODE");
  }

  void add_grant(CLI::App* volume, const char* name, const char* what, volume_grant_command& storage) {
    auto* sub = verb(volume, name, what, storage);
    add_volume(sub, storage.volume);
    add(
        sub, "INSTANCE", storage.instance, [](const std::string& text) { return parse_instance_id(text); },
        "its id", "")
        ->required();
  }

  void add_ask() {
    auto* ask = app.add_subcommand("ask", "send a message in words to an actor (`ask ACTOR help` lists its words)");
    ask->add_option("ACTOR", ask_.actor, "as `actors` lists it")->required()->type_name("");
    ask->add_option("MESSAGE", ask_words_)->required()->type_name("");
    ask->callback([this] {
      ask_.message = rejoin(ask_words_);
      out.what = ask_;
    });
  }

  void add_forecast() {
    auto* forecast = app.add_subcommand("forecast", "what load is expected, how sure that is, when it will be quiet");
    auto& r = forecast_.request;
    forecast->add_option("VOLUME", forecast_volume_, "its name or uuid")->type_name("");
    add(
        forecast, "--instance", forecast_instance_, [](const std::string& text) { return parse_instance_id(text); },
        "the load of one instance instead", "ID");
    forecast->add_flag("--node", forecast_node_, "the load of the whole node instead");
    add(forecast, "--load,--quantity", r.load, parse_load_kind,
        "requests (default), bytes, reads, writes, read-bytes or write-bytes", "WHAT");
    forecast->callback([this] {
      const bool instance = !forecast_instance_.value.empty();
      if ((forecast_volume_.empty() ? 0 : 1) + (instance ? 1 : 0) + (forecast_node_ ? 1 : 0) != 1)
        throw CLI::ValidationError("forecast: one of VOLUME, --instance and --node");
      auto& request = forecast_.request;
      request.kind = instance ? subject_kind::instance : forecast_node_ ? subject_kind::node : subject_kind::volume;
      request.subject = instance ? forecast_instance_.value : forecast_volume_;
      out.what = forecast_;
    });
  }

  void add_instance_verbs(CLI::App* instance) {
    instance->require_subcommand(1);
    verb<instance_ls_command>(instance, "ls", "all instances, with their load");
    const auto add_id = [](CLI::App* app, instance_id& id) {
      app->add_option("INSTANCE", id.value, "its id, as `instance ls` shows it")->required()->type_name("");
    };
    add_id(verb(instance, "show", "which chunks one touches, its load now and ahead", instance_show_),
           instance_show_.instance);
    auto* set = instance->add_subcommand("set", "say what an instance is; goes over the configuration's words");
    auto& change = instance_set_.change;
    add_id(set, instance_set_.instance);
    const auto text = [](perhaps<std::string>& into) {
      return [&into](const std::string& value) { into = {true, value}; };
    };
    const auto duration = [](const std::string& value) -> result<perhaps<std::int64_t>> {
      const auto parsed = parse_duration(value);
      if (!parsed)
        return tl::unexpected(parsed.error());
      return perhaps<std::int64_t>{true, parsed->count()};
    };
    set->add_option_function<std::string>("--application", text(change.application), "such as postgresql")
        ->type_name("TEXT");
    set->add_option_function<std::string>("--host", text(change.host), "where it runs")->type_name("TEXT");
    add(set, "--criticality", change.level, parse_criticality, "low, normal or high: whose forecasts come first",
        "LEVEL");
    add(set, "--read-p99", change.read_p99_us, duration, "SLA: 99% of its reads take at most this", "DURATION");
    add(set, "--rpo", change.rpo_us, duration, "SLA: at most so much of its past may be lost", "DURATION");
    set->add_flag("--reset", change.reset, "forget what was set before; alone: back to the configuration");
    set->callback([this] {
      if (instance_set_.change == instance_change{})
        throw CLI::ValidationError("instance set: nothing to set; --help lists what can be said");
      out.what = instance_set_;
    });
  }

  void add_heat() {
    auto* heat = verb(&app, "heat", "which chunks are hot and when, who touches them, what will be hot next", heat_);
    add_volume(heat, heat_.volume);
    add(heat, "--since", heat_.since, parse_some_duration, "how far back (as far as there is something)", "DURATION");
    heat->add_option("--rows", heat_.rows, "of the chart (as the terminal)")
        ->check(CLI::Range(1u, chart_rows_max))
        ->type_name("N");
    heat->add_option("--columns", heat_.columns, "of the chart (as the terminal)")
        ->check(CLI::Range(1u, chart_columns_max))
        ->type_name("N");
    heat->add_option("--hottest", heat_.hottest, "chunks to name (8)")
        ->check(CLI::Range(0u, hottest_chunks_max))
        ->type_name("N");
  }

  void add_record() {
    auto* record = verb(&app, "record", "write a volume's requests as a trace until Ctrl-C", record_);
    add_volume(record, record_.volume);
    record->add_option("-o,--output", record_.output, "the trace: .csv, .csv.gz or .csv.zst")
        ->required()
        ->type_name("FILE");
    add(record, "--duration", record_.duration, parse_some_duration, "stop by itself", "DURATION");
  }

  void add_replay() {
    auto* replay = app.add_subcommand("replay", "reissue a trace against an NBD export");
    auto& r = replay_;
    replay->add_option("TRACE", r.trace, "time_us,volume,op,offset_bytes,length_bytes; plain, .gz or .zst")
        ->required()
        ->type_name("");
    auto* uri =
        replay->add_option("--uri", r.uri, "the export, such as nbd+unix:///db?socket=nbd.sock")->type_name("URI");
    replay->add_option("--to", r.to, "a volume of the node instead (default: the trace's own, reads only)")
        ->excludes(uri)
        ->type_name("VOLUME");
    auto* only = replay->add_option("--volume", r.volume, "only this volume's records")->type_name("NAME");
    replay->add_flag("--all-volumes", r.all_volumes, "the records of all volumes, on one export")->excludes(only);
    add(replay, "--speed", r.speed, parse_speed, "1: as recorded (default); 10: ten times as fast; max", "X|max");
    replay->add_option("--depth", r.depth, "requests in flight at most (32)")
        ->type_name("N")
        ->check(CLI::Range(1u, replay_depth_max).description(""));
    replay->add_option("--connections", r.connections, "spread over this many (1)")
        ->type_name("N")
        ->check(CLI::Range(1u, replay_connections_max).description(""));
    auto* wrap = replay->add_flag("--wrap", wrap_, "offsets beyond the export: modulo its size");
    replay->add_flag("--scale", scale_, "offsets beyond the export: shrink all in proportion")->excludes(wrap);
    auto* verify =
        replay->add_flag("--verify", r.verify, "check every read, and at the end everything, against what it wrote");
    replay->add_flag("--reads-only", r.reads_only, "leave out what changes data (default without --to and --uri)")
        ->excludes(verify);
    replay->add_flag("--yes", r.yes, "write, although the volume has data or clients");
    add(
        replay, "--limit", r.limit,
        [](const std::string& text) -> result<std::optional<std::uint64_t>> {
          std::uint64_t n = 0;
          const auto end = std::from_chars(text.data(), text.data() + text.size(), n);
          if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || n == 0)
            return fail(errc::invalid_argument, "expected a number from 1 up");
          return std::optional(n);
        },
        "only the first N records", "N");
    add(replay, "--duration", r.duration, parse_some_duration, "stop after this time", "DURATION");
    replay->callback([this] {
      replay_.beyond = wrap_ ? beyond_policy::wrap : scale_ ? beyond_policy::scale : beyond_policy::refuse;
      out.what = replay_;
    });
  }

  CLI::App app;
  invocation out;

private:
  check_command check_;
  top_command top_;
  ask_command ask_;
  volume_show_command show_;
  volume_create_command create_;
  std::string create_from_;
  volume_resize_command resize_;
  volume_delete_command delete_;
  volume_undelete_command undelete_;
  volume_purge_command purge_;
  volume_rename_command rename_;
  volume_describe_command describe_;
  volume_access_command access_;
  shadow_show_command shadow_show_;
  shadow_create_command shadow_create_;
  shadow_drop_command shadow_drop_;
  volume_who_command who_;
  volume_fence_command fence_;
  volume_unfence_command unfence_;
  volume_grant_command grant_, revoke_;
  volume_clear_command clear_;
  volume_accept_loss_command accept_loss_;
  event_grammar event_;
  snapshot_grammar snapshot_;
  forecast_command forecast_;
  std::string forecast_volume_;
  instance_id forecast_instance_;
  bool forecast_node_ = false;
  board_command board_;
  plan_command plan_;
  why_command why_;
  heat_command heat_;
  instance_show_command instance_show_;
  instance_set_command instance_set_;
  record_command record_;
  replay_command replay_;
  simulate_command simulate_;
  history_import_command history_import_;
  std::vector<std::string> ask_words_;
  bool reference_ = false, schema_ = false, deleted_ = false, all_ = false, direct_ = false, yes_ = false, force_ = false,
       dry_run_ = false;
  bool wrap_ = false, scale_ = false;
};

// CLI11 says no more than that a command is missing; the nearest one is named for a mistyped word.
std::optional<std::string> unknown_verb(std::span<const std::string> words) {
  std::span<const std::string_view> known = verbs;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--config" || words[i] == "--data-dir")
      ++i;
    else if (words[i].starts_with("-"))
      continue;
    else if (std::find(known.begin(), known.end(), words[i]) == known.end() || words[i] == "quit") {
      const auto meant = words[i] == "quit" ? std::string_view() : nearest(words[i], known);
      return fmt::format("there is no command {}{}", quote(words[i]),
                         meant.empty() ? "; --help lists them" : fmt::format("; did you mean {}?", meant));
    } else if (known.data() == verbs && !words_after(words[i]).empty()) {
      known = words_after(words[i]);
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

} // namespace

std::variant<invocation, parse_stop> parse_command(std::span<const std::string> words, parse_place place) {
  if (!words.empty() && words[0] == "help") {
    std::vector<std::string> asked(words.begin() + 1, words.end());
    asked.emplace_back("--help");
    return parse_command(asked, place);
  }
  const std::string_view who = place == parse_place::shell ? "" : "gnomon: ";
  if (const auto problem = unknown_verb(words))
    return parse_stop{2, fmt::format("{}{}\n", who, *problem)};
  grammar g(place);
  try {
    g.app.parse(std::vector<std::string>(words.rbegin(), words.rend())); // CLI11 takes them last first
  } catch (const CLI::ParseError& stop) {
    std::ostringstream text, problem;
    const bool is_help = g.app.exit(stop, text, problem) == 0;
    if (is_help)
      return parse_stop{0, text.str()};
    return parse_stop{2, fmt::format("{}{}\n", who, stop.what())};
  } catch (const std::exception& broken) {
    return parse_stop{2, fmt::format("{}{}\n", who, broken.what())};
  }
  return std::move(g.out);
}

result<std::optional<double>> parse_speed(std::string_view text) {
  if (text == "max")
    return std::optional<double>{};
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || !(value > 0) || value > 1e6)
    return fail(errc::invalid_argument, "expected max or a number above 0 and up to 1000000, such as 1, 0.5 or 10");
  return std::optional(value);
}

result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quotation = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (quotation == 0 && !in_word && c == '#')
      break;
    if (quotation == 0 && space) {
      in_word = false;
      continue;
    }
    if (!in_word)
      words.emplace_back();
    in_word = true;
    if (c == quotation)
      quotation = 0;
    else if (quotation == 0 && (c == '"' || c == '\''))
      quotation = c;
    else if (c == '\\' && quotation != '\'' && i + 1 < line.size())
      words.back() += line[++i];
    else
      words.back() += c;
  }
  if (quotation != 0)
    return fail(errc::invalid_argument, fmt::format("the quotation that begins with {} has no end", quotation));
  return words;
}

std::span<const std::string_view> verb_words() { return verbs; }
std::span<const std::string_view> words_after(std::string_view verb) {
  if (verb == "volume")
    return volume_verbs;
  if (verb == "instance")
    return instance_verbs;
  if (verb == "event")
    return event_verbs;
  if (verb == "history")
    return history_verbs;
  if (verb == "node")
    return node_verbs;
  if (verb == "shadow")
    return shadow_verbs;
  if (verb == "snapshot")
    return snapshot_verbs;
  if (verb == "group")
    return group_verbs;
  return {};
}

} // namespace gnomon::actors::cli
