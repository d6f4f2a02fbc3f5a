// Which volumes this node serves, under which names, and who may open them. Any thread; short locks; never on the
// path of a request. It owns the cores: the death of an actor touches none of them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/types.hpp"
#include "io/engine/engine.hpp"
#include "io/nbd/service.hpp"
#include "io/session/frame.hpp"
#include "io/volume/core.hpp"

namespace gnomon::io {

class volume_registry final : public export_access {
public:
  // already_exists when the name or the uuid is taken.
  result<void> add(std::shared_ptr<volume_core> core);
  std::shared_ptr<volume_core> find(volume_uuid id) const;
  std::shared_ptr<volume_core> find(const volume_name& name) const;
  std::shared_ptr<volume_core> remove(volume_uuid id);
  // A volume of another node that is served here; it is listed and opened by name, and in nothing else of this class.
  result<void> add_remote(std::shared_ptr<volume_core> core);
  void remove_remote(const volume_core& core);
  bool is_remote(const volume_core& core) const; // it is there under its name
  // Takes it out of the names and gives it another one, under which add_remote() puts it back.
  void rename_remote(volume_core& core, const volume_name& name);
  std::vector<std::shared_ptr<volume_core>> remotes() const;
  // A client has attached a volume of another node for writing; set before the first client, or never. Any thread.
  std::function<void(const volume_core&)> on_remote_writer;
  // Whose gateway has this session; set before the first client of the data listener, or never.
  std::function<std::optional<node_name>(const session::session_id&, const session::proof&)> data_login;
  result<void> rename(volume_uuid id, const volume_name& name);
  std::vector<std::shared_ptr<volume_core>> all() const; // by name

  void set_access(access_policy policy);
  // Whether a connection of `who` may have `volume` open.
  bool permits(const volume_name& volume, const instance_id& who) const;
  // Refused opens are reported here; must not block.
  std::function<void(alert)> on_alert;
  void stop() noexcept { stopping_.store(true, std::memory_order_release); }

  std::vector<listing> list(const instance_id& anonymous) const override;
  result<attachment> open(std::string_view export_name, const instance_id& anonymous, bool attach) override;
  void closed(const attachment& what) override;
  bool stopping() const noexcept override { return stopping_.load(std::memory_order_acquire); }

  // The name behind a slot number of observation_set.
  instance_id instance_of(instance_slot slot) const;
  instance_slot slot_of(const instance_id& who); // a new one for a new name

private:
  bool granted(const volume_name& volume, const instance_id& who) const; // under mutex_
  result<instance_id> authorise(const volume_name& volume, const std::optional<instance_id>& named,
                                const instance_id& anonymous) const; // under mutex_
  result<attachment> open_for_gateway(std::string_view export_name, bool attach);

  mutable std::shared_mutex mutex_;
  std::unordered_map<volume_uuid, std::shared_ptr<volume_core>> by_uuid_;
  std::map<volume_name, std::shared_ptr<volume_core>> by_name_;
  std::map<volume_name, std::shared_ptr<volume_core>> remote_;
  bool restricted_ = false;
  std::map<instance_id, access_policy::grant> grants_;

  mutable std::mutex slots_mutex_;
  std::map<instance_id, instance_slot> slots_;
  std::vector<instance_id> slot_names_{instance_id{"anonymous"}};
  std::atomic<bool> stopping_{false};
};

} // namespace gnomon::io
