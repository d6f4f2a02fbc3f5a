// `gnomon volume …`: one request to the node each, and its answer as a table or JSON.
#include <fmt/format.h>

#include "actors/cli/run.hpp"
#include "actors/cli/view/json_output.hpp"
#include "config/text.hpp"

namespace gnomon::actors::cli {
namespace {
using align = table::align;

style style_of(volume_state state) {
  switch (state) {
  case volume_state::serving:
    return style::plain;
  case volume_state::deleted:
    return style::dim;
  default:
    return style::red;
  }
}

std::string flags_of(const volume_summary& v) {
  return fmt::format("{}{}{}", cache_word(v.cache), v.read_only ? ", read-only" : "", v.shared ? ", shared" : "");
}

void print_connections(std::ostream& out, const std::vector<connection_info>& connections) {
  table t({{"ID", align::right},
           {"INSTANCE"},
           {"PEER"},
           {"SEES", align::right},
           {"ACCESS"},
           {"REQUESTS", align::right},
           {"SINCE"}});
  for (const auto& who : connections)
    t.row({fmt::format("{}", who.id), who.instance.value.empty() ? "-" : who.instance.value, who.peer,
           human_bytes(static_cast<double>(who.size_seen.value)), who.read_only ? "read" : "read, write",
           human_count(static_cast<double>(who.requests)), human_date(who.since_us)});
  out << t.to_string();
}

// Asks the node; prints its answer as JSON, or with `print`.
template <class Ask, class Print>
int answer(context& c, Ask ask, Print print) {
  const auto node = c.node.get();
  if (!node)
    return complain(c, node.error());
  const auto reply = ask(**node);
  if (!reply)
    return complain(c, reply.error());
  if (c.json)
    c.io.out << json_of(*reply);
  else
    print(*reply);
  return exit_done;
}

std::string joined(const std::vector<instance_id>& instances) {
  std::string out;
  for (const auto& one : instances)
    out += (out.empty() ? "" : ", ") + one.value;
  return out;
}

// Who is shut out; empty: nobody.
std::string claims_of(const volume_details& d) {
  std::string out;
  if (d.everybody_fenced)
    out = "fenced for everybody";
  else if (!d.handed_to.value.empty())
    out = "handed over to " + d.handed_to.value;
  if (!d.fenced.empty())
    out += (out.empty() ? "fenced: " : "; fenced: ") + joined(d.fenced);
  return out.empty() ? out : fmt::format("{} (epoch {})", out, d.epoch);
}

std::string named(const volume_summary& v) { return fmt::format("{} ({})", v.name.value, v.uuid.to_string()); }

} // namespace

int run(const volume_ls_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.list(wanted.filter); },
      [&](const std::vector<volume_summary>& volumes) {
        if (volumes.empty()) {
          c.io.out << (wanted.filter == list_filter::deleted ? "no deleted volumes\n" : "no volumes\n");
          return;
        }
        // Deleted volumes may have had one name; others are told apart by it.
        const bool deleted = std::any_of(volumes.begin(), volumes.end(),
                                         [](const auto& v) { return v.state == volume_state::deleted; });
        table t({{"NAME"},
                 {"SIZE", align::right},
                 {"STATE"},
                 {deleted ? "UUID" : "MODE", deleted ? align::right : align::left}, // a uuid is never cut
                 {"CONNECTIONS", align::right},
                 {""}});
        for (const auto& v : volumes)
          t.row({v.name.value, human_bytes(static_cast<double>(v.size.value)), std::string(to_string(v.state)),
                 deleted ? v.uuid.to_string() : flags_of(v), fmt::format("{}", v.connections),
                 v.state == volume_state::deleted ? "kept until " + human_date(v.deleted_until_us) : v.problem});
        c.io.out << t.to_string();
      });
}

int run(const volume_show_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.show(wanted.volume); },
      [&](const volume_details& d) {
        const auto& v = d.summary;
        const auto line = [&](std::string_view what, const std::string& value) {
          if (!value.empty())
            c.io.out << fmt::format("{:<13}{}\n", what, value);
        };
        std::string writers;
        for (const auto& writer : d.writers)
          writers += (writers.empty() ? "" : ", ") + (writer.value.empty() ? "anonymous" : writer.value);
        line("name", v.name.value);
        line("uuid", v.uuid.to_string());
        line("description", is_printable_text(d.description) ? d.description : quote(d.description, 4096));
        line("size", fmt::format("{} ({} bytes)", human_bytes(static_cast<double>(v.size.value)), v.size.value));
        line("state", styled(to_string(v.state), style_of(v.state), c.io.out_is_terminal));
        line("problem", v.problem);
        line("kept until", v.deleted_until_us != 0 ? human_date(v.deleted_until_us) : "");
        line("mode", flags_of(v));
        line("path", d.path);
        line("made by", d.from_config ? "the configuration file" : "volume create");
        line("created", human_date(d.created_us));
        line("connections", fmt::format("{}", v.connections));
        line("writers", writers.empty() ? "none" : writers);
        line("claims", claims_of(d));
        line("given to", joined(d.granted));
        line("in flight", fmt::format("{}", d.in_flight));
        line("generation", fmt::format("{}", d.generation));
      });
}

