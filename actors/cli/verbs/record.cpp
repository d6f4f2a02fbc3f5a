// `gnomon record`: pulls the requests of one volume from the node and writes them as a trace, in order of time, until
// Ctrl-C or the end of --duration. Times in the trace count from its first request.
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <poll.h>

#include "actors/cli/replay/trace_order.hpp"
#include "actors/cli/run.hpp"
#include "actors/cli/view/json_output.hpp"
#include "io/engine/engine.hpp"
#include "store/files/trace_file.hpp"

namespace gnomon::actors::cli {
namespace {
using monotonic = std::chrono::steady_clock;
constexpr int retries_max = 25;
constexpr std::chrono::milliseconds retry_wait{200};

// By io::operation.
constexpr std::array letters{store::trace_operation::read,        store::trace_operation::write,
                             store::trace_operation::flush,       store::trace_operation::trim,
                             store::trace_operation::zero,        store::trace_operation::cache,
                             store::trace_operation::block_status};
static_assert(letters.size() == io::operation_count);

class trace_output {
public:
  static result<trace_output> create(const std::string& path, const std::string& volume) {
    auto writer = store::trace_writer::create(path);
    if (!writer)
      return tl::unexpected(writer.error());
    const auto index = (*writer)->volume(volume);
    if (!index)
      return tl::unexpected(index.error());
    return trace_output(std::move(*writer), *index);
  }

  result<void> write(const std::vector<trace_record>& records) {
    lines_.clear();
    for (const auto& r : records) {
      if (r.operation >= letters.size())
        return fail(errc::unsupported,
                    fmt::format("the node recorded an operation this gnomon does not know ({})", r.operation));
      first_ns_ = first_ns_.value_or(r.time_ns);
      const auto since = r.time_ns > *first_ns_ ? r.time_ns - *first_ns_ : 0;
      lines_.push_back({since / 1000, volume_, letters[r.operation], r.offset_bytes, r.length_bytes});
    }
    return writer_->write(lines_);
  }
  result<void> flush() { return writer_->flush(); }
  result<void> close() { return writer_->close(); }
  std::uint64_t count() const { return writer_->records_written(); }

private:
  trace_output(std::unique_ptr<store::trace_writer> writer, std::uint32_t volume)
      : writer_(std::move(writer)), volume_(volume) {}
  std::unique_ptr<store::trace_writer> writer_;
  std::uint32_t volume_;
  std::optional<std::uint64_t> first_ns_;
  std::vector<store::trace_record> lines_;
};

struct recording_outcome {
  std::uint64_t dropped = 0;
  std::optional<error> failed; // of the node; what came before is in the file
};

// The recorder may be restarted under us: the recording itself outlives that.
template <class Ask>
result<record_batch> ask_patiently(client& node, Ask ask) {
  auto batch = ask();
  for (int tries = 0; !batch && batch.error().code == errc::unavailable && tries < retries_max; ++tries) {
    ::poll(nullptr, 0, static_cast<int>(retry_wait.count()));
    if (node.reconnect())
      batch = ask();
  }
  return batch;
}

// Pulls until the recording is finished. The caller has started it.
recording_outcome pull(client& node, recording_number number, const record_command& wanted, trace_output& output,
                       const streams& io) {
  recording_outcome out;
  trace_order order;
  const auto started = monotonic::now();
  auto flushed = started;
  bool stopping = false;
  const auto give_up = [&](const error& why) {
    out.failed = why;
    (void)output.write(order.drain());
    if (!stopping)
      (void)node.stop(number);
    return out;
  };
  while (true) {
    stopping =
        stopping || interruption::requested() || (wanted.duration && monotonic::now() - started >= *wanted.duration);
    auto batch = ask_patiently(node, [&] { return stopping ? node.stop(number) : node.next(number); });
    if (!batch)
      return give_up(batch.error());
    out.dropped = batch->dropped;
    if (auto written = output.write(order.add(std::move(batch->records))); !written)
      return give_up(written.error());
    if (batch->finished) {
      if (auto written = output.write(order.drain()); !written)
        return give_up(written.error());
      return out;
    }
    const auto now = monotonic::now();
    if (now - flushed < std::chrono::seconds(1))
      continue;
    flushed = now;
    if (auto safe = output.flush(); !safe)
      return give_up(safe.error());
    if (io.err_is_terminal)
      io.err << fmt::format("\r{} requests recorded, {} dropped; Ctrl-C ends\033[K", output.count(), out.dropped)
             << std::flush;
  }
}

} // namespace

int run(const record_command& wanted, context& c) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  interruption ctrl_c; // from here on Ctrl-C ends the recording, not the program
  const auto volume = (*node)->show(wanted.volume);
  if (!volume)
    return complain(c, volume.error());
  auto output = trace_output::create(wanted.output, volume->summary.name.value);
  if (!output)
    return complain(c, output.error());
  const auto recording = (*node)->record(wanted.volume);
  if (!recording) {
    (void)output->close();
    std::remove(wanted.output.c_str());
    return complain(c, recording.error());
  }
  const auto started = monotonic::now();
  const auto outcome = pull(**node, recording->number, wanted, *output, c.io);
  if (c.io.err_is_terminal)
    c.io.err << "\r\033[K" << std::flush;
  if (auto closed = output->close(); !closed)
    return complain(c, closed.error());
  const double seconds = std::chrono::duration<double>(monotonic::now() - started).count();
  if (c.json)
    c.io.out << json_of_recording(volume->summary.name.value, wanted.output, output->count(), outcome.dropped,
                                  seconds);
  else
    c.io.out << fmt::format("recorded {} of {} in {:.1f} s to {}; {} dropped\n", counted(output->count(), "request"),
                            volume->summary.name.value, seconds, wanted.output, outcome.dropped);
  return outcome.failed ? complain(c, *outcome.failed) : exit_done;
}

} // namespace gnomon::actors::cli
