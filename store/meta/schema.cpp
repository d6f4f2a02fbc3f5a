#include "store/meta/schema.hpp"

#include <algorithm>

namespace gnomon::store {

namespace {

void put_time(field_writer& w, wall_time t) { w.i64(t.time_since_epoch().count()); }
wall_time get_time(field_reader& r) { return wall_time(microseconds(r.i64())); }

template <class T, class Put>
void put_optional(field_writer& w, const std::optional<T>& v, Put put) {
  w.boolean(v.has_value());
  if (v)
    put(*v);
}

template <class Id>
void put_id(field_writer& w, const Id& id) {
  w.raw(std::as_bytes(std::span(id.bytes)));
}

template <class Id>
Id get_id(field_reader& r) {
  Id id;
  const auto raw = r.raw(id.bytes.size());
  std::transform(raw.begin(), raw.end(), id.bytes.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
  return id;
}

template <class Get>
auto get_optional(field_reader& r, Get get) -> std::optional<decltype(get())> {
  if (!r.boolean())
    return std::nullopt;
  return get();
}

} // namespace

std::vector<std::string> meta_database_names() { return {"node", "volumes", "unwritten", "events", "instances", "layers", "heads", "groups", "access"}; }
std::vector<std::string> history_database_names() { return {"tails", "blocks", "instances", "models"}; }

std::string volume_key(volume_uuid uuid) {
  return {reinterpret_cast<const char*>(uuid.bytes.data()), uuid.bytes.size()};
}

std::string layer_key(layer_id id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

std::string event_key(event_id id) {
  std::string key;
  append_key_u64(key, id.value);
  return key;
}

bytes encode(const node_record& record) {
  field_writer w;
  w.u32(record.format);
  w.string(record.node.value);
  put_time(w, record.created);
  return seal_value(value_type::node, node_record_version, w.payload());
}

result<node_record> decode_node(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::node, node_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  node_record record;
  record.format = r.u32();
  record.node = node_name(r.string(node_name_length_max));
  record.created = get_time(r);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  return record;
}

bytes encode(const volume_record& record) {
  field_writer w;
  w.raw({reinterpret_cast<const std::byte*>(record.uuid.bytes.data()), record.uuid.bytes.size()});
  w.string(record.name.value);
  w.string(record.description);
  w.u64(record.size.value);
  put_optional(w, record.external_path, [&](const std::string& path) { w.string(path); });
  w.u8(record.cache == cache_mode::direct ? 1 : 0);
  w.boolean(record.read_only);
  w.boolean(record.shared);
  w.u8(static_cast<std::uint8_t>(record.origin));
  w.boolean(record.clean);
  put_time(w, record.created);
  put_optional(w, record.deleted_at, [&](wall_time t) { put_time(w, t); });
  put_optional(w, record.failure, [&](const write_failure& f) {
    w.u32(static_cast<std::uint32_t>(f.os_errno));
    put_time(w, f.when);
  });
  w.u64(record.revision);
  put_optional(w, record.source, [&](const snapshot_uuid& source) { put_id(w, source); });
  put_optional(w, record.opened, [&](const opening_evidence& e) {
    w.string(e.boot_id);
    w.string(e.file_system);
    w.u64(e.marks_token);
  });
  put_optional(w, record.doubt, [&](const volume_doubt& d) {
    w.u8(static_cast<std::uint8_t>(d.why));
    put_time(w, d.when);
  });
  return seal_value(value_type::volume, volume_record_version, w.payload());
}

result<volume_record> decode_volume(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::volume, volume_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  volume_record record;
  const auto uuid = r.raw(record.uuid.bytes.size());
  std::transform(uuid.begin(), uuid.end(), record.uuid.bytes.begin(),
                 [](std::byte b) { return static_cast<std::uint8_t>(b); });
  record.name = volume_name(r.string(volume_name_length_max));
  record.description = r.string(description_length_max);
  record.size = byte_count(r.u64());
  record.external_path = get_optional(r, [&] { return r.string(path_length_max); });
  record.cache = r.boolean() ? cache_mode::direct : cache_mode::buffered;
  record.read_only = r.boolean();
  record.shared = r.boolean();
  record.origin = r.enumeration(volume_origin::created);
  record.clean = r.boolean();
  record.created = get_time(r);
  record.deleted_at = get_optional(r, [&] { return get_time(r); });
  record.failure = get_optional(r, [&] {
    const int os_errno = static_cast<int>(r.u32());
    return write_failure{os_errno, get_time(r)};
  });
  record.revision = r.u64();
  if (opened->version >= 2)
    record.source = get_optional(r, [&] { return get_id<snapshot_uuid>(r); });
  if (opened->version >= 3) {
    record.opened = get_optional(r, [&] {
      opening_evidence e;
      e.boot_id = r.string(evidence_text_length_max);
      e.file_system = r.string(evidence_text_length_max);
      e.marks_token = r.u64();
      return e;
    });
    record.doubt = get_optional(r, [&] {
      const auto why = r.enumeration(volume_doubt::reason::without_evidence);
      return volume_doubt{why, get_time(r)};
    });
  }
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  const bool sensible = !record.uuid.is_nil() && !record.name.value.empty() &&
                        record.size.value <= volume_bytes_max && record.size.value % sector_bytes == 0;
  if (!sensible)
    return fail(errc::corrupt, std::string(what) + ": a volume without uuid or name, or of an impossible size");
  return record;
}

std::string_view to_string(volume_doubt::reason why) noexcept {
  switch (why) {
  case volume_doubt::reason::machine_stopped:
    return "the machine stopped while it was open: what no flush covered is lost";
  case volume_doubt::reason::remounted:
    return "the node was killed and its file system mounted again: what no flush covered may be lost";
  case volume_doubt::reason::marks_lost:
    return "the node was killed and nothing says whether its last flushes worked: writes may be lost";
  case volume_doubt::reason::without_evidence:
    return "it was not closed in order and nothing says how it was used: writes may be lost";
  }
  return "writes may be lost";
}

bytes encode(const calendar_event& event) {
  field_writer w;
  w.u64(event.id.value);
  w.string(event.notice.type);
  w.u8(static_cast<std::uint8_t>(event.notice.target.scope));
  w.string(event.notice.target.name);
  put_time(w, event.notice.start);
  w.i64(event.notice.duration.count());
  w.string(event.notice.note);
  w.u8(static_cast<std::uint8_t>(event.source));
  put_time(w, event.added);
  return seal_value(value_type::event, event_version, w.payload());
}

result<calendar_event> decode_event(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::event, event_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  calendar_event event;
  event.id = event_id(r.u64());
  event.notice.type = r.string(event_type_length_max);
  event.notice.target.scope = r.enumeration(event_scope::everything);
  event.notice.target.name = r.string(application_name_length_max);
  event.notice.start = get_time(r);
  event.notice.duration = microseconds(r.i64());
  event.notice.note = r.string(event_note_length_max);
  event.source = r.enumeration(event_source::http);
  event.added = get_time(r);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  if (auto ok = check_event(event.notice); !ok || event.id.value == 0)
    return fail(errc::corrupt, std::string(what) + ": " + (ok ? "an event without a number" : ok.error().message));
  return event;
}

bytes encode_clock_mark(wall_time believed) {
  field_writer w;
  put_time(w, believed);
  return seal_value(value_type::clock_mark, clock_mark_version, w.payload());
}

result<wall_time> decode_clock_mark(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::clock_mark, clock_mark_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  const auto believed = get_time(r);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  return believed;
}

bytes encode_event_counter(event_id next) {
  field_writer w;
  w.u64(next.value);
  return seal_value(value_type::event_counter, event_counter_version, w.payload());
}

result<event_id> decode_event_counter(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::event_counter, event_counter_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  const event_id next(r.u64());
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  if (next.value == 0)
    return fail(errc::corrupt, std::string(what) + ": the number 0");
  return next;
}

result<void> check_instance(const instance_record& record) {
  if (record.id.value.empty())
    return fail(errc::invalid_argument, "an instance without a name");
  for (const auto& text : {record.id.value, record.application.value_or(""), record.host.value_or("")})
    if (text.size() > instance_text_length_max)
      return fail(errc::invalid_argument,
                  "a text about an instance is longer than " + std::to_string(instance_text_length_max) + " bytes");
  if (record.read_p99.value_or(microseconds(0)).count() < 0 ||
      record.rpo.value_or(std::chrono::seconds(0)).count() < 0)
    return fail(errc::invalid_argument, "a duration below 0");
  return {};
}

bytes encode(const instance_record& record) {
  field_writer w;
  w.string(record.id.value);
  put_optional(w, record.application, [&](const std::string& text) { w.string(text); });
  put_optional(w, record.level, [&](criticality level) { w.u8(static_cast<std::uint8_t>(level)); });
  put_optional(w, record.read_p99, [&](microseconds limit) { w.i64(limit.count()); });
  put_optional(w, record.rpo, [&](std::chrono::seconds limit) { w.i64(limit.count()); });
  put_optional(w, record.host, [&](const std::string& text) { w.string(text); });
  put_time(w, record.changed);
  return seal_value(value_type::instance, instance_record_version, w.payload());
}

result<instance_record> decode_instance(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::instance, instance_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  instance_record record;
  record.id = instance_id(r.string(instance_text_length_max));
  record.application = get_optional(r, [&] { return r.string(instance_text_length_max); });
  record.level = get_optional(r, [&] { return r.enumeration(criticality::high); });
  record.read_p99 = get_optional(r, [&] { return microseconds(r.i64()); });
  record.rpo = get_optional(r, [&] { return std::chrono::seconds(r.i64()); });
  record.host = get_optional(r, [&] { return r.string(instance_text_length_max); });
  record.changed = get_time(r);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  if (auto sensible = check_instance(record); !sensible)
    return fail(errc::corrupt, std::string(what) + ": " + sensible.error().message);
  return record;
}

bytes encode(const layer_record& record) {
  field_writer w;
  put_id(w, record.id);
  put_id(w, record.snapshot);
  put_optional(w, record.parent, [&](const snapshot_uuid& parent) { put_id(w, parent); });
  put_id(w, record.volume);
  w.string(record.name.value);
  w.u64(record.size.value);
  put_time(w, record.cut);
  w.u64(record.hash_seed);
  w.u64(record.seal_low);
  w.u64(record.seal_high);
  w.u64(record.file_bytes);
  w.u64(record.data_granules);
  w.u64(record.zero_granules);
  w.string(record.note);
  put_optional(w, record.group, [&](const group_point& group) {
    w.string(group.name.value);
    put_id(w, group.cut);
    w.boolean(group.released);
    w.u32(static_cast<std::uint32_t>(group.members.size()));
    for (const auto& member : group.members) {
      put_id(w, member.volume);
      put_id(w, member.snapshot);
    }
  });
  w.u8(static_cast<std::uint8_t>(record.state));
  put_optional(w, record.locked_until, [&](wall_time t) { put_time(w, t); });
  return seal_value(value_type::layer, layer_record_version, w.payload());
}

result<layer_record> decode_layer(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::layer, layer_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  layer_record record;
  record.id = get_id<layer_id>(r);
  record.snapshot = get_id<snapshot_uuid>(r);
  record.parent = get_optional(r, [&] { return get_id<snapshot_uuid>(r); });
  record.volume = get_id<volume_uuid>(r);
  record.name = volume_name(r.string(volume_name_length_max));
  record.size = byte_count(r.u64());
  record.cut = get_time(r);
  record.hash_seed = r.u64();
  record.seal_low = r.u64();
  record.seal_high = r.u64();
  record.file_bytes = r.u64();
  record.data_granules = r.u64();
  record.zero_granules = r.u64();
  record.note = r.string(snapshot_note_length_max);
  record.group = get_optional(r, [&] {
    group_point group;
    group.name = group_name(r.string(volume_name_length_max));
    group.cut = get_id<group_cut_id>(r);
    group.released = r.boolean();
    const auto members = r.u32();
    if (members > group_members_max)
      r.violate("more members than a group may have");
    for (std::uint32_t i = 0; i < members && r.ok(); ++i) {
      group_member member;
      member.volume = get_id<volume_uuid>(r);
      member.snapshot = get_id<snapshot_uuid>(r);
      group.members.push_back(member);
    }
    return group;
  });
  record.state = r.enumeration(layer_state::deleting);
  record.locked_until = get_optional(r, [&] { return get_time(r); });
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  const bool sensible = !record.id.is_nil() && !record.snapshot.is_nil() && !record.volume.is_nil() &&
                        record.parent != record.snapshot && record.size.value > 0 &&
                        record.size.value <= volume_bytes_max && record.size.value % sector_bytes == 0;
  if (!sensible)
    return fail(errc::corrupt, std::string(what) + ": a layer without ids, on itself, or of an impossible size");
  return record;
}

bytes encode_head(snapshot_uuid head) {
  field_writer w;
  put_id(w, head);
  return seal_value(value_type::snapshot_head, snapshot_head_version, w.payload());
}

result<snapshot_uuid> decode_head(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::snapshot_head, snapshot_head_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  const auto head = get_id<snapshot_uuid>(r);
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  return head;
}

bytes encode(const group_record& record) {
  field_writer w;
  w.string(record.name.value);
  w.u32(static_cast<std::uint32_t>(record.volumes.size()));
  for (const auto& volume : record.volumes)
    put_id(w, volume);
  w.boolean(record.prediction);
  put_optional(w, record.every, [&](std::chrono::seconds every) { w.i64(every.count()); });
  w.u32(record.retain);
  put_time(w, record.created);
  w.i64(record.latest_by.count());
  w.i64(record.baseline_every.count());
  w.u32(record.quiet_below_permille);
  w.u32(record.hourly);
  w.u32(record.daily);
  w.u32(record.weekly);
  return seal_value(value_type::snapshot_group, group_record_version, w.payload());
}

result<group_record> decode_group(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::snapshot_group, group_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  group_record record;
  record.name = group_name(r.string(volume_name_length_max));
  const auto volumes = r.u32();
  if (volumes > group_members_max)
    r.violate("more members than a group may have");
  for (std::uint32_t i = 0; i < volumes && r.ok(); ++i)
    record.volumes.push_back(get_id<volume_uuid>(r));
  record.prediction = r.boolean();
  record.every = get_optional(r, [&] { return std::chrono::seconds(r.i64()); });
  record.retain = r.u32();
  record.created = get_time(r);
  if (opened->version >= 2) {
    record.latest_by = std::chrono::seconds(r.i64());
    record.baseline_every = std::chrono::seconds(r.i64());
    record.quiet_below_permille = r.u32();
    record.hourly = r.u32();
    record.daily = r.u32();
    record.weekly = r.u32();
  }
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  if (record.name.value.empty() || record.volumes.empty() || record.every.value_or(std::chrono::seconds(1)).count() <= 0 ||
      record.latest_by.count() < 0 || record.baseline_every.count() < 0 || record.quiet_below_permille > 1000)
    return fail(errc::corrupt, std::string(what) + ": a group without name or members, or of no interval");
  return record;
}

bytes encode(const access_record& record) {
  field_writer w;
  w.raw({reinterpret_cast<const std::byte*>(record.volume.bytes.data()), record.volume.bytes.size()});
  w.u64(record.epoch);
  w.boolean(record.everybody_fenced);
  put_optional(w, record.only, [&](const instance_id& heir) { w.string(heir.value); });
  w.u32(static_cast<std::uint32_t>(record.fenced.size()));
  for (const auto& fence : record.fenced) {
    w.string(fence.instance.value);
    w.u64(fence.epoch);
    put_time(w, fence.when);
  }
  w.u32(static_cast<std::uint32_t>(record.grants.size()));
  for (const auto& grant : record.grants)
    w.string(grant.value);
  return seal_value(value_type::access, access_record_version, w.payload());
}

result<access_record> decode_access(bytes_view stored, std::string_view what) {
  auto opened = open_value(stored, value_type::access, access_record_version, what);
  if (!opened)
    return tl::unexpected(opened.error());
  field_reader r(opened->payload);
  access_record record;
  const auto uuid = r.raw(record.volume.bytes.size());
  std::transform(uuid.begin(), uuid.end(), record.volume.bytes.begin(),
                 [](std::byte b) { return static_cast<std::uint8_t>(b); });
  record.epoch = r.u64();
  record.everybody_fenced = r.boolean();
  const auto get_instance = [&] { return instance_id(r.string(instance_text_length_max)); };
  record.only = get_optional(r, get_instance);
  const auto fences = r.u32();
  if (fences > access_fences_max)
    r.violate("too many fences");
  for (std::uint32_t i = 0; i < fences && r.ok(); ++i) {
    access_record::fence fence;
    fence.instance = get_instance();
    fence.epoch = r.u64();
    fence.when = get_time(r);
    record.fenced.push_back(std::move(fence));
  }
  const auto grants = r.ok() ? r.u32() : 0;
  if (grants > access_grants_max)
    r.violate("too many grants");
  for (std::uint32_t i = 0; i < grants && r.ok(); ++i)
    record.grants.push_back(get_instance());
  if (auto ok = r.finish(what); !ok)
    return tl::unexpected(ok.error());
  if (record.volume.is_nil())
    return fail(errc::corrupt, std::string(what) + ": without a volume");
  return record;
}

} // namespace gnomon::store
