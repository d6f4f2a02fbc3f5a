#include "actors/node/daemon.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actors/node/configuration_follower.hpp"
#include "actors/node/node.hpp"
#include "actors/node/service_manager.hpp"
#include "actors/runtime/node_context.hpp"
#include "actors/volumes/descriptor_budget.hpp"
#include "config/log.hpp"
#include "config/settings/inert.hpp"
#include "config/settings/load.hpp"
#include "store/meta/repair.hpp"

namespace gnomon::actors {
namespace {

std::atomic<int> signal_pipe{-1}; // write end; the process has one daemon

// Async-signal-safe. May run in any thread: a library's own, started before main(), does not have them blocked.
void note_signal(int number) {
  const int before = errno;
  const auto letter = static_cast<unsigned char>(number);
  (void)!::write(signal_pipe, &letter, 1);
  errno = before;
}

// Signals and wake-ups as descriptors to poll. Blocks the signals in this and all later threads, except while it
// waits.
class attention {
public:
  attention() {
    ::signal(SIGPIPE, SIG_IGN); // a client or log reader that went away is an error code, not an end
    ::signal(SIGXFSZ, SIG_IGN); // so is a write beyond the file-size limit
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (::pipe2(signals_.data(), O_CLOEXEC | O_NONBLOCK) != 0)
      return;
    signal_pipe = signals_[1];
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int number : {SIGTERM, SIGINT, SIGHUP})
      sigaddset(&wanted, number);
    ::pthread_sigmask(SIG_BLOCK, &wanted, &while_waiting_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
      sigdelset(&while_waiting_, number);
      struct sigaction action {};
      action.sa_handler = note_signal;
      action.sa_flags = SA_RESTART;
      ::sigaction(number, &action, nullptr);
    }
  }
  ~attention() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP})
      ::signal(number, SIG_IGN); // the end has begun
    signal_pipe = -1;
    for (const int fd : signals_)
      ::close(fd);
    ::close(wake_);
  }
  attention(const attention&) = delete;
  bool ok() const { return signals_[0] >= 0 && wake_ >= 0; }

  // Any thread.
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }
  // Waits; returns the number of a signal that came, or 0.
  int wait(std::optional<std::chrono::milliseconds> at_most) const {
    std::array<pollfd, 2> fds{pollfd{signals_[0], POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
    timespec limit{};
    if (at_most) {
      const auto milliseconds = at_most->count() + 1; // not a moment too early
      limit = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    }
    ::ppoll(fds.data(), fds.size(), at_most ? &limit : nullptr, &while_waiting_);
    std::uint64_t count = 0;
    (void)!::read(wake_, &count, sizeof count);
    unsigned char number = 0;
    return ::read(signals_[0], &number, 1) == 1 ? number : 0;
  }

private:
  std::array<int, 2> signals_{-1, -1};
  int wake_ = -1;
  sigset_t while_waiting_{};
};

// Thousands of connections and volumes need descriptors; the default soft limit of 1,024 is meant for select(2).
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    log::warning("RLIMIT_NOFILE cannot be raised to {}", limit.rlim_max);
}

// nullopt: said on standard error why not.
std::optional<settings> load(const std::string& path, int& exit_code) {
  const auto parsed = load_settings(path);
  if (!parsed) {
    std::cerr << "gnomond: " << path << ": " << parsed.error().to_string() << std::endl;
    exit_code = exit_failed;
    return std::nullopt;
  }
  if (!parsed->ok()) {
    std::cerr << "gnomond: " << path << " is refused:\n" << parsed->to_string() << std::endl;
    exit_code = exit_usage;
    return std::nullopt;
  }
  return parsed->value;
}

std::optional<std::chrono::milliseconds> earlier(std::optional<std::chrono::milliseconds> a,
                                                 std::optional<std::chrono::milliseconds> b) {
  return a && b ? std::min(a, b) : a ? a : b;
}

