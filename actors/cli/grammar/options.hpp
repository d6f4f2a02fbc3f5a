// Options whose values are spelled as in the configuration ("1GiB", "5m"): a value that cannot be read is a usage error.
#pragma once

#include <utility>

#include <CLI/CLI.hpp>

#include "config/error.hpp"

namespace gnomon::actors::cli {

// A parser of the project as a CLI11 conversion. `value` outlives the parsing.
template <class Value, class Parse>
CLI::callback_t into(Value& value, Parse parse) {
  return [&value, parse](const CLI::results_t& words) {
    auto parsed = parse(words.at(0));
    if (!parsed)
      throw CLI::ValidationError(parsed.error().message);
    value = *std::move(parsed);
    return true;
  };
}

template <class Value, class Parse>
CLI::Option* add(CLI::App* app, const char* names, Value& value, Parse parse, const char* what, const char* type) {
  return app->add_option(names, into(value, parse), what)->type_name(type)->expected(1);
}

} // namespace gnomon::actors::cli
