// What operators said about instances survives restarts, damage and the limits; the stored form stays readable.
#include "store/meta/instance_book.hpp"

#include <future>

#include "store/meta/catalogue.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(instance_book_test)
namespace {

instance_record full_record() {
  instance_record r;
  r.id = instance_id("web-1");
  r.application = "postgresql";
  r.level = criticality::high;
  r.read_p99 = std::chrono::microseconds(2000);
  r.rpo = std::chrono::seconds(3600);
  r.host = "rack 7";
  r.changed = wall_time(std::chrono::seconds(1'700'000'000));
  return r;
}
instance_record plain_record() {
  instance_record r;
  r.id = instance_id("anonymous:unix:/run/nbd.sock");
  r.changed = wall_time(std::chrono::seconds(1'700'000'001));
  return r;
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

struct fixture {
  scratch_directory directory;
  std::unique_ptr<environment> meta;
  std::unique_ptr<instance_book> book;
  instance_book_opening opening;

  fixture() { reopen(); }
  void reopen() {
    book.reset();
    meta.reset();
    auto opened = environment::open(meta_environment_options(directory / "meta"));
    BOOST_REQUIRE(opened.has_value());
    meta = std::move(*opened);
    auto made = instance_book::open(meta.get(), &opening);
    BOOST_REQUIRE(made.has_value());
    book = std::move(*made);
  }
  result<void> put(const instance_record& record) {
    std::promise<result<void>> done;
    book->put(record, [&](result<void> outcome) { done.set_value(std::move(outcome)); });
    return done.get_future().get();
  }
  result<void> erase(const std::string& id) {
    std::promise<result<void>> done;
    book->erase(instance_id(id), [&](result<void> outcome) { done.set_value(std::move(outcome)); });
    return done.get_future().get();
  }
  void write_raw(const std::string& key, const bytes& value) {
    BOOST_REQUIRE(
        meta->write([&](write_transaction& t) { return t.put(meta_database::instances, key, value); }).has_value());
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(released_records_still_decode_and_are_still_written_alike) {
  const auto full = golden("instance_v1_full.bin", encode(full_record()));
  BOOST_TEST((decode_instance(full, "golden").value() == full_record()));
  BOOST_TEST((full == encode(full_record())));
  const auto plain = golden("instance_v1_plain.bin", encode(plain_record()));
  BOOST_TEST((decode_instance(plain, "golden").value() == plain_record()));
  BOOST_TEST((plain == encode(plain_record())));
}

BOOST_AUTO_TEST_CASE(every_damaged_byte_is_noticed) {
  const auto good = encode(full_record());
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto damaged = good;
    damaged[i] ^= std::byte{0x40};
    BOOST_TEST(!decode_instance(damaged, "test").has_value());
    BOOST_TEST(!decode_instance(bytes_view(good).first(i), "test").has_value());
  }
}

BOOST_FIXTURE_TEST_CASE(what_was_said_is_there_after_a_restart, fixture) {
  BOOST_TEST(put(full_record()).has_value());
  BOOST_TEST(put(plain_record()).has_value());
  auto changed = full_record();
  changed.application.reset();
  BOOST_TEST(put(changed).has_value());
  BOOST_TEST((book->find(instance_id("web-1")) == changed));
  reopen();
  BOOST_TEST(opening.instances == 2u);
  BOOST_TEST((book->find(instance_id("web-1")) == changed));
  BOOST_REQUIRE(book->list().size() == 2u);
  BOOST_TEST((book->list()[0] == plain_record())); // by id
  BOOST_TEST(erase("web-1").has_value());
  BOOST_TEST(erase("web-1").has_value()); // there is none any more: just as well
  reopen();
  BOOST_TEST(!book->find(instance_id("web-1")).has_value());
  BOOST_TEST(book->list().size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(impossible_records_are_refused_and_change_nothing, fixture) {
  auto nameless = full_record();
  nameless.id.value.clear();
  auto long_id = full_record();
  long_id.id.value.assign(instance_text_length_max + 1, 'x');
  auto long_text = full_record();
  long_text.host = std::string(instance_text_length_max + 1, 'x');
  auto negative = full_record();
  negative.rpo = std::chrono::seconds(-1);
  for (const auto& wrong : {nameless, long_id, long_text, negative}) {
    const auto refused = put(wrong);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST(refused.error().code == errc::invalid_argument);
  }
  BOOST_TEST(book->list().empty());
}

BOOST_FIXTURE_TEST_CASE(a_damaged_record_is_reported_and_can_be_replaced, fixture) {
  BOOST_TEST(put(plain_record()).has_value());
  auto damaged = encode(full_record());
  damaged.back() ^= std::byte{1};
  write_raw("web-1", damaged);
  write_raw("web-2", encode(full_record())); // under a foreign key
  reopen();
  BOOST_TEST(opening.instances == 1u);
  BOOST_TEST(opening.problems.size() == 2u);
  BOOST_TEST(!book->find(instance_id("web-1")).has_value());
  BOOST_TEST(put(full_record()).has_value());
  reopen();
  BOOST_TEST((book->find(instance_id("web-1")) == full_record()));
  BOOST_TEST(opening.problems.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(there_is_a_limit, fixture) {
  const auto filled = meta->write([](write_transaction& t) -> result<void> {
    for (std::size_t i = 0; i < instance_records_max; ++i) {
      auto record = plain_record();
      record.id.value = "i" + std::to_string(i);
      if (auto ok = t.put(meta_database::instances, record.id.value, encode(record)); !ok)
        return ok;
    }
    return {};
  });
  BOOST_REQUIRE(filled.has_value());
  reopen();
  BOOST_TEST(book->list().size() == instance_records_max);
  const auto refused = put(full_record());
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().code == errc::limit_reached);
  auto known = plain_record();
  known.id.value = "i7";
  BOOST_TEST(put(known).has_value()); // those there are can still be changed
  BOOST_TEST(erase("i8").has_value());
  BOOST_TEST(put(full_record()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
