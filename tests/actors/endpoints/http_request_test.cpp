// What the admin endpoint lets through before it does anything for a client.
#include "actors/endpoints/http_request.hpp"

#include <boost/test/unit_test.hpp>

#include "config/json.hpp"

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(http_request_test)
namespace {

std::string_view http_test_methods(std::string_view path) {
  return path == "/metrics" ? "GET, HEAD" : path == "/v1/events" ? "GET, HEAD, POST" : "";
}

http_head head_for(std::string_view method, std::string_view target) {
  http_head head;
  head.method = method, head.target = target;
  head.hosts = {"127.0.0.1:10880"};
  return head;
}

int status_for(const http_head& head, std::vector<std::string> names = {}) {
  const auto refused = refuse_http(head, parse_http_target(head.target), http_test_methods, names);
  if (refused)
    BOOST_TEST(parse_json(refused->body).has_value());
  return refused ? refused->status : 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(targets_are_taken_apart_and_decoded) {
  const auto plain = parse_http_target("/v1/events?from=in%202h&target=volume%3Adb&x=a+b&&flag#part");
  BOOST_REQUIRE(plain.has_value());
  BOOST_TEST(plain->path == "/v1/events");
  const query_parameters expected{{"from", "in 2h"}, {"target", "volume:db"}, {"x", "a b"}, {"flag", ""}};
  BOOST_TEST((plain->parameters == expected));
  for (const char* bad : {"", "*", "http://x/", "/%", "/%4", "/%zz", "/a%00b", "/?x=%0"})
    BOOST_TEST(!parse_http_target(bad).has_value(), bad);
  BOOST_TEST(!parse_http_target("/" + std::string(http_target_bytes_max, 'a')).has_value());
  std::string many = "/?";
  for (std::size_t i = 0; i <= http_parameters_max; ++i)
    many += "a=b&";
  BOOST_TEST(!parse_http_target(many).has_value());
}

BOOST_AUTO_TEST_CASE(a_name_that_was_pointed_here_is_not_this_node) {
  const std::vector<std::string> names{"alpha.example.com"};
  for (const char* own : {"127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:10880", "localhost:10880", "alpha", "t",
                          "alpha.example.com:1", "ALPHA.example.com", "alpha.example.com."})
    BOOST_TEST(is_own_host(own, names), own);
  for (const char* foreign : {"", ":80", "evil.example.com", "127.0.0.1.evil.com", "[::1", "[x]", "a:b", "alpha.example.com.evil"})
    BOOST_TEST(!is_own_host(foreign, names), foreign);
}

BOOST_AUTO_TEST_CASE(what_is_not_admitted_has_its_status) {
  BOOST_TEST(status_for(head_for("GET", "/metrics")) == 0);
  BOOST_TEST(status_for(head_for("POST", "/v1/events")) == 0);
  BOOST_TEST(status_for(head_for("GET", "/nothing")) == 404);
  BOOST_TEST(status_for(head_for("POST", "/metrics")) == 405);
  BOOST_TEST(status_for(head_for("ET", "/metrics")) == 405); // part of a method is none
  BOOST_TEST(status_for(head_for("GET", "/%")) == 400);
  BOOST_TEST(status_for(head_for("GET", "/" + std::string(3000, 'a'))) == 414);
  auto head = head_for("GET", "/metrics");
  head.hosts = {};
  BOOST_TEST(status_for(head) == 400);
  head.version = 10;
  BOOST_TEST(status_for(head) == 0);
  head.hosts = {"a", "b"};
  BOOST_TEST(status_for(head) == 400);
  head.hosts = {"evil.example.com"};
  BOOST_TEST(status_for(head) == 421);
  auto change = head_for("POST", "/v1/events");
  change.has_origin = true;
  BOOST_TEST(status_for(change) == 403);
  change.has_origin = false;
  change.has_content_encoding = true;
  BOOST_TEST(status_for(change) == 415);
  const auto wrong = head_for("PUT", "/v1/events");
  BOOST_TEST(refuse_http(wrong, parse_http_target(wrong.target), http_test_methods, {})->allow == "GET, HEAD, POST");
}

BOOST_AUTO_TEST_SUITE_END()
