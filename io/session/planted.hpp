// Deliberate mistakes for the model test, one switch each, so that it can be shown to notice every one of them.
// Compiled in only where GNOMON_PLANTED_FAULTS is defined (a test executable); elsewhere planted() is the constant
// false.
#pragma once

namespace gnomon::io::session {

enum class fault {
  none,
  lease_checked_before_receive, // a read is judged by a clock that was read before the read came
  lease_from_answer,            // a lease counts from the answer instead of from the question
  lease_kept_over_hello,        // a gateway says hello while it still serves
  serve_before_directory,       // a new session serves before the volume's directory has arrived
  directory_ignored,            // what the directory does not list stays valid
  bit_after_read,               // a fill's bit is set after the home has read
  fill_during_invalidation,     // a fill is admitted while an invalidation of its granule is under way
  no_void_on_own_write,         // an own write does not void the fill it overlaps
  no_void_on_invalidation,      // an invalidation does not void the fill it meets
  void_flag_beside_valid,       // whether a fill is void is looked up before its file write ends
  two_fills_at_once,            // a second fill of a granule starts while a void one still writes
  ended_by_broken_stream,       // the home ends a session when its stream breaks
  new_start_ends_old_lease,     // a hello of another start ends the old start's lease
  late_renewal,                 // a renewal that comes after the lease is over revives the session
  opened_before_drain,          // a new session opens while changes of the one before are under way
  ended_change_carried_out,     // a waiting change of an ended session is carried out
  own_bit_skipped_always,       // a change skips the bit of its gateway although its session has ended
  no_wait_after_restart,        // a restarted home does not wait for leases that may be out
  new_lease_waited_out,         // a restarted home waits for its present lease, not for the longest it granted
  no_margin,                    // the home waits as long as it granted, not longer
  answer_to_another_add,        // a directory that answers an earlier announcement of a shadow opens a later one
  renewed_without_ack,          // a session is renewed although it acknowledges nothing
  count_
};

#ifdef GNOMON_PLANTED_FAULTS
inline fault planted_fault = fault::none;
inline bool planted(fault which) noexcept { return planted_fault == which; }
#else
constexpr bool planted(fault) noexcept { return false; }
#endif

} // namespace gnomon::io::session
