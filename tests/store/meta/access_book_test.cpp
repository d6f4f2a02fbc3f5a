// Fences, handing over and grants survive restarts and damage; epochs only grow; the stored form stays readable.
#include "store/meta/access_book.hpp"

#include <future>

#include "store/meta/catalogue.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(access_book_test)
namespace {

volume_uuid some_volume() { return *volume_uuid::parse("01234567-89ab-4cde-8f01-23456789abcd"); }

access_record full_record() {
  access_record r;
  r.volume = some_volume();
  r.epoch = 7;
  r.everybody_fenced = true;
  r.only = instance_id("heir");
  r.fenced = {{instance_id("old"), 3, wall_time(std::chrono::seconds(1'700'000'000))}};
  r.grants = {instance_id("ci"), instance_id("web-1")};
  return r;
}

bytes golden(const std::string& name, const bytes& encoded_now) {
  const std::string path = std::string(GNOMON_SOURCE_DIR) + "/tests/golden/store/" + name;
  if (std::getenv("GNOMON_WRITE_GOLDEN") && !path_exists(path))
    BOOST_REQUIRE(write_file_durably(path, encoded_now, 0644).has_value());
  auto content = read_small_file(path, 1 << 20);
  BOOST_REQUIRE_MESSAGE(content.has_value(), path << " is missing");
  return *content;
}

struct fixture {
  scratch_directory directory;
  std::unique_ptr<environment> meta;
  std::unique_ptr<access_book> book;
  access_book_opening opening;
  const volume_uuid volume = some_volume();

  fixture() { reopen(); }
  void reopen() {
    book.reset();
    meta.reset();
    auto opened = environment::open(meta_environment_options(directory / "meta"));
    BOOST_REQUIRE(opened.has_value());
    meta = std::move(*opened);
    auto made = access_book::open(meta.get(), system_clock_source(), &opening);
    BOOST_REQUIRE(made.has_value());
    book = std::move(*made);
  }
  template <class Call>
  result<access_record> wait(Call call) {
    std::promise<result<access_record>> done;
    call([&](result<access_record> outcome) { done.set_value(std::move(outcome)); });
    return done.get_future().get();
  }
  static std::optional<instance_id> id(const char* text) {
    return *text == 0 ? std::nullopt : std::optional(instance_id(text));
  }
  result<access_record> fence(const char* who, const char* heir = "") {
    return wait([&](auto done) { book->fence(volume, id(who), id(heir), done); });
  }
  result<access_record> unfence(const char* who) {
    return wait([&](auto done) { book->unfence(volume, id(who), done); });
  }
  result<access_record> grant(const char* who) {
    return wait([&](auto done) { book->grant(volume, instance_id(who), done); });
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(released_records_still_decode_and_are_still_written_alike) {
  const auto full = golden("access_v1_full.bin", encode(full_record()));
  BOOST_TEST((decode_access(full, "golden").value() == full_record()));
  BOOST_TEST((full == encode(full_record())));
}

BOOST_AUTO_TEST_CASE(every_damaged_byte_is_noticed) {
  const auto good = encode(full_record());
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto damaged = good;
    damaged[i] ^= std::byte{0x40};
    BOOST_TEST(!decode_access(damaged, "test").has_value());
    BOOST_TEST(!decode_access(bytes_view(good).first(i), "test").has_value());
  }
}

BOOST_FIXTURE_TEST_CASE(a_fence_is_there_after_a_restart_and_goes_by_unfence_only, fixture) {
  BOOST_REQUIRE(fence("old").has_value());
  reopen();
  BOOST_REQUIRE(book->find(volume).fenced.size() == 1u);
  BOOST_TEST(book->find(volume).fenced[0].instance.value == "old");
  BOOST_TEST(book->find(volume).fenced[0].epoch == 1u);
  BOOST_TEST((unfence("other").error().code == errc::not_found));
  BOOST_REQUIRE(unfence("old").has_value());
  reopen();
  BOOST_TEST(book->find(volume).fenced.empty());
  BOOST_TEST(book->find(volume).epoch == 2u);
}

BOOST_FIXTURE_TEST_CASE(every_change_of_claims_has_a_greater_epoch, fixture) {
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    for (const auto& changed : {fence("a"), fence("", "b"), fence("b"), unfence(""), fence("")}) {
      BOOST_REQUIRE(changed.has_value());
      BOOST_TEST(changed->epoch == last + 1);
      last = changed->epoch;
    }
    reopen();
  }
}

BOOST_FIXTURE_TEST_CASE(handing_over_leaves_the_heir_alone, fixture) {
  BOOST_REQUIRE(fence("new").has_value());
  const auto handed = fence("old", "new");
  BOOST_REQUIRE(handed.has_value());
  BOOST_TEST((handed->only == instance_id("new")));
  BOOST_REQUIRE(handed->fenced.size() == 1u); // no longer the heir
  BOOST_TEST(handed->fenced[0].instance.value == "old");
  BOOST_TEST((fence("new", "new").error().code == errc::invalid_argument));
  const auto heir_fenced = fence("new");
  BOOST_TEST(!heir_fenced->only.has_value());
  BOOST_TEST(heir_fenced->everybody_fenced); // nobody gets in by the fall of the heir
}

BOOST_FIXTURE_TEST_CASE(limits_are_answers, fixture) {
  for (std::size_t i = 0; i < access_grants_max; ++i)
    BOOST_REQUIRE(grant(("g" + std::to_string(i)).c_str()).has_value());
  BOOST_TEST((grant("one-more").error().code == errc::limit_reached));
  BOOST_TEST(grant("g0").has_value()); // has it already
}

BOOST_FIXTURE_TEST_CASE(a_damaged_record_lets_nobody_in_until_unfence, fixture) {
  BOOST_REQUIRE(fence("old").has_value());
  BOOST_REQUIRE(meta->write([&](write_transaction& t) {
                      return t.put(meta_database::access, volume_key(volume), bytes(40, std::byte{7}));
                    }).has_value());
  reopen();
  BOOST_TEST(opening.problems.size() == 1u);
  BOOST_TEST(book->find(volume).everybody_fenced);
  BOOST_REQUIRE(unfence("").has_value());
  reopen();
  BOOST_TEST(opening.problems.empty());
  BOOST_TEST(!book->find(volume).everybody_fenced);
}

BOOST_FIXTURE_TEST_CASE(a_forgotten_volume_leaves_nothing, fixture) {
  BOOST_REQUIRE(fence("old").has_value());
  std::promise<result<void>> done;
  book->forget(volume, [&](result<void> outcome) { done.set_value(std::move(outcome)); });
  BOOST_REQUIRE(done.get_future().get().has_value());
  BOOST_TEST(book->list().empty());
  reopen();
  BOOST_TEST(book->list().empty());
}

BOOST_AUTO_TEST_SUITE_END()
