#include "store/history/codec.hpp"

#include <boost/test/unit_test.hpp>

#include "store/lmdb/codec.hpp"
#include "store/meta/schema.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(history_codec_test)
namespace {

std::uint64_t any_number(std::mt19937_64& random) { return random() >> below(random, 64) * below(random, 2); }

std::vector<stored_row> random_rows(std::mt19937_64& random) {
  std::vector<stored_row> rows;
  const bool wild = below(random, 2);
  for (auto left = below(random, 400); left > 0; --left) {
    stored_row row{static_cast<std::uint32_t>(below(random, wild ? UINT32_MAX : 8)),
                   static_cast<std::uint32_t>(below(random, 3)),
                   static_cast<std::uint32_t>(below(random, 96)),
                   {}};
    row.counters = {below(random, 100), below(random, 50), below(random, 100) * 4096, below(random, 50) * 512,
                    below(random, 20)};
    if (wild)
      row.counters = {any_number(random), any_number(random), any_number(random), any_number(random),
                      any_number(random)};
    rows.push_back(row);
  }
  normalize(rows);
  return rows;
}

} // namespace

BOOST_AUTO_TEST_CASE(any_rows_come_back_as_they_were) {
  auto random = seeded("any_rows_come_back_as_they_were");
  for (int round = 0; round < 3000; ++round) {
    const auto rows = random_rows(random);
    std::vector<stored_row> decoded;
    REQUIRE_OK(decode_rows(encode_rows(rows), "rows", decoded));
    BOOST_REQUIRE((decoded == rows));
  }
  const std::uint64_t most = ~0ull;
  const std::vector<stored_row> extremes{{0, 0, 0, {most, 0, most, 0, most}},
                                         {0, 0, 95, {0, most, 0, most, 0}},
                                         {UINT32_MAX, UINT32_MAX, 0, {1, 1, 1, 1, 1}}};
  std::vector<stored_row> decoded;
  REQUIRE_OK(decode_rows(encode_rows(extremes), "rows", decoded));
  BOOST_TEST((decoded == extremes));
}

BOOST_AUTO_TEST_CASE(the_same_slot_twice_is_added_up) {
  std::vector<stored_row> rows{
      {2, 0, 1, {1, 2, 3, 4, 5}}, {1, 0, 0, {1, 0, 0, 0, 0}}, {2, 0, 1, {10, 20, 30, 40, 50}}};
  normalize(rows);
  BOOST_TEST(rows.size() == 2u);
  BOOST_TEST((rows[1].counters == access_counters{11, 22, 33, 44, 55}));
}

BOOST_AUTO_TEST_CASE(damaged_payloads_are_errors_or_rows_but_never_crashes) {
  auto random = seeded("damaged_payloads");
  int refused = 0;
  std::vector<std::byte> whole;
  for (int round = 0; round < 20'000; ++round) {
    if (round % 10 == 0)
      whole = encode_rows(random_rows(random));
    auto payload = whole;
    if (round % 3 == 0)
      payload.resize(below(random, payload.size() + 1));
    for (auto flips = below(random, 5); flips > 0 && !payload.empty(); --flips)
      payload[below(random, payload.size())] = static_cast<std::byte>(random());
    std::vector<stored_row> rows{{7, 7, 7, {}}};
    auto decoded = decode_rows(payload, "rows", rows);
    if (!decoded) {
      BOOST_REQUIRE(decoded.error().code == errc::corrupt);
      BOOST_REQUIRE(rows.size() == 1);
      ++refused;
    }
  }
  BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_CASE(a_small_value_cannot_claim_much_memory) {
  field_writer w;
  for (const auto v : {history_block_rows_max, std::size_t{1}, std::size_t{0}, std::size_t{0}})
    w.varint(v);
  w.u64(~0ull);
  std::vector<stored_row> rows;
  CHECK_ERROR(decode_rows(w.payload(), "rows", rows), errc::corrupt);
  BOOST_TEST(rows.capacity() == 0u);
}

BOOST_AUTO_TEST_CASE(released_blocks_still_decode_and_are_still_written_alike) {
  std::vector<stored_row> rows;
  for (std::uint32_t chunk : {3u, 4u, 70u})
    for (std::uint32_t slot = 0; slot < 72; slot += 1 + chunk % 3)
      rows.push_back(
          {chunk,
           chunk % 2,
           slot,
           {100 + slot * chunk % 17, slot % 5, (100 + slot * chunk % 17) * 8192, slot % 5 * 4096, slot % 7}});
  const auto now = seal_value(value_type::history_block, history_block_version, encode_rows(rows));
  const std::string path = std::string(GNOMON_SOURCE_DIR) + "/tests/golden/store/history_block_v1.bin";
  if (std::getenv("GNOMON_WRITE_GOLDEN") && !path_exists(path))
    BOOST_REQUIRE(write_file_durably(path, now, 0644).has_value());
  const auto golden = read_small_file(path, 1 << 20);
  REQUIRE_OK(golden);
  auto opened = open_value(*golden, value_type::history_block, history_block_version, "golden");
  REQUIRE_OK(opened);
  std::vector<stored_row> decoded;
  REQUIRE_OK(decode_rows(opened->payload, "golden", decoded));
  BOOST_TEST((decoded == rows));
  BOOST_TEST((*golden == now));
}

BOOST_AUTO_TEST_SUITE_END()
