// A volume's core with rings under it and nothing else: no engine, no clients. Tests submit requests to chosen rings
// and steer the core's generations and duties themselves.
#pragma once

#include "io/volume/core.hpp"
#include "io/volume/request.hpp"
#include "tests/io/engine/io_fixture.hpp"

namespace gnomon::io::test {

// Rings with the hooks that the engine gives them.
struct running_plane {
  data_plane plane;

  explicit running_plane(std::uint32_t rings = 2) : plane(rings) {
    for (std::uint32_t i = 0; i < rings; ++i) {
      ring_options o;
      o.index = i;
      auto made = ring::create(o);
      BOOST_REQUIRE_MESSAGE(made, why(made));
      plane.rings.push_back(std::move(*made));
      plane.holds[i].set_ring(*plane.rings.back());
    }
    for (std::uint32_t i = 0; i < rings; ++i) {
      const ring_index index{i};
      ring::hooks h;
      h.at_start = [this, index](ring&) { plane.epochs.online(index); };
      h.before_sleep = [this, index](ring&) { plane.epochs.offline(index); };
      h.after_wake = [this, index](ring&) { plane.epochs.online(index); };
      h.each_turn = [this, index](ring&) {
        plane.inboxes[index.value].resume_all();
        plane.holds[index.value].turn();
        plane.generations.turn_ended();
        plane.epochs.quiescent(index);
      };
      h.each_second = [this](ring&) { plane.epochs.reclaim(); };
      h.at_exit = [this, index](ring&) { plane.epochs.offline(index); };
      plane.rings[i]->start(std::move(h));
    }
  }
  ~running_plane() {
    (void)plane.maintenance.stop(std::chrono::steady_clock::now() + std::chrono::seconds{60});
    (void)plane.granule_work.stop(std::chrono::steady_clock::now() + std::chrono::seconds{60});
    (void)plane.seeking.stop(std::chrono::steady_clock::now() + std::chrono::seconds{60});
    plane.generations.stop();
    for (auto& one : plane.rings)
      one->request_stop();
    for (auto& one : plane.rings)
      one->join();
  }
};

// One request and its answer; `wait()` gives errno.
class core_request {
public:
  core_request(volume_core& core, operation op, std::uint64_t offset, std::uint64_t length,
               std::vector<std::byte> data = {}, bool fua = false)
      : core_(core), data_(std::move(data)) {
    io_.core = &core;
    io_.op = op;
    io_.fua = fua;
    io_.offset = offset;
    io_.length = length;
    io_.extents_max = 1024;
    io_.owner = this;
    io_.finish = [](volume_request& io, ring& on) {
      auto& self = *static_cast<core_request*>(io.owner);
      if (io.error == 0 && io.op == operation::read)
        self.data_.assign(io.data, io.data + io.length);
      self.extents_ = io.extents;
      const int error = io.error;
      on.buffers().release(io.memory);
      auto answer = std::move(self.answer_);
      answer.set_value(error); // the request may be gone now
    };
    result_ = answer_.get_future();
  }
  core_request& start_on(std::uint32_t ring_number) {
    const bool posted = core_.plane().rings[ring_number]->post([this](ring& on) {
      if (io_.op == operation::read || io_.op == operation::write) {
        io_.memory = on.buffers().acquire_reserved(memory_bytes(core_, io_.offset, io_.length));
        io_.data = io_.memory.data + memory_skew(core_, io_.offset);
        if (io_.op == operation::write)
          std::copy(data_.begin(), data_.end(), io_.data);
      }
      start(io_, on);
    });
    if (!posted) // not an assertion: requests start on other threads than the test's, too
      answer_.set_value(ESHUTDOWN);
    return *this;
  }
  int wait() { return result_.get(); }
  bool answered() const { return result_.wait_for(std::chrono::seconds{0}) == std::future_status::ready; }
  const std::vector<std::byte>& data() const { return data_; }
  const std::vector<extent>& extents() const { return extents_; }

private:
  volume_core& core_;
  std::vector<std::byte> data_;
  std::vector<extent> extents_;
  volume_request io_;
  std::promise<int> answer_;
  std::future<int> result_;
};

} // namespace gnomon::io::test
