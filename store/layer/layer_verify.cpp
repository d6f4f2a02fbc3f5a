#include "store/layer/layer_verify.hpp"

#include <fmt/format.h>

namespace gnomon::store {

namespace {

struct walk {
  const layer_reader& layer;
  layer_report& report;
  std::uint64_t cursor = layer_header_bytes; // the first byte that belongs to no block yet
  layer_footer seen;

  void found(layer_damage kind, std::optional<granule_index> granule, std::string text) {
    if (++report.findings_count <= layer_findings_listed_max)
      report.findings.push_back({kind, granule, std::move(text)});
  }

  void lies_at(std::uint64_t offset, std::uint64_t length, const char* what) {
    if (offset != cursor)
      found(layer_damage::layout, {}, fmt::format("{}: {} lies at {}, expected at {}", layer.name(), what, offset, cursor));
    cursor = offset + length;
  }

  void check_record(const layer_entry& entry) {
    lies_at(entry.offset, record_head_bytes + entry.stored_length, "a record");
    ++report.granules_checked;
    ++seen.data_granules;
    seen.stored_bytes += entry.stored_length;
    std::array<std::byte, granule_bytes> content;
    if (auto stored = layer.read_stored(entry, content); !stored)
      return found(stored.error().code == errc::corrupt ? layer_damage::record : layer_damage::unreadable,
                   entry.granule, stored.error().message);
    if (auto read = layer.read(entry, entry.granule, content); !read)
      found(layer_damage::content, entry.granule, read.error().message);
  }

  void check_page(std::size_t index) {
    const auto& where = layer.pages()[index];
    auto page = layer.read_page(index);
    if (!page) {
      found(page.error().code == errc::corrupt ? layer_damage::page : layer_damage::unreadable,
            granule_index(where.first), page.error().message);
      cursor = where.offset + page_bytes(where.entries);
      return;
    }
    for (const auto& entry : **page)
      if (entry.is_zero()) {
        report.granules_checked += entry.run;
        seen.zero_granules += entry.run;
        check_zero(entry);
      } else {
        check_record(entry);
      }
    lies_at(where.offset, page_bytes(where.entries), "an index page");
  }

  void check_zero(const layer_entry& entry) {
    static const bytes zeros(granule_bytes);
    if (entry.hash != hash_content(zeros, layer.header().hash_seed))
      found(layer_damage::content, entry.granule,
            fmt::format("{}: the zeros at granule {} do not match their hash", layer.name(), entry.granule.value));
  }
};

layer_report unopened(const error& why) {
  layer_report report;
  report.findings_count = 1;
  report.findings.push_back(
      {why.code == errc::corrupt || why.code == errc::unsupported ? layer_damage::layer : layer_damage::unreadable, {},
       why.message});
  return report;
}

} // namespace

std::string_view to_string(layer_damage kind) noexcept {
  switch (kind) {
  case layer_damage::unreadable: return "unreadable";
  case layer_damage::layer: return "layer";
  case layer_damage::page: return "page";
  case layer_damage::record: return "record";
  case layer_damage::content: return "content";
  case layer_damage::layout: return "layout";
  case layer_damage::counts: return "counts";
  }
  return "?";
}

layer_report verify_layer(std::unique_ptr<layer_file> file, const layer_expectation& expected,
                          const std::function<bool()>& go_on) {
  auto layer = layer_reader::open(std::move(file), expected);
  if (!layer)
    return unopened(layer.error());
  layer_report report;
  walk w{**layer, report, layer_header_bytes, {}};
  for (std::size_t i = 0; i < (*layer)->pages().size(); ++i) {
    if (go_on && !go_on())
      return report;
    w.check_page(i);
  }
  const auto& footer = (*layer)->footer();
  const auto root_bytes = (*layer)->pages().size() * root_entry_bytes;
  const auto rest = root_bytes + encode_footer(footer).size() + layer_trailer_bytes;
  report.bytes_checked = (*layer)->file_bytes();
  if (w.cursor + rest != report.bytes_checked)
    w.found(layer_damage::layout, {}, fmt::format("{}: the bytes at {} belong to no block", (*layer)->name(), w.cursor));
  if (report.good() && (footer.data_granules != w.seen.data_granules || footer.zero_granules != w.seen.zero_granules ||
                        footer.stored_bytes != w.seen.stored_bytes))
    w.found(layer_damage::counts, {}, fmt::format("{}: the footer counts other granules than there are", (*layer)->name()));
  return report;
}

layer_report verify_layer(const std::string& path, const layer_expectation& expected,
                          const std::function<bool()>& go_on) {
  auto file = open_layer_file(path);
  if (!file)
    return unopened(file.error());
  return verify_layer(std::move(*file), expected, go_on);
}

} // namespace gnomon::store
