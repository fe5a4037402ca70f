// What the scheduler does, in small, for models of what parks: a G is a thread of the scenario. For
// one source file a program.
#pragma once

#include <gort/detail/park.hpp>
#include <gort/error.hpp>

#include "model/explorer.hpp"

namespace gort::detail {

struct g {
  atomic<std::uint32_t> readied;
};
inline g& g_of(int thread) {
  static g all[model::threads_max + 1];
  return all[thread + 1];
}
g* current_g() noexcept { return &g_of(model::self()); }
void park(wait_reason, const awaited*) noexcept {
  g& me = g_of(model::self());
  model::wait_until(me.readied.address(), [&] { return *me.readied.address() == 1; });
  me.readied.exchange_acquire(0);
}
void ready(g* target) noexcept {
  model::check(target->readied.exchange_release(1) == 0, "readied twice");
}
inline void reset_threads() {
  for (int i = -1; i < model::threads_max; ++i) *g_of(i).readied.address() = 0;
}

}  // namespace gort::detail
