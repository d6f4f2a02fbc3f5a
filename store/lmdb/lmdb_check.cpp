#include "store/lmdb/lmdb_check.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "store/files/posix_file.hpp"

namespace gnomon::store {

namespace {

constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;
constexpr std::uint32_t lmdb_data_version = 1;
constexpr std::uint64_t no_page = ~0ull;
constexpr std::size_t page_header_bytes = 16;
constexpr std::size_t node_header_bytes = 8;
constexpr std::size_t database_bytes = 48;
constexpr unsigned tree_depth_max = 32; // MDB_cursor's CURSOR_STACK
enum page_flag : std::uint16_t { branch = 0x01, leaf = 0x02, overflow = 0x04, meta = 0x08 };
enum node_flag : std::uint16_t { big_data = 0x01, sub_data = 0x02 };

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct tree {
  std::uint16_t flags = 0, depth = 0;
  std::uint64_t root = no_page;
};

tree load_tree(const std::byte* from) {
  return {load<std::uint16_t>(from + 4), load<std::uint16_t>(from + 6), load<std::uint64_t>(from + 40)};
}

struct meta_page {
  std::uint32_t page_bytes = 0;
  tree free, main;
  std::uint64_t last_page = 0, transaction = 0;
};

class checker {
public:
  checker(const std::string& path, int fd, std::uint64_t file_bytes) : path_(path), fd_(fd) {
    summary_.file_bytes = file_bytes;
  }

  result<lmdb_file_summary> run() {
    // LMDB itself finds the second meta page one page further on, whatever the page size.
    auto first = read_meta(0);
    if (!first)
      return tl::unexpected(first.error());
    auto second = read_meta(first->page_bytes);
    if (!second)
      return tl::unexpected(second.error());
    const auto& newest = second->transaction > first->transaction ? *second : *first;
    if (newest.page_bytes != first->page_bytes)
      return damaged("the meta pages disagree about the page size");
    page_bytes_ = newest.page_bytes;
    last_page_ = newest.last_page;
    if (last_page_ > summary_.file_bytes / page_bytes_ + (1u << 20))
      return damaged("the last page is far beyond the end of the file");
    visited_.assign(last_page_ + 1, false);
    summary_.page_bytes = page_bytes_;
    summary_.pages_used = last_page_ + 1;
    if (auto ok = walk(newest.free, content::free_list); !ok)
      return tl::unexpected(ok.error());
    if (auto ok = walk(newest.main, content::directory); !ok)
      return tl::unexpected(ok.error());
    return summary_;
  }

private:
  enum class content { free_list, directory, values };
  struct pending {
    std::uint64_t page;
    unsigned depth;
  };

  tl::unexpected<error> damaged(const std::string& what) const {
    return fail(errc::corrupt, path_ + ": damaged LMDB file: " + what);
  }

  result<meta_page> read_meta(std::uint64_t offset) {
    std::byte raw[page_header_bytes + 136];
    const auto got = ::pread(fd_, raw, sizeof raw, static_cast<off_t>(offset));
    if (got < 0)
      return fail_errno(path_ + ": read");
    const bool whole = static_cast<std::size_t>(got) == sizeof raw;
    if (!whole || !(load<std::uint16_t>(raw + 10) & page_flag::meta) || load<std::uint32_t>(raw + 16) != lmdb_magic) {
      if (offset == 0)
        return fail(errc::corrupt, path_ + ": not an LMDB file (no meta page at its start)");
      return damaged("the second meta page is not one");
    }
    const auto version = load<std::uint32_t>(raw + 20);
    if (version != lmdb_data_version)
      return fail(errc::unsupported, fmt::format("{}: LMDB data version {}, this build reads version {}", path_,
                                                 version, lmdb_data_version));
    const std::byte* m = raw + 16;
    meta_page page{load<std::uint32_t>(m + 24), load_tree(m + 24), load_tree(m + 24 + database_bytes),
                   load<std::uint64_t>(m + 120), load<std::uint64_t>(m + 128)};
    if (page.page_bytes < 512 || page.page_bytes > 65536 || (page.page_bytes & (page.page_bytes - 1)) != 0)
      return damaged(fmt::format("impossible page size {}", page.page_bytes));
    if (page.last_page < 1)
      return damaged("the last page is before the meta pages");
    return page;
  }

