// One node, assembled: data directory, catalogue, data plane, actors, listeners, in the order in which they can rely on
// each other, and taken apart in the reverse one. Blocks; belongs to the main thread. The data plane comes from a
// factory, so that tests can give a fake one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/protocol/volume_messages.hpp"
#include "config/error.hpp"
#include "config/settings/settings.hpp"
#include "io/engine/engine.hpp"

namespace gnomon::actors {

using engine_factory = std::function<result<std::unique_ptr<io::engine>>(io::engine_options)>;

enum class listeners { open, closed }; // closed: no listeners, no admin, no control socket (--nbd-stdio)

struct node_options {
  engine_factory make_engine = [](io::engine_options o) { return io::engine::start(std::move(o)); };
  listeners outside = listeners::open;
  std::vector<int> passed_sockets;               // socket activation; ownership passes to the node
  std::function<void()> needs_attention = [] {}; // any thread: main should call attend() soon
  std::chrono::milliseconds drain_grace{10'000};
  std::chrono::milliseconds stop_limit{60'000}; // then the process ends
};

class node {
public:
  // Everything up and serving. Problems with single volumes do not fail it: they are in the log and in /health.
  // Errors: what keeps the node from starting, naming the object.
  static result<std::unique_ptr<node>> start(settings wanted, node_options options);
  ~node(); // stop()
  node(const node&) = delete;

  // "gnomond ready node=alpha nbd=unix:/run/nbd.sock,127.0.0.1:10809 cluster=none admin=127.0.0.1:10880"
  std::string ready_line() const;
  // Serves one NBD connection on two descriptors; `closed` is called once, on any thread.
  result<void> serve(int in_fd, int out_fd, const volume_name& volume, std::function<void()> closed);
  // Repairs the root of supervision. Returns when to be called again at the latest, if there is something to wait
  // for.
  std::optional<std::chrono::milliseconds> attend();
  // Follows the live part of a new config and returns at once: settings of generation `report.generation` are in force
  // when context().configuration() says so. dry_run: only says what it would do.
  reload_report reload(const settings& wanted, reload_mode mode = reload_mode::follow);
  // The file was refused: /health and status say so until one is accepted.
  void refuse_reload(const std::string& why);
  // Ordered stop; every stage is watched. Idempotent. timed_out: I/O had to be abandoned, and the process must end with
  // _exit.
  result<void> stop();
  class node_context& context();

  struct parts; // node_parts.hpp

private:
  explicit node(std::unique_ptr<parts> p);
  result<void> open_store();
  result<void> open_history();
  result<void> start_engine();
  result<void> start_snapshots();
  result<void> start_actors();
  result<void> open_doors();
  result<void> open_instance_listeners(const settings& wanted, struct node_facts& facts);
  result<apply_report> apply();
  void mark_clock();
  void stop_actors(class watchdog& dog);
  std::unique_ptr<parts> parts_;
};

} // namespace gnomon::actors
