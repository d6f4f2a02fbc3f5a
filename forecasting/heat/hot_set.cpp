#include "forecasting/heat/hot_set.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "forecasting/heat/heat.hpp" // count_max

namespace gnomon::forecasting {

using arma::uword;
using arma::vec;

namespace {

constexpr std::array<double, 5> half_lives_windows = {1, 3, 12, 48, 288};
constexpr double ridge = 50;
constexpr double empty_windows_max = 4096;
constexpr double stream_share_min = 0.5;     // of a chunk's bytes that must be sequential
constexpr double stream_of_chunk_min = 0.05; // of the chunk's size that a stream must have moved
constexpr double head_start = 0.3;           // in windows fully right
constexpr double stream_reach_max = 64;      // chunks ahead

// Where the regression starts from, before anything is learned: what "recent" does.
constexpr std::size_t last_feature = 6, recency_feature = 8;

double half_life_factor(double half_life) { return std::exp2(-1 / half_life); }

double sane(double v) { return std::isfinite(v) ? std::clamp(v, 0.0, count_max) : 0; }

} // namespace

std::string_view to_string(hot_method m) noexcept {
  switch (m) {
  case hot_method::last_window:
    return "last window";
  case hot_method::recency:
    return "LRU";
  case hot_method::frequency:
    return "LFU";
  case hot_method::ewma:
    return "EWMA";
  case hot_method::recent:
    return "recent";
  case hot_method::learned:
    return "learned";
  }
  return "unknown";
}

result<hot_set> hot_set::make(const hot_set_options& options) {
  if (!(options.window_seconds > 0) || !std::isfinite(options.window_seconds) || options.chunk_size.value == 0)
    return fail(errc::invalid_argument, "a hot set needs a positive window and chunk size");
  if (options.chunk_count < 1 || options.chunk_count > hot_chunks_max)
    return fail(errc::invalid_argument, "a hot set can watch 1 to 2^20 chunks");
  if (!(options.learn_half_life_windows >= 1) || !(options.score_half_life_windows >= 1))
    return fail(errc::invalid_argument, "half-lives of a hot set must be at least one window");
  return hot_set(options);
}

hot_set::hot_set(const hot_set_options& options)
    : options_(options), gram_(features, features, arma::fill::zeros), moment_(features, arma::fill::zeros),
      weight_(features, arma::fill::zeros), score_(hot_method_count, scored_set_sizes.size(), arma::fill::zeros) {
  weight_(last_feature) = 0.6;
  weight_(recency_feature) = 1;
  gram_.diag().fill(ridge);
  moment_ = ridge * weight_;
}

const hot_set::chunk_state* hot_set::find(std::uint64_t chunk) const {
  const auto known = index_.find(chunk);
  return known != index_.end() ? &chunks_[known->second] : nullptr;
}

hot_set::chunk_state& hot_set::state_of(std::uint64_t chunk) {
  const auto [known, fresh] = index_.try_emplace(chunk, static_cast<std::uint32_t>(chunks_.size()));
  if (fresh)
    chunks_.emplace_back().chunk = chunk;
  return chunks_[known->second];
}

std::size_t hot_set::bytes() const {
  constexpr std::size_t index_node = 48;
  std::size_t sum = sizeof *this + chunks_.capacity() * sizeof(chunk_state) + index_.size() * index_node +
                    (gram_.n_elem + moment_.n_elem + weight_.n_elem + score_.n_elem) * sizeof(double);
  for (const auto& s : chunks_)
    sum += s.profile.capacity() * sizeof(float);
  return sum;
}

void hot_set::keep_hottest(std::size_t chunks) {
  if (chunks_.size() <= chunks)
    return;
  const auto middle = chunks_.begin() + static_cast<std::ptrdiff_t>(chunks);
  std::nth_element(chunks_.begin(), middle, chunks_.end(), [](const chunk_state& a, const chunk_state& b) {
    return a.heat[heats - 1] != b.heat[heats - 1] ? a.heat[heats - 1] > b.heat[heats - 1] : a.chunk < b.chunk;
  });
  chunks_.erase(middle, chunks_.end());
  chunks_.shrink_to_fit();
  index_.clear();
  for (std::uint32_t i = 0; i < chunks_.size(); ++i)
    index_.emplace(chunks_[i].chunk, i);
}

std::size_t hot_set::profile_slot(double seconds) const {
  const double of_day = seconds - std::floor(seconds / day) * day;
  return std::min(static_cast<std::size_t>(of_day / day * profile_slots), profile_slots - 1);
}

hot_set::feature_row hot_set::look(const chunk_state& s) const {
  feature_row f{};
  f[0] = 1;
  for (std::size_t i = 0; i < heats; ++i)
    f[1 + i] = std::log1p(s.heat[i]);
  f[last_feature] = std::log1p(s.last_window);
  f[7] = s.last_window > 0 ? 1 : 0;
  f[recency_feature] =
      s.visited ? -std::log1p(std::max(0.0, next_start_ - s.last_seconds) / options_.window_seconds * 5) : -10;
  f[9] = std::log1p(10 * s.flow);
  const chunk_state* const below = s.chunk > 0 ? find(s.chunk - 1) : nullptr;
  const chunk_state* const above = find(s.chunk + 1);
  f[10] = below != nullptr ? std::log1p(below->last_window * below->sequential_share) : 0;
  f[11] = std::log1p((below != nullptr ? below->last_window : 0) + (above != nullptr ? above->last_window : 0));
  f[12] = std::log1p(s.window_before);
  f[13] = s.profile.empty() ? 0 : std::log1p(static_cast<double>(s.profile[profile_slot(next_start_)]));
  f[14] = s.sequential_share;
  return f;
}

// Comparable within one method only. -infinity: this method does not know the chunk.
double hot_set::score_of(hot_method method, const chunk_state& s, std::size_t k) const {
  constexpr double unknown = -std::numeric_limits<double>::infinity();
  const double age = std::max(0.0, next_start_ - s.last_seconds);
  switch (method) {
  case hot_method::last_window:
    return s.last_window > 0 ? s.last_window : unknown;
  case hot_method::recency:
    return s.visited ? s.last_seconds : unknown;
  case hot_method::frequency:
    return s.visited ? s.total : unknown;
  case hot_method::ewma:
    return s.visited ? s.heat[1] : unknown;
  case hot_method::recent: {
    // For a small set how much counts; a large one reaches into chunks that were touched once, where only how lately
    // tells them apart.
    const double lateness = std::clamp(static_cast<double>(k) / 8, 1.0, 4.0);
    // A stream will be there in the middle of the window, near enough.
    const double seen = s.visited ? age : options_.window_seconds / 2;
    return std::log1p(s.last_window) + std::log1p(10 * s.flow) - lateness * std::log1p(seen);
  }
  case hot_method::learned: {
    const feature_row f = look(s);
    double sum = 0;
    for (std::size_t i = 0; i < features; ++i)
      sum += f[i] * weight_(i);
    return sum;
  }
  }
  return unknown;
}

std::vector<std::uint32_t> hot_set::top(hot_method method, std::size_t k) const {
  std::vector<std::pair<double, std::uint32_t>> scored;
  scored.reserve(chunks_.size());
  for (std::uint32_t i = 0; i < chunks_.size(); ++i)
    if (chunks_[i].visited || chunks_[i].flow > 0) {
      const double score = score_of(method, chunks_[i], k);
      if (std::isfinite(score))
        scored.emplace_back(score, i);
    }
  const std::size_t count = std::min(k, scored.size());
  const auto hotter = [&](const auto& a, const auto& b) {
    if (a.first != b.first)
      return a.first > b.first;
    return chunks_[a.second].chunk < chunks_[b.second].chunk;
  };
  std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(count), scored.end(), hotter);
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(scored[i].second);
  return out;
}

