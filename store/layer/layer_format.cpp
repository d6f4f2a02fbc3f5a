#include "store/layer/layer_format.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "config/names.hpp"
#include "store/lmdb/codec.hpp"

namespace gnomon::store {

namespace {

constexpr std::uint64_t header_magic = 0x5259414c4d4e47ull;     // "GNMLAYR"
constexpr std::uint64_t trailer_magic = 0x444e45524c4d4e47ull;  // "GNMLREND"
constexpr std::uint32_t record_magic = 0x4345524cu;             // "LREC"
constexpr std::uint32_t page_magic = 0x4741504cu;               // "LPAG"
constexpr std::size_t tag_bytes = 16;

template <std::size_t N>
bytes_view raw(const std::array<std::uint8_t, N>& bytes) {
  return std::as_bytes(std::span(bytes));
}

template <std::size_t N>
void take(field_reader& r, std::array<std::uint8_t, N>& out) {
  const auto part = r.raw(N);
  std::memcpy(out.data(), part.data(), std::min(part.size(), N));
}

// Fills up with zeros and appends the checksum of all before it.
bytes closed(field_writer&& w, std::size_t block_bytes, std::uint64_t binding = 0) {
  bytes block = w.take();
  block.resize(block_bytes - sizeof(std::uint64_t));
  field_writer tail;
  tail.u64(bound_checksum(binding, block));
  block.insert(block.end(), tail.payload().begin(), tail.payload().end());
  return block;
}

bool closes(bytes_view block) {
  const auto body = block.first(block.size() - sizeof(std::uint64_t));
  return bound_checksum(0, body) == stored_checksum(block);
}

auto damaged(std::string_view what, std::string_view part) {
  return fail(errc::corrupt, fmt::format("{}: {}", what, part));
}

void put_entry(field_writer& w, const layer_entry& e) {
  w.u64(e.granule.value);
  w.u32(e.run);
  w.u32(e.stored_length);
  w.u64(e.offset);
  w.u64(e.hash.low);
  w.u64(e.hash.high);
}

layer_entry get_entry(field_reader& r) {
  layer_entry e;
  e.granule = granule_index(r.u64());
  e.run = r.u32();
  e.stored_length = r.u32();
  e.offset = r.u64();
  e.hash.low = r.u64();
  e.hash.high = r.u64();
  return e;
}

bool sensible(const layer_entry& e) {
  if (e.run == 0 || e.end() > volume_bytes_max / granule_bytes)
    return false;
  return e.is_zero() ? e.stored_length == 0
                     : e.run == 1 && e.stored_length > 0 && e.stored_length <= granule_bytes &&
                           e.offset >= layer_header_bytes;
}

} // namespace

std::string_view to_string(layer_kind kind) noexcept {
  return kind == layer_kind::baseline ? "baseline" : "differential";
}

std::uint64_t stored_checksum(bytes_view block) noexcept {
  field_reader r(block.last(sizeof(std::uint64_t)));
  return r.u64();
}

bytes encode_header(const layer_header& h) {
  field_writer w;
  w.u64(header_magic);
  w.u16(layer_version);
  w.u8(static_cast<std::uint8_t>(h.kind()));
  w.u8(static_cast<std::uint8_t>(h.cipher));
  w.u32(granule_bytes);
  w.raw(raw(h.id.bytes));
  w.raw(raw(h.snapshot.bytes));
  w.raw(raw(h.parent.value_or(snapshot_uuid{}).bytes));
  w.raw(raw(h.volume.bytes));
  w.u64(h.size.value);
  w.i64(h.cut.time_since_epoch().count());
  w.u64(h.hash_seed);
  w.raw(raw(h.key));
  w.string(h.name.value);
  return closed(std::move(w), layer_header_bytes);
}

result<layer_header> decode_header(bytes_view block, std::string_view what) {
  field_reader r(block);
  if (block.size() != layer_header_bytes || r.u64() != header_magic)
    return damaged(what, "not a layer file");
  if (!closes(block))
    return damaged(what, "the header's checksum does not match");
  if (const auto version = r.u16(); version != layer_version)
    return fail(errc::unsupported, fmt::format("{}: a layer file of version {}, this is version {}", what, version,
                                               layer_version));
  layer_header h;
  const auto kind = r.u8(), cipher = r.u8();
  const bool granules_fit = r.u32() == granule_bytes;
  take(r, h.id.bytes);
  take(r, h.snapshot.bytes);
  snapshot_uuid parent;
  take(r, parent.bytes);
  if (!parent.is_nil())
    h.parent = parent;
  take(r, h.volume.bytes);
  h.size = byte_count(r.u64());
  h.cut = wall_time(microseconds(r.i64()));
  h.hash_seed = r.u64();
  take(r, h.key);
  h.name = volume_name(r.string(volume_name_length_max));
  if (cipher != static_cast<std::uint8_t>(layer_cipher::none))
    return fail(errc::unsupported, fmt::format("{}: an encrypted layer; this build has no cipher {}", what, cipher));
  const bool fits = r.ok() && granules_fit && kind == static_cast<std::uint8_t>(h.kind()) && !h.id.is_nil() &&
                    !h.snapshot.is_nil() && !h.volume.is_nil() && h.parent != h.snapshot && h.size.value > 0 &&
                    h.size.value <= volume_bytes_max && h.size.value % sector_bytes == 0;
  if (!fits)
    return damaged(what, "the header says what cannot be");
  return h;
}

bytes encode_record_head(const record_head& head, bytes_view stored, std::uint64_t binding, std::uint64_t offset) {
  field_writer w;
  w.u32(record_magic);
  w.u32(head.stored_length);
  w.u64(head.granule.value);
  w.u64(static_cast<std::uint64_t>(head.coding));
  w.raw(bytes(tag_bytes));
  w.u64(bound_checksum(place_binding(binding, offset), w.payload(), stored));
  return w.take();
}

std::uint32_t peek_stored_length(bytes_view head) noexcept {
  field_reader r(head);
  r.u32();
  return r.u32();
}

result<record_head> decode_record_head(bytes_view head, bytes_view stored, std::uint64_t binding,
                                       std::uint64_t offset, std::string_view what) {
  const auto body = head.first(record_head_bytes - sizeof(std::uint64_t));
  if (bound_checksum(place_binding(binding, offset), body, stored) != stored_checksum(head))
    return damaged(what, fmt::format("the record at {}: its checksum does not match", offset));
  field_reader r(body);
  record_head out;
  const auto magic = r.u32();
  out.stored_length = r.u32();
  out.granule = granule_index(r.u64());
  const auto coding = r.u64();
  if (magic != record_magic || out.stored_length != stored.size() || coding > 1 ||
      (coding == 0 && stored.size() != granule_bytes))
    return damaged(what, fmt::format("the record at {} says what cannot be", offset));
  out.coding = static_cast<record_coding>(coding);
  return out;
}

bytes encode_page(const std::vector<layer_entry>& entries, std::uint64_t binding, std::uint64_t offset) {
  field_writer body;
  for (const auto& e : entries)
    put_entry(body, e);
  field_writer w;
  w.u32(page_magic);
  w.u32(static_cast<std::uint32_t>(entries.size()));
  w.u64(entries.front().granule.value);
  w.u64(entries.back().end());
  w.raw(bytes(tag_bytes));
  w.raw(bytes(16));
  w.u64(bound_checksum(place_binding(binding, offset), w.payload(), body.payload()));
  w.raw(body.payload());
  return w.take();
}

result<std::vector<layer_entry>> decode_page(bytes_view page, const root_entry& where, std::uint64_t binding,
                                             std::string_view what) {
  const auto wrong = [&](std::string_view part) {
    return damaged(what, fmt::format("the index page at {}: {}", where.offset, part));
  };
  if (page.size() != page_bytes(where.entries))
    return wrong("another length than the root says");
  const auto head = page.first(page_head_bytes), body = page.subspan(page_head_bytes);
  const auto covered = head.first(page_head_bytes - sizeof(std::uint64_t));
  const auto sum = bound_checksum(place_binding(binding, where.offset), covered, body);
  if (sum != stored_checksum(head) || sum != where.checksum)
    return wrong("its checksum does not match");
  field_reader h(covered), r(body);
  if (h.u32() != page_magic || h.u32() != where.entries || h.u64() != where.first || h.u64() != where.end)
    return wrong("says what the root does not");
  std::vector<layer_entry> entries;
  entries.reserve(where.entries);
  std::uint64_t next = where.first;
  for (std::uint32_t i = 0; i < where.entries; ++i) {
    const auto e = get_entry(r);
    if (!sensible(e) || e.granule.value < next || (i == 0 && e.granule.value != where.first))
      return wrong("its entries say what cannot be");
    next = e.end();
    entries.push_back(e);
  }
  if (next != where.end)
    return wrong("its entries end elsewhere");
  return entries;
}

bytes encode_root(const std::vector<root_entry>& pages) {
  field_writer w;
  for (const auto& p : pages) {
    w.u64(p.first);
    w.u64(p.end);
    w.u64(p.offset);
    w.u32(p.entries);
    w.u32(0);
    w.u64(p.checksum);
  }
  return w.take();
}

result<std::vector<root_entry>> decode_root(bytes_view root, const layer_trailer& trailer, std::string_view what) {
  if (root.size() != trailer.pages * root_entry_bytes ||
      bound_checksum(trailer.root_offset, root) != trailer.root_checksum)
    return damaged(what, "the index root's checksum does not match");
  std::vector<root_entry> pages;
  pages.reserve(trailer.pages);
  field_reader r(root);
  std::uint64_t next = 0, offset = layer_header_bytes;
  for (std::uint32_t i = 0; i < trailer.pages; ++i) {
    root_entry p;
    p.first = r.u64();
    p.end = r.u64();
    p.offset = r.u64();
    p.entries = r.u32();
    const auto reserved = r.u32();
    p.checksum = r.u64();
    const bool fits = reserved == 0 && p.entries > 0 && p.entries <= page_entries_max && p.first >= next &&
                      p.end > p.first && p.offset >= offset && p.offset <= trailer.root_offset &&
                      trailer.root_offset - p.offset >= page_bytes(p.entries);
    if (!fits)
      return damaged(what, "the index root says what cannot be");
    next = p.end;
    offset = p.offset + page_bytes(p.entries);
    pages.push_back(p);
  }
  return pages;
}

bytes encode_footer(const layer_footer& f) {
  field_writer w;
  w.string(f.note);
  w.u64(f.data_granules);
  w.u64(f.zero_granules);
  w.u64(f.stored_bytes);
  w.boolean(f.group.has_value());
  if (f.group) {
    w.string(f.group->name.value);
    w.raw(raw(f.group->cut.bytes));
    w.boolean(f.group->released);
    w.u32(static_cast<std::uint32_t>(f.group->members.size()));
    for (const auto& m : f.group->members) {
      w.raw(raw(m.volume.bytes));
      w.raw(raw(m.snapshot.bytes));
    }
  }
  return w.take();
}

result<layer_footer> decode_footer(bytes_view footer, std::string_view what) {
  field_reader r(footer);
  layer_footer f;
  f.note = r.string(snapshot_note_length_max);
  f.data_granules = r.u64();
  f.zero_granules = r.u64();
  f.stored_bytes = r.u64();
  if (r.boolean()) {
    group_point group;
    group.name = group_name(r.string(group_name_length_max));
    take(r, group.cut.bytes);
    group.released = r.boolean();
    const auto members = r.u32();
    if (members > group_members_max)
      return damaged(what, "the footer names more members than a group may have");
    for (std::uint32_t i = 0; i < members && r.ok(); ++i) {
      group_member m;
      take(r, m.volume.bytes);
      take(r, m.snapshot.bytes);
      group.members.push_back(m);
    }
    f.group = std::move(group);
  }
  if (auto ok = r.finish(fmt::format("{}: the footer", what)); !ok)
    return tl::unexpected(ok.error());
  return f;
}

bytes encode_trailer(const layer_trailer& t) {
  field_writer w;
  w.u64(trailer_magic);
  w.u64(t.file_bytes);
  w.u64(t.root_offset);
  w.u64(t.footer_offset);
  w.u32(t.pages);
  w.u32(t.footer_bytes);
  w.u64(t.header_checksum);
  w.u64(t.root_checksum);
  w.u64(t.footer_checksum);
  w.raw(raw(t.id.bytes));
  return closed(std::move(w), layer_trailer_bytes);
}

result<layer_trailer> decode_trailer(bytes_view block, std::string_view what) {
  field_reader r(block);
  if (block.size() != layer_trailer_bytes || r.u64() != trailer_magic)
    return damaged(what, "it has no end: truncated, or never sealed");
  if (!closes(block))
    return damaged(what, "the trailer's checksum does not match");
  layer_trailer t;
  t.file_bytes = r.u64();
  t.root_offset = r.u64();
  t.footer_offset = r.u64();
  t.pages = r.u32();
  t.footer_bytes = r.u32();
  t.header_checksum = r.u64();
  t.root_checksum = r.u64();
  t.footer_checksum = r.u64();
  take(r, t.id.bytes);
  const bool fits = t.pages <= layer_pages_max && t.footer_bytes <= layer_footer_bytes_max &&
                    t.root_offset >= layer_header_bytes && t.root_offset <= t.file_bytes &&
                    t.footer_offset - t.root_offset == t.pages * root_entry_bytes &&
                    t.file_bytes - t.footer_offset == t.footer_bytes + layer_trailer_bytes &&
                    t.footer_offset <= t.file_bytes;
  if (!fits)
    return damaged(what, "the trailer says what cannot be");
  return t;
}

} // namespace gnomon::store
