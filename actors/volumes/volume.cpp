#include "actors/volumes/volume.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <fmt/format.h>

#include "actors/protocol/error_message.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/volumes/views.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::actors {
namespace {

constexpr ask_verb volume_verbs[] = {
    {"status", "size, state, connections, writers"},
    {"read OFFSET LENGTH", "reads through the in-process interface, prints hexadecimal (at most 4096 bytes)"},
    {"flush", "everything written so far is put on stable storage"},
};
constexpr std::uint64_t ask_read_max = 4096;

std::string hex_dump(std::uint64_t offset, const std::vector<std::uint8_t>& bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    out += fmt::format("{:012x} ", offset + at);
    for (std::size_t i = at; i < std::min(at + 16, bytes.size()); ++i)
      out += fmt::format(" {:02x}", bytes[i]);
    out += "\n";
  }
  return out;
}

io::local_request make_request(io::operation op, byte_offset offset, byte_count length) {
  io::local_request out;
  out.op = op;
  out.offset = offset;
  out.length = length;
  return out;
}

} // namespace

result<void> check_io(const io::local_request& request, std::size_t in_flight) {
  if (in_flight >= io_requests_max)
    return fail(errc::limit_reached, fmt::format("{} requests are in flight already", in_flight));
  const bool carries_data = request.op == io::operation::read || request.op == io::operation::write;
  if (carries_data && request.length.value == 0)
    return fail(errc::invalid_argument, "a request of 0 bytes");
  if (carries_data && request.length.value > io_bytes_max)
    return fail(errc::invalid_argument,
                fmt::format("a request has at most {} bytes, not {}", io_bytes_max, request.length.value));
  return {};
}

volume_actor_state::~volume_actor_state() {
  const auto reason = to_caf({errc::unavailable, "the volume's actor has ended; the outcome is unknown", 0});
  for (auto& [number, request] : pending)
    request.promise.deliver(reason);
}

result<std::uint64_t> volume_actor_state::start(io::local_request request) {
  if (auto fine = check_io(request, pending.size()); !fine)
    return tl::unexpected(fine.error());
  const auto number = next_request++;
  // A weak reference: the data plane must not keep a dead incarnation alive.
  node->engine->submit(uuid, std::move(request), [to = self->address(), number](io::local_reply reply) {
    const auto strong = caf::actor_cast<volume_actor>(to);
    if (!strong)
      return;
    io_completion done;
    done.request = number;
    if (reply) {
      done.data.bytes.resize(reply->size());
      std::transform(reply->begin(), reply->end(), done.data.bytes.begin(),
                     [](std::byte b) { return static_cast<std::uint8_t>(b); });
    } else {
      done.outcome = error_info(reply.error());
    }
    caf::anon_send(strong, atom::completed_v, std::move(done));
  });
  return number;
}

template <class Reply>
caf::result<Reply> volume_actor_state::submit(io::local_request request) {
  using kind = pending_request::kind;
  constexpr auto reply = std::is_same_v<Reply, io_data>       ? kind::data
                         : std::is_same_v<Reply, std::string> ? kind::text
                                                              : kind::ok;
  const auto number = start(std::move(request));
  if (!number)
    return to_caf(number.error());
  auto promise = self->make_response_promise<caf::response_promise>();
  pending.emplace(*number, pending_request{reply, promise});
  return caf::delegated<Reply>{};
}

void volume_actor_state::complete(io_completion done) {
  const auto found = pending.find(done.request);
  if (found == pending.end())
    return;
  auto request = std::move(found->second);
  pending.erase(found);
  using kind = pending_request::kind;
  if (!done.outcome.ok)
    return request.promise.deliver(to_caf(done.outcome.to_error()));
  switch (request.reply) {
  case kind::data:
    return request.promise.deliver(std::move(done.data));
  case kind::ok:
    return request.promise.deliver(atom::ok_v);
  case kind::text:
    return request.promise.deliver(done.data.bytes.empty() ? std::string("done") : hex_dump(0, done.data.bytes));
  }
}

caf::result<volume_details> volume_actor_state::status() const { return reply_with(describe_volume(*node, uuid)); }

caf::result<std::string> volume_actor_state::ask(const std::string& message) {
  const auto parsed = parse_asked(message);
  if (!parsed)
    return to_caf(parsed.error());
  if (parsed->verb == "help")
    return help_text(volume_verbs);
  if (parsed->verb == "flush")
    return submit<std::string>(make_request(io::operation::flush, {}, {}));
  if (parsed->verb == "status") {
    const auto details = describe_volume(*node, uuid);
    if (!details)
      return to_caf(details.error());
    return to_text(*details);
  }
  if (parsed->verb == "read" && parsed->arguments.size() == 2) {
    const auto offset = parse_number(parsed->arguments[0], "OFFSET");
    if (!offset)
      return to_caf(offset.error());
    const auto length = parse_number(parsed->arguments[1], "LENGTH");
    if (!length)
      return to_caf(length.error());
    return submit<std::string>(
        make_request(io::operation::read, byte_offset{*offset}, byte_count{std::min(*length, ask_read_max)}));
  }
  return to_caf(unknown_verb(*parsed, volume_verbs).value());
}

result<volume_details> describe_volume(const node_context& node, volume_uuid uuid) {
  const auto record = node.catalogue->find(uuid);
  if (!record)
    return fail(errc::not_found, "there is no volume " + uuid.to_string());
  return details_of(node, *record);
}

caf::actor spawn_volume(caf::actor_system& system, node_context* node, volume_uuid uuid) {
  return caf::actor_cast<caf::actor>(system.spawn(volume, node, uuid));
}

volume_actor::behavior_type volume(volume_actor::stateful_pointer<volume_actor_state> self, node_context* node,
                                   volume_uuid uuid) {
  self->state.node = node;
  self->state.uuid = uuid;
  using io::operation;
  return {
      [self](atom::report) {
        return actor_report{self->mailbox().size(), fmt::format("{} in flight", self->state.pending.size())};
      },
      [self](atom::ask, const std::string& message) { return self->state.ask(message); },
      [self](atom::read, byte_offset offset, byte_count length) {
        return self->state.submit<io_data>(make_request(operation::read, offset, length));
      },
      [self](atom::write, byte_offset offset, const io_data& data, write_durability durability) {
        auto request = make_request(operation::write, offset, byte_count{data.bytes.size()});
        const auto* bytes = reinterpret_cast<const std::byte*>(data.bytes.data());
        request.data.assign(bytes, bytes + data.bytes.size());
        request.fua = durability == write_durability::durable;
        return self->state.submit<atom::ok>(std::move(request));
      },
      [self](atom::flush) { return self->state.submit<atom::ok>(make_request(operation::flush, {}, {})); },
      [self](atom::trim, byte_offset offset, byte_count length) {
        return self->state.submit<atom::ok>(make_request(operation::trim, offset, length));
      },
      [self](atom::zero, byte_offset offset, byte_count length) {
        return self->state.submit<atom::ok>(make_request(operation::zero, offset, length));
      },
      [self](atom::status) { return self->state.status(); },
      [self](atom::completed, io_completion& done) { self->state.complete(std::move(done)); },
  };
}

} // namespace gnomon::actors
