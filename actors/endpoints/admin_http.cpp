#include "actors/endpoints/admin_http.hpp"

#include <atomic>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <httplib.h>

#include "actors/endpoints/admin_events.hpp"
#include "actors/telemetry/health.hpp"
#include "actors/telemetry/metrics.hpp"
#include "config/event_json.hpp"
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

constexpr std::string_view events_path = "/v1/events";
constexpr std::size_t event_id_length_max = 64; // of what stands in its place

void give(const http_answer& answer, httplib::Response& response) {
  response.status = answer.status;
  if (answer.retry_after_s > 0)
    response.set_header("Retry-After", std::to_string(answer.retry_after_s));
  response.set_content(answer.body, "application/json");
}

// The request is over although its body may not have been read.
void refuse(int status, const std::string& why, httplib::Response& response) {
  give(http_error(status, why), response);
  response.set_header("Connection", "close");
}

// The methods a path has; empty: there is no such path.
std::string_view methods_of(std::string_view path) {
  if (path == "/metrics" || path == "/health")
    return "GET, HEAD";
  if (path == events_path)
    return "GET, HEAD, POST";
  if (!path.starts_with(events_path) || path[events_path.size()] != '/')
    return {};
  const auto id_length = path.size() - events_path.size() - 1;
  return id_length > 0 && id_length <= event_id_length_max ? "DELETE" : "";
}

bool allows(std::string_view methods, std::string_view method) {
  for (std::size_t from = 0; from <= methods.size();) {
    const auto end = std::min(methods.find(", ", from), methods.size());
    if (methods.substr(from, end - from) == method)
      return true;
    from = end + 2;
  }
  return false;
}

// Before the library reads a byte of the body: it would keep any amount of it. True: the request goes on.
bool admit(const httplib::Request& request, httplib::Response& response) {
  const auto methods = methods_of(request.path);
  if (methods.empty())
    return refuse(404, "there is nothing here", response), false;
  if (!allows(methods, request.method)) {
    response.set_header("Allow", std::string(methods));
    return refuse(405, "this path takes " + std::string(methods), response), false;
  }
  const bool changes = request.method != "GET" && request.method != "HEAD";
  if (changes && request.has_header("Origin")) // every browser says whose page sends it
    return refuse(403, "changes are not taken from web pages", response), false;
  if (changes && request.is_multipart_form_data())
    return refuse(415, "send JSON", response), false;
  return true;
}

// At most `kept_max` bytes are kept; the rest is read and thrown away, so that the client hears the answer.
std::optional<std::string> read_body(const httplib::Request& request, const httplib::ContentReader& reader,
                                     std::size_t kept_max, httplib::Response& response) {
  std::string body;
  if (!request.has_header("Content-Length") && !request.has_header("Transfer-Encoding"))
    return body; // the library would wait for the end of the connection
  std::size_t total = 0;
  const bool whole = reader([&](const char* data, std::size_t size) {
    total += size;
    if (total <= kept_max)
      body.append(data, size);
    return total <= admin_payload_max;
  });
  if (total > kept_max || response.status == 413)
    refuse(413, fmt::format("a body of at most {} bytes", kept_max), response);
  else if (!whole)
    refuse(400, "the body cannot be read to its end", response);
  else
    return body;
  return std::nullopt;
}

void serve_events(httplib::Server& server, admin_events& events) {
  server.Get(std::string(events_path), [&events](const httplib::Request& request, httplib::Response& response) {
    give(events.list({request.params.begin(), request.params.end()}), response);
  });
  server.Post(std::string(events_path), [&events](const httplib::Request& request, httplib::Response& response,
                                                  const httplib::ContentReader& reader) {
    if (const auto body = read_body(request, reader, events_body_bytes_max, response))
      give(events.add(*body), response);
  });
  server.Delete(
      std::string(events_path) + "/([\\s\\S]+)",
      [&events](const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& reader) {
        if (read_body(request, reader, events_body_bytes_max, response))
          give(events.remove(std::string_view(request.path).substr(events_path.size() + 1)), response);
      });
}

} // namespace

struct admin_door::impl {
  impl(const node_context& node, caf::actor_system& system) : events(node, system) {}
  admin_events events;
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

result<std::unique_ptr<admin_door>> admin_door::open(const node_context& node, caf::actor_system& system,
                                                     const endpoint& where) {
  if (where.type != endpoint::kind::tcp)
    return fail(errc::unsupported, "admin door " + where.to_string() + ": it listens on TCP only");
  auto door = std::make_unique<impl>(node, system);
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
  server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    return admit(request, response) ? httplib::Server::HandlerResponse::Unhandled
                                    : httplib::Server::HandlerResponse::Handled;
  });
  serve_events(server, door->events);
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
