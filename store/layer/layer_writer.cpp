#include "store/layer/layer_writer.hpp"

#include <algorithm>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zstd.h>

#include "store/layer/layer_reader.hpp"

namespace gnomon::store {

namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

layer_writer::layer_writer(std::string path, layer_header header, unique_fd fd)
    : path_(std::move(path)), temporary_(path_ + std::string(unsealed_suffix)), header_(std::move(header)),
      fd_(std::move(fd)), binding_(layer_binding(header_.volume, header_.id)), compressor_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  buffer_.reserve(layer_write_buffer_bytes);
  scratch_.resize(ZSTD_compressBound(granule_bytes));
  padded_.resize(granule_bytes);
  zero_hash_ = hash_content(padded_, header_.hash_seed);
}

layer_writer::~layer_writer() {
  if (!sealed_)
    ::unlink(temporary_.c_str());
}

result<std::unique_ptr<layer_writer>> layer_writer::create(std::string path, layer_header header) {
  const auto block = encode_header(header);
  if (auto sensible = decode_header(block, path); !sensible || *sensible != header)
    return fail(errc::invalid_argument, path + ": a layer that cannot be described");
  if (path_exists(path))
    return fail(errc::already_exists, path + ": there is a layer already", EEXIST);
  auto fd = open_file(path + std::string(unsealed_suffix), O_RDWR | O_CREAT | O_TRUNC);
  if (!fd)
    return tl::unexpected(fd.error());
  std::unique_ptr<layer_writer> writer(new layer_writer(std::move(path), std::move(header), std::move(*fd)));
  if (!writer->compressor_)
    return fail(errc::limit_reached, writer->path_ + ": no memory to compress in");
  ZSTD_CCtx_setParameter(writer->compressor_.get(), ZSTD_c_compressionLevel, layer_compression_level);
  writer->header_checksum_ = stored_checksum(block);
  if (auto written = writer->append(block); !written)
    return tl::unexpected(written.error());
  return writer;
}

template <class T>
tl::unexpected<error> layer_writer::failed(const result<T>& outcome) {
  if (!failure_)
    failure_ = outcome.error();
  return tl::unexpected(*failure_);
}

result<void> layer_writer::check_order(granule_index first, std::uint64_t granules) {
  if (failure_)
    return tl::unexpected(*failure_);
  if (sealed_ || granules == 0 || first.value < next_ || granules > header_.granules() ||
      first.value > header_.granules() - granules)
    return fail(errc::invalid_argument, fmt::format("{}: {} granules at {} do not follow {}, of {}", path_, granules,
                                                    first.value, next_, header_.granules()));
  return {};
}

result<void> layer_writer::append(bytes_view data) {
  offset_ += data.size();
  while (!data.empty()) {
    const auto part = data.first(std::min(data.size(), layer_write_buffer_bytes - buffer_.size()));
    buffer_.insert(buffer_.end(), part.begin(), part.end());
    data = data.subspan(part.size());
    if (buffer_.size() == layer_write_buffer_bytes)
      if (auto flushed = flush_buffer(); !flushed)
        return flushed;
  }
  return {};
}

result<void> layer_writer::flush_buffer() {
  auto written = write_all(fd_.get(), buffer_, temporary_);
  buffer_.clear();
  return written ? std::move(written) : failed(written);
}

result<void> layer_writer::add(granule_index granule, bytes_view data) {
  if (auto fits = check_order(granule, 1); !fits)
    return fits;
  const auto expected = std::min(granule_bytes, header_.size.value - granule.value * granule_bytes);
  if (data.size() != granule_bytes && data.size() != expected)
    return fail(errc::invalid_argument,
                fmt::format("{}: {} bytes for granule {}, which has {}", path_, data.size(), granule.value, expected));
  if (is_zero(data))
    return add_zeros(granule, 1);
  if (data.size() < granule_bytes) {
    std::copy(data.begin(), data.end(), padded_.begin());
    std::fill(padded_.begin() + static_cast<std::ptrdiff_t>(data.size()), padded_.end(), std::byte{0});
    data = padded_;
  }
  const auto hash = hash_content(data, header_.hash_seed);
  const auto packed = ZSTD_compress2(compressor_.get(), scratch_.data(), scratch_.size(), data.data(), data.size());
  if (ZSTD_isError(packed) || packed >= granule_bytes)
    return append_record(granule, record_coding::raw, data, hash);
  return append_record(granule, record_coding::zstd, bytes_view(scratch_).first(packed), hash);
}

result<void> layer_writer::add_stored(granule_index granule, record_coding coding, bytes_view stored,
                                      content_hash hash) {
  if (auto fits = check_order(granule, 1); !fits)
    return fits;
  if (stored.empty() || stored.size() > granule_bytes || (coding == record_coding::raw && stored.size() != granule_bytes))
    return fail(errc::invalid_argument, fmt::format("{}: a record of {} bytes", path_, stored.size()));
  return append_record(granule, coding, stored, hash);
}

