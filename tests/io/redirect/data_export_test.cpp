// The names by which gateways log in survive their codec; anything else is none.
#include <boost/test/unit_test.hpp>

#include "io/redirect/data_export.hpp"
#include "tests/support/seeded.hpp"

using namespace gnomon;
using namespace gnomon::io;

BOOST_AUTO_TEST_SUITE(data_export_test)

BOOST_AUTO_TEST_CASE(a_login_reads_back_as_it_was_written_and_a_spoilt_one_never_as_the_same) {
  gnomon::io::test::random_source random{gnomon::io::test::seed_for("data_export")};
  for (int i = 0; i < 200; ++i) {
    const auto volume = volume_uuid::random();
    const session::session_id id{random.below(~std::uint64_t{0})};
    session::proof proven{};
    for (auto& b : proven)
      b = static_cast<std::byte>(random.below(256));
    const auto name = data_export_name(volume, id, proven, data_use::changes);
    const auto read = parse_data_export(name);
    BOOST_REQUIRE(read);
    BOOST_CHECK(read->volume == volume && read->session == id && read->proven == proven &&
                read->use == data_use::changes);
    auto spoilt = name;
    const auto at = random.below(spoilt.size());
    spoilt[at] = spoilt[at] == '0' ? '1' : '0';
    const auto other = parse_data_export(spoilt);
    BOOST_CHECK(!other || !(other->volume == volume && other->session == id && other->proven == proven));
    BOOST_CHECK(!parse_data_export(name.substr(1)));
    BOOST_CHECK(!parse_data_export(name + "x"));
  }
  BOOST_CHECK(!parse_data_export(""));
  BOOST_CHECK(!parse_data_export("db"));
}

BOOST_AUTO_TEST_SUITE_END()
