// gnomon: the command line of a node. Everything is in actors/cli/.
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

#include "actors/cli/run.hpp"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return gnomon::actors::cli::run_program(
      words, {std::cout, std::cerr, ::isatty(STDOUT_FILENO) == 1, ::isatty(STDERR_FILENO) == 1});
}
