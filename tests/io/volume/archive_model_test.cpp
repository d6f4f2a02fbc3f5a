// What a volume promises whose granules go to an archive and come back: every granule reads as the newest acknowledged
// change, over kills and power cuts between every two steps of archiving, hydrating and recalling, whatever clients
// write, trim and flush in between.
#include <map>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "io/engine/hydrator.hpp"
#include "tests/io/volume/presence_model.hpp"

using namespace gnomon;
using namespace gnomon::io;
using namespace gnomon::io::test;

BOOST_AUTO_TEST_SUITE(archive_model_test)
namespace {

using objects = std::map<std::uint64_t, bytes>; // content by granule

// Objects over what lies below; immutable.
class archived_source final : public granule_source {
public:
  archived_source(objects held, std::shared_ptr<granule_source> below)
      : held_(std::move(held)), below_(std::move(below)) {}
  bool holds(granule_index granule) const override {
    return held_.contains(granule.value) || (below_ != nullptr && below_->holds(granule));
  }
  result<void> read(granule_index granule, std::span<std::byte> into) override {
    const auto found = held_.find(granule.value);
    if (found == held_.end())
      return below_ != nullptr ? below_->read(granule, into) : fail(errc::io_failed, "nowhere", EIO);
    std::copy_n(found->second.begin(), std::min(into.size(), found->second.size()), into.begin());
    return {};
  }

private:
  const objects held_;
  const std::shared_ptr<granule_source> below_;
};

struct archived_volume : restored_volume {
  std::shared_ptr<granule_source> below; // null: the file held everything before
  objects named;                         // what `meta` would name: survives every crash

  archived_volume(std::uint64_t size, std::uint64_t seed, bool with_layer)
      : restored_volume(size, cache_mode::buffered, "seed=" + std::to_string(seed)) {
    if (with_layer) {
      below = source;
      return;
    }
    kill();
    std::filesystem::remove(spec.presence_path);
    open_again();
  }
  std::shared_ptr<granule_source> composed(objects of) const {
    if (of.empty())
      return below;
    return std::make_shared<archived_source>(std::move(of), below);
  }
  void open_again() {
    spec.source = composed(named);
    spec.presence_expected = !named.empty();
    open();
  }
  template <class T, class F>
  result<T> ask(F call) {
    return begin<T>(call).get();
  }
  template <class T, class F>
  std::future<result<T>> begin(F call) {
    auto promise = std::make_shared<std::promise<result<T>>>();
    auto answer = promise->get_future();
    call([promise](result<T> r) { promise->set_value(std::move(r)); });
    return answer;
  }
};

struct archive_model : presence_model {
  archived_volume& archived;
  std::uint64_t punched = 0, recalls = 0;
  std::string trace; // of the latest steps
  void note(const std::string& what) { trace += what + "; "; }

