// Opening the catalogue: one pass over the records, one over volumes/, and the completion of what a crash cut short.
#include <algorithm>
#include <chrono>
#include <unordered_set>

#include <fmt/format.h>

#include "config/log.hpp"
#include "store/meta/catalogue.hpp"
#include "store/meta/repair.hpp"

namespace gnomon::store {

namespace {

constexpr std::size_t settle_batch_max = 4096; // records written by one commit

// A name nobody has: `wanted`, or `wanted` with the beginning of the uuid.
volume_name free_name(const std::string& wanted, volume_uuid uuid, const std::set<std::string>& taken) {
  if (!taken.count(wanted))
    return volume_name(wanted);
  return volume_name(wanted.substr(0, volume_name_length_max - 37) + "~" + uuid.to_string());
}

} // namespace

struct catalogue::loaded_state {
  std::map<volume_uuid, volume_record> records;
  std::unordered_set<volume_uuid> damaged; // in LMDB, but not readable
  std::vector<std::pair<volume_uuid, std::string>> damage;
  std::set<volume_uuid> unwritten; // descriptors to rewrite
  std::set<volume_uuid> changed;   // records to write back
  std::vector<volume_uuid> directories;
  bool known_to_lmdb = false; // the catalogue has been here before
};

result<std::unique_ptr<catalogue>> catalogue::open(catalogue_options options, catalogue_opening* opening) {
  if (!options.meta)
    return fail(errc::internal, "catalogue: no environment");
  try {
    auto opened = std::unique_ptr<catalogue>(new catalogue(std::move(options)));
    catalogue_opening ignored;
    if (auto ok = opened->load(opening ? *opening : ignored); !ok)
      return tl::unexpected(ok.error());
    opened->worker_ = std::make_unique<serial_worker>("catalogue", catalogue_changes_queued_max);
    opened->trash_worker_ = std::make_unique<serial_worker>("trash", trash_queued_max);
    return opened;
  } catch (const std::exception& e) {
    return fail(errc::internal, fmt::format("catalogue: exception: {}", e.what()));
  }
}

result<void> catalogue::load(catalogue_opening& opening) {
  loaded_state state;
  if (auto ok = read_records(state); !ok)
    return ok;
  std::vector<std::string> strangers;
  auto directories = files_.list(strangers);
  if (!directories)
    return tl::unexpected(directories.error());
  state.directories = std::move(*directories);
  for (const auto& name : strangers)
    opening.problems.push_back({{}, fmt::format("{}/{}: not a volume's directory", options_.volumes_path, name)});

  const bool lost = !state.known_to_lmdb && !state.directories.empty();
  if (lost && options_.on_lost == lost_catalogue::refuse)
    return fail(errc::corrupt, fmt::format("{} holds {} volumes, but the catalogue in meta/ is empty: restore meta/, "
                                           "or have it written anew from the volumes' descriptors with: {}",
                                           options_.volumes_path, state.directories.size(), repair_command));
  auto ok = lost ? rebuild(state, opening) : recover_records(state, opening);
  if (!ok)
    return ok;
  if (!lost)
    compare_descriptors(state, opening);
  if (auto swept = sweep_orphans(state, opening); !swept)
    return swept;
  check_files(state, opening);
  judge(state, opening);
  return settle(state, opening);
}

result<void> catalogue::read_records(loaded_state& state) const {
  return options_.meta->read([&](const read_transaction& t) -> result<void> {
    auto node = t.get(meta_database::node, node_key);
    if (!node)
      return tl::unexpected(node.error());
    state.known_to_lmdb = node->has_value();
    if (*node) {
      // A damaged node record is no reason not to start: whose directory this is stands in the format file as well.
      auto record = decode_node(**node, "meta: node");
      if (record && record->node != options_.node)
        return fail(errc::invalid_argument, fmt::format("the catalogue of node \"{}\", not of \"{}\"",
                                                        record->node.value, options_.node.value));
      if (!record && record.error().code == errc::unsupported)
        return tl::unexpected(record.error());
    }
    auto scanned = t.scan(meta_database::volumes, "", [&](std::string_view key, bytes_view value) {
      volume_uuid uuid;
      if (key.size() != uuid.bytes.size()) {
        state.damage.emplace_back(uuid, "meta: volumes: a key that is no uuid");
        return scan_step::next;
      }
      std::copy(key.begin(), key.end(), uuid.bytes.begin());
      auto record = decode_volume(value, "meta: volume " + uuid.to_string());
      if (record && record->uuid != uuid)
        record = fail(errc::corrupt, "meta: volume " + uuid.to_string() + ": the record of another volume");
      if (record) {
        state.records.emplace(uuid, std::move(*record));
      } else {
        state.damaged.insert(uuid);
        state.damage.emplace_back(uuid, record.error().to_string());
      }
      return scan_step::next;
    });
    if (!scanned)
      return scanned;
    return t.scan(meta_database::unwritten, "", [&](std::string_view key, bytes_view) {
      volume_uuid uuid;
      if (key.size() == uuid.bytes.size()) {
        std::copy(key.begin(), key.end(), uuid.bytes.begin());
        state.unwritten.insert(uuid);
      }
      return scan_step::next;
    });
  });
}

// Damaged records come back from their descriptors where those are whole.
result<void> catalogue::recover_records(loaded_state& state, catalogue_opening& opening) const {
  std::set<std::string> taken;
  for (const auto& [uuid, record] : state.records)
    if (!record.deleted_at)
      taken.insert(record.name.value);
  for (const auto& [uuid, text] : state.damage) {
    auto record = files_.read_descriptor(uuid);
    if (!record) {
      opening.problems.push_back({uuid, text});
      continue;
    }
    record->clean = false;
    record->opened.reset();
    if (!record->deleted_at)
      record->name = free_name(record->name.value, uuid, taken), taken.insert(record->name.value);
    state.records.emplace(uuid, std::move(*record));
    state.damaged.erase(uuid);
    state.changed.insert(uuid);
    ++opening.records_recovered;
    opening.problems.push_back({uuid, text + "; recovered from its descriptor"});
  }
  return {};
}

// An older copy of meta/ that was put back knows less than the volumes' own descriptors: the newer one wins, and a
// directory that the catalogue does not know is a volume if it describes itself.
void catalogue::compare_descriptors(loaded_state& state, catalogue_opening& opening) const {
  std::set<std::string> taken;
  for (const auto& [uuid, record] : state.records)
    if (!record.deleted_at)
      taken.insert(record.name.value);
  const auto take_in = [&](volume_record found, const std::string& why) {
    found.clean = false;
    found.opened.reset();
    if (!found.deleted_at) {
      found.name = free_name(found.name.value, found.uuid, taken);
      taken.insert(found.name.value);
    }
    opening.problems.push_back({found.uuid, fmt::format("volume {}: {}; taken from its descriptor",
                                                        found.name.value, why)});
    ++opening.records_recovered;
    state.changed.insert(found.uuid);
    state.unwritten.insert(found.uuid);
    state.records[found.uuid] = std::move(found);
  };
  for (const auto uuid : state.directories) {
    if (state.damaged.count(uuid))
      continue;
    auto found = files_.read_descriptor(uuid);
    const auto known = state.records.find(uuid);
    if (known == state.records.end()) {
      if (found)
        take_in(std::move(*found), "the catalogue does not know it: was an older copy of meta/ put back?");
      else if (const auto data = inspect_backing(files_.directory(uuid) + "/" + data_file_name);
               found.error().code != errc::not_found || (data && data->ever_written)) {
        state.damaged.insert(uuid); // something is there: not an unfinished creation
        opening.problems.push_back({uuid, fmt::format("{}: the catalogue does not know it, and its descriptor cannot "
                                                      "be read: {}",
                                                      files_.directory(uuid), found.error().to_string())});
      }
      continue;
    }
    if (!found) {
      state.unwritten.insert(uuid);
      continue;
    }
    if (found->revision <= known->second.revision || state.unwritten.count(uuid))
      continue;
    if (!known->second.deleted_at)
      taken.erase(known->second.name.value);
    take_in(std::move(*found), "meta/ has an older record of it: was an older copy put back?");
  }
}

// What an unclean stop may have cost. Verdicts stay until an operator takes note; the next opening is judged by the
// present boot and mount.
void catalogue::judge(loaded_state& state, catalogue_opening& opening) const {
  const auto marks = options_.marks ? options_.marks->all() : std::map<volume_uuid, int>{};
  const auto now = options_.clock->wall_now();
  using reason = volume_doubt::reason;
  for (auto& [uuid, record] : state.records) {
    if (const auto mark = marks.find(uuid); mark != marks.end() && !record.failure) {
      record.failure = write_failure{mark->second, now};
      record.clean = false;
      ++record.revision;
      state.changed.insert(uuid);
      state.unwritten.insert(uuid);
    }
    if (record.clean)
      continue;
    const auto present = evidence_of(record);
    std::optional<reason> why;
    if (!record.opened)
      why = reason::without_evidence;
    else if (record.opened->boot_id != present.boot_id)
      why = reason::machine_stopped;
    else if (record.opened->file_system != present.file_system)
      why = reason::remounted;
    else if (record.opened->marks_token != present.marks_token)
      why = reason::marks_lost;
    if (record.opened == present)
      continue;
    record.opened = present;
    ++record.revision;
    state.changed.insert(uuid);
    if (record.failure || record.doubt || !why)
      continue;
    record.doubt = volume_doubt{*why, now};
    state.unwritten.insert(uuid);
    ++opening.doubtful;
  }
}

// Everything from the files. A volume whose descriptor is gone too comes back under a made-up name.
result<void> catalogue::rebuild(loaded_state& state, catalogue_opening& opening) const {
  std::vector<volume_record> found;
  for (const auto uuid : state.directories) {
    auto record = files_.read_descriptor(uuid);
    if (record) {
      found.push_back(std::move(*record));
      continue;
    }
    auto data = inspect_backing(files_.directory(uuid) + "/" + data_file_name);
    if (!data || data->size.value == 0) {
      state.damaged.insert(uuid);
      opening.problems.push_back({uuid, record.error().to_string()});
      continue;
    }
    volume_record made;
    made.uuid = uuid;
    made.name = volume_name("recovered-" + uuid.to_string());
    made.size = data->size;
    made.created = options_.clock->wall_now();
    opening.problems.push_back({uuid, record.error().to_string() + "; taken in as " + made.name.value});
    found.push_back(std::move(made));
  }
  // Of two volumes with one name the older keeps it.
  std::sort(found.begin(), found.end(),
            [](auto& a, auto& b) { return std::tie(a.created, a.uuid) < std::tie(b.created, b.uuid); });
  std::set<std::string> taken;
  for (auto& record : found) {
    record.clean = false;
    record.opened.reset();
    if (!record.deleted_at) {
      const auto name = free_name(record.name.value, record.uuid, taken);
      if (name != record.name)
        opening.problems.push_back(
            {record.uuid, fmt::format("the name {} is taken; now {}", record.name.value, name.value)});
      record.name = name;
      taken.insert(name.value);
    }
    state.changed.insert(record.uuid);
    state.unwritten.insert(record.uuid);
    state.records.emplace(record.uuid, std::move(record));
  }
  opening.records_recovered = state.records.size();
  return {};
}

result<void> catalogue::sweep_orphans(const loaded_state& state, catalogue_opening& opening) const {
  for (const auto uuid : state.directories) {
    if (state.records.count(uuid) || state.damaged.count(uuid))
      continue;
    if (auto ok = files_.move_to_trash(uuid, "orphan", options_.clock->wall_now()); !ok)
      return ok;
    ++opening.orphans_swept;
  }
  return {};
}

// A file longer than its record is a growth that was never answered. A shorter or missing one is for the operator.
void catalogue::check_files(loaded_state& state, catalogue_opening& opening) const {
  for (auto& [uuid, record] : state.records) {
    if (record.external_path)
      continue; // its size is its owner's business; opening the volume verifies it
    auto found = inspect_backing(data_path(record));
    if (!found)
      opening.damaged.push_back({uuid, fmt::format("volume {}: {}", record.name.value, found.error().to_string())});
    else if (found->bytes < record.size.value)
      opening.damaged.push_back({uuid, fmt::format("volume {}: its file has {} of {} bytes", record.name.value,
                                                   found->bytes, record.size.value)});
  }
}

result<void> catalogue::settle(loaded_state& state, catalogue_opening& opening) {
  std::vector<volume_uuid> changed(state.changed.begin(), state.changed.end());
  for (std::size_t from = 0; from < changed.size(); from += settle_batch_max) {
    const auto to = std::min(from + settle_batch_max, changed.size());
    auto ok = options_.meta->write([&](write_transaction& t) -> result<void> {
      for (auto i = from; i < to; ++i)
        if (auto put = t.put(meta_database::volumes, volume_key(changed[i]), encode(state.records.at(changed[i])));
            !put)
          return put;
      return {};
    });
    if (!ok)
      return ok;
  }
  // Last, so that a rebuild which is cut short starts again from the files.
  if (!state.known_to_lmdb) {
    auto ok = options_.meta->write([&](write_transaction& t) {
      return t.put(meta_database::node, node_key,
                   encode(node_record{data_format, options_.node, options_.clock->wall_now()}));
    });
    if (!ok)
      return ok;
  }
  std::vector<volume_uuid> written;
  for (const auto uuid : state.unwritten) {
    const auto record = state.records.find(uuid);
    if (record != state.records.end()) {
      if (auto ok = files_.write_descriptor(record->second); !ok) {
        log::warning("volume {}: its descriptor is out of date: {}", record->second.name.value,
                     ok.error().to_string());
        continue;
      }
      ++opening.descriptors_rewritten;
    }
    written.push_back(uuid);
  }
  if (!written.empty()) {
    auto ok = options_.meta->write([&](write_transaction& t) -> result<void> {
      for (const auto uuid : written)
        if (auto erased = t.erase(meta_database::unwritten, volume_key(uuid)); !erased)
          return tl::unexpected(erased.error());
      return {};
    });
    if (!ok)
      return ok;
  }
  by_uuid_.reserve(state.records.size());
  for (const auto& [uuid, record] : state.records) {
    put_in_index(record);
    ++(record.deleted_at ? opening.deleted : opening.volumes);
  }
  return {};
}

} // namespace gnomon::store
