// What a config changes and which step brings a volume in line: decisions only, no actors.
#include "actors/volumes/volume_plan.hpp"

#include <boost/test/unit_test.hpp>

using namespace gnomon;
using namespace gnomon::actors;

BOOST_AUTO_TEST_SUITE(volume_plan_test)
namespace {

store::volume_record record(std::string name, std::uint64_t size) {
  store::volume_record out;
  out.uuid = volume_uuid::random();
  out.name = volume_name{std::move(name)};
  out.size = byte_count{size};
  out.origin = store::volume_origin::config;
  return out;
}
io::volume_status status(const store::volume_record& r) {
  io::volume_status out;
  out.spec.uuid = r.uuid;
  out.spec.name = r.name;
  out.spec.size = r.size;
  out.spec.read_only = r.read_only;
  out.spec.description = r.description;
  return out;
}
volume_settings wanted(std::string name, std::uint64_t size) {
  volume_settings out;
  out.name = volume_name{std::move(name)};
  out.size = byte_count{size};
  return out;
}
settings config(std::vector<volume_settings> volumes) {
  settings out;
  out.volumes = std::move(volumes);
  return out;
}
constexpr std::uint64_t GiB = 1ull << 30;

} // namespace

BOOST_AUTO_TEST_CASE(a_volume_is_marked_before_it_is_opened) {
  auto r = record("db", GiB);
  BOOST_TEST((next_step(r, std::nullopt) == volume_step::mark_unclean));
  r.clean = false;
  BOOST_TEST((next_step(r, std::nullopt) == volume_step::open));
  BOOST_TEST((next_step(r, status(r)) == volume_step::none));
}

BOOST_AUTO_TEST_CASE(what_the_catalogue_does_not_know_is_closed) {
  const auto r = record("db", GiB);
  BOOST_TEST((next_step(std::nullopt, status(r)) == volume_step::close));
  BOOST_TEST((next_step(std::nullopt, std::nullopt) == volume_step::none));
}

BOOST_AUTO_TEST_CASE(each_difference_has_its_step) {
  const auto before = record("db", GiB);
  auto grown = before;
  grown.size = byte_count{2 * GiB};
  BOOST_TEST((next_step(grown, status(before)) == volume_step::resize));
  auto renamed = before;
  renamed.name = volume_name{"other"};
  BOOST_TEST((next_step(renamed, status(before)) == volume_step::rename));
  auto read_only = before;
  read_only.read_only = true;
  BOOST_TEST((next_step(read_only, status(before)) == volume_step::set_read_only));
  BOOST_TEST((next_step(before, status(read_only)) == volume_step::set_read_only));
  auto described = before;
  described.description = "orders";
  BOOST_TEST((next_step(described, status(before)) == volume_step::set_description));
  BOOST_TEST((next_step(before, status(described)) == volume_step::set_description));
}

BOOST_AUTO_TEST_CASE(what_was_opened_read_only_is_opened_again_for_writing) {
  auto r = record("db", GiB);
  r.read_only = true;
  auto opened = status(r);
  opened.opened_read_only = true;
  BOOST_TEST((next_step(r, opened) == volume_step::none));
  r.read_only = false;
  BOOST_TEST((next_step(r, opened) == volume_step::close));
}

BOOST_AUTO_TEST_CASE(a_failed_fsync_is_not_undone_by_bringing_in_line) {
  auto r = record("db", GiB);
  auto failed = status(r);
  failed.spec.writes_failed = true;
  BOOST_TEST((next_step(r, failed) == volume_step::record_failure)); // nothing else is done to it before
  r.failure.emplace();
  failed.failure_recorded = false; // the volume's core waits for the record
  BOOST_TEST((next_step(r, failed) == volume_step::record_failure));
  failed.failure_recorded = true;
  BOOST_TEST((next_step(r, failed) == volume_step::none));
}

BOOST_AUTO_TEST_CASE(a_missing_volume_is_created_as_the_config_says) {
  auto volume = wanted("db", GiB);
  volume.cache = cache_mode::direct;
  volume.shared = true;
  volume.path = "/dev/x";
  const auto plan = plan_config(config({volume}), {}, {});
  BOOST_REQUIRE(plan.create.size() == 1u);
  BOOST_TEST((plan.create[0].cache == cache_mode::direct));
  BOOST_TEST(plan.create[0].shared);
  BOOST_TEST((plan.create[0].external_path == "/dev/x"));
  BOOST_TEST((plan.create[0].origin == store::volume_origin::config));
}

