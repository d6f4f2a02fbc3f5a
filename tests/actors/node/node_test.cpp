// A whole node with a data plane in memory: start, the control socket, kills under load, reload, restart, stop.
#include "actors/node/node.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "actors/endpoints/client.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(node_test)
namespace {

constexpr std::uint64_t MiB = 1 << 20;

endpoint loopback() {
  endpoint out;
  out.host = "127.0.0.1";
  return out;
}

struct fixture {
  temporary_directory directory;
  settings wanted;
  fake_engine* engine = nullptr; // of the node started last
  std::atomic<int> attention{0};
  std::unique_ptr<node> running;

  fixture() {
    wanted.node = node_name{"alpha"};
    wanted.data_dir = directory.path + "/data";
    wanted.nbd.listen = {loopback()};
    wanted.admin.listen = loopback();
    add("db", MiB);
  }
  ~fixture() {
    if (running)
      (void)running->stop();
  }
  void add(const std::string& name, std::uint64_t size) {
    volume_settings volume;
    volume.name = volume_name{name};
    volume.size = byte_count{size};
    wanted.volumes.push_back(volume);
  }
  result<std::unique_ptr<node>> try_start() {
    node_options options;
    options.make_engine = [this](io::engine_options o) -> result<std::unique_ptr<io::engine>> {
      auto made = std::make_unique<fake_engine>(std::move(o));
      engine = made.get();
      return made;
    };
    options.needs_attention = [this] { ++attention; };
    return node::start(wanted, std::move(options));
  }
  void start() {
    auto made = try_start();
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? std::string() : made.error().to_string()));
    running = std::move(*made);
  }
  void stop() {
    BOOST_TEST(running->stop().has_value());
    running.reset();
  }
  std::unique_ptr<client> connect() {
    auto made = client::connect(control_socket_path(wanted.data_dir));
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? std::string() : made.error().to_string()));
    return std::move(*made);
  }
  volume_uuid uuid_of(const std::string& name) {
    for (const auto& volume : engine->volumes())
      if (volume.spec.name.value == name)
        return volume.spec.uuid;
    BOOST_FAIL("no volume " << name);
    return {};
  }
  std::string http_get(const std::string& path) {
    const auto admin = running->context().facts()->admin.at(0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(admin.substr(admin.rfind(':') + 1))));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BOOST_REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const auto request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    BOOST_REQUIRE(::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
    std::string out;
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<std::size_t>(n));
    ::close(fd);
    return out;
  }
  // The daemon's main loop, for a moment.
  void attend() { (void)running->attend(); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_ready_line_names_what_is_really_bound, fixture) {
  start();
  const auto line = running->ready_line();
  BOOST_TEST(line.starts_with("gnomond ready node=alpha nbd=127.0.0.1:10809 cluster=none admin=127.0.0.1:"));
  BOOST_TEST(!line.ends_with(":0"));
}

