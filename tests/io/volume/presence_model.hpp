// A volume with a source, on the fault-injecting device, and a model of what it holds: by sectors of 512 bytes, each
// filled with one stamp. A power cut may leave any stamp that a sector held since the last flush that was answered; a
// kill leaves the newest.
#pragma once

#include <set>

#include <boost/test/unit_test.hpp>

#include "io/fault/planted.hpp"
#include "io/volume/granule_state.hpp"
#include "tests/io/volume/core_fixture.hpp"
#include "tests/support/seeded.hpp"

namespace gnomon::io::test {

using bytes = std::vector<std::byte>;
constexpr std::uint64_t sector = 512, sectors_per_granule = granule_bytes / sector;

inline bytes stamped(std::uint64_t stamp, std::uint64_t sectors) {
  bytes data(sectors * sector);
  for (std::size_t i = 0; i < data.size(); i += sizeof stamp)
    std::memcpy(data.data() + i, &stamp, sizeof stamp);
  return data;
}

// The stamp of a sector, or nothing if it is torn.
inline std::optional<std::uint64_t> stamp_of(const std::byte* at) {
  std::uint64_t first = 0;
  std::memcpy(&first, at, sizeof first);
  for (std::size_t i = 0; i < sector; i += sizeof first)
    if (std::memcmp(at + i, &first, sizeof first) != 0)
      return std::nullopt;
  return first;
}

// Two of three granules, stamped by their sector; can be made to fail or to be slow.
class stamped_source : public granule_source {
public:
  static std::uint64_t stamp(std::uint64_t of_sector) { return (std::uint64_t{1} << 40) + of_sector; }
  static bool has(std::uint64_t granule) { return granule % 3 != 2; }

  bool holds(granule_index granule) const override { return has(granule.value); }
  result<void> read(granule_index granule, std::span<std::byte> into) override {
    ++reads;
    if (fails)
      return fail(errc::io_failed, "planted", EIO);
    if (slow.count() > 0)
      std::this_thread::sleep_for(slow);
    for (std::uint64_t i = 0; i * sector < into.size(); ++i) {
      const bytes one = stamped(stamp(granule.value * sectors_per_granule + i), 1);
      std::copy(one.begin(), one.end(), into.begin() + static_cast<std::ptrdiff_t>(i * sector));
    }
    return {};
  }
  std::atomic<bool> fails{false};
  std::atomic<int> reads{0};
  std::chrono::milliseconds slow{0};
};

struct restored_volume {
  temporary_directory directory;
  std::shared_ptr<stamped_source> source = std::make_shared<stamped_source>();
  volume_spec spec;
  std::unique_ptr<running_plane> running;
  std::shared_ptr<volume_core> core;
  int boot = 1;
  std::string faults; // of the plan; empty: none

