// The metadata of a compute instance: what the configuration says of it, and what an operator set by hand over that.
// Read by learning (urgency, application) and by the instances' own actors. Any thread.
#pragma once

#include "actors/runtime/node_context.hpp"
#include "store/meta/instance_book.hpp"

namespace gnomon::actors {

// The configuration's values, with those set by hand over them. Null: there are none of that kind.
instance_metadata metadata_of(const instance_settings* configured, const store::instance_record* by_hand);

// Metadata and recent latency; no figures of load, which come from the history.
instance_summary summary_of(const node_context& node, const instance_id& id);

} // namespace gnomon::actors
