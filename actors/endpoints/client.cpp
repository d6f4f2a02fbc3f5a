#include "actors/endpoints/client.hpp"

#include <functional>
#include <future>

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/endpoints/control_socket.hpp"
#include "actors/protocol/error_message.hpp"
#include "actors/protocol/protocol.hpp"
#include "actors/runtime/system_config.hpp"

namespace gnomon::actors {
namespace {
constexpr const char* lost = "the node's control actor ended before it answered; what was asked may have been done";

void asker(caf::event_based_actor* self, const std::function<void(caf::event_based_actor*)>& ask) { ask(self); }
} // namespace

struct client::impl {
  explicit impl(std::string socket_path)
      : path(std::move(socket_path)), config(networking::control_socket), system(config), self(system),
        middleman(spawn_unix_middleman(system)) {}
  ~impl() { self->send_exit(middleman, caf::exit_reason::kill); }

  // A new handshake. Each has a number of its own, so that CAF does not answer from its cache of former ones.
  result<void> shake_hands() {
    result<void> outcome;
    control = nullptr;
    self->request(middleman, endpoint_timeout, caf::connect_atom_v, path, ++handshakes)
        .receive(
            [&](caf::node_id&, caf::strong_actor_ptr& found, std::set<std::string>& offered) {
              if (!found)
                outcome = fail(errc::unavailable, path + ": the node serves no control actor just now");
              else if (!system.assignable(offered, system.message_types<control_actor>()))
                outcome = fail(errc::unsupported,
                               path + ": the node has another version of the protocol; use its own gnomon");
              else
                control = caf::actor_cast<control_actor>(std::move(found));
            },
            [&](const caf::error& reason) {
              auto why = from_caf(reason);
              if (why.os_errno == ENOENT || why.os_errno == ECONNREFUSED)
                why = {errc::unavailable, "no node is running there (" + why.message + ")", why.os_errno};
              outcome = tl::unexpected(std::move(why));
            });
    return outcome;
  }

  template <class Reply, class... Ts>
  result<Reply> request(std::chrono::seconds patience, const Ts&... message) {
    using answered = caf::response_type<control_actor::signatures, Ts...>;
    static_assert(answered::valid, "the control actor does not take this message");
    static_assert(std::is_same_v<typename answered::type, caf::detail::type_list<Reply>>, "its reply is another one");
    return send_and_wait<Reply>(patience, caf::make_message(message...));
  }

  // A request that is under way when the control actor dies gets no answer from CAF, so each is sent by an actor that
  // watches: unavailable then, at once, and the next request shakes hands again. The message comes without its type,
  // which request() has looked at: what is made of CAF's templates here is made once per reply.
  template <class Reply>
  result<Reply> send_and_wait(std::chrono::seconds patience, caf::message message) {
    if (!control) {
      if (auto again = shake_hands(); !again)
        return tl::unexpected(again.error());
    }
    const auto promise = std::make_shared<std::promise<result<Reply>>>();
    auto answer = promise->get_future();
    const std::function<void(caf::event_based_actor*)> ask = [promise, patience, message = std::move(message),
                                                              whom = caf::actor_cast<caf::actor>(control)](auto* one) {
      const auto end = [one, promise](result<Reply> with) {
        promise->set_value(std::move(with));
        one->quit();
      };
      one->set_down_handler([end](const caf::down_msg&) { end(fail(errc::unavailable, lost)); });
      one->monitor(whom);
      one->request(whom, patience, message)
          .then([end](Reply& reply) { end(std::move(reply)); },
                [end](const caf::error& reason) { end(tl::unexpected(from_caf(reason))); });
    };
    system.spawn(asker, ask);
    auto outcome = answer.get();
    if (!outcome && outcome.error().message == lost)
      control = nullptr;
    return outcome;
  }

