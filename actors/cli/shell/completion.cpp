#include "actors/cli/shell/completion.hpp"

#include <algorithm>
#include <map>

#include "actors/cli/grammar/command.hpp"

namespace gnomon::actors::cli {
namespace {
const std::map<std::string_view, std::vector<std::string_view>> options{
    {"check", {"--reference", "--schema"}},
    {"top", {"--once", "--interval"}},
    {"event add",
     {"--type", "--volume", "--instance", "--application", "--everything", "--start", "--duration", "--note"}},
    {"event ls", {"--past", "--planned"}},
    {"forecast", {"--instance", "--node", "--load"}},
    {"instance set", {"--application", "--host", "--criticality", "--read-p99", "--rpo", "--reset"}},
    {"heat", {"--since", "--rows", "--columns", "--hottest"}},
    {"record", {"--output", "--duration"}},
    {"replay",
     {"--uri", "--to", "--volume", "--all-volumes", "--speed", "--depth", "--connections", "--wrap", "--scale",
      "--verify", "--reads-only", "--limit", "--duration"}},
    {"history import", {"--volume", "--from", "--as", "--end-at", "--again"}},
    {"simulate",
     {"--volume", "--horizons", "--set-sizes", "--forecast-every", "--score-after", "--size", "--chunk-size",
      "--topology", "--space", "--snapshots", "--plan"}},
    {"volume ls", {"--deleted", "--all"}},
    {"volume create", {"--from", "--description", "--path", "--direct", "--read-only", "--shared"}},
    {"volume undelete", {"--as"}},
    {"volume purge", {"--yes"}},
    {"volume fence", {"--instance"}},
    {"snapshot create", {"--note", "--wait"}},
    {"snapshot ls", {"--group", "--volume"}},
    {"snapshot restore", {"--to", "--wait"}},
    {"snapshot diff", {"--from-offset", "--max"}},
    {"group create",
     {"--baseline-every", "--daily", "--every", "--hourly", "--latest-by", "--prediction", "--quiet-below", "--retain",
      "--volumes", "--weekly"}},
    {"group set",
     {"--baseline-every", "--daily", "--every", "--hourly", "--latest-by", "--prediction", "--quiet-below", "--retain",
      "--weekly"}},
    {"group snapshot", {"--wait"}},
};

template <class Words>
void add_matching(std::vector<std::string>& to, const Words& words, std::string_view partial) {
  for (const auto& word : words)
    if (std::string_view(word).starts_with(partial))
      to.emplace_back(word);
}

void add_options(std::vector<std::string>& to, const std::string& verb, std::string_view partial) {
  add_matching(to, std::vector<std::string_view>{"--help", "--json"}, partial);
  if (const auto found = options.find(verb); found != options.end())
    add_matching(to, found->second, partial);
}

void add_arguments(completion& out, std::span<const std::string> before, std::string_view partial,
                   const name_lookup& names) {
  const auto& verb = before[0];
  const auto& last = before.back();
  if (verb == "volume") {
    const bool wants_volume = before.size() == 2 && before[1] != "create" && before[1] != "ls";
    const bool deleted = before[1] == "undelete" || before[1] == "purge";
    if (wants_volume)
      add_matching(out.candidates, names(deleted ? name_kind::deleted_volumes : name_kind::volumes), partial);
    out.is_path = last == "--path";
  } else if (verb == "event") {
    if (before.size() == 2 && before[1] == "rm")
      add_matching(out.candidates, names(name_kind::events), partial);
    else if (last == "--volume")
      add_matching(out.candidates, names(name_kind::volumes), partial);
    else if (last == "--start")
      add_matching(out.candidates, std::vector<std::string_view>{"now"}, partial);
  } else if (verb == "instance") {
    if (before.size() == 2 && before[1] != "ls")
      add_matching(out.candidates, names(name_kind::instances), partial);
    else if (last == "--criticality")
      add_matching(out.candidates, std::vector<std::string_view>{"low", "normal", "high"}, partial);
  } else if (verb == "snapshot") {
    if ((before.size() == 2 && before[1] == "create") || last == "--volume")
      add_matching(out.candidates, names(name_kind::volumes), partial);
  } else if (verb == "group") {
    if (last == "--volumes")
      add_matching(out.candidates, names(name_kind::volumes), partial);
  } else if (verb == "history") {
    if (last == "--volume")
      add_matching(out.candidates, names(name_kind::volumes), partial);
    out.is_path = before.size() == 2;
  } else if (verb == "ask" && before.size() == 1) {
    add_matching(out.candidates, names(name_kind::actors), partial);
  } else if (verb == "replay" && (last == "--to" || last == "--volume")) {
    add_matching(out.candidates, names(name_kind::volumes), partial);
  } else if (verb == "forecast" && (last == "--load" || last == "--quantity")) {
    add_matching(out.candidates,
                 std::vector<std::string_view>{"requests", "bytes", "reads", "writes", "read-bytes", "write-bytes"},
                 partial);
  } else if ((verb == "record" || verb == "heat" || verb == "forecast" || verb == "board") && before.size() == 1) {
    add_matching(out.candidates, names(name_kind::volumes), partial);
  } else {
    out.is_path = ((verb == "replay" || verb == "simulate" || verb == "check") && before.size() == 1) ||
                  last == "--output" || last == "-o" || last == "--topology";
  }
}
} // namespace

completion complete(std::span<const std::string> before, std::string_view partial, const name_lookup& names) {
  completion out;
  if (before.empty()) {
    for (const auto word : verb_words())
      if (word != "shell" && word.starts_with(partial))
        out.candidates.emplace_back(word);
  } else if (before.size() == 1 && before[0] == "help") {
    add_matching(out.candidates, verb_words(), partial);
  } else if (before.size() == 1 && !words_after(before[0]).empty()) {
    add_matching(out.candidates, words_after(before[0]), partial);
  } else if (partial.starts_with("-")) {
    add_options(out.candidates, words_after(before[0]).empty() ? before[0] : before[0] + " " + before[1], partial);
  } else {
    add_arguments(out, before, partial, names);
  }
  std::sort(out.candidates.begin(), out.candidates.end());
  return out;
}

std::string common_prefix(std::span<const std::string> candidates) {
  if (candidates.empty())
    return {};
  std::string prefix = candidates.front();
  for (const auto& word : candidates) {
    const auto end = std::mismatch(prefix.begin(), prefix.end(), word.begin(), word.end()).first;
    prefix.erase(end, prefix.end());
  }
  return prefix;
}

} // namespace gnomon::actors::cli
