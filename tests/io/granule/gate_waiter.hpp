// Somebody who waits at a granule gate and remembers that the wait is over.
#pragma once

#include "io/granule/granule_gate.hpp"

namespace gnomon::io::test {

struct waiter : gate_waiter {
  bool resumed = false;
  waiter() {
    resume = [](parked& self) { static_cast<waiter&>(self).resumed = true; };
  }
};

} // namespace gnomon::io::test
