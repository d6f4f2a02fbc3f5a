#include "store/layer/layer_diff.hpp"
#include "tests/store/layer/layer_support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(layer_chain_test)
namespace {

// A volume as it was at each of its points, and the layer that was written for each.
struct history {
  scratch_directory dir;
  std::mt19937_64& random;
  std::vector<std::vector<std::uint64_t>> points; // per point, per granule: seed of the content, 0: zeros
  std::vector<std::shared_ptr<const layer_reader>> layers;

  void snapshot(std::uint64_t granules) {
    const auto first = points.empty();
    auto now = first ? std::vector<std::uint64_t>() : points.back();
    now.resize(granules);
    std::map<std::uint64_t, bool> changed;
    for (auto writes = below(random, granules); writes-- > 0;) {
      const auto at = below(random, granules);
      now[at] = below(random, 3) == 0 ? 0 : 1 + below(random, 1'000'000);
      changed[at] = true;
    }
    auto header = sample_header(granules);
    header.id = layer_id::random();
    header.snapshot = snapshot_uuid::random();
    if (!first)
      header.parent = layers.back()->header().snapshot;
    const auto path = dir / header.id.to_string();
    auto writer = layer_writer::create(path, header);
    REQUIRE_OK(writer);
    for (std::uint64_t g = 0; g < granules; ++g)
      if (first || changed.count(g))
        REQUIRE_OK((*writer)->add(granule_index(g), bytes_of(now[g])));
    REQUIRE_OK((*writer)->seal({}));
    layers.push_back(opened(path));
    points.push_back(std::move(now));
  }

  static bytes bytes_of(std::uint64_t seed) {
    return seed == 0 ? content(filling::zeros, 0) : content(seed % 5 == 0 ? filling::random : filling::repeated, seed);
  }

  std::shared_ptr<const layer_chain> chain(std::size_t newest, std::size_t oldest = 0) const {
    std::vector<std::shared_ptr<const layer_reader>> stack;
    for (auto i = newest + 1; i-- > oldest;)
      stack.push_back(layers[i]);
    auto made = layer_chain::make(stack, oldest == 0 ? layer_chain::needs::baseline : layer_chain::needs::nothing_below);
    REQUIRE_OK(made);
    return *made;
  }

