// What an NBD client promises its callers, against this project's own server, nbdkit, qemu-nbd, and servers that lie.
#include "io/nbd/client.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/client_fixture.hpp"

extern char** environ;

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(client_test)
namespace {

using namespace test;
using admission = nbd_client::admission;

constexpr std::uint64_t mib = 1 << 20;

enum class form { simple, structured, extended };
std::ostream& operator<<(std::ostream& to, form f) {
  return to << (f == form::simple ? "simple" : f == form::structured ? "structured" : "extended");
}

nbd_client_options options_for(const std::string& socket, const std::string& name, form f = form::extended) {
  nbd_client_options o;
  o.to = unix_endpoint(socket);
  o.wishes = {name, f == form::extended, f != form::simple, f != form::simple};
  return o;
}

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes)
    b = static_cast<std::byte>(random());
  return bytes;
}

// Random requests, several under way at a time on ranges apart from each other, against a copy in memory.
void check_against_model(live_client& c, std::uint64_t size, std::uint64_t align, int rounds) {
  std::mt19937_64 random{test_seed()};
  std::vector<std::byte> model(size);
  auto& client = *c;
  constexpr std::size_t lanes = 4;
  const std::uint64_t lane_bytes = size / lanes;
  for (int round = 0; round < rounds; ++round) {
    std::array<live_client::pending, lanes> requests;
    std::array<std::vector<std::byte>, lanes> data;
    std::vector<std::future<live_client::answer>> answers;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      auto& r = requests[lane];
      const std::uint64_t length = std::min(lane_bytes, (1 + random() % (random() % 4 ? 32 : lane_bytes / align)) * align);
      r.offset = lane * lane_bytes + random() % ((lane_bytes - length) / align + 1) * align;
      r.length = length;
      data[lane] = random_bytes(random, length);
      r.data = data[lane].data();
      auto* const at = model.data() + r.offset;
      switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        r.op = operation::write;
        r.fua = random() % 8 == 0 && client.what().has(nbd::send_fua);
        std::copy(data[lane].begin(), data[lane].end(), at);
        break;
      case 3:
        if (client.what().has(nbd::send_write_zeroes)) {
          r.op = operation::zero;
          std::fill_n(at, length, std::byte{0});
          break;
        }
        [[fallthrough]];
      case 4:
        if (client.what().base_allocation) {
          r.op = operation::block_status;
          r.extents_max = random() % 2 ? 1 : 64;
          break;
        }
        [[fallthrough]];
      case 5:
        if (client.what().has(nbd::send_flush)) {
          r.op = operation::flush;
          r.offset = r.length = 0;
          break;
        }
        [[fallthrough]];
      default:
        r.op = operation::read;
      }
      answers.push_back(c.begin(r));
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const auto answer = answers[lane].get();
      const auto& r = requests[lane];
      BOOST_REQUIRE_MESSAGE(answer.admitted == admission::accepted && answer.error == 0,
                            to_string(r.op) << " at " << r.offset << "+" << r.length << ": error " << answer.error);
      if (r.op == operation::read)
        BOOST_REQUIRE_MESSAGE(std::equal(data[lane].begin(), data[lane].end(), model.begin() + static_cast<std::ptrdiff_t>(r.offset)),
                              "round " << round << ": other bytes at " << r.offset << "+" << r.length);
      if (r.op == operation::block_status) {
        std::uint64_t at = r.offset;
        BOOST_REQUIRE(!answer.extents.empty());
        for (const auto& e : answer.extents) {
          const std::uint64_t end = std::min(at + e.length_bytes, r.offset + r.length);
          if (e.zero)
            BOOST_REQUIRE(std::all_of(model.begin() + static_cast<std::ptrdiff_t>(std::min(at, end)),
                                      model.begin() + static_cast<std::ptrdiff_t>(end), [](std::byte b) { return b == std::byte{0}; }));
          at = end;
        }
      }
    }
  }
}

struct own_server {
  temporary_directory directory;
  std::unique_ptr<engine> e;
  std::string socket = directory.file("s");

  explicit own_server(std::uint64_t size) {
    engine_options o;
    o.io.rings = 1;
    e = engine::start(std::move(o)).value();
    volume_spec s;
    s.uuid = volume_uuid::random();
    s.name = volume_name{"v"};
    s.path = make_file(directory, "v", size);
    s.size = byte_count{size};
    BOOST_REQUIRE(wait_for([&](done_callback done) { e->open_volume(s, std::move(done)); }));
    BOOST_REQUIRE(e->listen(unix_endpoint(socket)));
  }
  ~own_server() { BOOST_CHECK(e->stop(std::chrono::seconds{10})); }
};

