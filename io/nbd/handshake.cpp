#include "io/nbd/handshake.hpp"

#include <algorithm>
#include <utility>

#include "config/text.hpp"
#include "io/nbd/option.hpp"

namespace gnomon::io {

namespace {

using nbd::append, nbd::append_text, nbd::option_reply;

option_reply reply_for(errc code) {
  switch (code) {
  case errc::not_found:
  case errc::invalid_argument:
    return option_reply::err_unknown;
  case errc::shutting_down:
    return option_reply::err_shutdown;
  default:
    return option_reply::err_policy;
  }
}

// The longest part of `text` that the protocol takes as a string.
std::string_view string_part(std::string_view text) {
  text = text.substr(0, nbd::name_bytes_max);
  for (int cut = 0; cut < 4 && !nbd::is_string(text) && !text.empty(); ++cut)
    text.remove_suffix(1);
  return nbd::is_string(text) ? text : std::string_view{};
}

constexpr std::string_view bad_name = "an export name is at most 4096 bytes of UTF-8 without NUL";

} // namespace

nbd::export_limits limits_of(const selection& chosen) noexcept {
  nbd::export_limits limits;
  limits.size = chosen.what.size;
  limits.read_only = chosen.what.read_only;
  limits.structured_replies = chosen.structured_replies;
  limits.has_base_allocation = chosen.base_allocation.has_value();
  limits.extended_headers = chosen.extended_headers;
  limits.transmission_flags = chosen.transmission_flags;
  limits.block_bytes_min = chosen.what.block_bytes_min;
  limits.payload_bytes_max = chosen.what.payload_bytes_max;
  return limits;
}

std::array<std::byte, handshake::greeting_bytes> handshake::greeting() const noexcept {
  std::array<std::byte, greeting_bytes> bytes;
  std::byte* at = nbd::store(bytes.data(), nbd::magic_init);
  at = nbd::store(at, nbd::magic_option);
  nbd::store(at, static_cast<std::uint16_t>(nbd::handshake_fixed_newstyle | nbd::handshake_no_zeroes));
  return bytes;
}

// --- cutting the stream into options

// `wanted` bytes, straight from the input when they are all there; else nothing, and what there is is kept. The
// memory grows with what arrives, never with what was announced.
std::optional<handshake::payload> handshake::gather(std::span<const std::byte>& input, std::size_t wanted) {
  if (std::exchange(gathered_used_, false))
    gathered_.clear();
  if (gathered_.empty() && input.size() >= wanted) {
    const payload all = input.first(wanted);
    input = input.subspan(wanted);
    return all;
  }
  const payload some = input.first(std::min(wanted - gathered_.size(), input.size()));
  gathered_.insert(gathered_.end(), some.begin(), some.end());
  input = input.subspan(some.size());
  if (gathered_.size() != wanted)
    return std::nullopt;
  gathered_used_ = true;
  return payload(gathered_);
}

bool handshake::skip(std::span<const std::byte>& input) {
  const std::size_t n = std::min<std::size_t>(skip_bytes_, input.size());
  input = input.subspan(n);
  skip_bytes_ -= static_cast<std::uint32_t>(n);
  return skip_bytes_ == 0;
}

handshake_outcome handshake::consume(std::span<const std::byte>& input, std::vector<std::byte>& output) {
  while (outcome_ == handshake_outcome::need_more) {
    if (step_ == step::skip_data) {
      if (!skip(input))
        break;
      step_ = step::option_header;
      outcome_ = too_long(output);
      continue;
    }
    const std::size_t wanted = step_ == step::client_flags    ? sizeof(std::uint32_t)
                               : step_ == step::option_header ? nbd::option_header_bytes
                                                              : option_bytes_;
    const auto bytes = gather(input, wanted);
    if (!bytes)
      break;
    switch (step_) {
    case step::client_flags:
      outcome_ = begin(*bytes);
      break;
    case step::option_header:
      outcome_ = begin_option(*bytes, output);
      break;
    default:
      step_ = step::option_header;
      outcome_ = option(*bytes, output);
    }
  }
  return outcome_;
}

handshake_outcome handshake::begin(payload bytes) {
  const auto flags = nbd::load<std::uint32_t>(bytes.data());
  constexpr std::uint32_t known = nbd::handshake_fixed_newstyle | nbd::handshake_no_zeroes;
  if ((flags & ~known) != 0)
    return handshake_outcome::close;
  fixed_newstyle_ = (flags & nbd::handshake_fixed_newstyle) != 0;
  no_zeroes_ = (flags & nbd::handshake_no_zeroes) != 0;
  step_ = step::option_header;
  return handshake_outcome::need_more;
}

handshake_outcome handshake::begin_option(payload header, std::vector<std::byte>& output) {
  if (nbd::load<std::uint64_t>(header.data()) != nbd::magic_option)
    return handshake_outcome::close;
  option_ = static_cast<nbd::option>(nbd::load<std::uint32_t>(header.data() + 8));
  option_bytes_ = nbd::load<std::uint32_t>(header.data() + 12);
  if (option_bytes_ > skipped_option_bytes_max)
    return handshake_outcome::close;
  // EXPORT_NAME has no error reply, and a client without fixed newstyle understands no other option's.
  const bool silent = option_ == nbd::option::export_name;
  if (silent ? option_bytes_ > nbd::name_bytes_max : !fixed_newstyle_)
    return handshake_outcome::close;
  if (options_ >= options_allowed()) {
    too_many_options_ = true;
    if (!silent)
      refuse(output, option_reply::err_policy, "too many options in one handshake");
    return handshake_outcome::close;
  }
  ++options_;
  skip_bytes_ = option_bytes_;
  step_ = option_bytes_ > option_bytes_max ? step::skip_data : step::option_data;
  return handshake_outcome::need_more;
}

handshake_outcome handshake::too_long(std::vector<std::byte>& output) {
  if (option_ == nbd::option::abort)
    return option({}, output);
  if (option_ == nbd::option::set_meta_context)
    context_export_.reset();
  refuse(output, option_reply::err_too_big, "an option has at most 16384 bytes here");
  return handshake_outcome::need_more;
}

handshake_outcome handshake::option(payload data, std::vector<std::byte>& output) {
  switch (option_) {
  case nbd::option::export_name:
    return export_name(data, output);
  case nbd::option::abort:
    answer(output, option_reply::ack);
    return handshake_outcome::close; // data: ignored
  case nbd::option::list:
    list(data, output);
    break;
  case nbd::option::info:
  case nbd::option::go:
    return info_or_go(data, output);
  case nbd::option::structured_reply:
    structured_reply(data, output);
    break;
  case nbd::option::extended_headers:
    extended_headers(data, output);
    break;
  case nbd::option::set_meta_context:
  case nbd::option::list_meta_context:
    meta_context(data, output);
    break;
  case nbd::option::starttls:
    starttls(data, output);
    break;
  default:
    refuse(output, option_reply::err_unsupported,
           "option " + std::to_string(static_cast<std::uint32_t>(option_)) + " is not supported");
  }
  return handshake_outcome::need_more;
}

// --- the options

handshake_outcome handshake::export_name(payload data, std::vector<std::byte>& output) {
  const std::string_view name{reinterpret_cast<const char*>(data.data()), data.size()};
  if (extended_ || !nbd::is_string(name))
    return handshake_outcome::close;
  auto found = exports_.find(name, export_purpose::go);
  if (!found)
    return handshake_outcome::close;
  append(output, found->size);
  append(output, transmission_flags(*found, name));
  if (!no_zeroes_)
    output.resize(output.size() + nbd::export_name_zeroes);
  selection_.by_export_name = true;
  return enter_transmission(std::move(*found), name);
}

handshake_outcome handshake::info_or_go(payload data, std::vector<std::byte>& output) {
  const auto again = handshake_outcome::need_more;
  nbd::option_reader fields(data);
  const auto name = fields.text();
  const auto count = fields.number<std::uint16_t>();
  if (!name || !count || fields.left() != std::size_t{2} * *count)
    return refuse(output, option_reply::err_invalid, "lengths and counts do not add up to the option's length"),
           again;
  if (!nbd::is_string(*name))
    return refuse(output, option_reply::err_invalid, bad_name), again;
  bool name_wanted = false, description_wanted = false, block_size_wanted = false;
  for (std::uint16_t i = 0; i < *count; ++i) {
    const auto asked = static_cast<nbd::info>(*fields.number<std::uint16_t>());
    name_wanted |= asked == nbd::info::name;
    description_wanted |= asked == nbd::info::description;
    block_size_wanted |= asked == nbd::info::block_size;
  }
  const bool go = option_ == nbd::option::go;
  auto found = exports_.find(*name, go ? export_purpose::go : export_purpose::info);
  if (!found)
    return refuse(output, found.error()), again;

  std::vector<std::byte> info;
  const auto tell = [&](nbd::info type, const auto& fill) {
    info.clear();
    append(info, static_cast<std::uint16_t>(type));
    fill();
    answer(output, option_reply::info, info);
  };
  tell(nbd::info::export_, [&] { append(info, found->size), append(info, transmission_flags(*found, *name)); });
  if (name_wanted)
    tell(nbd::info::name, [&] { append_text(info, string_part(found->name)); });
  if (description_wanted && !found->description.empty())
    tell(nbd::info::description, [&] { append_text(info, string_part(found->description)); });
  // Unasked only where a client that knows nothing of it would get errors.
  if (block_size_wanted || found->block_bytes_min > 1 || found->payload_bytes_max < nbd::payload_bytes_max)
    tell(nbd::info::block_size, [&] {
      append(info, found->block_bytes_min), append(info, found->block_bytes_preferred);
      append(info, found->payload_bytes_max);
    });
  answer(output, option_reply::ack);
  return go ? enter_transmission(std::move(*found), *name) : again;
}

void handshake::list(payload data, std::vector<std::byte>& output) {
  if (!data.empty())
    return refuse(output, option_reply::err_invalid, "LIST carries no data");
  const std::vector<export_listing> exports = exports_.list();
  std::size_t bare = 0, described = 0; // bytes
  for (const export_listing& e : exports) {
    bare += nbd::option_reply_header_bytes + sizeof(std::uint32_t) + string_part(e.name).size();
    described += string_part(e.description).size();
  }
  if (bare > list_bytes_left_)
    return refuse(output, option_reply::err_too_big,
                  "the list of " + std::to_string(exports.size()) + " exports is too long; ask for one by its name");
  const bool describe = bare + described <= list_bytes_left_;
  list_bytes_left_ -= bare + (describe ? described : 0);
  // The longest list counts, not their sum: asking again brings nothing.
  options_for_listed_ = std::max<std::uint64_t>(options_for_listed_, exports.size() * options_per_listed_export);
  std::vector<std::byte> server;
  for (const export_listing& e : exports) {
    const std::string_view name = string_part(e.name);
    server.clear();
    append(server, static_cast<std::uint32_t>(name.size()));
    append_text(server, name);
    if (describe)
      append_text(server, string_part(e.description));
    answer(output, option_reply::server, server);
  }
  answer(output, option_reply::ack);
}

void handshake::structured_reply(payload data, std::vector<std::byte>& output) {
  if (!data.empty())
    return refuse(output, option_reply::err_invalid, "STRUCTURED_REPLY carries no data");
  if (extended_)
    return refuse(output, option_reply::err_extended_headers_required, "extended headers are agreed on already");
  structured_ = true;
  answer(output, option_reply::ack);
}

void handshake::extended_headers(payload data, std::vector<std::byte>& output) {
  if (!limits_.extended_headers)
    return refuse(output, option_reply::err_unsupported, "extended headers are not supported");
  if (!data.empty())
    return refuse(output, option_reply::err_invalid, "EXTENDED_HEADERS carries no data");
  extended_ = true;
  answer(output, option_reply::ack);
}

void handshake::starttls(payload data, std::vector<std::byte>& output) const {
  if (!data.empty())
    return refuse(output, option_reply::err_invalid, "STARTTLS carries no data");
  refuse(output, option_reply::err_policy, "TLS is not configured on this listener");
}

// LIST_META_CONTEXT and SET_META_CONTEXT. The only context is base:allocation; queries in other namespaces are passed
// over, as the protocol asks, and "base:" stands for all of its namespace when listing.
void handshake::meta_context(payload data, std::vector<std::byte>& output) {
  const bool set = option_ == nbd::option::set_meta_context;
  if (set)
    context_export_.reset(); // what was agreed on before goes, also when this one fails
  if (!structured_ && !extended_)
    return refuse(output, option_reply::err_invalid, "negotiate structured replies first");
  nbd::option_reader fields(data);
  const auto name = fields.text();
  const auto queries = fields.number<std::uint32_t>();
  if (!name || !queries)
    return refuse(output, option_reply::err_invalid, "the option is cut short");
  if (!nbd::is_string(*name))
    return refuse(output, option_reply::err_invalid, bad_name);
  if (*queries > queries_max)
    return refuse(output, option_reply::err_too_big, "at most 64 queries in one option");
  bool wanted = !set && *queries == 0;
  for (std::uint32_t i = 0; i < *queries; ++i) {
    const auto query = fields.text();
    if (!query)
      return refuse(output, option_reply::err_invalid, "a query is cut short");
    const std::size_t colon = query->find(':');
    if (!nbd::is_string(*query) || colon == 0 || colon == std::string_view::npos)
      return refuse(output, option_reply::err_invalid, "a query is NAMESPACE:LEAF, at most 4096 bytes of UTF-8");
    wanted |= *query == nbd::base_allocation_name || (!set && *query == "base:");
  }
  if (fields.left() != 0)
    return refuse(output, option_reply::err_invalid, "bytes follow the last query");
  if (auto found = exports_.find(*name, export_purpose::info); !found)
    return refuse(output, found.error());
  if (wanted) {
    std::vector<std::byte> context;
    append(context, set ? nbd::base_allocation_id : std::uint32_t{0});
    append_text(context, nbd::base_allocation_name);
    answer(output, option_reply::meta_context, context);
    if (set)
      context_export_.emplace(*name);
  }
  answer(output, option_reply::ack);
}

// --- the end, and replies

handshake_outcome handshake::enter_transmission(export_info&& what, std::string_view asked_name) {
  selection_.transmission_flags = transmission_flags(what, asked_name);
  selection_.what = std::move(what);
  selection_.asked_name = asked_name;
  selection_.structured_replies = structured_;
  selection_.extended_headers = extended_;
  selection_.no_zeroes = no_zeroes_;
  if (context_export_ && *context_export_ == asked_name)
    selection_.base_allocation = nbd::base_allocation_id;
  return handshake_outcome::transmission;
}

std::uint16_t handshake::transmission_flags(const export_info& e, std::string_view asked_name) const noexcept {
  std::uint16_t flags = nbd::served_flags;
  if (e.read_only) {
    constexpr std::uint16_t writing = nbd::send_trim | nbd::send_write_zeroes | nbd::send_fast_zero;
    flags = static_cast<std::uint16_t>((flags & ~writing) | nbd::is_read_only);
  }
  if (!structured_ && !extended_)
    flags &= static_cast<std::uint16_t>(~nbd::send_df);
  if (extended_ && context_export_ && *context_export_ == asked_name)
    flags |= nbd::block_status_payload;
  return flags;
}

void handshake::answer(std::vector<std::byte>& output, option_reply type, payload data) const {
  append(output, nbd::magic_option_reply);
  append(output, static_cast<std::uint32_t>(option_));
  append(output, static_cast<std::uint32_t>(type));
  append(output, static_cast<std::uint32_t>(data.size()));
  output.insert(output.end(), data.begin(), data.end());
}

void handshake::refuse(std::vector<std::byte>& output, option_reply type, std::string_view text) const {
  answer(output, type, std::as_bytes(std::span(text)));
}

void handshake::refuse(std::vector<std::byte>& output, const error& why) const {
  refuse(output, reply_for(why.code), string_part(printable(why.message, 1024)));
}

} // namespace gnomon::io
