// The whole protocol of the control plane on one page: names, payloads, actors and what each message means.
// Every request has a named timeout (namespace `timeout`); every reply is a value or an error of category "gnomon"
// (actors/protocol/error_message.hpp). Payloads are values; their structs and sizes are in actors/protocol/volume_messages.hpp.
// A message type that is missing from the block at the bottom is a dropped request: tests/actors/protocol/protocol_test.cpp
// sends every one of them through the production configuration.
#pragma once

#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

#include "actors/protocol/board_messages.hpp"
#include "actors/protocol/event_messages.hpp"
#include "actors/protocol/import_messages.hpp"
#include "actors/protocol/instance_messages.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "actors/protocol/snapshot_messages.hpp"
#include "actors/protocol/volume_messages.hpp"

// Verbs. At most 10 characters each.
#define GNOMON_ATOM(name) CAF_ADD_ATOM(gnomon, gnomon::actors::atom, name, #name)
GNOMON_ATOM(ok)
GNOMON_ATOM(report)
GNOMON_ATOM(ask)
GNOMON_ATOM(read)
GNOMON_ATOM(write)
GNOMON_ATOM(flush)
GNOMON_ATOM(trim)
GNOMON_ATOM(zero)
GNOMON_ATOM(status)
GNOMON_ATOM(list)
GNOMON_ATOM(show)
GNOMON_ATOM(create)
GNOMON_ATOM(resize)
GNOMON_ATOM(erase)
GNOMON_ATOM(undelete)
GNOMON_ATOM(purge)
GNOMON_ATOM(rename)
GNOMON_ATOM(who)
GNOMON_ATOM(failed)
GNOMON_ATOM(fence)
GNOMON_ATOM(unfence)
GNOMON_ATOM(grant)
GNOMON_ATOM(revoke)
GNOMON_ATOM(describe)
GNOMON_ATOM(access)
GNOMON_ATOM(clear)
GNOMON_ATOM(apply)
GNOMON_ATOM(accept)
GNOMON_ATOM(top)
GNOMON_ATOM(actors)
GNOMON_ATOM(record)
GNOMON_ATOM(next)
GNOMON_ATOM(stop)
GNOMON_ATOM(adopt)
GNOMON_ATOM(restart)
GNOMON_ATOM(revive)
GNOMON_ATOM(completed)
GNOMON_ATOM(reconcile)
GNOMON_ATOM(drain)
GNOMON_ATOM(tick)
GNOMON_ATOM(observe)
GNOMON_ATOM(heat)
GNOMON_ATOM(forecast)
GNOMON_ATOM(board)
GNOMON_ATOM(round)
GNOMON_ATOM(unload)
GNOMON_ATOM(fitted)
GNOMON_ATOM(reload)
GNOMON_ATOM(take_in)
GNOMON_ATOM(add)
GNOMON_ATOM(remove)
GNOMON_ATOM(profiles)
GNOMON_ATOM(profile)
GNOMON_ATOM(snapshot)
GNOMON_ATOM(verify)
GNOMON_ATOM(restore)
GNOMON_ATOM(rebuild)
GNOMON_ATOM(group)
GNOMON_ATOM(plan)
GNOMON_ATOM(merge)
GNOMON_ATOM(diff)
#undef GNOMON_ATOM