  archive_model(archived_volume& v, test::random_source& r, bool with_layer) : presence_model(v, r), archived(v) {
    if (!with_layer)
      for (std::uint64_t s = 0; s < sectors(); ++s)
        newest[s] = 0xDEAD, allowed[s] = {0xDEAD};
  }
  std::string crash() {
    if (random.one_in(2)) {
      note("kill");
      archived.kill();
      archived.open_again();
      return check(false);
    }
    note("power cut");
    archived.cut_power();
    archived.open_again();
    return check(true);
  }
  std::string clients() { // what they do meanwhile
    std::string noticed;
    for (std::uint64_t i = random.below(3); i > 0 && noticed.empty(); --i)
      noticed = step();
    return noticed;
  }
  gnomon::io::granule_run some_run() {
    const std::uint64_t all = (sectors() + sectors_per_granule - 1) / sectors_per_granule;
    const std::uint64_t first = random.below(all);
    return {granule_index{first}, 1 + random.below(std::min<std::uint64_t>(6, all - first))};
  }
  // Between any two steps the machine or the process may die.
#define BETWEEN_STEPS                                                                                                \
  if (std::string noticed = clients(); !noticed.empty())                                                             \
    return noticed;                                                                                                  \
  if (random.one_in(8))                                                                                              \
    return crash();
  std::string archive() {
    auto& granules = archived.core->granules();
    const gnomon::io::granule_run run = some_run();
    note("archive " + std::to_string(run.first.value) + "+" + std::to_string(run.granules));
    if (auto begun = archived.ask<void>([&](auto done) { granules.begin_archive(archived.core, run, done); }); !begun)
      return "archiving did not begin: " + why(begun);
    BETWEEN_STEPS
    objects next = archived.named;
    for (std::uint64_t at = run.first.value; at < run.first.value + run.granules;) {
      auto piece = archived.ask<capture_piece>(
          [&](auto done) { granules.read_archive(archived.core, granule_index{at}, 2, done); });
      if (!piece)
        return "reading for the archive failed: " + why(piece);
      for (std::uint64_t i = 0; i < piece->granules; ++i) {
        bytes content(granule_bytes);
        if (!piece->zero) {
          const auto from = i * granule_bytes;
          std::copy_n(piece->data.begin() + static_cast<std::ptrdiff_t>(from),
                      std::min<std::size_t>(granule_bytes, piece->data.size() - from), content.begin());
        }
        next[at + i] = std::move(content);
      }
      at = piece->next.value;
      BETWEEN_STEPS
    }
    archived.named = std::move(next); // the commit
    note("named");
    BETWEEN_STEPS
    if (auto set = archived.ask<void>(
            [&](auto done) { granules.set_source(archived.core, archived.composed(archived.named), done); });
        !set)
      return "the source could not be set: " + why(set);
    BETWEEN_STEPS
    core_request flush(*archived.core, operation::flush, 0, 0); // a chain that may be under way
    const bool beside = random.one_in(2);
    if (beside)
      flush.start_on(0);
    auto finished = archived.begin<punch_report>([&](auto done) { granules.finish_archive(archived.core, done); });
    std::string noticed;
    while (finished.wait_for(std::chrono::seconds{0}) != std::future_status::ready && noticed.empty())
      noticed = step();
    if (beside)
      (void)flush.wait();
    const auto report = finished.get();
    if (!noticed.empty())
      return noticed;
    if (!report)
      return "archiving did not finish: " + why(report);
    note("punched " + std::to_string(report->cleared));
    punched += report->cleared;
    if (random.one_in(4))
      return crash();
    return {};
  }
  std::string recall() {
    const gnomon::io::granule_run run = some_run();
    auto control = std::make_shared<work_control>();
    note("recall " + std::to_string(run.first.value) + "+" + std::to_string(run.granules));
    auto ended = [&] {
      hydrator brings([] { return latency_histogram{}; });
      return archived.ask<void>(
          [&](auto done) { brings.begin(archived.core, {run}, control, std::move(done)); });
    }();
    if (!ended)
      return "hydrating failed: " + why(ended);
    BETWEEN_STEPS
    objects next = archived.named;
    for (std::uint64_t g = run.first.value; g < run.first.value + run.granules; ++g)
      next.erase(g);
    const bool last = next.empty() && archived.below == nullptr;
    archived.named = next; // the commit
    note("named without");
    if (random.one_in(4))
      return crash();
    if (archived.core->granules().report_presence() == std::nullopt)
      return {}; // there was no source
    const auto over = archived.ask<void>([&](auto done) {
      if (last)
        archived.core->granules().drop_source(archived.core, done);
      else
        archived.core->granules().set_source(archived.core, archived.composed(next), done);
    });
    if (!over)
      return "the source could not go: " + why(over);
    ++recalls;
    return random.one_in(4) ? crash() : std::string{};
  }
#undef BETWEEN_STEPS
};

struct archive_run {
  std::string noticed;
  std::uint64_t punched = 0, recalls = 0;
};

archive_run run_archive(std::uint64_t seed, bool with_layer, int steps) {
  test::random_source random(seed);
  archived_volume v(20 * granule_bytes + 5 * 4096, seed, with_layer);
  archive_model m(v, random, with_layer);
  archive_run out;
  for (int i = 0; i < steps && out.noticed.empty(); ++i) {
    switch (random.below(5)) {
    case 0:
    case 1:
      out.noticed = m.archive();
      break;
    case 2:
      out.noticed = m.recall();
      break;
    default:
      out.noticed = m.step();
    }
    if (out.noticed.empty() && random.one_in(6))
      out.noticed = m.crash();
    if (!out.noticed.empty())
      out.noticed = "seed " + std::to_string(seed) + ", step " + std::to_string(i) + ": " + out.noticed + " (" + m.trace + ")";
  }
  if (out.noticed.empty())
    out.noticed = m.check(false);
  out.punched = m.punched, out.recalls = m.recalls;
  return out;
}

#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t model_rounds = 1; // slow, and each one has all the threads
#else
constexpr std::uint64_t model_rounds = 6;
#endif

int model_steps(int usual) {
  const char* const many = std::getenv("GNOMON_MODEL_STEPS"); // the long test
  return many != nullptr ? std::atoi(many) : usual;
}

} // namespace

