// Coherence at a volume's home: a change first makes sure that no shadow holds what it is about to change, a fill's read
// first records who will hold it. Rings; home_side has the protocol, this has gate, waiting and I/O.
#pragma once

#include <atomic>
#include <memory>

#include "io/granule/granule_gate.hpp"
#include "io/session/home.hpp"
#include "io/volume/core.hpp"
#include "io/volume/interposer.hpp"

namespace gnomon::io {

constexpr bool is_change(operation op) noexcept {
  return op == operation::write || op == operation::trim || op == operation::zero;
}

class home_volume final : public interposer {
public:
  // `home` outlives it.
  home_volume(session::home_side& home, data_plane& plane, const volume_uuid& volume);

  void start(volume_request& request, ring& on) override;
  // Before the first fill of a shadow of it may begin; any thread. Stays so.
  void shadowed() noexcept { shadowed_.store(true, std::memory_order_release); }
  // After a start in which unflushed writes may have been lost: nothing is answered before the leases are over.
  void wait_for_leases() noexcept { all_wait_.store(true, std::memory_order_release); }

private:
  struct errand;
  void begin(errand& e);
  void gate_held(errand& e);
  void carry_out(errand& e);
  void end(errand& e, int error);
  static void carried_out(volume_request& request, ring& on);

  session::home_side& home_;
  data_plane& plane_;
  const volume_uuid volume_;
  granule_gate gate_; // outermost: taken before the volume's own gates, so no circle is possible
  std::atomic<bool> shadowed_{false}, all_wait_{false};
};

} // namespace gnomon::io
