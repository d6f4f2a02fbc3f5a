// The caches that a placement is compared with do what their papers say: each against a plain implementation that
// keeps its queues as lists and searches them. Figures on real traces: placement_bench --caches.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>

#include "forecasting/simulation/cache.hpp"

using namespace gnomon::forecasting;

BOOST_AUTO_TEST_SUITE(cache_test)
namespace {

using queue = std::deque<cache_item>; // front: newest

bool take(queue& q, cache_item i) {
  const auto at = std::find(q.begin(), q.end(), i);
  if (at == q.end())
    return false;
  q.erase(at);
  return true;
}

struct plain_lru {
  std::size_t capacity;
  queue held;
  bool access(cache_item i) {
    const bool hit = take(held, i);
    held.push_front(i);
    if (held.size() > capacity)
      held.pop_back();
    return hit;
  }
};

// Megiddo & Modha, figure 4.
struct plain_arc {
  std::size_t c;
  queue t1, t2, b1, b2;
  double p = 0;
  void replace(bool in_b2) {
    const auto t1_size = static_cast<double>(t1.size());
    if (!t1.empty() && ((in_b2 && t1_size == p) || t1_size > p || t2.empty())) {
      b1.push_front(t1.back());
      t1.pop_back();
    } else {
      b2.push_front(t2.back());
      t2.pop_back();
    }
  }
  bool access(cache_item i) {
    const auto size = [](const queue& q) { return static_cast<double>(q.size()); };
    if (take(t1, i) || take(t2, i)) {
      t2.push_front(i);
      return true;
    }
    if (std::count(b1.begin(), b1.end(), i) > 0) {
      p = std::min(static_cast<double>(c), p + std::max(1.0, size(b2) / size(b1)));
      replace(false);
      take(b1, i);
      t2.push_front(i);
      return false;
    }
    if (std::count(b2.begin(), b2.end(), i) > 0) {
      p = std::max(0.0, p - std::max(1.0, size(b1) / size(b2)));
      replace(true);
      take(b2, i);
      t2.push_front(i);
      return false;
    }
    if (t1.size() + b1.size() == c) {
      if (t1.size() < c) {
        b1.pop_back();
        replace(false);
      } else
        t1.pop_back();
    } else if (t1.size() + b1.size() < c && t1.size() + t2.size() + b1.size() + b2.size() >= c) {
      if (t1.size() + t2.size() + b1.size() + b2.size() == 2 * c)
        b2.pop_back();
      replace(false);
    }
    t1.push_front(i);
    return false;
  }
};

struct plain_s3_fifo {
  std::size_t capacity;
  queue small, large, ghost;
  std::vector<int> hits = std::vector<int>(10'000);
  bool access(cache_item i) {
    if (std::count(small.begin(), small.end(), i) + std::count(large.begin(), large.end(), i) > 0) {
      hits[i] = std::min(hits[i] + 1, 3);
      return true;
    }
    const bool again = take(ghost, i);
    while (small.size() + large.size() >= capacity)
      evict();
    (again ? large : small).push_front(i);
    hits[i] = 0;
    return false;
  }
  void evict() {
    if (large.size() > capacity - std::max<std::size_t>(1, capacity / 10) || small.empty()) {
      for (;;) {
        const auto i = large.back();
        large.pop_back();
        if (hits[i] == 0)
          return;
        --hits[i];
        large.push_front(i);
      }
    }
    while (!small.empty()) {
      const auto i = small.back();
      small.pop_back();
      if (hits[i] >= 2) {
        hits[i] = 0;
        large.push_front(i);
        continue;
      }
      ghost.push_front(i);
      if (ghost.size() > capacity * 9 / 10)
        ghost.pop_back();
      return;
    }
  }
};

std::vector<cache_item> accesses(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> even;
  std::vector<cache_item> out;
  cache_item scan = 500;
  for (std::size_t n = 0; n < count; ++n) {
    const double where = even(random);
    if (where < 0.15)
      out.push_back(scan = scan >= 900 ? 500 : scan + 1); // a scan that comes back
    else
      out.push_back(static_cast<cache_item>(std::pow(even(random), 3) * 400)); // few are hot
  }
  return out;
}

std::vector<std::uint64_t> next_uses(const std::vector<cache_item>& items) {
  std::vector<std::uint64_t> next(items.size()), last(10'000, cache::never);
  for (std::size_t n = items.size(); n-- > 0;)
    next[n] = std::exchange(last[items[n]], n);
  return next;
}

template <class Plain>
void compare(cache_policy policy) {
  for (const std::size_t capacity : {1u, 3u, 10u, 37u, 120u})
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      std::size_t left = 0;
      const auto made = make_cache(policy, capacity, [&](cache_item) { ++left; });
      Plain plain{capacity};
      std::size_t misses = 0;
      for (const cache_item i : accesses(seed, 6000)) {
        const bool hit = made->access(i);
        misses += hit ? 0 : 1;
        BOOST_REQUIRE_MESSAGE(hit == plain.access(i), "seed " << seed << ", capacity " << capacity);
        BOOST_REQUIRE(made->holds(i));
        BOOST_REQUIRE_LE(made->size(), capacity);
      }
      BOOST_TEST(misses - left == made->size()); // what came and did not leave is there
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(lru_is_what_a_list_would_do) { compare<plain_lru>(cache_policy::lru); }
BOOST_AUTO_TEST_CASE(arc_is_what_its_paper_says) { compare<plain_arc>(cache_policy::arc); }
BOOST_AUTO_TEST_CASE(s3_fifo_is_what_its_paper_says) { compare<plain_s3_fifo>(cache_policy::s3_fifo); }

BOOST_AUTO_TEST_CASE(belady_evicts_what_is_wanted_last_and_nobody_hits_more) {
  for (const std::size_t capacity : {1u, 5u, 40u}) {
    const auto items = accesses(9, 4000);
    const auto next = next_uses(items);
    std::vector<cache_item> held;
    const auto made = make_cache(cache_policy::belady, capacity);
    std::size_t hits = 0, of_lru = 0, of_s3 = 0;
    const auto lru = make_cache(cache_policy::lru, capacity);
    const auto s3 = make_cache(cache_policy::s3_fifo, capacity);
    std::vector<std::uint64_t> wanted(10'000, cache::never);
    for (std::size_t n = 0; n < items.size(); ++n) {
      const bool there = std::count(held.begin(), held.end(), items[n]) > 0;
      wanted[items[n]] = next[n];
      if (!there) {
        if (held.size() == capacity)
          held.erase(std::max_element(held.begin(), held.end(), [&](cache_item a, cache_item b) {
            return std::pair(wanted[a], a) < std::pair(wanted[b], b);
          }));
        held.push_back(items[n]);
      }
      BOOST_REQUIRE(made->access(items[n], next[n]) == there);
      hits += there ? 1 : 0;
      of_lru += lru->access(items[n]) ? 1 : 0;
      of_s3 += s3->access(items[n]) ? 1 : 0;
    }
    BOOST_TEST(hits >= of_lru);
    BOOST_TEST(hits >= of_s3);
  }
}

BOOST_AUTO_TEST_SUITE_END()
