// Giving back what long-parked goroutines do not use of their stacks; see stack_trim.cpp.
#pragma once

#include <cstdint>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>

namespace gort::sched {

// The values of g::trim.
constexpr std::uint32_t trim_none = 0, trim_claimed = 1, trim_dropping = 2;

/// What who runs a goroutine does after it has set on_cpu, where `trim` was not 0 [trim-2].
/// `wait_a_little` is called while pages are being dropped.
template <class Wait>
void end_trim_claim(detail::atomic<std::uint32_t>& trim, Wait wait_a_little) noexcept {
  std::uint32_t seen = trim_claimed;
  // Acquire on failure pairs with the release in drop_if_parked(): the pages are gone.
  if (trim.cas_acq_rel(seen, trim_none)) return;
  // Acquire, likewise.
  while (trim.load_acquire() != trim_none) wait_a_little();
}

/// The other side, after the claim and the barrier. `parked` looks whether the goroutine still is
/// where it was; `drop` is called if so, and nobody runs it meanwhile. (Who only looks at it does
/// the same: visit.cpp.)
template <class Parked, class Drop>
void drop_if_parked(detail::atomic<std::uint32_t>& trim, Parked parked, Drop drop) noexcept {
  std::uint32_t seen = trim_claimed;
  if (!parked()) {
    trim.cas_acq_rel(seen, trim_none);  // unless who runs it was faster: pairs with its exchange
    return;
  }
  // Acquire-release: either this or the runner's exchange of the same word comes first.
  if (!trim.cas_acq_rel(seen, trim_dropping)) return;
  detail::delay_point(detail::delay_at::claimed);
  drop();
  trim.store_release(trim_none);  // pairs with the acquires in end_trim_claim()
}

/// Claims are made by one at a time. False: somebody else has the turn. end_claims() must follow.
bool begin_claims() noexcept;
void end_claims() noexcept;

/// For sysmon, at each of its rounds: looks at some stacks if a pass is due. all_idle: no P runs
/// anything. True: the pass goes on.
bool trim_some_stacks(std::int64_t now_ns, bool all_idle) noexcept;

/// When sysmon, about to sleep with all Ps idle, should look after stacks; -1: when it is woken.
std::int64_t trim_deadline_ns() noexcept;

/// GODEBUG=stackgiveback, of which the default is 10 s; -1: nothing is given back.
std::int64_t stack_patience_ns() noexcept;

/// The part of read_stack_counts() that is about this.
debug::stack_counts read_trim_counts() noexcept;

}  // namespace gort::sched