// Until a signal or `closed` says that it is over.
void serve(node& running, const attention& attend, configuration_follower& configuration,
           const std::atomic<bool>& closed) {
  const auto watchdog_every = service_watchdog_interval();
  while (!closed) {
    const auto repairs = running.attend();
    const auto reloads = configuration.attend();
    if (watchdog_every)
      notify_service_manager("WATCHDOG=1");
    switch (attend.wait(earlier(earlier(repairs, reloads), watchdog_every))) {
    case SIGHUP:
      configuration.reread();
      break;
    case SIGTERM:
    case SIGINT:
      return;
    default:
      break;
    }
  }
}

} // namespace

int check_config(const std::string& path) {
  int code = exit_done;
  const auto wanted = load(path, code);
  if (!wanted)
    return code;
  for (const auto& warning : settings_warnings(*wanted))
    std::cerr << "gnomond: " << path << ": warning: " << warning << "\n";
  if (const auto short_of = descriptor_shortage(wanted->volumes.size(), descriptor_limit())) {
    std::cerr << "gnomond: " << path << ": " << *short_of << std::endl;
    return exit_failed;
  }
  return code;
}

int repair_node(const std::string& path) {
  int code = exit_done;
  const auto wanted = load(path, code);
  if (!wanted)
    return code;
  const auto done = store::repair({.path = wanted->data_dir, .node = wanted->node});
  if (!done) {
    std::cerr << "gnomond: " << done.error().to_string() << std::endl;
    return exit_failed;
  }
  for (const auto& line : *done)
    std::cout << line << "\n";
  std::cout.flush();
  return exit_done;
}

int run_daemon(const daemon_options& options) {
  const attention attend;
  if (!attend.ok()) {
    std::cerr << "gnomond: pipe or eventfd: no descriptors left" << std::endl;
    return exit_failed;
  }
  int code = exit_done;
  auto wanted = load(options.config_path, code);
  if (!wanted)
    return code;
  log::start(log::level_of(wanted->log_level), wanted->node.value);
  for (const auto& warning : settings_warnings(*wanted))
    log::warning("config: {}", warning);
  raise_descriptor_limit();
  if (const auto short_of = descriptor_shortage(wanted->volumes.size(), descriptor_limit())) {
    log::error("cannot start: {}", *short_of);
    return exit_failed;
  }

  node_options how;
  how.needs_attention = [&attend] { attend.wake(); };
  if (options.nbd_stdio) {
    how.outside = listeners::closed;
  } else {
    auto passed = passed_sockets();
    if (!passed) {
      log::error("{}", passed.error().to_string());
      return exit_failed;
    }
    how.passed_sockets = std::move(*passed);
  }
  auto running = node::start(std::move(*wanted), std::move(how));
  if (!running) {
    log::error("cannot start: {}", running.error().to_string());
    return exit_failed;
  }

  std::atomic<bool> closed{false};
  if (options.nbd_stdio) {
    const auto served = (*running)->serve(STDIN_FILENO, STDOUT_FILENO, *options.nbd_stdio, [&] {
      closed = true;
      attend.wake();
    });
    if (!served) {
      log::error("{}", served.error().to_string());
      code = exit_failed;
      closed = true;
    }
  } else {
    const auto line = (*running)->ready_line() + "\n";
    (void)!::write(STDOUT_FILENO, line.data(), line.size()); // a closed standard output is nobody's problem
    notify_service_manager("READY=1\nSTATUS=" + (*running)->ready_line());
  }
  {
    configuration_follower configuration(**running, options.config_path);
    if (!options.nbd_stdio)
      (*running)->context().reloads.open([&attend] { attend.wake(); });
    serve(**running, attend, configuration, closed);
  }
  notify_service_manager("STOPPING=1");
  if (const auto stopped = (*running)->stop(); !stopped) {
    code = exit_failed;
    // What a hanging disk still owes must not meet freed memory.
    if (stopped.error().code == errc::timed_out)
      ::_exit(code);
  }
  return code;
}

} // namespace gnomon::actors
