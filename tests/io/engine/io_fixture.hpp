// Shared by the io tests: a directory that goes away, a seed that is printed, rings that run, an engine to talk to.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iostream>
#include <random>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "io/engine/engine.hpp"

namespace gnomon::io::test {

class temporary_directory {
public:
  temporary_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gnomon-io-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~temporary_directory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("GNOMON_SEED");
    const std::uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "seed " << chosen << " (rerun with GNOMON_SEED=" << chosen << ")\n";
    return chosen;
  }();
  return seed;
}

inline std::string make_file(const temporary_directory& where, const std::string& name, std::uint64_t bytes) {
  const std::string path = where.file(name);
  const int fd = open(path.c_str(), O_CREAT | O_RDWR, 0600);
  BOOST_REQUIRE(fd >= 0);
  BOOST_REQUIRE_EQUAL(ftruncate(fd, static_cast<off_t>(bytes)), 0);
  close(fd);
  return path;
}

// Why a result failed, or "ok"; safe to evaluate in either case, as Boost.Test's messages always are.
template <class T>
std::string why(const result<T>& r) {
  return r ? "ok" : r.error().to_string();
}

// Runs a call that answers by `done` and waits for the answer.
template <class Call>
result<void> wait_for(Call&& call) {
  auto promise = std::make_shared<std::promise<result<void>>>();
  auto answer = promise->get_future();
  call([promise](result<void> r) { promise->set_value(std::move(r)); });
  return answer.get();
}

inline local_reply ask(engine& e, volume_uuid volume, local_request request) {
  auto promise = std::make_shared<std::promise<local_reply>>();
  auto answer = promise->get_future();
  e.submit(volume, std::move(request), [promise](local_reply r) { promise->set_value(std::move(r)); });
  return answer.get();
}

} // namespace gnomon::io::test
