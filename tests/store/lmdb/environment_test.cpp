#include "store/lmdb/environment.hpp"

#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "store/lmdb/codec.hpp"
#include "store/lmdb/lmdb_check.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(environment_test)
namespace {

constexpr database_id numbers{0}, texts{1};

environment_options options_for(const std::string& directory, durability durable = durability::synchronous) {
  environment_options options;
  options.name = "test";
  options.directory = directory;
  options.databases = {"numbers", "texts"};
  options.durable = durable;
  return options;
}

result<std::string> get_text(const environment& env, database_id database, std::string_view key) {
  return env.read([&](const read_transaction& t) -> result<std::string> {
    auto value = t.get(database, key);
    if (!value)
      return tl::unexpected(value.error());
    if (!*value)
      return fail(errc::not_found, std::string(key));
    return std::string(as_text(**value));
  });
}

result<void> put_text(environment& env, database_id database, std::string key, std::string value) {
  return env.write([=](write_transaction& t) { return t.put(database, key, as_bytes(value)); });
}

std::string number_key(std::uint64_t n) {
  std::string key;
  append_key_u64(key, n);
  return key;
}

void overwrite(const std::string& path, std::uint64_t offset, std::string_view with) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(with.data(), static_cast<std::streamsize>(with.size()));
}

} // namespace

BOOST_AUTO_TEST_CASE(what_is_written_is_read_back_after_a_reopen) {
  scratch_directory where;
  {
    auto env = environment::open(options_for(where / "e"));
    REQUIRE_OK(env);
    REQUIRE_OK(put_text(**env, texts, "greeting", "hello"));
    BOOST_TEST(get_text(**env, texts, "greeting").value() == "hello");
    CHECK_ERROR(get_text(**env, numbers, "greeting"), errc::not_found);
  }
  auto env = environment::open(options_for(where / "e"));
  REQUIRE_OK(env);
  BOOST_TEST(get_text(**env, texts, "greeting").value() == "hello");
  auto erased = (*env)->write([](write_transaction& t) -> result<void> {
    BOOST_TEST(t.erase(texts, "greeting").value());
    BOOST_TEST(!t.erase(texts, "greeting").value());
    return {};
  });
  REQUIRE_OK(erased);
  CHECK_ERROR(get_text(**env, texts, "greeting"), errc::not_found);
}

BOOST_AUTO_TEST_CASE(scans_are_ordered_and_stay_within_their_prefix) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e")).value();
  for (const char* key : {"b/2", "a/1", "b/1", "c/1", "b/3"})
    REQUIRE_OK(put_text(*env, texts, key, "v"));
  std::string seen;
  auto scanned = env->read([&](const read_transaction& t) {
    return t.scan(texts, "b/", [&](std::string_view key, bytes_view) {
      seen += std::string(key) + " ";
      return key == "b/2" ? scan_step::stop : scan_step::next;
    });
  });
  REQUIRE_OK(scanned);
  BOOST_TEST(seen == "b/1 b/2 ");
}

