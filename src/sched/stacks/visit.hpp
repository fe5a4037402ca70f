// Looking at parked goroutines one by one while all others go on; see visit.cpp.
#pragma once

#include "sched/gmp/inspect.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

/// The system can do it (it has barriers for other threads).
bool can_visit_parked() noexcept;

/// Who looks, and what he is told.
struct parked_visitor {
  virtual void parked(const goroutine_view& view) noexcept = 0;
  /// One that runs, or could not be held: it may be looked at with the world stopped, if it is
  /// still there.
  virtual void missed(detail::g& who) noexcept = 0;

 protected:
  ~parked_visitor() = default;
};

/// Shows every goroutine that has a stack from before this call until after it: as parked, while
/// nobody can run it, or as missed. Those that begin or end meanwhile may be shown. Who wants to
/// run one of those that are just looked at waits, for 16 looks at most; so a look takes some
/// microseconds. Not with the world stopped, and not inside gort.
void visit_parked(parked_visitor& visitor) noexcept;

}  // namespace gort::sched
