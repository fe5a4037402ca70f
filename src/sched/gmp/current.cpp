// Who runs on this thread.
#include "sched/gmp/current.hpp"

#include <gort/detail/park.hpp>
#include <gort/detail/proc_index.hpp>
#include <gort/detail/random.hpp>

#include "arch/thread_word.hpp"
#include "base/xorshift.hpp"
#include "os/clock.hpp"
#include "sched/gmp/proc.hpp"

// Initial-exec: one instruction, and no call into the dynamic linker from a fresh thread.
// Assembly names them, which link-time optimization does not see.
#if defined(__GNUC__) && !defined(__clang__)
#define GORT_NAMED_BY_ASSEMBLY \
  [[gnu::used, gnu::externally_visible, gnu::tls_model("initial-exec")]]
#else
#define GORT_NAMED_BY_ASSEMBLY [[gnu::used, gnu::tls_model("initial-exec")]]
#endif
GORT_NAMED_BY_ASSEMBLY constinit thread_local gort::detail::g* gort_current_g = nullptr;
GORT_NAMED_BY_ASSEMBLY constinit thread_local std::uint32_t gort_inside = 0;
GORT_NAMED_BY_ASSEMBLY constinit thread_local gort::detail::atomic<void*> gort_heap_cache;

namespace gort::sched {

scheduler sched;

[[gnu::noinline]] std::uint32_t* own_inside_count() noexcept { return &gort_inside; }

[[gnu::noinline]] detail::atomic<void*>* own_heap_cache() noexcept { return &gort_heap_cache; }

void keep_heap_cache(p& mine, void* cache) noexcept {
  detail::spin_guard guard(sched.lock);
  mine.heap_cache = cache;
  if (m* here = current_m(); here != nullptr) here->use(mine);  // inside gort it stays ours
}

}  // namespace gort::sched

namespace gort::detail {

#ifdef GORT_INSIDE_BY_CALL
// Calls, so that no caller keeps the word's address across a switch. The release pairs with the
// acquire of who takes a P from its thread [inside-3].
[[gnu::noinline]] void enter_gort() noexcept {
  if (static_cast<std::int32_t>(__atomic_add_fetch(&gort_inside, 1, __ATOMIC_RELAXED)) < 0)
    gort_used_in_forked_child();
}
[[gnu::noinline]] void exit_gort() noexcept {
  __atomic_sub_fetch(&gort_inside, 1, __ATOMIC_RELEASE);
}
#endif

g* current_g() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr) [[unlikely]]
    self = sched::adopt_thread();
  return self;
}

std::uint32_t fast_random() noexcept {
  // xorshift32; 0 is its fixed point and marks "not seeded".
  g* self = current_g();
  std::uint32_t x = self->random_state;
  if (x == 0) {
    x = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(self) >> 6) ^
        static_cast<std::uint32_t>(os::monotonic_ns());
    if (x == 0) x = 1;
  }
  x = base::xorshift(x);
  self->random_state = x;
  return x;
}

int current_p_index() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->m == nullptr) return -1;
  const sched::p* mine = self->m->p_on_entry();  // may be lost at any time, but Ps are never freed
  return mine == nullptr ? -1 : mine->index;
}

}  // namespace gort::detail
