#include "actors/cli/run.hpp"
namespace gnomon::actors::cli {
int run(const record_command&, context& c) { return complain(c, {errc::unsupported, "not yet", 0}); }
int run(const shell_command&, context& c) { return complain(c, {errc::unsupported, "not yet", 0}); }
} // namespace gnomon::actors::cli