result<void> layer_writer::append_record(granule_index granule, record_coding coding, bytes_view stored,
                                         content_hash hash) {
  // A record belongs to the page that follows it: a full page goes before the first record of the next one.
  if (page_.size() == page_entries_max)
    if (auto flushed = flush_page(); !flushed)
      return flushed;
  layer_entry entry;
  entry.granule = granule;
  entry.stored_length = static_cast<std::uint32_t>(stored.size());
  entry.offset = offset_;
  entry.hash = hash;
  const auto head = encode_record_head({granule, entry.stored_length, coding}, stored, binding_, offset_);
  if (auto written = append(head); !written)
    return written;
  if (auto written = append(stored); !written)
    return written;
  ++counts_.data_granules;
  counts_.stored_bytes += stored.size();
  next_ = granule.value + 1;
  return append_entry(entry);
}

result<void> layer_writer::add_zeros(granule_index first, std::uint64_t granules) {
  if (auto fits = check_order(first, granules); !fits)
    return fits;
  counts_.zero_granules += granules;
  next_ = first.value + granules;
  while (granules > 0) {
    layer_entry entry;
    entry.granule = first;
    entry.run = static_cast<std::uint32_t>(std::min<std::uint64_t>(granules, UINT32_MAX));
    entry.hash = zero_hash_;
    if (auto added = append_entry(entry); !added)
      return added;
    first.value += entry.run;
    granules -= entry.run;
  }
  return {};
}

result<void> layer_writer::append_entry(layer_entry entry) {
  if (!page_.empty() && entry.is_zero() && page_.back().is_zero() && page_.back().end() == entry.granule.value &&
      UINT32_MAX - page_.back().run >= entry.run) {
    page_.back().run += entry.run;
    return {};
  }
  if (page_.size() == page_entries_max)
    if (auto flushed = flush_page(); !flushed)
      return flushed;
  page_.push_back(entry);
  return {};
}

result<void> layer_writer::flush_page() {
  if (page_.empty())
    return {};
  if (root_.size() == layer_pages_max)
    return failed(result<void>(fail(errc::limit_reached, fmt::format("{}: a layer of more than {} index pages", path_,
                                                                     layer_pages_max))));
  root_entry where;
  where.first = page_.front().granule.value;
  where.end = page_.back().end();
  where.offset = offset_;
  where.entries = static_cast<std::uint32_t>(page_.size());
  const auto page = encode_page(page_, binding_, offset_);
  where.checksum = stored_checksum(bytes_view(page).first(page_head_bytes));
  root_.push_back(where);
  page_.clear();
  return append(page);
}

result<sealed_layer> layer_writer::seal(layer_footer footer) {
  if (failure_)
    return tl::unexpected(*failure_);
  if (sealed_)
    return fail(errc::invalid_argument, path_ + ": sealed already");
  auto sealed = finish(std::move(footer));
  if (!sealed)
    return failed(sealed);
  sealed_ = true;
  return sealed;
}

result<sealed_layer> layer_writer::finish(layer_footer footer) {
  footer.data_granules = counts_.data_granules;
  footer.zero_granules = counts_.zero_granules;
  footer.stored_bytes = counts_.stored_bytes;
  const auto footer_block = encode_footer(footer);
  if (footer_block.size() > layer_footer_bytes_max || !decode_footer(footer_block, path_))
    return fail(errc::invalid_argument, path_ + ": a footer that cannot be described");
  if (auto flushed = flush_page(); !flushed)
    return tl::unexpected(flushed.error());
  layer_trailer trailer;
  trailer.id = header_.id;
  trailer.header_checksum = header_checksum_;
  trailer.pages = static_cast<std::uint32_t>(root_.size());
  trailer.footer_bytes = static_cast<std::uint32_t>(footer_block.size());
  trailer.root_offset = offset_;
  const auto root = encode_root(root_);
  trailer.root_checksum = bound_checksum(trailer.root_offset, root);
  trailer.footer_offset = trailer.root_offset + root.size();
  trailer.footer_checksum = bound_checksum(trailer.footer_offset, footer_block);
  trailer.file_bytes = trailer.footer_offset + footer_block.size() + layer_trailer_bytes;
  const auto end = encode_trailer(trailer);
  for (const auto& block : {bytes_view(root), bytes_view(footer_block), bytes_view(end)})
    if (auto written = append(block); !written)
      return tl::unexpected(written.error());
  if (auto flushed = flush_buffer(); !flushed)
    return tl::unexpected(flushed.error());
  if (::fsync(fd_.get()) != 0)
    return fail_errno(temporary_ + ": fsync");
  const sealed_layer out{hash_bytes(end), trailer.file_bytes, std::move(footer)};
  layer_expectation same;
  same.id = header_.id;
  same.volume = header_.volume;
  same.seal = out.seal;
  if (auto seen = layer_reader::open(temporary_, same); !seen)
    return tl::unexpected(seen.error());
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0)
    return fail_errno(path_ + ": rename");
  if (auto synced = sync_directory(folder_of(path_)); !synced) {
    // Whether the name survives a crash is unknown: without it the layer does not exist, so it goes.
    ::unlink(path_.c_str());
    return tl::unexpected(synced.error());
  }
  return out;
}

} // namespace gnomon::store
