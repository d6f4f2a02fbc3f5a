// Which models of the history stay: all while they are used and fit into their share of the disk. Runs inside write
// jobs, as the rest of the writing half (writer.cpp).
#include <algorithm>

#include <fmt/format.h>

#include "store/history/history.hpp"
#include "store/history/layout.hpp"

namespace gnomon::store {

using namespace history_layout;

namespace {

constexpr double trim_models_to = 0.9; // of their share, at once

struct stored_model {
  std::string key;
  std::uint64_t used = 0; // seconds: when it was last written or read
};

} // namespace

result<void> history::trim_models(write_transaction& t, std::uint64_t now) {
  auto bytes = t.bytes_used(history_database::models);
  if (!bytes)
    return tl::unexpected(bytes.error());
  const bool by_size = *bytes > model_share_bytes();
  const auto kept = static_cast<std::uint64_t>(options_.keep_models.count());
  const bool by_age = now >= models_aged_at_ + kept / 64 + 1; // a look at all of them is not for every write
  if (!by_size && !by_age)
    return {};
  models_aged_at_ = now;
  std::vector<stored_model> models;
  auto listed = t.scan(history_database::models, "", [&](std::string_view key, bytes_view value) {
    const auto name = key.substr(std::min(key.find('\0'), key.size() - 1) + 1);
    const auto& lasting = options_.lasting_models;
    if (std::find(lasting.begin(), lasting.end(), name) != lasting.end())
      return scan_step::next;
    const auto model = open_model(value, "model");
    models.push_back({std::string(key), model ? seconds_of(model->written) : 0}); // one that is damaged goes first
    return scan_step::next;
  });
  if (!listed)
    return listed;
  {
    std::lock_guard lock(models_mutex_);
    for (auto& model : models)
      if (const auto used = models_used_.find(model.key); used != models_used_.end())
        model.used = std::max(model.used, used->second);
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.used < b.used; });
  const double most = static_cast<double>(model_share_bytes()) * trim_models_to;
  for (const auto& model : models) {
    const bool too_old = model.used + kept < now;
    if (!too_old && !(by_size && static_cast<double>(*bytes) > most))
      break;
    if (auto ok = t.erase(history_database::models, model.key); !ok)
      return tl::unexpected(ok.error());
    ++models_trimmed_;
    {
      std::lock_guard lock(models_mutex_);
      models_used_.erase(model.key);
    }
    bytes = t.bytes_used(history_database::models);
    if (!bytes)
      return tl::unexpected(bytes.error());
  }
  return {};
}

} // namespace gnomon::store
