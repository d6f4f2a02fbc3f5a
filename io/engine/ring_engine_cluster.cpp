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

} // namespace gnomon::io
