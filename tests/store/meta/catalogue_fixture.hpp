// A node's store as its tests open, crash and reopen it.
#pragma once

#include "store/meta/catalogue.hpp"
#include "store/meta/data_directory.hpp"
#include "tests/store/support.hpp"

namespace gnomon::store::testing {

inline wall_time day(int n) { return wall_time(std::chrono::hours(24 * (20'000 + n))); }

struct node_store {
  manual_clock clock{day(0)};
  std::string path;
  node_name node{"alpha"};
  lost_catalogue on_lost = lost_catalogue::refuse;
  std::string boot_id = "boot-1";
  std::unique_ptr<boot_marks> marks; // outlives the node, as memory does
  catalogue_opening opening;
  std::unique_ptr<data_directory> directory;
  std::unique_ptr<environment> meta;
  std::unique_ptr<catalogue> volumes;

  explicit node_store(std::string where) : path(std::move(where)) {}
  ~node_store() { close(); }

  result<void> open() {
    opening = {};
    auto d = data_directory::open({path, node});
    if (!d)
      return tl::unexpected(d.error());
    directory = std::move(*d);
    auto m = environment::open(meta_environment_options(directory->meta_path()));
    if (!m)
      return tl::unexpected(m.error());
    meta = std::move(*m);
    auto c = catalogue::open({meta.get(), directory->volumes_path(), directory->trash_path(), node,
                              std::chrono::hours(7 * 24), on_lost, &clock, boot_id,
                              marks.get()},
                             &opening);
    if (!c)
      return tl::unexpected(c.error());
    volumes = std::move(*c);
    return {};
  }
  void close() {
    volumes.reset();
    meta.reset();
    directory.reset();
  }
  result<void> reopen() {
    close();
    return open();
  }
};

inline volume_request request(const std::string& name, std::uint64_t size = 1 << 20) {
  volume_request r;
  r.name = volume_name(name);
  r.size = byte_count(size);
  return r;
}

inline std::uint64_t file_size(const std::string& path) { return std::filesystem::file_size(path); }

} // namespace gnomon::store::testing
