#include "io/ring/ring.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <future>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace gnomon::io {

namespace {

void* user_data_of(completion& c) noexcept { return &c; }

// Tells the processor that this is a spin: the other hyperthread gets on, and leaving the loop is cheap.
void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

std::uint64_t thread_cpu_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

} // namespace

ring::ring(const ring_options& options) : options_(options), buffers_(options.buffer_memory_max) {}

result<std::unique_ptr<ring>> ring::create(const ring_options& options) {
  std::unique_ptr<ring> made{new ring(options)};
  if (auto ok = made->set_up(); !ok)
    return tl::unexpected(ok.error());
  return made;
}

result<void> ring::set_up() {
  wakeup_fd_ = eventfd(0, EFD_CLOEXEC);
  if (wakeup_fd_ < 0)
    return fail_errno("eventfd");
  return {};
}

ring::~ring() {
  request_stop();
  join();
  if (wakeup_fd_ >= 0)
    close(wakeup_fd_);
}

// Older kernels and some settings count a ring's memory as locked.
static tl::unexpected<error> no_memory(const char* what) {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string now = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur >> 10) + " KiB";
  return fail(errc::limit_reached,
              std::string(what) + ": no memory for it; the limit of locked memory is " + now +
                  ": raise it (LimitMEMLOCK, ulimit -l) to 64 MiB or more, or lower io.rings and io.ring_entries",
              ENOMEM);
}

// The ring is made on the thread that will submit to it (IORING_SETUP_SINGLE_ISSUER), so errors come back by promise.
static result<void> open_uring(io_uring& uring, const ring_options& options) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  params.cq_entries = options.entries * 4;
  int error = io_uring_queue_init_params(options.entries, &uring, &params);
  if (error == -EINVAL) { // before Linux 6.1
    params = {};
    params.flags =
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
    params.cq_entries = options.entries * 4;
    error = io_uring_queue_init_params(options.entries, &uring, &params);
  }
  if (error == -ENOMEM)
    return no_memory("io_uring");
  if (error < 0)
    return fail(errc::unsupported,
                std::string("io_uring is not available here (") + std::strerror(-error) +
                    "): needs Linux 5.19 or newer, and a container whose seccomp profile and "
                    "kernel.io_uring_disabled allow it",
                -error);
  return {};
}

result<void> ring::start(hooks h) {
  hooks_ = std::move(h);
  std::promise<result<void>> opened;
  auto outcome = opened.get_future();
  thread_ = std::thread([this, &opened] {
    auto ok = open();
    const bool running = ok.has_value();
    opened.set_value(std::move(ok));
    if (running)
      run();
  });
  return outcome.get();
}

result<void> ring::probe() {
  io_uring probe{};
  ring_options small;
  small.entries = 8;
  auto ok = open_uring(probe, small);
  if (!ok)
    return ok;
  io_uring_buf_reg registration{};
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = 8;
  registration.bgid = receive_group;
  const int error = io_uring_register_buf_ring(&probe, &registration, 0);
  io_uring_queue_exit(&probe);
  munmap(memory, 4096);
  if (error == -ENOMEM)
    return no_memory("io_uring's receive buffers");
  if (error < 0)
    return fail(errc::unsupported, "io_uring has no provided buffer rings here: needs Linux 5.19", -error);
  return {};
}

result<void> ring::open() {
  if (auto ok = open_uring(uring_, options_); !ok)
    return ok;
  uring_ready_ = true;
  unsigned workers[2] = {kernel_workers_max, 0}; // bounded (files); 0 leaves the other limit as it is
  io_uring_register_iowq_max_workers(&uring_, workers); // refused: the kernel's limits stay
  const std::size_t ring_bytes = options_.receive_buffers * sizeof(io_uring_buf);
  receive_ring_ = static_cast<io_uring_buf_ring*>(
      mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0));
  receive_memory_ = static_cast<std::byte*>(mmap(nullptr, options_.receive_buffers * receive_buffer_bytes,
                                                 PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0));
  assert(receive_ring_ != MAP_FAILED && static_cast<void*>(receive_memory_) != MAP_FAILED);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(receive_ring_);
  registration.ring_entries = options_.receive_buffers;
  registration.bgid = receive_group;
  if (const int registered = io_uring_register_buf_ring(&uring_, &registration, 0); registered < 0) {
    io_uring_queue_exit(&uring_);
    uring_ready_ = false;
    return registered == -ENOMEM ? no_memory("io_uring's receive buffers")
                                 : fail_errno("io_uring's receive buffers", -registered);
  }
  io_uring_buf_ring_init(receive_ring_);
  free_receive_buffers_.reserve(options_.receive_buffers);
  for (std::uint16_t id = 0; id < options_.receive_buffers; ++id)
    return_receive_buffer(id);
  return {};
}

