// The shared secret of a cluster: read from its file, used to prove that a node has it (HMAC-SHA-256), never sent.
// Any thread.
#pragma once

#include <memory>
#include <string>

#include "config/error.hpp"
#include "io/session/gateway.hpp"

namespace gnomon::io::session {

inline constexpr std::size_t secret_bytes_min = 16, secret_bytes_max = 4096;

// The file's bytes without a trailing line end. permission_denied: others than its owner may read it (mode 0600 is
// asked for); invalid_argument: too short or too long; not_found.
result<std::string> read_secret(const std::string& path);
prove_function prover(std::string secret);
// Equal, in a time that does not tell how much of it is.
bool same_proof(const proof& a, const proof& b) noexcept;
// Random bytes from the kernel.
nonce random_nonce();
start_id random_start();

} // namespace gnomon::io::session
