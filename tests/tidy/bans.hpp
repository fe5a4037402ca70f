// What the tree does not use, where, and what to use instead: data. An entry brings its own
// examples, one that must be found and one that must not; tidy_test runs them all, so an entry
// that matches nothing cannot pass for a clean tree.
#pragma once

#include <string_view>
#include <vector>

namespace gort::tidy {

// How a ban's words are looked for in code.
enum class form {
  name,    // as a whole, qualified as written
  call,    // a call of the plain or std:: function: no member, no other namespace, no declaration
  header,  // #include <words...
  macro,   // in a preprocessor condition
};

// A file (or folder, with a slash at the end) that may, and why.
struct excused {
  std::string_view path;
  std::string_view reason;
};

struct ban {
  form as;
  std::vector<std::string_view> words;
  std::vector<std::string_view> in;  // path prefixes
  std::vector<excused> except;
  std::string_view instead;
  std::string_view bad;
  std::string_view good;
};

inline const std::vector<std::string_view> library{"src/", "include/"};
inline const std::vector<std::string_view> everywhere{"src/",   "include/", "tests/",
                                                      "tools/", "bench/",   "examples/"};

inline const std::vector<ban> bans{
    // --- blocking: a goroutine that blocks its thread takes its P along
    {form::name,
     {"std::mutex", "std::recursive_mutex", "std::shared_mutex", "std::timed_mutex",
      "std::condition_variable", "std::condition_variable_any", "std::counting_semaphore",
      "std::call_once", "std::future", "std::async"},
     library,
     {{"src/os/", "below the scheduler"}},
     "use gort::mutex, gort::cond, gort::once (they park), or detail::spin_lock for a few lines",
     "std::mutex m;",
     "gort::mutex m;  // not std::mutex"},
    {form::name,
     {"std::thread", "std::jthread", "std::this_thread"},
     library,
     {{"src/os/", "where threads are made"}},
     "use gort::go, or os/thread.hpp for a runtime thread",
     "std::thread t(f);",
     "gort::go(f);"},
    {form::call,
     {"sleep", "usleep", "nanosleep", "clock_nanosleep"},
     everywhere,
     {{"src/os/", "the system call's home"},
      {"tests/conformance/blocking_test.cpp", "blocks a thread on purpose"},
      {"tests/unit/os_preempt_test.cpp", "blocks a thread on purpose"},
      {"tests/unit/os_urgent_test.cpp", "the call to be interrupted"}},
     "use gort::sleep, or in a plain thread of a test std::this_thread::sleep_for",
     "  usleep(5);",
     "gort::sleep(1ms); void sleep(int); timer.sleep(3);"},
    // --- memory model
    {form::name,
     {"std::atomic", "std::atomic_ref", "std::atomic_flag", "std::atomic_thread_fence",
      "std::atomic_bool", "std::atomic_int"},
     library,
     {{"include/gort/detail/atomic.hpp", "the wrapper itself"}},
     "use detail::atomic, whose operations name their ordering",
     "std::atomic<int> n;",
     "detail::atomic<int> n;"},
    {form::header,
     {"atomic"},
     library,
     {{"include/gort/detail/atomic.hpp", "the wrapper itself"}},
     "include <gort/detail/atomic.hpp>",
     "#include <atomic>",
     "#include <gort/detail/atomic.hpp>"},
    {form::name,
     {"volatile"},
     everywhere,
     {{"tests/", "holds a value against the optimizer"},
      {"bench/", "holds a value against the optimizer"},
      {"examples/", "holds a value against the optimizer"},
      {"src/arch/", "asm volatile"},
      {"src/os/system_call.hpp", "asm volatile"},
      {"src/gc/", "asm volatile"},
      {"include/gort/detail/managed_word.hpp", "asm volatile, inlined into users' code"},
      {"include/gort/detail/inside.hpp", "asm volatile, inlined into users' code"},
      {"include/gort/chan.hpp", "asm volatile: a store to what is about to end"}},
     "use detail::atomic; volatile orders nothing between threads",
     "volatile int n;",
     "int n;  // volatile"},
    {form::name,
     {"thread_local", "__thread"},
     library,
     {{"src/sched/", "its own words, read where no switch can intervene"},
      {"src/os/", "per-thread facts of the system"},
      {"src/arch/", "the words that src/sched reads"},
      {"src/ops/malloc_profile/", "a countdown in malloc, where no switch can intervene"},
      {"include/gort/detail/inside.hpp", "a word that only its assembly touches"}},
     "use goroutine_local; the compiler caches the address across a switch of threads",
     "thread_local int n;",
     "goroutine_local<int> n;"},
    // --- text and output
    {form::call,
     {"printf", "fprintf", "vprintf", "vfprintf", "dprintf", "vdprintf", "puts", "fputs", "putchar",
      "sprintf", "vsprintf", "snprintf", "vsnprintf", "perror"},
     library,
     {},
     "use std::to_chars into a buffer and os:: or base::fatal to write it: stdio allocates and "
     "locks",
     "  printf(text);",
     "log.printf(text);"},
    {form::header,
     {"iostream", "sstream", "iomanip", "format"},
     library,
     {},
     "use std::to_chars: streams cost a static constructor and locales",
     "#include <iostream>",
     "#include <iosfwd>"},
    {form::name,
     {"std::endl"},
     everywhere,
     {},
     "use '\\n'; flush where it matters",
     "out << std::endl;",
     "out << 'n';"},
    {form::call,
     {"sprintf", "vsprintf", "strcpy", "strcat", "gets", "strtok", "atoi", "atol", "alloca"},
     everywhere,
     {},
     "use std::string, std::to_chars, std::from_chars: it checks nothing",
     "  atoi(text);",
     "parser.atoi(text);"},
    {form::call,
     {"rand", "srand"},
     everywhere,
     {},
     "use a seeded std::mt19937_64, or detail::random in the runtime",
     "int x = rand();",
     "int x = detail::random();"},
    {form::call,
     {"abort", "exit", "_Exit", "quick_exit", "terminate"},
     library,
     {{"src/os/write.cpp", "the end of the panic path itself"}},
     "use base::fatal or the panic path: they say what happened and exit with Go's status",
     "  std::abort();",
     "runtime::exit(2);"},
    // --- the operating system stays on its floor
    {form::header,
     {"sys/", "linux/", "unistd.h", "fcntl.h", "sched.h", "pthread.h", "signal.h", "csignal",
      "poll.h", "ucontext.h", "time.h", "dirent.h", "asm/"},
     library,
     {{"src/os/", "the system's floor"},
      {"src/arch/", "registers in signal frames"},
      {"src/ops/mutex_profile/", "stands in front of the C library's functions"}},
     "use src/os (one fact a file), or add the fact there",
     "#include <sys/mman.h>",
     "#include \"os/memory.hpp\""},
    {form::macro,
     {"__x86_64__", "__aarch64__", "__amd64__", "__arm__", "__linux__", "__linux", "__SSE2__"},
     everywhere,
     {{"src/os/", "the system's floor"},
      {"src/arch/", "one folder per ISA"},
      {"include/gort/detail/inside.hpp", "two instructions of each ISA in users' code"},
      {"tests/conformance/preempt_test.cpp", "keeps vector registers busy by hand"},
      {"tests/conformance/gc_asleep_calls_test.cpp", "sleeps with registers held by hand"},
      {"tests/unit/os_preempt_test.cpp", "a fact of one ISA"},
      {"tests/support/single_step.hpp", "the trap flag is x86-64's"}},
     "put the difference into src/arch/<isa> or src/os; no platform inside an algorithm",
     "#if defined(__x86_64__)",
     "#ifdef GORT_MODEL"},
};

}  // namespace gort::tidy