  explicit restored_volume(std::uint64_t size, cache_mode cache = cache_mode::buffered, std::string plan = {})
      : faults(std::move(plan)) {
    spec.uuid = volume_uuid::random();
    spec.name = volume_name{"v"};
    spec.path = make_file(directory, "v", size);
    spec.size = byte_count{size};
    spec.cache = cache;
    spec.source = source;
    spec.presence_path = directory.file("v.present");
    // What lies in the file under missing granules is old and must never be seen.
    const int fd = ::open(spec.path.c_str(), O_WRONLY);
    const bytes old = stamped(0xDEAD, size / sector);
    BOOST_REQUIRE_EQUAL(pwrite(fd, old.data(), old.size(), 0), static_cast<ssize_t>(old.size()));
    ::close(fd);
    open();
  }
  ~restored_volume() {
    if (core)
      kill();
  }
  void open() {
    running = std::make_unique<running_plane>(2);
    running->plane.boot = "boot" + std::to_string(boot);
    if (!faults.empty())
      setenv(fault_plan::environment_variable, faults.c_str(), 1);
    auto opened = volume_core::open(spec, running->plane);
    unsetenv(fault_plan::environment_variable);
    BOOST_REQUIRE_MESSAGE(opened, why(opened));
    core = *opened;
  }
  void stop_running() { // every request is answered; background syncs end
    BOOST_REQUIRE(running->plane.generations.wait_until_over(
        core, generation_scheduler::classes::changes_and_looks, boot_time::max()));
    BOOST_REQUIRE(running->plane.generations.wait_for(
        core, [](volume_core& c) { return c.awaiting_sync() == 0 && c.granules().idle(); }, boot_time::max()));
    BOOST_REQUIRE(running->plane.granule_work.stop(std::chrono::steady_clock::now() + std::chrono::seconds{60}));
    running->plane.generations.stop();
  }
  void kill() {
    stop_running();
    core.reset();
    running.reset();
  }
  void cut_power() {
    stop_running();
    if (core->faults() != nullptr)
      BOOST_REQUIRE(core->faults()->power_loss());
    core.reset();
    running.reset();
    ++boot;
  }
  int run(operation op, std::uint64_t at, std::uint64_t length, bytes data = {}, bool fua = false) {
    return core_request(*core, op, at, length, std::move(data), fua).start_on(static_cast<std::uint32_t>(at % 2)).wait();
  }
  bytes read(std::uint64_t at, std::uint64_t length) {
    core_request r(*core, operation::read, at, length);
    BOOST_REQUIRE_EQUAL(r.start_on(0).wait(), 0);
    return r.data();
  }
  result<void> bring_in(std::uint64_t first, std::uint32_t granules) {
    return wait_for([&](done_callback done) {
      core->granules().bring_in(core, granule_index{first}, granules, std::move(done));
    });
  }
  result<void> drop_source() {
    return wait_for([&](done_callback done) { core->granules().drop_source(core, std::move(done)); });
  }
};

// Random steps against sets of allowed stamps. The answer says what was noticed, "" if nothing.
struct presence_model {
  restored_volume& volume;
  test::random_source& random;
  std::vector<std::set<std::uint64_t>> allowed; // by sector
  std::vector<std::uint64_t> newest;
  std::uint64_t next_stamp = 1;
  bool failed = false; // a sync failed: changes get EIO

