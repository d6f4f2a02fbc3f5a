// Whatever the bytes of a layer file say: no crash, no read outside them, memory in proportion, and content that is read
// matches its hash. Half of the inputs get their checksums repaired, so that the decoders behind them are reached.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "store/layer/layer_chain.hpp"
#include "store/layer/layer_verify.hpp"
#include "store/lmdb/codec.hpp"

using namespace gnomon;
using namespace gnomon::store;

namespace {

void require(bool promise, const char* what) {
  if (promise)
    return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void put_u64(bytes& file, std::size_t at, std::uint64_t v) {
  for (std::size_t i = 0; i < 8; ++i)
    file[at + i] = static_cast<std::byte>(v >> (8 * i));
}

std::uint64_t get_u64(const bytes& file, std::size_t at) {
  field_reader r(bytes_view(file).subspan(at, 8));
  return r.u64();
}

void repair(bytes& file) {
  if (file.size() < layer_bytes_min)
    return;
  const bytes_view all(file);
  put_u64(file, layer_header_bytes - 8, bound_checksum(0, all.first(layer_header_bytes - 8)));
  const auto trailer = file.size() - layer_trailer_bytes;
  put_u64(file, trailer + 8, file.size());
  const auto root = get_u64(file, trailer + 16), footer = get_u64(file, trailer + 24);
  put_u64(file, trailer + 40, get_u64(file, layer_header_bytes - 8));
  if (root <= footer && footer <= trailer) {
    put_u64(file, trailer + 48, bound_checksum(root, all.subspan(root, footer - root)));
    put_u64(file, trailer + 56, bound_checksum(footer, all.subspan(footer, trailer - footer)));
  }
  put_u64(file, file.size() - 8, bound_checksum(0, all.subspan(trailer, layer_trailer_bytes - 8)));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  bytes file(size - 1);
  if (size > 1)
    std::memcpy(file.data(), data + 1, size - 1);
  if (data[0] % 2 == 1)
    repair(file);
  const auto report = verify_layer(layer_in_memory(file, "fuzzed"));
  require(report.findings.size() <= layer_findings_listed_max, "findings are limited");
  auto opened = layer_reader::open(layer_in_memory(file, "fuzzed"));
  if (!opened) {
    require(!report.good(), "a layer that does not open is not good");
    require(!opened.error().message.empty(), "a refusal has a message");
    return 0;
  }
  const std::shared_ptr<const layer_reader> layer = std::move(*opened);
  bytes content(granule_bytes);
  for (std::uint64_t g = 0; g < std::min<std::uint64_t>(layer->header().granules(), 64); ++g) {
    const auto entry = layer->find(granule_index(g));
    if (!entry || !*entry)
      continue;
    require((*entry)->granule.value <= g && g < (*entry)->end(), "an entry covers what was asked for");
    if (layer->read(**entry, granule_index(g), content) && !(*entry)->is_zero())
      require(hash_content(content, layer->header().hash_seed) == (*entry)->hash, "content matches its hash");
  }
  if (auto chain = layer_chain::make({layer}, layer_chain::needs::nothing_below)) {
    std::uint64_t next = 0;
    (void)(*chain)->walk([&](const layer_chain::run& r) -> result<void> {
      require(r.first.value == next && r.granules > 0, "runs follow each other");
      next += r.granules;
      return {};
    });
  }
  return 0;
}