// Another project's server, while the object lives.
class foreign_server {
public:
  foreign_server(const std::string& socket, std::vector<std::string> command) {
    std::vector<char*> argv;
    for (auto& word : command)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    if (posix_spawnp(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
      pid_ = -1;
    while (pid_ > 0 && !accepts(socket)) { // the file is there before the server listens
      if (waitpid(pid_, nullptr, WNOHANG) == pid_)
        pid_ = -1;
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }
  ~foreign_server() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
  }
  bool runs() const { return pid_ > 0; }

private:
  static bool accepts(const std::string& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    BOOST_REQUIRE(socket.size() < sizeof address.sun_path);
    std::copy(socket.begin(), socket.end(), address.sun_path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return connected;
  }

  pid_t pid_ = -1;
};

} // namespace

// --- real servers

BOOST_DATA_TEST_CASE(what_this_projects_server_gives_is_what_was_written,
                     boost::unit_test::data::make({form::simple, form::structured, form::extended}), f) {
  own_server server(8 * mib);
  live_client c(options_for(server.socket, "v", f));
  const auto opened = c.wait_until_open();
  BOOST_REQUIRE_MESSAGE(opened, why(opened));
  BOOST_TEST((*c).what().size == 8 * mib);
  BOOST_TEST((*c).what().extended_headers == (f == form::extended));
  BOOST_TEST((*c).what().structured_replies == (f == form::structured));
  BOOST_TEST((*c).what().base_allocation.has_value() == (f != form::simple));
  check_against_model(c, 8 * mib, 1, 300);
  c.run([&](ring&) { (*c).drain(); });
  BOOST_TEST(c.wait_until_ended().has_value());
}

BOOST_DATA_TEST_CASE(what_nbdkit_gives_is_what_was_written,
                     boost::unit_test::data::make({form::simple, form::structured}), f) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  foreign_server server(socket, {"nbdkit", "-f", "-U", socket, "memory", "8M"});
  if (!server.runs()) {
    BOOST_TEST_MESSAGE("nbdkit is not there");
    return;
  }
  live_client c(options_for(socket, "", f));
  const auto opened = c.wait_until_open();
  BOOST_REQUIRE_MESSAGE(opened, why(opened));
  check_against_model(c, 8 * mib, 512, 200);
}

BOOST_DATA_TEST_CASE(what_qemu_nbd_gives_is_what_was_written,
                     boost::unit_test::data::make({form::simple, form::extended}), f) {
  temporary_directory directory;
  const std::string socket = directory.file("s"), file = make_file(directory, "v", 8 * mib);
  foreign_server server(socket, {"qemu-nbd", "-t", "-f", "raw", "-x", "q", "-k", socket, file});
  if (!server.runs()) {
    BOOST_TEST_MESSAGE("qemu-nbd is not there");
    return;
  }
  live_client c(options_for(socket, "q", f));
  const auto opened = c.wait_until_open();
  BOOST_REQUIRE_MESSAGE(opened, why(opened));
  check_against_model(c, 8 * mib, 512, 200);
}

BOOST_AUTO_TEST_CASE(an_error_of_the_server_reaches_the_request_it_belongs_to) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  foreign_server server(socket, {"nbdkit", "-f", "-U", socket, "--filter=error", "memory", "8M", "error-pwrite=ENOSPC",
                                 "error-pwrite-rate=100%"});
  if (!server.runs()) {
    BOOST_TEST_MESSAGE("nbdkit is not there");
    return;
  }
  live_client c(options_for(socket, ""));
  BOOST_REQUIRE(c.wait_until_open());
  std::vector<std::byte> data(4096);
  BOOST_TEST(c.ask(operation::write, 0, 4096, data.data()).error == ENOSPC);
  BOOST_TEST(c.ask(operation::read, 0, 4096, data.data()).error == 0);
}

// --- opening

