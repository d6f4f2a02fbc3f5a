#include "store/layer/layer_folder.hpp"

#include <filesystem>

#include <unistd.h>

#include <fmt/format.h>

namespace gnomon::store {

layer_record record_of(const layer_reader& layer) {
  const auto& header = layer.header();
  const auto& footer = layer.footer();
  layer_record out;
  out.id = header.id;
  out.snapshot = header.snapshot;
  out.parent = header.parent;
  out.volume = header.volume;
  out.name = header.name;
  out.size = header.size;
  out.cut = header.cut;
  out.hash_seed = header.hash_seed;
  out.seal_low = layer.seal().low;
  out.seal_high = layer.seal().high;
  out.file_bytes = layer.file_bytes();
  out.data_granules = footer.data_granules;
  out.zero_granules = footer.zero_granules;
  out.note = footer.note;
  out.group = footer.group;
  return out;
}

std::string layer_folder::path(volume_uuid volume, layer_id layer) const {
  return fmt::format("{}/{}/{}{}", root_, volume.to_string(), layer.to_string(), layer_suffix);
}

result<void> layer_folder::prepare(volume_uuid volume) const {
  const auto directory = root_ + "/" + volume.to_string();
  return make_directory(root_)
      .and_then([&] { return make_directory(directory); })
      .and_then([&] { return sync_directory(root_); });
}

result<std::shared_ptr<const layer_reader>> layer_folder::open(const layer_record& record) const {
  layer_expectation expected;
  expected.id = record.id;
  expected.volume = record.volume;
  expected.seal = layer_seal{record.seal_low, record.seal_high};
  auto layer = layer_reader::open(path(record), expected);
  if (!layer)
    return tl::unexpected(layer.error());
  return std::shared_ptr<const layer_reader>(std::move(*layer));
}

result<std::shared_ptr<const layer_chain>> layer_folder::open_chain(const snapshot_tree& tree,
                                                                    snapshot_uuid snapshot) const {
  const auto records = tree.chain(snapshot);
  if (!records)
    return tl::unexpected(records.error());
  std::vector<std::shared_ptr<const layer_reader>> layers;
  for (const auto* record : *records) {
    auto layer = open(*record);
    if (!layer)
      return tl::unexpected(layer.error());
    layers.push_back(std::move(*layer));
  }
  return layer_chain::make(std::move(layers));
}

result<void> layer_folder::remove(const layer_record& record) const {
  const auto file = path(record);
  return path_exists(file) ? remove_file_durably(file) : result<void>();
}

result<layer_folder::contents> layer_folder::scan(unsealed swept, const std::unordered_set<layer_id>& known) const {
  contents out;
  const auto problem = [&](std::string text) {
    if (out.problems.size() < layer_problems_listed_max)
      out.problems.push_back(std::move(text));
  };
  std::error_code failed;
  if (!path_exists(root_))
    return out;
  for (std::filesystem::recursive_directory_iterator i(root_, failed), end; !failed && i != end; i.increment(failed)) {
    std::error_code ignored;
    if (!i->is_regular_file(ignored))
      continue;
    const auto file = i->path().string();
    if (file.ends_with(unsealed_suffix)) {
      if (swept == unsealed::remove && ::unlink(file.c_str()) == 0)
        ++out.unsealed_removed;
      continue;
    }
    if (!file.ends_with(layer_suffix))
      continue;
    if (const auto id = layer_id::parse(i->path().stem().string()); id && known.contains(*id))
      continue;
    auto layer = layer_reader::open(file);
    if (!layer) {
      problem(layer.error().message);
      continue;
    }
    auto record = record_of(**layer);
    if (path(record) == file)
      out.layers.push_back(std::move(record));
    else
      problem(fmt::format("{}: it is layer {} of volume {}, under the name of another", file, record.id.to_string(),
                          record.volume.to_string()));
  }
  if (failed)
    return fail_errno(root_ + ": list", failed.value());
  return out;
}

} // namespace gnomon::store
