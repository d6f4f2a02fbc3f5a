#include "io/nbd/client_handshake.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "config/text.hpp"
#include "io/nbd/option.hpp"

namespace gnomon::io {

namespace {

using nbd::append, nbd::append_text;

errc code_of(nbd::option_reply type) {
  switch (type) {
  case nbd::option_reply::err_unknown:
    return errc::not_found;
  case nbd::option_reply::err_policy:
  case nbd::option_reply::err_tls_required:
    return errc::permission_denied;
  case nbd::option_reply::err_shutdown:
    return errc::shutting_down;
  case nbd::option_reply::err_invalid:
    return errc::invalid_argument;
  default:
    return errc::unsupported;
  }
}

std::string_view meaning_of(nbd::option_reply type) {
  switch (type) {
  case nbd::option_reply::err_unknown:
    return "the server has no such export";
  case nbd::option_reply::err_policy:
    return "the server forbids it";
  case nbd::option_reply::err_tls_required:
    return "the server wants TLS";
  case nbd::option_reply::err_shutdown:
    return "the server is shutting down";
  default:
    return "the server refused it";
  }
}

bool is_error(nbd::option_reply type) {
  return (static_cast<std::uint32_t>(type) & nbd::option_reply_error_bit) != 0;
}

} // namespace

client_handshake::outcome client_handshake::fail_with(errc code, std::string text) {
  why_ = error{code, "export \"" + std::string(printable(wishes_.export_name, 256)) + "\": " + std::move(text), 0};
  return outcome::failed;
}

client_handshake::outcome client_handshake::consume(std::span<const std::byte>& input,
                                                    std::vector<std::byte>& output) {
  while (outcome_ == outcome::need_more) {
    const std::size_t n = std::min(wanted_ - gathered_.size(), input.size());
    gathered_.insert(gathered_.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(n));
    input = input.subspan(n);
    if (gathered_.size() < wanted_)
      break;
    switch (step_) {
    case step::greeting:
      outcome_ = greet(output);
      break;
    case step::reply_header:
      outcome_ = reply_header();
      if (wanted_ != 0)
        break;
      [[fallthrough]]; // a reply without data
    case step::reply_data:
      if (outcome_ == outcome::need_more)
        outcome_ = reply(output);
      break;
    }
  }
  return outcome_;
}

client_handshake::outcome client_handshake::greet(std::vector<std::byte>& output) {
  const std::byte* bytes = gathered_.data();
  if (nbd::load<std::uint64_t>(bytes) != nbd::magic_init)
    return fail_with(errc::corrupt, "the other side is not an NBD server");
  if (nbd::load<std::uint64_t>(bytes + 8) != nbd::magic_option)
    return fail_with(errc::unsupported, "the server offers an NBD handshake that is too old");
  const auto flags = nbd::load<std::uint16_t>(bytes + 16);
  if (!(flags & nbd::handshake_fixed_newstyle))
    return fail_with(errc::unsupported, "the server offers an NBD handshake that is too old");
  append(output, std::uint32_t{static_cast<std::uint32_t>(flags & (nbd::handshake_fixed_newstyle | nbd::handshake_no_zeroes))});
  return ask_next(output);
}

void client_handshake::ask(std::vector<std::byte>& output, nbd::option o, std::span<const std::byte> data) {
  asked_ = o;
  replies_ = 0;
  append(output, nbd::magic_option);
  append(output, static_cast<std::uint32_t>(o));
  append(output, static_cast<std::uint32_t>(data.size()));
  output.insert(output.end(), data.begin(), data.end());
  step_ = step::reply_header;
  gathered_.clear();
  wanted_ = nbd::option_reply_header_bytes;
}

client_handshake::outcome client_handshake::ask_next(std::vector<std::byte>& output) {
  if (!nbd::is_string(wishes_.export_name))
    return fail_with(errc::invalid_argument, "an export name is at most 4096 bytes of UTF-8 without NUL");
  if (wishes_.extended_headers && !std::exchange(tried_extended_, true)) {
    ask(output, nbd::option::extended_headers);
    return outcome::need_more;
  }
  if (wishes_.structured_replies && !what_.extended_headers && !std::exchange(tried_structured_, true)) {
    ask(output, nbd::option::structured_reply);
    return outcome::need_more;
  }
  std::vector<std::byte> data;
  append(data, static_cast<std::uint32_t>(wishes_.export_name.size()));
  append_text(data, wishes_.export_name);
  const bool contexts = what_.extended_headers || what_.structured_replies;
  if (wishes_.base_allocation && contexts && !std::exchange(tried_context_, true)) {
    append(data, std::uint32_t{1});
    append(data, static_cast<std::uint32_t>(nbd::base_allocation_name.size()));
    append_text(data, nbd::base_allocation_name);
    ask(output, nbd::option::set_meta_context, data);
    return outcome::need_more;
  }
  append(data, std::uint16_t{1});
  append(data, static_cast<std::uint16_t>(nbd::info::block_size));
  ask(output, nbd::option::go, data);
  return outcome::need_more;
}

client_handshake::outcome client_handshake::reply_header() {
  const std::byte* bytes = gathered_.data();
  if (nbd::load<std::uint64_t>(bytes) != nbd::magic_option_reply ||
      nbd::load<std::uint32_t>(bytes + 8) != static_cast<std::uint32_t>(asked_))
    return fail_with(errc::corrupt, "the server's answer to an option is out of step");
  type_ = static_cast<nbd::option_reply>(nbd::load<std::uint32_t>(bytes + 12));
  const auto length = nbd::load<std::uint32_t>(bytes + 16);
  if (length > reply_bytes_max || ++replies_ > replies_max)
    return fail_with(errc::corrupt, "the server's answer to an option is too long");
  step_ = step::reply_data;
  gathered_.clear();
  wanted_ = length;
  return outcome::need_more;
}

client_handshake::outcome client_handshake::reply(std::vector<std::byte>& output) {
  if (is_error(type_))
    return take_refusal(output, type_);
  const auto malformed = [this] { return fail_with(errc::corrupt, "the server's answer to an option makes no sense"); };
  if (type_ == nbd::option_reply::ack) {
    switch (asked_) {
    case nbd::option::extended_headers:
      what_.extended_headers = true;
      break;
    case nbd::option::structured_reply:
      what_.structured_replies = true;
      break;
    case nbd::option::go:
      if (!told_size_)
        return malformed();
      return outcome::opened;
    default:
      break;
    }
    return ask_next(output);
  }
  if (type_ == nbd::option_reply::meta_context && asked_ == nbd::option::set_meta_context) {
    nbd::option_reader fields(gathered_);
    const auto id = fields.number<std::uint32_t>();
    if (!id || what_.base_allocation)
      return malformed();
    const std::string_view name{reinterpret_cast<const char*>(gathered_.data()) + sizeof *id, fields.left()};
    if (name != nbd::base_allocation_name)
      return malformed();
    what_.base_allocation = *id;
  } else if (type_ == nbd::option_reply::info && asked_ == nbd::option::go) {
    if (const auto taken = take_info(); taken != outcome::need_more)
      return taken;
  } else {
    return malformed();
  }
  step_ = step::reply_header;
  gathered_.clear();
  wanted_ = nbd::option_reply_header_bytes;
  return outcome::need_more;
}

client_handshake::outcome client_handshake::take_info() {
  const auto malformed = [this] { return fail_with(errc::corrupt, "the server describes the export in a way that makes no sense"); };
  nbd::option_reader fields(gathered_);
  const auto type = fields.number<std::uint16_t>();
  if (!type)
    return malformed();
  if (static_cast<nbd::info>(*type) == nbd::info::export_) {
    const auto size = fields.number<std::uint64_t>();
    const auto flags = fields.number<std::uint16_t>();
    if (!size || !flags || fields.left() != 0 || *size > INT64_MAX)
      return malformed();
    what_.size = *size;
    what_.transmission_flags = *flags & nbd::has_flags ? *flags : std::uint16_t{0};
    told_size_ = true;
  } else if (static_cast<nbd::info>(*type) == nbd::info::block_size) {
    const auto least = fields.number<std::uint32_t>(), preferred = fields.number<std::uint32_t>(),
               most = fields.number<std::uint32_t>();
    if (!least || !preferred || !most || fields.left() != 0 || !std::has_single_bit(*least) || *least > granule_bytes ||
        *most < *least)
      return malformed();
    what_.block_bytes_min = *least;
    what_.block_bytes_preferred = *preferred;
    what_.payload_bytes_max = std::min(*most, nbd::payload_bytes_max) / *least * *least;
  } // others say nothing that a client here needs
  return outcome::need_more;
}

// What a server does not have is done without; only the export itself is needed.
client_handshake::outcome client_handshake::take_refusal(std::vector<std::byte>& output, nbd::option_reply type) {
  if (asked_ != nbd::option::go && type != nbd::option_reply::err_tls_required) {
    if (asked_ == nbd::option::set_meta_context)
      what_.base_allocation.reset();
    return ask_next(output);
  }
  const std::string_view text{reinterpret_cast<const char*>(gathered_.data()), gathered_.size()};
  std::string message{meaning_of(type)};
  if (!text.empty())
    message += " (" + std::string(printable(text, 256)) + ")";
  return fail_with(code_of(type), std::move(message));
}

} // namespace gnomon::io
