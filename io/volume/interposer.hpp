// What stands before a volume's own way of carrying requests out: coherence with shadows at its home, the way to the
// home at a gateway. A core has at most one, for its whole life, from before its first request.
#pragma once

namespace gnomon::io {

struct volume_request;
class ring;

class interposer {
public:
  virtual ~interposer() = default;
  // Ring thread of the request. Sees to it that the request's `finish` is called exactly once, possibly from inside.
  // The request's memory is its own: takes_payload_at_once() is false where there is an interposer.
  virtual void start(volume_request& request, ring& on) = 0;
};

// Carries the request out on the core's file, as start() does where there is no interposer.
void start_on_file(volume_request& request, ring& on);

} // namespace gnomon::io
