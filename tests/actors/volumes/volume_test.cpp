// The in-process interface: typed reads and writes reach the data plane, limits hold, and death is never silence.
#include "actors/volumes/volume.hpp"

#include <caf/send.hpp>

#include <boost/test/unit_test.hpp>

#include "tests/actors/actor_fixture.hpp"

using namespace gnomon;
using namespace gnomon::actors;
using namespace gnomon::tests;

BOOST_AUTO_TEST_SUITE(volume_test)
namespace {

struct fixture : store_and_engine {
  system_config config{networking::none};
  caf::actor_system system{config};
  node_context node;
  volume_uuid uuid;
  volume_actor volume;

  fixture() {
    node.engine = engine.get();
    node.catalogue = catalogue.get();
    store::volume_request request;
    request.name = volume_name{"db"};
    request.size = byte_count{1 << 20};
    const auto record = value(catalogue->create(request));
    uuid = record.uuid;
    std::atomic<bool> open{false};
    engine->open_volume({.uuid = uuid, .name = record.name, .size = record.size}, [&](auto) { open = true; });
    BOOST_REQUIRE(eventually([&] { return open.load(); }));
    volume = caf::actor_cast<volume_actor>(spawn_volume(system, &node, uuid));
  }
  ~fixture() { caf::anon_send_exit(volume, caf::exit_reason::kill); }

  static io_data bytes(std::size_t length, std::uint8_t first = 1) {
    io_data out;
    for (std::size_t i = 0; i < length; ++i)
      out.bytes.push_back(static_cast<std::uint8_t>(first + i % 200));
    return out;
  }
  result<io_data> read(std::uint64_t offset, std::uint64_t length) {
    return ask<io_data>(system, volume, atom::read_v, byte_offset{offset}, byte_count{length});
  }
  result<atom::ok> write(std::uint64_t offset, const io_data& data) {
    return ask<atom::ok>(system, volume, atom::write_v, byte_offset{offset}, data, write_durability::durable);
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(what_was_written_is_read_back, fixture) {
  BOOST_REQUIRE(write(4096, bytes(8192)).has_value());
  const auto back = read(4096, 8192);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == bytes(8192)));
  BOOST_TEST(ask<atom::ok>(system, volume, atom::flush_v).has_value());
}

BOOST_FIXTURE_TEST_CASE(trimmed_and_zeroed_ranges_read_as_the_data_plane_says, fixture) {
  BOOST_REQUIRE(write(0, bytes(4096)).has_value());
  BOOST_REQUIRE(ask<atom::ok>(system, volume, atom::zero_v, byte_offset{0}, byte_count{2048}).has_value());
  BOOST_REQUIRE(ask<atom::ok>(system, volume, atom::trim_v, byte_offset{2048}, byte_count{2048}).has_value());
  BOOST_TEST((read(0, 4096)->bytes == std::vector<std::uint8_t>(4096, 0)));
}

BOOST_FIXTURE_TEST_CASE(errors_of_the_data_plane_arrive_with_their_code, fixture) {
  BOOST_TEST((read(1 << 20, 4096).error().code == errc::out_of_range));
}

BOOST_FIXTURE_TEST_CASE(requests_beyond_the_limits_are_refused, fixture) {
  BOOST_TEST((read(0, io_bytes_max + 1).error().code == errc::invalid_argument));
  BOOST_TEST((read(0, 0).error().code == errc::invalid_argument));
  BOOST_TEST((write(0, {}).error().code == errc::invalid_argument));
  io::local_request request;
  request.length = byte_count{512};
  BOOST_TEST(check_io(request, io_requests_max - 1).has_value());
  BOOST_TEST((check_io(request, io_requests_max).error().code == errc::limit_reached));
}

BOOST_FIXTURE_TEST_CASE(status_tells_record_and_data_plane, fixture) {
  const auto status = ask<volume_details>(system, volume, atom::status_v);
  BOOST_REQUIRE(status.has_value());
  BOOST_TEST((status->summary.state == volume_state::serving));
  BOOST_TEST(status->summary.size.value == (1u << 20));
  BOOST_TEST(status->path.find(uuid.to_string()) != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_killed_actor_answers_what_it_owes, fixture) {
  engine->hold();
  caf::scoped_actor self{system};
  for (int i = 0; i < 3; ++i)
    self->send(volume, atom::flush_v); // in flight without anybody waiting: must not disturb
  error why;
  bool answered = false;
  std::thread killer([&] {
    // The request is in flight once the report says so.
    BOOST_TEST(eventually([&] {
      const auto report = ask<actor_report>(system, volume, atom::report_v);
      return report && report->activity == "4 in flight";
    }));
    caf::anon_send_exit(volume, caf::exit_reason::kill);
  });
  self->request(volume, std::chrono::seconds{60}, atom::read_v, byte_offset{0}, byte_count{512})
      .receive([&](io_data&) {},
               [&](const caf::error& reason) {
                 answered = true;
                 why = from_caf(reason);
               });
  killer.join();
  BOOST_TEST(answered);
  BOOST_TEST((why.code == errc::unavailable));
  engine->release(); // the late answers of the data plane find nobody
}

BOOST_FIXTURE_TEST_CASE(it_can_be_asked_in_words, fixture) {
  const auto words = [&](std::string text) { return ask<std::string>(system, volume, atom::ask_v, text); };
  BOOST_REQUIRE(write(0, bytes(16, 0xa0)).has_value());
  BOOST_TEST(words("help")->find("read OFFSET LENGTH") != std::string::npos);
  BOOST_TEST(words("status")->find("db") != std::string::npos);
  BOOST_TEST(words("read 0 16")->find("a0 a1 a2") != std::string::npos);
  BOOST_TEST(words("flush").value() == "done");
  BOOST_TEST((words("dance").error().code == errc::invalid_argument));
  BOOST_TEST((words("read x 16").error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