  result<void> read_page(std::uint64_t page, std::vector<std::byte>& raw) {
    raw.resize(page_bytes_);
    const auto got = ::pread(fd_, raw.data(), raw.size(), static_cast<off_t>(page * page_bytes_));
    if (got < 0)
      return fail_errno(path_ + ": read");
    if (static_cast<std::size_t>(got) != raw.size())
      return damaged(fmt::format("page {} is beyond the end of the file", page));
    if (load<std::uint64_t>(raw.data()) != page)
      return damaged(fmt::format("page {} carries another number", page));
    return {};
  }

  result<void> claim(std::uint64_t first, std::uint64_t count) {
    if (first < 2 || count == 0 || count > last_page_ || first > last_page_ + 1 - count)
      return damaged(fmt::format("pointer to page {} of {}", first, last_page_));
    for (auto page = first; page < first + count; ++page) {
      if (visited_[page])
        return damaged(fmt::format("page {} is used twice", page));
      visited_[page] = true;
    }
    summary_.pages_visited += count;
    return {};
  }

  result<void> walk(const tree& root, content kind) {
    if (root.root == no_page)
      return {};
    if (root.depth == 0 || root.depth > tree_depth_max)
      return damaged(fmt::format("impossible tree depth {}", root.depth));
    // Duplicate keys (flag 0x04 and above) are not used here: their pages have other layouts.
    if (kind == content::values && (root.flags & 0x3c))
      return fail(errc::unsupported, path_ + ": a database with duplicate keys");
    std::vector<pending> todo{{root.root, 1}};
    std::vector<std::byte> raw;
    while (!todo.empty()) {
      const auto next = todo.back();
      todo.pop_back();
      if (auto ok = claim(next.page, 1); !ok)
        return ok;
      if (auto ok = read_page(next.page, raw); !ok)
        return ok;
      const bool is_leaf = next.depth == root.depth;
      if (auto ok = check_page(raw, next, is_leaf, kind, todo); !ok)
        return ok;
    }
    return {};
  }

  result<void> check_page(const std::vector<std::byte>& raw, const pending& at, bool is_leaf, content kind,
                          std::vector<pending>& todo) {
    const auto flags = load<std::uint16_t>(raw.data() + 10);
    const std::uint16_t lower = load<std::uint16_t>(raw.data() + 12), upper = load<std::uint16_t>(raw.data() + 14);
    if ((flags & 0x2f) != (is_leaf ? page_flag::leaf : page_flag::branch))
      return damaged(fmt::format("page {} has the wrong kind", at.page));
    if (lower < page_header_bytes || (lower & 1) || lower > upper || upper > page_bytes_)
      return damaged(fmt::format("page {} has impossible bounds", at.page));
    const std::size_t nodes = (lower - page_header_bytes) / 2;
    if (nodes == 0 || (!is_leaf && nodes < 2))
      return damaged(fmt::format("page {} is empty", at.page));
    std::string_view previous;
    for (std::size_t i = 0; i < nodes; ++i) {
      const std::size_t offset = load<std::uint16_t>(raw.data() + page_header_bytes + 2 * i);
      if (offset < upper || offset + node_header_bytes > page_bytes_)
        return damaged(fmt::format("page {} has a node outside of it", at.page));
      const std::byte* node = raw.data() + offset;
      const std::uint64_t low = load<std::uint16_t>(node) | std::uint64_t{load<std::uint16_t>(node + 2)} << 16;
      const auto node_flags = load<std::uint16_t>(node + 4);
      const std::size_t key_bytes = load<std::uint16_t>(node + 6);
      const std::size_t data_at = offset + node_header_bytes + key_bytes;
      if (data_at > page_bytes_)
        return damaged(fmt::format("page {} has a key that leaves it", at.page));
      if (!is_leaf) {
        todo.push_back({low | std::uint64_t{node_flags} << 32, at.depth + 1});
        continue;
      }
      if (kind != content::free_list) {
        const std::string_view key(reinterpret_cast<const char*>(node + node_header_bytes), key_bytes);
        if (i > 0 && !(previous < key))
          return damaged(fmt::format("page {} is not sorted", at.page));
        previous = key;
      }
      if (auto ok = check_value(raw, at.page, data_at, low, node_flags, kind); !ok)
        return ok;
    }
    return {};
  }

