#include "actors/endpoints/http_server.hpp"

#include <atomic>
#include <map>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "config/log.hpp"

namespace gnomon::actors {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using head_parser = http::request_parser<http::string_body>;
using boost_error = boost::system::error_code;

constexpr std::size_t read_buffer_bytes_max = 16u << 10;
constexpr std::chrono::milliseconds accept_pause{100};   // after an accept that failed
constexpr std::chrono::milliseconds linger_time{1'000};  // for a refused request's rest, so that its client reads why
constexpr std::size_t linger_bytes_max = 16u << 20;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

http_head head_of(const head_parser& parser) {
  const auto& message = parser.get();
  http_head head;
  head.method = view(message.method_string());
  head.target = view(message.target());
  head.version = message.version();
  for (const auto& field : message) {
    switch (field.name()) {
    case http::field::host:
      head.hosts.push_back(view(field.value()));
      break;
    case http::field::origin:
      head.has_origin = true;
      break;
    case http::field::content_encoding:
      head.has_content_encoding = true;
      break;
    case http::field::content_type:
      head.content_type = view(field.value());
      break;
    default:
      break;
    }
  }
  head.has_length = parser.content_length().has_value() || parser.chunked();
  return head;
}

class http_session;

// What the sessions share; the server's thread only, except for the counters.
struct http_shared {
  explicit http_shared(http_server::options how) : options(std::move(how)) {}
  http_server::options options;
  std::shared_ptr<net::io_context> context = std::make_shared<net::io_context>(1); // late answers hold it too
  tcp::acceptor acceptor{*context};
  net::steady_timer pause{*context};
  std::map<std::uint64_t, std::shared_ptr<http_session>> sessions; // by age
  std::uint64_t next_session = 1;
  std::size_t bodies = 0;
  std::size_t answers_bytes = 0;
  std::atomic<std::uint64_t> requests{0}, connections{0}, refused{0}, timed_out{0}, displaced{0};

  void accept();
  void make_room();
  void make_room_for_answer(std::size_t bytes, const http_session& for_whom);
};

class http_session : public std::enable_shared_from_this<http_session> {
public:
  // In the order in which they give way to others.
  enum class phase { idle, reading, writing, working };

  http_session(http_shared& shared, std::uint64_t id, tcp::socket socket)
      : shared_(shared), id_(id), stream_(std::move(socket)) {}

  phase now() const { return phase_; }
  std::size_t answer_bytes() const { return answer_bytes_; }

  void begin() {
    parser_.emplace();
    parser_->header_limit(http_header_bytes_max);
    parser_->body_limit(http_body_bytes_max);
    phase_ = phase::idle;
    if (buffer_.size() > 0 || served_ == 0) // the time of a head begins with the connection, or with its first byte
      return read_head();
    stream_.expires_after(shared_.options.limits.idle_time);
    stream_.async_read_some(buffer_.prepare(1), [self = shared_from_this()](boost_error failed, std::size_t bytes) {
      if (failed)
        return self->end();
      self->buffer_.commit(bytes);
      self->read_head();
    });
  }

  // Takes the session out of the table; its operations end with an error.
  void end() {
    release();
    boost_error ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
    shared_.sessions.erase(id_);
  }

private:
  void read_head() {
    phase_ = phase::reading;
    stream_.expires_after(shared_.options.limits.head_time);
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](boost_error failed, std::size_t) {
      if (failed)
        return self->head_failed(failed);
      self->admit();
    });
  }

  void head_failed(boost_error failed) {
    if (failed == beast::error::timeout)
      ++shared_.timed_out;
    if (failed == http::error::header_limit || failed == http::error::buffer_overflow)
      return refuse(http_error(431, fmt::format("request line and headers of at most {} bytes", http_header_bytes_max)));
    if (failed == http::error::body_limit)
      return refuse(http_error(413, fmt::format("a body of at most {} bytes", http_body_bytes_max)));
    if (failed == http::error::end_of_stream || failed.category() != http::make_error_code(http::error::bad_method).category())
      return end();
    refuse(http_error(400, "this is not HTTP: " + failed.message()));
  }