BOOST_AUTO_TEST_CASE(a_failing_job_undoes_itself_and_not_its_group) {
  scratch_directory where;
  auto options = options_for(where / "e");
  options.durable = durability::relaxed;
  options.commit_delay = std::chrono::milliseconds(200); // so that all jobs meet in one group
  auto env = environment::open(options).value();
  std::vector<std::future<result<void>>> outcomes;
  for (int i = 0; i < 20; ++i) {
    auto promise = std::make_shared<std::promise<result<void>>>();
    outcomes.push_back(promise->get_future());
    auto job = [i](write_transaction& t) -> result<void> {
      if (auto ok = t.put(numbers, "job" + std::to_string(i), as_bytes("x")); !ok)
        return ok;
      if (i % 5 == 3)
        return fail(errc::invalid_argument, "job refuses");
      if (i % 5 == 4)
        throw std::runtime_error("job throws");
      return {};
    };
    REQUIRE_OK(env->submit(job, [promise](result<void> r) { promise->set_value(std::move(r)); }));
  }
  for (int i = 0; i < 20; ++i) {
    const auto outcome = outcomes[static_cast<std::size_t>(i)].get();
    BOOST_TEST(outcome.has_value() == (i % 5 < 3));
    if (i % 5 == 3)
      CHECK_ERROR(outcome, errc::invalid_argument);
    if (i % 5 == 4)
      CHECK_ERROR(outcome, errc::internal);
    BOOST_TEST(get_text(*env, numbers, "job" + std::to_string(i)).has_value() == (i % 5 < 3));
  }
  BOOST_TEST(env->status().commits == 1u);
  BOOST_TEST(env->status().jobs_failed == 8u);
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_and_a_stopped_environment_says_so) {
  scratch_directory where;
  auto options = options_for(where / "e");
  options.queued_jobs_max = 3;
  auto env = environment::open(options).value();
  std::promise<void> gate;
  auto opened = gate.get_future().share();
  std::promise<void> entered;
  REQUIRE_OK(env->submit(
      [&, opened](write_transaction&) -> result<void> {
        entered.set_value();
        opened.wait();
        return {};
      },
      nullptr));
  entered.get_future().wait();
  std::atomic<int> done{0};
  for (int i = 0; i < 3; ++i)
    REQUIRE_OK(env->submit([](write_transaction& t) { return t.put(texts, "k", as_bytes("v")); },
                           [&](result<void> r) { done += r.has_value(); }));
  CHECK_ERROR(env->submit([](write_transaction&) -> result<void> { return {}; }, nullptr), errc::limit_reached);
  gate.set_value();
  env->stop();
  BOOST_TEST(done == 3); // what was accepted is committed before the stop
  CHECK_ERROR(env->submit([](write_transaction&) -> result<void> { return {}; }, nullptr), errc::shutting_down);
}

BOOST_AUTO_TEST_CASE(a_job_that_waits_for_another_is_refused_instead_of_hanging) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e")).value();
  auto outcome = env->write(
      [&](write_transaction&) { return env->write([](write_transaction&) -> result<void> { return {}; }); });
  CHECK_ERROR(outcome, errc::internal);
}

BOOST_AUTO_TEST_CASE(an_exception_in_a_read_or_a_callback_stays_inside) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e")).value();
  auto outcome = env->read([](const read_transaction&) -> result<int> { throw std::runtime_error("reader"); });
  CHECK_ERROR(outcome, errc::internal);
  REQUIRE_OK(env->submit([](write_transaction&) -> result<void> { return {}; },
                         [](result<void>) { throw std::runtime_error("callback"); }));
  REQUIRE_OK(put_text(*env, texts, "after", "fine"));
}

BOOST_AUTO_TEST_CASE(bad_keys_are_refused) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e")).value();
  CHECK_ERROR(put_text(*env, texts, "", "v"), errc::invalid_argument);
  CHECK_ERROR(put_text(*env, texts, std::string(key_bytes_max + 1, 'k'), "v"), errc::invalid_argument);
  REQUIRE_OK(put_text(*env, texts, std::string(key_bytes_max, 'k'), "v"));
}

