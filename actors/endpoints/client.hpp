// The command line's way to a running node: connects to its control socket and sends the protocol's requests,
// each with its named timeout. Blocks; for one thread at a time, never inside an actor. Owns an actor system of its
// own. Errors: unavailable (no node, or it went away), timed_out (outcome unknown), unsupported (the node has
// another version of the protocol), permission_denied (another user's node), and whatever the node answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/protocol/board_messages.hpp"
#include "actors/protocol/event_messages.hpp"
#include "actors/protocol/import_messages.hpp"
#include "actors/protocol/instance_messages.hpp"
#include "actors/protocol/learning_messages.hpp"
#include "actors/protocol/snapshot_messages.hpp"
#include "actors/protocol/volume_messages.hpp"

namespace gnomon::actors {

class client {
public:
  // `socket_path`: DATA_DIR/control.sock.
  static result<std::unique_ptr<client>> connect(std::string socket_path);
  ~client();

  result<node_status> status();
  result<reload_report> reload(reload_mode mode);
  result<std::vector<actor_info>> actors();
  result<std::string> ask(const std::string& actor, const std::string& message);
  result<telemetry_snapshot> top();

  result<std::vector<volume_summary>> list(list_filter filter);
  result<volume_details> show(const volume_ref& ref);
  result<volume_summary> create(const volume_request& request);
  result<resize_report> resize(const volume_ref& ref, byte_count size);
  result<volume_summary> erase(const volume_ref& ref, deletion how = deletion::if_unused);
  result<volume_summary> undelete(const volume_ref& ref, const volume_name& new_name);
  result<volume_summary> purge(const volume_ref& ref);
  result<volume_summary> rename(const volume_ref& ref, const volume_name& new_name);
  result<volume_summary> describe(const volume_ref& ref, const std::string& description);
  result<volume_summary> set_access(const volume_ref& ref, volume_access access);
  result<std::vector<connection_info>> who(const volume_ref& ref);
  // Empty ids: everybody; nobody.
  result<std::vector<connection_info>> fence(const volume_ref& ref, const instance_id& instance,
                                             const instance_id& heir = {});
  result<volume_details> unfence(const volume_ref& ref, const instance_id& instance);
  result<volume_details> grant(const volume_ref& ref, const instance_id& instance);
  result<volume_details> revoke(const volume_ref& ref, const instance_id& instance);
  result<volume_summary> clear(const volume_ref& ref);
  result<volume_summary> accept_loss(const volume_ref& ref);

  result<recording_started> record(const volume_ref& ref);
  result<record_batch> next(recording_number number);
  result<record_batch> stop(recording_number number);

  result<heat_view> heat(const volume_ref& ref, const heat_request& request);
  result<board_view> board(const board_request& request);
  result<forecast_view> forecast(const forecast_request& request);
  result<std::vector<instance_summary>> instances();
  result<instance_details> profile(const instance_id& id);
  result<instance_summary> describe(const instance_id& id, const instance_change& change);

  result<import_terms> terms_of_import(const volume_ref& ref);
  result<import_receipt> note_import(const volume_ref& ref, const import_note& note);
  result<import_receipt> take_in(const volume_ref& ref, const history_rows& rows);

  result<events_added> add_events(const event_batch& batch);
  // All of them: page by page, so that those told or removed meanwhile may be among them or not.
  result<std::vector<event_info>> list_events(event_query query);
  result<event_info> remove_event(event_id id);

  result<snapshot_info> create_snapshot(const snapshot_request& request);
  result<std::vector<snapshot_info>> list_snapshots(const snapshot_query& query);
  result<snapshot_info> show_snapshot(const snapshot_ref& snapshot);
  result<snapshot_info> remove_snapshot(const snapshot_ref& snapshot);
  result<snapshot_check> verify_snapshot(const snapshot_ref& snapshot);
  result<snapshot_info> merge_snapshot(const snapshot_ref& snapshot);
  result<snapshot_diff> diff_snapshots(const snapshot_diff_request& request);
  result<restore_info> restore_snapshot(const restore_request& request);
  result<std::vector<restore_info>> list_restores();
  result<rebuild_report> rebuild_snapshots();
  result<group_info> create_group(const group_request& request);
  result<std::vector<group_info>> list_groups();
  result<group_info> group_status(const group_ref& group);
  result<group_plan> plan_of_group(const group_ref& group);
  result<group_info> change_group(const group_change& change);
  result<group_info> snapshot_group(const group_ref& group);
  result<group_info> remove_group(const group_ref& group);

  // After `unavailable`: shakes hands again, for long-lived users (shell, top) that outlive a control actor or a
  // node.
  result<void> reconnect();

private:
  struct impl;
  explicit client(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

// DATA_DIR/control.sock.
std::string control_socket_path(const std::string& data_dir);

} // namespace gnomon::actors