BOOST_AUTO_TEST_CASE(a_connection_that_cannot_be_opened_says_why) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  {
    live_client nobody(options_for(socket, "v"));
    BOOST_TEST((nobody.wait_until_ended().error().code == errc::unavailable));
  }
  own_server server(mib);
  live_client other(options_for(server.socket, "w"));
  const auto refused = other.wait_until_ended();
  BOOST_TEST((refused.error().code == errc::not_found));
  BOOST_TEST(refused.error().message.find("export \"w\"") != std::string::npos);
  endpoint name;
  name.host = "a-name.invalid";
  name.port = 1;
  nbd_client_options o = options_for("", "v");
  o.to = name;
  live_client unresolved(o);
  BOOST_TEST((unresolved.wait_until_ended().error().code == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_server_that_says_nothing_is_given_up_in_time) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  scripted_server server(socket, [](auto&) {});
  auto o = options_for(socket, "v");
  o.open_timeout = std::chrono::milliseconds{50};
  live_client c(o);
  BOOST_TEST((c.wait_until_ended().error().code == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(something_else_than_an_nbd_server_is_told_from_one) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  scripted_server server(socket, [](auto& c) { c.give(std::vector<std::byte>(64, std::byte{'x'})); });
  live_client c(options_for(socket, "v"));
  BOOST_TEST((c.wait_until_ended().error().code == errc::corrupt));
}

BOOST_AUTO_TEST_CASE(the_second_address_is_tried_when_the_first_refuses) {
  own_server server(mib);
  auto o = options_for(server.socket, "v");
  temporary_directory directory;
  o.addresses = addresses_of(unix_endpoint(directory.file("nobody")), host_names::numeric_only).value();
  o.addresses.push_back(addresses_of(o.to, host_names::numeric_only).value()[0]);
  live_client c(o);
  BOOST_TEST(c.wait_until_open().has_value());
}

// --- requests

BOOST_AUTO_TEST_CASE(what_the_server_would_refuse_is_refused_here) {
  own_server server(mib);
  live_client c(options_for(server.socket, "v", form::simple));
  std::vector<std::byte> data(4096);
  BOOST_REQUIRE(c.wait_until_open());
  const auto refused = [&](operation op, std::uint64_t offset, std::uint64_t length, std::byte* at) {
    const auto answer = c.ask(op, offset, length, at);
    BOOST_TEST((answer.admitted == admission::refused));
    return answer.error;
  };
  BOOST_TEST(refused(operation::read, mib, 1, data.data()) == EINVAL);
  BOOST_TEST(refused(operation::read, 0, 0, data.data()) == EINVAL);
  BOOST_TEST(refused(operation::read, 0, 4096, nullptr) == EINVAL);
  BOOST_TEST(refused(operation::trim, 1, UINT64_MAX, nullptr) == EINVAL);
  BOOST_TEST(refused(operation::block_status, 0, 4096, nullptr) == ENOTSUP);
  c.run([&](ring&) { (*c).drain(); });
  BOOST_TEST(c.wait_until_ended().has_value());
  BOOST_TEST(refused(operation::read, 0, 4096, data.data()) == ENOTCONN);
}

BOOST_AUTO_TEST_CASE(above_its_limit_a_client_says_later_and_then_that_there_is_room) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  std::promise<void> go;
  scripted_server server(socket, [&](auto& c) {
    c.shake_hands(mib);
    std::vector<std::byte> out;
    for (int i = 0; i < 2; ++i) {
      std::vector<std::byte> one(nbd::simple_reply_bytes);
      nbd::encode_simple(one.data(), nbd::error::none, c.request().value());
      out.insert(out.end(), one.begin(), one.end());
    }
    go.get_future().wait();
    c.give(out);
  });
  auto o = options_for(socket, "v", form::simple);
  o.requests_in_flight_max = 2;
  live_client c(o);
  BOOST_REQUIRE(c.wait_until_open());
  std::array<live_client::pending, 3> flushes;
  for (auto& f : flushes)
    f.op = operation::flush;
  auto first = c.begin(flushes[0]), second = c.begin(flushes[1]), third = c.begin(flushes[2]);
  BOOST_TEST((third.get().admitted == admission::later));
  BOOST_TEST(c.rooms() == 0u);
  go.set_value();
  BOOST_TEST(first.get().error == 0);
  BOOST_TEST(second.get().error == 0);
  c.run([](ring&) {});
  BOOST_TEST(c.rooms() == 1u);
}

BOOST_AUTO_TEST_CASE(requests_of_a_lost_connection_are_lost_and_those_answered_are_not) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  scripted_server server(socket, [&](auto& c) {
    c.shake_hands(64 * mib);
    std::vector<std::byte> one(nbd::simple_reply_bytes);
    nbd::encode_simple(one.data(), nbd::error::none, c.request().value());
    c.give(one);
    for (int i = 0; i < 3; ++i)
      c.request();
    c.hang_up();
  });
  live_client c(options_for(socket, "v", form::simple));
  BOOST_REQUIRE(c.wait_until_open());
  std::vector<std::byte> data(32 * mib);
  std::array<live_client::pending, 5> all;
  for (auto& r : all)
    r.op = operation::flush;
  BOOST_TEST(c.begin(all[0]).get().error == 0);
  all[2].op = operation::read, all[2].length = data.size(), all[2].data = data.data();
  all[4].op = operation::write, all[4].length = data.size(), all[4].data = data.data(); // still on its way out
  std::vector<std::future<live_client::answer>> answers;
  for (std::size_t i = 1; i < all.size(); ++i)
    answers.push_back(c.begin(all[i]));
  for (auto& a : answers) {
    const auto answer = a.get();
    if (answer.admitted == admission::accepted)
      BOOST_TEST(answer.lost);
    BOOST_TEST(answer.error == ENOTCONN);
  }
  BOOST_TEST((c.wait_until_ended().error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_drained_client_answers_what_is_under_way_and_says_farewell) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  std::promise<nbd::command> last;
  std::promise<void> go;
  scripted_server server(socket, [&](auto& c) {
    c.shake_hands(mib);
    std::vector<std::byte> one(nbd::simple_reply_bytes);
    nbd::encode_simple(one.data(), nbd::error::none, c.request().value());
    go.get_future().wait();
    c.give(one);
    last.set_value(c.request() ? c.last->type : nbd::command::read);
  });
  live_client c(options_for(socket, "v", form::simple));
  BOOST_REQUIRE(c.wait_until_open());
  live_client::pending flush;
  flush.op = operation::flush;
  auto answer = c.begin(flush);
  c.run([&](ring&) { (*c).drain(); });
  go.set_value();
  BOOST_TEST(answer.get().error == 0);
  BOOST_TEST(c.wait_until_ended().has_value());
  BOOST_TEST((last.get_future().get() == nbd::command::disconnect));
}

// --- servers that lie: a read of 4096 bytes at 4096, and what comes back

namespace {

struct lie {
  const char* name;
  form f;
  std::function<std::vector<std::byte>(std::uint64_t cookie)> reply;
};
std::ostream& operator<<(std::ostream& to, const lie& l) { return to << l.name; }

std::vector<std::byte> data_chunk(std::uint64_t cookie, std::uint64_t offset, std::uint32_t length, bool last) {
  std::vector<std::byte> bytes(nbd::data_chunk_header_bytes + length);
  nbd::encode_data_header(bytes.data(), cookie, offset, length, last);
  return bytes;
}
std::vector<std::byte> hole_chunk(std::uint64_t cookie, std::uint64_t offset, std::uint32_t length, bool last) {
  std::vector<std::byte> bytes(nbd::hole_chunk_bytes);
  nbd::encode_hole(bytes.data(), cookie, offset, length, last);
  return bytes;
}
std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::vector<lie>& lies() {
  using bytes = std::vector<std::byte>;
  static const std::vector<lie> all{
      {"no magic", form::simple, [](auto) { return bytes(64, std::byte{1}); }},
      {"another request's", form::simple,
       [](auto cookie) {
         bytes b(16);
         nbd::encode_simple(b.data(), nbd::error::none, cookie + 1);
         return b;
       }},
      {"an earlier use of the slot", form::simple,
       [](auto cookie) {
         bytes b(16);
         nbd::encode_simple(b.data(), nbd::error::none, cookie - (std::uint64_t{1} << 32));
         return b;
       }},
      {"structured where simple was agreed on", form::simple, [](auto c) { return data_chunk(c, 4096, 4096, true); }},
      {"simple where structured was agreed on", form::structured,
       [](auto cookie) {
         bytes b(16 + 4096);
         nbd::encode_simple(b.data(), nbd::error::none, cookie);
         return b;
       }},
      {"data before the range", form::structured, [](auto c) { return data_chunk(c, 4095, 4096, true); }},
      {"data behind the range", form::structured, [](auto c) { return data_chunk(c, 8191, 2, true); }},
      {"data at the far end of numbers", form::structured, [](auto c) { return data_chunk(c, UINT64_MAX, 2, true); }},
      {"too much data", form::structured, [](auto c) { return data_chunk(c, 4096, 4097, true); }},
      {"a byte too few", form::structured, [](auto c) { return data_chunk(c, 4096, 4095, true); }},
      {"nothing at all", form::structured,
       [](auto c) {
         bytes b(nbd::chunk_header_bytes);
         nbd::encode_done(b.data(), c);
         return b;
       }},
      {"a part twice", form::structured,
       [](auto c) { return data_chunk(c, 4096, 2048, false) + data_chunk(c, 6143, 2049, true); }},
      {"a hole over data", form::structured,
       [](auto c) { return data_chunk(c, 4096, 2048, false) + hole_chunk(c, 4096, 4096, true); }},
      {"an empty hole", form::structured, [](auto c) { return hole_chunk(c, 4096, 0, true); }},
      {"too many parts", form::structured,
       [](auto c) {
         bytes b;
         for (std::uint64_t i = 0; i < 16; ++i)
           b = b + data_chunk(c, 4096 + i * 256, 128, false);
         return b;
       }},
      {"block status for a read", form::structured,
       [](auto c) {
         const extent e{4096, false, false};
         bytes b(nbd::block_status_bytes(1));
         nbd::encode_block_status(b.data(), c, 7, {&e, 1});
         return b;
       }},
      {"an unknown chunk", form::structured,
       [](auto c) {
         bytes b(nbd::chunk_header_bytes + 8);
         nbd::encode_chunk_header(b.data(), nbd::chunk_done, nbd::chunk{77}, c, 8);
         return b;
       }},
      {"an endless error", form::structured,
       [](auto c) {
         bytes b(nbd::chunk_header_bytes + 6);
         nbd::encode_chunk_header(b.data(), nbd::chunk_done, nbd::chunk::error, c, UINT32_MAX);
         return b;
       }},
      {"another offset than asked", form::extended,
       [](auto c) {
         bytes b(nbd::extended::data_chunk_header_bytes + 4096);
         nbd::extended::encode_data_header(b.data(), c, 4097, 4096, 4096, true);
         return b;
       }},
      {"a length beyond all memory", form::extended,
       [](auto c) {
         bytes b(nbd::extended::chunk_header_bytes + 8);
         nbd::extended::encode_chunk_header(b.data(), nbd::chunk_done, nbd::chunk::offset_data, c, 4096, UINT64_MAX);
         return b;
       }},
  };
  return all;
}

} // namespace

BOOST_DATA_TEST_CASE(a_reply_that_does_not_fit_its_request_ends_the_connection, boost::unit_test::data::make(lies()), l) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  scripted_server server(socket, [&](auto& c) {
    c.shake_hands(mib);
    c.give(l.reply(c.request().value()));
  });
  live_client c(options_for(socket, "v", l.f));
  BOOST_REQUIRE(c.wait_until_open());
  std::vector<std::byte> data(4096);
  BOOST_TEST(c.ask(operation::read, 4096, 4096, data.data()).lost);
  BOOST_TEST((c.wait_until_ended().error().code == errc::corrupt));
}

