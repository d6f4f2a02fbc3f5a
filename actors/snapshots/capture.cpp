#include "actors/snapshots/capture.hpp"

#include <algorithm>
#include <random>

#include <sys/random.h>

#include <fmt/format.h>

#include "actors/snapshots/waiting.hpp"
#include "config/log.hpp"

namespace gnomon::actors {

namespace {

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  while (::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
  }
  return seed;
}

// The newest point of the volume whose layers can be read: what a differential lies on.
const store::layer_record* newest_point(const store::snapshot_tree& tree, std::optional<snapshot_uuid> head) {
  if (head)
    if (const auto* layer = tree.best(*head))
      return layer;
  const store::layer_record* newest = nullptr;
  for (const auto& layer : tree.layers())
    if (layer.state != store::layer_state::deleting)
      newest = &layer;
  return newest;
}

} // namespace

volume_capture::~volume_capture() {
  if (begun_)
    end(io::capture_end::failed);
}

void volume_capture::end(io::capture_end how) {
  const auto id = begun_->id;
  begun_.reset();
  const auto ended = wait_for<void>(
      [&](auto done) { where_.engine->end_capture(progress_->volume, id, how, std::move(done)); });
  if (!ended && ended.error().code != errc::not_found && ended.error().code != errc::shutting_down)
    log::warning("volume {}: the end of its capture: {}", progress_->name.value, ended.error().to_string());
}

result<void> volume_capture::begin(std::optional<io::hold_id> held) {
  auto& p = *progress_;
  // What it lies on; the data plane compares it with the layer that its changes are counted from, since another capture
  // may have ended meanwhile, or `meta` may be an older state. A head whose layer is gone means that `changed` is counted from something that is no more: then
  // everything is read, and compared with the newest layer there is.
  std::optional<store::snapshot_tree> tree;
  const auto head = where_.book->head(p.volume);
  const store::layer_record* parent = nullptr;
  below_used_ = where_.uses->take([&]() -> std::optional<snapshot_uuid> {
    tree.emplace(where_.book->layers(p.volume));
    parent = newest_point(*tree, head);
    return parent == nullptr ? std::nullopt : std::optional(parent->snapshot);
  });
  io::capture_order order(io::capture_kind::everything, p.snapshot);
  hash_seed_ = random_seed();
  if (parent != nullptr) {
    auto chain = where_.folder->open_chain(*tree, parent->snapshot);
    if (chain) {
      below_ = std::move(*chain);
      hash_seed_ = below_->header().hash_seed;
      if (head == parent->snapshot)
        order = {io::capture_kind::changed, p.snapshot, parent->snapshot};
    } else {
      log::warning("volume {}: its newest snapshot cannot be read, so the next one holds everything: {}", p.name.value,
                   chain.error().to_string());
    }
  }
  auto begun = wait_for<io::capture_begun>(
      [&](auto done) { where_.engine->begin_capture(p.volume, order, held, std::move(done)); });
  if (!begun)
    return tl::unexpected(begun.error());
  begun_ = *begun;
  p.cut = where_.clock->wall_now();
  p.size_bytes = begun->size.value;
  p.granules = (begun->size.value + granule_bytes - 1) / granule_bytes;
  const bool only_changed = order.kind == io::capture_kind::changed && begun->changed_known;
  if (below_ && below_->header().size > begun->size) { // made anew, smaller
    if (only_changed)
      return fail(errc::internal, fmt::format("volume {}: it is smaller than the snapshot that its changes are counted "
                                              "from", p.name.value));
    below_.reset();
  }
  if (below_ && !only_changed)
    walk_.emplace(*below_);
  return {};
}

result<store::layer_record> volume_capture::finish(const std::function<bool()>& go_on) {
  auto written = write_layer(go_on);
  if (written) {
    store::snapshot_changes changes;
    changes.put_layers = {*written};
    changes.put_heads = {{written->volume, written->snapshot}};
    if (auto committed = where_.book->commit_and_wait(std::move(changes)); !committed) {
      (void)where_.folder->remove(*written);
      written = tl::unexpected(committed.error());
    }
  }
  // The next capture may begin when this one's outcome is seen.
  end(written ? io::capture_end::sealed : io::capture_end::failed);
  return written;
}

