// Writes one layer file from front to back: content in ascending order, then seal(). Until it is sealed it lies under a
// temporary name, `<path>.unsealed`; a writer that goes away without a seal removes it. Memory: one write buffer, one
// index page, 40 bytes for every page before it.
//
// One thread at a time; every call may block on the disk. The first failure sticks. Nothing of the volume is read here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "store/layer/layer_format.hpp"

struct ZSTD_CCtx_s;

namespace gnomon::store {

inline constexpr std::size_t layer_write_buffer_bytes = 1 << 20;
inline constexpr std::string_view unsealed_suffix = ".unsealed";
inline constexpr int layer_compression_level = 1; // zstd: faster than the disks that layers lie on

struct sealed_layer {
  layer_seal seal;
  std::uint64_t file_bytes = 0;
  layer_footer footer; // with its counts
};

class layer_writer {
public:
  // already_exists: a layer lies at `path`. no_space, io_failed.
  static result<std::unique_ptr<layer_writer>> create(std::string path, layer_header header);
  ~layer_writer();
  layer_writer(const layer_writer&) = delete;

  // `data`: granule_bytes, or less for the volume's last granule. Content that is all zeros becomes an entry without a
  // record. invalid_argument: not behind what came before, or beyond the volume's end.
  result<void> add(granule_index granule, bytes_view data);
  result<void> add_zeros(granule_index first, std::uint64_t granules);
  // What another layer of the same volume and hash seed has for a granule, as it is stored there.
  result<void> add_stored(granule_index granule, record_coding coding, bytes_view stored, content_hash hash);

  // Index, footer, trailer; sync; look at it; rename; sync of the folder. The layer exists iff this succeeds.
  result<sealed_layer> seal(layer_footer footer);

  std::uint64_t bytes_written() const noexcept { return offset_; }
  const layer_header& header() const noexcept { return header_; }

private:
  layer_writer(std::string path, layer_header header, unique_fd fd);
  result<void> check_order(granule_index first, std::uint64_t granules);
  result<void> append(bytes_view data);
  result<void> append_record(granule_index granule, record_coding coding, bytes_view stored, content_hash hash);
  result<void> append_entry(layer_entry entry);
  result<void> flush_page();
  result<void> flush_buffer();
  result<sealed_layer> finish(layer_footer footer);
  template <class T>
  tl::unexpected<error> failed(const result<T>& outcome);

  std::string path_, temporary_;
  layer_header header_;
  unique_fd fd_;
  bool sealed_ = false;
  std::optional<error> failure_;
  std::uint64_t binding_ = 0, header_checksum_ = 0;
  content_hash zero_hash_;
  std::uint64_t offset_ = 0; // of the next byte, the buffered ones included
  std::uint64_t next_ = 0;   // the lowest granule that may follow
  bytes buffer_, scratch_, padded_;
  std::vector<layer_entry> page_;
  std::vector<root_entry> root_;
  layer_footer counts_;
  std::unique_ptr<ZSTD_CCtx_s, std::size_t (*)(ZSTD_CCtx_s*)> compressor_;
};

} // namespace gnomon::store
