// The changes an operator asks of the registry: first in the catalogue, then the data plane is brought in line.
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/volumes/registry_steps.hpp"
#include "actors/volumes/views.hpp"
#include "config/log.hpp"
#include "config/text.hpp"

namespace gnomon::actors {
namespace {

template <class T>
caf::result<T> later() {
  return caf::delegated<T>{};
}

// As in the configuration: NBD clients and terminals show it.
result<void> check_description(std::string_view text) {
  if (text.size() > store::description_length_max)
    return fail(errc::invalid_argument,
                fmt::format("a description has at most {} bytes", store::description_length_max));
  if (!is_printable_text(text))
    return fail(errc::invalid_argument, "a description is UTF-8 on one line, without control characters");
  return {};
}

} // namespace

caf::result<volume_summary> registry_state::change(volume_uuid uuid, const launch& in_catalogue,
                                                   std::function<void()> on_success) {
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<volume_summary>();
  const auto finish = [this, uuid, answer](const outcome& done) {
    claimed.erase(uuid);
    sync_actors();
    refresh_access(); // a grant by hand follows the volume to its new name
    if (!done)
      return answer->refuse(done.error());
    if (const auto record = node->catalogue->find(uuid))
      return answer->give(summary_of(*node, *record));
    for (const auto& record : node->catalogue->list_deleted())
      if (record.uuid == uuid)
        return answer->give(summary_of(*node, record));
    volume_summary gone;
    gone.uuid = uuid;
    gone.state = volume_state::deleted;
    answer->give(std::move(gone));
  };
  run(in_catalogue, [this, uuid, finish, on_success = std::move(on_success)](const outcome& done) {
    if (!done)
      return finish(done);
    if (on_success)
      on_success();
    bring_in_line(uuid, finish);
  });
  return later<volume_summary>();
}

caf::result<volume_summary> registry_state::create(const volume_request& asked_for) {
  if (claimed.size() >= changes_max)
    return to_caf({errc::limit_reached, fmt::format("{} changes are in flight already", changes_max), 0});
  if (const auto good = check_description(asked_for.description); !good)
    return to_caf(good.error());
  store::volume_request request;
  request.name = asked_for.name;
  request.description = asked_for.description;
  request.size = asked_for.size;
  if (!asked_for.external_path.empty())
    request.external_path = asked_for.external_path;
  request.cache = asked_for.cache;
  request.read_only = asked_for.read_only;
  request.shared = asked_for.shared;

  auto answer = promise<volume_summary>();
  const auto create = [catalogue = node->catalogue, request](const step_done& done) {
    catalogue->create({request},
                      [done](const auto& r) { r ? done(r->front().uuid) : done(tl::unexpected(r.error())); });
  };
  run(create, [this, answer](const outcome& created) {
    if (!created)
      return answer->refuse(created.error());
    const auto uuid = *created;
    claimed.insert(uuid);
    sync_actors();
    bring_in_line(uuid, [this, answer, uuid](const outcome& done) {
      claimed.erase(uuid);
      if (!done)
        return answer->refuse(done.error());
      const auto record = node->catalogue->find(uuid);
      if (!record)
        return answer->refuse({errc::not_found, "it was deleted meanwhile", 0});
      answer->give(summary_of(*node, *record));
    });
  });
  return later<volume_summary>();
}

caf::result<resize_report> registry_state::resize(const volume_ref& ref, byte_count size) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  const auto uuid = record->uuid;
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<resize_report>();
  const auto finish = [this, uuid, answer](const outcome& done) {
    claimed.erase(uuid);
    if (!done)
      return answer->refuse(done.error());
    const auto now = node->catalogue->find(uuid);
    if (!now)
      return answer->refuse({errc::not_found, "it was deleted meanwhile", 0});
    resize_report report;
    report.volume = summary_of(*node, *now);
    for (auto& connection : connections_of(*node, uuid, now->name))
      if (connection.size_seen < now->size)
        report.must_reconnect.push_back(std::move(connection));
    answer->give(std::move(report));
  };
  run([catalogue = node->catalogue, uuid,
       size](const step_done& done) { catalogue->resize(uuid, size, forward(done)); },
      [this, uuid, finish](const outcome& done) {
        if (!done)
          return finish(done);
        bring_in_line(uuid, finish);
      });
  return later<resize_report>();
}

