#include "store/layer/layer_diff.hpp"

#include <algorithm>

namespace gnomon::store {
namespace {

constexpr std::uint64_t diff_steps_between_looks = 4096;

// Of one granule of the run.
content_hash hash_of(const layer_chain& chain, const layer_chain::run& run) {
  return run.from ? run.from->entry.hash : chain.zero_hash();
}

bool is_zero(const layer_chain::run& run) { return !run.from || run.from->entry.is_zero(); }

} // namespace

result<layer_difference> diff_layers(const layer_chain* older, const layer_chain& newer, granule_index from,
                                     std::size_t runs_max, const std::function<bool()>& go_on) {
  if (older != nullptr && (older->header().volume != newer.header().volume ||
                           older->header().hash_seed != newer.header().hash_seed))
    return fail(errc::invalid_argument, "layers of two volumes cannot be compared");
  layer_difference out;
  layer_walk above(newer);
  std::optional<layer_walk> below;
  if (older != nullptr)
    below.emplace(*older);
  const std::uint64_t end = newer.header().granules();
  const std::uint64_t older_end = older != nullptr ? older->header().granules() : 0;
  std::uint64_t at = from.value, steps = 0;
  while (at < end) {
    if (go_on && ++steps % diff_steps_between_looks == 0 && !go_on())
      return fail(errc::shutting_down, "the comparison was stopped");
    const auto new_run = above.at(at);
    if (!new_run)
      return tl::unexpected(new_run.error());
    std::uint64_t stop = std::min(end, new_run->first.value + new_run->granules);
    bool differs = !is_zero(*new_run);
    if (older != nullptr && at < older_end) {
      const auto old_run = below->at(at);
      if (!old_run)
        return tl::unexpected(old_run.error());
      stop = std::min(stop, old_run->first.value + old_run->granules);
      // The older point's last granule may be shorter than the newer one's.
      if (stop == older_end && older->header().size != newer.header().size)
        stop = std::max(at + 1, older_end - 1);
      const bool cut_short = at + 1 == older_end && older->header().size != newer.header().size;
      differs = cut_short || hash_of(newer, *new_run) != hash_of(*older, *old_run);
    }
    if (differs) {
      const bool zero = is_zero(*new_run);
      if (!out.runs.empty() && out.runs.back().first.value + out.runs.back().granules == at &&
          out.runs.back().zero == zero) {
        out.runs.back().granules += stop - at;
      } else {
        if (out.runs.size() == runs_max)
          break;
        out.runs.push_back({granule_index{at}, stop - at, zero});
      }
    }
    at = stop;
  }
  out.next = granule_index{at};
  return out;
}

} // namespace gnomon::store
