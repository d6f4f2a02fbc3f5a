// An NBD client on a ring of its own, called from a test's thread; and a server whose every byte the test writes.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/nbd/client.hpp"
#include "io/nbd/option.hpp"
#include "tests/io/engine/io_fixture.hpp"

namespace gnomon::io::test {

inline endpoint unix_endpoint(std::string path) {
  endpoint e;
  e.type = endpoint::kind::unix_socket;
  e.path = std::move(path);
  return e;
}

class live_client final : public nbd_client_user {
public:
  struct answer {
    nbd_client::admission admitted = nbd_client::admission::accepted;
    int error = 0;
    bool lost = false;
    std::vector<extent> extents;
  };

  explicit live_client(nbd_client_options options, ring_options on = {}) {
    ring_ = ring::create(on).value();
    ring_->start({});
    run([&](ring& r) { client_ = std::make_unique<nbd_client>(r, std::move(options), *this); });
    run([&](ring&) { client_->open(); });
  }
  ~live_client() {
    run([&](ring&) { client_->drop(); });
    wait_until_ended();
    run([&](ring&) { client_.reset(); });
    ring_->request_stop();
    ring_->join();
  }

  // On the ring's thread, and waited for.
  template <class Task>
  void run(Task task) {
    std::packaged_task<void(ring&)> work(std::move(task));
    const auto done = work.get_future();
    if (!ring_->post([work = std::make_shared<decltype(work)>(std::move(work))](ring& r) { (*work)(r); }))
      std::abort(); // not an assertion of the test library's: any thread may run
    done.wait();
  }
  nbd_client& operator*() { return *client_; }

  result<void> wait_until_open() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return opened_ || ended_; });
    return ended_ && !opened_ ? *ended_ : result<void>{};
  }
  result<void> wait_until_ended() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return ended_.has_value(); });
    return *ended_;
  }
  unsigned rooms() {
    const std::lock_guard lock{mutex_};
    return rooms_;
  }

  struct pending : nbd_client_request {
    std::promise<answer> promise;
  };
  // Submits without waiting; `r` lives until the future is ready.
  std::future<answer> begin(pending& r) {
    r.finish = [](nbd_client_request& self, ring&) {
      auto promise = std::move(static_cast<pending&>(self).promise); // `self` may be gone when it is set
      promise.set_value({nbd_client::admission::accepted, self.error, self.lost, self.extents});
    };
    auto future = r.promise.get_future();
    run([&](ring&) {
      const auto admitted = client_->submit(r);
      if (admitted == nbd_client::admission::accepted)
        return;
      auto promise = std::move(r.promise);
      promise.set_value({admitted, r.error, r.lost, {}});
    });
    return future;
  }
  answer ask(operation op, std::uint64_t offset, std::uint64_t length, std::byte* data = nullptr, bool fua = false,
             std::uint32_t extents_max = 4096) {
    pending r;
    r.op = op, r.offset = offset, r.length = length, r.data = data, r.fua = fua, r.extents_max = extents_max;
    return begin(r).get();
  }

private:
  void opened(nbd_client&) override { change([&] { opened_ = true; }); }
  void room(nbd_client&) override { change([&] { ++rooms_; }); }
  void ended(nbd_client&, const result<void>& why) override { change([&] { ended_ = why; }); }
  template <class Change>
  void change(Change c) {
    const std::lock_guard lock{mutex_};
    c();
    changed_.notify_all();
  }

  std::unique_ptr<ring> ring_;
  std::unique_ptr<nbd_client> client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool opened_ = false;
  std::optional<result<void>> ended_;
  unsigned rooms_ = 0;
};

// A server on a thread of its own: shakes hands with a client, then does what the test says.
class scripted_server {
public:
  class connection {
  public:
    explicit connection(int fd) : fd_(fd) {}
    std::vector<std::byte> take(std::size_t n) {
      std::vector<std::byte> bytes(n);
      for (std::size_t at = 0; at < n;) {
        const ssize_t got = recv(fd_, bytes.data() + at, n - at, 0);
        if (got <= 0)
          return {};
        at += static_cast<std::size_t>(got);
      }
      return bytes;
    }
    void give(const std::vector<std::byte>& bytes) {
      [[maybe_unused]] const auto sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    // The next request's cookie; nothing at the end.
    std::optional<std::uint64_t> request() {
      const auto bytes = take(extended ? nbd::extended_request_bytes : nbd::request_bytes);
      if (bytes.empty())
        return std::nullopt;
      last = extended ? nbd::decode_extended_request(bytes.data()) : nbd::decode_request(bytes.data());
      return last->cookie;
    }
    // Greeting and options, up to GO, for an export of `size` bytes.
    void shake_hands(std::uint64_t size) {
      std::vector<std::byte> out;
      nbd::append(out, nbd::magic_init), nbd::append(out, nbd::magic_option);
      nbd::append(out, std::uint16_t{nbd::handshake_fixed_newstyle | nbd::handshake_no_zeroes});
      give(out);
      take(4);
      for (;;) {
        const auto head = take(nbd::option_header_bytes);
        if (head.empty())
          return;
        const auto option = nbd::load<std::uint32_t>(head.data() + 8);
        const auto length = nbd::load<std::uint32_t>(head.data() + 12);
        if (length)
          take(length);
        out.clear();
        const auto answer = [&](nbd::option_reply type, const std::vector<std::byte>& data) {
          nbd::append(out, nbd::magic_option_reply), nbd::append(out, option);
          nbd::append(out, static_cast<std::uint32_t>(type)), nbd::append(out, static_cast<std::uint32_t>(data.size()));
          out.insert(out.end(), data.begin(), data.end());
        };
        if (static_cast<nbd::option>(option) == nbd::option::go) {
          std::vector<std::byte> info;
          nbd::append(info, std::uint16_t{0}), nbd::append(info, size), nbd::append(info, nbd::served_flags);
          answer(nbd::option_reply::info, info);
        }
        if (static_cast<nbd::option>(option) == nbd::option::set_meta_context) {
          std::vector<std::byte> context;
          nbd::append(context, std::uint32_t{7}), nbd::append_text(context, nbd::base_allocation_name);
          answer(nbd::option_reply::meta_context, context);
        }
        extended |= static_cast<nbd::option>(option) == nbd::option::extended_headers;
        answer(nbd::option_reply::ack, {});
        give(out);
        if (static_cast<nbd::option>(option) == nbd::option::go)
          return;
      }
    }
    void hang_up() { shutdown(fd_, SHUT_RDWR); }

    bool extended = false;
    std::optional<nbd::request> last;

  private:
    int fd_;
  };

  scripted_server(const std::string& path, std::function<void(connection&)> script) {
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    BOOST_REQUIRE_EQUAL(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    BOOST_REQUIRE_EQUAL(listen(fd_, 8), 0);
    thread_ = std::thread([this, script = std::move(script)] {
      const int client = accept(fd_, nullptr, nullptr);
      if (client < 0)
        return;
      connection c{client};
      script(c);
      while (!c.take(1).empty()) {
      }
      close(client);
    });
  }
  ~scripted_server() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }

private:
  int fd_;
  std::thread thread_;
};

} // namespace gnomon::io::test
