#include "tests/store/layer/layer_support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(layer_file_test)
namespace {

layer_footer sample_footer() {
  layer_footer f;
  f.note = "before the upgrade";
  f.group = group_point{group_name("nightly"), numbered<group_cut_id>(9), true,
                        {{numbered<volume_uuid>(3), numbered<snapshot_uuid>(2)},
                         {numbered<volume_uuid>(4), numbered<snapshot_uuid>(5)}}};
  return f;
}

// Every kind of block once: stored, compressed, zeros, a hole in the index, a short last granule.
void write_sample(const std::string& path, layer_header header = sample_header(20)) {
  header.size = byte_count(19 * granule_bytes + 1024);
  auto writer = layer_writer::create(path, header);
  REQUIRE_OK(writer);
  REQUIRE_OK((*writer)->add(granule_index(0), content(filling::repeated, 1)));
  REQUIRE_OK((*writer)->add_zeros(granule_index(1), 4));
  REQUIRE_OK((*writer)->add(granule_index(5), content(filling::zeros, 0)));
  REQUIRE_OK((*writer)->add(granule_index(8), content(filling::repeated, 2)));
  REQUIRE_OK((*writer)->add(granule_index(19), content(filling::repeated, 3, 1024)));
  REQUIRE_OK((*writer)->seal(sample_footer()));
}

bytes read_entry(const layer_reader& layer, std::uint64_t granule) {
  const auto entry = layer.find(granule_index(granule));
  REQUIRE_OK(entry);
  BOOST_REQUIRE(entry->has_value());
  bytes out(granule_bytes);
  REQUIRE_OK(layer.read(**entry, granule_index(granule), out));
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_was_written_is_read) {
  scratch_directory dir;
  write_sample(dir / "l");
  const auto layer = opened(dir / "l");
  BOOST_TEST(layer->header().volume.to_string() == numbered<volume_uuid>(3).to_string());
  BOOST_TEST((layer->header().kind() == layer_kind::baseline));
  BOOST_TEST((read_entry(*layer, 0) == content(filling::repeated, 1)));
  for (const auto zero : {1, 4, 5})
    BOOST_TEST((read_entry(*layer, zero) == content(filling::zeros, 0)));
  auto last = content(filling::repeated, 3, 1024);
  last.resize(granule_bytes);
  BOOST_TEST((read_entry(*layer, 19) == last));
  for (const auto none : {6, 7, 9, 18, 20, 1000})
    BOOST_TEST(!layer->find(granule_index(none)).value().has_value());
  BOOST_TEST(layer->footer().data_granules == 3);
  BOOST_TEST(layer->footer().zero_granules == 5);
  BOOST_TEST((layer->footer().group == sample_footer().group));
  const auto report = verify_layer(dir / "l");
  BOOST_TEST(report.good());
  BOOST_TEST(report.granules_checked == 8);
  BOOST_TEST(report.bytes_checked == layer->file_bytes());
  BOOST_TEST(!path_exists(dir / "l.unsealed"));
}

BOOST_AUTO_TEST_CASE(random_layers_of_many_pages_read_as_they_were_written) {
  auto random = seeded("random_layers");
  scratch_directory dir;
  for (int round = 0; round < 6; ++round) {
    const std::uint64_t granules = 3000 + below(random, 3000);
    const auto path = dir / std::to_string(round);
    auto writer = layer_writer::create(path, sample_header(granules));
    REQUIRE_OK(writer);
    std::map<std::uint64_t, std::uint64_t> data; // granule -> seed
    std::map<std::uint64_t, bool> zero;
    for (std::uint64_t g = 0; g < granules; ++g)
      switch (below(random, 8)) {
      case 0: break;
      case 1: {
        const auto run = std::min(granules - g, 1 + below(random, 5));
        REQUIRE_OK((*writer)->add_zeros(granule_index(g), run));
        for (std::uint64_t i = 0; i < run; ++i)
          zero[g + i] = true;
        g += run - 1;
        break;
      }
      default:
        data[g] = random();
        REQUIRE_OK((*writer)->add(granule_index(g), content(filling::repeated, data[g])));
      }
    REQUIRE_OK((*writer)->seal({}));
    const auto layer = opened(path);
    BOOST_TEST(layer->pages().size() > 2);
    for (int look = 0; look < 3000; ++look) {
      const auto g = below(random, granules);
      const auto entry = layer->find(granule_index(g)).value();
      BOOST_REQUIRE(entry.has_value() == (data.count(g) || zero.count(g)));
      if (data.count(g))
        BOOST_REQUIRE((read_entry(*layer, g) == content(filling::repeated, data[g])));
      else if (entry)
        BOOST_REQUIRE(entry->is_zero());
    }
    const auto report = verify_layer(path);
    BOOST_TEST(report.good(), (report.good() ? "" : report.findings[0].text));
    BOOST_TEST(report.granules_checked == data.size() + zero.size());
  }
}

BOOST_AUTO_TEST_CASE(content_out_of_order_or_beyond_the_end_is_refused_and_changes_nothing) {
  scratch_directory dir;
  auto writer = layer_writer::create(dir / "l", sample_header(10));
  REQUIRE_OK(writer);
  REQUIRE_OK((*writer)->add(granule_index(4), content(filling::random, 1)));
  CHECK_ERROR((*writer)->add(granule_index(4), content(filling::random, 1)), errc::invalid_argument);
  CHECK_ERROR((*writer)->add(granule_index(3), content(filling::random, 1)), errc::invalid_argument);
  CHECK_ERROR((*writer)->add(granule_index(10), content(filling::random, 1)), errc::invalid_argument);
  CHECK_ERROR((*writer)->add(granule_index(5), content(filling::random, 1, 100)), errc::invalid_argument);
  CHECK_ERROR((*writer)->add_zeros(granule_index(8), 3), errc::invalid_argument);
  CHECK_ERROR((*writer)->add_zeros(granule_index(8), UINT64_MAX), errc::invalid_argument);
  REQUIRE_OK((*writer)->add(granule_index(9), content(filling::random, 1)));
  REQUIRE_OK((*writer)->seal({}));
  CHECK_ERROR((*writer)->add(granule_index(9), content(filling::random, 1)), errc::invalid_argument);
  BOOST_TEST(verify_layer(dir / "l").good());
  CHECK_ERROR(layer_writer::create(dir / "l", sample_header(10)), errc::already_exists);
}

BOOST_AUTO_TEST_CASE(a_layer_that_is_not_sealed_does_not_exist) {
  scratch_directory dir;
  {
    auto writer = layer_writer::create(dir / "l", sample_header(10));
    REQUIRE_OK(writer);
    REQUIRE_OK((*writer)->add(granule_index(4), content(filling::random, 1)));
    BOOST_TEST(path_exists(dir / "l.unsealed"));
    BOOST_TEST(!path_exists(dir / "l"));
  }
  BOOST_TEST(!path_exists(dir / "l.unsealed"));
}

// Any bit of any byte: header, record, page, root, footer, trailer.
BOOST_AUTO_TEST_CASE(damage_in_every_byte_is_found_and_never_read_as_content) {
  scratch_directory dir;
  write_sample(dir / "l");
  const auto good = file_bytes_of(dir / "l");
  std::map<layer_damage, int> kinds;
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= static_cast<std::byte>(1 << (at % 8));
    const auto report = verify_layer(layer_in_memory(bad, "l"));
    BOOST_REQUIRE_MESSAGE(!report.good(), "byte " << at << " was changed and not found");
    BOOST_REQUIRE(!report.findings[0].text.empty());
    ++kinds[report.findings[0].kind];
    auto layer = layer_reader::open(layer_in_memory(bad, "l"));
    if (!layer)
      continue;
    bytes out(granule_bytes);
    for (const auto& [granule, seed] : {std::pair{0, 1}, std::pair{8, 2}})
      if (auto entry = (*layer)->find(granule_index(granule)); entry)
        BOOST_REQUIRE(!(*layer)->read(**entry, granule_index(granule), out) ||
                      out == content(filling::repeated, seed));
  }
  BOOST_TEST(kinds[layer_damage::layer] > 0);
  BOOST_TEST(kinds[layer_damage::page] > 0);
  BOOST_TEST(kinds[layer_damage::record] > 0);
}

