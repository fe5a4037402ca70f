// Exact CPU time of goroutines, and of those with the same labels: kept on request.
//
// Problem: a sampled profile needs seconds to say who uses a CPU, and says nothing of one request.
// The kernel keeps the time of each thread exactly, but threads are not goroutines.
//
// So the thread's clock is read wherever a thread changes goroutines, and where a goroutine changes
// its labels. Nothing else is needed, for a goroutine changes threads at a switch only: that of one
// parked in place stands still with its thread; a stray's and that of a blocking call go on with
// theirs, as does that of one that is locked to it.
//
// Each stretch is added twice: to the goroutine, for itself to read, and to an account, which all
// with the same creation site and labels share (a bucket of a table of events).
//
// Invariants
//   [cpu-time-1] m_samples::cpu_since_ns is the reading up to which the time of the M's thread has
//                been added to accounts; 0: nobody knows. It is changed by a swap: by the thread,
//                and by who reads the accounts and adds what a thread has used so far. Between two
//                swaps the account stays the same. So each nanosecond goes to one account, once.
//   [cpu-time-2] cpu_account is written by the thread, after its swap: who sees the new reading and
//                still the old account is wrong by the instructions in between.
//   [cpu-time-3] cpu_own_since_ns is the same reading for the goroutine's own sum, which readers
//                leave alone.
//
// Off: one predicted branch in a switch. On: a system call in each (there is no way to read that
// clock without one).
//
// Rejected: the time stamp counter (ten times cheaper; but counts while the kernel runs somebody
// else on that CPU: not CPU time, on a busy machine not nearly); adding to the goroutine only, and
// to its labels when it ends (one that never ends would never be seen).
#pragma once

#include <cstdint>

#include "record/event_table.hpp"
#include "sched/gmp/g.hpp"

namespace gort::sched::cpu_accounts {

// The sums of an account.
constexpr std::size_t stretches = 0, used_ns = 1;

/// Returns what it was. Takes sched.lock. False for `on` stays: there is no memory.
bool keep(bool on) noexcept;
bool is_kept() noexcept;

/// The calling goroutine's, or plain thread's.
std::int64_t own_ns() noexcept;

/// Adds what all threads have used until now to the accounts, which then are exact but for what is
/// added meanwhile. Takes sched.lock.
void settle() noexcept;
const record::event_table& accounts() noexcept;

/// The calling goroutine (or thread) gets other labels; returns those before. Takes the reference.
detail::label_set* change_labels(g& self, detail::label_set* now) noexcept;
/// It is about to end, while somebody wants to know of switches: what is done from now on is
/// nobody's.
void ends(g& self) noexcept;

}  // namespace gort::sched::cpu_accounts
