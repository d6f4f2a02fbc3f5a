// Puts a prediction board together: holds the latest outlook of each subject and makes a new board from them on
// demand. Owns the bound in bytes: beyond it the largest heat maps lose their coldest chunks; what does not fit even
// then, and subjects beyond the limits, are refused and counted. A value without clock, lock or I/O: one thread at a
// time.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "config/error.hpp"
#include "forecasting/board/board.hpp"

namespace gnomon::forecasting {

inline constexpr std::size_t board_bytes_max = 128u << 20;
inline constexpr std::size_t board_volumes_max = 16'384;
inline constexpr std::size_t board_instances_max = 65'536; // pairs of instance and volume
inline constexpr std::size_t board_horizons_max = 16;      // of a subject
inline constexpr std::size_t board_windows_max = 64;       // quiet and busy ones of a subject, each

struct board_limits {
  std::size_t bytes = board_bytes_max;
  std::size_t volumes = board_volumes_max;
  std::size_t instances = board_instances_max;
};

class board_builder {
public:
  explicit board_builder(const board_limits& limits = {}) : limits_(limits) {}

  // What the volume is; what is known of it stays. limit_reached.
  result<void> put(volume_uuid uuid, const volume_name& name, byte_count size, byte_count chunk_size);
  // not_found: put() the volume first; limit_reached: too many instances, or no room. Values that are not finite
  // become 0.
  result<void> put(volume_uuid volume, load_outlook load);
  result<void> put(volume_uuid volume, heat_outlook heat);
  // All instances that use the volume: replaces those put before. Their load is their share of the volume's.
  struct user {
    instance_id instance;
    std::string application;
    double share = 0; // of the volume's requests, 0..1
    heat_outlook heat;
  };
  result<void> put(volume_uuid volume, std::vector<user> users);
  void erase(volume_uuid volume); // with its instances

  std::size_t bytes() const { return bytes_; }
  std::size_t volumes() const { return volumes_.size(); }
  std::size_t refused() const { return refused_; }
  bool changed() const { return changed_; } // since the last board

  // Costs one pointer per subject and one pass over their horizons.
  std::shared_ptr<const prediction_board> build(double now_seconds, std::string node_name);

private:
  using pair_key = std::pair<volume_uuid, instance_id>;
  template <class Key, class Outlook>
  void replace(std::map<Key, std::shared_ptr<const Outlook>>& in, const Key& key, Outlook with);
  void fit_bytes();
  void erase_users(volume_uuid volume);
  result<void> no_memory();

  board_limits limits_;
  std::map<volume_uuid, std::shared_ptr<const volume_outlook>> volumes_;
  std::map<pair_key, std::shared_ptr<const instance_outlook>> instances_;
  std::size_t bytes_ = 0, refused_ = 0;
  bool changed_ = true;
};

std::size_t bytes_of(const load_outlook& load) noexcept;
std::size_t bytes_of(const heat_outlook& heat) noexcept;

} // namespace gnomon::forecasting
