// One ring: a thread with one io_uring that owns client sockets and disk I/O from the first byte of a request to the
// last byte of its reply. Everything here is called on the ring's own thread, except where "any thread" is said.
//
// A completion is owned by its caller and embedded in the object that waits (a connection, a request): the ring only
// carries the pointer. Completions are delivered in a batch, after which end-of-turn tasks run once: that is how
// requests that arrived together are submitted and answered together.
//
// user_data: the address of the completion (8-aligned), or 0 for entries nobody waits for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <liburing.h>
#include <sys/socket.h>

#include "config/clock.hpp"
#include "config/error.hpp"
#include "config/settings/settings.hpp"
#include "io/ring/buffer_pool.hpp"
#include "io/ring/gather_pace.hpp"

namespace gnomon::io {

class ring;

// What is called when the kernel is done. `result` is the bytes moved or a negative errno; `flags` are the CQE's.
struct completion {
  using function = void (*)(completion& self, ring& on, int result, unsigned flags);
  function on_complete = nullptr;
};

// Something that wants to run once at the end of the current turn (intrusive, at most once per turn).
struct turn_task {
  using function = void (*)(turn_task& self, ring& on);
  function run = nullptr;
  turn_task* next = nullptr;
  bool queued = false;
};

struct ring_options {
  std::uint32_t index = 0;
  std::uint32_t entries = 1024;
  std::chrono::microseconds busy_poll{0}; // how long to spin at most before a sleep, where that pays; 0: never
  std::chrono::microseconds disk_poll{0}; // the same while the device has transfers of ours
  byte_count buffer_memory_max{256ull << 20};
  std::uint32_t receive_buffers = 64; // power of two; each receive_buffer_bytes
};

class ring {
public:
  static constexpr std::size_t receive_buffer_bytes = 160 * 1024; // 32 writes of 4 KiB and their headers, with room
  static constexpr std::uint16_t receive_group = 1;
  static constexpr std::size_t inbox_max = 65536;
  // Kernel threads that one ring may have waiting for disks. The kernel's own limit is four a processor: as many
  // requests at a disk that hangs would keep all others from theirs.
  static constexpr unsigned kernel_workers_max = 1024;

  // What the loop calls around its sleeps and once a second; set before start().
  struct hooks {
    std::function<void(ring&)> at_start, before_sleep, after_wake, each_turn, each_second, at_exit;
    std::function<bool()> may_spin; // are there processors to spare? None: yes
  };

  // Can this process use io_uring as rings do? unsupported, with the kernel's reason and the remedy.
  static result<void> probe();
  static result<std::unique_ptr<ring>> create(const ring_options& options);
  ~ring();
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

  // Returns when the ring's thread has its io_uring. limit_reached: not enough locked memory; unsupported, io_failed.
  result<void> start(hooks h);
  // Any thread. Runs `task` on the ring. False when the inbox is full or the ring has stopped (the task is not kept).
  bool post(std::function<void(ring&)> task);
  // Any thread. The loop ends after the current turn; join() waits for it.
  void request_stop();
  void join();
  // Any thread. The ring takes another turn soon.
  void wake() noexcept;

  std::uint32_t index() const noexcept { return options_.index; }
  buffer_pool& buffers() noexcept { return buffers_; }
  bool on_this_thread() const noexcept { return std::this_thread::get_id() == thread_.get_id(); }

  // --- submission. Never fails: a full queue is submitted first.
  io_uring_sqe* next_entry();
  void submit_read(completion& c, int fd, void* into, std::uint32_t bytes, std::uint64_t offset);
  void submit_write(completion& c, int fd, const void* from, std::uint32_t bytes, std::uint64_t offset);
  // The read or write just submitted goes to the device itself (O_DIRECT). It is handed over at once: a device that
  // idles until the end of the turn costs more than a system call. Until transfer_ended(), waiting is spinning.
  void transfer_begun() noexcept;
  void transfer_ended() noexcept { --transfers_; }
  void submit_sync(completion& c, int fd); // fdatasync
  void submit_fallocate(completion& c, int fd, int mode, std::uint64_t offset, std::uint64_t bytes);
  void submit_will_need(completion& c, int fd, std::uint64_t offset, std::uint64_t bytes);
  // Into a buffer of the receive group; receive_selected_ended() when it has completed.
  void submit_receive_selected(completion& c, int fd);
  // All of `bytes`, or less if the stream ends or fails.
  void submit_receive(completion& c, int fd, void* into, std::size_t bytes);
  void submit_send(completion& c, int fd, msghdr* message); // whole message or an error
  void submit_connect(completion& c, int fd, const sockaddr* to, std::uint32_t length); // `to` stays until it is over
  void submit_accept_multishot(completion& c, int fd);
  void submit_timeout(completion& c, __kernel_timespec* relative); // -ETIME is the normal result
  void submit_cancel(completion& target);

  // Whatever the owner of this ring keeps per ring (its connections); set before start().
  void* owner_context = nullptr;