int run(const volume_create_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.create(wanted.request); },
      [&](const volume_summary& v) {
        c.io.out << fmt::format("created {}, {}\n", named(v), human_bytes(static_cast<double>(v.size.value)));
      });
}

int run(const volume_resize_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.resize(wanted.volume, wanted.size); },
      [&](const resize_report& r) {
        c.io.out << fmt::format("{} is {} now\n", r.volume.name.value,
                                human_bytes(static_cast<double>(r.volume.size.value)));
        if (r.must_reconnect.empty())
          return;
        c.io.out << fmt::format("{} must reconnect to see the new size:\n",
                                counted(r.must_reconnect.size(), "connection"));
        print_connections(c.io.out, r.must_reconnect);
      });
}

int run(const volume_delete_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.erase(wanted.volume, wanted.how); },
      [&](const volume_summary& v) {
        c.io.out << fmt::format("deleted {}; `volume undelete {}` brings it back until {}\n", named(v),
                                v.uuid.to_string(), human_date(v.deleted_until_us));
      });
}

int run(const volume_undelete_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.undelete(wanted.volume, wanted.new_name); },
      [&](const volume_summary& v) { c.io.out << fmt::format("{} is back\n", named(v)); });
}

int run(const volume_purge_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.purge(wanted.volume); },
      [&](const volume_summary& v) { c.io.out << fmt::format("removed {} and its data for good\n", named(v)); });
}

int run(const volume_rename_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.rename(wanted.volume, wanted.new_name); },
      [&](const volume_summary& v) { c.io.out << fmt::format("it is called {} now\n", v.name.value); });
}

int run(const volume_describe_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.describe(wanted.volume, wanted.description); },
      [&](const volume_summary& v) {
        c.io.out << fmt::format("{} {}\n", v.name.value,
                                wanted.description.empty() ? "has no description now" : "is described");
      });
}

int run(const volume_access_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.set_access(wanted.volume, wanted.access); },
      [&](const volume_summary& v) {
        c.io.out << fmt::format("{} {}\n", v.name.value, v.read_only ? "is read-only now" : "takes writes now");
      });
}

int run(const volume_who_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.who(wanted.volume); },
      [&](const std::vector<connection_info>& connections) {
        if (connections.empty())
          c.io.out << "nobody is connected\n";
        else
          print_connections(c.io.out, connections);
        const auto node = c.node.get();
        const auto details = node ? (*node)->show(wanted.volume) : result<volume_details>(fail(errc::unavailable, ""));
        if (!details)
          return;
        if (const auto claims = claims_of(*details); !claims.empty())
          c.io.out << claims << "\n";
        if (details->anonymous && !details->summary.shared)
          c.io.out << "note: without an \"instances\" section all clients of a listener are one instance,\n"
                      "and nothing keeps two of them from writing at once\n";
      });
}

int run(const volume_fence_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.fence(wanted.volume, wanted.instance, wanted.heir); },
      [&](const std::vector<connection_info>& ended) {
        c.io.out << fmt::format("ended {}; their I/O is done\n", counted(ended.size(), "connection"));
        if (!ended.empty())
          print_connections(c.io.out, ended);
        if (!wanted.heir.value.empty())
          c.io.out << fmt::format("only {} may attach now, ", wanted.heir.value);
        else
          c.io.out << fmt::format("{} may not attach, ",
                                  wanted.instance.value.empty() ? "nobody" : wanted.instance.value);
        c.io.out << fmt::format("until `volume unfence {}`\n", wanted.volume.text);
      });
}

int run(const volume_unfence_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.unfence(wanted.volume, wanted.instance); },
      [&](const volume_details& d) {
        const auto claims = claims_of(d);
        c.io.out << (claims.empty() ? d.summary.name.value + ": nobody is fenced now" : claims) << "\n";
      });
}

int run(const volume_grant_command& wanted, context& c) {
  return answer(
      c,
      [&](client& node) {
        return wanted.granted ? node.grant(wanted.volume, wanted.instance) : node.revoke(wanted.volume, wanted.instance);
      },
      [&](const volume_details& d) {
        c.io.out << fmt::format("{} {} by hand to: {}\n", d.summary.name.value, "is given",
                                d.granted.empty() ? "nobody" : joined(d.granted));
        if (d.anonymous)
          c.io.out << "note: without an \"instances\" section everybody may attach every volume\n";
      });
}

int run(const volume_clear_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.clear(wanted.volume); },
      [&](const volume_summary& v) { c.io.out << fmt::format("{} takes writes again\n", v.name.value); });
}

int run(const volume_accept_loss_command& wanted, context& c) {
  return answer(
      c, [&](client& node) { return node.accept_loss(wanted.volume); },
      [&](const volume_summary& v) {
        c.io.out << fmt::format("{} is served again; what was lost reads as zeros\n", v.name.value);
      });
}

} // namespace gnomon::actors::cli
