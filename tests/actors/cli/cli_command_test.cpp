// Words into commands: what is accepted, what is refused as wrong usage, and how shell lines split and complete.
#include "actors/cli/grammar/command.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "actors/cli/node_access.hpp"
#include "actors/cli/replay/nbd_target.hpp"
#include "actors/cli/shell/completion.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::actors::cli;
using words = std::vector<std::string>;

BOOST_AUTO_TEST_SUITE(cli_command_test)
namespace {
template <class Command>
Command parsed(const words& w, parse_place place = parse_place::command_line) {
  const auto out = parse_command(w, place);
  if (const auto* stop = std::get_if<parse_stop>(&out))
    BOOST_FAIL(stop->text);
  return std::get<Command>(std::get<invocation>(out).what);
}
parse_stop stopped(const words& w, parse_place place = parse_place::command_line) {
  const auto out = parse_command(w, place);
  BOOST_REQUIRE(std::holds_alternative<parse_stop>(out));
  return std::get<parse_stop>(out);
}
const name_lookup some_names = [](name_kind kind) {
  switch (kind) {
  case name_kind::volumes:
    return words{"db", "db-log", "web"};
  case name_kind::deleted_volumes:
    return words{"old"};
  case name_kind::events:
    return words{"12", "13", "2"};
  default:
    return words{"node", "volume/db"};
  }
};
} // namespace

BOOST_AUTO_TEST_CASE(global_options_may_stand_before_and_after_the_verb) {
  for (const auto& w : {words{"--json", "--config", "n.json", "volume", "ls", "--all"},
                        words{"volume", "ls", "--all", "--json", "--config", "n.json"}}) {
    const auto out = parse_command(w);
    const auto* got = std::get_if<invocation>(&out);
    BOOST_REQUIRE(got != nullptr);
    BOOST_TEST(got->json);
    BOOST_TEST(got->location.config_path == "n.json");
    BOOST_TEST((std::get<volume_ls_command>(got->what).filter == list_filter::all));
  }
}

BOOST_AUTO_TEST_CASE(snapshot_and_group_verbs_read_members_and_patience) {
  const auto create = parsed<snapshot_create_command>({"snapshot", "create", "db", "--note", "before", "--wait"});
  BOOST_TEST(create.request.volume.text == "db");
  BOOST_TEST(create.request.note == "before");
  BOOST_TEST((create.until == patience::done));
  const auto restore = parsed<snapshot_restore_command>({"snapshot", "restore", "1f0c", "--to", "copy"});
  BOOST_TEST(restore.request.snapshot.text == "1f0c");
  BOOST_TEST((restore.until == patience::begun));
  const auto group = parsed<group_create_command>(
      {"group", "create", "nightly", "--volumes", "a,b", "--prediction", "on", "--every", "1h", "--retain", "5"});
  BOOST_TEST(group.request.volumes.size() == 2u);
  BOOST_TEST(group.request.rule.prediction);
  BOOST_TEST(group.request.rule.every_s == 3600);
  BOOST_TEST(group.request.rule.retain == 5u);
  for (const auto& wrong : {words{"snapshot", "create"}, words{"snapshot", "restore", "1f0c"},
                            words{"snapshot", "restore", "1f0c", "--to", "-x"}, words{"group", "create", "g"},
                            words{"group", "create", "g", "--volumes", "a", "--prediction", "maybe"},
                            words{"snapshot", "crate", "db"}})
    BOOST_TEST(stopped(wrong).exit_code == 2);
}

BOOST_AUTO_TEST_CASE(what_destroys_asks_first) {
  BOOST_TEST((parsed<volume_delete_command>({"volume", "delete", "db"}).how == deletion::if_unused));
  BOOST_TEST((parsed<volume_delete_command>({"volume", "delete", "db", "--force"}).how == deletion::forced));
  BOOST_TEST(!parsed<replay_command>({"replay", "t.csv"}).yes);
  BOOST_TEST(parsed<replay_command>({"replay", "t.csv", "--to", "db", "--yes"}).yes);
  BOOST_TEST((parsed<reload_command>({"reload", "--dry-run"}).mode == reload_mode::dry_run));
  BOOST_TEST((parsed<reload_command>({"reload"}).mode == reload_mode::follow));
}

