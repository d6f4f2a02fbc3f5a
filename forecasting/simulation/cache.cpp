#include "forecasting/simulation/cache.hpp"

#include <algorithm>
#include <set>

namespace gnomon::forecasting {

std::string_view to_string(cache_policy policy) noexcept {
  switch (policy) {
  case cache_policy::lru:
    return "LRU";
  case cache_policy::arc:
    return "ARC";
  case cache_policy::s3_fifo:
    return "S3-FIFO";
  case cache_policy::belady:
    return "Belady";
  }
  return "?";
}

item_lists::link& item_lists::grown(cache_item i) {
  if (i >= links_.size())
    links_.resize(std::max<std::size_t>(i + 1, links_.size() * 2));
  return links_[i];
}

void item_lists::push_front(std::uint8_t list, cache_item i) {
  link& at = grown(i);
  end& ends = ends_[list];
  at = {no_item, ends.front, list};
  (ends.front == no_item ? ends.back : links_[ends.front].newer) = i;
  ends.front = i;
  ++ends.size;
}

void item_lists::push_back(std::uint8_t list, cache_item i) {
  link& at = grown(i);
  end& ends = ends_[list];
  at = {ends.back, no_item, list};
  (ends.back == no_item ? ends.front : links_[ends.back].older) = i;
  ends.back = i;
  ++ends.size;
}

void item_lists::remove(cache_item i) {
  if (list_of(i) == nowhere)
    return;
  link& at = links_[i];
  end& ends = ends_[at.list];
  (at.newer == no_item ? ends.front : links_[at.newer].older) = at.older;
  (at.older == no_item ? ends.back : links_[at.older].newer) = at.newer;
  --ends.size;
  at = {};
}

namespace {

class lru_cache final : public cache {
public:
  using cache::cache;
  bool holds(cache_item i) const override { return lists_.list_of(i) == 0; }
  bool access(cache_item i, std::uint64_t) override {
    const bool held = holds(i);
    lists_.remove(i);
    if (!held && lists_.size(0) >= capacity_) {
      const cache_item victim = lists_.back(0);
      lists_.remove(victim);
      evict(victim);
    }
    lists_.push_front(0, i);
    return held;
  }
  std::size_t size() const override { return lists_.size(0); }

private:
  item_lists lists_{1};
};

// T1: seen once, T2: seen again; B1, B2: their ghosts. `target_` is the size aimed at for T1.
class arc_cache final : public cache {
public:
  using cache::cache;
  bool holds(cache_item i) const override { return lists_.list_of(i) == t1 || lists_.list_of(i) == t2; }
  bool access(cache_item i, std::uint64_t) override {
    const auto where = lists_.list_of(i);
    if (where == t1 || where == t2) {
      move(i, t2);
      return true;
    }
    if (where == b1 || where == b2) {
      const auto ratio = [&](std::uint8_t other, std::uint8_t own) {
        return std::max(1.0, static_cast<double>(lists_.size(other)) / static_cast<double>(lists_.size(own)));
      };
      target_ = where == b1 ? std::min(static_cast<double>(capacity_), target_ + ratio(b2, b1))
                            : std::max(0.0, target_ - ratio(b1, b2));
      if (size() >= capacity_)
        replace(where == b2);
      move(i, t2);
      return false;
    }
    const std::size_t seen_once = lists_.size(t1) + lists_.size(b1);
    if (seen_once >= capacity_) {
      if (lists_.size(t1) < capacity_) {
        lists_.remove(lists_.back(b1));
        if (size() >= capacity_)
          replace(false);
      } else
        drop(t1);
    } else if (seen_once + lists_.size(t2) + lists_.size(b2) >= capacity_) {
      if (seen_once + lists_.size(t2) + lists_.size(b2) >= 2 * capacity_)
        lists_.remove(lists_.back(b2));
      if (size() >= capacity_)
        replace(false);
    }
    lists_.push_front(t1, i);
    return false;
  }
  std::size_t size() const override { return lists_.size(t1) + lists_.size(t2); }

private:
  static constexpr std::uint8_t t1 = 0, t2 = 1, b1 = 2, b2 = 3;
  void move(cache_item i, std::uint8_t to) {
    lists_.remove(i);
    lists_.push_front(to, i);
  }
  void drop(std::uint8_t list) {
    const cache_item victim = lists_.back(list);
    lists_.remove(victim);
    evict(victim);
  }
  void replace(bool was_in_b2) {
    const auto once = static_cast<double>(lists_.size(t1));
    const bool from_t1 = once > 0 && (once > target_ || (was_in_b2 && once == target_) || lists_.size(t2) == 0);
    const cache_item victim = lists_.back(from_t1 ? t1 : t2);
    move(victim, from_t1 ? b1 : b2);
    evict(victim);
  }
  item_lists lists_{4};
  double target_ = 0;
};

class s3_fifo_cache final : public cache {
public:
  s3_fifo_cache(std::size_t capacity, evicted when)
      : cache(capacity, std::move(when)), small_max_(std::max<std::size_t>(1, capacity / 10)),
        ghosts_max_(capacity * 9 / 10) {}
  bool holds(cache_item i) const override { return lists_.list_of(i) == small || lists_.list_of(i) == large; }
  bool access(cache_item i, std::uint64_t) override {
    if (i >= hits_.size())
      hits_.resize(std::max<std::size_t>(i + 1, hits_.size() * 2));
    if (holds(i)) {
      hits_[i] = static_cast<std::uint8_t>(std::min(hits_[i] + 1, 3));
      return true;
    }
    const bool was_ghost = lists_.list_of(i) == ghost;
    if (was_ghost)
      lists_.remove(i);
    while (size() >= capacity_)
      make_room();
    lists_.push_front(was_ghost ? large : small, i);
    hits_[i] = 0;
    return false;
  }
  std::size_t size() const override { return lists_.size(small) + lists_.size(large); }

private:
  static constexpr std::uint8_t small = 0, large = 1, ghost = 2;
  static constexpr std::uint8_t hits_to_main = 2;

