#include "forecasting/simulation/placement_policy.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>

namespace gnomon::forecasting {
namespace {

class nothing_kept final : public placement_policy {
public:
  explicit nothing_kept(const link_model& link) : placement_policy(0, link) {}
  void read(const placed_read&, granule_numbers&) override {}
};

// The last granules touched, to tell whether a read goes on where another one was.
class recent_granules {
public:
  void add(std::uint64_t granule) {
    order_.push_back(granule);
    ++count_[granule];
    if (order_.size() <= kept)
      return;
    if (const auto oldest = count_.find(order_.front()); --oldest->second == 0)
      count_.erase(oldest);
    order_.pop_front();
  }
  bool has(std::uint64_t granule) const { return count_.contains(granule); }

private:
  static constexpr std::size_t kept = 256;
  std::deque<std::uint64_t> order_;
  std::unordered_map<std::uint64_t, std::uint32_t> count_;
};

std::uint64_t key_of(std::uint32_t volume, std::uint64_t granule) {
  return (static_cast<std::uint64_t>(volume) << 40) | granule;
}

class cached final : public placement_policy {
public:
  cached(std::size_t capacity, const link_model& link, const cached_options& o,
         std::shared_ptr<const future_accesses> future)
      : placement_policy(capacity, link), options_(o), future_(std::move(future)),
        cache_(make_cache(o.policy, capacity, [this](cache_item i) { store.drop(i); })) {}

  void read(const placed_read& r, granule_numbers& numbers) override {
    const bool goes_on = r.granules.size() > 1 || options_.always_ahead ||
                         (options_.ahead > 0 && (recent_.has(key_of(r.volume, r.first)) ||
                                                 (r.first > 0 && recent_.has(key_of(r.volume, r.first - 1)))));
    for (std::size_t k = 0; k < r.granules.size(); ++k) {
      if (!cache_->access(r.granules[k], future_ ? future_->next_of_granule[r.access + k] : cache::never))
        store.admit(r.granules[k], r.there_at);
      if (options_.ahead > 0 && !options_.always_ahead)
        recent_.add(key_of(r.volume, r.first + k));
    }
    for (std::uint32_t k = 0; goes_on && k < options_.ahead; ++k) {
      const cache_item next = numbers.of(r.volume, r.first + r.granules.size() + k);
      if (cache_->holds(next))
        continue;
      if (store.backlogged(r.now))
        return;
      cache_->access(next);
      store.fetch(next, r.now, prediction_kind::run);
    }
  }

private:
  cached_options options_;
  std::shared_ptr<const future_accesses> future_;
  std::unique_ptr<cache> cache_;
  recent_granules recent_;
};

class chunk_cached final : public placement_policy {
public:
  chunk_cached(std::size_t capacity, std::uint32_t per_chunk, const link_model& link, cache_policy policy,
               std::shared_ptr<const future_accesses> future)
      : placement_policy(std::max<std::size_t>(capacity, per_chunk), link), per_chunk_(per_chunk),
        future_(std::move(future)), cache_(make_cache(policy, capacity / per_chunk, [this](cache_item chunk) {
          for (std::uint32_t k = 0; k < per_chunk_; ++k)
            store.drop(chunk * per_chunk_ + k);
        })) {}

  void read(const placed_read& r, granule_numbers&) override {
    for (std::size_t k = 0; k < r.granules.size(); ++k) {
      const cache_item chunk = r.granules[k] / per_chunk_;
      const bool held = cache_->access(chunk, future_ ? future_->next_of_chunk[r.access + k] : cache::never);
      if (!store.holds(r.granules[k]))
        store.admit(r.granules[k], r.there_at);
      for (std::uint32_t j = 0; !held && j < per_chunk_ && !store.backlogged(r.now); ++j)
        if (const cache_item i = chunk * per_chunk_ + j;
            !store.holds(i) && std::find(r.granules.begin(), r.granules.end(), i) == r.granules.end())
          store.fetch(i, r.now, prediction_kind::demand);
    }
  }

private:
  std::uint32_t per_chunk_;
  std::shared_ptr<const future_accesses> future_;
  std::unique_ptr<cache> cache_;
};

// The most read units so far, by count; a newcomer takes the place of a unit that was read less.
class pinned final : public placement_policy {
public:
  pinned(std::size_t capacity, std::uint32_t per_unit, const link_model& link)
      : placement_policy(std::max<std::size_t>(capacity, per_unit), link), per_unit_(per_unit),
        units_max_(std::max<std::size_t>(1, capacity / per_unit)) {}