BOOST_DATA_TEST_CASE(content_agrees_with_a_model_over_archiving_and_recall, boost::unit_test::data::make({false, true}),
                     with_layer) {
  const auto seed = test::seed_for("archive/model");
  std::uint64_t punched = 0, recalls = 0;
  for (std::uint64_t i = 0; i < model_rounds; ++i) {
    const auto ran = run_archive(seed + i, with_layer, model_steps(120));
    BOOST_REQUIRE_EQUAL(ran.noticed, "");
    punched += ran.punched, recalls += ran.recalls;
  }
  BOOST_CHECK_GT(punched, 0u);
  if (model_rounds > 1)
    BOOST_CHECK_GT(recalls, 0u);
}

BOOST_AUTO_TEST_CASE(space_of_archived_granules_is_given_back_and_reads_do_not_take_it_again) {
  archived_volume v(64 * granule_bytes, 1, false);
  auto& granules = v.core->granules();
  const gnomon::io::granule_run run{granule_index{0}, 64};
  BOOST_REQUIRE(v.ask<void>([&](auto done) { granules.begin_archive(v.core, run, done); }));
  BOOST_CHECK(v.ask<void>([&](auto done) { granules.begin_archive(v.core, run, done); }).error().code == errc::busy);
  const auto piece =
      v.ask<capture_piece>([&](auto done) { granules.read_archive(v.core, granule_index{0}, 64, done); });
  BOOST_REQUIRE_MESSAGE(piece, why(piece));
  BOOST_CHECK(piece->end);
  for (std::uint64_t g = 0; g < 64; ++g)
    v.named[g] = bytes(piece->data.begin() + static_cast<std::ptrdiff_t>(g * granule_bytes),
                       piece->data.begin() + static_cast<std::ptrdiff_t>((g + 1) * granule_bytes));
  BOOST_CHECK_EQUAL(v.run(operation::write, 4096, 4096, stamped(7, 8)), 0); // after it was read: it stays
  BOOST_REQUIRE(v.ask<void>([&](auto done) { granules.set_source(v.core, v.composed(v.named), done); }));
  const auto report = v.ask<punch_report>([&](auto done) { granules.finish_archive(v.core, done); });
  BOOST_REQUIRE_MESSAGE(report, why(report));
  BOOST_CHECK_EQUAL(report->cleared, 63u);
  BOOST_CHECK_EQUAL(report->kept, 1u);
  const auto on_disk = [&] {
    struct stat found {};
    BOOST_REQUIRE_EQUAL(fstat(v.core->file().data_fd(), &found), 0);
    return static_cast<std::uint64_t>(found.st_blocks) * sector_bytes;
  };
  const auto left = on_disk();
  BOOST_CHECK_LE(left, 3 * granule_bytes);
  const bytes now = v.read(0, 64 * granule_bytes);
  BOOST_CHECK(stamp_of(now.data() + 4096) == 7u);
  BOOST_CHECK(stamp_of(now.data()) == 0xDEADu);
  BOOST_CHECK(stamp_of(now.data() + 63 * granule_bytes) == 0xDEADu);
  BOOST_CHECK_EQUAL(on_disk(), left);
}