BOOST_AUTO_TEST_CASE(fences_and_grants_name_instances) {
  const auto handed = parsed<volume_fence_command>({"volume", "fence", "db", "--instance", "a", "--for", "b"});
  BOOST_TEST(handed.instance.value == "a");
  BOOST_TEST(handed.heir.value == "b");
  BOOST_TEST(parsed<volume_fence_command>({"volume", "fence", "db", "--instance", "anonymous:unix:/x"}).instance.value ==
             "anonymous:unix:/x");
  BOOST_TEST(parsed<volume_unfence_command>({"volume", "unfence", "db"}).instance.value.empty());
  BOOST_TEST(parsed<volume_grant_command>({"volume", "grant", "db", "web"}).granted);
  BOOST_TEST(!parsed<volume_grant_command>({"volume", "revoke", "db", "web"}).granted);
}

BOOST_AUTO_TEST_CASE(volume_verbs_read_sizes_and_names) {
  const auto create = parsed<volume_create_command>({"volume", "create", "db", "8GiB", "--direct", "--shared"});
  BOOST_TEST(create.request.name.value == "db");
  BOOST_TEST(create.request.size.value == 8ull << 30);
  BOOST_TEST((create.request.cache == cache_mode::direct));
  BOOST_TEST(create.request.shared);
  BOOST_TEST(parsed<volume_create_command>({"volume", "create", "db", "--size", "1MiB"}).request.size.value ==
             1u << 20);
  BOOST_TEST(parsed<volume_create_command>({"volume", "create", "d", "--path", "/dev/x"}).request.size.value == 0u);
  BOOST_TEST(parsed<volume_resize_command>({"volume", "resize", "db", "9GiB"}).size.value == 9ull << 30);
  BOOST_TEST(parsed<volume_fence_command>({"volume", "fence", "db", "--instance", "web-1"}).instance.value ==
             "web-1");
  BOOST_TEST(parsed<volume_undelete_command>({"volume", "undelete", "db", "--as", "db2"}).new_name.value == "db2");
}

BOOST_AUTO_TEST_CASE(wrong_usage_is_exit_code_2_and_says_why) {
  const std::pair<words, std::string> wrong[] = {
      {{"volume", "create", "db", "4G"}, "4GiB"},
      {{"volume", "create", "db"}, "SIZE"},
      {{"volume", "create", "-db", "4GiB"}, ""},
      {{"volume", "create", "a b", "4GiB"}, "name"},
      {{"volume", "purge", "db"}, "--yes"},
      {{"volume", "resize", "db"}, "SIZE"},
      {{"volum", "ls"}, "volume"},
      {{"volume", "sl"}, "ls"},
      {{"volume"}, ""},
      {{}, ""},
      {{"check"}, "FILE"},
      {{"check", "a", "--schema"}, "FILE"},
      {{"record", "db"}, "--output"},
      {{"replay", "t.csv", "--speed", "0"}, "above 0"},
      {{"replay", "t.csv", "--speed", "fast"}, "max"},
      {{"replay", "t.csv", "--wrap", "--scale"}, "--wrap"},
      {{"replay", "t.csv", "--uri", "nbd://x", "--to", "db"}, "--to"},
      {{"replay", "t.csv", "--verify", "--reads-only"}, "--verify"},
      {{"replay", "t.csv", "--depth", "0"}, "--depth"},
      {{"replay", "t.csv", "--limit", "-1"}, ""},
      {{"replay", "t.csv", "--limit", "0"}, "1 up"},
      {{"replay", "t.csv", "--duration", "0s"}, "longer"},
      {{"ask", "node"}, "MESSAGE"},
      {{"status", "--unknown"}, "unknown"},
  };
  for (const auto& [w, part] : wrong) {
    const auto stop = stopped(w);
    BOOST_TEST_CONTEXT((w.empty() ? "" : w.back())) {
      BOOST_TEST(stop.exit_code == 2);
      BOOST_TEST(stop.text.find(part) != std::string::npos, stop.text);
      BOOST_TEST(stop.text.starts_with("gnomon: "));
    }
  }
}

BOOST_AUTO_TEST_CASE(help_and_version_are_not_errors) {
  BOOST_TEST(stopped({"--help"}).exit_code == 0);
  BOOST_TEST(stopped({"help", "volume", "create"}).text == stopped({"volume", "create", "--help"}).text);
  BOOST_TEST(stopped({"replay", "--help"}).text.find("--verify") != std::string::npos);
  BOOST_TEST(stopped({"--version"}).text == "gnomon " GNOMON_VERSION "\n");
}