void hot_set::close_window(double start_seconds, const std::vector<chunk_window>& activity) {
  if (!std::isfinite(start_seconds) || (any_ && start_seconds < next_start_ - 1e-6))
    return;
  if (any_)
    age_empty_windows(start_seconds);
  std::vector<double> requests(chunks_.size(), 0.0);
  std::vector<std::pair<double, std::uint64_t>> order;
  for (const auto& a : activity) {
    if (a.chunk.value >= options_.chunk_count || sane(a.requests) <= 0)
      continue;
    order.emplace_back(sane(a.requests), a.chunk.value);
    if (const auto known = index_.find(a.chunk.value); known != index_.end())
      requests[known->second] += sane(a.requests);
  }
  if (any_ && !order.empty()) {
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::vector<std::uint64_t> truth;
    for (const auto& [count, chunk] : order)
      truth.push_back(chunk);
    grade(truth);
    learn(requests);
  }
  any_ = true;
  take(start_seconds, activity);
}

// Which part of the true hot set would each method have named?
void hot_set::grade(const std::vector<std::uint64_t>& truth) {
  const double keep = half_life_factor(options_.score_half_life_windows);
  score_ *= keep;
  score_weight_ = score_weight_ * keep + 1;
  const std::size_t largest = scored_set_sizes.back();
  std::vector<std::uint64_t> named;
  for (std::size_t m = 0; m < hot_method_count; ++m) {
    const bool by_size = static_cast<hot_method>(m) == hot_method::recent;
    std::vector<std::uint32_t> best = top(static_cast<hot_method>(m), largest);
    for (std::size_t i = 0; i < scored_set_sizes.size(); ++i) {
      const std::size_t k = scored_set_sizes[i];
      if (by_size)
        best = top(static_cast<hot_method>(m), k);
      named.clear();
      for (std::size_t j = 0; j < std::min(k, best.size()); ++j)
        named.push_back(chunks_[best[j]].chunk);
      std::sort(named.begin(), named.end());
      const std::size_t wanted = std::min(k, truth.size());
      std::size_t hits = 0;
      for (std::size_t j = 0; j < wanted; ++j)
        hits += std::binary_search(named.begin(), named.end(), truth[j]) ? 1 : 0;
      score_(m, i) += static_cast<double>(hits) / static_cast<double>(wanted);
    }
  }
}

