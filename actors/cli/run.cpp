#include "actors/cli/run.hpp"

#include <csignal>

#include "actors/cli/view/json_output.hpp"
#include "config/settings/inert.hpp"
#include "config/settings/table.hpp"

namespace gnomon::actors::cli {

int complain(context& c, const error& why) {
  c.io.out.flush();
  if (c.json) // on standard error too: what standard output has is the answer, or nothing
    c.io.err << json_of_error(why);
  else
    c.io.err << "gnomon: " << why.to_string() << "\n";
  c.io.err.flush();
  return exit_failed;
}

int run_command(const command& what, context& c) {
  const int code = std::visit([&](const auto& chosen) { return run(chosen, c); }, what);
  c.io.out.flush();
  if (!c.io.out) { // a full disk or a closed pipe behind standard output is a failure, not a short answer
    c.io.out.clear();
    c.io.err << "gnomon: io_failed: standard output cannot be written\n";
    return exit_failed;
  }
  return code;
}

int run_program(std::span<const std::string> words, streams io) {
  std::signal(SIGPIPE, SIG_IGN);
  auto parsed = parse_command(words);
  if (const auto* stop = std::get_if<parse_stop>(&parsed)) {
    (stop->exit_code == exit_done ? io.out : io.err) << stop->text;
    return stop->exit_code;
  }
  auto& wanted = std::get<invocation>(parsed);
  node_access node(wanted.location);
  context c{io, node, wanted.json};
  return run_command(wanted.what, c);
}

int run(const check_command& wanted, context& c) {
  if (wanted.subject != check_subject::file) {
    c.io.out << (wanted.subject == check_subject::schema ? settings_schema() : settings_reference());
    return exit_done;
  }
  const auto parsed = load_settings(wanted.file);
  if (!parsed)
    return complain(c, parsed.error());
  if (c.json)
    c.io.out << json_of(*parsed);
  else if (parsed->ok())
    c.io.out << wanted.file << ": valid\n";
  else
    c.io.out << parsed->to_string() << (parsed->to_string().ends_with('\n') ? "" : "\n");
  if (parsed->ok() && !c.json)
    for (const auto& warning : settings_warnings(parsed->value))
      c.io.out << "warning: " << warning << "\n";
  return parsed->ok() ? exit_done : exit_failed;
}

} // namespace gnomon::actors::cli