  void make_room() {
    if (lists_.size(large) > capacity_ - small_max_ || lists_.size(small) == 0)
      evict_large();
    else
      evict_small();
  }
  void evict_small() {
    while (lists_.size(small) > 0) {
      const cache_item i = lists_.back(small);
      lists_.remove(i);
      if (hits_[i] >= hits_to_main) {
        hits_[i] = 0;
        lists_.push_front(large, i);
        continue;
      }
      if (ghosts_max_ > 0) {
        if (lists_.size(ghost) >= ghosts_max_)
          lists_.remove(lists_.back(ghost));
        lists_.push_front(ghost, i);
      }
      return evict(i);
    }
  }
  void evict_large() {
    for (;;) {
      const cache_item i = lists_.back(large);
      lists_.remove(i);
      if (hits_[i] == 0)
        return evict(i);
      --hits_[i];
      lists_.push_front(large, i);
    }
  }

  std::size_t small_max_, ghosts_max_;
  item_lists lists_{3};
  std::vector<std::uint8_t> hits_;
};

// Evicts the item that is wanted last. Each access says when the item is wanted next.
class belady_cache final : public cache {
public:
  using cache::cache;
  bool holds(cache_item i) const override { return i < next_.size() && next_[i] != absent; }
  bool access(cache_item i, std::uint64_t next_use) override {
    if (i >= next_.size())
      next_.resize(std::max<std::size_t>(i + 1, next_.size() * 2), absent);
    const bool held = holds(i);
    if (held)
      order_.erase({next_[i], i});
    else if (order_.size() >= capacity_) {
      const auto last = std::prev(order_.end());
      const cache_item victim = last->second;
      next_[victim] = absent;
      order_.erase(last);
      evict(victim);
    }
    next_[i] = std::min(next_use, absent - 1);
    order_.insert({next_[i], i});
    return held;
  }
  std::size_t size() const override { return order_.size(); }

private:
  static constexpr std::uint64_t absent = never;
  std::vector<std::uint64_t> next_;
  std::set<std::pair<std::uint64_t, cache_item>> order_;
};

} // namespace

std::unique_ptr<cache> make_cache(cache_policy policy, std::size_t capacity, cache::evicted when) {
  capacity = std::max<std::size_t>(1, capacity);
  switch (policy) {
  case cache_policy::arc:
    return std::make_unique<arc_cache>(capacity, std::move(when));
  case cache_policy::s3_fifo:
    return std::make_unique<s3_fifo_cache>(capacity, std::move(when));
  case cache_policy::belady:
    return std::make_unique<belady_cache>(capacity, std::move(when));
  case cache_policy::lru:
    break;
  }
  return std::make_unique<lru_cache>(capacity, std::move(when));
}

} // namespace gnomon::forecasting
