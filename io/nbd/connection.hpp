// One NBD client on its ring: socket in, requests parsed and started in the batch they came in, replies gathered and
// sent together. Ring thread only. Lives until the client is gone and its last request has ended.
//
// Receiving: an idle connection holds no buffer; bytes arrive in one of the ring's receive buffers. A write's payload
// is written from there when the volume takes it at once, else it is copied once; what is missing of a long payload
// is received straight into the request's own memory.
// Back-pressure: above the connection's limits, or without memory, parsing stops and nothing more is received.
//
// Its code by the way a request takes: connection_receive.cpp, connection_request.cpp, reply.cpp, connection_send.cpp;
// the rest of it is in connection.cpp. The socket itself is a stream.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/nbd/handshake.hpp"
#include "io/nbd/protocol.hpp"
#include "io/nbd/reply.hpp"
#include "io/nbd/service.hpp"
#include "io/ring/stream.hpp"

namespace gnomon::io {

class nbd_connection final : private stream_user {
public:
  nbd_connection(nbd_service& service, new_client client);
  ~nbd_connection();
  nbd_connection(const nbd_connection&) = delete;
  nbd_connection& operator=(const nbd_connection&) = delete;

  void begin(); // greeting out, first bytes in
  // Nothing more is read; what was asked is answered, then the connection ends.
  void drain();
  // Ends without answering.
  void drop();
  // Memory or room may be there again.
  void resume();
  bool login_overdue() const;

  std::uint64_t id() const noexcept { return id_; }
  const std::string& peer() const noexcept { return peer_; }
  const volume_core* core() const noexcept { return attached_.core.get(); }
  const instance_id& instance() const noexcept { return attached_.core ? attached_.instance : anonymous_; }
  boot_time stalled_since() const noexcept { return stream_.stalled_since(); }
  std::uint64_t bytes_under_way() const noexcept { return in_flight_bytes_; }
  std::uint64_t requests() const noexcept { return requests_; }
  connection_status status() const;

private:
  enum class phase : std::uint8_t { handshake, transmission, draining, dropped };
  // Looks exports up for this client only.
  class directory final : public export_directory {
  public:
    explicit directory(nbd_connection& c) : connection_(c) {}
    std::vector<export_listing> list() const override;
    result<export_info> find(std::string_view name, export_purpose purpose) override;

  private:
    nbd_connection& connection_;
  };
  enum class parsed : std::uint8_t { more, wait };
  static constexpr std::size_t direct_payload_bytes = 16 * 1024; // a missing rest at least this long skips the copy
  static constexpr std::size_t long_payload_bytes = 64 * 1024;
  static constexpr std::size_t send_at_once_bytes = 64 * 1024; // a long reply leaves while the caches hold it

  static constexpr std::size_t words_kept_max = 4096;
  static constexpr std::size_t extents_kept_max = 64;

  // --- receiving
  void receive();
  void received(int result) override;
  void decode_header(const std::byte* bytes);
  void decode_filter(const std::byte* bytes);
  void input_ended();
  void parse();
  parsed parse_handshake();
  parsed parse_request();
  parsed take_payload();
  std::uint64_t memory_wanted(const nbd::request& r) const noexcept;
  bool room_for(const nbd::request& r) const noexcept;
  parsed begin_request(const nbd::request& r);

  // --- replying
  void start_io(nbd_request& r);
  static void io_finished(volume_request& io, ring& on);
  void trim_status(nbd_request& r, ring& on);
  void refuse(const nbd::request& r, nbd::error error, std::string_view text);
  void say(std::vector<std::byte> words, bool last);
  void queue(nbd_request& r) { stream_.queue(r, r.counted_bytes >= send_at_once_bytes); }
  void sent(outgoing* list, bool whole) override;
  void settled() override { check_end(); }
  void add_bytes(nbd_request& r, std::uint64_t bytes) noexcept;
  void remove_bytes(nbd_request& r) noexcept;
  void meter_sent(nbd_request& r, boot_time now);
  void release(nbd_request& r);
  void check_end();

  nbd_service& service_;
  stream stream_;
  const std::uint64_t id_;
  const std::string peer_;
  const instance_id anonymous_;
  const std::string default_export_;
  std::function<void()> on_closed_;
  const boot_time since_;
  const wall_time since_wall_;
  phase phase_ = phase::handshake;
  directory directory_{*this};
  std::unique_ptr<handshake> handshake_;
  attachment attached_;
  byte_count size_seen_;
  nbd::export_limits limits_{};
  reply_form replies_ = reply_form::simple;
  bool serving_ = false;

  // receiving
  enum class target : std::uint8_t { receive_buffer, payload, header } receiving_into_ = target::receive_buffer;
  bool waiting_ = false;
  bool long_payloads_ = false;        // the last write was a long one
  std::optional<nbd::request> waiting_request_; // parsed, but there is no room for it yet
  // A request header that came in pieces, with the filter of a block status behind it.
  std::array<std::byte, nbd::extended_request_bytes + nbd::block_status_filter_bytes> header_;
  std::size_t header_bytes_ = 0;                         // of it, so far
  std::size_t header_bytes_wanted_ = nbd::request_bytes; // until it can be decoded
  nbd_request* incoming_ = nullptr;                      // a write whose payload is still coming
  std::uint64_t incoming_filled_ = 0;
  std::uint64_t skip_bytes_ = 0; // payload of a refused write

  // requests
  std::uint32_t in_flight_ = 0; // parsed, not yet sent
  std::uint64_t in_flight_bytes_ = 0;
  std::uint64_t requests_ = 0;
};

} // namespace gnomon::io
