#include "actors/volumes/descriptor_budget.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(descriptor_budget_test)

BOOST_AUTO_TEST_CASE(a_shortage_is_told_with_its_arithmetic) {
  BOOST_TEST(!descriptor_shortage(10'000, 20'000));
  BOOST_TEST(!descriptor_shortage(1000, 1000 + descriptors_kept));
  const auto short_of = descriptor_shortage(1000, 1000 + descriptors_kept - 1);
  BOOST_REQUIRE(short_of);
  for (const char* word : {"1000 volumes", "1256", "1255", "LimitNOFILE"})
    BOOST_TEST(short_of->find(word) != std::string::npos, *short_of);
}

BOOST_AUTO_TEST_SUITE_END()
