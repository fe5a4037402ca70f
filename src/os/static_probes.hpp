// Static probes (USDT, <sys/sdt.h>): places in the program that bpftrace, perf and gdb find by
// name.
//
// A probe is one instruction that does nothing, and a note in the file that says where it is. Who
// attaches to it also counts up a word in the process (the probe's semaphore), so the program can
// leave out what leads to it while nobody does.
//
// Where the compiler had no <sys/sdt.h> there are none.
#pragma once

#include <cstdint>

namespace gort::os::probe {

bool exist() noexcept;
/// Somebody is attached to at least one.
bool is_anybody_attached() noexcept;

// One for each; the name in the file is gort:<function's>. `g`: a goroutine's id, 0: none.
void goroutine_create(std::uint64_t g, std::uint64_t by, const void* creation_pc) noexcept;
void goroutine_start(std::uint64_t g, int p, std::int64_t waited_ns) noexcept;
void goroutine_block(std::uint64_t g, int reason, const char* reason_text) noexcept;
void goroutine_unblock(std::uint64_t g, std::uint64_t by) noexcept;
void goroutine_yield(std::uint64_t g) noexcept;
void goroutine_preempt(std::uint64_t g) noexcept;
void goroutine_end(std::uint64_t g) noexcept;
/// announced: by blocking(); else it was found asleep.
void syscall_begin(std::uint64_t g, int announced) noexcept;
/// kept_p: it goes on; else it is runnable.
void syscall_end(std::uint64_t g, int kept_p) noexcept;
void proc_start(int p, int m) noexcept;
void proc_stop(int p, int m) noexcept;
void thread_sleep(int m) noexcept;
void thread_wake(int m) noexcept;

}  // namespace gort::os::probe
