#include "config/error.hpp"

namespace gnomon {

std::string_view to_string(errc code) noexcept {
  switch (code) {
    case errc::invalid_argument: return "invalid_argument";
    case errc::not_found: return "not_found";
    case errc::already_exists: return "already_exists";
    case errc::out_of_range: return "out_of_range";
    case errc::permission_denied: return "permission_denied";
    case errc::busy: return "busy";
    case errc::no_space: return "no_space";
    case errc::io_failed: return "io_failed";
    case errc::corrupt: return "corrupt";
    case errc::unsupported: return "unsupported";
    case errc::timed_out: return "timed_out";
    case errc::unavailable: return "unavailable";
    case errc::shutting_down: return "shutting_down";
    case errc::limit_reached: return "limit_reached";
    case errc::internal: return "internal";
  }
  return "unknown";
}

bool error::retryable() const noexcept {
  return code == errc::busy || code == errc::no_space || code == errc::unavailable || code == errc::limit_reached ||
         code == errc::timed_out;
}

std::string error::to_string() const {
  std::string text{gnomon::to_string(code)};
  return text += ": " + message;
}

errc errc_from_errno(int os_errno) noexcept {
  switch (os_errno) {
    case EINVAL: return errc::invalid_argument;
    case ENOENT: return errc::not_found;
    case EEXIST: return errc::already_exists;
    case EACCES:
    case EPERM:
    case EROFS: return errc::permission_denied;
    case EBUSY:
    case EAGAIN: return errc::busy;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return errc::no_space;
    case EOPNOTSUPP:
    case ENOSYS: return errc::unsupported;
    case ETIMEDOUT: return errc::timed_out;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN: return errc::unavailable;
    case ESHUTDOWN: return errc::shutting_down;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return errc::limit_reached;
    default: return errc::io_failed;
  }
}

tl::unexpected<error> fail_errno(std::string what, int os_errno) {
  what += ": " + std::system_category().message(os_errno);
  return fail(errc_from_errno(os_errno), std::move(what), os_errno);
}

} // namespace gnomon
