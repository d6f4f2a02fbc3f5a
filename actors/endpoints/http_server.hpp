// A small HTTP/1.1 server on Boost.Beast for an endpoint that anybody may reach: one thread owns every socket, and every
// resource a client can use up has a named limit. A complete request gets its answer from a handler; what arrives before
// that (bytes, time, connections) is bounded here. When connections or answers in memory reach their limit, the one that
// has waited longest for its client goes, so that slow or idle clients cannot shut out a prompt one.
//
// Threads: open() and the destructor belong to the owner. The handler is called on the server's thread and must return
// at once; it may answer there or, later, from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/endpoints/http_request.hpp"
#include "config/endpoint.hpp"

namespace gnomon::actors {

struct http_limits {
  std::size_t connections_max = 128;
  std::size_t bodies_max = 16;                   // requests whose bodies are read or held at once
  std::size_t answers_bytes_max = 64u << 20;     // of answers that are being sent; a single one may be larger
  std::uint32_t requests_per_connection_max = 1'000;
  std::chrono::milliseconds head_time{5'000};    // for a whole head, from its first byte or the connection's begin
  std::chrono::milliseconds body_time{10'000};   // for a whole body
  std::chrono::milliseconds answer_time{10'000}; // for sending an answer
  std::chrono::milliseconds idle_time{60'000};   // between requests
};

struct http_request {
  std::string method; // GET and HEAD are one: "GET"
  http_target target;
  std::string body;
};
// Large answers are shared between the clients that get the same.
struct http_content {
  int status = 200;
  std::shared_ptr<const std::string> body;
  std::string type;
  int retry_after_s = 0;
};
using http_respond = std::function<void(http_content)>; // any thread, once; later calls have no effect
using http_handler = std::function<void(http_request, http_respond)>;

// Since the start, for /metrics.
struct http_counters {
  std::uint64_t requests = 0, connections = 0;
  std::uint64_t refused = 0;   // answered 4xx or closed before a handler saw them
  std::uint64_t timed_out = 0; // a client that took too long
  std::uint64_t displaced = 0; // closed to make room
};

class http_server {
public:
  struct options {
    http_limits limits;
    http_methods methods = nullptr;
    std::vector<std::string> host_names; // further names of this node, see is_own_host()
    http_handler handler;
  };
  // Binds and serves. busy: the address is taken; not_found, unavailable: no such address here.
  static result<std::unique_ptr<http_server>> open(const endpoint& where, options how);
  ~http_server(); // closes every connection and joins; waits for nobody
  const endpoint& bound() const noexcept;
  http_counters counters() const noexcept; // any thread

private:
  struct impl;
  explicit http_server(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace gnomon::actors
