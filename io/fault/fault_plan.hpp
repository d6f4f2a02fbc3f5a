// The brain of a fault-injecting block device: decides, from a seed, what goes wrong with each operation on a
// volume's file. A ring asks it before and after the real operation; only tests attach one. Any thread (one mutex,
// and it reads old content with pread: never on a production path).
//
// The faults a disk under test may show, and no others:
//  - an operation fails with an errno and has changed nothing (a write may also have changed a prefix: short_write);
//  - a read or write moves fewer bytes than asked, at least one sector, a multiple of 512;
//  - an operation takes longer, and so overtakes others that were submitted after it or before it;
//  - a sync fails: it is reported once, and each sector written since the last successful sync is, independently,
//    either on the disk or lost for ever (Linux marks dirty pages clean; later syncs succeed);
//  - power is cut: each write that no successful sync covered has reached the disk wholly, not at all, or torn at
//    512-byte borders, independently of the others and of their order. A sync covers the writes that completed before
//    it began. A sector itself is never torn and never holds anything but one of its former contents.
// Not modelled: silent corruption, misdirected writes, lost synced writes (a disk that lies about its cache).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/types.hpp"

namespace gnomon::io {

enum class disk_operation : std::uint8_t { read, write, sync, trim, zero };
inline constexpr std::size_t disk_operation_count = 5;

struct fault_decision {
  int os_errno = 0;        // not 0: do not do it, report this
  byte_count length;       // how much to do; less than asked = a short read or write
  microseconds latency{0}; // deliver the result this much later
  bool power_loss = false; // the moment has come: cut_power()
};

class fault_plan {
public:
  static constexpr std::size_t remembered_bytes_max = 256ull
                                                      << 20; // old content; beyond, the oldest writes count as done
  static constexpr std::size_t remembered_write_bytes_max = 64ull << 20;
  static constexpr std::size_t spec_length_max = 4096;
  static constexpr const char* environment_variable = "GNOMON_FAULT_PLAN";

  using write_id = strong_integer<struct fault_write_tag>; // 0: not remembered
  using sync_id = strong_integer<struct fault_sync_tag>;

  // Comma-separated KEY=VALUE, for example "seed=7,write_error=0.01:EIO,short_read=0.1,latency=0.05:20ms":
  //   seed=N                        default: from the system; seed() tells it
  //   {read,write,sync,trim,zero}_error=WHEN[:ERRNO]    errno by name or number, default EIO
  //   short_read=WHEN  short_write=WHEN
  //   latency=WHEN:DURATION  {read,write,sync,trim,zero}_latency=WHEN:DURATION    us, ms or s; uniform up to DURATION
  //   power_loss=#N                 at the Nth write
  //   unsynced=lost|kept            whether unsynced writes are remembered and can be lost; default lost
  // WHEN is a probability (0 to 1) or #N: the Nth operation of that kind only, from 1.
  // invalid_argument, naming the key and what was expected.
  static result<std::unique_ptr<fault_plan>> parse(std::string_view spec);
  // From GNOMON_FAULT_PLAN; null when it is unset or empty.
  static result<std::unique_ptr<fault_plan>> from_environment();

  fault_plan(const fault_plan&) = delete;
  fault_plan& operator=(const fault_plan&) = delete;

  // What happens to the next operation. Same seed and same order of calls: same decisions.
  fault_decision decide(disk_operation op, byte_offset offset, byte_count length);

  // Before a write, trim or zeroing reaches `fd`: remembers what stands there. The descriptor must stay open as long
  // as the plan knows it (until forget()). invalid_argument/io_failed where it cannot be read.
  result<write_id> before_write(int fd, byte_offset offset, byte_count length);
  // It has completed (with success or not): syncs that begin from now on cover it.
  void after_write(int fd, write_id id);
  sync_id before_sync(int fd);
  // The sync begun with `id` is over. 0: what it covered is safe. Otherwise each sector of a completed write is put
  // back or made safe, at once, as if its page had been dropped and read from the disk again.
  result<void> after_sync(int fd, sync_id id, int os_errno);

  // Puts the file into a state that a power loss now could leave behind. No operation of ours may be in flight.
  result<void> power_loss(int fd);
  result<void> power_loss(); // of all files
  // The same for all files, and ends the process at once with status 137, as kill -9 would. For decision.power_loss.
  [[noreturn]] void cut_power();
  // Before the file is closed in order: nothing of it is remembered any more.
  void forget(int fd);

  std::uint64_t seed() const noexcept { return seed_; }
  std::size_t unsynced_writes(int fd) const; // remembered now

private:
  fault_plan() = default;

  struct when {
    double probability = 0;
    std::uint64_t nth = 0;
  };
  struct rule {
    when error;
    int os_errno = 0;
    when shortened;
    when slow;
    microseconds latency_max{0};
    std::uint64_t seen = 0;
  };
  struct unsynced_write {
    std::uint64_t id = 0;
    std::uint64_t completed_at = 0; // 0: still in flight; else the tick of after_write()
    std::uint64_t first_sector = 0;
    std::vector<std::byte> before; // whole sectors: what the file held before it

    std::uint64_t sectors() const noexcept { return before.size() / sector_bytes; }
    std::uint64_t end_sector() const noexcept { return first_sector + sectors(); }
    bool in_flight() const noexcept { return completed_at == 0; }
  };
  struct file {
    std::vector<unsynced_write> writes; // in the order they were announced
    std::size_t remembered_bytes = 0;
  };
  enum class fate : std::uint8_t { lost, reached, torn };
  // Which writes a loss may touch: after a failed sync those still in flight will yet reach the file as they are.
  enum class loss : std::uint8_t { completed_writes, all_writes };

  static bool parse_when(std::string_view text, when& into);
  result<void> apply(std::string_view key, std::string_view value);
  result<void> apply_latency(std::string_view key, std::string_view value, std::span<const disk_operation> to);
  bool happens(const when& w, std::uint64_t nth);
  double uniform();                         // [0, 1)
  std::uint64_t below(std::uint64_t bound); // [0, bound)

  void forget_oldest(file& f);
  void refresh_in_flight(int fd, file& f, std::uint64_t first_sector, std::uint64_t end_sector, std::uint64_t except);
  result<void> lose_some(int fd, file& f, loss which);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::uint64_t seed_ = 0;
  bool remember_unsynced_ = true;
  std::uint64_t power_loss_at_ = 0;
  std::array<rule, disk_operation_count> rules_;
  std::uint64_t ticks_ = 0;
  std::map<int, file> files_; // by descriptor; as many as volumes have a plan
};

} // namespace gnomon::io
