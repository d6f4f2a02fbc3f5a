// Shared by the actors' tests: an actor system with the production configuration, a clock that the test moves, a data
// directory that goes away, and waiting for what happens in other threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/runtime/system_config.hpp"
#include "store/history/history.hpp"
#include "store/meta/access_book.hpp"
#include "store/meta/catalogue.hpp"
#include "tests/actors/fake_engine.hpp"

namespace gnomon::tests {

// Waits for what other threads will do. The limit only ends a test that would hang.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 6'000; ++i) {
    if (condition())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return false;
}

// Time for several threads: moves only when told to.
class shared_clock final : public clock_source {
public:
  wall_time wall_now() const override { return wall_time{microseconds{1'700'000'000'000'000} + passed()}; }
  boot_time boot_now() const override { return boot_time{passed()}; }
  void advance(microseconds by) { passed_ += by.count(); }

private:
  microseconds passed() const { return microseconds{passed_.load()}; }
  std::atomic<std::int64_t> passed_{1'000'000};
};

// An actor of a plain function. With an argument, for CAF 0.17 binds a reference to no tuple where there is none,
// which the sanitizers rightly refuse.
template <class Function>
caf::actor spawn_function(caf::actor_system& system, Function behave) {
  return system.spawn([behave](caf::event_based_actor* self, int) { return behave(self); }, 0);
}

struct temporary_directory {
  std::string path;
  temporary_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gnomon_actors_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("mkdtemp");
    path = pattern;
  }
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
};

// A history in a directory of its own, that commits at once.
struct temporary_history {
  temporary_directory directory;
  std::unique_ptr<store::history> history;

  explicit temporary_history(const clock_source& clock = system_clock_source()) { open(clock); }
  void open(const clock_source& clock = system_clock_source()) { // again, as after a restart
    history.reset();
    store::history_options options;
    options.directory = directory.path + "/history";
    options.commit_delay = std::chrono::milliseconds(0);
    options.clock = &clock;
    auto opened = store::history::open(std::move(options));
    if (!opened)
      throw std::runtime_error(opened.error().to_string());
    history = std::move(*opened);
  }
};

// A request from the test's own thread, as a result.
template <class Reply, class Handle, class... Ts>
result<Reply> ask(caf::actor_system& system, const Handle& whom, const Ts&... message) {
  if (!whom)
    return fail(errc::unavailable, "no actor");
  caf::scoped_actor self{system};
  result<Reply> outcome = fail(errc::internal, "no reply");
  self->request(whom, std::chrono::seconds{60}, message...)
      .receive([&](Reply& reply) { outcome = std::move(reply); },
               [&](const caf::error& why) { outcome = tl::unexpected(actors::from_caf(why)); });
  return outcome;
}

// A catalogue on disk and a data plane in memory, without actors.
struct store_and_engine {
  temporary_directory directory;
  std::unique_ptr<store::environment> meta;
  std::unique_ptr<store::catalogue> catalogue;
  std::unique_ptr<store::access_book> access;
  std::unique_ptr<fake_engine> engine;

  store_and_engine() {
    for (const char* part : {"/volumes", "/trash", "/meta"})
      std::filesystem::create_directory(directory.path + part);
    meta = value(store::environment::open(store::meta_environment_options(directory.path + "/meta")));
    store::catalogue_options options;
    options.meta = meta.get();
    options.volumes_path = directory.path + "/volumes";
    options.trash_path = directory.path + "/trash";
    options.node = node_name{"alpha"};
    catalogue = value(store::catalogue::open(options));
    access = value(store::access_book::open(meta.get(), system_clock_source()));
    engine = std::make_unique<fake_engine>();
  }
  template <class T>
  static T value(result<T> r) {
    if (!r)
      throw std::runtime_error(r.error().to_string());
    return std::move(*r);
  }
};

} // namespace gnomon::tests
