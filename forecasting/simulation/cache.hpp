// Replacement policies that place nothing ahead: LRU, ARC, S3-FIFO and Belady, over items with dense numbers. They
// are the baselines of a placement simulation. Values without clock or I/O: one thread at a time.
//
// Sources: ARC - Megiddo & Modha, FAST 2003; S3-FIFO - Yang et al., SOSP 2023 (small queue 10 %, ghosts 90 % of the
// space, two hits to the main queue); MIN - Belady 1966.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace gnomon::forecasting {

using cache_item = std::uint32_t; // dense: from 0 up, in order of first appearance
inline constexpr cache_item no_item = std::numeric_limits<cache_item>::max();

enum class cache_policy { lru, arc, s3_fifo, belady };
std::string_view to_string(cache_policy policy) noexcept;

// Doubly linked lists over items in one array of links; an item is in at most one list. Front is the newest.
class item_lists {
public:
  explicit item_lists(std::size_t lists) : ends_(lists) {}
  static constexpr std::uint8_t nowhere = 0xff;

  std::uint8_t list_of(cache_item i) const { return i < links_.size() ? links_[i].list : nowhere; }
  void push_front(std::uint8_t list, cache_item i);
  void push_back(std::uint8_t list, cache_item i);
  void remove(cache_item i); // an item that is in no list: nothing
  cache_item back(std::uint8_t list) const { return ends_[list].back; }
  std::size_t size(std::uint8_t list) const { return ends_[list].size; }
  cache_item newer(cache_item i) const { return links_[i].newer; }

private:
  struct link {
    cache_item newer = no_item, older = no_item;
    std::uint8_t list = nowhere;
  };
  struct end {
    cache_item front = no_item, back = no_item;
    std::size_t size = 0;
  };
  link& grown(cache_item i);
  std::vector<link> links_;
  std::vector<end> ends_;
};

class cache {
public:
  using evicted = std::function<void(cache_item)>;

  // `capacity`: items, >= 1. `when`: called once for every item that leaves; the item is no longer held then.
  cache(std::size_t capacity, evicted when) : capacity_(capacity), evicted_(std::move(when)) {}
  virtual ~cache() = default;
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;

  virtual bool holds(cache_item i) const = 0;
  // True: it was held. Otherwise it is now. `next_use`: number of the access at which the item is wanted again
  // (Belady alone looks at it); `never` if none.
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  virtual bool access(cache_item i, std::uint64_t next_use = never) = 0;
  virtual std::size_t size() const = 0;
  std::size_t capacity() const { return capacity_; }

protected:
  void evict(cache_item i) const {
    if (evicted_)
      evicted_(i);
  }
  std::size_t capacity_;

private:
  evicted evicted_;
};

std::unique_ptr<cache> make_cache(cache_policy policy, std::size_t capacity, cache::evicted when = {});

} // namespace gnomon::forecasting