void hot_set::learn(const std::vector<double>& requests) {
  const double keep = half_life_factor(options_.learn_half_life_windows);
  vec prior(features, arma::fill::zeros);
  prior(last_feature) = 0.6;
  prior(recency_feature) = 1;
  gram_ *= keep;
  moment_ *= keep;
  gram_.diag() += (1 - keep) * ridge;
  moment_ += (1 - keep) * ridge * prior;
  for (std::size_t c = 0; c < chunks_.size(); ++c) {
    if (!chunks_[c].visited && chunks_[c].flow <= 0)
      continue;
    const feature_row f = look(chunks_[c]);
    const double target = std::log1p(c < requests.size() ? requests[c] : 0);
    for (std::size_t j = 0; j < features; ++j) {
      double* const column = gram_.colptr(j);
      for (std::size_t i = 0; i <= j; ++i)
        column[i] += f[i] * f[j];
      moment_(j) += f[j] * target;
    }
  }
  solve();
}

void hot_set::solve() {
  const arma::mat full = arma::symmatu(gram_);
  vec solved;
  if (arma::solve(solved, full, moment_, arma::solve_opts::likely_sympd + arma::solve_opts::no_approx) &&
      solved.is_finite())
    weight_ = solved;
}

// Windows that nobody reported were windows without activity.
void hot_set::age_empty_windows(double start_seconds) {
  const double windows =
      std::min(std::round((start_seconds - next_start_) / options_.window_seconds), empty_windows_max);
  if (windows < 1)
    return;
  for (auto& s : chunks_) {
    for (std::size_t i = 0; i < heats; ++i)
      s.heat[i] *= std::exp2(-windows / half_lives_windows[i]);
    s.window_before = windows > 1 ? 0 : s.last_window;
    s.last_window = s.sequential_share = s.flow = 0;
  }
  next_start_ = start_seconds;
}

