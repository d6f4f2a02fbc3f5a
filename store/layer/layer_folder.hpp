// Where the layers of a node lie, and what its files say: DATA_DIR/layers/<volume uuid>/<layer id>.layer. They outlive
// their volume. Any thread; every call may block on the disk.
#pragma once

#include <string>
#include <vector>

#include "store/layer/layer_chain.hpp"
#include "store/meta/snapshot_tree.hpp"

namespace gnomon::store {

inline constexpr std::string_view layer_suffix = ".layer";
inline constexpr std::size_t layer_problems_listed_max = 100;

// What the catalogue says of a sealed layer: all that the file knows.
layer_record record_of(const layer_reader& layer);

class layer_folder {
public:
  explicit layer_folder(std::string root) : root_(std::move(root)) {}
  const std::string& root() const noexcept { return root_; }
  std::string path(volume_uuid volume, layer_id layer) const;
  std::string path(const layer_record& record) const { return path(record.volume, record.id); }

  // Makes the folder of the volume's layers, durably. no_space, io_failed.
  result<void> prepare(volume_uuid volume) const;
  // The file that the record means and no other. As layer_reader::open.
  result<std::shared_ptr<const layer_reader>> open(const layer_record& record) const;
  // A point's whole content. not_found, corrupt (a layer is missing or another), as layer_reader::open.
  result<std::shared_ptr<const layer_chain>> open_chain(const snapshot_tree& tree, snapshot_uuid snapshot) const;
  // The file goes, durably; one that is not there is fine.
  result<void> remove(const layer_record& record) const;

  struct contents {
    std::vector<layer_record> layers;
    std::vector<std::string> problems; // files that are no layers, at most layer_problems_listed_max
    std::size_t unsealed_removed = 0;
  };
  // Opens every layer there is but those of `known`. What was not sealed is removed where `swept` says so.
  enum class unsealed { keep, remove };
  result<contents> scan(unsealed swept, const std::unordered_set<layer_id>& known = {}) const;

private:
  std::string root_;
};

} // namespace gnomon::store
