// The engine in a cluster: the listeners for peers, and what is asked of shadows.
#include "io/engine/ring_engine.hpp"
#include "io/redirect/data_export.hpp"

namespace gnomon::io {

result<engine::cluster_endpoints> node_engine::listen_cluster() {
  cluster_endpoints bound;
  if (!options_.cluster)
    return bound;
  auto made = std::make_unique<cluster>(*options_.cluster, plane_, registry_,
                                        cluster::hooks{[this](const volume_core& core) {
                                          end_connections(&core, {}, nbd_service::manner::drop);
                                        }});
  if (auto opened = made->open(); !opened)
    return tl::unexpected(opened.error());
  const auto& settings = options_.cluster->settings;
  if (settings.data_listen) {
    auto opened = listener::open(
        *settings.data_listen, options_.nbd.socket_mode, std::nullopt, *plane_.rings[0],
        [this](int fd, const instance_id&) {
          new_client client;
          client.fd = fd;
          client.anonymous = instance_id{std::string(data_listener_instance)};
          accepted(std::move(client));
        },
        [this](alert e) { plane_.report(std::move(e)); });
    if (!opened)
      return tl::unexpected(opened.error());
    std::lock_guard lock{listeners_mutex_};
    listeners_.push_back(std::move(*opened));
    bound.data = listeners_.back()->bound();
  }
  auto sessions = made->listen(bound.data ? bound.data->to_string() : std::string{});
  if (!sessions)
    return tl::unexpected(sessions.error());
  if (settings.listen)
    bound.sessions = *sessions;
  cluster_ = std::move(made);
  return bound;
}

result<void> node_engine::create_shadow(const volume_name& volume) {
  return cluster_ ? cluster_->create_shadow(volume) : engine::create_shadow(volume);
}

result<void> node_engine::drop_shadow(const volume_name& volume) {
  return cluster_ ? cluster_->drop_shadow(volume) : engine::drop_shadow(volume);
}

std::vector<remote_volume_entry> node_engine::remote_volumes() const {
  return cluster_ ? cluster_->remote_volumes() : std::vector<remote_volume_entry>{};
}

result<void> node_engine::widen_shadow(volume_uuid volume, chunk_run run) {
  return cluster_ ? cluster_->widen_shadow(volume, run) : engine::widen_shadow(volume, run);
}

result<void> node_engine::narrow_shadow(volume_uuid volume, chunk_run run) {
  return cluster_ ? cluster_->narrow_shadow(volume, run) : engine::narrow_shadow(volume, run);
}

result<void> node_engine::announce_reads(const node_name& to, const expected_chunk& reads,
                                         std::chrono::milliseconds stands) {
  return cluster_ ? cluster_->announce_reads(to, reads, stands) : engine::announce_reads(to, reads, stands);
}

void node_engine::set_planner_rules(std::map<volume_name, planner_rule> rules) {
  if (cluster_)
    cluster_->set_planner_rules(std::move(rules));
}

void node_engine::set_copy_rate(double bytes_per_second) {
  if (cluster_)
    cluster_->set_copy_rate(bytes_per_second);
}

void node_engine::predict_reads(volume_uuid volume, read_prediction predicted) {
  if (cluster_)
    cluster_->predict_reads(volume, std::move(predicted));
}

} // namespace gnomon::io