BOOST_AUTO_TEST_CASE(a_full_map_grows_while_readers_read) {
  scratch_directory where;
  auto options = options_for(where / "e");
  options.map_size = byte_count{1 << 20};
  options.map_size_max = byte_count{64 << 20};
  auto env = environment::open(options).value();
  std::atomic<bool> stop{false};
  std::atomic<int> read_errors{0}, reads{0};
  std::thread reader([&] {
    while (!stop) {
      auto count = env->read([](const read_transaction& t) { return t.count(texts); });
      read_errors += !count.has_value();
      ++reads;
    }
  });
  const std::string value(100'000, 'v');
  int failures = 0;
  for (int i = 0; i < 200; ++i)
    failures += !put_text(*env, texts, "k" + std::to_string(i), value).has_value();
  stop = true;
  reader.join();
  BOOST_TEST(failures == 0);
  BOOST_TEST(read_errors == 0);
  BOOST_TEST(reads > 0);
  BOOST_TEST(env->status().map_growths >= 4u);
  for (int i = 0; i < 200; ++i)
    BOOST_TEST(get_text(*env, texts, "k" + std::to_string(i)).value().size() == value.size());
}

BOOST_AUTO_TEST_CASE(a_map_that_may_not_grow_gives_no_space_and_reads_go_on) {
  scratch_directory where;
  auto options = options_for(where / "e");
  options.map_size = options.map_size_max = byte_count{1 << 20};
  auto env = environment::open(options).value();
  REQUIRE_OK(put_text(*env, texts, "small", "s"));
  CHECK_ERROR(put_text(*env, texts, "large", std::string(2 << 20, 'v')), errc::no_space);
  CHECK_ERROR(get_text(*env, texts, "large"), errc::not_found);
  BOOST_TEST(get_text(*env, texts, "small").value() == "s");
  REQUIRE_OK(put_text(*env, texts, "small2", "s"));
  // A job that does not look at the outcome of its put is not taken for a success.
  auto careless = env->write([](write_transaction& t) -> result<void> {
    (void)t.put(texts, "large", as_bytes(std::string(2 << 20, 'v')));
    return {};
  });
  CHECK_ERROR(careless, errc::no_space);
}

BOOST_AUTO_TEST_CASE(one_job_too_large_for_the_map_does_not_fail_its_group) {
  scratch_directory where;
  auto options = options_for(where / "e", durability::relaxed);
  options.map_size = options.map_size_max = byte_count{1 << 20};
  options.commit_delay = std::chrono::milliseconds(100);
  auto env = environment::open(options).value();
  std::vector<std::future<result<void>>> outcomes;
  for (int i = 0; i < 5; ++i) {
    auto promise = std::make_shared<std::promise<result<void>>>();
    outcomes.push_back(promise->get_future());
    const std::string value(i == 2 ? 2 << 20 : 10, 'v');
    REQUIRE_OK(env->submit(
        [i, value](write_transaction& t) { return t.put(texts, "k" + std::to_string(i), as_bytes(value)); },
        [promise](result<void> r) { promise->set_value(std::move(r)); }));
  }
  for (std::size_t i = 0; i < 5; ++i)
    BOOST_TEST(outcomes[i].get().has_value() == (i != 2));
}

BOOST_AUTO_TEST_CASE(a_full_disk_gives_no_space_changes_nothing_and_heals) {
  small_file_system disk(4 << 20);
  if (!disk.mounted())
    return say_skipped("mounting a tmpfs needs CAP_SYS_ADMIN");
  auto env = environment::open(options_for(disk / "e")).value();
  REQUIRE_OK(put_text(*env, texts, "before", "b"));
  disk.fill();
  CHECK_ERROR(put_text(*env, texts, "large", std::string(1 << 20, 'v')), errc::no_space);
  BOOST_TEST(get_text(*env, texts, "before").value() == "b");
  CHECK_ERROR(get_text(*env, texts, "large"), errc::not_found);
  disk.free_again();
  REQUIRE_OK(put_text(*env, texts, "large", std::string(1 << 20, 'v')));
  BOOST_TEST(get_text(*env, texts, "large").value().size() == 1u << 20);
  env.reset();
  REQUIRE_OK(environment::open(options_for(disk / "e")));
}

BOOST_AUTO_TEST_CASE(the_same_environment_is_not_opened_twice) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e")).value();
  CHECK_ERROR(environment::open(options_for(where / "e")), errc::busy);
  env.reset();
  REQUIRE_OK(environment::open(options_for(where / "e")));
}