BOOST_AUTO_TEST_CASE(every_truncation_and_every_appended_byte_is_found) {
  scratch_directory dir;
  write_sample(dir / "l");
  const auto good = file_bytes_of(dir / "l");
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK_ERROR(layer_reader::open(layer_in_memory(bytes(good.begin(), good.begin() + length), "l")), errc::corrupt);
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK_ERROR(layer_reader::open(layer_in_memory(longer, "l")), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(blocks_of_another_place_or_layer_are_found) {
  scratch_directory dir;
  // Two layers alike but for their ids; two granules alike but for their places.
  const auto write = [&](const std::string& path, layer_header h) {
    auto writer = layer_writer::create(path, h);
    REQUIRE_OK(writer);
    for (const auto g : {0, 1})
      REQUIRE_OK((*writer)->add(granule_index(g), content(filling::random, 7)));
    REQUIRE_OK((*writer)->seal({}));
  };
  auto other = sample_header(4);
  other.id = numbered<layer_id>(77);
  write(dir / "a", sample_header(4));
  write(dir / "b", other);
  const auto a = file_bytes_of(dir / "a"), b = file_bytes_of(dir / "b");
  BOOST_REQUIRE(a.size() == b.size());
  const auto record = record_head_bytes + granule_bytes;
  const auto copied = [&](const bytes& from, std::size_t source, std::size_t target) {
    auto bad = a;
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(source), record,
                bad.begin() + static_cast<std::ptrdiff_t>(target));
    return verify_layer(layer_in_memory(bad, "a"));
  };
  const auto first = layer_header_bytes, second = layer_header_bytes + record;
  BOOST_TEST(copied(a, first, first).good());
  BOOST_TEST((copied(a, first, second).findings.at(0).kind == layer_damage::record));
  BOOST_TEST((copied(b, first, first).findings.at(0).kind == layer_damage::record));

  layer_expectation expected;
  expected.id = numbered<layer_id>(1);
  expected.volume = numbered<volume_uuid>(3);
  expected.seal = opened(dir / "a")->seal();
  REQUIRE_OK(layer_reader::open(dir / "a", expected));
  CHECK_ERROR(layer_reader::open(dir / "b", expected), errc::corrupt);
  // A valid layer with the same ids and other content, as a backup of an older file would be.
  auto writer = layer_writer::create(dir / "older", sample_header(4));
  REQUIRE_OK(writer);
  REQUIRE_OK((*writer)->seal({}));
  CHECK_ERROR(layer_reader::open(dir / "older", expected), errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_newer_version_and_a_cipher_are_unsupported_not_corrupt) {
  const auto refused = [](std::size_t at, std::byte value) {
    auto block = encode_header(sample_header(4));
    block[at] = value;
    const bytes_view body(block.data(), block.size() - 8);
    field_writer tail;
    tail.u64(bound_checksum(0, body));
    std::copy(tail.payload().begin(), tail.payload().end(), block.end() - 8);
    return decode_header(block, "l");
  };
  CHECK_ERROR(refused(8, std::byte{2}), errc::unsupported);
  CHECK_ERROR(refused(11, std::byte{1}), errc::unsupported);
  CHECK_ERROR(refused(10, std::byte{2}), errc::corrupt);
}

// The disk is full after each possible number of pages: no layer, no remains, and a second attempt succeeds.
BOOST_AUTO_TEST_CASE(a_full_disk_fails_the_layer_and_leaves_nothing) {
  small_file_system disk(6 << 20);
  if (!disk.mounted())
    return say_skipped("no right to mount");
  const auto attempt = [&]() -> result<sealed_layer> {
    auto writer = layer_writer::create(disk / "l", sample_header(64));
    if (!writer)
      return tl::unexpected(writer.error());
    for (int g = 0; g < 48; ++g)
      if (auto added = (*writer)->add(granule_index(g), content(filling::random, g)); !added)
        return tl::unexpected(added.error());
    return (*writer)->seal({});
  };
  for (std::size_t room = 0; room < (3u << 20); room += 128 << 10) {
    disk.fill();
    BOOST_REQUIRE(::truncate((disk / "filler").c_str(),
                             static_cast<off_t>(std::filesystem::file_size(disk / "filler") - room)) == 0);
    CHECK_ERROR(attempt(), errc::no_space);
    BOOST_TEST(!path_exists(disk / "l"));
    BOOST_TEST(!path_exists(disk / "l.unsealed"));
    disk.free_again();
  }
  REQUIRE_OK(attempt());
  BOOST_TEST(verify_layer(disk / "l").good());
}

BOOST_AUTO_TEST_CASE(a_killed_writer_leaves_a_whole_layer_or_none) {
  auto random = seeded("a_killed_writer");
  for (int round = 0; round < 12; ++round) {
    scratch_directory dir;
    run_and_kill(
        [&](int) {
          auto writer = layer_writer::create(dir / "l", sample_header(400));
          for (int g = 0; g < 400; ++g)
            (void)(*writer)->add(granule_index(g), content(filling::random, g));
          (void)(*writer)->seal({});
        },
        static_cast<unsigned>(below(random, 60'000)));
    if (path_exists(dir / "l"))
      BOOST_TEST(verify_layer(dir / "l").good());
  }
}

// The released format: what these files hold is read the same for ever.
BOOST_AUTO_TEST_CASE(released_layers_still_read) {
  const std::string path = std::string(GNOMON_SOURCE_DIR) + "/tests/golden/store/layer_v1.gnomon";
  if (std::getenv("GNOMON_WRITE_GOLDEN") && !path_exists(path))
    write_sample(path);
  const auto layer = opened(path);
  auto header = sample_header(20);
  header.size = byte_count(19 * granule_bytes + 1024);
  BOOST_TEST((layer->header() == header));
  BOOST_TEST((read_entry(*layer, 0) == content(filling::repeated, 1)));
  BOOST_TEST((read_entry(*layer, 8) == content(filling::repeated, 2)));
  BOOST_TEST((layer->footer().group == sample_footer().group));
  BOOST_TEST(layer->footer().note == "before the upgrade");
  BOOST_TEST(verify_layer(path).good());
  // All but what the compressor made of the content is written alike, too.
  const auto golden = file_bytes_of(path);
  BOOST_TEST((bytes(golden.begin(), golden.begin() + layer_header_bytes) == encode_header(header)));
}

BOOST_AUTO_TEST_SUITE_END()