  std::string path;
  system_config config;
  caf::actor_system system;
  caf::scoped_actor self;
  caf::io::middleman_actor middleman;
  control_actor control;
  std::uint16_t handshakes = 0;
};

client::client(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
client::~client() = default;

result<std::unique_ptr<client>> client::connect(std::string socket_path) {
  std::unique_ptr<client> made(new client(std::make_unique<impl>(std::move(socket_path))));
  if (auto connected = made->reconnect(); !connected)
    return tl::unexpected(connected.error());
  return made;
}

result<void> client::reconnect() { return impl_->shake_hands(); }

result<node_status> client::status() { return impl_->request<node_status>(timeout::query, atom::status_v); }
result<reload_report> client::reload(reload_mode mode) {
  return impl_->request<reload_report>(timeout::reload, atom::reload_v, mode);
}
result<std::vector<actor_info>> client::actors() {
  return impl_->request<std::vector<actor_info>>(timeout::query, atom::actors_v);
}
result<std::string> client::ask(const std::string& actor, const std::string& message) {
  return impl_->request<std::string>(timeout::volume_io, atom::ask_v, actor, message);
}
result<telemetry_snapshot> client::top() { return impl_->request<telemetry_snapshot>(timeout::query, atom::top_v); }
result<std::vector<volume_summary>> client::list(list_filter filter) {
  return impl_->request<std::vector<volume_summary>>(timeout::query, atom::list_v, filter);
}
result<volume_details> client::show(const volume_ref& ref) {
  return impl_->request<volume_details>(timeout::query, atom::show_v, ref);
}
result<volume_summary> client::create(const volume_request& request) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::create_v, request);
}
result<resize_report> client::resize(const volume_ref& ref, byte_count size) {
  return impl_->request<resize_report>(timeout::volume_change, atom::resize_v, ref, size);
}
result<volume_summary> client::erase(const volume_ref& ref, deletion how) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::erase_v, ref, how);
}
result<volume_summary> client::undelete(const volume_ref& ref, const volume_name& new_name) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::undelete_v, ref, new_name);
}
result<volume_summary> client::purge(const volume_ref& ref) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::purge_v, ref);
}
result<volume_summary> client::rename(const volume_ref& ref, const volume_name& new_name) {
  return impl_->request<volume_summary>(timeout::catalogue, atom::rename_v, ref, new_name);
}
result<volume_summary> client::describe(const volume_ref& ref, const std::string& description) {
  return impl_->request<volume_summary>(timeout::catalogue, atom::describe_v, ref, description);
}
result<volume_summary> client::set_access(const volume_ref& ref, volume_access access) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::access_v, ref, access);
}
result<std::vector<connection_info>> client::who(const volume_ref& ref) {
  return impl_->request<std::vector<connection_info>>(timeout::query, atom::who_v, ref);
}
result<std::vector<connection_info>> client::fence(const volume_ref& ref, const instance_id& instance,
                                                   const instance_id& heir) {
  return impl_->request<std::vector<connection_info>>(timeout::volume_change, atom::fence_v, ref, instance, heir);
}
result<volume_details> client::unfence(const volume_ref& ref, const instance_id& instance) {
  return impl_->request<volume_details>(timeout::volume_change, atom::unfence_v, ref, instance);
}
result<volume_details> client::grant(const volume_ref& ref, const instance_id& instance) {
  return impl_->request<volume_details>(timeout::catalogue, atom::grant_v, ref, instance);
}
result<volume_details> client::revoke(const volume_ref& ref, const instance_id& instance) {
  return impl_->request<volume_details>(timeout::catalogue, atom::revoke_v, ref, instance);
}
result<volume_summary> client::accept_loss(const volume_ref& ref) {
  return impl_->request<volume_summary>(timeout::volume_change, atom::accept_v, ref);
}
result<volume_summary> client::clear(const volume_ref& ref) {
  return impl_->request<volume_summary>(timeout::catalogue, atom::clear_v, ref);
}
result<recording_started> client::record(const volume_ref& ref) {
  return impl_->request<recording_started>(timeout::query, atom::record_v, ref);
}
result<record_batch> client::next(recording_number number) {
  return impl_->request<record_batch>(timeout::record_next, atom::next_v, number);
}
result<record_batch> client::stop(recording_number number) {
  return impl_->request<record_batch>(timeout::record_next, atom::stop_v, number);
}

result<heat_view> client::heat(const volume_ref& ref, const heat_request& request) {
  return impl_->request<heat_view>(timeout::chart, atom::heat_v, ref, request);
}
result<board_view> client::board(const board_request& request) {
  return impl_->request<board_view>(timeout::query, atom::board_v, request);
}
result<forecast_view> client::forecast(const forecast_request& request) {
  return impl_->request<forecast_view>(timeout::chart, atom::forecast_v, request);
}
result<std::vector<instance_summary>> client::instances() {
  return impl_->request<std::vector<instance_summary>>(timeout::chart, atom::profiles_v);
}
result<instance_details> client::profile(const instance_id& id) {
  return impl_->request<instance_details>(timeout::chart, atom::profile_v, id);
}
result<instance_summary> client::describe(const instance_id& id, const instance_change& change) {
  return impl_->request<instance_summary>(timeout::catalogue, atom::describe_v, id, change);
}

