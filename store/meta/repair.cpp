#include "store/meta/repair.hpp"

#include <fmt/format.h>

#include "store/lmdb/environment.hpp"
#include "store/meta/catalogue.hpp"

namespace gnomon::store {

namespace {

constexpr const char* damaged_prefix = "/meta.damaged-";

struct opened_store {
  std::unique_ptr<environment> meta;
  std::unique_ptr<catalogue> volumes; // before meta
};

result<opened_store> open_store(const data_directory& directory, const data_directory_options& options,
                                catalogue_opening& opening) {
  opened_store out;
  auto meta = environment::open(meta_environment_options(directory.meta_path()));
  if (!meta)
    return tl::unexpected(meta.error());
  out.meta = std::move(*meta);
  catalogue_options how;
  how.meta = out.meta.get();
  how.volumes_path = directory.volumes_path();
  how.trash_path = directory.trash_path();
  how.node = options.node;
  how.on_lost = lost_catalogue::rebuild;
  how.clock = options.clock;
  how.boot_id = directory.boot_id();
  auto volumes = catalogue::open(how, &opening);
  if (!volumes)
    return tl::unexpected(volumes.error());
  out.volumes = std::move(*volumes);
  return out;
}

} // namespace

result<std::vector<std::string>> repair(data_directory_options options) {
  std::vector<std::string> told;
  options.damaged_format = data_directory_options::damage::write_anew;
  auto directory = data_directory::open(options);
  if (!directory)
    return tl::unexpected(directory.error());
  if ((*directory)->format_written_anew())
    told.push_back(fmt::format("{}/format was damaged: written anew for node {}", options.path, options.node.value));
  catalogue_opening opening;
  auto store = open_store(**directory, options, opening);
  if (!store && (store.error().code == errc::corrupt || store.error().code == errc::unsupported)) {
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(options.clock->wall_now().time_since_epoch()).count();
    const auto aside = fmt::format("{}{}{}", options.path, damaged_prefix, seconds);
    told.push_back(fmt::format("meta/ cannot be read ({}): set aside as {}; events, descriptions of instances and who "
                               "may attach are lost with it",
                               store.error().message, aside));
    if (::rename((*directory)->meta_path().c_str(), aside.c_str()) != 0)
      return fail_errno((*directory)->meta_path() + ": set aside");
    if (auto made = make_directory((*directory)->meta_path()).and_then([&] { return sync_directory(options.path); });
        !made)
      return tl::unexpected(made.error());
    opening = {};
    store = open_store(**directory, options, opening);
  }
  if (!store)
    return tl::unexpected(store.error());
  if (opening.records_recovered > 0)
    told.push_back(fmt::format("{} volumes were taken into the catalogue from their descriptors", opening.records_recovered));
  for (const auto& problem : opening.problems)
    told.push_back(problem.text);
  for (const auto& problem : opening.damaged)
    told.push_back(problem.text);
  if (told.empty())
    told.push_back("nothing is damaged");
  store->volumes->stop();
  store->meta->stop();
  const auto before = (*directory)->stopped();
  if (before == previous_stop::clean || before == previous_stop::none)
    if (auto marked = (*directory)->mark_clean(); !marked)
      return tl::unexpected(marked.error());
  return told;
}

} // namespace gnomon::store
