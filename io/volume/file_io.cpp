#include "io/volume/file_io.hpp"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

#include "io/volume/core.hpp"

namespace gnomon::io {

namespace {

std::uint64_t whole_blocks(const volume_core& core, std::uint64_t bytes) {
  const std::uint64_t unit = core.file().alignment_bytes();
  return (bytes + unit - 1) / unit * unit;
}

// What a fault plan makes of the operation: an errno, or 0.
int injected(volume_core& core, disk_operation what, std::uint64_t offset, std::uint64_t bytes) {
  fault_plan* plan = core.faults();
  if (plan == nullptr)
    return 0;
  const auto decision = plan->decide(what, byte_offset{offset}, byte_count{bytes});
  if (decision.power_loss)
    plan->cut_power();
  return decision.os_errno;
}

} // namespace

result<void> read_file(volume_core& core, std::byte* memory, std::uint64_t offset, std::uint64_t bytes) {
  if (const int error = injected(core, disk_operation::read, offset, bytes); error != 0)
    return fail_errno("read of " + std::to_string(bytes) + " bytes", error);
  const std::uint64_t wanted = whole_blocks(core, bytes);
  std::uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        pread(core.file().data_fd(), memory + done, wanted - done, static_cast<off_t>(offset + done));
    if (got > 0)
      done += static_cast<std::uint64_t>(got);
    else if (got == 0)
      return fail(errc::io_failed, "the file ends before byte " + std::to_string(offset + bytes), EIO);
    else if (errno != EINTR)
      return fail_errno("read of " + std::to_string(bytes) + " bytes");
  }
  return {};
}

result<void> write_file(volume_core& core, std::byte* memory, std::uint64_t offset, std::uint64_t bytes) {
  if (const int error = injected(core, disk_operation::write, offset, bytes); error != 0)
    return fail_errno("write of " + std::to_string(bytes) + " bytes", error);
  const std::uint64_t wanted = whole_blocks(core, bytes);
  const int fd = core.file().data_fd();
  fault_plan::write_id remembered{0};
  if (core.faults() != nullptr) {
    const auto id = core.faults()->before_write(fd, byte_offset{offset}, byte_count{wanted});
    if (!id)
      return tl::unexpected(id.error());
    remembered = *id;
  }
  result<void> outcome;
  std::uint64_t done = 0;
  while (done < wanted) {
    const ssize_t wrote = pwrite(fd, memory + done, wanted - done, static_cast<off_t>(offset + done));
    if (wrote > 0) {
      done += static_cast<std::uint64_t>(wrote);
    } else if (wrote == 0 || errno != EINTR) {
      outcome = fail_errno("write of " + std::to_string(bytes) + " bytes", wrote == 0 ? EIO : errno);
      break;
    }
  }
  if (core.faults() != nullptr)
    core.faults()->after_write(fd, remembered);
  return outcome;
}

bool is_hole(volume_core& core, std::uint64_t offset, std::uint64_t bytes) {
  if (core.file().is_block_device())
    return false;
  const off_t data = lseek(core.file().data_fd(), static_cast<off_t>(offset), SEEK_DATA);
  return data >= 0 ? static_cast<std::uint64_t>(data) >= offset + bytes : errno == ENXIO;
}

} // namespace gnomon::io
