// A small export directory, the messages of a client's half of the handshake, and conversations of the two that are
// fed in every possible portion, for tests.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "io/nbd/handshake.hpp"
#include "tests/io/nbd/bytes.hpp"

namespace gnomon::io {

inline std::ostream& operator<<(std::ostream& out, handshake_outcome o) {
  constexpr const char* names[] = {"need_more", "transmission", "close"};
  return out << names[static_cast<unsigned>(o)];
}

} // namespace gnomon::io

namespace gnomon::io::test {

constexpr std::uint64_t db_bytes = 8ull << 30;

// Two volumes, one of them read-only, and names that are refused for each reason there is.
class fake_exports final : public export_directory {
public:
  std::map<std::string, export_info, std::less<>> exports{
      {"db", {"db", "the orders", db_bytes, false}},
      {"logs", {"logs", "", 1ull << 20, true}},
  };
  std::vector<export_listing> listed{{"db", "the orders"}, {"logs", ""}};
  std::string refusal = "no volume of this name";
  unsigned claims = 0;

  std::vector<export_listing> list() const override { return listed; }
  result<export_info> find(std::string_view name, export_purpose purpose) override {
    if (name == "busy")
      return fail(errc::busy, "volume busy is attached to instance web-1");
    if (name == "forbidden")
      return fail(errc::permission_denied, "instance web-2 may not open forbidden");
    if (name == "late")
      return fail(errc::shutting_down, "the node stops");
    const auto found = exports.find(name.empty() ? "db" : name);
    if (found == exports.end())
      return fail(errc::not_found, refusal);
    claims += purpose == export_purpose::go;
    return found->second;
  }
};

inline wire client_flags(std::uint32_t flags = 3) { return wire{}.u32(flags); }
inline wire option(std::uint32_t number, const wire& data = {}) {
  return wire{}.u64(0x49484156454f5054).u32(number).u32(data.bytes.size()).then(data);
}
inline wire info_data(std::string_view name, const std::vector<unsigned>& asked = {}) {
  wire w = wire{}.u32(name.size()).text(name).u16(asked.size());
  for (const unsigned a : asked)
    w.u16(a);
  return w;
}
inline wire context_data(std::string_view name, const std::vector<std::string_view>& queries) {
  wire w = wire{}.u32(name.size()).text(name).u32(queries.size());
  for (const auto q : queries)
    w.u32(q.size()).text(q);
  return w;
}
inline wire go(std::string_view name, const std::vector<unsigned>& asked = {}) {
  return option(7, info_data(name, asked));
}
inline wire structured_replies() { return option(8); }
inline wire set_contexts(std::string_view name, const std::vector<std::string_view>& queries = {"base:allocation"}) {
  return option(10, context_data(name, queries));
}

inline wire reply(std::uint32_t option, std::uint32_t type, const wire& data = {}) {
  return wire{}.u64(0x0003e889045565a9).u32(option).u32(type).u32(data.bytes.size()).then(data);
}
inline wire acknowledged(std::uint32_t option) { return reply(option, 1); }
inline wire export_reply(std::uint32_t option, std::uint64_t size, unsigned flags) {
  return reply(option, 3, wire{}.u16(0).u64(size).u16(flags));
}

// What a transcript of option replies says, without the texts of errors.
struct told {
  std::uint32_t option = 0, type = 0;
  std::string data;
};
inline std::vector<told> replies_in(const wire& w) {
  std::vector<told> found;
  std::span<const std::byte> left(w.bytes);
  while (left.size() >= 20) {
    const auto length = nbd::load<std::uint32_t>(left.data() + 16);
    if (nbd::load<std::uint64_t>(left.data()) != nbd::magic_option_reply || left.size() < 20 + std::size_t{length})
      break;
    found.push_back({nbd::load<std::uint32_t>(left.data() + 8), nbd::load<std::uint32_t>(left.data() + 12),
                     std::string(reinterpret_cast<const char*>(left.data()) + 20, length)});
    left = left.subspan(20 + std::size_t{length});
  }
  if (!left.empty())
    found.push_back({0, 0, "not an option reply"});
  return found;
}

constexpr unsigned simple_flags = 0x0d6d;   // has flags, flush, fua, trim, zeroes, multi-conn, cache, fast zero
constexpr unsigned writable_flags = 0x0ded; // and DF
constexpr unsigned read_only_flags = 0x058f;

struct conversation {
  wire output;
  handshake_outcome outcome = handshake_outcome::need_more;
  std::size_t unused = 0; // bytes at the end of the input, left for the transmission phase
  selection chosen;
  unsigned claims = 0;
};

inline conversation fed(const wire& input, const std::vector<std::size_t>& cuts, const handshake_limits& limits,
                        fake_exports exports) {
  handshake h(exports, limits);
  conversation c;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size() && c.outcome == handshake_outcome::need_more; ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : input.bytes.size();
    auto part = std::span(input.bytes).subspan(from, to - from);
    std::span<const std::byte> left = part;
    c.outcome = h.consume(left, c.output.bytes);
    if (c.outcome == handshake_outcome::need_more && !left.empty())
      BOOST_FAIL("left input although it needs more");
    if (h.held_bytes() > 4 * (to + 64))
      BOOST_FAIL("holds " << h.held_bytes() << " bytes after " << to);
    from = to - left.size();
  }
  c.unused = input.bytes.size() - from;
  c.chosen = h.chosen();
  c.claims = exports.claims;
  return c;
}

