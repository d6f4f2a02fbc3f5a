// Every message type crosses the production configuration's serialisation and comes back equal; every message of
// every interface is made of registered types; no double that CAF cannot pack gets in.
#include "actors/protocol/protocol.hpp"

#include <limits>
#include <random>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/message.hpp>

#include <boost/test/unit_test.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/system_config.hpp"

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(protocol_test)
namespace {

struct fixture {
  system_config config{networking::control_socket};
  caf::actor_system system{config};

  std::vector<char> pack(const caf::message& message) {
    std::vector<char> out;
    caf::binary_serializer sink{system, out};
    auto copy = message;
    const auto problem = sink(copy);
    BOOST_REQUIRE_MESSAGE(!problem, describe(problem));
    return out;
  }
  caf::error unpack(const std::vector<char>& bytes, caf::message& into) {
    // Not source(into): CAF 0.17 loses a message's error on that way and leaves an empty message.
    caf::binary_deserializer source{system, bytes};
    return into.load(source);
  }
  template <class T>
  T round_trip(const T& value) {
    caf::message back;
    const auto problem = unpack(pack(caf::make_message(value)), back);
    BOOST_REQUIRE_MESSAGE(!problem, describe(problem));
    BOOST_REQUIRE(back.match_elements<T>());
    return back.get_as<T>(0);
  }
};

volume_uuid some_uuid() { return *volume_uuid::parse("01234567-89ab-4cde-8f01-23456789abcd"); }
std::string odd_text() { return std::string("tab\t nul \0 quote \" \xc3\xa9 end", 24); }

load_event sample_told() {
  return load_event(
      {"deployment", {event_scope::application, "shop"}, wall_time(microseconds(5)), microseconds(6), odd_text()});
}

// One value of each type with every field different from its default.
template <class T>
T sample();
template <>
byte_offset sample() {
  return byte_offset{~0ull};
}
template <>
byte_count sample() {
  return byte_count{1ull << 40};
}
template <>
volume_uuid sample() {
  return some_uuid();
}
template <>
volume_name sample() {
  return volume_name{"db-1"};
}
template <>
instance_id sample() {
  return instance_id{"web-1"};
}
template <>
error_info sample() {
  return error_info(error{errc::no_space, odd_text(), ENOSPC});
}
template <>
actor_report sample() {
  return {7, "3 in flight"};
}
template <>
actor_info sample() {
  return {"volume/db", "volumes", 42, actor_state::backing_off, 3, true, {9, "busy"}, -5, odd_text()};
}
template <>
io_data sample() {
  io_data out;
  out.bytes.resize(io_bytes_max);
  std::mt19937 random(7);
  for (auto& byte : out.bytes)
    byte = static_cast<std::uint8_t>(random());
  return out;
}
template <>
write_durability sample() {
  return write_durability::durable;
}
template <>
io_completion sample() {
  return {11, error_info(error{errc::io_failed, "x", EIO}), {{1, 2, 255}}};
}
template <>
step_completion sample() {
  return {12, error_info(error{errc::busy, "y", 0}), some_uuid()};
}
template <>
volume_ref sample() {
  return {"db"};
}
template <>
list_filter sample() {
  return list_filter::all;
}
template <>
reload_mode sample() {
  return reload_mode::follow;
}
template <>
reload_report sample() {
  return {3, 2, {"a"}, {"b"}, {"c"}, {"d"}, odd_text()};
}
template <>
reload_completion sample() {
  return {1, error_info(error{errc::busy, "z", 0}), sample<reload_report>()};
}
template <>
deletion sample() {
  return deletion::forced;
}
template <>
volume_access sample() {
  return volume_access::read_only;
}
template <>
volume_summary sample() {
  return {some_uuid(),
          volume_name{"db"},
          byte_count{1ull << 40},
          volume_state::writes_failed,
          cache_mode::direct,
          true,
          true,
          5,
          1'700'000'000'000'000,
          odd_text()};
}
template <>
volume_details sample() {
  return {sample<volume_summary>(), "a database", "/dev/x", true, 17, 18, 19, {instance_id{"a"}, instance_id{"b"}},
          20, true, {instance_id{"c"}}, instance_id{"d"}, {instance_id{"e"}}, true};
}
template <>
actors::volume_request sample() {
  return {volume_name{"db"}, byte_count{4096}, "text", "/dev/y", cache_mode::direct, true, true};
}
template <>
connection_info sample() {
  return {1, volume_name{"db"}, instance_id{"web"}, "unix:pid=4", byte_count{2}, true, 3, 4};
}
template <>
resize_report sample() {
  return {sample<volume_summary>(), {sample<connection_info>()}};
}
template <>
apply_report sample() {
  return {1, 2, 3, {"volume x: no", odd_text()}};
}
template <>
telemetry_snapshot sample() {
  telemetry_snapshot out;
  out.taken_us = 1;
  out.interval_s = 1.0001;
  volume_rates rates{
      some_uuid(), volume_name{"db"}, {1.5, 2e9, 0.25, 17.0, 1e6}, {1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, 2, 3};
  out.volumes = {rates, rates};
  out.rings = {{1, 2, 3, 4, 0.5, 12.25}};
  return out;
}
template <>
recording_number sample() {
  return recording_number{3};
}
template <>
recording_started sample() {
  return {recording_number{3}, sample<volume_summary>()};
}
template <>
record_batch sample() {
  record_batch out{{}, 5, true};
  for (std::uint32_t i = 0; i < record_batch_max; ++i)
    out.records.push_back({i * 1000ull, i * 4096ull, i, 2});
  return out;
}
template <>
node_status sample() {
  return {node_name{"alpha"},
          "0.1",
          node_state::serving,
          77,
          88,
          "/var/lib/gnomon",
          "clean",
          {"unix:/x"},
          {"c"},
          {"a"},
          1,
          2,
          3,
          {{0, 1, 2, 3, 0.25, 4.0}},
          {"a problem"},
          5,
          4,
          {"/io/rings"},
          {"/stage"}};
}
template <>
std::vector<actor_info> sample() {
  return {sample<actor_info>(), {}, sample<actor_info>()};
}
template <>
std::vector<volume_summary> sample() {
  return {sample<volume_summary>(), {}};
}
template <>
std::vector<connection_info> sample() {
  return {{}, sample<connection_info>()};
}

template <>
observed_chunk sample() {
  return {chunk_index{7}, true, instance_id{"web-1"}, 1, 2, 3, 4, 5, {1, 2, 3}, {0, 0, 7}};
}
template <>
observed sample() {
  return {1'700'000'000'000'000, {sample<observed_chunk>(), {}}};
}
template <>
heat_request sample() {
  return {3'600'000'000, 8, 32, 5};
}
template <>
heat_view sample() {
  heat_view out;
  out.name = volume_name{"db"}, out.uuid = some_uuid(), out.size = byte_count{1ull << 40};
  out.chunk_size = byte_count{1ull << 28}, out.chunk_count = 4096, out.known_chunks = 9;
  out.from_us = 1, out.to_us = 2, out.rows = 1, out.columns = 2, out.chart = {0.5, 1e9};
  out.requests = 3, out.bytes = 4e12, out.kinds = {{"rising", 3}};
  out.hottest = {{chunk_index{3}, "rising", 1.5, 2.5, 3.5, 4.5, 0.25, 99, {{1.5, 2.5}, {3.5, 4.5}}}};
  out.localities = {{instance_id{"web"}, 12, 0.75, {chunk_index{1}, chunk_index{2}}, {{9, 8}, {7, 6}}}};
  out.hot_sets = {{300'000'000, "learned", 0.9, 17, {{chunk_index{5}, 1e6, 250, true}}}};
  return out;
}
template <>
forecast_request sample() {
  return {subject_kind::instance, "web-1", load_kind::write_bytes};
}
template <>
forecast_view sample() {
  forecast_view out;
  out.subject = "db", out.kind = subject_kind::node, out.load = load_kind::bytes;
  out.start_us = 10, out.step_us = 60'000'000, out.past = {1.0, -1.0}, out.ahead = {2.0}, out.low = {1.0};
  out.high = {3.0}, out.planned = {2.5}, out.mean = 1.5, out.interval = 0.9;
  out.horizons = {{300'000'000, 96, 0.8, 0.9, "EWMA", 0.1, {{"last value", true, 1.0, 0.2}}}};
  out.periods_us = {86'400'000'000}, out.quiet = {{1, 2, 3.5, 0.1}}, out.busy = {{4, 5, 6.5, 2.5}};
  out.bursts = {{7'200'000'000, 100, 0.4, true}}, out.events = {{"deployment", 1, 2, 3.0}};
  out.past_slots = 100, out.observed_slots = 90, out.fitted_us = 5, out.fit_seconds = 0.25, out.enough_past = false;
  return out;
}
template <>
board_request sample() {
  return {"db"};
}
template <>
board_view sample() {
  const board_horizon horizon{300'000'000, {{load_kind::bytes, 1.5, 0.5, 2.5}}, 96, 0.8, 0.9, 100.5, 0.25, true};
  const board_hot_set hot{300'000'000, 0.75, 12.5, {{chunk_index{5}, 10.5, 4096.5, 0.9}}};
  board_volume volume;
  volume.name = volume_name{"db"}, volume.uuid = some_uuid(), volume.size = byte_count{1ull << 40};
  volume.chunk_size = byte_count{1ull << 28}, volume.fitted_us = 1, volume.heat_us = 2, volume.enough_past = true;
  volume.horizons = {horizon, {}}, volume.quiet = {{1, 2, 3.5, 0.1}}, volume.busy = {{4, 5, 6.5, 2.5}};
  volume.hot_sets = {hot}, volume.read_share_by_hour = {0.5, -1.0}, volume.chunks_known = 7, volume.users_known = 3;
  volume.chunks = {{chunk_index{3}, 1.5, 2.5, "rising", 3.5, 0.75, 9}};
  volume.users = {{instance_id{"web"}, "shop", 0.5, {horizon}, {hot}}, {}};
  return {1, 2, 3, 4, 5, 6, {"alpha", 7, 8, {horizon}}, {{"shop", 1, 2, {}}}, {volume, {}}};
}
template <>
fit_completion sample() {
  return {42};
}
template <>
instance_change sample() {
  return {true,         {true, "postgresql"}, {true, odd_text()}, {true, criticality::high},
          {true, 2000}, {true, 3'600'000'000}};
}
template <>
instance_summary sample() {
  return {instance_id{"web-1"},
          true,
          true,
          {"postgresql", criticality::low, 2000, 3'600'000'000, "rack 7"},
          3,
          1.5,
          4096.5,
          100,
          1e6,
          2,
          77};
}
template <>
std::vector<instance_summary> sample() {
  return {sample<instance_summary>(), {}};
}
template <>
instance_details sample() {
  instance_details out;
  out.summary = sample<instance_summary>(), out.allowed = {volume_name{"db"}};
  out.volumes = {{volume_name{"db"},
                  some_uuid(),
                  10,
                  4096,
                  0.5,
                  0.75,
                  3,
                  {{chunk_index{5}, 9, 0.9}},
                  {{300'000'000, "learned", 0.9, 17, {{chunk_index{5}, 1e6, 250, true}}}}}};
  out.from_us = 1, out.to_us = 2, out.past = {0.0, 1.5};
  out.predicted = {{300'000'000, 10.5, 8.5, 12.5}}, out.why_not_predicted = "no";
  return out;
}

template <>
event_id sample() {
  return event_id{1ull << 40};
}
template <>
event_source sample() {
  return event_source::http;
}
template <>
event_batch sample() {
  return {{sample_told(), {}, sample_told()}};
}
template <>
event_info sample() {
  event_info out;
  out.id = event_id{9};
  out.notice = sample_told();
  out.source = event_source::http;
  out.added_us = 77;
  return out;
}
template <>
events_added sample() {
  return {{sample<event_info>(), {}}, 12};
}
template <>
event_query sample() {
  return {event_when::planned, 1, 2, false, event_scope::instance, "web", 3, event_id{4}};
}
template <>
event_page sample() {
  return {std::vector<event_info>(event_page_max, sample<event_info>()), true};
}
template <>
event_completion sample() {
  return {13, error_info(error{errc::limit_reached, "z", 0}), sample<events_added>()};
}
template <>
import_terms sample() {
  return {volume_name{"db"}, some_uuid(), byte_count{1ull << 40}, byte_count{1ull << 28}, 4096, 5, 6, 7, 8};
}
template <>
import_note sample() {
  return {"0123abcd", odd_text(), -1, 2, 3, true, true, 4, -5};
}
template <>
history_rows sample() {
  import_slot slot;
  slot.start_us = 1'700'000'000'000'000, slot.seconds = 60;
  slot.rows = {{chunk_index{9}, 1, 2, 3, 4, 5}, {}};
  slot.elsewhere = {chunk_index{1}, ~0ull, 2, 3, 4, 5};
  return {"0123abcd", 7, {slot, {}}};
}
template <>
import_receipt sample() {
  return {12, ~0ull, 3, 4, -5};
}

template <>
snapshot_ref sample() {
  return {"0123abcd"};
}
template <>
snapshot_request sample() {
  return {{"db"}, odd_text()};
}
template <>
snapshot_info sample() {
  return {"id",       "parent", some_uuid(), volume_name{"db"}, byte_count{1ull << 40}, 3,  snapshot_state::failed,
          odd_text(), "note",   500,         6,                 7,                      8,  9,
          10,         11,       "nightly",   "cut",             true};
}
template <>
std::vector<snapshot_info> sample() {
  return {sample<snapshot_info>(), {}};
}
template <>
snapshot_query sample() {
  return {"db", "nightly"};
}
template <>
snapshot_check sample() {
  return {1, 2, 3, 4, {odd_text(), ""}};
}
template <>
restore_request sample() {
  return {{"0123abcd"}, volume_name{"copy"}};
}
template <>
restore_info sample() {
  return {some_uuid(), volume_name{"copy"}, "id", true, 5, 6, 7, 8, odd_text()};
}
template <>
std::vector<restore_info> sample() {
  return {sample<restore_info>(), {}};
}
template <>
rebuild_report sample() {
  return {1, 2, 3, {odd_text()}};
}
template <>
group_ref sample() {
  return {group_name{"nightly"}};
}
template <>
group_rule sample() {
  return {true, 60, 120, 3600, 250, 7, 24, 8, 4};
}
template <>
group_request sample() {
  return {group_name{"nightly"}, {{"a"}, {"b"}}, sample<group_rule>()};
}
template <>
group_change sample() {
  return {group_name{"nightly"}, 1, 60, -1, 3600, 250, 7, -1, 8, 0};
}
template <>
planned_layer sample() {
  return {1, 2, true, "quiet window", 0.25};
}
template <>
group_plan sample() {
  return {group_name{"nightly"}, true, odd_text(), 1, 2, {sample<planned_layer>(), {}}};
}
template <>
snapshot_diff_request sample() {
  return {"0123", {"4567"}, 65'536, 7};
}
template <>
diff_extent sample() {
  return {1, 2, true};
}
template <>
snapshot_diff sample() {
  return {"id", "other", byte_count{1ull << 40}, {sample<diff_extent>(), {}}, 3};
}
template <>
group_info sample() {
  group_info out;
  out.name = group_name{"nightly"}, out.rule = sample<group_rule>();
  out.members = {{some_uuid(), volume_name{"a"}, member_phase::capturing, "id", 8, 9, odd_text()}, {}};
  out.cut = "cut", out.cut_us = 10, out.span_us = 11, out.deadline_ms = 12, out.failure = odd_text();
  out.complete = 13, out.newest_complete_us = 14, out.next_us = 15, out.next = sample<planned_layer>();
  out.fallback = odd_text(), out.bound_s = 16, out.late = true, out.bytes = 17;
  return out;
}
template <>
std::vector<group_info> sample() {
  return {sample<group_info>(), {}};
}
template <>
snapshot_completion sample() {
  return {1ull << 40};
}

using block = caf::id_block::gnomon;

template <caf::type_id_t Id>
int check_one(fixture& f) {
  using type = typename caf::type_by_id<Id>::type;
  const auto value = sample<type>();
  BOOST_TEST_CONTEXT(caf::type_name_by_id<Id>::value) {
    BOOST_TEST((f.round_trip(value) == value));
    BOOST_TEST((f.round_trip(type{}) == type{}));
    if constexpr (!std::is_enum_v<type>)
      BOOST_TEST(!(value == type{})); // a sample of defaults would prove nothing
  }
  return 1;
}

template <std::size_t... I>
int check_all(fixture& f, std::index_sequence<I...>) {
  return (0 + ... + check_one<static_cast<caf::type_id_t>(block::begin + I)>(f));
}

template <class Handle>
void check_interface(fixture& f, const char* name) {
  const auto messages = f.system.message_types<Handle>();
  BOOST_TEST(messages.size() > 1u);
  for (const auto& message : messages)
    BOOST_TEST(message.find("?") == std::string::npos, name << ": " << message);
}

} // namespace

BOOST_FIXTURE_TEST_CASE(every_registered_type_survives_the_wire, fixture) {
  BOOST_TEST(check_all(*this, std::make_index_sequence<block::end - block::begin>{}) == block::end - block::begin);
}

BOOST_FIXTURE_TEST_CASE(every_interface_is_made_of_registered_types, fixture) {
  check_interface<supervised_actor>(*this, "supervised");
  check_interface<supervisor_actor>(*this, "supervisor");
  check_interface<volume_actor>(*this, "volume");
  check_interface<registry_actor>(*this, "registry");
  check_interface<alert_actor>(*this, "alerts");
  check_interface<telemetry_actor>(*this, "telemetry");
  check_interface<recorder_actor>(*this, "recorder");
  check_interface<observer_actor>(*this, "observer");
  check_interface<pattern_actor>(*this, "pattern");
  check_interface<forecaster_actor>(*this, "forecaster");
  check_interface<calendar_actor>(*this, "calendar");
  check_interface<importer_actor>(*this, "importer");
  check_interface<snapshots_actor>(*this, "snapshots");
  check_interface<group_actor>(*this, "group");
  check_interface<control_actor>(*this, "control");
}

BOOST_FIXTURE_TEST_CASE(errors_keep_code_words_and_errno, fixture) {
  for (unsigned code = 0; code <= static_cast<unsigned>(errc::internal); ++code) {
    const error before{static_cast<errc>(code), odd_text(), static_cast<int>(code)};
    const auto after = from_caf(round_trip(to_caf(before)));
    BOOST_TEST((after.code == before.code));
    BOOST_TEST(after.message == before.message);
    BOOST_TEST(after.os_errno == before.os_errno);
  }
}

BOOST_FIXTURE_TEST_CASE(what_caf_reports_has_a_code_that_callers_react_to, fixture) {
  BOOST_TEST((from_caf(caf::make_error(caf::sec::request_timeout)).code == errc::timed_out));
  BOOST_TEST((from_caf(caf::make_error(caf::sec::request_receiver_down)).code == errc::unavailable));
  BOOST_TEST((from_caf(caf::make_error(caf::exit_reason::kill)).code == errc::unavailable));
  BOOST_TEST((from_caf(caf::make_error(caf::sec::unexpected_actor_messaging_interface)).code == errc::unsupported));
  BOOST_TEST((from_caf(caf::error{}).code == errc::internal));
}

BOOST_FIXTURE_TEST_CASE(no_infinity_and_no_nan_enters_a_message, fixture) {
  using limits = std::numeric_limits<double>;
  BOOST_TEST(static_cast<double>(actors::finite(limits::infinity())) == limits::max());
  BOOST_TEST(static_cast<double>(actors::finite(-limits::infinity())) == -limits::max());
  BOOST_TEST(static_cast<double>(actors::finite(limits::quiet_NaN())) == 0.0);
  for (const double value : {0.0, -0.0, 1.0, -1e300, limits::max(), limits::lowest(), limits::min()}) {
    telemetry_snapshot snapshot;
    snapshot.interval_s = value;
    BOOST_TEST(static_cast<double>(round_trip(snapshot).interval_s) == value);
  }
}

// Truncated and damaged messages are refused or read as something else, but never crash or hang.
BOOST_FIXTURE_TEST_CASE(damaged_messages_do_no_harm, fixture) {
  std::mt19937 random(20'240'601);
  const auto whole = pack(caf::make_message(sample<node_status>(), sample<std::vector<volume_summary>>()));
  caf::message into;
  for (std::size_t length = 0; length < whole.size(); length += 7) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    BOOST_TEST(static_cast<bool>(unpack(cut, into)), length << " of " << whole.size() << " bytes");
  }
}

BOOST_AUTO_TEST_SUITE_END()