BOOST_AUTO_TEST_CASE(a_hydration_pauses_goes_on_and_ends_where_it_is_asked_to) {
  restored_volume v(64 * granule_bytes);
  hydrator brings([] { return latency_histogram{}; });
  auto control = std::make_shared<work_control>();
  control->pause();
  auto promise = std::make_shared<std::promise<result<void>>>();
  brings.begin(v.core, {{granule_index{32}, 32}, {granule_index{0}, 32}}, control,
               [promise](result<void> r) { promise->set_value(std::move(r)); });
  BOOST_CHECK_EQUAL(control->total(), 64 * granule_bytes);
  BOOST_CHECK_EQUAL(control->done(), 0u);
  control->resume();
  const auto ended = promise->get_future().get();
  BOOST_CHECK_MESSAGE(ended, why(ended));
  BOOST_CHECK_EQUAL(control->done(), 64 * granule_bytes);
  BOOST_CHECK_EQUAL(v.core->granules().report_presence()->present, 64u);
  BOOST_CHECK(v.drop_source()); // all is durable
  // One that is cancelled before it can begin.
  restored_volume w(64 * granule_bytes);
  auto cancelled = std::make_shared<work_control>();
  cancelled->cancel();
  auto second = std::make_shared<std::promise<result<void>>>();
  brings.begin(w.core, {{granule_index{0}, 64}}, cancelled,
               [second](result<void> r) { second->set_value(std::move(r)); });
  BOOST_CHECK(!second->get_future().get());
}

BOOST_AUTO_TEST_CASE(background_work_yields_where_clients_wait_longer_beside_it) {
  yielding_pace pace;
  latency_histogram quick, slow;
  quick.record(100'000, 1000), slow.record(400'000, 1000);
  pace.moved(512ull << 20);
  pace.measured(slow, quick);
  BOOST_CHECK_EQUAL(pace.bytes_per_second(), 256ull << 20);
  const auto before = pace.bytes_per_second();
  pace.moved(before);
  pace.measured(quick, quick);
  BOOST_CHECK_GT(pace.bytes_per_second(), before);
  for (int i = 0; i < 100; ++i) {
    pace.moved(pace.bytes_per_second());
    pace.measured(slow, quick);
  }
  BOOST_CHECK_EQUAL(pace.bytes_per_second(), yielding_pace::rate_min);
  latency_histogram few;
  few.record(100'000, 3);
  pace.measured(few, quick); // says nothing
  BOOST_CHECK_EQUAL(pace.bytes_per_second(), yielding_pace::rate_min);
  pace.unwatched();
  BOOST_CHECK_EQUAL(pace.bytes_per_second(), yielding_pace::rate_max);
}

#if defined(GNOMON_PLANTED_FAULTS) && !defined(__SANITIZE_THREAD__) // many rounds: the other builds run them
BOOST_AUTO_TEST_CASE(planted_faults_of_archiving_are_noticed) {
  const auto seed = test::seed_for("archive/planted");
  for (const auto what : {planted::change_unseen_by_archive, planted::punch_without_looking_again,
                          planted::punch_before_chain, planted::cleared_outside_chain, planted::pending_not_cleared,
                          planted::source_gone_before_chain}) {
    gnomon::io::planted_fault = what;
    std::string noticed;
    for (std::uint64_t i = 0; i < 200 && noticed.empty(); ++i)
      noticed = run_archive(seed + i, i % 2 == 1, 150).noticed;
    gnomon::io::planted_fault = planted::none;
    BOOST_CHECK_MESSAGE(!noticed.empty(), "planted fault " << static_cast<int>(what) << " was not noticed");
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