namespace gnomon::actors {

// How long a requester waits. A timeout means that the outcome is unknown (errc::timed_out). Never caf::infinite:
// a request to a lost peer gets no error from CAF 0.17.
namespace timeout {
using std::chrono::seconds;
inline constexpr seconds report{2};          // report, ask: answered from memory
inline constexpr seconds query{5};           // status, list, show, who, top, actors
inline constexpr seconds volume_io{60};      // read, write, flush, trim, zero: as long as a slow disk may take
inline constexpr seconds catalogue{30};      // rename, describe, clear, add, remove: one LMDB commit
inline constexpr seconds volume_change{120}; // create, resize, erase, undelete, access, fence: drains I/O
inline constexpr seconds reload{60};         // reload: reads the file and waits a while until it is in force
inline constexpr seconds apply{600};         // apply: all volumes of a config, with their files
inline constexpr seconds chart{60};        // heat, forecast: reads weeks of history, fits, on busy fit threads
inline constexpr seconds take_in{120};       // take_in: a batch of rows behind everything the history has queued
inline constexpr seconds snapshot{120};      // create, restore, snapshot: until the cut or the volume is made
inline constexpr seconds verify{24 * 3600};  // verify, rebuild: reads whole layers
inline constexpr seconds record_next{10};    // next: waits up to record_wait for the first record
} // namespace timeout

// --- every supervised actor
// -------------------------------------------------------------------------------------------

using supervised_actor = caf::typed_actor<
    // Mailbox size and present activity. No answer within timeout::report means it is busy or stuck.
    caf::replies_to<atom::report>::with<actor_report>,
    // The shell's `ask ACTOR MESSAGE…`: the message in words ("help" lists them), the answer as text for a person.
    // (`kill` and `revive` are not asked of the actor itself: see control_actor.)
    caf::replies_to<atom::ask, std::string>::with<std::string>>;

// --- supervision
// ------------------------------------------------------------------------------------------------------

// Restarts its children (actors/runtime/supervisor.hpp). The children themselves stand in the supervision tree, not here.
using supervisor_actor = supervised_actor::extend<
    // The tree's list of its children has changed: start what does not run. Idempotent.
    caf::reacts_to<atom::adopt>,
    // A child's backoff has passed. From itself.
    caf::reacts_to<atom::restart, std::string>,
    // An operator, or time, gives a given-up child another chance.
    caf::reacts_to<atom::revive, std::string>>;

// --- a volume
// ---------------------------------------------------------------------------------------------------------

// The in-process interface of one volume: a CAF program can use it without NBD. At most io_bytes_max per request and
// io_requests_max at once; both lead to the same core as NBD, with the same guarantees.
using volume_actor = supervised_actor::extend<
    // Bytes at an offset. out_of_range, io_failed, limit_reached.
    caf::replies_to<atom::read, byte_offset, byte_count>::with<io_data>,
    // Answered once the data is in the page cache, or on stable storage if durable. no_space, io_failed,
    // permission_denied.
    caf::replies_to<atom::write, byte_offset, io_data, write_durability>::with<atom::ok>,
    // Answered once every write answered before is on stable storage.
    caf::replies_to<atom::flush>::with<atom::ok>,
    // The range may be forgotten (reads as zeros or old bytes) / reads as zeros from now on.
    caf::replies_to<atom::trim, byte_offset, byte_count>::with<atom::ok>,
    caf::replies_to<atom::zero, byte_offset, byte_count>::with<atom::ok>,
    // Size, mode, writers, failures as the data plane sees them now.
    caf::replies_to<atom::status>::with<volume_details>,
    // The data plane is done with a request. From a ring thread.
    caf::reacts_to<atom::completed, io_completion>>;

// --- the registry (metadata)
// ------------------------------------------------------------------------------------------

// Owns what volumes there should be (the catalogue) and makes the data plane and the volume actors agree with it.
// A volume is named by its name or its uuid. One change per volume at a time: others get `busy`.
using registry_actor = supervised_actor::extend<
    caf::replies_to<atom::list, list_filter>::with<std::vector<volume_summary>>,
    caf::replies_to<atom::show, volume_ref>::with<volume_details>,
    // Creates file and record, serves it. already_exists, invalid_argument, no_space, limit_reached.
    caf::replies_to<atom::create, volume_request>::with<volume_summary>,
    // Grows. Open connections keep the size they negotiated: the reply names those who must reconnect.
    caf::replies_to<atom::resize, volume_ref, byte_count>::with<resize_report>,
    // Ends its connections, stops serving it, keeps its data until `deleted_until_us`. busy: somebody is attached, and
    // it was not forced.
    caf::replies_to<atom::erase, volume_ref, deletion>::with<volume_summary>,
    // Under a new name, or its own (empty). Several deleted volumes may have had one name: use the uuid then.
    caf::replies_to<atom::undelete, volume_ref, volume_name>::with<volume_summary>,
    // Removes a deleted volume and its data for good, now.
    caf::replies_to<atom::purge, volume_ref>::with<volume_summary>,
    caf::replies_to<atom::rename, volume_ref, volume_name>::with<volume_summary>,
    // The description that operators and clients see. invalid_argument: longer than NBD carries.
    caf::replies_to<atom::describe, volume_ref, std::string>::with<volume_summary>,
    // Read-only: writes that come from now on fail with EPERM, connections stay. Writable again: likewise, unless it
    // was served read-only from the start; then it is opened again and its connections end.
    caf::replies_to<atom::access, volume_ref, volume_access>::with<volume_summary>,
    // Open connections on it.
    caf::replies_to<atom::who, volume_ref>::with<std::vector<connection_info>>,
    // Instance `first` (empty: everybody) may not attach any more; with `second` only that instance may. Answered when
    // that is durable, the connections of those who are shut out have ended and their I/O has drained. The reply: the
    // connections there were.
    caf::replies_to<atom::fence, volume_ref, instance_id, instance_id>::with<std::vector<connection_info>>,
    // Lets the instance (empty: everybody) in again. not_found: it is not fenced.
    caf::replies_to<atom::unfence, volume_ref, instance_id>::with<volume_details>,
    // The instance may attach it although the configuration does not say so; or not any more.
    caf::replies_to<atom::grant, volume_ref, instance_id>::with<volume_details>,
    caf::replies_to<atom::revoke, volume_ref, instance_id>::with<volume_details>,
    // An operator accepts what a failed fsync or an unclean stop may have lost: writes work again.
    caf::replies_to<atom::clear, volume_ref>::with<volume_summary>,
    // Brings volumes and access rules in line with the node's current settings. From the daemon.
    caf::replies_to<atom::apply>::with<apply_report>,
    // An operator accepts that the lost end of a damaged volume's file reads as zeros; it is served then.
    // invalid_argument: nothing is missing.
    caf::replies_to<atom::accept, volume_ref>::with<volume_summary>,
    // One step of a change is done. From the catalogue's writer thread or the engine.
    caf::reacts_to<atom::completed, step_completion>,
    // Look at every volume again: purges what was deleted long ago, repairs what differs. From itself.
    caf::reacts_to<atom::tick>>;

// --- events, telemetry, recorder
// --------------------------------------------------------------------------------------

// Drains the bounded inbox the rings report into (actors/runtime/alert_inbox.hpp).
using alert_actor = supervised_actor::extend<
    // There is something in the inbox. From any thread.
    caf::reacts_to<atom::drain>>;

// Turns the engine's counters into rates and quantiles once a second.
using telemetry_actor =
    supervised_actor::extend<caf::replies_to<atom::top>::with<telemetry_snapshot>, caf::reacts_to<atom::tick>>;

// `gnomon record`: the client pulls, so that a slow one loses records instead of memory. A recording whose client has
// not asked for recording_idle_max is stopped. At most recordings_max at once.
using recorder_actor = supervised_actor::extend<
    // Starts recording. busy: the volume is being recorded already.
    caf::replies_to<atom::record, volume_ref>::with<recording_started>,
    // At most record_batch_max records; an empty batch after record_wait without any.
    caf::replies_to<atom::next, recording_number>::with<record_batch>,
    // Ends it: the last records may take several batches, `finished` is on the last.
    caf::replies_to<atom::stop, recording_number>::with<record_batch>, caf::reacts_to<atom::tick>>;

// --- learning
// -----------------------------------------------------------------------------------------------------------

// Once a second: takes what the rings have counted and hands it to the pattern actors of the volumes that were
// touched. Costs an idle volume nothing.
using observer_actor = supervised_actor::extend<caf::reacts_to<atom::tick>,
                                                // The engine has counted. From its thread.
                                                caf::reacts_to<atom::drain>>;

// What is known of one volume's accesses: rolls them up into the history, keeps heat map and hot sets.
using pattern_actor = supervised_actor::extend<
    // One second of the volume. From the observer.
    caf::reacts_to<atom::observe, observed>,
    // Time has passed: close what is over. From the observer, soon after a volume was touched, now and then for others.
    caf::reacts_to<atom::tick>,
    // Memory is scarce: keep at most so many bytes of the pattern; 0: none, it comes back when it is needed. From the
    // observer.
    caf::reacts_to<atom::unload, byte_count>,
    // The history holds more than this actor has seen (an import): learn it all again.
    caf::reacts_to<atom::reload>, caf::replies_to<atom::heat, heat_request>::with<heat_view>,
    // A job on the fit threads is done.
    caf::reacts_to<atom::fitted, fit_completion>>;

// Forecasts of one volume, or of the node and its instances.
using forecaster_actor = supervised_actor::extend<
    // busy: too many wait already; not_found: no such instance.
    caf::replies_to<atom::forecast, forecast_request>::with<forecast_view>,
    // There is new load: fit again when it is time. From the observer.
    caf::reacts_to<atom::tick>,
    // The same for a volume that may be idle: fit now and then. From the observer, in its round.
    caf::reacts_to<atom::round>,
    // The past is another than what was learned from (an import): fit again.
    caf::reacts_to<atom::reload>, caf::reacts_to<atom::fitted, fit_completion>>;

// Takes rolled-up rows of the past into the history; at most import_jobs_max messages under way, then busy.
using importer_actor = supervised_actor::extend<
    // What a client must know to roll up a file for this volume.
    caf::replies_to<atom::take_in, volume_ref>::with<import_terms>,
    // An import begins or ends. already_exists: the same records were imported before; invalid_argument: older than
    // what is kept, or in the future. At the end everybody learns the volume again.
    caf::replies_to<atom::take_in, volume_ref, import_note>::with<import_receipt>,
    // Rows, at most import_rows_max; answered when they are in the history.
    caf::replies_to<atom::take_in, volume_ref, history_rows>::with<import_receipt>,
    // A job on other threads is done.
    caf::reacts_to<atom::fitted, fit_completion>>;

// --- planning
// -----------------------------------------------------------------------------------------------------------

// Plans what should be where; asked in words (`plan`, `why`, `dump`).
using planner_actor = supervised_actor::extend<
    // Look whether it is time for the next plan.
    caf::reacts_to<atom::tick>,
    // A job on other threads is done.
    caf::reacts_to<atom::fitted, fit_completion>>;

// --- events
// --------------------------------------------------------------------------------------------------------

// Deployments, scaling actions, batch jobs: what is told about the load, past or planned. Whoever only reads them
// takes node_context::events() instead.
using calendar_actor = supervised_actor::extend<
    // All are kept or none; answered once they survive a crash. invalid_argument; limit_reached: full of events that
    // are not past; busy: too many changes wait.
    caf::replies_to<atom::add, event_batch, event_source>::with<events_added>,
    caf::replies_to<atom::list, event_query>::with<event_page>,
    // not_found.
    caf::replies_to<atom::remove, event_id>::with<event_info>,
    // A change is committed or refused. From the book's writer thread.
    caf::reacts_to<atom::completed, event_completion>>;
// --- instances
// ----------------------------------------------------------------------------------------------------------

// Which compute instances there are; makes a profile actor for each.
using instance_registry_actor = supervised_actor::extend<
    // All instances with their load, from the history; busy.
    caf::replies_to<atom::profiles>::with<std::vector<instance_summary>>,
    // Puts an operator's words over the configuration's, durably. invalid_argument, limit_reached, unavailable.
    caf::replies_to<atom::describe, instance_id, instance_change>::with<instance_summary>,
    // Look for new instances. From itself.
    caf::reacts_to<atom::tick>,
    // A job on another thread is done.
    caf::reacts_to<atom::fitted, fit_completion>>;

// The profile of one compute instance.
using instance_actor = supervised_actor::extend<
    // Load, chunks and predictions from the history; busy.
    caf::replies_to<atom::profile>::with<instance_details>,
    // The history has been read. From a fit thread.
    caf::reacts_to<atom::fitted, fit_completion>>;

// --- snapshots
// ----------------------------------------------------------------------------------------------------------

// One group of volumes that are snapshotted together.
using group_actor = supervised_actor::extend<
    caf::replies_to<atom::status>::with<group_info>,
    // The snapshots of the next 24 hours, and why they are taken then.
    caf::replies_to<atom::plan>::with<group_plan>,
    // Answered once the point in time exists and every capture has begun. timed_out: not every member held in time;
    // io_failed, busy: a member cannot be captured. Nothing has changed then.
    caf::replies_to<atom::snapshot>::with<group_info>,
    // A cut that the plan asked for has been made, or failed. From a work thread.
    caf::reacts_to<atom::failed, bool>,
    // Work on another thread is done.
    caf::reacts_to<atom::completed, snapshot_completion>,
    // Look whether a snapshot is due. From itself.
    caf::reacts_to<atom::tick>>;

// Snapshots of the node's volumes, and the groups. Every answer but the lists' comes when it is durable.
using snapshots_actor = supervised_actor::extend<
    // Answered once the cut is made; the capture goes on, `show` tells how far it is. busy: one runs, or the volume is
    // being restored; io_failed: a flush of the volume failed.
    caf::replies_to<atom::create, snapshot_request>::with<snapshot_info>,
    // The newest snapshot_list_max, oldest first, captures under way and failed ones included.
    caf::replies_to<atom::list, snapshot_query>::with<std::vector<snapshot_info>>,
    caf::replies_to<atom::show, snapshot_ref>::with<snapshot_info>,
    // Its space is free once no other snapshot, restore or clone needs its layers. permission_denied: it is locked.
    caf::replies_to<atom::erase, snapshot_ref>::with<snapshot_info>,
    // Reads every byte of every layer that the snapshot needs.
    caf::replies_to<atom::verify, snapshot_ref>::with<snapshot_check>,
    // Puts its layers together in one, from the layer files only; the snapshot is the same, and needs no other any more.
    caf::replies_to<atom::merge, snapshot_ref>::with<snapshot_info>,
    // invalid_argument: snapshots of two volumes, or the older one is not below the newer.
    caf::replies_to<atom::diff, snapshot_diff_request>::with<snapshot_diff>,
    // Makes a volume of it. already_exists: the name is taken; corrupt: a layer is damaged or missing.
    caf::replies_to<atom::restore, restore_request>::with<restore_info>,
    // Restores under way, and those that ended since the node started.
    caf::replies_to<atom::restore>::with<std::vector<restore_info>>,
    // Takes in every layer file that the catalogue does not name.
    caf::replies_to<atom::rebuild>::with<rebuild_report>,
    // already_exists: the name, or a volume that is in another group.
    caf::replies_to<atom::create, group_request>::with<group_info>,
    // invalid_argument: a rule that contradicts itself.
    caf::replies_to<atom::describe, group_change>::with<group_info>,
    // Its snapshots stay, as those of their volumes.
    caf::replies_to<atom::erase, group_ref>::with<group_info>, caf::replies_to<atom::group>::with<std::vector<group_info>>,
    // Work on another thread is done.
    caf::reacts_to<atom::completed, snapshot_completion>,
    // Restores that stand still go on. From itself.
    caf::reacts_to<atom::tick>>;

// --- the control socket
// -------------------------------------------------------------------------------------------

// What `gnomon` talks to. Published on DATA_DIR/control.sock (actors/endpoints/control_socket.hpp), mode 0600. It forwards to the
// actor that owns the answer; an actor that is being restarted answers `unavailable`.
using control_actor = supervised_actor::extend<
    // The node: version, uptime, endpoints, rings, health.
    caf::replies_to<atom::status>::with<node_status>,
    // Rereads the configuration as SIGHUP does; answered when it is in force, or after reload_patience with what is
    // missing. busy: too many ask; unavailable: this node has no file.
    caf::replies_to<atom::reload, reload_mode>::with<reload_report>,
    // The main thread has reread it.
    caf::reacts_to<atom::completed, reload_completion>,
    // The live supervision tree, parents before children.
    caf::replies_to<atom::actors>::with<std::vector<actor_info>>,
    // A message in words to an actor by its name in the tree ("volume/db", "registry"). Besides the actor's own
    // words: `kill` ends it abruptly (its supervisor restarts it), `revive` restarts one that was given up.
    caf::replies_to<atom::ask, std::string, std::string>::with<std::string>,
    caf::replies_to<atom::top>::with<telemetry_snapshot>,
    // As at the registry.
    caf::replies_to<atom::list, list_filter>::with<std::vector<volume_summary>>,
    caf::replies_to<atom::show, volume_ref>::with<volume_details>,
    caf::replies_to<atom::create, volume_request>::with<volume_summary>,
    caf::replies_to<atom::resize, volume_ref, byte_count>::with<resize_report>,
    caf::replies_to<atom::erase, volume_ref, deletion>::with<volume_summary>,
    caf::replies_to<atom::undelete, volume_ref, volume_name>::with<volume_summary>,
    caf::replies_to<atom::purge, volume_ref>::with<volume_summary>,
    caf::replies_to<atom::rename, volume_ref, volume_name>::with<volume_summary>,
    caf::replies_to<atom::describe, volume_ref, std::string>::with<volume_summary>,
    caf::replies_to<atom::access, volume_ref, volume_access>::with<volume_summary>,
    caf::replies_to<atom::who, volume_ref>::with<std::vector<connection_info>>,
    caf::replies_to<atom::fence, volume_ref, instance_id, instance_id>::with<std::vector<connection_info>>,
    caf::replies_to<atom::unfence, volume_ref, instance_id>::with<volume_details>,
    caf::replies_to<atom::grant, volume_ref, instance_id>::with<volume_details>,
    caf::replies_to<atom::revoke, volume_ref, instance_id>::with<volume_details>,
    caf::replies_to<atom::clear, volume_ref>::with<volume_summary>,
    caf::replies_to<atom::accept, volume_ref>::with<volume_summary>,
    // As at the recorder.
    caf::replies_to<atom::record, volume_ref>::with<recording_started>,
    caf::replies_to<atom::next, recording_number>::with<record_batch>,
    caf::replies_to<atom::stop, recording_number>::with<record_batch>,
    // As at the volume's pattern actor and forecaster.
    caf::replies_to<atom::heat, volume_ref, heat_request>::with<heat_view>,
    caf::replies_to<atom::forecast, forecast_request>::with<forecast_view>,
    // The prediction board, in short or one volume of it; not_found.
    caf::replies_to<atom::board, board_request>::with<board_view>,
    // As at the importer.
    caf::replies_to<atom::take_in, volume_ref>::with<import_terms>,
    caf::replies_to<atom::take_in, volume_ref, import_note>::with<import_receipt>,
    caf::replies_to<atom::take_in, volume_ref, history_rows>::with<import_receipt>,
    // As at the calendar; told by the command line.
    caf::replies_to<atom::add, event_batch>::with<events_added>,
    caf::replies_to<atom::list, event_query>::with<event_page>,
    caf::replies_to<atom::remove, event_id>::with<event_info>,
    // As at the instance registry and the instance's profile actor.
    caf::replies_to<atom::profiles>::with<std::vector<instance_summary>>,
    caf::replies_to<atom::profile, instance_id>::with<instance_details>,
    caf::replies_to<atom::describe, instance_id, instance_change>::with<instance_summary>,
    // As at the snapshot service.
    caf::replies_to<atom::create, snapshot_request>::with<snapshot_info>,
    caf::replies_to<atom::list, snapshot_query>::with<std::vector<snapshot_info>>,
    caf::replies_to<atom::show, snapshot_ref>::with<snapshot_info>,
    caf::replies_to<atom::erase, snapshot_ref>::with<snapshot_info>,
    caf::replies_to<atom::verify, snapshot_ref>::with<snapshot_check>,
    caf::replies_to<atom::merge, snapshot_ref>::with<snapshot_info>,
    caf::replies_to<atom::diff, snapshot_diff_request>::with<snapshot_diff>,
    caf::replies_to<atom::restore, restore_request>::with<restore_info>,
    caf::replies_to<atom::restore>::with<std::vector<restore_info>>,
    caf::replies_to<atom::rebuild>::with<rebuild_report>,
    caf::replies_to<atom::create, group_request>::with<group_info>,
    caf::replies_to<atom::describe, group_change>::with<group_info>,
    caf::replies_to<atom::erase, group_ref>::with<group_info>, caf::replies_to<atom::group>::with<std::vector<group_info>>,
    // As at the group's actor.
    caf::replies_to<atom::status, group_ref>::with<group_info>,
    caf::replies_to<atom::plan, group_ref>::with<group_plan>,
    caf::replies_to<atom::snapshot, group_ref>::with<group_info>>;

} // namespace gnomon::actors