BOOST_AUTO_TEST_CASE(replay_has_defaults_and_reads_every_option) {
  const auto plain = parsed<replay_command>({"replay", "t.csv"});
  BOOST_TEST(*plain.speed == 1.0);
  BOOST_TEST(plain.depth == 32u);
  BOOST_TEST((plain.beyond == beyond_policy::refuse));
  const auto full = parsed<replay_command>({"replay", "t.csv.zst", "--uri", "nbd://h/e", "--speed", "max", "--depth",
                                            "8", "--connections", "4", "--volume", "db", "--wrap", "--verify",
                                            "--limit", "10", "--duration", "5s"});
  BOOST_TEST(!full.speed.has_value());
  BOOST_TEST(full.connections == 4u);
  BOOST_TEST(full.volume == "db");
  BOOST_TEST((full.beyond == beyond_policy::wrap));
  BOOST_TEST(full.verify);
  BOOST_TEST(*full.limit == 10u);
  BOOST_TEST(full.duration->count() == 5'000'000);
}

BOOST_AUTO_TEST_CASE(read_only_is_switched_by_words) {
  const auto on = parsed<volume_access_command>({"volume", "read-only", "db", "on"});
  BOOST_TEST(on.volume.text == "db");
  BOOST_TEST((on.access == volume_access::read_only));
  BOOST_TEST(
      (parsed<volume_access_command>({"volume", "read-only", "db", "off"}).access == volume_access::read_write));
  BOOST_TEST(stopped({"volume", "read-only", "db", "yes"}).exit_code == 2);
  BOOST_TEST(stopped({"volume", "read-only", "db"}).exit_code == 2);
  BOOST_TEST(parsed<volume_describe_command>({"volume", "describe", "db", "the orders"}).description == "the orders");
  BOOST_TEST(parsed<volume_describe_command>({"volume", "describe", "db", ""}).description.empty());
  BOOST_TEST(stopped({"volume", "describe", "db"}).exit_code == 2);
}

BOOST_AUTO_TEST_CASE(asked_words_stay_together) {
  BOOST_TEST(parsed<ask_command>({"ask", "volume/db", "read", "0", "512"}).message == "read 0 512");
  BOOST_TEST(parsed<ask_command>({"ask", "node", "say", "two words", ""}).message == "say \"two words\" \"\"");
}

BOOST_AUTO_TEST_CASE(the_shell_knows_the_verbs_but_not_itself) {
  parsed<status_command>({"status"}, parse_place::shell);
  BOOST_TEST(stopped({"shell"}, parse_place::shell).exit_code == 2);
  BOOST_TEST(stopped({"status", "--config", "x"}, parse_place::shell).exit_code == 2);
}

BOOST_AUTO_TEST_CASE(lines_split_like_in_a_shell) {
  BOOST_TEST((*split_words("  ask  node\thelp ") == words{"ask", "node", "help"}));
  BOOST_TEST((*split_words("a 'b c' \"d \\\" e\" f\\ g ''") == words{"a", "b c", "d \" e", "f g", ""}));
  BOOST_TEST((*split_words("status # a comment") == words{"status"}));
  BOOST_TEST((*split_words("a#b") == words{"a#b"}));
  BOOST_TEST(split_words("").value().empty());
  BOOST_TEST(!split_words("say 'open").has_value());
}

BOOST_AUTO_TEST_CASE(tab_completes_verbs_names_and_options) {
  const auto found = [](const words& before, std::string_view partial) {
    return complete(before, partial, some_names).candidates;
  };
  BOOST_TEST((found({}, "re") == words{"record", "reload", "replay"}));
  BOOST_TEST((found({"volume"}, "re") == words{"read-only", "rename", "resize", "revoke"}));
  BOOST_TEST((found({"volume", "show"}, "db") == words{"db", "db-log"}));
  BOOST_TEST((found({"volume", "undelete"}, "") == words{"old"}));
  BOOST_TEST(found({"volume", "create"}, "").empty());
  BOOST_TEST((found({"ask"}, "vol") == words{"volume/db"}));
  BOOST_TEST((found({"event"}, "") == words{"add", "ls", "rm"}));
  BOOST_TEST((found({"event", "rm"}, "1") == words{"12", "13"}));
  BOOST_TEST((found({"event", "add", "--volume"}, "w") == words{"web"}));
  BOOST_TEST((found({"event", "add"}, "--e") == words{"--everything"}));
  BOOST_TEST((found({"event", "ls"}, "--p") == words{"--past", "--planned"}));
  BOOST_TEST((found({"replay", "t.csv", "--to"}, "w") == words{"web"}));
  BOOST_TEST((found({"replay", "t.csv"}, "--w") == words{"--wrap"}));
  BOOST_TEST(complete(words{"replay"}, "exa", some_names).is_path);
  BOOST_TEST(common_prefix(words{"db", "db-log"}) == "db");
  BOOST_TEST(common_prefix(words{}) == "");
}

