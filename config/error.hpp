// Errors as values: one enum, one struct, one result type for the whole project.
// Any thread. Never throws; library exceptions are caught at the edge of the folder that uses the library.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <tl/expected.hpp>

namespace gnomon {

// A code exists only where some caller reacts differently to it.
enum class errc {
  invalid_argument,  // the caller's input is wrong; repeating it is pointless
  not_found,         // no such volume, instance, actor, snapshot, ...
  already_exists,    // name or file is taken
  out_of_range,      // beyond the end of the volume
  permission_denied, // the instance or the file mode forbids it
  busy,              // held by somebody else just now; retryable
  no_space,          // disk, map or quota is full; retryable once space is freed
  io_failed,         // the device reported an error
  corrupt,           // a checksum, magic or version does not match
  unsupported,       // this build, kernel, device or mode cannot do it
  timed_out,         // no answer in time; the outcome is unknown
  unavailable,       // the other side (peer, actor, daemon) is not there; retryable
  shutting_down,     // refused because the node stops
  limit_reached,     // a named maximum was hit; retryable once load falls
  internal,          // our own bug, reported instead of hidden
};

std::string_view to_string(errc code) noexcept;

// What went wrong, in words an operator can act on. `message` has no trailing full stop and names the object.
struct error {
  errc code = errc::internal;
  std::string message;
  int os_errno = 0; // the errno behind it, 0 if none

  bool retryable() const noexcept;
  std::string to_string() const; // "no_space: volume db: write of 4096 bytes: No space left on device"
};

template <class T>
using result = tl::expected<T, error>;

inline tl::unexpected<error> fail(errc code, std::string message, int os_errno = 0) {
  return tl::unexpected<error>(error{code, std::move(message), os_errno});
}

// Maps an errno to the code callers react to.
errc errc_from_errno(int os_errno) noexcept;

// "`what`: strerror(os_errno)" with the mapped code.
tl::unexpected<error> fail_errno(std::string what, int os_errno = errno);

} // namespace gnomon
