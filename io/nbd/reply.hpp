// The bytes of a reply to one request, in the form that was agreed on with its client. They are written around the
// data where it lies, so that nothing is copied. Ring thread of the request only; sends nothing, and allocates only
// for errors with a long text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/nbd/protocol.hpp"
#include "io/nbd/request.hpp"

namespace gnomon::io {

enum class reply_form : std::uint8_t { simple, structured, extended };

inline constexpr std::size_t error_text_bytes_max = 1024; // of one error chunk; longer ones end at a whole character

// Fills `pieces` (none so far) of a request that is over from its cookie, asked_at, dont_fragment and `io`: the
// outcome, and for a read `io.data` with at least nbd::extended::data_chunk_header_bytes of room before it, whose
// zeros may be written over; for a block status of more than a few extents `io.memory` with room for all of them. What `pieces` points to lives until the request's memory is released or `words` changes.
void encode_reply(nbd_request& r, reply_form form);

// The same for a request that was not carried out; `text` is for the client, UTF-8.
void encode_error(nbd_request& r, reply_form form, nbd::error error, std::string_view text);

} // namespace gnomon::io
