// gnomon_config_docs: writes the two documents that are generated from the table of settings.
// usage: gnomon_config_docs reference|schema > FILE
#include <cstdio>
#include <string>
#include <string_view>

#include "config/settings/table.hpp"

int main(int argc, char** argv) {
  const std::string_view which = argc == 2 ? argv[1] : "";
  if (which != "reference" && which != "schema") {
    std::fputs("usage: gnomon_config_docs reference|schema > FILE\n", stderr);
    return 2;
  }
  const auto text = which == "reference" ? gnomon::settings_reference() : gnomon::settings_schema();
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written)
    std::perror("gnomon_config_docs");
  return written ? 0 : 1;
}