void hot_set::take(double start_seconds, const std::vector<chunk_window>& activity) {
  for (auto& s : chunks_) {
    s.window_before = s.last_window;
    s.last_window = s.sequential_share = s.flow = 0;
  }
  for (const auto& a : activity) {
    if (a.chunk.value >= options_.chunk_count || sane(a.requests) <= 0)
      continue;
    auto& s = state_of(a.chunk.value);
    s.visited = true;
    s.last_window = std::min(s.last_window + sane(a.requests), count_max);
    s.total = std::min(s.total + sane(a.requests), count_max);
    const double bytes = sane(a.bytes);
    s.sequential_share = bytes > 0 ? std::min(1.0, sane(a.sequential_bytes) / bytes) : 0;
    s.bytes_per_request += 0.3 * (bytes / sane(a.requests) - s.bytes_per_request);
    const double window_end = start_seconds + options_.window_seconds;
    s.last_seconds =
        std::isfinite(a.last_seconds) ? std::clamp(a.last_seconds, start_seconds, window_end) : start_seconds;
  }
  next_start_ = start_seconds + options_.window_seconds;
  const std::size_t slot = profile_slot(start_seconds);
  for (auto& s : chunks_) {
    for (std::size_t i = 0; i < heats; ++i)
      s.heat[i] += (1 - half_life_factor(half_lives_windows[i])) * (s.last_window - s.heat[i]);
    // What was used once only, as by a scan, has no usual time of day.
    if (s.last_window > 0 && s.profile.empty() && s.total > s.last_window)
      s.profile.assign(profile_slots, 0);
    if (!s.profile.empty()) {
      // Several windows fall into one slot of a day: together they forget about 0.4 of it per day.
      const double windows = std::max(1.0, day / profile_slots / options_.window_seconds);
      float& usual = s.profile[slot];
      usual += static_cast<float>((1 - std::pow(0.6, 1 / windows)) * (s.last_window - usual));
    }
  }
  follow_streams(activity);
}

// A run of neighbouring chunks that were mostly read or written in sequence is a stream; as much as it moved in this
// window it will move in the next, into the chunks above its head.
void hot_set::follow_streams(const std::vector<chunk_window>& activity) {
  const auto size = static_cast<double>(options_.chunk_size.value);
  std::vector<std::pair<std::uint64_t, double>> moved; // chunk, bytes in sequence
  for (const auto& a : activity)
    if (a.chunk.value < options_.chunk_count && sane(a.sequential_bytes) >= stream_share_min * sane(a.bytes) &&
        sane(a.sequential_bytes) >= stream_of_chunk_min * size)
      moved.emplace_back(a.chunk.value, sane(a.sequential_bytes));
  std::sort(moved.begin(), moved.end());
  for (std::size_t i = 0; i < moved.size();) {
    double bytes = 0;
    std::size_t j = i;
    for (; j < moved.size() && moved[j].first <= moved[i].first + (j - i); ++j)
      bytes += std::min(moved[j].second, 2 * size);
    const std::uint64_t head = moved[j - 1].first;
    double left = std::min(bytes / size, stream_reach_max);
    // The head itself is about half done.
    state_of(head).flow = std::min(1.0, left);
    for (std::uint64_t next = head + 1; left > 0 && next < options_.chunk_count; ++next, left -= 1)
      state_of(next).flow = std::max(state_of(next).flow, std::min(1.0, left));
    i = j;
  }
}

// The scored size nearest to k on a logarithmic scale.
std::size_t hot_set::scored_size(std::size_t k) {
  std::size_t nearest = 0;
  for (std::size_t i = 1; i < scored_set_sizes.size(); ++i)
    if (k * k >= scored_set_sizes[i - 1] * scored_set_sizes[i])
      nearest = i;
  return nearest;
}

hot_prediction hot_set::predict_by(hot_method method, std::size_t k) const {
  hot_prediction out;
  out.method = method;
  k = std::min(k, hot_chunks_max);
  out.windows_scored = score_weight_;
  for (std::size_t m = 0; m < hot_method_count; ++m)
    out.score[m] = score_weight_ > 0 ? score_(m, scored_size(k)) / score_weight_ : 0;
  for (std::uint32_t i : top(method, k)) {
    const auto& s = chunks_[i];
    const double learned = std::expm1(std::clamp(score_of(hot_method::learned, s, k), 0.0, std::log(count_max)));
    hot_chunk hot{chunk_index{s.chunk}, 0, learned, s.flow > 0 && s.last_window == 0};
    const double streamed = s.flow * static_cast<double>(options_.chunk_size.value);
    hot.expected_bytes = std::min(std::max(learned * s.bytes_per_request, streamed), count_max);
    out.chunks.push_back(hot);
  }
  return out;
}

hot_prediction hot_set::predict(std::size_t k) const {
  // The first is as good as any before anything was scored; a rival must be better by more than chance to replace it.
  hot_method chosen = hot_method::recent;
  double best = score_(static_cast<std::size_t>(chosen), scored_size(k)) + head_start;
  for (std::size_t m = 0; m < hot_method_count; ++m)
    if (score_(m, scored_size(k)) > best)
      best = score_(m, scored_size(k)), chosen = static_cast<hot_method>(m);
  return predict_by(chosen, k);
}

} // namespace gnomon::forecasting