result<store::layer_record> volume_capture::write_layer(const std::function<bool()>& go_on) {
  auto& p = *progress_;
  store::layer_header header;
  header.id = layer_id::random();
  header.snapshot = p.snapshot;
  if (below_)
    header.parent = below_->header().snapshot;
  header.volume = p.volume;
  header.name = p.name;
  header.size = begun_->size;
  header.cut = p.cut;
  header.hash_seed = hash_seed_;
  if (auto prepared = where_.folder->prepare(p.volume); !prepared)
    return tl::unexpected(prepared.error());
  const auto path = where_.folder->path(p.volume, header.id);
  auto writer = store::layer_writer::create(path, header);
  if (!writer)
    return tl::unexpected(writer.error());
  if (auto copied = copy_pieces(**writer, go_on); !copied)
    return tl::unexpected(copied.error());
  store::layer_footer footer;
  footer.note = p.note;
  footer.group = p.group;
  if (auto sealed = (*writer)->seal(std::move(footer)); !sealed)
    return tl::unexpected(sealed.error());
  auto layer = store::layer_reader::open(path);
  if (!layer)
    return tl::unexpected(layer.error());
  return store::record_of(**layer);
}

result<void> volume_capture::copy_pieces(store::layer_writer& writer, const std::function<bool()>& go_on) {
  const auto end = progress_->granules.load();
  for (granule_index at{0}; at.value < end;) {
    if (!go_on())
      return fail(errc::shutting_down, "the node stops");
    auto piece = wait_for<io::capture_piece>([&](auto done) {
      where_.engine->read_capture(progress_->volume, begun_->id, at, capture_piece_granules, std::move(done));
    });
    if (!piece)
      return tl::unexpected(piece.error());
    if (piece->granules > 0)
      if (auto added = add_piece(writer, *piece); !added)
        return added;
    if (piece->end)
      break;
    if (piece->next <= at)
      return fail(errc::internal, fmt::format("the capture does not go on behind granule {}", at.value));
    at = piece->next;
    progress_->granules_done = at.value;
  }
  progress_->granules_done = end;
  return {};
}

result<bool> volume_capture::same_below(granule_index granule, const store::content_hash& hash) {
  if (granule.value >= below_->header().granules())
    return hash == below_->zero_hash();
  const auto run = walk_->at(granule.value);
  if (!run)
    return tl::unexpected(run.error());
  return hash == (run->from ? run->from->entry.hash : below_->zero_hash());
}

result<void> volume_capture::add_piece(store::layer_writer& writer, const io::capture_piece& piece) {
  if (piece.zero) {
    if (!walk_)
      return writer.add_zeros(piece.first, piece.granules);
    for (std::uint32_t i = 0; i < piece.granules; ++i) {
      const granule_index granule(piece.first.value + i);
      const auto same = same_below(granule, below_->zero_hash());
      if (!same)
        return tl::unexpected(same.error());
      if (!*same)
        if (auto added = writer.add_zeros(granule, 1); !added)
          return added;
    }
    return {};
  }
  const store::bytes_view all(piece.data);
  for (std::uint32_t i = 0; i < piece.granules; ++i) {
    const auto from = std::min<std::size_t>(i * granule_bytes, all.size());
    const auto data = all.subspan(from, std::min<std::size_t>(granule_bytes, all.size() - from));
    const granule_index granule(piece.first.value + i);
    if (walk_) {
      auto whole = data;
      store::bytes padded;
      if (data.size() < granule_bytes) {
        padded.assign(data.begin(), data.end());
        padded.resize(granule_bytes);
        whole = padded;
      }
      const auto same = same_below(granule, store::hash_content(whole, hash_seed_));
      if (!same)
        return tl::unexpected(same.error());
      if (*same)
        continue;
    }
    if (auto added = writer.add(granule, data); !added)
      return added;
  }
  return {};
}

} // namespace gnomon::actors
