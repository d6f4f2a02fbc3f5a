// Who may attach a volume: fences, handing over and grants by an operator's hand, kept in `meta` first and carried to
// the data plane as any other difference is, so that a restart of the registry or the node finishes what was begun.
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol/error_message.hpp"
#include "actors/volumes/registry_steps.hpp"
#include "actors/volumes/views.hpp"
#include "store/meta/access_book.hpp"

namespace gnomon::actors {
namespace {

std::optional<instance_id> named(const instance_id& instance) {
  return instance.value.empty() ? std::nullopt : std::optional(instance);
}

// A callback of the book as a step's.
auto forward_access(registry_state::step_done done, volume_uuid uuid) {
  return [done = std::move(done), uuid](result<store::access_record> outcome) {
    if (outcome)
      done(uuid);
    else
      done(tl::unexpected(outcome.error()));
  };
}

} // namespace

io::fence_set registry_state::fences(volume_uuid uuid) const {
  return node->access == nullptr ? io::fence_set{} : fences_of(node->access->find(uuid));
}

void registry_state::refresh_access() const {
  node->engine->set_access(access_of(*node->current_settings(), node->catalogue->list(),
                                     node->access == nullptr ? std::vector<store::access_record>{}
                                                             : node->access->list()));
}

caf::result<std::vector<connection_info>> registry_state::fence(const volume_ref& ref, const instance_id& instance,
                                                                const instance_id& heir) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (node->access == nullptr)
    return to_caf({errc::unavailable, "the access book could not be opened: see `gnomon status`", 0});
  const auto uuid = record->uuid;
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<std::vector<connection_info>>();
  auto open = connections_of(*node, uuid, record->name);
  run([book = node->access, uuid, who = named(instance), to = named(heir)](
          const step_done& done) { book->fence(uuid, who, to, forward_access(done, uuid)); },
      [this, uuid, answer, open](const outcome& fenced) {
        if (!fenced) {
          claimed.erase(uuid);
          return answer->refuse(fenced.error());
        }
        bring_in_line(uuid, [this, uuid, answer, open](const outcome& done) {
          claimed.erase(uuid);
          if (!done)
            return answer->refuse({done.error().code,
                                   "the fence is recorded and nobody it shuts out attaches, but " +
                                       done.error().message + "; it is tried again",
                                   done.error().os_errno});
          auto ended = open;
          const auto now = fences(uuid);
          std::erase_if(ended, [&](const auto& connection) { return now.admits(connection.instance); });
          answer->give(std::move(ended));
        });
      });
  return caf::delegated<std::vector<connection_info>>{};
}

caf::result<volume_details> registry_state::unfence(const volume_ref& ref, const instance_id& instance) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (node->access == nullptr)
    return to_caf({errc::unavailable, "the access book could not be opened: see `gnomon status`", 0});
  const auto uuid = record->uuid;
  if (const auto free = claim(uuid); !free)
    return to_caf(free.error());
  auto answer = promise<volume_details>();
  const auto finish = [this, uuid, answer](const outcome& done) {
    claimed.erase(uuid);
    const auto now = node->catalogue->find(uuid);
    if (!done || !now)
      return answer->refuse(done ? error{errc::not_found, "it was deleted meanwhile", 0} : done.error());
    answer->give(details_of(*node, *now));
  };
  run([book = node->access, uuid,
       who = named(instance)](const step_done& done) { book->unfence(uuid, who, forward_access(done, uuid)); },
      [this, uuid, finish](const outcome& done) {
        if (!done)
          return finish(done);
        bring_in_line(uuid, finish);
      });
  return caf::delegated<volume_details>{};
}

caf::result<volume_details> registry_state::set_grant(const volume_ref& ref, const instance_id& instance,
                                                      bool granted) {
  const auto record = resolve(*node->catalogue, ref);
  if (!record)
    return to_caf(record.error());
  if (node->access == nullptr)
    return to_caf({errc::unavailable, "the access book could not be opened: see `gnomon status`", 0});
  auto answer = promise<volume_details>();
  run(
      [book = node->access, uuid = record->uuid, instance, granted](const step_done& done) {
        granted ? book->grant(uuid, instance, forward_access(done, uuid))
                : book->revoke(uuid, instance, forward_access(done, uuid));
      },
      [this, uuid = record->uuid, answer](const outcome& done) {
        refresh_access();
        const auto now = node->catalogue->find(uuid);
        if (!done || !now)
          return answer->refuse(done ? error{errc::not_found, "it was deleted meanwhile", 0} : done.error());
        answer->give(details_of(*node, *now));
      });
  return caf::delegated<volume_details>{};
}

} // namespace gnomon::actors