result<events_added> client::add_events(const event_batch& batch) {
  return impl_->request<events_added>(timeout::catalogue, atom::add_v, batch);
}
result<std::vector<event_info>> client::list_events(event_query query) {
  std::vector<event_info> all;
  while (true) {
    auto page = impl_->request<event_page>(timeout::query, atom::list_v, query);
    if (!page)
      return tl::unexpected(page.error());
    all.insert(all.end(), page->events.begin(), page->events.end());
    if (!page->more || page->events.empty())
      return all;
    query.after_start_us = all.back().notice.start_us;
    query.after_id = all.back().id;
  }
}
result<event_info> client::remove_event(event_id id) {
  return impl_->request<event_info>(timeout::catalogue, atom::remove_v, id);
}
result<import_terms> client::terms_of_import(const volume_ref& ref) {
  return impl_->request<import_terms>(timeout::query, atom::take_in_v, ref);
}
result<import_receipt> client::note_import(const volume_ref& ref, const import_note& note) {
  return impl_->request<import_receipt>(timeout::take_in, atom::take_in_v, ref, note);
}
result<import_receipt> client::take_in(const volume_ref& ref, const history_rows& rows) {
  return impl_->request<import_receipt>(timeout::take_in, atom::take_in_v, ref, rows);
}

result<snapshot_info> client::create_snapshot(const snapshot_request& request) {
  return impl_->request<snapshot_info>(timeout::snapshot, atom::create_v, request);
}
result<std::vector<snapshot_info>> client::list_snapshots(const snapshot_query& query) {
  return impl_->request<std::vector<snapshot_info>>(timeout::query, atom::list_v, query);
}
result<snapshot_info> client::show_snapshot(const snapshot_ref& snapshot) {
  return impl_->request<snapshot_info>(timeout::query, atom::show_v, snapshot);
}
result<snapshot_info> client::remove_snapshot(const snapshot_ref& snapshot) {
  return impl_->request<snapshot_info>(timeout::snapshot, atom::erase_v, snapshot);
}
result<snapshot_check> client::verify_snapshot(const snapshot_ref& snapshot) {
  return impl_->request<snapshot_check>(timeout::verify, atom::verify_v, snapshot);
}
result<snapshot_info> client::merge_snapshot(const snapshot_ref& snapshot) {
  return impl_->request<snapshot_info>(timeout::verify, atom::merge_v, snapshot);
}
result<snapshot_diff> client::diff_snapshots(const snapshot_diff_request& request) {
  return impl_->request<snapshot_diff>(timeout::snapshot, atom::diff_v, request);
}
result<restore_info> client::restore_snapshot(const restore_request& request) {
  return impl_->request<restore_info>(timeout::snapshot, atom::restore_v, request);
}
result<std::vector<restore_info>> client::list_restores() {
  return impl_->request<std::vector<restore_info>>(timeout::query, atom::restore_v);
}
result<rebuild_report> client::rebuild_snapshots() {
  return impl_->request<rebuild_report>(timeout::verify, atom::rebuild_v);
}
result<group_info> client::create_group(const group_request& request) {
  return impl_->request<group_info>(timeout::catalogue, atom::create_v, request);
}
result<std::vector<group_info>> client::list_groups() {
  return impl_->request<std::vector<group_info>>(timeout::query, atom::group_v);
}
result<group_info> client::group_status(const group_ref& group) {
  return impl_->request<group_info>(timeout::query, atom::status_v, group);
}
result<group_plan> client::plan_of_group(const group_ref& group) {
  return impl_->request<group_plan>(timeout::query, atom::plan_v, group);
}
result<group_info> client::change_group(const group_change& change) {
  return impl_->request<group_info>(timeout::catalogue, atom::describe_v, change);
}
result<group_info> client::snapshot_group(const group_ref& group) {
  return impl_->request<group_info>(timeout::snapshot, atom::snapshot_v, group);
}
result<group_info> client::remove_group(const group_ref& group) {
  return impl_->request<group_info>(timeout::catalogue, atom::erase_v, group);
}

std::string control_socket_path(const std::string& data_dir) { return data_dir + "/" + control_socket_name; }

} // namespace gnomon::actors