BOOST_AUTO_TEST_CASE(damaged_files_get_clear_errors) {
  scratch_directory where;
  const std::string data = where / "e/data.mdb";
  auto fresh = [&] {
    std::filesystem::remove_all(where / "e");
    auto env = environment::open(options_for(where / "e")).value();
    for (int i = 0; i < 300; ++i)
      BOOST_REQUIRE(put_text(*env, texts, "key" + std::to_string(i), std::string(200, 'v')).has_value());
  };
  auto expect = [&](errc code, std::string_view words) {
    auto env = environment::open(options_for(where / "e"));
    BOOST_REQUIRE(!env.has_value());
    BOOST_CHECK_MESSAGE(env.error().code == code, env.error().to_string());
    BOOST_TEST(env.error().message.find(words) != std::string::npos, env.error().message);
  };
  fresh();
  overwrite(data, 0, std::string(8192, 'g'));
  expect(errc::corrupt, "not an LMDB file");
  fresh();
  overwrite(data, 4096 + 16, std::string(4, '\0'));
  expect(errc::corrupt, "second meta page");
  fresh();
  overwrite(data, 20, std::string("\x02\0\0\0", 4));
  expect(errc::unsupported, "version 2");
  fresh();
  std::filesystem::resize_file(data, std::filesystem::file_size(data) / 2);
  expect(errc::corrupt, "damaged LMDB file");
  fresh();
  std::filesystem::resize_file(data, 100);
  expect(errc::corrupt, "LMDB");
  std::filesystem::remove_all(where / "e");
  std::filesystem::create_directories(data);
  expect(errc::corrupt, "not a regular file");
}