// --- registration
// -----------------------------------------------------------------------------------------------------

CAF_BEGIN_TYPE_ID_BLOCK(gnomon, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(gnomon, (gnomon::byte_offset))
CAF_ADD_TYPE_ID(gnomon, (gnomon::byte_count))
CAF_ADD_TYPE_ID(gnomon, (gnomon::volume_uuid))
CAF_ADD_TYPE_ID(gnomon, (gnomon::volume_name))
CAF_ADD_TYPE_ID(gnomon, (gnomon::instance_id))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::error_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::actor_report))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::actor_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::io_data))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::write_durability))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::io_completion))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::step_completion))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::volume_ref))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::list_filter))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::deletion))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::volume_access))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::volume_summary))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::volume_details))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::volume_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::connection_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::resize_report))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::apply_report))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::telemetry_snapshot))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::recording_number))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::recording_started))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::record_batch))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::node_status))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::reload_mode))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::reload_report))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::reload_completion))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::actor_info>))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::volume_summary>))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::connection_info>))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::observed_chunk))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::observed))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::heat_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::heat_view))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::forecast_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::forecast_view))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::board_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::board_view))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::fit_completion))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::import_terms))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::import_note))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::history_rows))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::import_receipt))
CAF_ADD_TYPE_ID(gnomon, (gnomon::event_id))
CAF_ADD_TYPE_ID(gnomon, (gnomon::event_source))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::event_batch))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::event_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::events_added))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::event_query))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::event_page))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::event_completion))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::instance_change))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::instance_summary))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::instance_details))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::instance_summary>))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_ref))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_query))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_check))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::restore_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::restore_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::rebuild_report))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_rule))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_change))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::planned_layer))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_plan))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_diff_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::diff_extent))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_diff))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_ref))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_request))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::group_info))
CAF_ADD_TYPE_ID(gnomon, (gnomon::actors::snapshot_completion))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::snapshot_info>))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::restore_info>))
CAF_ADD_TYPE_ID(gnomon, (std::vector<gnomon::actors::group_info>))
CAF_END_TYPE_ID_BLOCK(gnomon)