BOOST_FIXTURE_TEST_CASE(a_second_node_on_the_data_directory_is_refused, fixture) {
  start();
  auto first_engine = engine;
  const auto second = try_start();
  BOOST_REQUIRE(!second.has_value());
  BOOST_TEST((second.error().code == errc::busy));
  BOOST_TEST(first_engine->volumes().size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(the_admin_endpoint_answers, fixture) {
  start();
  BOOST_TEST(http_get("/health").starts_with("HTTP/1.1 200"));
  BOOST_TEST(http_get("/metrics").find("gnomon_volume_requests_total{volume=\"db\"") != std::string::npos);
  BOOST_TEST(http_get("/nothing").starts_with("HTTP/1.1 404"));
  engine->fail_sync(uuid_of("db"));
  BOOST_TEST(eventually([&] { return http_get("/health").starts_with("HTTP/1.1 503"); })); // answers are shared a moment
}

BOOST_FIXTURE_TEST_CASE(the_control_socket_is_for_its_owner_only, fixture) {
  start();
  struct stat info {};
  const auto path = control_socket_path(wanted.data_dir);
  BOOST_REQUIRE(::stat(path.c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
  stop();
  BOOST_TEST(::stat(path.c_str(), &info) != 0);
}

BOOST_FIXTURE_TEST_CASE(the_command_line_reaches_everything_through_the_control_socket, fixture) {
  start();
  auto cli = connect();
  const auto status = cli->status();
  BOOST_REQUIRE(status.has_value());
  BOOST_TEST(status->node.value == "alpha");
  BOOST_TEST((status->state == node_state::serving));
  BOOST_TEST(status->volumes == 1u);
  BOOST_TEST(status->problems.empty());
  actors::volume_request request;
  request.name = volume_name{"extra"};
  request.size = byte_count{MiB};
  BOOST_TEST(cli->create(request).has_value());
  BOOST_TEST(cli->list(list_filter::present)->size() == 2u);
  BOOST_TEST(cli->show({"extra"})->summary.size.value == MiB);
  BOOST_TEST(cli->resize({"extra"}, byte_count{2 * MiB})->volume.size.value == 2 * MiB);
  BOOST_TEST(cli->rename({"extra"}, volume_name{"other"})->name.value == "other");
  BOOST_TEST(cli->describe({"other"}, "spare disk").has_value());
  BOOST_TEST(cli->show({"other"})->description == "spare disk");
  BOOST_TEST(cli->set_access({"other"}, volume_access::read_only)->read_only);
  BOOST_TEST(!cli->set_access({"other"}, volume_access::read_write)->read_only);
  BOOST_TEST(cli->who({"other"})->empty());
  BOOST_TEST(cli->fence({"other"}, instance_id{})->empty());
  BOOST_TEST(cli->clear({"other"}).has_value());
  BOOST_TEST(cli->erase({"other"}).has_value());
  BOOST_TEST(cli->list(list_filter::deleted)->size() == 1u);
  BOOST_TEST(cli->undelete({"other"}, volume_name{}).has_value());
  BOOST_TEST(cli->erase({"other"}).has_value());
  auto& history = *running->context().history;
  const auto kept = uuid_of("db").to_string(), gone = cli->list(list_filter::deleted)->front().uuid.to_string();
  for (const auto& object : {kept, gone})
    BOOST_REQUIRE(history.put_model(object, "learned", 1, {}).has_value());
  BOOST_TEST(cli->purge({"other"}).has_value());
  BOOST_TEST(eventually([&] { return history.list_models(gone)->empty(); })); // what was learned goes with the data
  BOOST_TEST(!history.list_models(kept)->empty());
  BOOST_TEST((cli->show({"other"}).error().code == errc::not_found));
  BOOST_TEST(cli->ask("volume/db", "status")->find("db") != std::string::npos);
  BOOST_TEST((cli->ask("nobody", "status").error().code == errc::not_found));
  BOOST_TEST(eventually([&] { return cli->top().has_value(); }));
}

BOOST_FIXTURE_TEST_CASE(the_live_tree_lists_every_actor_and_all_answer, fixture) {
  start();
  auto cli = connect();
  const auto tree = cli->actors();
  BOOST_REQUIRE(tree.has_value());
  std::set<std::string> names;
  for (const auto& actor : *tree) {
    names.insert(actor.name);
    BOOST_TEST((actor.state == actor_state::running), actor.name);
    BOOST_TEST(actor.answered, actor.name);
    BOOST_TEST(actor.id != 0u);
  }
  for (const char* name : {"node", "volumes", "registry", "alerts", "telemetry", "recorder", "control", "volume/db"})
    BOOST_TEST(names.contains(name), name);
}

// Every actor is killed through the shell while typed writes run: the data plane answers on, everything comes back.
BOOST_FIXTURE_TEST_CASE(killing_any_actor_under_load_is_repaired, fixture) {
  start();
  std::atomic<bool> done{false};
  std::atomic<int> answered{0}, failed{0};
  const auto uuid = uuid_of("db");
  std::thread load([&] {
    while (!done) {
      std::atomic<bool> replied{false};
      io::local_request request;
      request.op = io::operation::write;
      request.length = byte_count{512};
      request.data.resize(512);
      engine->submit(uuid, request, [&](io::local_reply reply) {
        ++(reply ? answered : failed);
        replied = true;
      });
      while (!replied)
        std::this_thread::yield();
    }
  });
  auto cli = connect();
  const auto tree = cli->actors();
  BOOST_REQUIRE(tree.has_value());
  for (const auto& actor : *tree) {
    // A control actor that was just killed is found again by shaking hands again.
    BOOST_TEST(eventually([&] {
      attend();
      return cli->ask(actor.name, "kill").has_value() || !cli->reconnect();
    }));
    BOOST_TEST(eventually([&] {
                 attend();
                 const auto handle = running->context().tree.find(actor.name);
                 return handle && handle.id() != actor.id;
               }),
               actor.name);
  }
  done = true;
  load.join();
  BOOST_TEST(failed == 0);
  BOOST_TEST(answered > 0);
  auto again = connect();
  BOOST_TEST(eventually([&] {
    const auto now = again->actors();
    if (!now) {
      (void)again->reconnect();
      return false;
    }
    for (const auto& actor : *now)
      if (actor.state != actor_state::running || !actor.answered)
        return false;
    return true;
  }));
  BOOST_TEST(again->status()->problems.empty());
}

BOOST_FIXTURE_TEST_CASE(a_failed_fsync_is_remembered_across_a_restart_until_cleared, fixture) {
  start();
  engine->fail_sync(uuid_of("db"));
  auto* catalogue = running->context().catalogue;
  BOOST_REQUIRE(eventually([&] { return catalogue->find(volume_name{"db"})->failure.has_value(); }));
  stop();
  start();
  BOOST_TEST(engine->volumes().at(0).spec.writes_failed);
  auto cli = connect();
  BOOST_TEST((cli->show({"db"})->summary.state == volume_state::writes_failed));
  BOOST_TEST(!cli->status()->problems.empty());
  BOOST_TEST(cli->clear({"db"}).has_value());
  BOOST_TEST(!engine->volumes().at(0).spec.writes_failed);
  BOOST_TEST(cli->status()->problems.empty());
}

BOOST_FIXTURE_TEST_CASE(a_failed_fsync_reported_while_the_event_actor_is_dead_is_not_lost, fixture) {
  start();
  caf::anon_send_exit(running->context().tree.find("events"), caf::exit_reason::kill);
  caf::anon_send_exit(running->context().tree.find("registry"), caf::exit_reason::kill);
  engine->fail_sync(uuid_of("db"));
  auto* catalogue = running->context().catalogue;
  BOOST_TEST(eventually([&] { return catalogue->find(volume_name{"db"})->failure.has_value(); }));
}

BOOST_FIXTURE_TEST_CASE(a_reload_follows_what_can_change_and_keeps_the_rest, fixture) {
  start();
  add("new", MiB);
  wanted.volumes[0].size = byte_count{4 * MiB};
  wanted.volumes[0].description = "a database";
  wanted.data_dir += "-elsewhere"; // cannot change while it runs
  const auto dry = running->reload(wanted, reload_mode::dry_run);
  BOOST_TEST(dry.followed.size() == 3u);
  BOOST_TEST(dry.waiting.size() == 1u);
  BOOST_TEST(dry.generation == 1u);
  const auto in_force = [&](const reload_report& report) {
    return eventually([&] { return running->context().configuration().in_force == report.generation; });
  };
  const auto report = running->reload(wanted);
  BOOST_TEST(report.generation == 2u);
  BOOST_REQUIRE(in_force(report));
  BOOST_TEST(running->context().configuration().waiting.size() == 1u);
  BOOST_TEST(engine->volumes().size() == 2u);
  BOOST_TEST(engine->status(uuid_of("db"))->spec.size.value == 4 * MiB);
  BOOST_TEST(running->context().current_settings()->data_dir == directory.path + "/data");
  wanted.data_dir = directory.path + "/data";
  instance_settings instance;
  instance.id = instance_id{"web"};
  instance.volumes = {volume_name{"db"}};
  wanted.instances.push_back(instance);
  wanted.instances_section = true;
  const auto second = running->reload(wanted);
  BOOST_TEST(engine->access().restricted); // at once, whatever the registry does
  BOOST_REQUIRE(in_force(second));
  BOOST_TEST(running->reload(wanted).generation == second.generation); // nothing new
  running->refuse_reload("no JSON");
  BOOST_TEST(http_get("/health").find("no JSON") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(settings_are_carried_out_by_the_registry_that_follows_a_dead_one, fixture) {
  start();
  add("new", MiB);
  caf::anon_send_exit(running->context().tree.find(registry_name), caf::exit_reason::kill);
  const auto report = running->reload(wanted);
  BOOST_REQUIRE(eventually([&] { return running->context().configuration().in_force == report.generation; }));
  BOOST_TEST(engine->volumes().size() == 2u);
}

BOOST_FIXTURE_TEST_CASE(a_clean_stop_is_seen_by_the_next_start, fixture) {
  start();
  BOOST_TEST(running->context().facts()->previous_stop == "none");
  stop();
  start();
  BOOST_TEST(running->context().facts()->previous_stop == "clean");
}

BOOST_FIXTURE_TEST_CASE(recording_works_through_the_engine, fixture) {
  start();
  auto cli = connect();
  const auto started = cli->record({"db"});
  BOOST_REQUIRE(started.has_value());
  BOOST_TEST((cli->record({"db"}).error().code == errc::busy));
  engine->record(uuid_of("db"), {{1, 0, 512, io::operation::read}, {2, 512, 4096, io::operation::write}});
  const auto batch = cli->next(started->number);
  BOOST_REQUIRE(batch.has_value());
  BOOST_REQUIRE(batch->records.size() == 2u);
  BOOST_TEST(batch->records[1].length_bytes == 4096u);
  BOOST_TEST(cli->next(started->number)->records.empty()); // after record_wait
  auto last = cli->stop(started->number);
  while (last && !last->finished)
    last = cli->next(started->number);
  BOOST_TEST(last.has_value());
  BOOST_TEST((cli->next(started->number).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(without_a_node_the_client_says_so, fixture) {
  const auto nobody = client::connect(directory.path + "/control.sock");
  BOOST_REQUIRE(!nobody.has_value());
  BOOST_TEST((nobody.error().code == errc::unavailable));
}

BOOST_FIXTURE_TEST_CASE(a_client_outlives_a_restart_of_the_node, fixture) {
  start();
  auto cli = connect();
  BOOST_REQUIRE(cli->status().has_value());
  stop();
  start();
  BOOST_REQUIRE(eventually([&] { return cli->reconnect().has_value(); }));
  BOOST_TEST(cli->status().has_value());
}

BOOST_FIXTURE_TEST_CASE(a_long_data_directory_has_a_control_socket_too, fixture) {
  std::string deep = directory.path;
  while (deep.size() < 150) {
    deep += "/a-directory-with-a-long-name";
    std::filesystem::create_directory(deep);
  }
  wanted.data_dir = deep + "/data";
  start();
  BOOST_TEST(connect()->status().has_value());
}

BOOST_FIXTURE_TEST_CASE(the_closed_node_opens_nothing, fixture) {
  node_options options;
  options.outside = listeners::closed;
  options.make_engine = [](io::engine_options o) -> result<std::unique_ptr<io::engine>> {
    return std::make_unique<fake_engine>(std::move(o));
  };
  auto made = node::start(wanted, std::move(options));
  BOOST_REQUIRE(made.has_value());
  BOOST_TEST((*made)->context().facts()->nbd.empty());
  BOOST_TEST(!std::filesystem::exists(control_socket_path(wanted.data_dir)));
  BOOST_TEST((*made)->stop().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