  result<void> check_value(const std::vector<std::byte>& raw, std::uint64_t page, std::size_t data_at,
                           std::uint64_t data_bytes, std::uint16_t flags, content kind) {
    const std::uint64_t inside = flags & node_flag::big_data ? 8 : data_bytes;
    if (inside > page_bytes_ - data_at)
      return damaged(fmt::format("page {} has a value that leaves it", page));
    if (flags & node_flag::sub_data) {
      if (kind != content::directory || data_bytes != database_bytes)
        return damaged(fmt::format("page {} names a database where none may be", page));
      return walk(load_tree(raw.data() + data_at), content::values);
    }
    if (!(flags & node_flag::big_data))
      return kind == content::free_list ? check_free_list(raw.data() + data_at, data_bytes) : result<void>{};
    const auto first = load<std::uint64_t>(raw.data() + data_at);
    const auto pages = (page_header_bytes - 1 + data_bytes) / page_bytes_ + 1;
    if (auto ok = claim(first, pages); !ok)
      return ok;
    // The content of a long value has a checksum of its own; here only its head and its presence matter.
    std::vector<std::byte> head;
    if (auto ok = read_page(first, head); !ok)
      return ok;
    if ((load<std::uint16_t>(head.data() + 10) & 0x2f) != page_flag::overflow ||
        load<std::uint32_t>(head.data() + 12) != pages)
      return damaged(fmt::format("page {} does not begin the long value it should", first));
    if ((first + pages) * page_bytes_ > summary_.file_bytes)
      return damaged(fmt::format("page {} begins a value beyond the end of the file", first));
    if (kind != content::free_list)
      return {};
    std::vector<std::byte> list(data_bytes);
    if (::pread(fd_, list.data(), list.size(), static_cast<off_t>(first * page_bytes_ + page_header_bytes)) !=
        static_cast<ssize_t>(list.size()))
      return damaged(fmt::format("page {}: free list cannot be read", first));
    return check_free_list(list.data(), list.size());
  }

  // A free list is its length and that many page numbers in descending order.
  result<void> check_free_list(const std::byte* list, std::uint64_t list_bytes) {
    if (list_bytes < 8 || load<std::uint64_t>(list) > (list_bytes - 8) / 8)
      return damaged("a free list is longer than its value");
    const auto count = load<std::uint64_t>(list);
    for (std::uint64_t i = 0, previous = no_page; i < count; ++i) {
      const auto page = load<std::uint64_t>(list + 8 * (i + 1));
      if (page < 2 || page > last_page_ || page >= previous)
        return damaged(fmt::format("a free list names page {} of {}", page, last_page_));
      previous = page;
    }
    return {};
  }

  const std::string& path_;
  int fd_;
  std::uint64_t page_bytes_ = 0, last_page_ = 0;
  std::vector<bool> visited_;
  lmdb_file_summary summary_;
};

} // namespace

result<lmdb_file_summary> check_lmdb_file(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd) {
    if (fd.error().code == errc::not_found)
      return lmdb_file_summary{};
    return tl::unexpected(fd.error());
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return fail_errno(path + ": stat");
  if (!S_ISREG(info.st_mode))
    return fail(errc::corrupt, path + ": not an LMDB file (not a regular file)");
  if (info.st_size == 0)
    return lmdb_file_summary{};
  return checker(path, fd->get(), static_cast<std::uint64_t>(info.st_size)).run();
}

} // namespace gnomon::store
