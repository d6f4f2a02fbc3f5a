// What a node is made of, for the files that put it together (node.cpp) and change it while it runs (node_reload.cpp).
// Main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>

#include "actors/endpoints/admin_http.hpp"
#include "actors/endpoints/control_socket.hpp"
#include "actors/node/node.hpp"
#include "actors/runtime/background_pool.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/runtime/supervisor.hpp"
#include "actors/runtime/system_config.hpp"
#include "actors/snapshots/snapshot_works.hpp"
#include "config/clock_guard.hpp"
#include "config/log.hpp"
#include "io/engine/engine.hpp"
#include "store/history/history.hpp"
#include "store/meta/access_book.hpp"
#include "store/meta/catalogue.hpp"
#include "store/meta/data_directory.hpp"
#include "store/meta/event_book.hpp"
#include "store/meta/instance_book.hpp"
#include "store/meta/snapshot_book.hpp"

namespace gnomon::actors {

// In the order of construction: what stands below relies on what stands above.
struct node::parts {
  node_options options;
  node_context context;
  std::unique_ptr<store::data_directory> directory;
  std::unique_ptr<store::boot_marks> marks;
  std::unique_ptr<store::environment> meta;
  std::unique_ptr<clock_guard> ages;
  boot_time clock_marked{};
  std::unique_ptr<store::catalogue> catalogue;
  std::unique_ptr<store::access_book> access;
  std::unique_ptr<store::event_book> event_book;
  std::unique_ptr<store::instance_book> instances;
  std::unique_ptr<store::history> history;
  std::unique_ptr<background_pool> fits;
  std::unique_ptr<io::engine> engine;
  std::unique_ptr<store::snapshot_book> snapshot_book;
  std::unique_ptr<snapshot_works> snapshots;
  std::unique_ptr<system_config> config;
  std::unique_ptr<caf::actor_system> system;
  std::unique_ptr<control_socket> control;
  std::unique_ptr<root_guard> guard;
  std::unique_ptr<admin_http> admin;
  std::vector<std::string> instance_listeners; // as they are configured
  bool stopped = false;
};

} // namespace gnomon::actors
