// The parts without actors: words of `ask`, the event inbox, rates, recordings, the watchdog, the service manager.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "actors/node/service_manager.hpp"
#include "actors/runtime/alert_inbox.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/recordings.hpp"
#include "actors/runtime/watchdog.hpp"
#include "actors/telemetry/rates.hpp"
#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(small_parts_test)
namespace {

io::alert event_of(io::alert::kind what, int number = 0) {
  io::alert out;
  out.what = what;
  out.os_errno = number;
  return out;
}

volume_uuid open_volume(fake_engine& engine, const std::string& name) {
  const auto uuid = volume_uuid::random();
  std::atomic<bool> done{false};
  engine.open_volume({.uuid = uuid, .name = volume_name{name}, .size = byte_count{1 << 20}},
                     [&](auto) { done = true; });
  BOOST_REQUIRE(eventually([&] { return done.load(); }));
  return uuid;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_message_in_words_is_split_at_spaces_outside_quotations) {
  const auto parsed = parse_asked("  rename  \"two words\" x\"y\" ");
  BOOST_REQUIRE(parsed.has_value());
  BOOST_TEST(parsed->verb == "rename");
  BOOST_TEST((parsed->arguments == std::vector<std::string>{"two words", "xy"}));
  BOOST_TEST((parse_asked(" \t ").error().code == errc::invalid_argument));
  BOOST_TEST((parse_asked("a \"b").error().code == errc::invalid_argument));
  BOOST_TEST((parse_asked(std::string(ask_text_max + 1, 'x')).error().code == errc::invalid_argument));
  BOOST_TEST(parse_number("18446744073709551615", "N").value() == ~0ull);
  for (const char* bad : {"", "-1", "1x", "18446744073709551616", " 1"})
    BOOST_TEST((parse_number(bad, "N").error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_full_inbox_drops_and_counts_but_never_a_failed_fsync) {
  alert_inbox inbox;
  int woken = 0;
  inbox.on_alert([&] { ++woken; });
  for (std::size_t i = 0; i < inbox_events_max + 10; ++i)
    inbox.push(event_of(io::alert::kind::detached, static_cast<int>(i)));
  BOOST_TEST(inbox.size() == inbox_events_max);
  BOOST_TEST(inbox.dropped() == 10u);
  inbox.push(event_of(io::alert::kind::sync_failed, 5));
  BOOST_TEST(inbox.size() == inbox_events_max);
  BOOST_TEST(woken > 0);
  bool found = false;
  while (const auto event = inbox.front()) {
    found = found || event->what == io::alert::kind::sync_failed;
    inbox.pop();
  }
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_CASE(rates_are_differences_over_time) {
  fake_engine engine;
  const auto busy = open_volume(engine, "busy"), idle = open_volume(engine, "idle");
  rate_meter meter;
  auto now = boot_time{} + 1s;
  engine.count(busy, io::operation::read, 1000, 100'000);
  BOOST_TEST(!meter.look(engine, {}, now).has_value()); // nothing to compare with
  engine.count(busy, io::operation::read, 500, 200'000);
  engine.count(busy, io::operation::flush, 10, 1'000'000);
  const auto second = meter.look(engine, {}, now += 2s);
  BOOST_REQUIRE(second.has_value());
  BOOST_REQUIRE(second->volumes.size() == 2u);
  BOOST_TEST((second->volumes[0].uuid == busy)); // busiest first
  BOOST_TEST((second->volumes[1].uuid == idle));
  BOOST_TEST(static_cast<double>(second->volumes[0].read.requests_per_second) == 250.0);
  BOOST_TEST(static_cast<double>(second->volumes[0].read.bytes_per_second) == 250.0 * 4096);
  BOOST_TEST(static_cast<double>(second->volumes[0].other.requests_per_second) == 5.0);
  const double p50 = second->volumes[0].read.p50_us; // of this interval only: 200 us, within a bucket
  BOOST_TEST(p50 > 175.0);
  BOOST_TEST(p50 < 230.0);
}

BOOST_AUTO_TEST_CASE(an_idle_node_is_not_looked_at_volume_by_volume) {
  fake_engine engine;
  const auto volume = open_volume(engine, "db");
  rate_meter meter;
  auto now = boot_time{} + 1s;
  engine.count(volume, io::operation::read, 10, 1000);
  (void)meter.look(engine, {}, now += 1s);
  const auto calming = meter.look(engine, {}, now += 1s);
  const auto looks = engine.looks_at_counters();
  for (int i = 0; i < 10; ++i) {
    const auto idle = meter.look(engine, {}, now += 1s);
    BOOST_REQUIRE(idle.has_value());
    BOOST_TEST(static_cast<double>(idle->volumes.at(0).read.requests_per_second) == 0.0);
  }
  BOOST_TEST(engine.looks_at_counters() == looks);
  engine.count(volume, io::operation::read, 10, 1000);
  BOOST_TEST(static_cast<double>(meter.look(engine, {}, now += 1s)->volumes.at(0).read.requests_per_second) == 10.0);
}

BOOST_AUTO_TEST_CASE(a_recording_is_pulled_in_batches_and_ends_when_asked) {
  fake_engine engine;
  recording_table table;
  const auto volume = open_volume(engine, "db");
  const auto number = table.start(engine, volume);
  BOOST_REQUIRE(number.has_value());
  BOOST_TEST((table.start(engine, volume).error().code == errc::busy));
  std::vector<io::request_record> records(record_batch_max + 5);
  for (std::size_t i = 0; i < records.size(); ++i)
    records[i] = {i, i * 512, 512, io::operation::write};
  engine.record(volume, records);
  BOOST_TEST(table.take(*number)->records.size() == record_batch_max);
  const auto rest = table.take(*number);
  BOOST_TEST(rest->records.size() == 5u);
  BOOST_TEST(rest->records[4].offset_bytes == (record_batch_max + 4) * 512);
  BOOST_TEST(!rest->finished);
  BOOST_REQUIRE(table.stop(*number).has_value());
  BOOST_TEST(eventually([&] {
    const auto last = table.take(*number);
    return last && last->finished;
  }));
  BOOST_TEST((table.take(*number).error().code == errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_slow_recording_client_loses_records_and_is_told_how_many) {
  fake_engine engine;
  recording_table table;
  const auto volume = open_volume(engine, "db");
  const auto number = table.start(engine, volume);
  engine.record(volume, std::vector<io::request_record>(recording_buffer_max + 7), 3);
  BOOST_TEST(table.take(*number)->dropped == 10u);
}

BOOST_AUTO_TEST_CASE(a_recording_nobody_asks_for_is_stopped) {
  shared_clock clock;
  fake_engine engine;
  recording_table table(clock);
  const auto volume = open_volume(engine, "db");
  BOOST_REQUIRE(table.start(engine, volume).has_value());
  clock.advance(recording_idle_max - 1s);
  table.expire();
  BOOST_TEST(table.size() == 1u);
  clock.advance(2s);
  BOOST_TEST(eventually([&] {
    table.expire();
    return table.size() == 0;
  }));
  BOOST_TEST(table.start(engine, volume).has_value()); // the data plane has let go of it
}

BOOST_AUTO_TEST_CASE(at_most_so_many_recordings) {
  fake_engine engine;
  recording_table table;
  for (std::size_t i = 0; i < recordings_max; ++i)
    BOOST_REQUIRE(table.start(engine, open_volume(engine, "v" + std::to_string(i))).has_value());
  BOOST_TEST((table.start(engine, open_volume(engine, "more")).error().code == errc::limit_reached));
}

BOOST_AUTO_TEST_CASE(the_watchdog_names_the_stage_that_hangs) {
  std::atomic<bool> bitten{false};
  std::string stage;
  watchdog dog({.complain_every = 10ms, .total = 50ms}, [&](const std::string& what) {
    stage = what;
    bitten = true;
  });
  dog.stage("a stage that hangs");
  BOOST_REQUIRE(eventually([&] { return bitten.load(); }));
  BOOST_TEST(stage == "a stage that hangs");
}

BOOST_AUTO_TEST_CASE(a_watchdog_that_is_not_needed_goes_quietly) {
  std::atomic<bool> bitten{false};
  {
    watchdog dog({.complain_every = 1h, .total = 1h}, [&](const std::string&) { bitten = true; });
  }
  BOOST_TEST(!bitten);
}

BOOST_AUTO_TEST_CASE(the_service_manager_hears_that_the_node_is_ready) {
  temporary_directory directory;
  const auto path = directory.path + "/notify";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  BOOST_REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_service_manager("READY=1\nSTATUS=fine");
  char buffer[64] = {};
  BOOST_TEST(::recv(fd, buffer, sizeof buffer, 0) == 19);
  BOOST_TEST(std::string(buffer) == "READY=1\nSTATUS=fine");
  ::setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
  notify_service_manager("READY=1"); // nobody listens: no harm
  ::unsetenv("NOTIFY_SOCKET");
  ::close(fd);
}

BOOST_AUTO_TEST_CASE(sockets_meant_for_another_process_are_left_alone) {
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv("LISTEN_PID", "1", 1);
  BOOST_TEST(passed_sockets()->empty());
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "many", 1);
  BOOST_TEST((passed_sockets().error().code == errc::invalid_argument));
  ::setenv("LISTEN_FDS", "100000", 1);
  BOOST_TEST((passed_sockets().error().code == errc::invalid_argument));
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_PID");
  BOOST_TEST(passed_sockets()->empty());
}

BOOST_AUTO_TEST_SUITE_END()