BOOST_AUTO_TEST_CASE(missing_rights_and_a_missing_parent_are_named) {
  scratch_directory where;
  CHECK_ERROR(environment::open(options_for(where / "no/such/parent")), errc::not_found);
  if (::geteuid() != 0) {
    std::filesystem::create_directory(where / "e");
    ::chmod((where / "e").c_str(), 0500);
    CHECK_ERROR(environment::open(options_for(where / "e")), errc::permission_denied);
    return;
  }
  { REQUIRE_OK(environment::open(options_for(where / "e"))); }
  ::chmod(where.path().c_str(), 0755);
  ::chmod((where / "e").c_str(), 0555);
  const pid_t child = ::fork(); // root may do anything, nobody may not
  if (child == 0) {
    if (::setuid(65534) != 0)
      ::_exit(2);
    auto env = environment::open(options_for(where / "e"));
    ::_exit(!env && env.error().code == errc::permission_denied ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

// Any flipped bit is either reported at open or leaves a file that can be read to its end: never a crash.
BOOST_AUTO_TEST_CASE(flipped_bits_never_crash) {
  scratch_directory where;
  auto random = seeded("flipped_bits_never_crash");
  {
    auto env = environment::open(options_for(where / "e")).value();
    for (int i = 0; i < 500; ++i)
      BOOST_REQUIRE(
          put_text(*env, i % 2 ? texts : numbers, "key" + std::to_string(i), std::string(below(random, 6000), 'v'))
              .has_value());
    for (int i = 0; i < 500; i += 3)
      BOOST_REQUIRE(env->write([&](write_transaction& t) -> result<void> {
                         (void)t.erase(numbers, "key" + std::to_string(i));
                         return {};
                       })
                        .has_value());
  }
  const std::string data = where / "e/data.mdb";
  auto original = read_small_file(data, 1 << 30).value();
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    auto damaged = original;
    // Half of the flips hit where the structure is: the head of a page.
    const auto page = below(random, damaged.size() / 4096);
    const auto at = page * 4096 + below(random, round % 2 ? 64 : 4096);
    damaged[at] ^= static_cast<std::byte>(1u << below(random, 8));
    std::ofstream(data, std::ios::binary)
        .write(reinterpret_cast<const char*>(damaged.data()), static_cast<std::streamsize>(damaged.size()));
    const pid_t child = ::fork();
    if (child == 0) {
      auto env = environment::open(options_for(where / "e"));
      if (!env)
        ::_exit(1);
      for (auto database : {numbers, texts})
        (void)(*env)->read([&](const read_transaction& t) {
          return t.scan(database, "", [](std::string_view, bytes_view value) {
            return value.size() > 1000 && value[999] == std::byte{1} ? scan_step::stop : scan_step::next;
          });
        });
      (void)put_text(**env, texts, "new", std::string(20'000, 'n'));
      env->reset();
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_REQUIRE_MESSAGE(WIFEXITED(status),
                          "a flipped bit at byte " << at << " killed the process, signal " << WTERMSIG(status));
    refused += WEXITSTATUS(status);
  }
  BOOST_TEST(refused > 0);
  BOOST_TEST(refused < 300);
}

// Commits are atomic and acknowledged ones survive: counters move together, and none is behind what was reported.
BOOST_AUTO_TEST_CASE(kill_9_in_the_middle_of_commits_loses_nothing_acknowledged) {
  for (const auto durable : {durability::synchronous, durability::relaxed}) {
    scratch_directory where;
    auto random = seeded("kill_9_in_the_middle_of_commits");
    std::uint64_t floor = 0;
    for (int round = 0; round < 12; ++round) {
      const auto seed = random();
      auto reported = run_and_kill(
          [&](int report) {
            auto options = options_for(where / "e", durable);
            options.commit_delay = std::chrono::milliseconds(durable == durability::relaxed ? 2 : 0);
            auto env = environment::open(options);
            if (!env)
              ::_exit(1);
            std::mt19937_64 child_random(seed);
            for (auto n = floor + 1;; ++n) {
              const std::string filler(below(child_random, 9000), static_cast<char>('a' + n % 26));
              // Several jobs in flight, so that groups are cut too; only the first of each number is reported.
              for (auto database : {numbers, texts})
                (void)(*env)->submit(
                    [=](write_transaction& t) -> result<void> {
                      for (auto both : {numbers, texts}) {
                        if (auto ok = t.put(both, "last", as_bytes(number_key(n))); !ok)
                          return ok;
                        if (auto ok = t.put(both, "filler" + std::to_string(n % 50), as_bytes(filler)); !ok)
                          return ok;
                      }
                      return {};
                    },
                    [=](result<void> r) {
                      if (r && database == numbers)
                        (void)!::write(report, &n, sizeof n);
                    });
              if (n % 8 == 0)
                (void)(*env)->write([](write_transaction&) -> result<void> { return {}; });
            }
          },
          static_cast<unsigned>(below(random, 60'000)),
          round % 3 == 2 ? kill_clock::from_start : kill_clock::from_first_report);
      floor = std::max(floor, last_u64(reported));
      if (!std::filesystem::exists(where / "e/data.mdb"))
        continue;
      auto env = environment::open(options_for(where / "e", durable));
      REQUIRE_OK(env);
      const auto a = get_text(**env, numbers, "last"), b = get_text(**env, texts, "last");
      BOOST_REQUIRE(a.has_value() == b.has_value());
      if (floor > 0)
        BOOST_REQUIRE(a.has_value());
      if (!a)
        continue;
      BOOST_REQUIRE(*a == *b);
      BOOST_REQUIRE(key_u64(*a, 0) >= floor);
      floor = key_u64(*a, 0);
      for (int i = 0; i < 50; ++i) {
        auto x = get_text(**env, numbers, "filler" + std::to_string(i)),
             y = get_text(**env, texts, "filler" + std::to_string(i));
        BOOST_REQUIRE(x.has_value() == y.has_value());
        if (x)
          BOOST_REQUIRE(*x == *y);
      }
    }
    BOOST_TEST(floor > 0u);
  }
}

BOOST_AUTO_TEST_CASE(readers_see_whole_commits_only) {
  scratch_directory where;
  auto env = environment::open(options_for(where / "e", durability::relaxed)).value();
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i)
    readers.emplace_back([&] {
      while (!stop) {
        auto same = env->read([](const read_transaction& t) -> result<bool> {
          auto a = t.get(numbers, "n"), b = t.get(texts, "n");
          if (!a || !b || a->has_value() != b->has_value())
            return false;
          return !*a || as_text(**a) == as_text(**b);
        });
        torn += !same || !*same;
      }
    });
  for (int i = 0; i < 300; ++i)
    BOOST_REQUIRE(env->write([i](write_transaction& t) -> result<void> {
                       for (auto both : {numbers, texts})
                         if (auto ok = t.put(both, "n", as_bytes(std::to_string(i))); !ok)
                           return ok;
                       return {};
                     })
                      .has_value());
  stop = true;
  for (auto& reader : readers)
    reader.join();
  BOOST_TEST(torn == 0);
}

BOOST_AUTO_TEST_SUITE_END()
