#include "os/static_probes.hpp"

#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
#include <initializer_list>

// Counted up, from outside, by who attaches. Named by assembly, which link-time optimization does
// not see.
#if defined(__clang__)
#define GORT_COUNTED_FROM_OUTSIDE [[gnu::used, gnu::section(".probes")]]
#else
#define GORT_COUNTED_FROM_OUTSIDE [[gnu::used, gnu::externally_visible, gnu::section(".probes")]]
#endif
#define GORT_SEMAPHORE(name) GORT_COUNTED_FROM_OUTSIDE unsigned short gort_##name##_semaphore = 0

extern "C" {
GORT_SEMAPHORE(goroutine_create);
GORT_SEMAPHORE(goroutine_start);
GORT_SEMAPHORE(goroutine_block);
GORT_SEMAPHORE(goroutine_unblock);
GORT_SEMAPHORE(goroutine_yield);
GORT_SEMAPHORE(goroutine_preempt);
GORT_SEMAPHORE(goroutine_end);
GORT_SEMAPHORE(syscall_begin);
GORT_SEMAPHORE(syscall_end);
GORT_SEMAPHORE(proc_start);
GORT_SEMAPHORE(proc_stop);
GORT_SEMAPHORE(thread_sleep);
GORT_SEMAPHORE(thread_wake);
}

namespace gort::os::probe {

bool exist() noexcept { return true; }

bool is_anybody_attached() noexcept {
  unsigned all = 0;
  for (const unsigned short* each :
       {&gort_goroutine_create_semaphore, &gort_goroutine_start_semaphore,
        &gort_goroutine_block_semaphore, &gort_goroutine_unblock_semaphore,
        &gort_goroutine_yield_semaphore, &gort_goroutine_preempt_semaphore,
        &gort_goroutine_end_semaphore, &gort_syscall_begin_semaphore, &gort_syscall_end_semaphore,
        &gort_proc_start_semaphore, &gort_proc_stop_semaphore, &gort_thread_sleep_semaphore,
        &gort_thread_wake_semaphore})
    all |= __atomic_load_n(each, __ATOMIC_RELAXED);
  return all != 0;
}

void goroutine_create(std::uint64_t g, std::uint64_t by, const void* creation_pc) noexcept {
  STAP_PROBE3(gort, goroutine_create, g, by, creation_pc);
}
void goroutine_start(std::uint64_t g, int p, std::int64_t waited_ns) noexcept {
  STAP_PROBE3(gort, goroutine_start, g, p, waited_ns);
}
void goroutine_block(std::uint64_t g, int reason, const char* reason_text) noexcept {
  STAP_PROBE3(gort, goroutine_block, g, reason, reason_text);
}
void goroutine_unblock(std::uint64_t g, std::uint64_t by) noexcept {
  STAP_PROBE2(gort, goroutine_unblock, g, by);
}
void goroutine_yield(std::uint64_t g) noexcept { STAP_PROBE1(gort, goroutine_yield, g); }
void goroutine_preempt(std::uint64_t g) noexcept { STAP_PROBE1(gort, goroutine_preempt, g); }
void goroutine_end(std::uint64_t g) noexcept { STAP_PROBE1(gort, goroutine_end, g); }
void syscall_begin(std::uint64_t g, int announced) noexcept {
  STAP_PROBE2(gort, syscall_begin, g, announced);
}
void syscall_end(std::uint64_t g, int kept_p) noexcept {
  STAP_PROBE2(gort, syscall_end, g, kept_p);
}
void proc_start(int p, int m) noexcept { STAP_PROBE2(gort, proc_start, p, m); }
void proc_stop(int p, int m) noexcept { STAP_PROBE2(gort, proc_stop, p, m); }
void thread_sleep(int m) noexcept { STAP_PROBE1(gort, thread_sleep, m); }
void thread_wake(int m) noexcept { STAP_PROBE1(gort, thread_wake, m); }

}  // namespace gort::os::probe

#else

namespace gort::os::probe {

bool exist() noexcept { return false; }
bool is_anybody_attached() noexcept { return false; }
void goroutine_create(std::uint64_t, std::uint64_t, const void*) noexcept {}
void goroutine_start(std::uint64_t, int, std::int64_t) noexcept {}
void goroutine_block(std::uint64_t, int, const char*) noexcept {}
void goroutine_unblock(std::uint64_t, std::uint64_t) noexcept {}
void goroutine_yield(std::uint64_t) noexcept {}
void goroutine_preempt(std::uint64_t) noexcept {}
void goroutine_end(std::uint64_t) noexcept {}
void syscall_begin(std::uint64_t, int) noexcept {}
void syscall_end(std::uint64_t, int) noexcept {}
void proc_start(int, int) noexcept {}
void proc_stop(int, int) noexcept {}
void thread_sleep(int) noexcept {}
void thread_wake(int) noexcept {}

}  // namespace gort::os::probe

#endif
