// Requests of an NBD client: admitted, encoded, and given back to their callers.
#include "io/nbd/client.hpp"

#include <cassert>
#include <cerrno>

namespace gnomon::io {

namespace {

nbd::command command_of(operation op) {
  switch (op) {
  case operation::read:
    return nbd::command::read;
  case operation::write:
    return nbd::command::write;
  case operation::flush:
    return nbd::command::flush;
  case operation::trim:
    return nbd::command::trim;
  case operation::zero:
    return nbd::command::write_zeroes;
  case operation::cache:
    return nbd::command::cache;
  case operation::block_status:
    return nbd::command::block_status;
  }
  return nbd::command::flush;
}

bool moves_data(operation op) { return op == operation::read || op == operation::write; }
bool changes_data(operation op) {
  return op == operation::write || op == operation::trim || op == operation::zero;
}

} // namespace

// What the server would refuse, or what this end cannot say in the form agreed on.
int nbd_client::refusal(const nbd_client_request& r) const noexcept {
  if (phase_ != phase::ready)
    return ENOTCONN;
  if (changes_data(r.op) && what_.read_only())
    return EPERM;
  const bool offered = r.op == operation::flush          ? what_.has(nbd::send_flush)
                       : r.op == operation::trim         ? what_.has(nbd::send_trim)
                       : r.op == operation::zero         ? what_.has(nbd::send_write_zeroes)
                       : r.op == operation::cache        ? what_.has(nbd::send_cache)
                       : r.op == operation::block_status ? what_.base_allocation.has_value()
                                                         : true;
  if (!offered || (r.fua && !what_.has(nbd::send_fua)) || (r.fast_only && !what_.has(nbd::send_fast_zero)))
    return ENOTSUP;
  if (r.op == operation::flush)
    return r.length == 0 ? 0 : EINVAL;
  if (r.length == 0 || r.offset > what_.size || r.length > what_.size - r.offset)
    return EINVAL;
  if (((r.offset | r.length) & (what_.block_bytes_min - 1)) != 0)
    return EINVAL;
  if (moves_data(r.op) ? r.length > what_.payload_bytes_max || !r.data
                       : !what_.extended_headers && r.length > UINT32_MAX)
    return EINVAL;
  if (r.op == operation::block_status && r.extents_max == 0)
    return EINVAL;
  return 0;
}

nbd_client::admission nbd_client::submit(nbd_client_request& r) {
  r.lost = false;
  r.error = refusal(r);
  if (r.error != 0)
    return admission::refused;
  const std::uint64_t bytes = moves_data(r.op) ? r.length : 0;
  if (free_slots_.empty() || (in_flight_ != 0 && in_flight_bytes_ + bytes > options_.in_flight_max.value)) {
    asked_for_room_ = true;
    return admission::later;
  }
  r.slot = free_slots_.back();
  free_slots_.pop_back();
  slot& mine = slots_[r.slot];
  mine.request = &r;
  ++mine.use;
  mine.since = ring_.now();
  r.sent = r.answered = false;
  r.covered_count = 0;
  r.extents.clear();
  r.earlier = newest_;
  r.later = nullptr;
  (newest_ ? newest_->later : oldest_) = &r;
  newest_ = &r;
  ++in_flight_;
  in_flight_bytes_ += bytes;
  encode(r);
  stream_->queue(r);
  return admission::accepted;
}

void nbd_client::encode(nbd_client_request& r) noexcept {
  std::uint16_t flags = 0;
  if (r.fua)
    flags |= nbd::flag_fua;
  if (r.op == operation::zero && !r.may_punch)
    flags |= nbd::flag_no_hole;
  if (r.op == operation::zero && r.fast_only)
    flags |= nbd::flag_fast_zero;
  if (r.op == operation::block_status && r.extents_max == 1)
    flags |= nbd::flag_request_one;
  if (r.op == operation::write && what_.extended_headers)
    flags |= nbd::flag_payload_length;
  std::byte* to = r.head.data();
  to = nbd::store(to, what_.extended_headers ? nbd::magic_extended_request : nbd::magic_request);
  to = nbd::store(to, flags);
  to = nbd::store(to, static_cast<std::uint16_t>(command_of(r.op)));
  to = nbd::store(to, std::uint64_t{slots_[r.slot].use} << 32 | r.slot);
  to = nbd::store(to, r.offset);
  to = what_.extended_headers ? nbd::store(to, r.length) : nbd::store(to, static_cast<std::uint32_t>(r.length));
  r.piece_count = 0;
  r.add_piece(r.head.data(), static_cast<std::size_t>(to - r.head.data()));
  if (r.op == operation::write)
    r.add_piece(r.data, r.length);
}

nbd_client_request* nbd_client::find(std::uint64_t cookie) noexcept {
  const auto index = static_cast<std::uint32_t>(cookie);
  if (index >= slots_.size() || slots_[index].use != cookie >> 32)
    return nullptr;
  nbd_client_request* r = slots_[index].request;
  return r && !r->answered ? r : nullptr;
}

void nbd_client::unlink(nbd_client_request& r) noexcept {
  (r.earlier ? r.earlier->later : oldest_) = r.later;
  (r.later ? r.later->earlier : newest_) = r.earlier;
}

// Its answer is complete. Its memory may still be on its way out, if the server answered early.
void nbd_client::conclude(nbd_client_request& r) {
  r.answered = true;
  if (r.sent)
    finish(r);
}

void nbd_client::finish(nbd_client_request& r) {
  unlink(r);
  slots_[r.slot].request = nullptr;
  free_slots_.push_back(r.slot);
  --in_flight_;
  in_flight_bytes_ -= moves_data(r.op) ? r.length : 0;
  r.finish(r, ring_); // it may be gone now
  if (phase_ == phase::ready && std::exchange(asked_for_room_, false))
    user_.room(*this);
}

void nbd_client::sent(outgoing* list, bool whole) {
  while (list) {
    outgoing* const next = list->next_outgoing; // a finished request belongs to its caller
    if (list == &words_) {
      words_.under_way = false;
    } else {
      auto& r = static_cast<nbd_client_request&>(*list);
      r.sent = true;
      if (r.answered)
        finish(r);
    }
    list = next;
  }
  if (!whole)
    lose(errc::unavailable, "the connection was lost while a request was sent");
}

void nbd_client::fail_all() {
  while (nbd_client_request* r = oldest_) {
    if (!r->answered) {
      r->error = ENOTCONN;
      r->lost = true;
      r->extents.clear();
    }
    finish(*r);
  }
}

} // namespace gnomon::io
