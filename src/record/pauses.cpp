#include "record/pauses.hpp"

#include <utility>

#include "os/clock.hpp"

namespace gort::record {

pauses other_pauses;

namespace {
std::int64_t began_ns = 0;  // of who has the turn; 0: no pause is under way
}

void pause_begins() noexcept { began_ns = os::monotonic_ns(); }

bool world_stands() noexcept {
  if (began_ns != 0) other_pauses.stopping.add_shared(os::monotonic_ns() - began_ns);
  return true;
}

void pause_ends() noexcept {
  if (const std::int64_t since_ns = std::exchange(began_ns, 0); since_ns != 0)
    other_pauses.total.add_shared(os::monotonic_ns() - since_ns);
}

void forget_pause() noexcept { began_ns = 0; }

}  // namespace gort::record
