// The HTTP server against clients that misbehave: every limit has its answer, and nobody shuts out a prompt client.
#include "actors/endpoints/http_server.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace gnomon::actors;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(http_server_test)
namespace {

std::string_view server_test_methods(std::string_view path) {
  return path == "/large" || path == "/small" || path == "/never" ? "GET, HEAD, POST" : "";
}

class link_to {
public:
  explicit link_to(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(port), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~link_to() { ::close(fd_); }
  link_to(const link_to&) = delete;
  bool send(std::string_view bytes) const { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0; }
  // Until the server closes.
  std::string read_all() const {
    std::string out;
    char part[65'536];
    for (ssize_t got; (got = ::recv(fd_, part, sizeof part, 0)) > 0;)
      out.append(part, static_cast<std::size_t>(got));
    return out;
  }
  // Until `what` came, or the server closes.
  std::string read_until(std::string_view what) const {
    std::string out;
    for (char c; out.find(what) == out.npos && ::recv(fd_, &c, 1, 0) == 1;)
      out += c;
    return out;
  }

private:
  int fd_;
};

struct fixture {
  std::unique_ptr<http_server> server;
  const std::shared_ptr<const std::string> large = std::make_shared<const std::string>(32u << 20, 'x');

  void open(http_limits limits = {}) {
    http_server::options how;
    how.limits = limits;
    how.methods = server_test_methods;
    how.handler = [this](http_request request, http_respond respond) {
      if (request.target.path == "/large")
        respond({200, large, "text/plain", 0});
      else if (request.target.path == "/small")
        respond({200, std::make_shared<const std::string>("ok " + request.body), "text/plain", 0});
    };
    endpoint where;
    where.host = "127.0.0.1";
    auto made = http_server::open(where, std::move(how));
    BOOST_REQUIRE(made.has_value());
    server = std::move(*made);
  }
  std::uint16_t port() const { return server->bound().port; }
  std::string ask(std::string_view request) const {
    link_to link(port());
    BOOST_REQUIRE(link.send(request));
    return link.read_all();
  }
  bool answers() const {
    return ask("GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200");
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(requests_follow_each_other_on_one_connection, fixture) {
  open();
  link_to link(port());
  BOOST_REQUIRE(link.send("GET /small HTTP/1.1\r\nHost: x\r\n\r\nGET /small HTTP/1.1\r\nHost: x\r\n\r\n"));
  BOOST_TEST(link.read_until("ok ").starts_with("HTTP/1.1 200"));
  BOOST_TEST(link.read_until("ok ").find("HTTP/1.1 200") != std::string::npos);
  BOOST_REQUIRE(link.send("POST /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
  BOOST_TEST(link.read_until("100 Continue").find("100 Continue") != std::string::npos);
  BOOST_REQUIRE(link.send("body"));
  BOOST_TEST(link.read_until("ok body").find("200") != std::string::npos);
  BOOST_REQUIRE(link.send("HEAD /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  const auto head = link.read_all();
  BOOST_TEST(head.find("Content-Length: 33554432") != std::string::npos);
  BOOST_TEST(head.ends_with("\r\n\r\n"));
}

BOOST_FIXTURE_TEST_CASE(what_has_no_end_is_answered_and_ended, fixture) {
  open();
  BOOST_TEST(ask("GET /" + std::string(100'000, 'a')).starts_with("HTTP/1.1 431"));
  BOOST_TEST(ask("GET /small HTTP/1.1\r\nX: " + std::string(100'000, 'a')).starts_with("HTTP/1.1 431"));
  BOOST_TEST(ask("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n").starts_with("HTTP/1.1 413"));
  BOOST_TEST(ask("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" +
                 std::string(0x200000, 'b') + "\r\n0\r\n\r\n")
                 .starts_with("HTTP/1.1 413"));
  BOOST_TEST(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
  BOOST_TEST(ask("GET /small HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400")); // no Host
  BOOST_TEST(answers());
}

BOOST_FIXTURE_TEST_CASE(trickling_and_idle_clients_give_way_to_a_prompt_one, fixture) {
  http_limits few;
  few.connections_max = 8;
  open(few);
  std::vector<std::unique_ptr<link_to>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<link_to>(port()));
    BOOST_REQUIRE(slow.back()->send(i % 2 ? "GET /small HTT" : "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  BOOST_TEST(answers());
  BOOST_TEST(server->counters().displaced > 0u);
}

BOOST_FIXTURE_TEST_CASE(a_head_that_takes_too_long_is_ended, fixture) {
  http_limits quick;
  quick.head_time = 100ms;
  open(quick);
  link_to link(port());
  BOOST_REQUIRE(link.send("GET /small HTTP/1.1\r\nX-A: "));
  std::thread trickle([&] {
    for (int i = 0; i < 10 && link.send("a"); ++i)
      std::this_thread::sleep_for(30ms);
  });
  BOOST_TEST(link.read_all().empty());
  trickle.join();
  BOOST_TEST(server->counters().timed_out == 1u);
}

BOOST_FIXTURE_TEST_CASE(clients_that_do_not_read_share_a_bound_of_answers, fixture) {
  open(); // two answers of 32 MiB fit, a third one displaces the oldest
  std::vector<std::unique_ptr<link_to>> readers;
  for (int i = 0; i < 6; ++i) {
    readers.push_back(std::make_unique<link_to>(port()));
    BOOST_REQUIRE(readers.back()->send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  BOOST_TEST(answers());
  BOOST_TEST(readers.back()->read_until("\r\n\r\n").starts_with("HTTP/1.1 200"));
}

BOOST_FIXTURE_TEST_CASE(the_end_waits_for_nobody, fixture) {
  open();
  link_to waits(port()), trickles(port()), does_not_read(port());
  BOOST_REQUIRE(waits.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n"));
  BOOST_REQUIRE(trickles.send("GET /sm"));
  BOOST_REQUIRE(does_not_read.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  BOOST_TEST(answers());
  server.reset(); // returns
  BOOST_TEST(waits.read_all().empty());
}

BOOST_AUTO_TEST_SUITE_END()