void ring::run() {
  prctl(PR_SET_TIMERSLACK, 1); // gather() means what it says
  wakeup_.on_complete = [](completion&, ring& on, int, unsigned) {
    on.run_inbox();
    on.arm_wakeup();
  };
  second_.on_complete = [](completion&, ring& on, int, unsigned) {
    on.buffers_.trim();
    on.stats_.cpu_ns.store(thread_cpu_ns(), std::memory_order_relaxed);
    on.stats_.buffer_bytes.store(on.buffers_.used_bytes(), std::memory_order_relaxed);
    if (on.hooks_.each_second)
      on.hooks_.each_second(on);
    on.arm_second();
  };
  if (hooks_.at_start)
    hooks_.at_start(*this);
  arm_wakeup();
  arm_second();
  stats_.turn_began_ns.store(read_clock().time_since_epoch().count(), std::memory_order_relaxed);
  run_inbox();
  run_turn_tasks();
  while (!stop_.load(std::memory_order_acquire)) {
    const auto span = poll_span();
    const boot_time before = span.count() > 0 ? boot_clock::now() : now_;
    stats_.turn_began_ns.store(0, std::memory_order_relaxed);
    wait_for_completions();
    receives_queued_ = 0;
    stats_.turn_began_ns.store(read_clock().time_since_epoch().count(), std::memory_order_relaxed);
    short_waits_ = now_ - before <= span ? std::min(short_waits_ + 1, short_waits_min) : 0;
    turn_requests_ = 0;
    turn_copied_ = 0;
    deliver_completions();
    run_turn_tasks();
    if (hooks_.each_turn) {
      hooks_.each_turn(*this);
      run_turn_tasks(); // replies of requests that the hook resumed leave now, not after the next sleep
    }
    pace_.turned(turn_requests_, now_);
    stats_.turns.store(stats_.turns.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  {
    std::lock_guard lock{inbox_mutex_};
    accepting_ = false;
  }
  run_inbox();
  run_turn_tasks();
  if (hooks_.at_exit)
    hooks_.at_exit(*this);
  io_uring_queue_exit(&uring_);
  munmap(receive_ring_, options_.receive_buffers * sizeof(io_uring_buf));
  munmap(receive_memory_, options_.receive_buffers * receive_buffer_bytes);
}

bool ring::post(std::function<void(ring&)> task) {
  {
    std::lock_guard lock{inbox_mutex_};
    if (!accepting_ || inbox_.size() >= inbox_max)
      return false;
    inbox_.push_back(std::move(task));
  }
  if (!inbox_filled_.exchange(true, std::memory_order_acq_rel))
    wake();
  return true;
}

void ring::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wakeup_fd_, &one, sizeof one);
}

void ring::run_inbox() {
  inbox_filled_.store(false, std::memory_order_release);
  {
    std::lock_guard lock{inbox_mutex_};
    inbox_running_.swap(inbox_);
  }
  for (auto& task : inbox_running_)
    task(*this);
  inbox_running_.clear();
}

void ring::request_stop() {
  stop_.store(true, std::memory_order_release);
  if (wakeup_fd_ >= 0)
    wake();
}

void ring::join() {
  if (thread_.joinable())
    thread_.join();
}

void ring::arm_wakeup() {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_read(entry, wakeup_fd_, &wakeup_value_, sizeof wakeup_value_, 0);
  io_uring_sqe_set_data(entry, user_data_of(wakeup_));
}