BOOST_AUTO_TEST_CASE(events_are_told_with_one_target_a_start_and_a_duration) {
  const auto parsed = [](words w) {
    w.insert(w.begin(), "event");
    return parse_command(w);
  };
  const words what{"add", "--type", "backup", "--start", "2023-11-14T22:13:20Z", "--duration", "10m"};
  const auto with = [&](words more) {
    auto w = what;
    w.insert(w.end(), more.begin(), more.end());
    return parsed(w);
  };
  const auto out = with({"--application", "the shop", "--note", "n"});
  BOOST_REQUIRE(std::holds_alternative<invocation>(out));
  const auto& event = std::get<event_add_command>(std::get<invocation>(out).what).event;
  BOOST_TEST(event.type == "backup");
  BOOST_TEST((event.scope == event_scope::application));
  BOOST_TEST(event.target == "the shop");
  BOOST_TEST(event.start_us == 1'700'000'000'000'000);
  BOOST_TEST(event.duration_us == 600'000'000);
  BOOST_TEST(event.note == "n");
  BOOST_TEST(std::holds_alternative<invocation>(with({"--everything"})));
  for (const auto& refused :
       {with({}), with({"--volume", "db", "--everything"}), with({"--volume", "a b"}), with({"--volume", ""}),
        parsed({"add", "--type", "x", "--everything"}),
        parsed({"add", "--type", "x", "--everything", "--start", "2h", "--duration", "1m"}),
        parsed({"add", "--type", "x", "--everything", "--start", "now", "--duration", "1w"}),
        parsed({"ls", "--past", "--planned"}), parsed({"rm"}), parsed({"rm", "x"}), parsed({})}) {
    BOOST_REQUIRE(std::holds_alternative<parse_stop>(refused));
    BOOST_TEST(std::get<parse_stop>(refused).exit_code == 2);
  }
  const auto typo = parsed({"rn", "7"});
  BOOST_TEST(std::get<parse_stop>(typo).text.find("did you mean rm?") != std::string::npos);
  BOOST_TEST(std::get<event_rm_command>(std::get<invocation>(parsed({"rm", "7"})).what).id.value == 7u);
  BOOST_TEST(
      (std::get<event_ls_command>(std::get<invocation>(parsed({"ls", "--past"})).what).when == event_when::past));
}

BOOST_AUTO_TEST_CASE(the_data_directory_comes_from_the_most_explicit_place) {
  BOOST_TEST(*find_data_dir({"", "/a"}, "/env") == "/a");
  BOOST_TEST(*find_data_dir({}, "/env") == "/env");
  BOOST_TEST(*find_data_dir({}, "") == data_dir_default);
  BOOST_TEST(*find_data_dir({}, nullptr) == data_dir_default);
  BOOST_TEST((find_data_dir({"/nonexistent/n.json", ""}, "/env").error().code == errc::not_found));
  // A file that is wrong elsewhere, or broken, still names the node that runs with an earlier version of it.
  char path[] = "/tmp/gnomon_cli_XXXXXX";
  const int fd = ::mkstemp(path);
  for (const std::string text : {R"({"data_dir": "/srv/a", "volumse": 1})", R"({"volumes": [, "data_dir" : "/srv/a", )"}) {
    BOOST_REQUIRE(::ftruncate(fd, 0) == 0);
    BOOST_REQUIRE(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    BOOST_TEST(find_data_dir({path, ""}, "/env").value() == "/srv/a");
  }
  ::close(fd);
  ::unlink(path);
}

BOOST_AUTO_TEST_CASE(a_nodes_export_has_a_uri) {
  BOOST_TEST(*nbd_uri({"127.0.0.1:10809", "unix:/run/g/nbd.sock"}, "db") == "nbd+unix:///db?socket=/run/g/nbd.sock");
  BOOST_TEST(*nbd_uri({"[::1]:10809"}, "db@instance:w") == "nbd://[::1]:10809/db%40instance%3Aw");
  BOOST_TEST((nbd_uri({}, "db").error().code == errc::unavailable));
}

BOOST_AUTO_TEST_SUITE_END()
