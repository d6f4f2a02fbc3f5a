#include "store/files/trace_file.hpp"

#include <chrono>

#include <boost/test/unit_test.hpp>

#include "store/files/series_file.hpp"
#include "tests/store/support.hpp"

using namespace gnomon;
using namespace gnomon::store;
using namespace gnomon::store::testing;

BOOST_AUTO_TEST_SUITE(trace_file_test)
namespace {

struct contents {
  std::vector<trace_record> records;
  std::vector<std::string> volumes;
  std::optional<error> failure;
  bool cut_short = false;
};

contents read_trace(const std::string& path, std::size_t batch_max = trace_batch_records_max) {
  contents found;
  auto reader = trace_reader::open(path);
  if (!reader)
    return found.failure = reader.error(), found;
  std::vector<trace_record> batch;
  for (;;) {
    auto ok = reader->read(batch, batch_max);
    if (!ok)
      found.failure = ok.error();
    if (!ok || batch.empty())
      break;
    found.records.insert(found.records.end(), batch.begin(), batch.end());
  }
  found.volumes = reader->volumes();
  found.cut_short = reader->cut_short();
  return found;
}

void write_text(const std::string& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

std::vector<trace_record> random_records(std::mt19937_64& random, std::size_t count, std::uint32_t volumes) {
  std::vector<trace_record> records;
  std::uint64_t time = 0;
  const char letters[] = "RWFTZCB";
  for (std::size_t i = 0; i < count; ++i)
    records.push_back({time += below(random, 5000), static_cast<std::uint32_t>(below(random, volumes)),
                       *trace_operation_of(letters[below(random, 7)]), below(random, 1 << 30) * 512,
                       below(random, 2048) * 512});
  return records;
}

const char* const endings[] = {".csv", ".csv.gz", ".csv.zst"};

} // namespace

BOOST_AUTO_TEST_CASE(what_is_written_is_read_back_in_every_compression) {
  auto random = seeded("what_is_written_is_read_back");
  for (const std::string ending : endings) {
    scratch_directory where;
    const std::string path = where / ("t" + ending);
    auto writer = trace_writer::create(path).value();
    for (int v = 0; v < 5; ++v)
      BOOST_TEST(writer->volume("vol" + std::to_string(v)).value() == static_cast<unsigned>(v));
    const auto records = random_records(random, 50'000, 5);
    for (std::size_t i = 0; i < records.size(); i += 1000) {
      REQUIRE_OK(writer->write({records.data() + i, 1000}));
      if (below(random, 10) == 0)
        REQUIRE_OK(writer->flush());
    }
    BOOST_TEST(!path_exists(path)); // named only when it is whole
    REQUIRE_OK(writer->close());
    BOOST_TEST(!path_exists(path + ".partial"));
    for (const auto batch_max : {std::size_t{1} << 20, std::size_t{777}}) {
      auto found = read_trace(path, batch_max);
      BOOST_TEST(!found.failure);
      BOOST_TEST((found.records.size() == records.size()));
      for (std::size_t i = 0; i < std::min(found.records.size(), records.size()); ++i) {
        auto expected = records[i];
        BOOST_REQUIRE(found.volumes[found.records[i].volume] == "vol" + std::to_string(expected.volume));
        expected.volume = found.records[i].volume;
        BOOST_REQUIRE((found.records[i] == expected));
      }
    }
    CHECK_ERROR(trace_writer::create(path), errc::already_exists);
  }
}

BOOST_AUTO_TEST_CASE(what_was_flushed_is_readable_although_the_writer_was_killed) {
  for (const std::string ending : endings) {
    scratch_directory where;
    const std::string path = where / ("t" + ending);
    const auto reported = run_and_kill(
        [&](int report) {
          auto writer = trace_writer::create(path).value();
          (void)writer->volume("v");
          for (std::uint64_t n = 1;; ++n) {
            const trace_record record{n, 0, trace_operation::write, n * 512, 512};
            (void)writer->write({&record, 1});
            if (n % 500 != 0)
              continue;
            if (!writer->flush())
              ::_exit(1);
            (void)!::write(report, &n, sizeof n);
          }
        },
        20'000, kill_clock::from_first_report);
    auto found = read_trace(path + ".partial");
    BOOST_TEST(last_u64(reported) > 0u);
    BOOST_TEST(found.records.size() >= last_u64(reported), ending);
    for (std::size_t i = 0; i + 1 < found.records.size(); ++i)
      BOOST_REQUIRE(found.records[i].time_us == i + 1);
    if (ending != ".csv")
      BOOST_TEST((found.failure && found.cut_short));
  }
}

BOOST_AUTO_TEST_CASE(the_header_is_optional_and_line_ends_may_be_dos) {
  scratch_directory where;
  const std::string path = where / "t.csv";
  write_text(path, "5,a,R,0,512\r\n\r\n6,b,W,512,1024");
  auto found = read_trace(path);
  BOOST_TEST(!found.failure);
  BOOST_TEST(found.records.size() == 2u);
  BOOST_TEST((found.records[1] == trace_record{6, 1, trace_operation::write, 512, 1024}));
  write_text(path, std::string(trace_header) + "\n5,a,R,0,512\n");
  BOOST_TEST(read_trace(path).records.size() == 1u);
  write_text(path, "");
  BOOST_TEST((read_trace(path).records.empty() && !read_trace(path).failure));
  CHECK_ERROR(trace_reader::open(where / "none"), errc::not_found);
  CHECK_ERROR(trace_reader::open(where.path()), errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(bad_lines_are_named_by_number_after_the_good_ones) {
  scratch_directory where;
  const std::string path = where / "t.csv";
  for (const std::string bad :
       {"1,a,R,0", "1,a,R,0,512,9", "x,a,R,0,512", "-1,a,R,0,512", "1,,R,0,512", "1,a,Q,0,512", "1,a,RW,0,512",
        "1,a,R,0x,512", "1,a,R,0, 512", "1,a,R,99999999999999999999,512", "1,a,R,0,9223372036854775807",
        "1,\"a\",R,0,512", "garbage", "time_us,volume,op,offset_bytes,length_bytes"}) {
    write_text(path, "0,a,R,0,512\n0,a,R,0,512\n" + bad + "\n0,a,R,0,512\n");
    auto found = read_trace(path);
    BOOST_TEST(found.records.size() == 2u, bad);
    BOOST_REQUIRE_MESSAGE(found.failure.has_value(), bad);
    BOOST_TEST(found.failure->code == errc::corrupt);
    BOOST_TEST(found.failure->message.find("line 3") != std::string::npos, found.failure->message);
  }
}

BOOST_AUTO_TEST_CASE(endless_lines_and_names_are_bounded) {
  scratch_directory where;
  const std::string path = where / "t.csv";
  write_text(path, "0,a,R,0,512\n" + std::string(8 << 20, '1'));
  auto found = read_trace(path);
  BOOST_TEST(found.records.size() == 1u);
  BOOST_TEST((found.failure && found.failure->message.find("line 2") != std::string::npos));
  std::string many;
  for (std::size_t i = 0; i <= trace_volumes_max; ++i)
    many += "0,v" + std::to_string(i) + ",R,0,512\n";
  write_text(path, many);
  found = read_trace(path);
  BOOST_TEST(found.records.size() == trace_volumes_max);
  BOOST_TEST(found.failure.has_value());
}

BOOST_AUTO_TEST_CASE(truncated_and_flipped_compressed_files_end_in_an_error_or_in_the_truth) {
  auto random = seeded("truncated_and_flipped_compressed_files");
  for (const std::string ending : {".csv.gz", ".csv.zst"}) {
    scratch_directory where;
    const std::string path = where / ("t" + ending);
    const auto records = random_records(random, 3000, 1);
    {
      auto writer = trace_writer::create(path).value();
      (void)writer->volume("v");
      REQUIRE_OK(writer->write(records));
      REQUIRE_OK(writer->close());
    }
    const auto whole = read_small_file(path, 1 << 24).value();
    int failures = 0;
    for (int round = 0; round < 300; ++round) {
      auto damaged = whole;
      if (round % 2)
        damaged.resize(below(random, whole.size()));
      else
        damaged[below(random, whole.size())] ^= static_cast<std::byte>(1u << below(random, 8));
      write_text(path, as_text(damaged));
      auto found = read_trace(path);
      failures += found.failure.has_value();
      // A cut file gives a true beginning.
      if (round % 2 && damaged.size() > 4) {
        BOOST_REQUIRE(found.failure.has_value());
        for (std::size_t i = 0; i < found.records.size(); ++i)
          BOOST_REQUIRE((found.records[i] == records[i]));
      }
      if (!found.failure && damaged.size() > 4)
        BOOST_REQUIRE((found.records == records)); // the flip was in an unused header field
    }
    BOOST_TEST(failures > 250);
  }
}

BOOST_AUTO_TEST_CASE(several_gzip_members_and_zstd_frames_are_one_trace) {
  for (const std::string ending : {".csv.gz", ".csv.zst"}) {
    scratch_directory where;
    std::string joined;
    for (int part = 0; part < 3; ++part) {
      const std::string path = where / ("p" + std::to_string(part) + ending);
      auto sink = text_sink::create(path, compression_of_name(path)).value();
      REQUIRE_OK(sink->write(std::to_string(part) + ",v,R,0,512\n"));
      REQUIRE_OK(sink->finish());
      joined += as_text(read_small_file(path, 1 << 20).value());
    }
    write_text(where / "all", joined); // recognised by its magic, not its name
    auto found = read_trace(where / "all");
    BOOST_TEST(!found.failure);
    BOOST_TEST(found.records.size() == 3u);
  }
}

BOOST_AUTO_TEST_CASE(hostile_bytes_never_crash_the_reader) {
  auto random = seeded("hostile_bytes_never_crash_the_reader");
  scratch_directory where;
  const std::string alphabet = "0123456789,,,,\n\nRWF\r\"v\0-.";
  for (int round = 0; round < 500; ++round) {
    std::string junk(below(random, 3000), '\0');
    for (auto& c : junk)
      c = round % 2 ? static_cast<char>(random()) : alphabet[below(random, alphabet.size())];
    if (round % 7 == 0)
      junk = "\x1f\x8b\x08" + junk;
    if (round % 7 == 1)
      junk = "\x28\xb5\x2f\xfd" + junk;
    write_text(where / "t", junk);
    auto found = read_trace(where / "t");
    BOOST_REQUIRE(found.records.size() <= junk.size());
    (void)read_series(where / "t");
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_reported_and_stays_reported) {
  small_file_system disk(1 << 20);
  if (!disk.mounted())
    return say_skipped("mounting a tmpfs needs CAP_SYS_ADMIN");
  auto random = seeded("a_full_disk_is_reported");
  auto writer = trace_writer::create(disk / "t.csv").value();
  (void)writer->volume("v");
  result<void> outcome;
  for (int i = 0; i < 100 && outcome; ++i)
    outcome = writer->write(random_records(random, 1000, 1));
  CHECK_ERROR(outcome, errc::no_space);
  CHECK_ERROR(writer->close(), errc::no_space);
  BOOST_TEST(!path_exists(disk / "t.csv"));
}

BOOST_AUTO_TEST_CASE(millions_of_lines_a_second) {
#ifdef GNOMON_SANITIZED
  constexpr std::size_t lines = 50'000;
#else
  constexpr std::size_t lines = 500'000;
#endif
  scratch_directory where;
  std::mt19937_64 random(1);
  for (const std::string ending : endings) {
    const std::string path = where / ("t" + ending);
    auto writer = trace_writer::create(path).value();
    for (int v = 0; v < 8; ++v)
      (void)writer->volume("volume" + std::to_string(v));
    const auto records = random_records(random, lines, 8);
    REQUIRE_OK(writer->write(records));
    REQUIRE_OK(writer->close());
    const auto started = std::chrono::steady_clock::now();
    const auto found = read_trace(path);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    BOOST_TEST(found.records.size() == records.size());
    std::cout << ending << ": " << static_cast<double>(records.size()) / seconds / 1e6 << " million lines/s, "
              << std::filesystem::file_size(path) / 1024 << " KiB\n";
  }
}

BOOST_AUTO_TEST_CASE(series_are_read_by_volume_and_column) {
  scratch_directory where;
  write_text(where / "s.csv", "time_us,volume,reads,write_bytes\n0,a,1,2.5\n0,b,3,\n300,a,,1e3\n");
  auto table = read_series(where / "s.csv");
  REQUIRE_OK(table);
  BOOST_TEST((table->columns == std::vector<std::string>{"reads", "write_bytes"}));
  BOOST_REQUIRE(table->volumes.size() == 2u);
  BOOST_TEST(table->volumes[0].volume == "a");
  BOOST_TEST((table->volumes[0].time_us == std::vector<std::int64_t>{0, 300}));
  BOOST_TEST(table->volumes[0].values[table->column("write_bytes")][1] == 1000.0);
  BOOST_TEST(std::isnan(table->volumes[0].values[table->column("reads")][1]));
  BOOST_TEST(std::isnan(table->volumes[1].values[1][0]));
  BOOST_TEST(table->column("none") == 2u);
  for (const std::string bad :
       {"", "0,a,1\n", "time_us,volume\n", "time_us,volume,x\n0,a\n", "time_us,volume,x\n0,a,nan\n",
        "time_us,volume,x\n0,a,1e999\n", "time_us,volume,x\nx,a,1\n", "time_us,volume,x\n0,,1\n"}) {
    write_text(where / "bad.csv", bad);
    CHECK_ERROR(read_series(where / "bad.csv"), errc::corrupt);
  }
}

// GNOMON_TRACES names a directory with real traces (real_*.csv.gz); without it this says so.
BOOST_AUTO_TEST_CASE(real_traces_are_read_whole) {
  const char* traces = std::getenv("GNOMON_TRACES");
  if (!traces)
    return say_skipped("GNOMON_TRACES is not set");
  auto found = read_trace(std::string(traces) + "/real_cloudphysics_2h.csv.gz");
  BOOST_TEST(!found.failure);
  BOOST_TEST(found.records.size() == 113'872u);
  BOOST_TEST(found.volumes.size() == 1u);
  found = read_trace(std::string(traces) + "/real_websearch_60s.csv.gz");
  BOOST_TEST(!found.failure);
  BOOST_TEST(found.records.size() == 24'783u);
  BOOST_TEST(found.volumes.size() == 6u);
  auto table = read_series(std::string(traces) + "/real_series_30min_public.csv.gz");
  REQUIRE_OK(table);
  BOOST_TEST(table->volumes.size() == 46u);
}

BOOST_AUTO_TEST_SUITE_END()
