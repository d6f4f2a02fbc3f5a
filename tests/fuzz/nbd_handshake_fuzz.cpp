// Any bytes as a client's half of the handshake. They are fed whole and in portions, which must make no difference;
// output, memory and claims stay within their bounds. Layout of an input: one byte of limits, one that seeds the
// portions, the client's bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "io/nbd/handshake.hpp"

using namespace gnomon;
using namespace gnomon::io;

namespace {

#define CHECK(condition)                                                                                             \
  if (!(condition)) {                                                                                                \
    std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                             \
    std::abort();                                                                                                    \
  }

class two_exports final : public export_directory {
public:
  unsigned claims = 0;

  std::vector<export_listing> list() const override { return {{"db", "the orders"}, {"logs", ""}}; }
  result<export_info> find(std::string_view name, export_purpose purpose) override {
    CHECK(nbd::is_string(name));
    if (name == "b")
      return fail(errc::busy, "attached to \x1b[31m\xff another instance");
    if (name == "s")
      return fail(errc::shutting_down, "the node stops");
    if (!name.empty() && name != "db" && name != "logs")
      return fail(errc::not_found, "no such volume");
    claims += purpose == export_purpose::go;
    if (name == "logs")
      return export_info{"logs", "", 1 << 20, true, 512, 4096, 1 << 20};
    return export_info{"db", "the orders", 1ull << 40};
  }
};

struct outcome {
  handshake_outcome end = handshake_outcome::need_more;
  std::vector<std::byte> output;
  std::size_t used = 0;
  selection chosen;
  friend bool operator==(const outcome& a, const outcome& b) {
    return a.end == b.end && a.output == b.output && a.used == b.used && a.chosen.asked_name == b.chosen.asked_name &&
           a.chosen.base_allocation == b.chosen.base_allocation;
  }
};

outcome run(std::span<const std::byte> input, const handshake_limits& limits, std::uint32_t portions) {
  two_exports exports;
  handshake h(exports, limits);
  outcome o;
  while (o.used < input.size() && o.end == handshake_outcome::need_more) {
    portions = portions * 1664525 + 1013904223;
    const std::size_t most = portions == 0 ? input.size() : 1 + (portions >> 16) % 97;
    // A copy of its own size, so that a read beyond it is seen.
    const auto begin = input.begin() + static_cast<std::ptrdiff_t>(o.used);
    const std::size_t n = std::min(most, input.size() - o.used);
    const std::vector<std::byte> part(begin, begin + static_cast<std::ptrdiff_t>(n));
    std::span<const std::byte> left(part);
    o.end = h.consume(left, o.output);
    CHECK(o.end != handshake_outcome::need_more || left.empty());
    o.used += n - left.size();
    CHECK(h.held_bytes() <= 2 * (o.used + 16));
  }
  CHECK(exports.claims == (o.end == handshake_outcome::transmission ? 1u : 0u));
  CHECK(o.output.size() <= handshake::list_bytes_max + (limits.options_max + 1) * handshake::reply_bytes_max);
  o.chosen = h.chosen();
  return o;
}

// Everything said is a sequence of option replies, but for the reply to EXPORT_NAME at its end.
void check_output(const outcome& o) {
  std::span<const std::byte> left(o.output);
  const std::size_t tail = o.end == handshake_outcome::transmission && o.chosen.by_export_name
                               ? 10 + (o.chosen.no_zeroes ? 0 : nbd::export_name_zeroes)
                               : 0;
  CHECK(left.size() >= tail);
  left = left.first(left.size() - tail);
  while (!left.empty()) {
    CHECK(left.size() >= nbd::option_reply_header_bytes);
    CHECK(nbd::load<std::uint64_t>(left.data()) == nbd::magic_option_reply);
    const auto type = nbd::load<std::uint32_t>(left.data() + 12), length = nbd::load<std::uint32_t>(left.data() + 16);
    left = left.subspan(nbd::option_reply_header_bytes);
    CHECK(length <= left.size());
    if (type & nbd::option_reply_error_bit)
      CHECK(length > 0 && nbd::is_string({reinterpret_cast<const char*>(left.data()), length}));
    left = left.subspan(length);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2)
    return 0;
  const handshake_limits limits{1u + (data[0] & 0x7f), (data[0] & 0x80) != 0};
  const auto input = std::as_bytes(std::span(data + 2, size - 2));
  const outcome cut = run(input, limits, data[1]);
  check_output(cut);
  two_exports exports;
  handshake h(exports, limits);
  outcome whole;
  std::span<const std::byte> left(input);
  whole.end = h.consume(left, whole.output);
  whole.used = input.size() - left.size();
  whole.chosen = h.chosen();
  CHECK(whole == cut);
  return 0;
}