  void check(const layer_chain& chain, std::size_t point) const {
    for (std::uint64_t g = 0; g < points[point].size(); ++g) {
      const auto expected = bytes_of(points[point][g]);
      BOOST_REQUIRE_MESSAGE(read_granule(chain, g) == expected, "granule " << g << " of point " << point);
      BOOST_REQUIRE((chain.hash(granule_index(g)).value() == hash_content(expected, test_seed)));
    }
    BOOST_REQUIRE(read_granule(chain, points[point].size()) == content(filling::zeros, 0));
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(every_point_of_a_chain_reads_as_the_volume_was_then) {
  auto random = seeded("every_point_of_a_chain");
  for (int round = 0; round < 4; ++round) {
    history h{{}, random, {}, {}};
    std::uint64_t granules = 40;
    for (int i = 0; i < 6; ++i, granules += below(random, 2) * below(random, 20))
      h.snapshot(granules);
    for (std::size_t point = 0; point < h.points.size(); ++point)
      h.check(*h.chain(point), point);
  }
}

BOOST_AUTO_TEST_CASE(a_merge_of_any_part_of_a_chain_changes_no_point_above_it) {
  auto random = seeded("a_merge_of_any_part");
  for (int round = 0; round < 8; ++round) {
    history h{{}, random, {}, {}};
    std::uint64_t granules = 60;
    for (int i = 0; i < 5; ++i, granules += below(random, 20))
      h.snapshot(granules);
    const auto oldest = below(random, 4), newest = oldest + 1 + below(random, 4 - oldest);
    const auto part = h.chain(newest, oldest);
    const auto path = h.dir / "merged";
    const auto merged = merge_layers(*part, {layer_id::random(), path});
    REQUIRE_OK(merged);
    BOOST_TEST(verify_layer(path).good());
    const auto layer = opened(path);
    BOOST_TEST((layer->header().snapshot == h.layers[newest]->header().snapshot));
    BOOST_TEST((layer->header().kind() == (oldest == 0 ? layer_kind::baseline : layer_kind::differential)));
    for (auto point = newest; point < h.points.size(); ++point) {
      std::vector<std::shared_ptr<const layer_reader>> stack;
      for (auto i = point; i > newest; --i)
        stack.push_back(h.layers[i]);
      stack.push_back(layer);
      for (auto i = oldest; i-- > 0;)
        stack.push_back(h.layers[i]);
      auto chain = layer_chain::make(stack);
      REQUIRE_OK(chain);
      h.check(**chain, point);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_differs_between_two_points_is_named_and_nothing_else) {
  auto random = seeded("what_differs");
  history h{{}, random, {}, {}};
  h.snapshot(300);
  for (int i = 0; i < 4; ++i)
    h.snapshot(300 + (i == 3 ? 40 : 0));
  for (std::size_t older = 0; older < h.points.size(); ++older)
    for (std::size_t newer = 0; newer < h.points.size(); ++newer) {
      const auto below_it = h.chain(older), above = h.chain(newer);
      std::vector<bool> named(h.points[newer].size(), false);
      granule_index from;
      while (from.value < h.points[newer].size()) {
        const auto found = diff_layers(below_it.get(), *above, from, 1 + below(random, 20));
        REQUIRE_OK(found);
        BOOST_REQUIRE(found->next.value > from.value);
        for (const auto& run : found->runs)
          for (auto g = run.first.value; g < run.first.value + run.granules; ++g) {
            BOOST_REQUIRE((h.points[newer][g] == 0) == run.zero);
            named[g] = true;
          }
        from = found->next;
      }
      for (std::size_t g = 0; g < named.size(); ++g) {
        const auto was = g < h.points[older].size() ? h.points[older][g] : 0;
        const bool last_of_another_size = h.points[older].size() != h.points[newer].size() && g + 1 == h.points[older].size();
        BOOST_REQUIRE_MESSAGE(named[g] == (was != h.points[newer][g]) || last_of_another_size, "granule " << g);
      }
    }
}

BOOST_AUTO_TEST_CASE(layers_that_do_not_lie_on_each_other_are_no_chain) {
  auto random = seeded("no_chain");
  history h{{}, random, {}, {}};
  for (int i = 0; i < 3; ++i)
    h.snapshot(10);
  CHECK_ERROR(layer_chain::make({}), errc::invalid_argument);
  CHECK_ERROR(layer_chain::make({h.layers[2], h.layers[0]}), errc::invalid_argument);
  CHECK_ERROR(layer_chain::make({h.layers[0], h.layers[1]}), errc::invalid_argument);
  CHECK_ERROR(layer_chain::make({h.layers[2], h.layers[1]}), errc::invalid_argument);
  REQUIRE_OK(layer_chain::make({h.layers[2], h.layers[1]}, layer_chain::needs::nothing_below));
  CHECK_ERROR(layer_chain::make(std::vector(layer_chain_length_max + 1, h.layers[0])), errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_stopped_merge_leaves_nothing) {
  auto random = seeded("a_stopped_merge");
  history h{{}, random, {}, {}};
  h.snapshot(10);
  CHECK_ERROR(merge_layers(*h.chain(0), {layer_id::random(), h.dir / "m"}, [] { return false; }), errc::shutting_down);
  BOOST_TEST(!path_exists(h.dir / "m"));
  BOOST_TEST(!path_exists(h.dir / "m.unsealed"));
}

BOOST_AUTO_TEST_CASE(damage_below_is_an_error_of_the_chain_not_other_content) {
  auto random = seeded("damage_below");
  history h{{}, random, {}, {}};
  h.snapshot(10);
  h.snapshot(10);
  auto bad = file_bytes_of(h.dir / h.layers[0]->header().id.to_string());
  for (std::size_t i = layer_header_bytes; i + layer_header_bytes < bad.size() / 2; ++i)
    bad[i] ^= std::byte{0x55};
  auto broken = layer_reader::open(layer_in_memory(bad, "broken"));
  if (!broken)
    return; // damaged so far that it does not open
  auto chain = layer_chain::make({h.layers[1], std::shared_ptr<const layer_reader>(std::move(*broken))});
  REQUIRE_OK(chain);
  for (std::uint64_t g = 0; g < 10; ++g) {
    bytes out(granule_bytes);
    BOOST_TEST((!(*chain)->read(granule_index(g), out) || out == history::bytes_of(h.points[1][g])));
  }
}

BOOST_AUTO_TEST_SUITE_END()