  void admit() {
    const auto head = head_of(*parser_);
    target_ = parse_http_target(head.target);
    keep_alive_ = parser_->keep_alive() && ++served_ < shared_.options.limits.requests_per_connection_max;
    is_head_ = head.method == "HEAD";
    method_ = is_head_ ? "GET" : std::string(head.method);
    version_ = head.version;
    if (auto refused = refuse_http(head, target_, shared_.options.methods, shared_.options.host_names))
      return refuse(std::move(*refused));
    if (parser_->content_length().value_or(0) > http_body_bytes_max)
      return refuse(http_error(413, fmt::format("a body of at most {} bytes", http_body_bytes_max)));
    if (!head.has_length || parser_->content_length().value_or(1) == 0)
      return handle();
    if (shared_.bodies >= shared_.options.limits.bodies_max)
      return refuse(http_error(503, "too many requests with bodies at once; try again"));
    ++shared_.bodies;
    has_body_ = true;
    stream_.expires_after(shared_.options.limits.body_time);
    if (!beast::iequals(parser_->get()[http::field::expect], "100-continue"))
      return read_body();
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    net::async_write(stream_, net::buffer(go_on.data(), go_on.size()),
                     [self = shared_from_this()](boost_error failed, std::size_t) {
                       if (failed)
                         return self->end();
                       self->read_body();
                     });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](boost_error failed, std::size_t) {
      if (!failed)
        return self->handle();
      if (failed == http::error::body_limit)
        return self->refuse(http_error(413, fmt::format("a body of at most {} bytes", http_body_bytes_max)));
      if (failed == beast::error::timeout)
        ++self->shared_.timed_out;
      if (failed == beast::error::timeout || failed == http::error::end_of_stream || failed == net::error::eof)
        return self->end();
      self->refuse(http_error(400, "the body cannot be read to its end"));
    });
  }

  void handle() {
    phase_ = phase::working;
    stream_.expires_never();
    ++shared_.requests;
    http_request request{method_, std::move(*target_), std::move(parser_->get().body())};
    std::weak_ptr<http_session> weak = weak_from_this();
    const auto number = ++answers_awaited_;
    shared_.options.handler(std::move(request), [context = shared_.context, weak, number](http_content content) {
      net::post(*context, [weak, number, content = std::move(content)]() mutable {
        const auto self = weak.lock();
        if (self && self->phase_ == phase::working && self->answers_awaited_ == number)
          self->send(std::move(content), after::go_on);
      });
    });
  }

  enum class after { go_on, close };

  void refuse(http_answer answer) {
    ++shared_.refused;
    allow_ = std::move(answer.allow);
    send({answer.status, std::make_shared<const std::string>(std::move(answer.body)), answer.type,
          answer.retry_after_s},
         after::close);
  }

  void send(http_content content, after then) {
    phase_ = phase::writing;
    content_ = std::move(content.body);
    answer_bytes_ = content_->size();
    shared_.make_room_for_answer(answer_bytes_, *this);
    shared_.answers_bytes += answer_bytes_;
    const bool closes = then == after::close || !keep_alive_;
    auto& head = head_.emplace();
    head.version(version_ == 10 ? 10 : 11);
    head.result(static_cast<unsigned>(content.status));
    head.set(http::field::content_type, content.type);
    head.set("X-Content-Type-Options", "nosniff");
    if (content.retry_after_s > 0)
      head.set(http::field::retry_after, std::to_string(content.retry_after_s));
    if (!allow_.empty())
      head.set(http::field::allow, allow_);
    head.content_length(content_->size());
    head.keep_alive(!closes);
    serializer_.emplace(head);
    stream_.expires_after(shared_.options.limits.answer_time);
    http::async_write_header(stream_, *serializer_,
                             [self = shared_from_this(), closes, then](boost_error failed, std::size_t) {
                               if (failed)
                                 return self->write_failed(failed);
                               self->send_body(closes, then);
                             });
  }

  void send_body(bool closes, after then) {
    if (is_head_)
      return sent(closes, then);
    net::async_write(stream_, net::buffer(*content_),
                     [self = shared_from_this(), closes, then](boost_error failed, std::size_t) {
                       if (failed)
                         return self->write_failed(failed);
                       self->sent(closes, then);
                     });
  }

  void write_failed(boost_error failed) {
    if (failed == beast::error::timeout)
      ++shared_.timed_out;
    end();
  }

  void sent(bool closes, after then) {
    release();
    allow_.clear();
    if (!closes)
      return begin();
    boost_error ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (then == after::go_on)
      return end();
    // Closing with unread bytes would reset the connection, and the client would never read the answer.
    phase_ = phase::reading;
    stream_.expires_after(linger_time);
    linger();
  }

  void linger() {
    buffer_.consume(buffer_.size());
    stream_.async_read_some(buffer_.prepare(read_buffer_bytes_max),
                            [self = shared_from_this()](boost_error failed, std::size_t bytes) {
                              self->lingered_ += bytes;
                              if (failed || self->lingered_ > linger_bytes_max)
                                return self->end();
                              self->linger();
                            });
  }

  // What this request held of the shared limits.
  void release() {
    if (has_body_)
      --shared_.bodies;
    has_body_ = false;
    shared_.answers_bytes -= answer_bytes_;
    answer_bytes_ = 0;
    content_.reset();
  }

  http_shared& shared_;
  const std::uint64_t id_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{read_buffer_bytes_max};
  std::optional<head_parser> parser_;
  std::optional<http_target> target_;
  std::string method_, allow_;
  unsigned version_ = 11;
  bool keep_alive_ = false, is_head_ = false, has_body_ = false;
  std::uint32_t served_ = 0;
  std::uint64_t answers_awaited_ = 0;
  std::size_t lingered_ = 0;
  std::optional<http::response<http::empty_body>> head_;
  std::optional<http::response_serializer<http::empty_body>> serializer_;
  std::shared_ptr<const std::string> content_;
  std::size_t answer_bytes_ = 0;
  phase phase_ = phase::idle;
};

