// Replies to an NBD client: taken off the stream part by part and checked against the requests they answer.
#include "io/nbd/client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace gnomon::io {

namespace {

constexpr std::size_t error_prefix_bytes = 6;    // error and length of its text, which is passed over
constexpr std::uint32_t extents_kept_max = 4096; // of one block status; what follows is passed over
constexpr std::uint16_t chunk_is_error = 1 << 15;

int errno_of(std::uint32_t nbd_error) {
  switch (static_cast<nbd::error>(nbd_error)) {
  case nbd::error::perm:
    return EPERM;
  case nbd::error::nomem:
    return ENOMEM;
  case nbd::error::inval:
    return EINVAL;
  case nbd::error::nospc:
    return ENOSPC;
  case nbd::error::overflow:
    return EOVERFLOW;
  case nbd::error::notsup:
    return ENOTSUP;
  case nbd::error::shutdown:
    return ESHUTDOWN;
  default:
    return EIO;
  }
}

} // namespace

// --- bytes

void nbd_client::want(part p, std::byte* at, std::uint64_t bytes) noexcept {
  part_ = p;
  at_ = at;
  left_ = bytes;
}

void nbd_client::begin_reply() noexcept {
  replying_ = nullptr;
  if (what_.extended_headers)
    want(part::extended_header, header_.data(), nbd::extended::chunk_header_bytes);
  else
    want(part::simple_header, header_.data(), nbd::simple_reply_bytes);
}

void nbd_client::received(int result) {
  if (phase_ == phase::ending)
    return end_if_idle();
  if (result == -ENOBUFS) {
    retry_queued_ = true;
    return ring_.complete_later(retry_, 0);
  }
  if (result == -EINTR || result == -EAGAIN)
    return receive_more();
  if (result <= 0)
    return lose(errc::unavailable, result == 0 ? "the server closed the connection" : std::strerror(-result));
  if (stream_->input().empty()) { // straight into the part
    at_ += result;
    left_ -= static_cast<std::uint64_t>(result);
  }
  if (phase_ == phase::negotiating)
    negotiate();
  take_input();
}

void nbd_client::take_input() {
  while (phase_ == phase::ready || phase_ == phase::draining) {
    if (left_ == 0) {
      if (!part_complete())
        return;
      continue;
    }
    const auto input = stream_->input();
    if (input.empty())
      break;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
    if (at_) {
      std::memcpy(at_, input.data(), n);
      at_ += n;
    }
    left_ -= n;
    stream_->consume(n);
  }
  if (phase_ == phase::ending || phase_ == phase::ended)
    return;
  stream_->release_input();
  receive_more();
  end_if_idle();
}

void nbd_client::receive_more() {
  const bool long_read = oldest_ && oldest_->op == operation::read && oldest_->length >= long_read_bytes;
  // A long read's data need not be copied if its header is taken alone.
  if (phase_ != phase::negotiating && at_ && (left_ >= direct_bytes || long_read))
    return stream_->receive_into(at_, left_);
  stream_->receive();
}

bool nbd_client::part_complete() {
  const std::byte* head = header_.data();
  switch (part_) {
  case part::simple_header: {
    const auto magic = nbd::load<std::uint32_t>(head);
    if (magic == nbd::magic_simple_reply)
      return take_simple();
    if (magic != nbd::magic_structured_reply || !what_.structured_replies)
      return nonsense("a reply has a wrong magic number");
    want(part::structured_header, header_.data() + nbd::simple_reply_bytes,
         nbd::chunk_header_bytes - nbd::simple_reply_bytes);
    return true;
  }
  case part::structured_header:
    return take_chunk({nbd::load<std::uint16_t>(head + 4), nbd::chunk{nbd::load<std::uint16_t>(head + 6)},
                       nbd::load<std::uint32_t>(head + 16)},
                      nbd::load<std::uint64_t>(head + 8));
  case part::extended_header:
    if (nbd::load<std::uint32_t>(head) != nbd::magic_extended_reply)
      return nonsense("a reply has a wrong magic number");
    return take_chunk({nbd::load<std::uint16_t>(head + 4), nbd::chunk{nbd::load<std::uint16_t>(head + 6)},
                       nbd::load<std::uint64_t>(head + 24)},
                      nbd::load<std::uint64_t>(head + 8));
  case part::prefix:
    return take_prefix();
  case part::data:
  case part::skipped:
    return end_of_chunk();
  }
  return nonsense("unreachable");
}

// --- replies

bool nbd_client::take_simple() {
  nbd_client_request* r = find(nbd::load<std::uint64_t>(header_.data() + 8));
  if (!r)
    return nonsense("a reply answers no request");
  const auto code = nbd::load<std::uint32_t>(header_.data() + 4);
  chunk_ = {nbd::chunk_done, nbd::chunk::none, 0};
  replying_ = r;
  if (code != 0) {
    r->error = errno_of(code);
    return end_of_chunk();
  }
  if (r->op == operation::block_status || (r->op == operation::read && what_.structured_replies))
    return nonsense("a reply that must be structured is not");
  if (r->op != operation::read)
    return end_of_chunk();
  if (!cover(*r, 0, r->length))
    return false;
  want(part::data, r->data, r->length);
  return true;
}