void ring::arm_second() { submit_timeout(second_, &second_span_); }

void ring::wait_for_completions() {
  stats_.enters.store(stats_.enters.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!deferred_.empty()) { // there is work already: submit, take what is there, do not sleep
    io_uring_submit_and_get_events(&uring_);
    return;
  }
  if (turn_requests_ > 0 && pace_.gathering() && gather())
    return;
  if (const auto span = spin_span(); span.count() > 0 && (!hooks_.may_spin || hooks_.may_spin())) {
    io_uring_submit_and_get_events(&uring_);
    if (spin(span))
      return;
  }
  // An offline ring does not hold back reclamation; only one that may really sleep says so.
  const bool may_sleep = io_uring_cq_ready(&uring_) == 0;
  if (may_sleep && hooks_.before_sleep)
    hooks_.before_sleep(*this);
  io_uring_submit_and_wait(&uring_, 1); // EINTR and EAGAIN: the next turn tries again
  if (may_sleep && hooks_.after_wake)
    hooks_.after_wake(*this);
}

// What clients send meanwhile is received in one piece: a receive that is handed over now finds it all.
bool ring::gather() noexcept {
  if (io_uring_sq_ready(&uring_) != receives_queued_)
    io_uring_submit(&uring_); // a disk must not wait
  const timespec pause{0, std::chrono::nanoseconds(gather_pace::pause).count()};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
  io_uring_submit_and_get_events(&uring_);
  return io_uring_cq_ready(&uring_) != 0;
}

// Sleeping and being woken costs tens of microseconds where a processor that idles is slow to come back (most of all
// in a virtual machine), as long as a client at queue depth 1 needs for its next request. So a ring that carried out
// little in its last turn, and whose last waits were all short, spins, while there are processors to spare. One that is
// busy gains nothing by it: its next turn is the better for gathering more requests. A device is another matter: while
// it has all that a client may ask for, the client waits too, and each wake-up is time in which the device idles.
std::chrono::microseconds ring::spin_span() const noexcept {
  const bool busy = turn_requests_ > spin_requests_max && transfers_ == 0;
  return short_waits_ >= short_waits_min && !busy ? poll_span() : std::chrono::microseconds{0};
}

// Until something has completed or wants to. Without a system call: the kernel raises a flag.
bool ring::spin(std::chrono::microseconds span) noexcept {
  const auto something = [this] {
    return io_uring_cq_ready(&uring_) != 0 ||
           (IO_URING_READ_ONCE(*uring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  };
  const boot_time until = boot_clock::now() + span;
  do {
    for (unsigned i = 0; i < spins_per_look_at_clock; ++i) {
      if (something()) {
        io_uring_get_events(&uring_);
        return io_uring_cq_ready(&uring_) != 0;
      }
      cpu_relax();
    }
  } while (boot_clock::now() < until && (!hooks_.may_spin || hooks_.may_spin()));
  return false;
}

void ring::deliver_completions() {
  // Copied out first: a handler may submit, and a full submission queue must be able to reap.
  batch_.clear();
  unsigned head = 0, seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&uring_, head, cqe) {
    batch_.push_back(*cqe);
    ++seen;
  }
  io_uring_cq_advance(&uring_, seen);
  for (const io_uring_cqe& c : batch_) {
    if (auto* waiting = reinterpret_cast<completion*>(c.user_data))
      waiting->on_complete(*waiting, *this, c.res, c.flags);
  }
  if (!deferred_.empty()) {
    delivering_.swap(deferred_);
    for (const deferred& d : delivering_)
      d.c->on_complete(*d.c, *this, d.result, 0);
    delivering_.clear();
  }
}

void ring::at_end_of_turn(turn_task& task) noexcept {
  if (task.queued)
    return;
  task.queued = true;
  task.next = nullptr;
  *tasks_tail_ = &task;
  tasks_tail_ = &task.next;
}

void ring::run_turn_tasks() {
  while (turn_task* task = tasks_) {
    tasks_ = task->next;
    if (!tasks_)
      tasks_tail_ = &tasks_;
    task->queued = false;
    task->run(*task, *this);
  }
}

bool ring::may_copy(std::size_t bytes, bool resumed) noexcept {
  if (resumed)
    --put_off_;
  else if (put_off_ != 0)
    return false; // first come, first served
  if (turn_copied_ != 0 && turn_copied_ + bytes > turn_copies_bytes_max)
    return false;
  turn_copied_ += bytes;
  return true;
}

void ring::complete_later(completion& c, int result) { deferred_.push_back({&c, result}); }

io_uring_sqe* ring::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&uring_);
  while (!entry) { // queue full: hand it to the kernel and go on
    io_uring_submit(&uring_);
    entry = io_uring_get_sqe(&uring_);
  }
  return entry;
}