  // --- receive buffers of the group. The kernel takes them in the order in which they are offered, so it is offered no
  // more than receives are waiting, and the one that was returned last comes first: it is still in the processor's cache.
  void receive_selected_ended(unsigned cqe_flags) noexcept;
  std::byte* receive_buffer(unsigned cqe_flags) noexcept;
  static std::uint16_t receive_buffer_id(unsigned cqe_flags) noexcept;
  void return_receive_buffer(std::uint16_t id) noexcept;
  std::uint64_t receive_buffers_returned() const noexcept { return receive_buffers_returned_; } // so far

  void at_end_of_turn(turn_task& task) noexcept;
  // A long copy that the ring makes itself asks before each piece of it: false when this turn has copied its part, or
  // when others were put off before it. Then put_off() it, and ask again as `resumed` when that completes.
  bool may_copy(std::size_t bytes, bool resumed) noexcept;
  void put_off(completion& c) {
    ++put_off_;
    complete_later(c, 0);
  }
  // Delivers (c, result) at the start of the next turn, as if the kernel had completed it.
  void complete_later(completion& c, int result);

  // Time taken once per turn, just after the completions were fetched. CLOCK_BOOTTIME.
  boot_time now() const noexcept { return now_; }
  boot_time read_clock() noexcept { return now_ = boot_clock::now(); }

  // Counts a client's request in the present turn.
  void count_request() noexcept { ++turn_requests_; }

  // What the ring may get stuck at; any thread may ask, and gets what was set last.
  void set_working_on(void* what) noexcept { working_on_.store(what, std::memory_order_relaxed); }
  void* working_on() const noexcept { return working_on_.load(std::memory_order_relaxed); }

  // --- statistics, any thread
  struct statistics {
    std::atomic<std::uint64_t> turns{0}, enters{0}, cpu_ns{0}, buffer_bytes{0};
    std::atomic<std::int64_t> turn_began_ns{0}; // of the present turn, CLOCK_BOOTTIME; 0: the ring waits
  };
  const statistics& stats() const noexcept { return stats_; }

private:
  static constexpr std::size_t turn_copies_bytes_max = 512 * 1024;
  static constexpr unsigned short_waits_min = 8;   // in a row before spinning begins; one long wait ends it
  static constexpr unsigned spin_requests_max = 2; // of a turn after which spinning pays
  static constexpr unsigned spins_per_look_at_clock = 32;

  explicit ring(const ring_options& options);
  result<void> set_up();
  result<void> open(); // on the ring's thread
  void run();
  void wait_for_completions();
  std::chrono::microseconds poll_span() const noexcept { return transfers_ ? options_.disk_poll : options_.busy_poll; }
  std::chrono::microseconds spin_span() const noexcept; // 0: sleep at once
  bool spin(std::chrono::microseconds span) noexcept;   // true: there is something to deliver
  bool gather() noexcept;                               // the same
  void offer_receive_buffers() noexcept;
  void deliver_completions();
  void run_inbox();
  void run_turn_tasks();
  void arm_wakeup();
  void arm_second();

  struct deferred {
    completion* c;
    int result;
  };

  ring_options options_;
  io_uring uring_{};
  bool uring_ready_ = false;
  io_uring_buf_ring* receive_ring_ = nullptr;
  std::byte* receive_memory_ = nullptr;
  std::vector<std::uint16_t> free_receive_buffers_; // the last one returned is at the end
  unsigned receive_buffers_offered_ = 0;
  std::uint64_t receive_buffers_returned_ = 0;
  unsigned receives_selecting_ = 0; // under way, each to take one of those offered
  buffer_pool buffers_;
  hooks hooks_;
  boot_time now_{};
  unsigned short_waits_ = 0;   // waits in a row that ended within poll_span()
  unsigned turn_requests_ = 0; // of clients, in the present turn
  unsigned transfers_ = 0;     // that the device has
  unsigned receives_queued_ = 0;
  std::size_t turn_copied_ = 0; // bytes, by long copies in the present turn
  unsigned put_off_ = 0;        // long copies that wait for a turn
  gather_pace pace_;
  turn_task* tasks_ = nullptr;
  turn_task** tasks_tail_ = &tasks_;
  std::vector<deferred> deferred_, delivering_;
  std::vector<io_uring_cqe> batch_;

  int wakeup_fd_ = -1;
  std::uint64_t wakeup_value_ = 0;
  struct wakeup_completion : completion {
  } wakeup_;
  struct second_completion : completion {
  } second_;
  __kernel_timespec second_span_{1, 0};

  std::mutex inbox_mutex_;
  std::vector<std::function<void(ring&)>> inbox_;
  std::vector<std::function<void(ring&)>> inbox_running_;
  std::atomic<bool> inbox_filled_{false};
  bool accepting_ = true; // guarded by inbox_mutex_
  std::atomic<bool> stop_{false};
  statistics stats_;
  std::atomic<void*> working_on_{nullptr};
  std::thread thread_;
};

} // namespace gnomon::io
