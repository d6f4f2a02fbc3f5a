#include "store/meta/schema.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(schema_test)
namespace {

wall_time at(std::int64_t seconds) { return wall_time(std::chrono::seconds(seconds)); }

node_record sample_node() { return {1, node_name("alpha"), at(1'700'000'000)}; }

volume_record plain_volume() {
  volume_record v;
  v.uuid = volume_uuid::parse("0f8fad5b-d9cb-469f-a165-70867728950e").value();
  v.name = volume_name("db");
  v.size = byte_count(8ull << 30);
  v.created = at(1'700'000'000);
  return v;
}

volume_record full_volume() {
  auto v = plain_volume();
  v.name = volume_name("journal");
  v.description = "write-ahead log of the orders database";
  v.external_path = "/dev/disk/by-id/nvme-1";
  v.cache = cache_mode::direct;
  v.read_only = v.shared = true;
  v.origin = volume_origin::config;
  v.clean = false;
  v.deleted_at = at(1'700'086'400);
  v.failure = write_failure{5, at(1'700'000'111)};
  v.revision = 42;
  return v;
}

volume_record opened_volume() {
  auto v = full_volume();
  v.opened = opening_evidence{"6b0a2f9e-5a1f-4c1c-9a64-6d5d0a3e1d11", "254:0 ext4 1234", 0x1122334455667788};
  v.doubt = volume_doubt{volume_doubt::reason::remounted, at(1'700'000'222)};
  return v;
}

calendar_event sample_event() {
  return {event_id{77},
          {"deployment", {event_scope::application, "shop"}, at(1'700'000'500), std::chrono::minutes(10), "v42"},
          event_source::http,
          at(1'700'000'400)};
}

// A released file never changes. GNOMON_WRITE_GOLDEN=1 writes the ones that do not exist yet.
bytes golden(const std::string& name, const bytes& encoded_now) {
  const std::string path = std::string(GNOMON_SOURCE_DIR) + "/tests/golden/store/" + name;
  if (std::getenv("GNOMON_WRITE_GOLDEN") && !path_exists(path))
    BOOST_REQUIRE(write_file_durably(path, encoded_now, 0644).has_value());
  auto content = read_small_file(path, 1 << 20);
  BOOST_REQUIRE_MESSAGE(content.has_value(), path << " is missing");
  return *content;
}

} // namespace

BOOST_AUTO_TEST_CASE(released_values_still_decode_and_are_still_written_alike) {
  const auto node = golden("node_v1.bin", encode(sample_node()));
  BOOST_TEST((decode_node(node, "golden").value() == sample_node()));
  BOOST_TEST((node == encode(sample_node())));
  const auto plain = golden("volume_v1_plain.bin", encode(plain_volume()));
  BOOST_TEST((decode_volume(plain, "golden").value() == plain_volume()));
  BOOST_TEST((decode_volume(golden("volume_v2_plain.bin", {}), "golden").value() == plain_volume()));
  const auto full = golden("volume_v1_full.bin", encode(full_volume()));
  BOOST_TEST((decode_volume(full, "golden").value() == full_volume()));
  auto restored = full_volume();
  restored.source.emplace().bytes.fill(7);
  const auto newer = golden("volume_v2_full.bin", {});
  BOOST_TEST((decode_volume(newer, "golden").value() == restored));
  const auto opened = golden("volume_v3_opened.bin", encode(opened_volume()));
  BOOST_TEST((decode_volume(opened, "golden").value() == opened_volume()));
  BOOST_TEST((opened == encode(opened_volume())));
  const auto event = golden("event_v1.bin", encode(sample_event()));
  BOOST_TEST((decode_event(event, "golden").value() == sample_event()));
  BOOST_TEST((event == encode(sample_event())));
  const auto counter = golden("event_counter_v1.bin", encode_event_counter(event_id{78}));
  BOOST_TEST((decode_event_counter(counter, "golden").value() == event_id{78}));
  BOOST_TEST((counter == encode_event_counter(event_id{78})));
}

BOOST_AUTO_TEST_CASE(impossible_events_are_corrupt_even_with_a_right_checksum) {
  const auto refused = [](auto change) {
    auto event = sample_event();
    change(event);
    CHECK_ERROR(decode_event(encode(event), "e"), errc::corrupt);
  };
  refused([](auto& e) { e.id = {}; });
  refused([](auto& e) { e.notice.type.clear(); });
  refused([](auto& e) { e.notice.type.assign(event_type_length_max + 1, 'x'); });
  refused([](auto& e) { e.notice.type = "a\nb"; });
  refused([](auto& e) { e.notice.target.name.clear(); });
  refused([](auto& e) { e.notice.target.scope = event_scope::everything; });
  refused([](auto& e) { e.notice.duration = microseconds(-1); });
  refused([](auto& e) { e.notice.note = "\xff"; });
  CHECK_ERROR(decode_event_counter(encode_event_counter(event_id{0}), "c"), errc::corrupt);
  CHECK_ERROR(decode_event(encode_event_counter(event_id{1}), "e"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_newer_record_is_unsupported_and_named) {
  const auto newer = seal_value(value_type::volume, volume_record_version + 1, as_bytes("whatever comes"));
  auto decoded = decode_volume(newer, "volume 0f8f");
  CHECK_ERROR(decoded, errc::unsupported);
  BOOST_TEST(decoded.error().message.find("volume 0f8f") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(impossible_volumes_are_corrupt_even_with_a_right_checksum) {
  auto nameless = plain_volume();
  nameless.name = {};
  CHECK_ERROR(decode_volume(encode(nameless), "v"), errc::corrupt);
  auto nil = plain_volume();
  nil.uuid = {};
  CHECK_ERROR(decode_volume(encode(nil), "v"), errc::corrupt);
  auto odd = plain_volume();
  odd.size = byte_count(1000);
  CHECK_ERROR(decode_volume(encode(odd), "v"), errc::corrupt);
  auto huge = plain_volume();
  huge.size = byte_count(volume_bytes_max + sector_bytes);
  CHECK_ERROR(decode_volume(encode(huge), "v"), errc::corrupt);
  auto long_name = plain_volume();
  long_name.name = volume_name(std::string(volume_name_length_max + 1, 'n'));
  CHECK_ERROR(decode_volume(encode(long_name), "v"), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(any_volume_survives_a_round_trip) {
  auto random = seeded("any_volume_survives_a_round_trip");
  for (int round = 0; round < 2000; ++round) {
    auto v = below(random, 2) ? full_volume() : plain_volume();
    v.uuid = volume_uuid::random();
    v.name = volume_name(
        std::string(1 + below(random, volume_name_length_max), static_cast<char>('a' + below(random, 26))));
    v.description.assign(below(random, description_length_max + 1), static_cast<char>(random()));
    v.size = byte_count(below(random, volume_bytes_max / sector_bytes) * sector_bytes);
    v.created = wall_time(microseconds(static_cast<std::int64_t>(random())));
    v.revision = random();
    auto decoded = decode_volume(encode(v), "v");
    REQUIRE_OK(decoded);
    BOOST_REQUIRE((*decoded == v));
  }
}

// The checksum is repaired after the damage, so that the field decoder itself meets the hostile bytes.
BOOST_AUTO_TEST_CASE(hostile_payloads_with_right_checksums_never_crash) {
  auto random = seeded("hostile_payloads");
  const auto event = encode(sample_event());
  for (int round = 0; round < 20'000; ++round) {
    bytes payload(event.begin() + value_header_bytes, event.end());
    for (auto flips = below(random, 4); flips-- > 0;)
      payload[below(random, payload.size())] = static_cast<std::byte>(random());
    payload.resize(below(random, 2) ? payload.size() : below(random, payload.size()));
    auto decoded = decode_event(seal_value(value_type::event, 1, payload), "e");
    BOOST_REQUIRE(decoded.has_value() || decoded.error().code == errc::corrupt);
  }
  const auto good = encode(opened_volume());
  for (int round = 0; round < 20'000; ++round) {
    bytes payload(good.begin() + value_header_bytes, good.end());
    for (auto flips = below(random, 4); flips-- > 0;)
      payload[below(random, payload.size())] = static_cast<std::byte>(random());
    payload.resize(below(random, 2) ? payload.size() : below(random, payload.size()));
    auto decoded = decode_volume(seal_value(value_type::volume, volume_record_version, payload), "v");
    BOOST_REQUIRE(decoded.has_value() || decoded.error().code == errc::corrupt);
  }
}

BOOST_AUTO_TEST_SUITE_END()
