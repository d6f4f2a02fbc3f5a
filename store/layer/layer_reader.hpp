// Random access to one sealed layer, and a walk through its index. Memory: 40 bytes per index page and a few pages.
//
// Every const member may be called by several threads at once; reads block on where the layer lies. Nothing of a layer
// is believed before its checksum was compared: damage is errc::corrupt with the file and the place.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "store/layer/layer_file.hpp"
#include "store/layer/layer_format.hpp"

namespace gnomon::store {

inline constexpr std::size_t layer_pages_cached_max = 32; // of 40 KiB at most, per open layer

// What the file must be, as far as the caller knows it: another layer under this name is found out.
struct layer_expectation {
  std::optional<layer_id> id;
  std::optional<volume_uuid> volume;
  std::optional<layer_seal> seal;
};

class layer_reader {
public:
  // corrupt: damaged, truncated, not sealed or not the expected layer; unsupported; not_found, io_failed.
  static result<std::unique_ptr<layer_reader>> open(const std::string& path, const layer_expectation& expected = {});
  static result<std::unique_ptr<layer_reader>> open(std::unique_ptr<layer_file> file,
                                                    const layer_expectation& expected = {});

  const layer_header& header() const noexcept { return header_; }
  const layer_footer& footer() const noexcept { return footer_; }
  layer_seal seal() const noexcept { return seal_; }
  std::uint64_t file_bytes() const noexcept { return file_->size(); }
  const std::string& name() const noexcept { return file_->name(); }
  const std::vector<root_entry>& pages() const noexcept { return root_; }

  // The entry that covers the granule; none: as the layer below has it.
  result<std::optional<layer_entry>> find(granule_index granule) const;
  // The granule's content, checked against the entry's hash. `into`: granule_bytes.
  result<void> read(const layer_entry& entry, granule_index granule, std::span<std::byte> into) const;

  // The record as it is stored, its checksum compared, for a copy into another layer. `into`: granule_bytes.
  struct stored_record {
    record_coding coding = record_coding::raw;
    bytes_view data; // part of `into`
  };
  result<stored_record> read_stored(const layer_entry& entry, std::span<std::byte> into) const;

  using page = std::shared_ptr<const std::vector<layer_entry>>;
  result<page> read_page(std::size_t index) const; // not from the cache, nor into it

private:
  explicit layer_reader(std::unique_ptr<layer_file> file) : file_(std::move(file)) {}
  result<void> load(const layer_expectation& expected);
  result<page> cached_page(std::size_t index) const;

  std::unique_ptr<layer_file> file_;
  layer_header header_;
  layer_footer footer_;
  layer_seal seal_;
  std::uint64_t binding_ = 0;
  std::vector<root_entry> root_;
  struct cached {
    std::size_t index;
    page entries;
  };
  mutable std::mutex mutex_;
  mutable std::list<cached> cache_; // the most recently used first; guarded by mutex_
};

// Walks the entries of a layer in order. One thread; the reader outlives it. Memory: one page.
class layer_cursor {
public:
  explicit layer_cursor(const layer_reader& layer) : layer_(&layer) {}
  // The first entry that ends behind `granule`; never goes back. none: no more.
  result<std::optional<layer_entry>> at_or_after(std::uint64_t granule);

private:
  const layer_reader* layer_;
  std::size_t page_ = 0, at_ = 0;
  layer_reader::page entries_;
};

} // namespace gnomon::store
