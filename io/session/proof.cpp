#include "io/session/proof.hpp"

#include <cstring>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gnomon::io::session {

result<std::string> read_secret(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail_errno("cluster.secret_file " + path);
  struct stat about {};
  std::string secret(secret_bytes_max + 1, '\0');
  const bool known = fstat(fd, &about) == 0;
  const ssize_t got = known && S_ISREG(about.st_mode) ? read(fd, secret.data(), secret.size()) : -1;
  const int error = errno;
  close(fd);
  if (got < 0)
    return fail_errno("cluster.secret_file " + path, known && !S_ISREG(about.st_mode) ? EINVAL : error);
  if ((about.st_mode & 077) != 0)
    return fail(errc::permission_denied, "cluster.secret_file " + path + " may be read by others: chmod 600 it");
  secret.resize(static_cast<std::size_t>(got));
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r'))
    secret.pop_back();
  if (secret.size() < secret_bytes_min || secret.size() > secret_bytes_max)
    return fail(errc::invalid_argument, "cluster.secret_file " + path + " holds " + std::to_string(secret.size()) +
                                            " bytes; a secret has " + std::to_string(secret_bytes_min) + " to " +
                                            std::to_string(secret_bytes_max));
  return secret;
}

prove_function prover(std::string secret) {
  return [secret = std::move(secret)](std::span<const std::byte> bytes) {
    proof made{};
    unsigned length = 0;
    static_assert(proof_bytes == 32);
    const auto* done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                            reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                            reinterpret_cast<unsigned char*>(made.data()), &length);
    if (done == nullptr || length != proof_bytes)
      made = random_nonce(); // matches nothing
    return made;
  };
}

bool same_proof(const proof& a, const proof& b) noexcept { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

nonce random_nonce() {
  nonce salt{};
  for (std::size_t filled = 0; filled < salt.size();) {
    const ssize_t got = getrandom(salt.data() + filled, salt.size() - filled, 0);
    if (got > 0)
      filled += static_cast<std::size_t>(got);
  }
  return salt;
}

start_id random_start() {
  const nonce salt = random_nonce();
  start_id id;
  std::memcpy(&id.value, salt.data(), sizeof id.value);
  id.value |= 1; // never 0
  return id;
}

} // namespace gnomon::io::session
