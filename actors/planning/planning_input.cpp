#include "actors/planning/planning_input.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "config/times.hpp"
#include "forecasting/planner/event_demand.hpp"

namespace gnomon::actors {
namespace {

using namespace forecasting;

constexpr std::string_view node_instance = "node:"; // a gateway, as its home counts it
constexpr double weight_low = 0.5, weight_high = 2;
constexpr double windows_scored_min = 1; // of a hot set, before it is believed

planner_mode mode_of(planner_rule rule) {
  return rule == planner_rule::act      ? planner_mode::act
         : rule == planner_rule::advise ? planner_mode::advise
                                        : planner_mode::off;
}
double seconds_in(std::chrono::milliseconds d) { return std::chrono::duration<double>(d).count(); }

class building {
public:
  building(const planning_facts& facts, const planning_memory& memory) : facts_(facts), memory_(memory) {}

  planning_input run() {
    const auto& wanted = *facts_.wanted;
    in().now_seconds = facts_.now_seconds;
    in().options.horizon_seconds = seconds_in(wanted.planner.horizon);
    in().options.stay_seconds_min = seconds_in(wanted.planner.stay_min);
    add_nodes();
    add_volumes();
    add_readers();
    add_demand();
    add_predictions();
    add_expected();
    add_events();
    add_shadows();
    add_memory();
    add_chunks();
    return std::move(out_);
  }

private:
  planner_input& in() { return out_.input; }

  void add_nodes() {
    std::set<std::string> names{facts_.wanted->node.value};
    for (const auto& p : facts_.cluster.peers)
      names.insert(p.node.value);
    for (const auto& v : facts_.remote)
      names.insert(v.home.value);
    for (const auto& name : names) {
      nodes_.emplace(name, static_cast<std::uint32_t>(in().nodes.size()));
      planner_node n;
      n.name = name;
      n.mode = planner_mode::off; // another node plans for itself
      in().nodes.push_back(std::move(n));
    }
    out_.self = nodes_.at(facts_.wanted->node.value);
    auto& self = in().nodes[out_.self];
    self.mode = mode_of(facts_.wanted->planner.mode);
    self.copy_bytes_per_second = static_cast<double>(facts_.wanted->planner.copy_rate.value);
    double by_hand = 0;
    std::uint64_t near_ns = 0;
    for (const auto& v : facts_.cluster.volumes) {
      by_hand += v.by_hand ? static_cast<double>(v.wanted_bytes.value) : 0;
      if (v.near_p50_ns != 0 && (near_ns == 0 || v.near_p50_ns < near_ns))
        near_ns = v.near_p50_ns;
    }
    self.space_bytes = std::max(0.0, static_cast<double>(facts_.cluster.stage_capacity.value) - by_hand);
    if (near_ns != 0)
      self.stage_read_seconds = static_cast<double>(near_ns) * 1e-9;
    for (const auto& p : facts_.cluster.peers)
      if (p.round_trip.count() > 0)
        in().paths.push_back({out_.self, nodes_.at(p.node.value), static_cast<double>(p.round_trip.count()) * 1e-6});
  }

  void add_volumes() {
    struct one {
      std::string name;
      volume_uuid uuid;
      planner_volume row;
    };
    std::vector<one> all;
    for (const auto& v : facts_.own) {
      one o{v.name.value, v.uuid, {}};
      o.row.home = out_.self;
      o.row.chunk_bytes = static_cast<double>(default_chunk_bytes(v.size).value);
      o.row.home_read_seconds = in().nodes[out_.self].stage_read_seconds; // a home has no stage of its own
      for (const auto& wanted : facts_.wanted->volumes)
        if (wanted.name == v.name)
          o.row.mode = mode_of(wanted.planner);
      all.push_back(std::move(o));
    }
    std::map<volume_uuid, const io::remote_volume_status*> status;
    for (const auto& s : facts_.cluster.volumes)
      status.emplace(s.uuid, &s);
    for (const auto& v : facts_.remote) {
      one o{v.name.value, v.uuid, {}};
      o.row.home = nodes_.at(v.home.value);
      o.row.chunk_bytes = static_cast<double>(default_chunk_bytes(v.size).value);
      o.row.mode = mode_of(v.planner);
      if (const auto s = status.find(v.uuid); s != status.end()) {
        if (s->second->by_hand)
          o.row.mode = planner_mode::off; // an operator's shadow is the operator's
        const double far = static_cast<double>(s->second->far_p50_ns) * 1e-9;
        if (far > 0)
          o.row.home_read_seconds = std::max(0.0, far - round_trip(o.row.home));
      }
      all.push_back(std::move(o));
    }
    std::sort(all.begin(), all.end(),
              [](const one& a, const one& b) { return std::tie(a.name, a.uuid) < std::tie(b.name, b.uuid); });
    for (auto& o : all) {
      volumes_.emplace(o.uuid, static_cast<std::uint32_t>(in().volumes.size()));
      out_.volumes.push_back(o.uuid);
      o.row.name = std::move(o.name);
      if (facts_.wanted->planner.mode == planner_rule::off)
        o.row.mode = planner_mode::off;
      in().volumes.push_back(std::move(o.row));
    }
  }