bool nbd_client::take_chunk(const chunk& c, std::uint64_t cookie) {
  nbd_client_request* r = find(cookie);
  if (!r)
    return nonsense("a reply answers no request");
  if (what_.extended_headers && nbd::load<std::uint64_t>(header_.data() + 16) != r->offset)
    return nonsense("a reply names another offset than its request");
  replying_ = r;
  chunk_ = c;
  skip_after_prefix_ = 0;
  std::uint64_t prefix = 0;
  switch (c.type) {
  case nbd::chunk::none:
    if (c.length != 0 || !(c.flags & nbd::chunk_done))
      return nonsense("an empty chunk is not the last one, or not empty");
    return end_of_chunk();
  case nbd::chunk::offset_data:
    prefix = sizeof(std::uint64_t);
    if (r->op != operation::read || c.length <= prefix || c.length - prefix > r->length)
      return nonsense("a chunk of data has a wrong length");
    break;
  case nbd::chunk::offset_hole:
    prefix = sizeof(std::uint64_t) + sizeof(std::uint32_t);
    if (r->op != operation::read || c.length != prefix)
      return nonsense("a chunk for a hole has a wrong length");
    break;
  case nbd::chunk::block_status:
  case nbd::chunk::block_status_extended: {
    const bool wide = c.type == nbd::chunk::block_status_extended;
    const std::uint64_t fixed = wide ? 8 : 4, each = wide ? 16 : 8;
    if (r->op != operation::block_status || wide != what_.extended_headers || c.length < fixed + each ||
        (c.length - fixed) % each != 0)
      return nonsense("a chunk of block status has a wrong length");
    prefix = std::min(c.length, fixed + each * std::min(r->extents_max, extents_kept_max));
    skip_after_prefix_ = c.length - prefix;
    break;
  }
  default:
    if (!(static_cast<std::uint16_t>(c.type) & chunk_is_error) || c.length < error_prefix_bytes ||
        c.length > client_handshake::reply_bytes_max)
      return nonsense("a chunk has an unknown type");
    prefix = error_prefix_bytes;
    skip_after_prefix_ = c.length - prefix;
  }
  prefix_.resize(prefix);
  want(part::prefix, prefix_.data(), prefix);
  return true;
}

bool nbd_client::take_prefix() {
  nbd_client_request& r = *replying_;
  const std::byte* bytes = prefix_.data();
  switch (chunk_.type) {
  case nbd::chunk::offset_data:
  case nbd::chunk::offset_hole: {
    const bool hole = chunk_.type == nbd::chunk::offset_hole;
    const auto offset = nbd::load<std::uint64_t>(bytes);
    const std::uint64_t length = hole ? nbd::load<std::uint32_t>(bytes + 8) : chunk_.length - sizeof offset;
    if (offset < r.offset || length == 0 || length > r.length || offset - r.offset > r.length - length)
      return nonsense("data lies outside of the range asked for");
    const std::uint64_t begin = offset - r.offset;
    if (!cover(r, begin, begin + length))
      return false;
    if (hole) {
      std::memset(r.data + begin, 0, length);
      return end_of_chunk();
    }
    want(part::data, r.data + begin, length);
    return true;
  }
  case nbd::chunk::block_status:
  case nbd::chunk::block_status_extended:
    if (!take_extents(prefix_.size(), chunk_.type == nbd::chunk::block_status_extended))
      return false;
    break;
  default: {
    const auto code = nbd::load<std::uint32_t>(bytes);
    if (r.error == 0)
      r.error = code == 0 ? EIO : errno_of(code);
  }
  }
  if (prefix_.capacity() > client_handshake::reply_bytes_max / 4)
    std::vector<std::byte>{}.swap(prefix_);
  if (skip_after_prefix_ == 0)
    return end_of_chunk();
  want(part::skipped, nullptr, skip_after_prefix_);
  return true;
}

bool nbd_client::take_extents(std::size_t prefix_bytes, bool wide) {
  nbd_client_request& r = *replying_;
  const std::byte* at = prefix_.data();
  const std::byte* const end = at + prefix_bytes;
  if (nbd::load<std::uint32_t>(at) != what_.base_allocation || !r.extents.empty())
    return nonsense("block status is about another context, or comes twice");
  for (at += wide ? 8 : 4; at != end; at += wide ? 16 : 8) {
    const std::uint64_t length = wide ? nbd::load<std::uint64_t>(at) : nbd::load<std::uint32_t>(at);
    const std::uint64_t flags = wide ? nbd::load<std::uint64_t>(at + 8) : nbd::load<std::uint32_t>(at + 4);
    if (length == 0 || length > what_.size)
      return nonsense("an extent is empty or longer than the export");
    r.extents.push_back({length, (flags & nbd::state_hole) != 0, (flags & nbd::state_zero) != 0});
  }
  return true;
}

bool nbd_client::end_of_chunk() {
  nbd_client_request& r = *replying_;
  const bool done = chunk_.flags & nbd::chunk_done;
  begin_reply();
  if (!done)
    return true;
  const bool read_whole =
      r.op != operation::read || (r.covered_count == 1 && r.covered[0] == std::pair{std::uint64_t{0}, r.length});
  const bool status_whole = r.op != operation::block_status || !r.extents.empty();
  if (r.error == 0 && !(read_whole && status_whole))
    return nonsense("a reply ends before all of it has come");
  conclude(r);
  return phase_ == phase::ready || phase_ == phase::draining;
}

// Each byte of a read comes once; runs that touch are one.
bool nbd_client::cover(nbd_client_request& r, std::uint64_t begin, std::uint64_t end) {
  auto& runs = r.covered;
  for (std::uint8_t i = 0; i < r.covered_count;) {
    if (begin < runs[i].second && runs[i].first < end)
      return nonsense("a part of a read comes twice");
    if (begin != runs[i].second && runs[i].first != end) {
      ++i;
      continue;
    }
    begin = std::min(begin, runs[i].first);
    end = std::max(end, runs[i].second);
    runs[i] = runs[--r.covered_count];
  }
  if (r.covered_count == nbd_client_request::covered_max)
    return nonsense("a read comes in too many parts that are apart");
  runs[r.covered_count++] = {begin, end};
  return true;
}

} // namespace gnomon::io