caf::result<volume_summary> registry_state::erase(const volume_ref& ref, deletion how) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (how == deletion::if_unused)
    if (const auto users = connections_of(*node, record->uuid, record->name); !users.empty())
      return to_caf({errc::busy,
                     fmt::format("volume {} is in use by {} ({}{}); end its clients, or use --force", record->name.value,
                                 users.front().instance.value, users.front().peer,
                                 users.size() > 1 ? fmt::format(", and {} more", users.size() - 1) : ""),
                     0});
  if (const auto ours = check_not_configured(*record, "remove it there and reload, then delete it"); !ours)
    return to_caf(ours.error());
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid](const step_done& done) {
    catalogue->remove(uuid, forward(done));
  });
}

caf::result<volume_summary> registry_state::undelete(const volume_ref& ref, const volume_name& new_name) {
  const auto record = resolve(*node->catalogue, ref, list_filter::deleted);
  if (!record)
    return to_caf(record.error());
  const auto under = new_name.value.empty() ? std::nullopt : std::optional(new_name);
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid, under](const step_done& done) {
    catalogue->undelete(uuid, under, forward(done));
  });
}

caf::result<volume_summary> registry_state::purge(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref, list_filter::deleted);
  if (!record)
    return to_caf(record.error());
  return change(
      record->uuid,
      [catalogue = node->catalogue, uuid = record->uuid](const step_done& done) {
        catalogue->purge(uuid, forward(done));
      },
      [this] { forget_purged(); });
}

caf::result<volume_summary> registry_state::rename(const volume_ref& ref, const volume_name& new_name) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (const auto ours = check_not_configured(*record, "remove it there and reload, then rename it"); !ours)
    return to_caf(ours.error());
  const auto in_catalogue = [catalogue = node->catalogue, uuid = record->uuid, new_name](const step_done& done) {
    catalogue->rename(uuid, new_name, forward(done));
  };
  // The actor stays the same; only its name changes.
  return change(record->uuid, in_catalogue, [this, from = volume_actor_name(record->name), new_name] {
    if (const auto renamed = node->tree.rename(from, volume_actor_name(new_name)); !renamed)
      log::warning("{}", renamed.error().to_string());
  });
}

caf::result<volume_summary> registry_state::describe(const volume_ref& ref, const std::string& description) {
  if (const auto good = check_description(description); !good)
    return to_caf(good.error());
  store::volume_changes changes;
  changes.description = description;
  return update(ref, std::move(changes));
}

caf::result<volume_summary> registry_state::set_access(const volume_ref& ref, volume_access access) {
  store::volume_changes changes;
  changes.read_only = access == volume_access::read_only;
  return update(ref, std::move(changes));
}

caf::result<volume_summary> registry_state::update(const volume_ref& ref, store::volume_changes changes) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (const auto ours = check_not_configured(*record, "change it there and reload"); !ours)
    return to_caf(ours.error());
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid, changes](const step_done& done) {
    catalogue->update(uuid, changes, forward(done));
  });
}

caf::result<volume_summary> registry_state::clear(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  return change(record->uuid, [this, uuid = record->uuid](const step_done& done) {
    node->catalogue->clear_write_failure(uuid, [done, engine = node->engine, uuid](const auto& cleared) {
      if (!cleared)
        return done(tl::unexpected(cleared.error()));
      engine->clear_write_failure(uuid, forward(done, uuid));
    });
  });
}

caf::result<volume_summary> registry_state::accept_loss(const volume_ref& ref) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  return change(record->uuid, [catalogue = node->catalogue, uuid = record->uuid](const step_done& done) {
    catalogue->accept_loss(uuid, forward(done));
  });
}

} // namespace gnomon::actors
