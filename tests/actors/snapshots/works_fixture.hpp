// A catalogue on disk, a data plane in memory and the works of snapshots between them, without actors; and what each
// volume must hold, in the test's own memory.
#pragma once

#include <filesystem>
#include <fstream>

#include "actors/snapshots/snapshot_works.hpp"
#include "actors/snapshots/waiting.hpp"
#include "tests/actors/actor_fixture.hpp"

namespace gnomon::tests {

using content = std::vector<std::byte>;

struct works_fixture : store_and_engine {
  std::unique_ptr<store::snapshot_book> book;
  std::unique_ptr<actors::snapshot_works> works;
  std::map<volume_uuid, content> model;

  works_fixture() { open(); }
  ~works_fixture() {
    works.reset();
    book.reset();
    catalogue->stop();
    meta->stop();
  }

  // Again, as after a restart of the process.
  void open() {
    works.reset();
    book = value(store::snapshot_book::open(meta.get()));
    actors::snapshot_works_options options;
    options.engine = engine.get();
    options.catalogue = catalogue.get();
    options.book = book.get();
    options.layers_path = directory.path + "/layers";
    options.volumes_changed = [this] { serve_restored(); };
    works = std::make_unique<actors::snapshot_works>(std::move(options));
    recovered = value(works->recover());
  }
  actors::rebuild_report recovered;

  // What the registry does with volumes that come from a snapshot.
  void serve_restored() {
    for (const auto& record : catalogue->list()) {
      if (!record.source || engine->status(record.uuid))
        continue;
      io::volume_spec spec;
      spec.uuid = record.uuid;
      spec.name = record.name;
      spec.size = record.size;
      spec.open_source = [this, record] { return works->open_source(record); };
      (void)actors::wait_for<void>([&](auto done) { engine->open_volume(spec, done); });
    }
  }

  store::volume_record volume(const std::string& name, std::uint64_t size) {
    store::volume_request request;
    request.name = volume_name{name};
    request.size = byte_count{size};
    auto record = value(catalogue->create(request));
    io::volume_spec spec;
    spec.uuid = record.uuid;
    spec.name = record.name;
    spec.size = record.size;
    value(actors::wait_for<void>([&](auto done) { engine->open_volume(spec, done); })
              .map([] { return true; }));
    model[record.uuid] = content(size);
    return record;
  }
  void change(volume_uuid volume, io::operation op, std::uint64_t offset, const content& data) {
    io::local_request request;
    request.op = op;
    request.offset = byte_offset{offset};
    request.length = byte_count{data.size()};
    if (op == io::operation::write)
      request.data = data;
    value(actors::wait_for<content>([&](auto done) { engine->submit(volume, request, done); }));
    const content zeros(data.size());
    std::copy_n((op == io::operation::write ? data : zeros).begin(), data.size(),
                model[volume].begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void write(volume_uuid volume, std::uint64_t offset, std::uint8_t byte, std::size_t length = 512) {
    change(volume, io::operation::write, offset, content(length, std::byte{byte}));
  }

  result<actors::snapshot_info> take(volume_uuid volume) {
    auto begun = actors::wait_for<actors::snapshot_info>([&](auto done) { works->capture(volume, "", done); });
    if (!begun)
      return begun;
    return finished(begun->id);
  }
  result<actors::snapshot_info> finished(const std::string& id) {
    for (;;) {
      auto info = works->show(id);
      if (!info || info->state != actors::snapshot_state::capturing)
        return info;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  result<content> restored(const std::string& snapshot, const std::string& to) {
    auto begun = actors::wait_for<actors::restore_info>(
        [&](auto done) { works->restore(snapshot, volume_name{to}, done); });
    if (!begun)
      return tl::unexpected(begun.error());
    return when_restored(begun->volume);
  }
  result<content> when_restored(volume_uuid volume) {
    for (;;) {
      for (const auto& one : works->restores())
        if (one.volume == volume) {
          if (one.done)
            return content_of(volume);
          if (!one.problem.empty())
            return fail(errc::io_failed, one.problem);
        }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  result<content> content_of(volume_uuid volume) {
    io::local_request request;
    request.op = io::operation::read;
    request.length = catalogue->find(volume)->size;
    return actors::wait_for<content>([&](auto done) { engine->submit(volume, request, done); });
  }
  result<actors::snapshot_info> remove(const std::string& snapshot) {
    return actors::wait_for<actors::snapshot_info>([&](auto done) { works->remove(snapshot, done); });
  }
  result<actors::snapshot_info> merge(const std::string& snapshot) {
    return actors::wait_for<actors::snapshot_info>([&](auto done) { works->merge(snapshot, done); });
  }
  // All of it, in answers of at most `extents_max`.
  result<std::vector<actors::diff_extent>> diff(const std::string& older, const std::string& newer,
                                                std::uint32_t extents_max = 3) {
    std::vector<actors::diff_extent> out;
    actors::snapshot_diff_request request{older, {newer}, 0, extents_max};
    for (;;) {
      auto part = actors::wait_for<actors::snapshot_diff>([&](auto done) { works->diff(request, done); });
      if (!part)
        return tl::unexpected(part.error());
      out.insert(out.end(), part->extents.begin(), part->extents.end());
      if (part->next_offset >= part->size.value)
        return out;
      request.from_offset = part->next_offset;
    }
  }
  result<actors::snapshot_check> check(const std::string& snapshot) {
    return actors::wait_for<actors::snapshot_check>([&](auto done) { works->check(snapshot, done); });
  }
  result<group_cut_id> cut(const store::group_record& group) {
    return actors::wait_for<group_cut_id>([&](auto done) { works->cut_group(group, done); });
  }
  std::vector<std::string> layer_files() const {
    std::vector<std::string> out;
    std::error_code none;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path + "/layers", none))
      if (entry.is_regular_file())
        out.push_back(entry.path().string());
    return out;
  }
};

} // namespace gnomon::tests
