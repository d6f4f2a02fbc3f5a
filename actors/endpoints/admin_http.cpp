#include "actors/endpoints/admin_http.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "actors/endpoints/admin_events.hpp"
#include "actors/endpoints/http_server.hpp"
#include "actors/telemetry/health.hpp"
#include "actors/telemetry/metrics.hpp"
#include "config/json.hpp"

namespace gnomon::actors {
namespace {

constexpr std::string_view events_path = "/v1/events";
constexpr std::size_t event_id_length_max = 64; // of what stands in its place

// The methods a path has; empty: there is no such path.
std::string_view admin_methods(std::string_view path) {
  if (path == "/metrics" || path == "/health")
    return "GET, HEAD";
  if (path == events_path)
    return "GET, HEAD, POST";
  if (!path.starts_with(events_path) || path[events_path.size()] != '/')
    return {};
  const auto id_length = path.size() - events_path.size() - 1;
  return id_length > 0 && id_length <= event_id_length_max ? "DELETE" : "";
}

http_content content_of(http_answer answer) {
  return {answer.status, std::make_shared<const std::string>(std::move(answer.body)), answer.type,
          answer.retry_after_s};
}

http_content health_content(const node_context& node) {
  const auto problems = health_problems(node);
  const auto configuration = node.configuration();
  json body;
  body["status"] = problems.empty() ? "ok" : "failing";
  body["node"] = node.facts()->node.value;
  body["state"] = std::string(to_string(node.state.load()));
  body["problems"] = problems;
  body["settings"] = {{"wanted", configuration.wanted},
                      {"in_force", configuration.in_force},
                      {"waiting_for_restart", configuration.waiting}};
  http_answer answer{problems.empty() ? 200 : 503, dump_json(body, json_style::pretty) + "\n", 0, {}};
  return content_of(std::move(answer));
}

// Threads that work off a bounded queue; what still waits at the end is dropped.
class job_threads {
public:
  explicit job_threads(int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this] { work(); });
  }
  ~job_threads() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
      jobs_.clear();
    }
    wake_.notify_all();
    for (auto& thread : threads_)
      thread.join();
  }
  // False: too many wait.
  bool submit(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      if (ended_ || jobs_.size() >= admin_jobs_waiting_max)
        return false;
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
  }

private:
  void work() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      if (jobs_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

// One answer for all who ask while it is made and for a moment after.
class shared_answer {
public:
  // True: the caller has to make the answer and give() it.
  bool wants_making(http_respond respond) {
    std::unique_lock lock(mutex_);
    if (made_ && boot_clock::now() - made_at_ < admin_answer_shared_for) {
      const auto content = *made_;
      lock.unlock();
      respond(content);
      return false;
    }
    waiting_.push_back(std::move(respond));
    return !std::exchange(being_made_, true);
  }
  void give(http_content content) {
    std::vector<http_respond> waiting;
    {
      std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
      being_made_ = false;
      if (content.status < 500 || content.status == 503)
        made_ = content, made_at_ = boot_clock::now();
    }
    for (const auto& respond : waiting)
      respond(content);
  }

private:
  std::mutex mutex_;
  std::vector<http_respond> waiting_; // at most one per connection
  bool being_made_ = false;
  std::optional<http_content> made_;
  boot_time made_at_{};
};

// The endpoint's own counters, in the form of the others.
std::string http_metrics(const http_counters& c) {
  const auto one = [](std::string_view name, std::string_view help, std::uint64_t value) {
    return fmt::format("# HELP gnomon_http_{0}_total {1}\n# TYPE gnomon_http_{0}_total counter\ngnomon_http_{0}_total {2}\n",
                       name, help, value);
  };
  return one("connections", "Connections to the admin endpoint.", c.connections) +
         one("requests", "Requests that were carried out.", c.requests) +
         one("refused", "Requests that were refused before anything was done.", c.refused) +
         one("timed_out", "Connections closed because the client took too long.", c.timed_out) +
         one("displaced", "Connections closed to make room for others.", c.displaced);
}

} // namespace

struct admin_http::impl {
  impl(const node_context& node, caf::actor_system& system) : node(node), events(node, system) {}

  void handle(http_request request, http_respond respond) {
    const auto& path = request.target.path;
    if (path == "/health") {
      if (health.wants_making(std::move(respond)))
        health.give(health_content(node));
    } else if (path == "/metrics") {
      if (!metrics.wants_making(std::move(respond)))
        return;
      const auto make = [this] {
        auto text = metrics_text(node) + http_metrics(server->counters());
        metrics.give({200, std::make_shared<const std::string>(std::move(text)),
                      "text/plain; version=0.0.4; charset=utf-8", 0});
      };
      if (!readers.submit(make))
        metrics.give(busy());
    } else if (request.method == "GET") {
      later(readers, respond, [this, parameters = request.target.parameters] { return events.list(parameters); });
    } else if (request.method == "POST") {
      later(changers, respond, [this, body = std::move(request.body)] { return events.add(body); });
    } else {
      later(changers, respond, [this, id = path.substr(events_path.size() + 1)] { return events.remove(id); });
    }
  }

  static http_content busy() { return content_of(http_error(503, "too many requests wait already; try again")); }

  template <class Make>
  static void later(job_threads& on, const http_respond& respond, Make make) {
    if (!on.submit([respond, make = std::move(make)] { respond(content_of(make())); }))
      respond(busy());
  }

  const node_context& node;
  admin_events events;
  shared_answer health, metrics;
  std::unique_ptr<http_server> server; // goes first below: nothing is asked any more
  job_threads readers{1}, changers{admin_changes_max};
};

admin_http::admin_http(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
admin_http::~admin_http() = default;
const endpoint& admin_http::bound() const noexcept { return impl_->server->bound(); }

result<std::unique_ptr<admin_http>> admin_http::open(const node_context& node, caf::actor_system& system,
                                                     const admin_settings& wanted) {
  auto endpoint = std::make_unique<impl>(node, system);
  http_server::options how;
  how.methods = admin_methods;
  how.host_names = wanted.hosts;
  how.host_names.push_back(wanted.listen->host);
  char own_name[256] = {};
  if (::gethostname(own_name, sizeof own_name - 1) == 0)
    how.host_names.emplace_back(own_name);
  how.handler = [raw = endpoint.get()](http_request request, http_respond respond) {
    raw->handle(std::move(request), std::move(respond));
  };
  auto server = http_server::open(*wanted.listen, std::move(how));
  if (!server)
    return fail(server.error().code, "admin.listen: " + server.error().message, server.error().os_errno);
  endpoint->server = std::move(*server);
  return std::unique_ptr<admin_http>(new admin_http(std::move(endpoint)));
}

} // namespace gnomon::actors
