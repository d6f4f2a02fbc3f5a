// Whatever a configuration file or a quantity says: no crash, no exception, and what is accepted means the same after
// it was printed and read again. The first byte chooses the decoder. Half of the mutations know the keys, so that the
// rules between them are reached.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "config/json.hpp"
#include "config/names.hpp"
#include "config/settings/changes.hpp"
#include "config/settings/load.hpp"
#include "config/settings/table.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

using namespace gnomon;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

void require(bool promise, const char* what, std::string_view input) {
  if (promise)
    return;
  std::fprintf(stderr, "broken: %s\nfor: %s\n", what, quote(input, 100'000).c_str());
  std::abort();
}

void check_json(std::string_view text) {
  const auto parsed = parse_json(text);
  if (!parsed)
    return require(!parsed.error().message.empty(), "a refusal has a message", text);
  for (const auto style : {json_style::compact, json_style::pretty}) {
    const auto again = parse_json(dump_json(*parsed, style));
    require(again && *again == *parsed, "JSON is the same after it was dumped and parsed", text);
  }
}

void check_settings(std::string_view text) {
  static const settings other = parse_settings(R"({"node":"alpha","data_dir":"/d","log_level":"debug",
    "stage":{"path":"/s","capacity":"1GiB"},"volumes":[{"name":"db","size":"1GiB"},{"name":"b","path":"/x"}],
    "instances":[{"id":"web-1","volumes":["db"]}],"snapshot_groups":[{"name":"nightly","volumes":["b"]}]})")
                                    .value;
  const auto parsed = parse_settings(text);
  for (const auto& problem : parsed.problems)
    for (const unsigned char c : problem.to_string())
      require(c >= 0x20 && c != 0x7f, "problems are printable", text);
  require(parsed.problems.size() <= settings_problems_max, "problems are limited", text);
  if (!parsed.ok())
    return;

  const auto again = parse_settings(dump_json(settings_to_json(parsed.value)));
  require(again.ok() && again.value == parsed.value, "settings are the same after they were printed and parsed",
          text);
  require(settings_difference(parsed.value, parsed.value).all.empty(), "settings do not differ from themselves",
          text);
  for (const auto& [from, to] : {std::pair{&other, &parsed.value}, std::pair{&parsed.value, &other}}) {
    const auto first = settings_difference(*from, *to);
    require(!settings_difference(first.applied, *to).any(change_effect::live), "live changes are applied at once",
            text);
    require(first.any(change_effect::restart) || first.any(change_effect::refused) || first.applied == *to,
            "without reservations everything is applied", text);
  }
}

void check_quantities(std::string_view text) {
  if (const auto size = parse_size(text))
    require(parse_size(format_size(*size)) == *size, "sizes print exactly", text);
  if (const auto time = parse_duration(text))
    require(parse_duration(format_duration(*time)) == *time, "durations print exactly", text);
  if (const auto part = parse_percentage(text))
    require(parse_percentage(format_percentage(*part)) == *part, "percentages print exactly", text);
  for (const auto& meant : {suggest_size(text)})
    require(meant.empty() || parse_size(meant), "a suggested size is one", text);
  const auto time = suggest_duration(text), part = suggest_percentage(text), place = suggest_endpoint(text);
  require(time.empty() || parse_duration(time), "a suggested duration is one", text);
  require(part.empty() || parse_percentage(part), "a suggested percentage is one", text);
  require(place.empty() || parse_endpoint(place), "a suggested endpoint is one", text);
}

void check_names(std::string_view text) {
  if (const auto place = parse_endpoint(text)) {
    require(place->to_string() == text, "endpoints print as they were written", text);
    require(place->port == 0 || listen_conflict(*place, *place), "an endpoint conflicts with itself", text);
  }
  if (const auto name = parse_export_name(text)) {
    const auto again = parse_export_name(name->to_string());
    require(again && *again == *name, "export names are the same after they were printed and parsed", text);
  }
  if (const auto meant = suggest_name(text, 64); !meant.empty())
    require(parse_node_name(meant).has_value(), "a suggested name is one", text);
  require(parse_json(quote(text, text.size())).has_value(), "quoted text is a JSON string", text);
}

// --- mutation by key

json any_value(std::minstd_rand& random, const setting_row& row) {
  static const json values[] = {nullptr,
                                true,
                                0,
                                -1,
                                4096,
                                1e300,
                                "",
                                "db",
                                "db2",
                                "0B",
                                "4KiB",
                                "1PiB",
                                "1G",
                                "5m",
                                "1s",
                                "0s",
                                "365d",
                                "30%",
                                "100%",
                                "/",
                                "/d",
                                "/d/x",
                                "unix:/s",
                                "127.0.0.1:1",
                                "127.0.0.1:0",
                                "[::]:1",
                                "alpha",
                                json::array(),
                                json::object(),
                                json::array({"db", "db"}),
                                json::array({"1m", "1m"})};
  return random() % 3 == 0 ? values[random() % std::size(values)] : row.example;
}

// Puts a value at the place of a random row, making the objects and lists on the way.
json mutate_document(json document, std::minstd_rand& random) {
  const auto table = settings_table();
  const auto& row = table[random() % table.size()];
  json* here = &document;
  std::string_view rest = row.pointer;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    if (part == "*") {
      if (!here->is_array())
        *here = json::array();
      const auto at = random() % 3;
      while (here->size() <= at)
        here->push_back(json::object());
      here = &(*here)[at];
    } else {
      if (!here->is_object())
        *here = json::object();
      if (rest.empty() && random() % 6 == 0) {
        here->erase(std::string(part));
        return document;
      }
      here = &(*here)[std::string(part)];
    }
  }
  *here = row.kind == setting_kind::value_list && here->is_array() && random() % 2 == 0
              ? json::array({any_value(random, row)})
              : any_value(random, row);
  return document;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
  case 0:
    check_settings(text);
    break;
  case 1:
    check_json(text);
    break;
  case 2:
    check_quantities(text);
    break;
  case 3:
    check_names(text);
    break;
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  std::minstd_rand random(seed);
  if (size == 0 || data[0] % 4 != 0 || random() % 2 == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  const auto parsed = parse_json({reinterpret_cast<const char*>(data) + 1, size - 1});
  json document = parsed && parsed->is_object() ? *parsed : json::object();
  for (auto times = 1 + random() % 3; times > 0; --times)
    document = mutate_document(std::move(document), random);
  const auto text = dump_json(document);
  if (text.size() + 1 > max_size)
    return LLVMFuzzerMutate(data, size, max_size);
  data[0] = 0;
  std::copy(text.begin(), text.end(), data + 1);
  return text.size() + 1;
}
