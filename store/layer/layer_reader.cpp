#include "store/layer/layer_reader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <zstd.h>

namespace gnomon::store {

namespace {

struct decompressor {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ~decompressor() { ZSTD_freeDCtx(context); }
};

result<bytes> block_at(const layer_file& file, std::uint64_t offset, std::size_t length) {
  if (offset > file.size() || file.size() - offset < length)
    return fail(errc::corrupt, fmt::format("{}: it has no end: truncated, or never sealed", file.name()));
  bytes block(length);
  if (auto got = file.read_at(offset, block); !got)
    return tl::unexpected(got.error());
  return block;
}

} // namespace

result<std::unique_ptr<layer_reader>> layer_reader::open(const std::string& path, const layer_expectation& expected) {
  return open_layer_file(path).and_then(
      [&](std::unique_ptr<layer_file>&& file) { return open(std::move(file), expected); });
}

result<std::unique_ptr<layer_reader>> layer_reader::open(std::unique_ptr<layer_file> file,
                                                         const layer_expectation& expected) {
  std::unique_ptr<layer_reader> reader(new layer_reader(std::move(file)));
  if (auto loaded = reader->load(expected); !loaded)
    return tl::unexpected(loaded.error());
  return reader;
}

result<void> layer_reader::load(const layer_expectation& expected) {
  const auto& name = file_->name();
  const auto size = file_->size();
  if (size < layer_bytes_min)
    return fail(errc::corrupt, fmt::format("{}: {} bytes are no layer", name, size));
  auto head = block_at(*file_, 0, layer_header_bytes);
  if (!head)
    return tl::unexpected(head.error());
  auto header = decode_header(*head, name);
  if (!header)
    return tl::unexpected(header.error());
  auto end = block_at(*file_, size - layer_trailer_bytes, layer_trailer_bytes);
  if (!end)
    return tl::unexpected(end.error());
  auto trailer = decode_trailer(*end, name);
  if (!trailer)
    return tl::unexpected(trailer.error());
  if (trailer->file_bytes != size)
    return fail(errc::corrupt, fmt::format("{}: {} bytes long, sealed with {}", name, size, trailer->file_bytes));
  if (trailer->id != header->id || trailer->header_checksum != stored_checksum(*head))
    return fail(errc::corrupt, fmt::format("{}: its header and its end are of two layers", name));
  seal_ = hash_bytes(*end);
  const bool same = (!expected.id || *expected.id == header->id) &&
                    (!expected.volume || *expected.volume == header->volume) &&
                    (!expected.seal || *expected.seal == seal_);
  if (!same)
    return fail(errc::corrupt,
                fmt::format("{}: not the layer that the catalogue names: it is layer {} of volume {} as of {}", name,
                            header->id.to_string(), header->volume.to_string(), header->snapshot.to_string()));
  auto root = block_at(*file_, trailer->root_offset, trailer->pages * root_entry_bytes);
  if (!root)
    return tl::unexpected(root.error());
  auto pages = decode_root(*root, *trailer, name);
  if (!pages)
    return tl::unexpected(pages.error());
  auto foot = block_at(*file_, trailer->footer_offset, trailer->footer_bytes);
  if (!foot)
    return tl::unexpected(foot.error());
  if (bound_checksum(trailer->footer_offset, *foot) != trailer->footer_checksum)
    return fail(errc::corrupt, fmt::format("{}: the footer's checksum does not match", name));
  auto footer = decode_footer(*foot, name);
  if (!footer)
    return tl::unexpected(footer.error());
  if (!pages->empty() && pages->back().end > header->granules())
    return fail(errc::corrupt, fmt::format("{}: its index goes beyond the volume's end", name));
  header_ = std::move(*header);
  footer_ = std::move(*footer);
  root_ = std::move(*pages);
  binding_ = layer_binding(header_.volume, header_.id);
  return {};
}

result<layer_reader::page> layer_reader::read_page(std::size_t index) const {
  const auto& where = root_[index];
  auto block = block_at(*file_, where.offset, page_bytes(where.entries));
  if (!block)
    return tl::unexpected(block.error());
  auto entries = decode_page(*block, where, binding_, file_->name());
  if (!entries)
    return tl::unexpected(entries.error());
  return std::make_shared<const std::vector<layer_entry>>(std::move(*entries));
}

result<layer_reader::page> layer_reader::cached_page(std::size_t index) const {
  {
    std::lock_guard lock(mutex_);
    const auto hit = std::find_if(cache_.begin(), cache_.end(), [&](const cached& c) { return c.index == index; });
    if (hit != cache_.end()) {
      cache_.splice(cache_.begin(), cache_, hit);
      return hit->entries;
    }
  }
  auto entries = read_page(index);
  if (!entries)
    return entries;
  std::lock_guard lock(mutex_);
  cache_.push_front({index, *entries});
  if (cache_.size() > layer_pages_cached_max)
    cache_.pop_back();
  return entries;
}

result<std::optional<layer_entry>> layer_reader::find(granule_index granule) const {
  const auto page = std::upper_bound(root_.begin(), root_.end(), granule.value,
                                     [](std::uint64_t g, const root_entry& p) { return g < p.end; });
  if (page == root_.end() || granule.value < page->first)
    return std::nullopt;
  auto entries = cached_page(static_cast<std::size_t>(page - root_.begin()));
  if (!entries)
    return tl::unexpected(entries.error());
  const auto entry = std::upper_bound((*entries)->begin(), (*entries)->end(), granule.value,
                                      [](std::uint64_t g, const layer_entry& e) { return g < e.end(); });
  if (entry == (*entries)->end() || granule < entry->granule)
    return std::nullopt;
  return *entry;
}

result<layer_reader::stored_record> layer_reader::read_stored(const layer_entry& entry,
                                                              std::span<std::byte> into) const {
  const auto stored = into.first(entry.stored_length);
  std::array<std::byte, record_head_bytes> head;
  if (auto got = file_->read_at(entry.offset, head); !got)
    return tl::unexpected(got.error());
  if (auto got = file_->read_at(entry.offset + record_head_bytes, stored); !got)
    return tl::unexpected(got.error());
  auto record = decode_record_head(head, stored, binding_, entry.offset, file_->name());
  if (!record)
    return tl::unexpected(record.error());
  if (record->granule != entry.granule)
    return fail(errc::corrupt, fmt::format("{}: the record at {} is granule {}, the index says {}", file_->name(),
                                           entry.offset, record->granule.value, entry.granule.value));
  return stored_record{record->coding, stored};
}

result<void> layer_reader::read(const layer_entry& entry, granule_index granule, std::span<std::byte> into) const {
  into = into.first(granule_bytes);
  if (entry.is_zero()) {
    std::fill(into.begin(), into.end(), std::byte{0});
    return {};
  }
  static thread_local bytes packed(granule_bytes);
  auto record = read_stored(entry, packed);
  if (!record)
    return tl::unexpected(record.error());
  if (record->coding == record_coding::raw) {
    std::copy(record->data.begin(), record->data.end(), into.begin());
  } else {
    static thread_local decompressor unpacker;
    const auto length = ZSTD_decompressDCtx(unpacker.context, into.data(), into.size(), record->data.data(),
                                            record->data.size());
    if (length != granule_bytes)
      return fail(errc::corrupt, fmt::format("{}: granule {} cannot be decompressed", file_->name(), granule.value));
  }
  if (hash_content(into, header_.hash_seed) != entry.hash)
    return fail(errc::corrupt,
                fmt::format("{}: the content of granule {} does not match its hash", file_->name(), granule.value));
  return {};
}

result<std::optional<layer_entry>> layer_cursor::at_or_after(std::uint64_t granule) {
  const auto& pages = layer_->pages();
  for (; page_ < pages.size(); ++page_, at_ = 0, entries_.reset()) {
    if (pages[page_].end <= granule)
      continue;
    if (!entries_) {
      auto entries = layer_->read_page(page_);
      if (!entries)
        return tl::unexpected(entries.error());
      entries_ = std::move(*entries);
    }
    while (at_ < entries_->size() && (*entries_)[at_].end() <= granule)
      ++at_;
    if (at_ < entries_->size())
      return (*entries_)[at_];
  }
  return std::nullopt;
}

} // namespace gnomon::store
