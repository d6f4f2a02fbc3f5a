#include "io/nbd/socket.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace gnomon::io {
BOOST_AUTO_TEST_SUITE(socket_test)
namespace {

struct owned {
  int fd = -1;
  owned() = default;
  explicit owned(int f) : fd(f) {}
  owned(owned&& o) noexcept : fd(std::exchange(o.fd, -1)) {}
  ~owned() {
    if (fd >= 0)
      close(fd);
  }
};

struct temporary_directory {
  std::string path;
  temporary_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gnomon-socket-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~temporary_directory() { std::filesystem::remove_all(path); }
  endpoint at(const std::string& name) const {
    endpoint e;
    e.type = endpoint::kind::unix_socket;
    e.path = path + "/" + name;
    return e;
  }
};

endpoint tcp(const char* host, std::uint16_t port = 0) {
  endpoint e;
  e.host = host;
  e.port = port;
  return e;
}

owned connect_to(const endpoint& where) {
  if (where.type == endpoint::kind::unix_socket) {
    owned s(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, where.path.c_str(), where.path.size());
    BOOST_REQUIRE(connect(s.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return s;
  }
  owned s(socket(where.host == "::1" ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(where.port);
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(where.port);
  six.sin6_addr = in6addr_loopback;
  const int ok = where.host == "::1" ? connect(s.fd, reinterpret_cast<sockaddr*>(&six), sizeof six)
                                     : connect(s.fd, reinterpret_cast<sockaddr*>(&four), sizeof four);
  BOOST_REQUIRE(ok == 0);
  return s;
}

mode_t mode_of(const endpoint& where) {
  struct stat about {};
  BOOST_REQUIRE(lstat(where.path.c_str(), &about) == 0);
  BOOST_REQUIRE(S_ISSOCK(about.st_mode));
  return about.st_mode & 0777;
}

errc refusal(const endpoint& where) {
  const auto s = listen_on(where, 0600);
  BOOST_REQUIRE(!s.has_value());
  const std::string& text = s.error().message;
  const std::string name = where.type == endpoint::kind::unix_socket ? where.path : where.host;
  BOOST_TEST(text.find(name) != text.npos, text << " does not name " << name);
  return s.error().code;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_unix_socket_has_the_mode_asked_for_whatever_the_umask) {
  temporary_directory directory;
  const mode_t before = umask(0077);
  for (const mode_t mask : {0077u, 0000u, 0777u})
    for (const std::uint32_t mode : {0660u, 0600u, 0666u}) {
      umask(mask);
      const auto s = listen_on(directory.at("s"), mode);
      BOOST_TEST(umask(mask) == mask); // left as it was
      BOOST_REQUIRE(s.has_value());
      const owned listening(s->fd);
      BOOST_TEST(mode_of(directory.at("s")) == mode);
      unlink(directory.at("s").path.c_str());
    }
  umask(before);
}

BOOST_AUTO_TEST_CASE(a_listening_unix_socket_takes_clients_and_knows_who_they_are) {
  temporary_directory directory;
  const auto s = listen_on(directory.at("s"), 0600);
  BOOST_REQUIRE(s.has_value());
  const owned listening(s->fd);
  BOOST_TEST((s->bound == directory.at("s")));
  BOOST_TEST((fcntl(s->fd, F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST((fcntl(s->fd, F_GETFD) & FD_CLOEXEC) != 0);
  const owned client = connect_to(s->bound), accepted(accept(s->fd, nullptr, nullptr));
  BOOST_REQUIRE(accepted.fd >= 0);
  BOOST_TEST(describe_peer(accepted.fd) ==
             "unix:pid=" + std::to_string(getpid()) + ",uid=" + std::to_string(getuid()));
  prepare_client_socket(accepted.fd); // nothing to prepare, no harm done
}

BOOST_AUTO_TEST_CASE(the_socket_of_a_dead_process_is_replaced) {
  temporary_directory directory;
  const auto first = listen_on(directory.at("s"), 0600);
  BOOST_REQUIRE(first.has_value());
  close(first->fd); // as after kill -9: the file stays
  BOOST_TEST(std::filesystem::exists(directory.at("s").path));
  const auto second = listen_on(directory.at("s"), 0640);
  BOOST_REQUIRE(second.has_value());
  const owned listening(second->fd);
  BOOST_TEST(mode_of(directory.at("s")) == 0640u);
  const owned client = connect_to(second->bound);
}

BOOST_AUTO_TEST_CASE(a_living_socket_is_left_alone_and_its_owner_named) {
  temporary_directory directory;
  const auto first = listen_on(directory.at("s"), 0600);
  BOOST_REQUIRE(first.has_value());
  const owned listening(first->fd);
  for (int i = 0; i < 3; ++i) {
    const auto second = listen_on(directory.at("s"), 0600);
    BOOST_REQUIRE(!second.has_value());
    BOOST_TEST((second.error().code == errc::busy));
    BOOST_TEST(second.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
  }
  const owned client = connect_to(first->bound); // still served
}

BOOST_AUTO_TEST_CASE(a_living_socket_with_a_full_backlog_is_left_alone_too) {
  temporary_directory directory;
  const endpoint where = directory.at("s");
  const owned listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, where.path.c_str(), where.path.size());
  BOOST_REQUIRE(bind(listening.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  BOOST_REQUIRE(listen(listening.fd, 0) == 0);
  const owned client = connect_to(where);
  BOOST_TEST((refusal(where) == errc::busy));
  BOOST_TEST(std::filesystem::exists(where.path));
}

BOOST_AUTO_TEST_CASE(what_is_no_socket_is_never_removed) {
  temporary_directory directory;
  std::ofstream(directory.path + "/file") << "precious";
  BOOST_TEST((refusal(directory.at("file")) == errc::already_exists));
  std::filesystem::create_directory(directory.path + "/dir");
  BOOST_TEST((refusal(directory.at("dir")) == errc::already_exists));
  std::filesystem::create_symlink(directory.path + "/file", directory.path + "/link");
  BOOST_TEST((refusal(directory.at("link")) == errc::already_exists));
  std::string text;
  std::ifstream(directory.path + "/file") >> text;
  BOOST_TEST(text == "precious");
  const owned datagrams(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory.at("datagrams").path;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  BOOST_REQUIRE(bind(datagrams.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  BOOST_TEST((refusal(directory.at("datagrams")) == errc::busy));
}

BOOST_AUTO_TEST_CASE(bad_paths_say_what_is_wrong_and_leave_nothing_behind) {
  temporary_directory directory;
  BOOST_TEST((refusal(directory.at("missing/s")) == errc::not_found));
  BOOST_TEST((refusal(directory.at(std::string(120, 'x'))) == errc::invalid_argument));
  endpoint empty;
  empty.type = endpoint::kind::unix_socket;
  BOOST_TEST((refusal(empty) == errc::invalid_argument));
  BOOST_TEST(std::filesystem::is_empty(directory.path));
}

BOOST_AUTO_TEST_CASE(of_many_who_start_at_once_on_a_dead_socket_one_wins) {
  for (int round = 0; round < 20; ++round) {
    temporary_directory directory;
    const auto dead = listen_on(directory.at("s"), 0600);
    BOOST_REQUIRE(dead.has_value());
    close(dead->fd);
    std::vector<int> fds(8, -1);
    std::vector<std::thread> threads;
    for (int& fd : fds)
      threads.emplace_back([&fd, where = directory.at("s")] {
        if (const auto s = listen_on(where, 0600))
          fd = s->fd;
      });
    for (auto& t : threads)
      t.join();
    unsigned winners = 0;
    for (const int fd : fds) {
      if (fd < 0)
        continue;
      ++winners;
      const owned client = connect_to(directory.at("s")), listening(fd);
      const owned accepted(accept(fd, nullptr, nullptr)); // the file leads to the winner
      BOOST_TEST(accepted.fd >= 0);
    }
    BOOST_TEST(winners == 1u);
  }
}

BOOST_AUTO_TEST_CASE(tcp_resolves_port_0_and_tells_clients_apart) {
  for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
    const auto s = listen_on(tcp(host), 0);
    if (!s && std::string(host) == "::1") {
      BOOST_TEST_MESSAGE("no IPv6 here: " << s.error().message);
      continue;
    }
    BOOST_REQUIRE(s.has_value());
    const owned listening(s->fd);
    BOOST_TEST(s->bound.port != 0);
    const owned client = connect_to(s->bound), accepted(accept(s->fd, nullptr, nullptr));
    BOOST_REQUIRE(accepted.fd >= 0);
    const std::string peer = describe_peer(accepted.fd);
    BOOST_TEST(peer.starts_with(s->bound.host == "::1" ? "[::1]:" : "127.0.0.1:"), peer);
    prepare_client_socket(accepted.fd);
    int no_delay = 0, keep_alive = 0;
    socklen_t length = sizeof(int);
    BOOST_TEST(getsockopt(accepted.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length) == 0);
    BOOST_TEST(getsockopt(accepted.fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &length) == 0);
    BOOST_TEST(no_delay != 0);
    BOOST_TEST(keep_alive != 0);
    const auto seconds = [&](int option) {
      int value = 0;
      BOOST_TEST(getsockopt(accepted.fd, IPPROTO_TCP, option, &value, &length) == 0);
      return value;
    };
    // A dead peer's claim ends within a minute, not within the two hours of the default.
    BOOST_TEST(seconds(TCP_KEEPIDLE) + seconds(TCP_KEEPINTVL) * seconds(TCP_KEEPCNT) <= 60);
    BOOST_TEST(seconds(TCP_USER_TIMEOUT) / 1000 <= 60);
    BOOST_TEST(seconds(TCP_USER_TIMEOUT) > 0);
  }
}

BOOST_AUTO_TEST_CASE(a_tcp_port_in_use_and_an_address_of_another_machine_are_told_apart) {
  const auto first = listen_on(tcp("127.0.0.1"), 0);
  BOOST_REQUIRE(first.has_value());
  {
    const owned listening(first->fd);
    BOOST_TEST((refusal(tcp("127.0.0.1", first->bound.port)) == errc::busy));
    const owned client = connect_to(first->bound), accepted(accept(first->fd, nullptr, nullptr));
  } // connections of a stopped listener may linger: the next one starts all the same
  const auto again = listen_on(first->bound, 0);
  BOOST_REQUIRE(again.has_value());
  const owned listening(again->fd);
  BOOST_TEST((refusal(tcp("192.0.2.1", 10809)) == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(the_ipv6_wildcard_leaves_ipv4_to_its_own_listener) {
  const auto six = listen_on(tcp("::"), 0);
  if (!six) {
    BOOST_TEST_MESSAGE("no IPv6 here: " << six.error().message);
    return;
  }
  const owned listening(six->fd);
  const auto four = listen_on(tcp("0.0.0.0", six->bound.port), 0);
  BOOST_REQUIRE(four.has_value());
  const owned other(four->fd);
}

BOOST_AUTO_TEST_CASE(only_a_listening_stream_socket_is_taken_over) {
  temporary_directory directory;
  const auto s = listen_on(directory.at("s"), 0600);
  const auto t = listen_on(tcp("127.0.0.1"), 0);
  BOOST_REQUIRE((s.has_value() && t.has_value()));
  const owned a(s->fd), b(t->fd);
  BOOST_REQUIRE(fcntl(a.fd, F_SETFL, 0) == 0); // as a service manager hands it over
  BOOST_REQUIRE(fcntl(a.fd, F_SETFD, 0) == 0);
  const auto where = check_listening_socket(a.fd), port = check_listening_socket(b.fd);
  BOOST_REQUIRE((where.has_value() && port.has_value()));
  BOOST_TEST((*where == directory.at("s")));
  BOOST_TEST((*port == t->bound));
  BOOST_TEST((fcntl(a.fd, F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST((fcntl(a.fd, F_GETFD) & FD_CLOEXEC) != 0);

  const owned client = connect_to(s->bound), unbound(socket(AF_INET, SOCK_STREAM, 0)),
              udp(socket(AF_INET, SOCK_DGRAM, 0));
  const owned file(open("/dev/null", O_RDONLY));
  for (const int fd : {client.fd, unbound.fd, udp.fd, file.fd, -1, 987}) {
    const auto refused = check_listening_socket(fd);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST(refused.error().message.find("descriptor " + std::to_string(fd)) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(an_abstract_unix_address_is_written_with_an_at_sign) {
  const owned s(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "gnomon-test-" + std::to_string(getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  BOOST_REQUIRE(bind(s.fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  BOOST_REQUIRE(listen(s.fd, 1) == 0);
  const auto where = check_listening_socket(s.fd);
  BOOST_REQUIRE(where.has_value());
  BOOST_TEST(where->path == "@" + name);
}

BOOST_AUTO_TEST_CASE(who_cannot_be_told_is_unknown) {
  const owned file(open("/dev/null", O_RDONLY)), unconnected(socket(AF_INET, SOCK_STREAM, 0));
  BOOST_TEST(describe_peer(file.fd) == "unknown");
  BOOST_TEST(describe_peer(unconnected.fd) == "unknown");
  BOOST_TEST(describe_peer(-1) == "unknown");
  prepare_client_socket(-1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