void http_shared::accept() {
  acceptor.async_accept([this](boost_error failed, tcp::socket socket) {
    if (failed == net::error::operation_aborted)
      return;
    if (failed) { // no descriptors: wait instead of spinning
      pause.expires_after(accept_pause);
      return pause.async_wait([this](boost_error ended) {
        if (!ended)
          accept();
      });
    }
    ++connections;
    make_room();
    const auto id = next_session++;
    const auto session = std::make_shared<http_session>(*this, id, std::move(socket));
    sessions.emplace(id, session);
    session->begin();
    accept();
  });
}

void http_shared::make_room() {
  while (sessions.size() >= options.limits.connections_max) {
    auto chosen = sessions.begin()->second; // the oldest of those that give way first
    for (const auto& [id, session] : sessions)
      if (session->now() < chosen->now())
        chosen = session;
    ++displaced;
    chosen->end();
  }
}

void http_shared::make_room_for_answer(std::size_t bytes, const http_session& for_whom) {
  while (answers_bytes > 0 && answers_bytes + bytes > options.limits.answers_bytes_max) {
    std::shared_ptr<http_session> chosen;
    for (const auto& [id, session] : sessions)
      if (session.get() != &for_whom && session->answer_bytes() > 0) {
        chosen = session;
        break;
      }
    if (!chosen)
      return;
    ++displaced;
    chosen->end();
  }
}

} // namespace

struct http_server::impl {
  explicit impl(options how) : shared(std::move(how)) {}
  ~impl() {
    shared.context->stop();
    if (thread.joinable())
      thread.join();
  }
  http_shared shared;
  endpoint bound;
  std::thread thread;
};

http_server::http_server(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
http_server::~http_server() = default;
const endpoint& http_server::bound() const noexcept { return impl_->bound; }
http_counters http_server::counters() const noexcept {
  const auto& s = impl_->shared;
  return {s.requests, s.connections, s.refused, s.timed_out, s.displaced};
}

result<std::unique_ptr<http_server>> http_server::open(const endpoint& where, options how) {
  if (where.type != endpoint::kind::tcp)
    return fail(errc::unsupported, where.to_string() + ": HTTP is served on TCP only");
  auto made = std::make_unique<impl>(std::move(how));
  auto& acceptor = made->shared.acceptor;
  boost_error failed;
  tcp::resolver resolver{*made->shared.context};
  const auto found = resolver.resolve(where.host, std::to_string(where.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, failed);
  if (failed || found.empty())
    return fail(errc::not_found, fmt::format("{}: {}", where.to_string(), failed.message()));
  const auto address = found.begin()->endpoint();
  const auto try_to = [&](auto step) { return failed ? void() : void(step()); };
  try_to([&] { acceptor.open(address.protocol(), failed); });
  try_to([&] { acceptor.set_option(net::socket_base::reuse_address(true), failed); });
  try_to([&] { acceptor.bind(address, failed); });
  try_to([&] { acceptor.listen(net::socket_base::max_listen_connections, failed); });
  if (failed)
    return fail_errno(where.to_string(), failed.value());
  made->bound = where;
  made->bound.port = acceptor.local_endpoint(failed).port();
  made->shared.accept();
  made->thread = std::thread([raw = made.get()] {
    while (!raw->shared.context->stopped()) {
      try {
        raw->shared.context->run();
      } catch (const std::exception& broken) { // of one session: the others go on
        log::error("admin endpoint: {}", broken.what());
      }
    }
  });
  return std::unique_ptr<http_server>(new http_server(std::move(made)));
}

} // namespace gnomon::actors
