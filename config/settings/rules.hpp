// The rules between keys of a configuration. Any thread; check_volume_identities reads file metadata.
#pragma once

#include "config/problems.hpp"
#include "config/settings/settings.hpp"

namespace gnomon {

// The rules no single key can break: duplicates, references, overlaps, order. Skips what `problems` already concern.
void check_settings_rules(const settings& value, problem_list& problems);

// Volumes whose paths name the same existing file or device, by (device, inode) or device number. Reads file
// metadata.
void check_volume_identities(const settings& value, problem_list& problems);

} // namespace gnomon
