// Helpers of the store tests: scratch directories, seeds that are printed, small file systems, forked children.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <random>
#include <string>

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "config/error.hpp"
#include "store/files/posix_file.hpp"

namespace gnomon {
inline std::ostream& operator<<(std::ostream& out, errc code) { return out << to_string(code); }
} // namespace gnomon

namespace gnomon::store::testing {

// A directory that goes away with its owner. GNOMON_TEST_DIR chooses the file system.
class scratch_directory {
public:
  scratch_directory() {
    const char* base = std::getenv("GNOMON_TEST_DIR");
    std::string pattern = std::string(base ? base : "/tmp") + "/gnomon-store-XXXXXX";
    if (!::mkdtemp(pattern.data()))
      throw std::runtime_error("mkdtemp " + pattern);
    path_ = pattern;
  }
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

// Prints its seed; GNOMON_TEST_SEED repeats a run.
inline std::mt19937_64 seeded(const char* test) {
  const char* given = std::getenv("GNOMON_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << test << ": GNOMON_TEST_SEED=" << seed << std::endl;
  return std::mt19937_64(seed);
}

inline std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random);
}

inline void say_skipped(const std::string& why) { std::cout << "SKIPPED: " << why << std::endl; }

// A tmpfs of `size_bytes`, so that a full disk can be had. Not there without the right to mount.
class small_file_system {
public:
  explicit small_file_system(std::uint64_t size_bytes) {
    mounted_ =
        ::mount("tmpfs", where_.path().c_str(), "tmpfs", 0, ("size=" + std::to_string(size_bytes)).c_str()) == 0;
  }
  ~small_file_system() {
    if (mounted_)
      ::umount2(where_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string operator/(const std::string& name) const { return where_ / name; }
  // Takes all the space that is left.
  void fill() const {
    std::ofstream file(where_ / "filler", std::ios::binary | std::ios::app);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void free_again() const { ::unlink((where_ / "filler").c_str()); }

private:
  scratch_directory where_;
  bool mounted_ = false;
};

// From when the time to the kill counts: the child's start, or the first thing it reports (a slow machine must not
// turn every kill into one of the start-up).
enum class kill_clock { from_start, from_first_report };

// Runs `body` in a child that is killed with SIGKILL after `microseconds`, or lets it end by itself.
// Returns what the child wrote to the descriptor it was given.
inline std::string run_and_kill(const std::function<void(int report_fd)>& body, unsigned after_microseconds,
                                kill_clock from = kill_clock::from_start) {
  int ends[2];
  if (::pipe(ends) != 0)
    throw std::runtime_error("pipe");
  std::cout.flush();
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    body(ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  pollfd readable{ends[0], POLLIN, 0};
  if (from == kill_clock::from_first_report)
    (void)::poll(&readable, 1, -1);
  ::usleep(after_microseconds);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::string reported;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    reported.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  return reported;
}

inline bytes to_bytes(std::string_view text) {
  const auto view = as_bytes(text);
  return {view.begin(), view.end()};
}

// The last complete native u64 a child reported; 0 if there is none.
inline std::uint64_t last_u64(const std::string& reported) {
  std::uint64_t v = 0;
  const auto whole = reported.size() / sizeof v;
  if (whole > 0)
    std::memcpy(&v, reported.data() + (whole - 1) * sizeof v, sizeof v);
  return v;
}

template <class T>
std::string outcome_text(const result<T>& outcome) {
  return outcome ? "success" : outcome.error().to_string();
}

} // namespace gnomon::store::testing

#define REQUIRE_OK(expression)                                                                                       \
  do {                                                                                                               \
    const auto& outcome_ = (expression);                                                                             \
    BOOST_REQUIRE_MESSAGE(outcome_.has_value(),                                                                      \
                          #expression << ": " << gnomon::store::testing::outcome_text(outcome_));                    \
  } while (false)

#define CHECK_ERROR(expression, expected_code)                                                                       \
  do {                                                                                                               \
    const auto& outcome_ = (expression);                                                                             \
    BOOST_CHECK_MESSAGE(!outcome_.has_value() && outcome_.error().code == (expected_code),                           \
                        #expression << ": expected " << (expected_code) << ", got "                                  \
                                    << gnomon::store::testing::outcome_text(outcome_));                              \
  } while (false)