  double round_trip(std::uint32_t node) const {
    for (const auto& p : out_.input.paths)
      if (p.a == node || p.b == node)
        return p.round_trip_seconds;
    return out_.input.options.default_round_trip_seconds;
  }

  void add_readers() {
    for (const auto& r : facts_.readers) {
      const auto volume = volumes_.find(r.volume);
      if (volume == volumes_.end() || r.instance.value.starts_with(node_instance))
        continue;
      planner_reader row;
      row.instance = r.instance.value;
      row.application = r.application;
      row.volume = volume->second;
      row.node = out_.self;
      row.weight = r.level == criticality::low ? weight_low : r.level == criticality::high ? weight_high : 1;
      row.sla_read_p99_seconds = r.read_p99_seconds;
      in().readers.push_back(std::move(row));
    }
    std::sort(in().readers.begin(), in().readers.end(), [](const planner_reader& a, const planner_reader& b) {
      return std::tie(a.volume, a.instance) < std::tie(b.volume, b.instance);
    });
  }

  planner_chunk& chunk(std::uint32_t node, std::uint32_t volume, std::uint64_t at) {
    auto& row = chunks_[{node, volume, at}];
    row.node = node, row.volume = volume, row.chunk = at;
    return row;
  }

  void add_demand() {
    for (const auto& d : facts_.demand) {
      const auto volume = volumes_.find(d.volume);
      if (volume == volumes_.end())
        continue;
      auto node = out_.self;
      if (d.instance.value.starts_with(node_instance)) { // of a volume homed here: where its readers are
        const auto gateway = nodes_.find(d.instance.value.substr(node_instance.size()));
        if (gateway == nodes_.end())
          continue;
        node = gateway->second;
      }
      auto& row = chunk(node, volume->second, d.chunk.value);
      row.reads_per_second += d.reads_per_second;
      row.writes_per_second += d.writes_per_second;
      row.last_access_seconds = std::max(row.last_access_seconds, d.last_seconds);
    }
  }

  void add_predictions() {
    if (!facts_.board)
      return;
    for (const auto& v : facts_.remote) {
      const auto* on = facts_.board->find(v.uuid);
      const auto* set = on != nullptr ? on->heat->at(in().options.horizon_seconds) : nullptr;
      if (set == nullptr || set->windows_scored < windows_scored_min || !(set->ahead_seconds > 0))
        continue;
      for (const auto& hot : set->chunks) {
        const auto* known = on->heat->find(hot.chunk);
        const double reads = hot.expected_requests * (known != nullptr ? static_cast<double>(known->read_share) : 1) *
                             hot.trust / set->ahead_seconds;
        if (reads > 0)
          chunk(out_.self, volumes_.at(v.uuid), hot.chunk.value)
              .expected_reads[static_cast<std::size_t>(prediction_kind::recurring)] = reads;
      }
    }
  }

  // What other nodes have announced for this one.
  void add_expected() {
    for (const auto& e : facts_.cluster.expected)
      if (const auto volume = volumes_.find(e.volume); volume != volumes_.end())
        chunk(out_.self, volume->second, e.chunk.value).expected_reads[static_cast<std::size_t>(prediction_kind::event)] =
            e.reads_per_second;
  }

  void add_events() {
    if (!facts_.events)
      return;
    for (const auto& e : *facts_.events) {
      const auto order = order_of(e.notice);
      if (!order || !*order)
        continue;
      const auto to = nodes_.find((*order)->to.value);
      const double at = seconds_of(e.notice.start);
      if (to == nodes_.end() || std::abs(at - in().now_seconds) >
                                    std::max(in().options.event_lead_seconds, in().options.horizon_seconds))
        continue;
      planner_event row;
      row.kind = (*order)->is_move ? planner_event_kind::move : planner_event_kind::scale_out;
      row.target = e.notice.target.name;
      row.node = to->second;
      row.at_seconds = at;
      row.instances = (*order)->instances;
      in().events.push_back(std::move(row));
    }
  }

