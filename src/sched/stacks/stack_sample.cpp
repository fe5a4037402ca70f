// Choosing the goroutines whose stacks are measured (src/stack/usage.hpp).
//
// Each P counts down births, which costs nothing, and measures the one at which it arrives at
// nothing. By default it then waits twice as long as before, up to 16384 births: a program that
// starts a hundred goroutines has some of them measured, one that starts millions a second pays
// some 0.3 ns for each. set_stack_sampling(1) measures all, for those who size stacks.
#include "sched/stacks/stack_sample.hpp"

#include <algorithm>

#include <gort/debug.hpp>
#include <gort/detail/park.hpp>

#include "base/env.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/stacks/stack_size.hpp"
#include "stack/usage.hpp"

namespace gort::sched {

namespace {

constexpr std::uint32_t period_max = 16'384;
constexpr std::uint32_t never = ~std::uint32_t{0};
constexpr int by_default = -1;

// 0: none; n: one of n; less: the default. Changed with the world stopped.
detail::atomic<int>& sampling() noexcept {
  static detail::atomic<int> one_of{
      base::godebug("stacksample", base::under_valgrind() ? 0 : by_default)};
  return one_of;
}

}  // namespace

std::uint16_t measure_birth(p& here, g* where, void* slot, unsigned size_class,
                            const spawn_record& record) noexcept {
  const int one_of = sampling().load_relaxed();
  if (one_of >= 0) {
    here.births_left = one_of == 0 ? never : static_cast<std::uint32_t>(one_of);
    if (one_of == 0) return 0;
  } else {
    here.birth_period = std::min(here.birth_period * 2, period_max);
    here.births_left = here.birth_period;
  }
  if (is_system(record)) return 0;
  const char* name = record.extra == nullptr ? nullptr : record.extra->name;
  return static_cast<std::uint16_t>(stack::begin_measuring(
      slot, size_class, reinterpret_cast<char*>(where), record.creation_pc, name));
}

std::size_t usable_stack_bytes(unsigned size_class) noexcept {
  return stack::class_bytes(size_class) - stack::guard_bytes(size_class) - record_bytes -
         color_bytes_max;
}

// Also of one that sysmon holds still [trim-1], by a barrier that ThreadSanitizer does not see.
GORT_LEFT_BY_SWITCH void remember_use(const g& who) noexcept {
  if (who.measured_site == 0) return;
  stack::measure(who.measured_site, who.stack_low, who.stack_class,
                 const_cast<char*>(reinterpret_cast<const char*>(&who)));
}

void measure_living_stacks() noexcept {
  start_runtime();
  stop_the_world(-1);
  for_each_started([](g& each, void*) { remember_use(each); }, nullptr);
  start_the_world();
}

}  // namespace gort::sched

namespace gort::debug {

int set_stack_sampling(int one_of) noexcept {
  using namespace sched;
  start_runtime();
  stop_the_world(-1);
  const int previous = sampling().exchange_relaxed(std::max(one_of, by_default));
  const int procs = sched::sched.p_allocated.load_acquire();  // pairs with resize_procs()
  for (int i = 0; i < procs; ++i) {
    sched::sched.all_ps[i]->births_left = 1;
    sched::sched.all_ps[i]->birth_period = 1;
  }
  start_the_world();
  return previous;
}

}  // namespace gort::debug
