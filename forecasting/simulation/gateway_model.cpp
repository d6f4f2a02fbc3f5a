#include "forecasting/simulation/gateway_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace gnomon::forecasting {
namespace {

// One way of placing, with a store of its own that holds no data.
struct way {
  std::unique_ptr<placement_policy> policy;
  double near = 0, reads = 0, moved = 0; // decayed
  std::uint64_t moved_before = 0;
  // Share of reads that were near, less what was moved for it.
  double merit(double granule_cost) const { return reads > 0 ? (near - granule_cost * moved) / reads : 0; }
};

class gateway final : public placement_policy {
public:
  gateway(std::size_t capacity, const link_model& link, const gateway_options& options)
      : placement_policy(std::max<std::size_t>(1, capacity), link), options_(options),
        memory_(std::exp2(-1 / std::max(1.0, options.judged_half_life_reads))) {
    add(make_cached(store.capacity(), link, {cache_policy::lru, options.ahead}));
    add(std::make_unique<run_placer>(store.capacity(), link, options.runs));
    if (options.predict)
      add(std::make_unique<value_placer>(store.capacity(), link, options.value));
    store.on_drop = [this](cache_item i) { unlist(i); };
  }

  void advance(double now) override {
    now_ = now;
    for (auto& w : ways_)
      w.policy->advance(now);
  }

  void read(const placed_read& r, granule_numbers& numbers) override {
    now_ = r.now;
    // What the read has fetched is kept if the followed way keeps it; copies ahead are queued by the way's own hook.
    wanted_.clear();
    for (const cache_item i : r.granules)
      if (!store.holds(i))
        wanted_.push_back(i);
    for (std::size_t k = 0; k < ways_.size(); ++k)
      serve(ways_[k], r, numbers);
    for (const cache_item i : wanted_)
      if (!store.holds(i) && ways_[followed_].policy->store.holds(i) && make_room()) {
        store.admit(i, r.there_at);
      }
    ++report_.reads_by_way[followed_];
    choose();
  }

  const gateway_report& report() const { return report_; }

private:
  void add(std::unique_ptr<placement_policy> policy) {
    const std::size_t number = ways_.size();
    policy->store.on_fetch = [this, number](cache_item i, prediction_kind kind) {
      if (number == followed_ && !store.holds(i) && std::find(wanted_.begin(), wanted_.end(), i) == wanted_.end() &&
          make_room())
        store.fetch(i, now_, kind);
    };
    policy->store.on_drop = [this, number](cache_item i) {
      if (number == followed_ && store.holds(i))
        list(i);
    };
    ways_.push_back({std::move(policy)});
  }

  // The read as it would have been, had this way been followed all the time.
  void serve(way& w, const placed_read& r, granule_numbers& numbers) {
    near_store& ghost = w.policy->store;
    std::size_t missing = 0, travelling = 0;
    for (const cache_item i : r.granules) {
      missing += ghost.holds(i) ? 0 : 1;
      travelling += ghost.arriving(i, r.now) ? 1 : 0;
    }
    const double there = missing + travelling > 0 ? ghost.demand(r.now, missing, travelling) : r.now;
    for (const cache_item i : r.granules)
      if (ghost.holds(i))
        ghost.use(i, there);
    w.near = w.near * memory_ + (missing + travelling == 0 ? 1 : 0);
    w.reads = w.reads * memory_ + 1;
    placed_read as_served = r;
    as_served.there_at = there;
    w.policy->read(as_served, numbers);
    w.moved = w.moved * memory_ + static_cast<double>(ghost.moved() - w.moved_before);
    w.moved_before = ghost.moved();
  }

  // The way that is followed keeps no more than fits, so when the store is full, something in it is not wanted.
  bool make_room() {
    while (store.used() >= store.capacity()) {
      if (surplus_.empty())
        return false;
      const cache_item i = surplus_.back();
      if (ways_[followed_].policy->store.holds(i))
        unlist(i);
      else
        store.drop(i); // unlists it
    }
    return true;
  }
  void list(cache_item i) {
    if (i >= listed_.size())
      listed_.resize(std::max<std::size_t>(i + 1, listed_.size() * 2), no_item);
    if (listed_[i] != no_item)
      return;
    listed_[i] = static_cast<cache_item>(surplus_.size());
    surplus_.push_back(i);
  }
  void unlist(cache_item i) {
    if (i >= listed_.size() || listed_[i] == no_item)
      return;
    const cache_item place = listed_[i];
    surplus_[place] = surplus_.back();
    listed_[surplus_.back()] = place;
    surplus_.pop_back();
    listed_[i] = no_item;
  }

  void choose() {
    if (ways_.front().reads < judged_reads_min)
      return;
    for (std::size_t k = 0; k < ways_.size(); ++k)
      if (k != followed_ && ways_[k].merit(options_.granule_cost) >
                                ways_[followed_].merit(options_.granule_cost) + options_.better_by) {
        followed_ = k;
        ++report_.changes;
        for (cache_item i = 0; i < store.numbered(); ++i)
          if (store.holds(i) && !ways_[k].policy->store.holds(i))
            list(i);
        return;
      }
  }

  static constexpr double judged_reads_min = 500; // before that the shares say little
  gateway_options options_;
  double memory_;
  std::vector<way> ways_; // by gateway_way
  std::size_t followed_ = 0;
  std::vector<cache_item> surplus_; // held, but not by the way that is followed
  std::vector<cache_item> listed_;  // place in surplus_
  std::vector<cache_item> wanted_;
  double now_ = 0;
  gateway_report report_;
};

} // namespace

gateway_report& gateway_report::operator+=(const gateway_report& o) {
  for (std::size_t k = 0; k < reads_by_way.size(); ++k)
    reads_by_way[k] += o.reads_by_way[k];
  changes += o.changes;
  return *this;
}

std::unique_ptr<placement_policy> make_gateway(std::size_t capacity, const link_model& link,
                                               const gateway_options& options) {
  return std::make_unique<gateway>(capacity, link, options);
}

const gateway_report* gateway_report_of(const placement_policy& policy) {
  const auto* made = dynamic_cast<const gateway*>(&policy);
  return made == nullptr ? nullptr : &made->report();
}

} // namespace gnomon::forecasting