inline bool same(const conversation& a, const conversation& b) {
  return a.output == b.output && a.outcome == b.outcome && a.unused == b.unused && a.claims == b.claims;
}

// Feeds a client's bytes at once, one by one and, unless there are many, cut in two at each place: the answers must
// not differ. Every claim of an export ends in the transmission phase.
inline conversation talk(const wire& input, const handshake_limits& limits = {}, const fake_exports& exports = {}) {
  const conversation whole = fed(input, {}, limits, exports);
  std::vector<std::size_t> every;
  for (std::size_t i = 1; i < input.bytes.size(); ++i)
    every.push_back(i);
  BOOST_TEST(same(whole, fed(input, every, limits, exports)), "fed byte by byte, the answer differs");
  for (std::size_t i = 1; i < input.bytes.size() && input.bytes.size() <= 2048; ++i)
    if (!same(whole, fed(input, {i}, limits, exports)))
      BOOST_FAIL("cut at byte " << i << ", the answer differs");
  BOOST_TEST((whole.claims == 1) == (whole.outcome == handshake_outcome::transmission));
  return whole;
}

constexpr std::uint32_t err(std::uint32_t number) { return 0x80000000 + number; }
constexpr std::uint32_t unsupported = err(1), policy = err(2), invalid = err(3), unknown = err(6), shutdown = err(7),
                        too_big = err(9), extended_required = err(10);

// The option is answered by this one error, with a text; the negotiation goes on, and GO still works.
inline void refused(const wire& opt, std::uint32_t number, std::uint32_t type, const wire& before = {},
                    const handshake_limits& limits = {}) {
  const conversation c = talk(wire(client_flags()).then(before).then(opt).then(go("db")), limits);
  BOOST_TEST(c.outcome == handshake_outcome::transmission);
  const auto all = replies_in(c.output);
  const auto found = std::find_if(all.begin(), all.end(), [](const told& t) { return t.type & 0x80000000; });
  BOOST_REQUIRE(found != all.end());
  BOOST_TEST(found->option == number);
  BOOST_TEST(found->type == type);
  BOOST_TEST(!found->data.empty());
  BOOST_TEST(nbd::is_string(found->data));
  BOOST_TEST(all.back().option == 7u);
  BOOST_TEST(all.back().type == 1u);
}

} // namespace gnomon::io::test
