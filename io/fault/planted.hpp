// Mistakes that tests plant to see that they are noticed: each names a step of an order that would be left out. Test
// builds only (GNOMON_PLANTED_FAULTS, set for the Dev build type); elsewhere plants() is a constant and costs nothing.
#pragma once

#include <atomic>
#include <cstdint>

namespace gnomon::io {

enum class planted : std::uint8_t {
  none,
  // captures
  change_without_copy,        // a write does not copy what it changes first
  trim_carried_out,           // of a granule that was not captured yet
  old_change_after_copy,      // an old-generation change goes on although its granule was copied
  mark_by_parity,             // which changed bitmap is marked follows the generation's parity
  failed_capture_keeps_bits,  // the bits of a failed capture are not merged back
  // presence
  pending_left_out,           // no pending byte before the reply
  present_before_data,        // present is synced before the data
  list_after_sync_began,      // the chain takes its list after its data sync began
  bits_outside_chain,         // present is set and synced apart from the data's chain
  other_pending_believed,     // pending of another boot or file
  trim_relies_on_hole,        // a trim of a whole non-present granule leaves the file alone
  bring_in_without_gate,
  partial_write_without_bring_in,
  // archiving
  change_unseen_by_archive,   // a change does not clear its granules' bits
  punch_without_looking_again,
  punch_before_chain,         // the space is given back before the chain that carried the clear
  cleared_outside_chain,      // present is cleared and synced apart from the data's chain
  pending_not_cleared,        // the pending byte of a cleared granule stays
  source_gone_before_chain,   // a hydration ends before what it brought in is noted durably
};

#ifdef GNOMON_PLANTED_FAULTS
inline std::atomic<planted> planted_fault{planted::none};
inline bool plants(planted what) noexcept { return planted_fault.load(std::memory_order_relaxed) == what; }
#else
constexpr bool plants(planted) noexcept { return false; }
#endif

} // namespace gnomon::io