void ring::submit_read(completion& c, int fd, void* into, std::uint32_t bytes, std::uint64_t offset) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_read(entry, fd, into, bytes, offset);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_write(completion& c, int fd, const void* from, std::uint32_t bytes, std::uint64_t offset) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_write(entry, fd, from, bytes, offset);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::transfer_begun() noexcept {
  ++transfers_;
  io_uring_submit(&uring_);
}

void ring::submit_sync(completion& c, int fd) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_fallocate(completion& c, int fd, int mode, std::uint64_t offset, std::uint64_t bytes) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_fallocate(entry, fd, mode, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_will_need(completion& c, int fd, std::uint64_t offset, std::uint64_t bytes) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_fadvise(entry, fd, offset, static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_receive_selected(completion& c, int fd) {
  ++receives_queued_;
  ++receives_selecting_;
  offer_receive_buffers();
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv(entry, fd, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = receive_group;
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_receive(completion& c, int fd, void* into, std::size_t bytes) {
  ++receives_queued_;
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv(entry, fd, into, bytes, MSG_WAITALL);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_send(completion& c, int fd, msghdr* message) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_sendmsg(entry, fd, message, MSG_NOSIGNAL | MSG_WAITALL);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_connect(completion& c, int fd, const sockaddr* to, std::uint32_t length) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_connect(entry, fd, to, length);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_accept_multishot(completion& c, int fd) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_multishot_accept(entry, fd, nullptr, nullptr, SOCK_CLOEXEC);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_timeout(completion& c, __kernel_timespec* relative) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_timeout(entry, relative, 0, IORING_TIMEOUT_BOOTTIME);
  io_uring_sqe_set_data(entry, user_data_of(c));
}

void ring::submit_cancel(completion& target) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_cancel(entry, user_data_of(target), 0);
  io_uring_sqe_set_data(entry, nullptr);
}

std::uint16_t ring::receive_buffer_id(unsigned cqe_flags) noexcept {
  return static_cast<std::uint16_t>(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
}

std::byte* ring::receive_buffer(unsigned cqe_flags) noexcept {
  assert(cqe_flags & IORING_CQE_F_BUFFER);
  return receive_memory_ + static_cast<std::size_t>(receive_buffer_id(cqe_flags)) * receive_buffer_bytes;
}

void ring::receive_selected_ended(unsigned cqe_flags) noexcept {
  --receives_selecting_;
  if (cqe_flags & IORING_CQE_F_BUFFER)
    --receive_buffers_offered_;
}

void ring::return_receive_buffer(std::uint16_t id) noexcept {
  free_receive_buffers_.push_back(id);
  ++receive_buffers_returned_;
  offer_receive_buffers();
}

void ring::offer_receive_buffers() noexcept {
  while (receive_buffers_offered_ < receives_selecting_ && !free_receive_buffers_.empty()) {
    const std::uint16_t id = free_receive_buffers_.back();
    free_receive_buffers_.pop_back();
    io_uring_buf_ring_add(receive_ring_, receive_memory_ + static_cast<std::size_t>(id) * receive_buffer_bytes,
                          receive_buffer_bytes, id, io_uring_buf_ring_mask(options_.receive_buffers), 0);
    io_uring_buf_ring_advance(receive_ring_, 1);
    ++receive_buffers_offered_;
  }
}

} // namespace gnomon::io
