// Where forecasters and pattern actors publish what they expect, and the board that everybody reads. A reader takes
// the latest board, a value that never changes, and asks nobody; a publisher holds the lock for as long as it takes
// to replace one volume's entry. A new board is made at most once a second, by the observer. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/clock.hpp"
#include "forecasting/board/board_builder.hpp"

namespace gnomon::actors {

class prediction_publisher {
public:
  using board_pointer = std::shared_ptr<const forecasting::prediction_board>;

  // Never null; empty before the first one is made.
  board_pointer board() const {
    std::lock_guard lock(board_mutex_);
    return board_;
  }

  struct volume {
    volume_uuid uuid;
    volume_name name;
    byte_count size;
  };
  // limit_reached: the board is full.
  result<void> put(const volume& of, forecasting::load_outlook load) {
    std::lock_guard lock(builder_mutex_);
    if (auto known = know(of); !known)
      return known;
    return builder_.put(of.uuid, std::move(load));
  }
  result<void> put(const volume& of, forecasting::heat_outlook heat,
                   std::vector<forecasting::board_builder::user> users) {
    std::lock_guard lock(builder_mutex_);
    if (auto known = know(of); !known)
      return known;
    if (auto put = builder_.put(of.uuid, std::move(heat)); !put)
      return put;
    return builder_.put(of.uuid, std::move(users));
  }

  // The volumes there are: new ones get an empty entry, those that are gone leave the board.
  void set_volumes(const std::vector<volume>& all) {
    std::unordered_set<volume_uuid> present;
    std::lock_guard lock(builder_mutex_);
    for (const auto& one : all) {
      present.insert(one.uuid);
      (void)know(one); // refusals are counted
    }
    for (const auto& uuid : known_)
      if (!present.contains(uuid))
        builder_.erase(uuid);
    known_ = std::move(present);
  }

  // Makes the next board if anything has changed.
  void publish(double now_seconds, const std::string& node) {
    board_pointer next;
    {
      std::lock_guard lock(builder_mutex_);
      if (!builder_.changed())
        return;
      next = builder_.build(now_seconds, node);
    }
    std::lock_guard lock(board_mutex_);
    board_.swap(next);
  }

  std::size_t refused() const {
    std::lock_guard lock(builder_mutex_);
    return builder_.refused();
  }

private:
  result<void> know(const volume& one) {
    auto put = builder_.put(one.uuid, one.name, one.size, default_chunk_bytes(one.size));
    if (put)
      known_.insert(one.uuid);
    return put;
  }

  mutable std::mutex builder_mutex_, board_mutex_;
  forecasting::board_builder builder_;
  std::unordered_set<volume_uuid> known_;
  board_pointer board_ = std::make_shared<const forecasting::prediction_board>();
};

} // namespace gnomon::actors
