#include "actors/cli/replay/nbd_link.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <libnbd.h>
#include <poll.h>

namespace gnomon::actors::cli {

struct nbd_link::connection {
  nbd_handle* handle = nbd_create();
  std::uint32_t in_flight = 0;
  connection() = default;
  connection(const connection&) = delete;
  ~connection() {
    if (handle == nullptr)
      return;
    if (in_flight == 0 && nbd_aio_is_ready(handle) == 1)
      (void)nbd_shutdown(handle, 0);
    nbd_close(handle);
  }
};

struct nbd_link::pending {
  nbd_link* owner = nullptr;
  connection* on = nullptr;
  std::uint32_t slot = 0;
};

namespace {
std::string last_problem() {
  const char* text = nbd_get_error();
  return text != nullptr ? text : "unknown reason";
}
} // namespace

nbd_link::nbd_link() = default;
nbd_link::~nbd_link() = default;

result<std::unique_ptr<nbd_link>> nbd_link::connect(const std::string& uri, std::uint32_t connections,
                                                    std::uint32_t slots) {
  std::unique_ptr<nbd_link> link(new nbd_link);
  link->uri_ = uri;
  link->pending_.resize(slots);
  for (std::uint32_t i = 0; i < connections; ++i) {
    if (auto opened = link->open(uri); !opened)
      return tl::unexpected(opened.error());
    if (connections > 1 && !link->facts_.multi_conn)
      return fail(errc::unsupported, "the export does not promise that several connections agree (multi-conn); "
                                     "use --connections 1");
  }
  return link;
}

result<void> nbd_link::open(const std::string& uri) {
  auto made = std::make_unique<connection>();
  auto* h = made->handle;
  if (h == nullptr)
    return fail(errc::limit_reached, last_problem());
  nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION);
  if (nbd_connect_uri(h, uri.c_str()) == -1)
    return fail(errc::unavailable, fmt::format("{}: {}", uri, last_problem()), nbd_get_errno());
  const auto size = nbd_get_size(h);
  if (size < 0)
    return fail(errc::unavailable, fmt::format("{}: {}", uri, last_problem()));
  facts_.size_bytes = static_cast<std::uint64_t>(size);
  if (const auto least = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM); least > 0)
    facts_.alignment_bytes = std::max<std::uint64_t>(512, static_cast<std::uint64_t>(least));
  facts_.payload_bytes_max = 32u << 20; // what every server takes
  if (const auto most = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM); most > 0)
    facts_.payload_bytes_max =
        std::clamp(static_cast<std::uint64_t>(most), facts_.alignment_bytes, facts_.payload_bytes_max);
  facts_.read_only = nbd_is_read_only(h) == 1;
  facts_.multi_conn = nbd_can_multi_conn(h) == 1;
  facts_.can_flush = nbd_can_flush(h) == 1;
  facts_.can_trim = nbd_can_trim(h) == 1;
  facts_.can_zero = nbd_can_zero(h) == 1;
  facts_.can_cache = nbd_can_cache(h) == 1;
  facts_.can_block_status = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
  connections_.push_back(std::move(made));
  return {};
}

tl::unexpected<error> nbd_link::lost(const connection& c) const {
  const int number = nbd_get_errno();
  const bool closed = nbd_aio_is_closed(c.handle) == 1;
  return fail(errc::unavailable,
              fmt::format("{}: the connection is lost: {}", uri_, closed ? "the server closed it" : last_problem()),
              number);
}

result<void> nbd_link::submit(std::uint32_t slot, const planned_request& r, unsigned char* buffer) {
  auto& c = **std::min_element(connections_.begin(), connections_.end(),
                               [](const auto& a, const auto& b) { return a->in_flight < b->in_flight; });
  auto& p = pending_.at(slot);
  p = {this, &c, slot};
  const nbd_completion_callback when_done{[](void* user, int* error) {
                                            const auto* mine = static_cast<pending*>(user);
                                            --mine->on->in_flight;
                                            mine->owner->done_.push_back({mine->slot, *error, monotonic::now()});
                                            return 1; // libnbd forgets it
                                          },
                                          &p, nullptr};
  ++c.in_flight;
  std::int64_t cookie = -1;
  using enum store::trace_operation;
  switch (r.op) {
  case read:
    cookie = nbd_aio_pread(c.handle, buffer, r.length_bytes, r.offset_bytes, when_done, 0);
    break;
  case write:
    cookie = nbd_aio_pwrite(c.handle, buffer, r.length_bytes, r.offset_bytes, when_done, 0);
    break;
  case flush:
    cookie = nbd_aio_flush(c.handle, when_done, 0);
    break;
  case trim:
    cookie = nbd_aio_trim(c.handle, r.length_bytes, r.offset_bytes, when_done, 0);
    break;
  case zero:
    cookie = nbd_aio_zero(c.handle, r.length_bytes, r.offset_bytes, when_done, 0);
    break;
  case cache:
    cookie = nbd_aio_cache(c.handle, r.length_bytes, r.offset_bytes, when_done, 0);
    break;
  case block_status:
    cookie = nbd_aio_block_status(
        c.handle, r.length_bytes, r.offset_bytes,
        {[](void*, const char*, uint64_t, uint32_t*, size_t, int*) { return 0; }, nullptr, nullptr}, when_done, 0);
    break;
  }
  if (cookie != -1)
    return {};
  --c.in_flight;
  if (nbd_aio_is_dead(c.handle) == 1 || nbd_aio_is_closed(c.handle) == 1)
    return lost(c);
  return fail(errc::internal, fmt::format("{}: {}", uri_, last_problem()), nbd_get_errno());
}

result<void> nbd_link::wait(std::chrono::nanoseconds patience, std::vector<completion>& done) {
  std::vector<pollfd> fds(connections_.size());
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const auto& c = *connections_[i];
    const unsigned direction = nbd_aio_get_direction(c.handle);
    fds[i] = {nbd_aio_get_fd(c.handle), 0, 0};
    fds[i].events = static_cast<short>(((direction & LIBNBD_AIO_DIRECTION_READ) != 0 ? POLLIN : 0) |
                                       ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 ? POLLOUT : 0));
  }
  const auto ns = done_.empty() ? std::max<std::int64_t>(patience.count(), 0) : 0;
  const timespec at_most{ns / 1'000'000'000, ns % 1'000'000'000};
  if (::ppoll(fds.data(), fds.size(), &at_most, nullptr) < 0 && errno != EINTR)
    return fail_errno("ppoll");
  result<void> outcome;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    auto& c = *connections_[i];
    const bool readable = (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
    const bool writable = (fds[i].revents & POLLOUT) != 0;
    int failed = 0;
    if (readable && (nbd_aio_get_direction(c.handle) & LIBNBD_AIO_DIRECTION_READ) != 0)
      failed = nbd_aio_notify_read(c.handle);
    else if (writable && (nbd_aio_get_direction(c.handle) & LIBNBD_AIO_DIRECTION_WRITE) != 0)
      failed = nbd_aio_notify_write(c.handle);
    else if (readable)
      failed = -1; // hung up while it only wanted to write
    if (outcome && (failed == -1 || nbd_aio_is_dead(c.handle) == 1 || nbd_aio_is_closed(c.handle) == 1))
      outcome = lost(c);
  }
  // libnbd fails what was in flight on a lost connection; that is the connection's error, not the requests'.
  if (outcome)
    done.insert(done.end(), done_.begin(), done_.end());
  done_.clear();
  return outcome;
}

} // namespace gnomon::actors::cli