  void add_shadows() {
    for (const auto& [where, placed] : memory_.placed) {
      const auto volume = volumes_.find(where.first);
      if (volume == volumes_.end())
        continue;
      auto* last = in().shadows.empty() ? nullptr : &in().shadows.back();
      if (last != nullptr && last->volume == volume->second && last->first_chunk + last->chunks == where.second &&
          last->since_seconds == placed.since_seconds && last->kind == placed.because) {
        ++last->chunks;
        last->filled_bytes += placed.copied * static_cast<double>(granule_bytes);
        continue;
      }
      planner_shadow s;
      s.node = out_.self, s.volume = volume->second, s.first_chunk = where.second;
      s.since_seconds = placed.since_seconds, s.kind = placed.because;
      s.filled_bytes = placed.copied * static_cast<double>(granule_bytes);
      in().shadows.push_back(s);
    }
  }

  void add_memory() {
    for (const auto& [where, drops] : memory_.dropped)
      if (const auto volume = volumes_.find(where.first); volume != volumes_.end())
        in().memory.push_back({out_.self, volume->second, where.second, drops.last_seconds, drops.times});
    std::map<std::pair<std::uint32_t, prediction_kind>, planning_memory::trust> sums;
    for (const auto& [where, trust] : memory_.trusted) {
      const auto volume = volumes_.find(where.first.first);
      if (volume == volumes_.end())
        continue;
      in().trust.push_back({volume->second, where.first.second, where.second, trust.copied, trust.used});
      auto& sum = sums[{volume->second, where.second}];
      sum.copied += trust.copied;
      sum.used += trust.used;
    }
    for (const auto& [of, sum] : sums)
      in().trust.push_back({of.first, planner_trust::all_chunks, of.second, sum.copied, sum.used});
  }

  void add_chunks() {
    for (auto& [where, row] : chunks_)
      in().chunks.push_back(row);
  }

  const planning_facts& facts_;
  const planning_memory& memory_;
  planning_input out_;
  std::map<std::string, std::uint32_t> nodes_;
  std::map<volume_uuid, std::uint32_t> volumes_;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>, planner_chunk> chunks_;
};

void set_bit(io::read_prediction::bitmap& bits, std::uint64_t chunk) {
  if (chunk / 64 < bits.size())
    bits[chunk / 64] |= std::uint64_t{1} << (chunk % 64);
}

constexpr std::size_t announced_chunks_max = 2'048; // of one plan

// The chunks that any of the hot sets names; empty: none does.
io::read_prediction::bitmap named_by(const heat_outlook& heat, std::size_t words) {
  io::read_prediction::bitmap bits;
  for (const auto& set : heat.hot_sets)
    for (const auto& hot : set.chunks) {
      bits.resize(words);
      set_bit(bits, hot.chunk.value);
    }
  return bits;
}

} // namespace

planning_input planning_input_of(const planning_facts& facts, const planning_memory& memory) {
  return building(facts, memory).run();
}

std::vector<announcement> announcements_of(const planning_input& from) {
  std::vector<announcement> out;
  if (from.input.events.empty())
    return out;
  for (const auto& row : with_events(from.input)) {
    const double reads = row.expected_reads[static_cast<std::size_t>(prediction_kind::event)];
    if (row.node != from.self && reads > 0)
      out.push_back({node_name{from.input.nodes[row.node].name}, {from.volumes[row.volume], chunk_index{row.chunk}, reads}});
  }
  std::stable_sort(out.begin(), out.end(), [](const announcement& a, const announcement& b) {
    return a.reads.reads_per_second > b.reads.reads_per_second;
  });
  if (out.size() > announced_chunks_max)
    out.resize(announced_chunks_max);
  return out;
}

io::read_prediction read_prediction_of(const prediction_board* board, const io::remote_volume_entry& volume,
                                       const planning_memory& memory) {
  io::read_prediction out;
  out.chunk_size = default_chunk_bytes(volume.size);
  const std::uint64_t chunks = (volume.size.value + out.chunk_size.value - 1) / out.chunk_size.value;
  const std::size_t words = (chunks + 63) / 64;
  const auto add_placed = [&](io::read_prediction::bitmap& bits) {
    for (auto at = memory.placed.lower_bound({volume.uuid, 0}); at != memory.placed.end() && at->first.first == volume.uuid;
         ++at)
      set_bit(bits, at->first.second);
  };
  const auto* on = board != nullptr ? board->find(volume.uuid) : nullptr;
  if (on != nullptr)
    out.everybody = named_by(*on->heat, words);
  if (out.everybody.empty()) // nothing is known: every chunk counts as hot
    out.everybody.assign(words, ~std::uint64_t{0});
  else
    add_placed(out.everybody);
  if (on == nullptr)
    return out;
  const auto [first, last] = board->instances_of(volume.uuid);
  for (auto at = first; at < last; ++at) {
    auto bits = named_by(*board->instances()[at]->heat, words);
    if (bits.empty()) // a new one: it has the volume's
      continue;
    add_placed(bits);
    out.instances.emplace_back(board->instances()[at]->instance, std::move(bits));
  }
  return out;
}

} // namespace gnomon::actors
