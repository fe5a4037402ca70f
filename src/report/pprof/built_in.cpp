#include "report/pprof/built_in.hpp"

#include <gort/runtime.hpp>

#include "report/pprof/contention.hpp"
#include "report/pprof/cpu_time.hpp"
#include "report/pprof/goroutines.hpp"
#include "report/pprof/heap.hpp"
#include "report/pprof/made.hpp"

namespace gort::pprof {

namespace {

// By name.
constexpr built_in every[] = {
    {"allocs",
     "Memory that was ever allocated, by who did; a sample: of the managed heap and, in programs "
     "that link gort::malloc_profile, of malloc and operator new.",
     true, heap_count, collect_allocs, write_heap_text, nullptr},
    {"block",
     "Where goroutines and threads have waited for each other, how often and how long; while "
     "runtime::set_block_profile_rate() has switched it on.",
     true, block_count, collect_block, write_block_text, nullptr, set_block_rate, 10'000},
    {"creation",
     "The goroutines that exist, by who started them: the place of the go() call, and the labels "
     "they have; and how many were started there, of those that were while "
     "runtime::set_creation_profile() had switched it on.",
     true, goroutine_count, collect_creation, write_creation_text},
    {"cputime",
     "The CPU time that goroutines have used, exactly, by who started them and by their labels; "
     "while runtime::set_cpu_accounting() has switched it on.",
     true, cpu_time_count, collect_cpu_time, nullptr, nullptr},
    {"goroutine", "The stacks of all goroutines. debug=2 prints them one by one, as a crash does.",
     true, goroutine_count, collect_goroutines, write_goroutine_text, nullptr},
    {"goroutineleak",
     "Goroutines that wait for what nobody else can use any more. Collects, and stops the world to "
     "look for them; Count is what was found last. debug=2 prints all goroutines, those as "
     "(leaked).",
     true, leak_count, collect_leaks, write_leak_text, nullptr},
    {"heap",
     "Memory in use, by who allocated it; a sample: of the managed heap (with gc=1 after a "
     "collection) and, in programs that link gort::malloc_profile, of malloc and operator new.",
     true, heap_count, collect_heap, write_heap_text, prepare_heap},
    {"lockwait",
     "Where goroutines and threads have waited for a mutex or rw_mutex, how often and how long; "
     "the label unlocked_by says who has let them go on. The other side of the profile mutex, and "
     "on when that is.",
     true, lock_wait_count, collect_lock_waits, write_lock_wait_text, nullptr},
    {"mutex",
     "Who has made others wait for a mutex or rw_mutex, how often and how long; while "
     "runtime::set_mutex_profile_fraction() has switched it on.",
     true, mutex_count, collect_mutex, write_mutex_text, nullptr,
     runtime::set_mutex_profile_fraction, 5},
    {"sockets",
     "Open sockets of gort::net, by who opened, accepted or dialed them; of those that were made "
     "while runtime::set_socket_profile() had switched it on.",
     true, sockets_count, collect_sockets, write_sockets_text, nullptr},
    {"threadcreate",
     "The threads that gort has made. They are all made by one thread of its own, so there is no "
     "stack to show.",
     true, thread_count, collect_threads, nullptr, nullptr},
    {"timers",
     "Armed timers, tickers, sleeps and deadlines, by who armed them; of those that were armed "
     "while runtime::set_timer_profile() had switched it on.",
     true, timers_count, collect_timers, write_timers_text, nullptr},
};

}  // namespace

std::span<const built_in> all_built_in() noexcept { return every; }

}  // namespace gort::pprof