  void read(const placed_read& r, granule_numbers&) override {
    for (const cache_item i : r.granules) {
      const cache_item unit = i / per_unit_;
      if (unit >= reads_.size())
        reads_.resize(std::max<std::size_t>(unit + 1, reads_.size() * 2));
      const std::uint64_t before = reads_[unit]++;
      if (held_.erase({before, unit}) > 0)
        held_.insert({before + 1, unit});
      else if (held_.size() < units_max_ || held_.begin()->first < before + 1)
        take(unit, r);
      if (held_.contains({reads_[unit], unit}) && !store.holds(i))
        store.admit(i, r.there_at);
    }
  }

private:
  void take(cache_item unit, const placed_read& r) {
    if (held_.size() >= units_max_) {
      for (std::uint32_t k = 0; k < per_unit_; ++k)
        store.drop(held_.begin()->second * per_unit_ + k);
      held_.erase(held_.begin());
    }
    held_.insert({reads_[unit], unit});
    for (std::uint32_t k = 0; per_unit_ > 1 && k < per_unit_ && !store.backlogged(r.now); ++k)
      if (const cache_item i = unit * per_unit_ + k;
          !store.holds(i) && std::find(r.granules.begin(), r.granules.end(), i) == r.granules.end())
        store.fetch(i, r.now, prediction_kind::demand);
  }

  std::uint32_t per_unit_;
  std::size_t units_max_;
  std::vector<std::uint64_t> reads_;
  std::set<std::pair<std::uint64_t, cache_item>> held_; // by reads
};

class oracle final : public placement_policy {
public:
  oracle(std::size_t capacity, const link_model& link, std::shared_ptr<const future_accesses> future,
         std::uint64_t moved_max)
      : placement_policy(capacity, link), future_(std::move(future)), moved_max_(moved_max) {
    for (std::size_t n = 0; n < future_->item.size(); ++n)
      if (future_->item[n] >= first_use_.size())
        first_use_.resize(std::max<std::size_t>(future_->item[n] + 1, first_use_.size() * 2), 0);
  }

  void advance(double now) override {
    for (double at = std::max(clock_, store.copies_busy_until()); at < now; at = store.copies_busy_until())
      if (!copy_next(at))
        break;
    clock_ = now;
  }
  void read(const placed_read& r, granule_numbers&) override {
    for (std::size_t k = 0; k < r.granules.size(); ++k) {
      const cache_item i = r.granules[k];
      const std::uint64_t next = future_->next_of_granule[r.access + k];
      position_ = r.access + k + 1;
      if (store.holds(i)) {
        order_.erase({next_use_of(i), i});
      } else {
        if (next == cache::never || !make_room(next))
          continue;
        store.admit(i, r.there_at);
      }
      hold(i, next);
    }
    ahead_ = std::max(ahead_, position_);
  }

private:
  static constexpr std::size_t lookahead_accesses = 1u << 16;
  std::uint64_t next_use_of(cache_item i) const { return first_use_[i]; }
  void hold(cache_item i, std::uint64_t next) {
    first_use_[i] = next;
    order_.insert({next, i});
  }
  // A place for a granule that is wanted at access `next`; false: all that is held is wanted sooner.
  bool make_room(std::uint64_t next) {
    if (store.used() < store.capacity())
      return true;
    const auto last = std::prev(order_.end());
    if (last->first <= next)
      return false;
    store.drop(last->second);
    order_.erase(last);
    return true;
  }
  bool copy_next(double at) {
    const std::size_t end = std::min(future_->item.size(), position_ + lookahead_accesses);
    while (ahead_ < end && store.holds(future_->item[ahead_]))
      ++ahead_;
    if (ahead_ >= end || store.moved() >= moved_max_ || !make_room(ahead_))
      return false;
    const cache_item i = future_->item[ahead_];
    store.fetch(i, at, prediction_kind::demand);
    hold(i, ahead_);
    ++ahead_;
    return true;
  }

  std::shared_ptr<const future_accesses> future_;
  std::uint64_t moved_max_;
  std::vector<std::uint64_t> first_use_; // of what is held: the access at which it is wanted next
  std::set<std::pair<std::uint64_t, cache_item>> order_;
  std::size_t position_ = 0, ahead_ = 0;
  double clock_ = 0;
};

} // namespace

std::unique_ptr<placement_policy> make_nothing(const link_model& link) {
  return std::make_unique<nothing_kept>(link);
}
std::unique_ptr<placement_policy> make_cached(std::size_t capacity, const link_model& link, const cached_options& o,
                                              std::shared_ptr<const future_accesses> future) {
  return std::make_unique<cached>(std::max<std::size_t>(1, capacity), link, o, std::move(future));
}
std::unique_ptr<placement_policy> make_chunk_cached(std::size_t capacity, std::uint32_t granules_per_chunk,
                                                    const link_model& link, cache_policy policy,
                                                    std::shared_ptr<const future_accesses> future) {
  return std::make_unique<chunk_cached>(capacity, granules_per_chunk, link, policy, std::move(future));
}
std::unique_ptr<placement_policy> make_pinned(std::size_t capacity, std::uint32_t granules_per_chunk,
                                              const link_model& link) {
  return std::make_unique<pinned>(std::max<std::size_t>(1, capacity), granules_per_chunk, link);
}
std::unique_ptr<placement_policy> make_oracle(std::size_t capacity, const link_model& link,
                                              std::shared_ptr<const future_accesses> future,
                                              std::uint64_t granules_moved_max) {
  return std::make_unique<oracle>(std::max<std::size_t>(1, capacity), link, std::move(future), granules_moved_max);
}

} // namespace gnomon::forecasting
