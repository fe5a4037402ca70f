#include "sched/gmp/own_stack.hpp"

#include "sched/gmp/current.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

namespace {

stack::stack_bounds bounds_of(const g& x, const m& here) noexcept {
  if (x.kind == g_kind::scheduler) {
    const auto low = reinterpret_cast<std::uintptr_t>(here.stack_low);
    return {low, low + here.stack_bytes};
  }
  return {reinterpret_cast<std::uintptr_t>(x.stack_low) + stack::guard_bytes(x.stack_class),
          reinterpret_cast<std::uintptr_t>(&x)};
}

}  // namespace

own_stack own_stack_at(std::uintptr_t sp) noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind == g_kind::thread) return {{}, self};
  m& here = *self->m;
  // Half switched: the one left behind, or g0, may still be the one whose stack this is. Dead
  // memory of slots can be read [stack-3].
  for (g* each : {self, here.previous, &here.g0}) {
    if (each == nullptr || each->kind == g_kind::thread) continue;
    const stack::stack_bounds bounds = bounds_of(*each, here);
    if (sp >= bounds.low && sp <= bounds.high) return {bounds, each};
  }
  return {{}, self};  // a library's own, or that of signals
}

}  // namespace gort::sched
