#include "actors/protocol/error_message.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

namespace gnomon::actors {
namespace {

constexpr auto category = caf::atom("gnomon");

// CAF treats code 0 as "no error".
std::uint8_t to_wire(errc code) { return static_cast<std::uint8_t>(static_cast<unsigned>(code) + 1); }
errc from_wire(std::uint8_t code) {
  if (code == 0 || code > to_wire(errc::internal))
    return errc::internal;
  return static_cast<errc>(code - 1);
}

errc from_sec(caf::sec code) {
  switch (code) {
  case caf::sec::request_timeout:
    return errc::timed_out;
  case caf::sec::request_receiver_down:
  case caf::sec::no_actor_published_at_port:
  case caf::sec::cannot_connect_to_node:
  case caf::sec::disconnect_during_handshake:
  case caf::sec::connection_timeout:
  case caf::sec::no_route_to_receiving_node:
  case caf::sec::remote_linking_failed:
    return errc::unavailable;
  case caf::sec::unexpected_actor_messaging_interface:
  case caf::sec::incompatible_versions:
  case caf::sec::incompatible_application_ids:
  case caf::sec::malformed_basp_message:
    return errc::unsupported;
  case caf::sec::unexpected_message:
  case caf::sec::invalid_argument:
    return errc::invalid_argument;
  default:
    return errc::internal;
  }
}

} // namespace

caf::error to_caf(const error& reason) {
  return caf::error{to_wire(reason.code), category,
                    caf::make_message(reason.message, static_cast<std::int32_t>(reason.os_errno))};
}

error from_caf(const caf::error& reason) {
  if (!reason)
    return {errc::internal, "an error without a reason", 0};
  if (reason.category() == category) {
    error out{from_wire(reason.code()), {}, 0};
    const auto& context = reason.context();
    if (context.match_elements<std::string, std::int32_t>()) {
      out.message = context.get_as<std::string>(0);
      out.os_errno = context.get_as<std::int32_t>(1);
    }
    return out;
  }
  if (reason.category() == caf::atom("exit")) {
    // The actor died with the request in its mailbox; its supervisor restarts it.
    return {errc::unavailable, "the actor that was asked has ended: " + describe(reason), 0};
  }
  if (reason.category() == caf::atom("system"))
    return {from_sec(static_cast<caf::sec>(reason.code())), describe(reason), 0};
  return {errc::internal, describe(reason), 0};
}

std::string describe(const caf::error& reason) {
  if (!reason)
    return "ended normally";
  if (reason.category() == category)
    return from_caf(reason).to_string();
  return caf::actor_system_config::render(reason);
}

} // namespace gnomon::actors