BOOST_AUTO_TEST_CASE(growing_is_done_and_shrinking_refused) {
  const auto small = record("small", GiB), big = record("big", 2 * GiB), same = record("same", GiB);
  const auto plan = plan_config(config({wanted("small", 2 * GiB), wanted("big", GiB), wanted("same", GiB)}),
                                {small, big, same}, {});
  BOOST_REQUIRE(plan.grow.size() == 1u);
  BOOST_TEST((plan.grow[0].volume == small.uuid));
  BOOST_TEST(plan.grow[0].size.value == 2 * GiB);
  BOOST_REQUIRE(plan.refused.size() == 1u);
  BOOST_TEST(plan.refused[0].find("volume big") != std::string::npos);
  BOOST_TEST(plan.refused[0].find("shrink") != std::string::npos);
  BOOST_TEST(plan.create.empty());
}

BOOST_AUTO_TEST_CASE(cache_mode_and_sharing_change_only_while_closed) {
  const auto r = record("db", GiB);
  auto volume = wanted("db", GiB);
  volume.cache = cache_mode::direct;
  const auto closed = plan_config(config({volume}), {r}, {});
  BOOST_REQUIRE(closed.updates.size() == 1u);
  BOOST_TEST((closed.updates[0].changes.cache == cache_mode::direct));
  BOOST_TEST(closed.refused.empty());
  const auto open = plan_config(config({volume}), {r}, {status(r)});
  BOOST_TEST(open.updates.empty());
  BOOST_TEST(open.refused.size() == 1u);
}

BOOST_AUTO_TEST_CASE(read_only_and_description_change_at_any_time) {
  const auto r = record("db", GiB);
  auto volume = wanted("db", GiB);
  volume.read_only = true;
  volume.description = "new";
  const auto plan = plan_config(config({volume}), {r}, {status(r)});
  BOOST_REQUIRE(plan.updates.size() == 1u);
  BOOST_TEST((plan.updates[0].changes.read_only == true));
  BOOST_TEST((plan.updates[0].changes.description == "new"));
  BOOST_TEST(!plan.updates[0].changes.cache.has_value());
}

BOOST_AUTO_TEST_CASE(data_does_not_move_to_another_path) {
  const auto r = record("db", GiB);
  auto volume = wanted("db", GiB);
  volume.path = "/dev/y";
  const auto plan = plan_config(config({volume}), {r}, {});
  BOOST_TEST(plan.refused.size() == 1u);
  BOOST_TEST((plan.create.empty() && plan.grow.empty() && plan.updates.empty()));
}

BOOST_AUTO_TEST_CASE(volumes_that_are_not_in_the_config_are_left_alone) {
  const auto plan = plan_config(config({}), {record("by-hand", GiB)}, {});
  BOOST_TEST((plan.create.empty() && plan.grow.empty() && plan.updates.empty() && plan.refused.empty()));
}

BOOST_AUTO_TEST_CASE(a_volume_that_went_from_the_config_is_not_wanted_one_made_by_hand_is) {
  auto r = record("db", GiB);
  BOOST_TEST(is_wanted(r, {volume_name{"db"}}));
  BOOST_TEST(!is_wanted(r, {}));
  r.origin = store::volume_origin::created;
  BOOST_TEST(is_wanted(r, {}));
}

BOOST_AUTO_TEST_CASE(without_instances_nothing_is_restricted) {
  settings wanted;
  BOOST_TEST(!access_of(wanted).restricted);
  instance_settings instance;
  instance.id = instance_id{"web"};
  instance.volumes = {volume_name{"db"}};
  instance.snapshots = true;
  wanted.instances.push_back(instance);
  wanted.instances_section = true;
  const auto policy = access_of(wanted);
  BOOST_TEST(policy.restricted);
  BOOST_REQUIRE(policy.grants.size() == 1u);
  BOOST_TEST((policy.grants[0].instance == instance_id{"web"}));
  BOOST_TEST(policy.grants[0].snapshots);
}

BOOST_AUTO_TEST_CASE(an_empty_instances_section_lets_nobody_in) {
  settings wanted;
  wanted.instances_section = true;
  BOOST_TEST(access_of(wanted).restricted);
  BOOST_TEST(access_of(wanted).grants.empty());
}

BOOST_AUTO_TEST_CASE(a_close_that_failed_is_closed_again_whatever_is_wanted) {
  const auto r = record("db", GiB);
  auto stuck = status(r);
  stuck.closing = true;
  BOOST_TEST((next_step(r, stuck) == volume_step::close));
  BOOST_TEST((next_step(std::nullopt, stuck) == volume_step::close));
}

BOOST_AUTO_TEST_CASE(fences_are_carried_to_an_open_volume) {
  const auto r = record("db", GiB);
  io::fence_set fences;
  fences.epoch = 1;
  fences.fenced = {instance_id{"old"}};
  BOOST_TEST((next_step(r, status(r), fences) == volume_step::set_fences));
  auto after = status(r);
  after.spec.fences = fences;
  BOOST_TEST((next_step(r, after, fences) == volume_step::none));
}

BOOST_AUTO_TEST_SUITE_END()