BOOST_AUTO_TEST_CASE(parts_in_any_order_make_a_whole_read) {
  temporary_directory directory;
  const std::string socket = directory.file("s");
  scripted_server server(socket, [&](auto& c) {
    c.shake_hands(mib);
    const auto cookie = c.request().value();
    auto tail = data_chunk(cookie, 4096 + 3000, 1096, false), head = data_chunk(cookie, 4096, 1000, true);
    std::fill(tail.begin() + nbd::data_chunk_header_bytes, tail.end(), std::byte{3});
    std::fill(head.begin() + nbd::data_chunk_header_bytes, head.end(), std::byte{1});
    for (const std::byte b : tail + hole_chunk(cookie, 4096 + 1000, 2000, false) + head)
      c.give({b}); // and in pieces of a byte
  });
  live_client c(options_for(socket, "v", form::structured));
  BOOST_REQUIRE(c.wait_until_open());
  std::vector<std::byte> data(4096, std::byte{9});
  BOOST_TEST(c.ask(operation::read, 4096, 4096, data.data()).error == 0);
  BOOST_TEST(std::all_of(data.begin(), data.begin() + 1000, [](std::byte b) { return b == std::byte{1}; }));
  BOOST_TEST(std::all_of(data.begin() + 1000, data.begin() + 3000, [](std::byte b) { return b == std::byte{0}; }));
  BOOST_TEST(std::all_of(data.begin() + 3000, data.end(), [](std::byte b) { return b == std::byte{3}; }));
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace gnomon::io
