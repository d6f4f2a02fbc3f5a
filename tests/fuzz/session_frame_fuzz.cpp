// Any bytes on a session stream, at both ends: decoded frames encode to what they came from, and neither a home nor a
// gateway does more than refuse what does not belong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "io/session/gateway.hpp"
#include "io/session/home.hpp"

using namespace gnomon;
using namespace gnomon::io::session;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto prove = [](std::span<const std::byte>) { return proof{}; }; // all zero: within a fuzzer's reach
  home_side home({node_name{"alpha"}, start_id{1}, std::chrono::seconds{5}, prove, {}, {}});
  gateway_session gateway(
      {node_name{"beta"}, start_id{2}, node_name{"alpha"}, std::chrono::seconds{1}, std::chrono::seconds{10}, prove});
  home_side::conversation talk;
  boot_time now{std::chrono::seconds{1}};
  gateway.add(std::make_shared<gateway_shadow>(volume_uuid{}, 4096, gateway.held()));
  gateway.connected({}, now);
  bool at_home = true, at_gateway = true;
  auto left = std::as_bytes(std::span(data, size));
  for (;;) {
    const decoded d = decode(left);
    if (d.what != decoded::outcome::whole)
      break;
    std::vector<std::byte> again;
    encode(d.value, again);
    if (again.size() != d.bytes || decode(again).what != decoded::outcome::whole || !(decode(again).value == d.value))
      std::abort();
    left = left.subspan(d.bytes);
    now += std::chrono::milliseconds{10};
    if (at_home) {
      const auto r = home.receive(talk, d.value, {}, now);
      at_home = r.has_value();
      if (r && r->record_shadow && d.value.run.count < 1 << 20)
        home.add_shadow(talk.session, *r->record_shadow, now);
      (void)home.take_outgoing(talk.session);
    }
    if (at_gateway)
      at_gateway = gateway.receive(d.value, now).has_value();
    (void)gateway.take_outgoing();
  }
  home.stream_broken(talk);
  gateway.broken();
  return 0;
}
