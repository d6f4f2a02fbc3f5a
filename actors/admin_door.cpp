#include "actors/admin_door.hpp"

#include <atomic>
#include <thread>

#include <httplib.h>

#include "actors/health.hpp"
#include "actors/metrics.hpp"
#include "config/json.hpp"
#include "config/log.hpp"

namespace gnomon::actors {
namespace {

void answer_health(const node_context& node, httplib::Response& response) {
  const auto problems = health_problems(node);
  json body;
  body["status"] = problems.empty() ? "ok" : "failing";
  body["node"] = node.facts()->node.value;
  body["state"] = std::string(to_string(node.state.load()));
  body["problems"] = problems;
  response.status = problems.empty() ? 200 : 503;
  response.set_content(dump_json(body, json_style::pretty) + "\n", "application/json");
}

} // namespace

struct admin_door::impl {
  httplib::Server server;
  std::atomic<bool> ended{false};
  std::thread thread;
  ~impl() {
    server.stop();
    if (thread.joinable())
      thread.join();
  }
};

admin_door::admin_door(std::unique_ptr<impl> i, endpoint bound) : impl_(std::move(i)), bound_(std::move(bound)) {}
admin_door::~admin_door() = default;

result<std::unique_ptr<admin_door>> admin_door::open(const node_context& node, const endpoint& where) {
  if (where.type != endpoint::kind::tcp)
    return fail(errc::unsupported, "admin door " + where.to_string() + ": it listens on TCP only");
  auto door = std::make_unique<impl>();
  auto& server = door->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(admin_threads); }; // owned by the server
  server.set_payload_max_length(admin_payload_max);
  server.set_keep_alive_max_count(admin_keep_alive_requests_max);
  server.set_keep_alive_timeout(admin_io_timeout.count());
  server.set_read_timeout(admin_io_timeout);
  server.set_write_timeout(admin_io_timeout);
  // The default would set SO_REUSEPORT: a second node on the same port would silently share it.
  server.set_socket_options([](int fd) {
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_exception_handler([](const httplib::Request& request, httplib::Response& response, std::exception_ptr) {
    log::error("admin door: {} threw", request.path);
    response.status = 500;
  });
  server.Get("/metrics", [&node](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics_text(node), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/health",
             [&node](const httplib::Request&, httplib::Response& response) { answer_health(node, response); });

  endpoint bound = where;
  errno = 0;
  if (where.port == 0) {
    const int port = server.bind_to_any_port(where.host);
    if (port > 0)
      bound.port = static_cast<std::uint16_t>(port);
  } else if (!server.bind_to_port(where.host, where.port)) {
    bound.port = 0;
  }
  if (bound.port == 0)
    return errno != 0 ? result<std::unique_ptr<admin_door>>(fail_errno("admin door " + where.to_string()))
                      : fail(errc::unavailable, "admin door " + where.to_string() + ": cannot listen there");
  door->thread = std::thread([raw = door.get()] {
    raw->server.listen_after_bind();
    raw->ended = true;
  });
  // A server that is told to stop before its loop has begun does not hear it, and its thread would never end.
  while (!server.is_running() && !door->ended)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return std::unique_ptr<admin_door>(new admin_door(std::move(door), std::move(bound)));
}

} // namespace gnomon::actors