  presence_model(restored_volume& v, test::random_source& r) : volume(v), random(r) {
    for (std::uint64_t s = 0; s < v.spec.size.value / sector; ++s) {
      newest.push_back(stamped_source::has(s / sectors_per_granule) ? stamped_source::stamp(s) : 0);
      allowed.push_back({newest.back()});
    }
  }
  std::uint64_t sectors() const { return newest.size(); }
  void set(std::uint64_t from, std::uint64_t count, std::uint64_t stamp) {
    for (std::uint64_t s = from; s < from + count; ++s)
      newest[s] = stamp, allowed[s].insert(stamp);
  }
  void flushed() {
    for (std::uint64_t s = 0; s < sectors(); ++s)
      allowed[s] = {newest[s]};
  }
  std::pair<std::uint64_t, std::uint64_t> range() {
    static constexpr std::uint64_t lengths[] = {1, 8, 100, 128, 130, 256, 500};
    const std::uint64_t length = lengths[random.below(std::size(lengths))];
    const bool whole = length % 128 == 0 && random.one_in(2);
    std::uint64_t from = random.below(sectors() - length);
    if (whole)
      from = from / 128 * 128;
    return {from, length};
  }
  std::string check(bool after_power_cut) {
    const bytes all = volume.read(0, volume.spec.size.value);
    for (std::uint64_t s = 0; s < sectors(); ++s) {
      const auto stamp = stamp_of(all.data() + s * sector);
      if (!stamp || (after_power_cut ? !allowed[s].contains(*stamp) : *stamp != newest[s]))
        return "sector " + std::to_string(s) + " holds " + (stamp ? std::to_string(*stamp) : "a mix") + ", not " +
               std::to_string(newest[s]);
      if (after_power_cut)
        newest[s] = *stamp, allowed[s] = {*stamp};
    }
    return check_extents();
  }
  std::string check_extents() {
    core_request status(*volume.core, operation::block_status, 0, volume.spec.size.value);
    if (status.start_on(1).wait() != 0)
      return "block status failed";
    std::uint64_t at = 0;
    for (const auto& one : status.extents()) {
      if (one.zero)
        for (std::uint64_t s = at / sector; s < (at + one.length_bytes) / sector; ++s)
          if (newest[s] != 0)
            return "block status calls sector " + std::to_string(s) + " zero";
      at += one.length_bytes;
    }
    return {};
  }
  // A failed change may have happened in part.
  void may_have(std::uint64_t from, std::uint64_t count, std::uint64_t stamp) {
    const bytes now = volume.read(from * sector, count * sector);
    for (std::uint64_t i = 0; i < count; ++i) {
      allowed[from + i].insert(stamp);
      newest[from + i] = stamp_of(now.data() + i * sector).value_or(newest[from + i]);
    }
  }
  std::string step() {
    const auto [from, count] = range();
    const std::uint64_t at = from * sector, length = count * sector;
    switch (random.below(12)) {
    case 0: {
      const int error = volume.run(operation::zero, at, length);
      if (error == 0)
        set(from, count, 0);
      else if (!failed)
        return "a zeroing failed";
      return {};
    }
    case 1: {
      if (volume.run(operation::trim, at, length) != 0)
        return failed ? "" : "a trim failed";
      const bytes now = volume.read(at, length);
      for (std::uint64_t i = 0; i < count; ++i) {
        const auto stamp = stamp_of(now.data() + i * sector);
        if (stamp != newest[from + i] && stamp != 0)
          return "a trim shows old content of sector " + std::to_string(from + i);
        newest[from + i] = *stamp;
        allowed[from + i].insert(*stamp);
      }
      return {};
    }
    case 2:
      if (volume.run(operation::flush, 0, 0) == 0)
        flushed();
      else
        failed = true;
      return {};
    case 3: { // a flush and a write at once: the flush says nothing about the write
      const std::uint64_t stamp = next_stamp++;
      core_request write(*volume.core, operation::write, at, length, stamped(stamp, count));
      core_request flush(*volume.core, operation::flush, 0, 0);
      write.start_on(0), flush.start_on(1);
      const bool wrote = write.wait() == 0, synced = flush.wait() == 0;
      if (synced)
        flushed();
      failed = failed || !synced;
      if (wrote) // whether or not the flush covered it
        set(from, count, stamp);
      return {};
    }
    case 4: {
      const auto brought = volume.bring_in(from / sectors_per_granule, 1 + static_cast<std::uint32_t>(random.below(4)));
      return brought || failed ? "" : "bringing in failed: " + why(brought);
    }
    case 5: { // two halves of one granule, and a read of both, at once
      const std::uint64_t granule = from / sectors_per_granule;
      const std::uint64_t first = granule * sectors_per_granule, half = sectors_per_granule / 2;
      if (first + sectors_per_granule > sectors())
        return {};
      const std::uint64_t a = next_stamp++, b = next_stamp++;
      core_request one(*volume.core, operation::write, first * sector, half * sector, stamped(a, half));
      core_request two(*volume.core, operation::write, (first + half) * sector, half * sector, stamped(b, half));
      core_request both(*volume.core, operation::read, first * sector, granule_bytes);
      one.start_on(0), two.start_on(1), both.start_on(0);
      const bool wrote_a = one.wait() == 0, wrote_b = two.wait() == 0;
      if (both.wait() != 0)
        return "a read failed";
      for (std::uint64_t i = 0; i < sectors_per_granule; ++i) {
        const auto stamp = stamp_of(both.data().data() + i * sector);
        if (stamp != newest[first + i] && stamp != (i < half ? a : b))
          return "a read beside two writes shows something else";
      }
      if (wrote_a)
        set(first, half, a);
      if (wrote_b)
        set(first + half, half, b);
      return {};
    }
    case 6:
    case 7: {
      const bytes now = volume.read(at, length);
      for (std::uint64_t i = 0; i < count; ++i)
        if (stamp_of(now.data() + i * sector) != newest[from + i])
          return "sector " + std::to_string(from + i) + " reads as something else";
      return {};
    }
    default: {
      const std::uint64_t stamp = next_stamp++;
      const bool fua = random.one_in(8);
      const int error = volume.run(operation::write, at, length, stamped(stamp, count), fua);
      if (error == 0) {
        set(from, count, stamp);
        if (fua)
          for (std::uint64_t s = from; s < from + count; ++s)
            allowed[s] = {stamp};
      } else if (fua) { // its data may be there, its sync failed
        failed = true;
        may_have(from, count, stamp);
      } else if (!failed) {
        return "a write failed";
      }
      return {};
    }
    }
  }
};

} // namespace gnomon::io::test
