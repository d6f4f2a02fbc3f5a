// How endpoints are written, and which two cannot be listened on at once.
#include "config/endpoint.hpp"

#include <boost/test/unit_test.hpp>

using gnomon::endpoint;
using gnomon::listen_conflict;
using gnomon::parse_endpoint;
using gnomon::suggest_endpoint;

BOOST_AUTO_TEST_SUITE(endpoint_test)

BOOST_AUTO_TEST_CASE(every_endpoint_prints_as_it_was_written) {
  for (const std::string text :
       {"unix:/run/gnomon/nbd.sock", "unix:/x", "127.0.0.1:10809", "0.0.0.0:0", "[::1]:10809", "[::]:1",
        "[fe80::1%eth0]:10809", "localhost:65535", "node-7.example.com:10900", "my_host:80"}) {
    const auto parsed = parse_endpoint(text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_REQUIRE(parsed);
      BOOST_TEST(parsed->to_string() == text);
      BOOST_TEST(suggest_endpoint(text) == "");
    }
  }
  BOOST_TEST(parse_endpoint("[::1]:7")->host == "::1");
  BOOST_TEST(parse_endpoint("[::1]:7")->port == 7);
  BOOST_TEST((parse_endpoint("unix:/a b")->type == endpoint::kind::unix_socket));
  BOOST_TEST(parse_endpoint("unix:/a b")->path == "/a b");
}

BOOST_AUTO_TEST_CASE(what_is_no_endpoint_is_refused_with_what_may_have_been_meant) {
  struct row {
    std::string text, meant;
  };
  const row table[] = {
      {"", ""},
      {"10809", "127.0.0.1:10809"},
      {":10809", "0.0.0.0:10809"},
      {"*:10809", "0.0.0.0:10809"},
      {"::1:10809", "[::1]:10809"},
      {"/run/nbd.sock", "unix:/run/nbd.sock"},
      {"unix:///run/nbd.sock", "unix:/run/nbd.sock"},
      {"tcp://127.0.0.1:1", "127.0.0.1:1"},
      {"unix:nbd.sock", ""},
      {"unix:/", ""},
      {"unix:/run/../etc/x", ""},
      {"unix:/run/a\nb", ""},
      {"127.0.0.1", ""},
      {"127.0.0.1:", ""},
      {"127.0.0.1:65536", ""},
      {"127.0.0.1:080", ""},
      {"127.0.0.1:-1", ""},
      {"127.0.0.1:8o8o", ""},
      {"127.0.0.256:1", ""},
      {"1.2.3:1", ""},
      {"[127.0.0.1]:1", ""},
      {"[::g]:1", ""},
      {"[]:1", ""},
      {"-host:1", ""},
      {"a..b:1", ""},
      {"ho st:1", ""},
      {"host:1 ", ""},
      {std::string(254, 'h') + ":1", ""},
  };
  for (const auto& [text, meant] : table) {
    BOOST_TEST_CONTEXT(text) {
      const auto parsed = parse_endpoint(text);
      BOOST_REQUIRE(!parsed);
      BOOST_TEST((parsed.error().code == gnomon::errc::invalid_argument));
      BOOST_TEST(suggest_endpoint(text) == meant);
      if (!meant.empty())
        BOOST_TEST(parsed.error().message.ends_with("did you mean \"" + meant + "\"?"));
    }
  }
}

BOOST_AUTO_TEST_CASE(socket_paths_are_at_most_107_bytes) {
  const std::string fits = "/" + std::string(106, 'p');
  BOOST_TEST(parse_endpoint("unix:" + fits).has_value());
  const auto refused = parse_endpoint("unix:" + fits + "p");
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().message.find("has 108 bytes where unix(7) allows 107") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(one_process_cannot_listen_twice_on_the_same_place) {
  struct row {
    std::string a, b;
    bool conflict;
  };
  const row table[] = {
      {"127.0.0.1:1", "127.0.0.1:1", true},  {"127.0.0.1:1", "127.0.0.1:2", false},
      {"127.0.0.1:1", "127.0.0.2:1", false}, {"0.0.0.0:1", "127.0.0.1:1", true},
      {"localhost:1", "127.0.0.1:1", true},  {"[::]:1", "[::1]:1", true},
      {"[::1]:1", "127.0.0.1:1", false},     {"127.0.0.1:0", "127.0.0.1:0", false},
      {"unix:/a//b", "unix:/a/b", true},     {"unix:/a/./b", "unix:/a/b", true},
      {"unix:/a/b", "unix:/a/c", false},     {"unix:/a", "127.0.0.1:1", false},
  };
  for (const auto& [a, b, conflict] : table) {
    BOOST_TEST(listen_conflict(*parse_endpoint(a), *parse_endpoint(b)) == conflict, a << " and " << b);
    BOOST_TEST(listen_conflict(*parse_endpoint(b), *parse_endpoint(a)) == conflict, b << " and " << a);
  }
}

BOOST_AUTO_TEST_SUITE_END()
