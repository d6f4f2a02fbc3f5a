#include "actors/volumes/views.hpp"

#include "actors/volumes/volume_plan.hpp"

#include <cstring>

#include <fmt/format.h>

#include "actors/runtime/served_volumes.hpp"
#include "config/text.hpp"
#include "store/meta/access_book.hpp"

namespace gnomon::actors {

volume_summary summary_of(const store::volume_record& record, const std::optional<io::volume_status>& status,
                          std::uint64_t connections, std::chrono::seconds keep) {
  volume_summary out;
  out.uuid = record.uuid;
  out.name = record.name;
  out.size = record.size;
  out.cache = record.cache;
  out.read_only = record.read_only;
  out.shared = record.shared;
  out.connections = connections;
  if (record.deleted_at) {
    out.state = volume_state::deleted;
    out.deleted_until_us = to_microseconds(*record.deleted_at + keep);
    return out;
  }
  if (record.failure || (status && status->spec.writes_failed)) {
    out.state = volume_state::writes_failed;
    out.problem = record.failure ? fmt::format("fsync failed: {}", std::strerror(record.failure->os_errno))
                                 : std::string("fsync failed");
  } else {
    out.state = volume_state::serving;
  }
  if (out.problem.empty() && record.doubt)
    out.problem = to_string(record.doubt->why);
  if (status && !status->failure_recorded)
    out.problem += "; it cannot be recorded, so that every request is refused";
  if (status && status->closing) {
    out.state = volume_state::closing;
    out.problem = "its requests do not end; closing it is tried again";
  }
  if (!status) {
    out.state = volume_state::not_serving;
    out.problem = "the data plane has not opened it";
  }
  return out;
}

volume_summary summary_of(const node_context& node, const store::volume_record& record) {
  const auto counters = node.engine->counters(record.uuid);
  auto out = summary_of(record, node.engine->status(record.uuid), counters ? counters->connections : 0,
                        node.current_settings()->undelete_for);
  if (out.state == volume_state::not_serving && !is_wanted(record, *node.configured())) {
    out.problem = "it went from the config; its data stays";
  } else if (out.state == volume_state::not_serving) {
    if (const auto why = node.problems.of(record.uuid)) {
      out.problem = why->message;
      if (why->code == errc::corrupt)
        out.state = volume_state::damaged;
    }
  }
  return out;
}

volume_details details_of(const node_context& node, const store::volume_record& record) {
  const auto status = node.engine->status(record.uuid);
  const auto counters = node.engine->counters(record.uuid);
  volume_details out;
  out.summary = summary_of(node, record);
  out.description = record.description;
  out.path = node.catalogue->data_path(record);
  out.from_config = record.origin == store::volume_origin::config;
  out.created_us = to_microseconds(record.created);
  if (status) {
    out.generation = status->generation.value;
    out.writers = status->writers;
  }
  if (counters)
    out.in_flight = counters->in_flight;
  out.anonymous = !node.current_settings()->instances_section;
  if (node.access != nullptr) {
    auto access = node.access->find(record.uuid);
    out.epoch = access.epoch;
    out.everybody_fenced = access.everybody_fenced;
    for (const auto& fence : access.fenced)
      out.fenced.push_back(fence.instance);
    out.handed_to = access.only.value_or(instance_id{});
    out.granted = std::move(access.grants);
  }
  return out;
}

connection_info info_of(const io::connection_status& connection, const volume_name& volume) {
  connection_info out;
  out.id = connection.id;
  out.volume = volume;
  out.instance = connection.instance;
  out.peer = connection.peer;
  out.size_seen = connection.size_seen;
  out.read_only = connection.read_only;
  out.since_us = to_microseconds(connection.since);
  out.requests = connection.requests;
  return out;
}

std::vector<connection_info> connections_of(const node_context& node, volume_uuid uuid, const volume_name& name) {
  std::vector<connection_info> out;
  for (const auto& connection : node.engine->connections(uuid))
    out.push_back(info_of(connection, name));
  return out;
}

io::volume_spec spec_of(const store::volume_record& record, std::string path, io::fence_set fences) {
  io::volume_spec out;
  out.uuid = record.uuid;
  out.name = record.name;
  out.description = record.description;
  out.path = std::move(path);
  out.size = record.size;
  out.cache = record.cache;
  out.read_only = record.read_only;
  out.shared = record.shared;
  out.writes_failed = record.failure.has_value();
  out.fences = std::move(fences);
  return out;
}

std::string to_text(const volume_summary& volume) {
  auto out = fmt::format("{}  {}  {} bytes  {}", volume.name.value, volume.uuid.to_string(), volume.size.value,
                         to_string(volume.state));
  if (volume.read_only)
    out += "  read-only";
  if (volume.shared)
    out += "  shared";
  out += fmt::format("  {} connections", volume.connections);
  if (!volume.problem.empty())
    out += "  (" + volume.problem + ")";
  return out;
}

std::string to_text(const volume_details& volume) {
  auto out = to_text(volume.summary);
  out += fmt::format("\npath {}\ngeneration {}, {} in flight", volume.path, volume.generation, volume.in_flight);
  for (const auto& writer : volume.writers)
    out += "\nwriter " + writer.value;
  return out;
}

// Which volumes there are to be called by `wrong`, in words.
static error no_such_volume(const store::catalogue& catalogue, const std::string& wrong, list_filter where) {
  std::vector<store::volume_record> records;
  if (where != list_filter::deleted)
    records = catalogue.list();
  if (where != list_filter::present)
    for (auto& record : catalogue.list_deleted())
      records.push_back(std::move(record));
  std::vector<std::string_view> names;
  for (const auto& record : records)
    names.push_back(record.name.value);
  const bool deleted = where == list_filter::deleted;
  std::string text = fmt::format("there is no {}volume {}", deleted ? "deleted " : "", quote(wrong));
  if (deleted && catalogue.find(volume_name{wrong}))
    text += fmt::format(": {} is not deleted", wrong);
  else if (const auto meant = nearest(wrong, names); !meant.empty())
    text += fmt::format("; did you mean {}?", meant);
  return {errc::not_found, std::move(text), 0};
}

result<store::volume_record> resolve(const store::catalogue& catalogue, const volume_ref& ref, list_filter where) {
  if (ref.text.empty())
    return fail(errc::invalid_argument, "a volume's name or uuid is expected");
  if (ref.text.size() > volume_name_length_max)
    return fail(errc::invalid_argument,
                fmt::format("a volume's name has at most {} characters", volume_name_length_max));
  const auto uuid = volume_uuid::parse(ref.text);
  if (where != list_filter::deleted) {
    if (auto named = catalogue.find(volume_name{ref.text}))
      return *named;
    if (uuid)
      if (auto found = catalogue.find(*uuid))
        return *found;
  }
  if (where != list_filter::present) {
    std::optional<store::volume_record> match;
    for (auto& record : catalogue.list_deleted()) {
      if (uuid && record.uuid == *uuid)
        return record;
      if (record.name.value != ref.text)
        continue;
      if (match)
        return fail(errc::invalid_argument,
                    fmt::format("several deleted volumes were called {}: name one by its uuid", ref.text));
      match = std::move(record);
    }
    if (match)
      return *match;
  }
  return tl::unexpected(no_such_volume(catalogue, ref.text, where));
}

result<store::volume_record> resolve_served(const node_context& node, const volume_ref& ref) {
  auto own = resolve(*node.catalogue, ref);
  if (own)
    return own;
  const auto uuid = volume_uuid::parse(ref.text);
  for (const auto& remote : *node.remote_volumes())
    if (remote.name.value == ref.text || (uuid && remote.uuid == *uuid))
      return *served_volume(node, remote.uuid);
  return own;
}

} // namespace gnomon::actors
