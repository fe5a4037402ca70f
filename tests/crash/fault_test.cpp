// Faults that are no stack overflow, though they may look like one: they end as if gort had no
// handler. The programs are the disabled tests below.
#include <sys/mman.h>
#include <unistd.h>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/overflow.hpp"

namespace gort {
namespace {

using namespace test;

// ------------------------------------------------------------------------------------ the programs

// The highest page of the guard of the calling goroutine's stack: the lowest byte that can be
// touched is right above it.
char* own_guard() {
  // Found by its effect: walk down in steps of a page until the kernel refuses to read.
  auto at = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) & ~std::uintptr_t{4095};
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  char byte;
  while (write(ends[1], reinterpret_cast<const char*>(at), 1) == 1 && read(ends[0], &byte, 1) == 1)
    at -= 4096;
  return reinterpret_cast<char*>(at);
}

__attribute__((noinline, no_sanitize("address"))) void pokes(char* where) {
  *static_cast<volatile char*>(where) = 1;
}

TEST(program, DISABLED_wild_pointer) {
  run([] {
    go([] { pokes(reinterpret_cast<char*>(std::uintptr_t{16})); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_wild_pointer_into_the_own_guard) {
  run([] {
    go([] { pokes(own_guard()); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_wild_pointer_into_a_neighbors_guard) {
  run([] {
    auto c = make_chan<char*>();
    auto end = make_chan<int>();
    go([c, end] {
      c.send(own_guard());
      end.recv();
    });
    char* other = *c.recv();
    go([other] { pokes(other); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_of_a_plain_thread) {
  go([] {});
  std::thread([] { sets_out(); }).join();
}

TEST(program, DISABLED_sent_signal) {
  run([] {
    go([] { std::raise(SIGSEGV); });
    make_chan<int>().recv();
  });
}

sigjmp_buf way_out;
volatile std::sig_atomic_t faults = 0;

TEST(program, DISABLED_own_handler) {
  struct sigaction action {};
  action.sa_sigaction = [](int signal, siginfo_t* info, void*) {
    faults = faults + 1;
    std::printf("own handler: %d at %p, blocked %d\n", signal, info->si_addr, [] {
      sigset_t now;
      pthread_sigmask(SIG_SETMASK, nullptr, &now);
      return sigismember(&now, SIGSEGV) + 10 * sigismember(&now, SIGUSR2) +
             100 * sigismember(&now, SIGUSR1);
    }());
    std::fflush(stdout);
    siglongjmp(way_out, 1);
  };
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGSEGV, &action, nullptr);
  run([] {
    wait_group done;
    done.go([] {
      for (int i = 0; i < 3; ++i) {
        if (sigsetjmp(way_out, 1) == 0) pokes(reinterpret_cast<char*>(std::uintptr_t{0x123}));
      }
    });
    done.wait();
    std::printf("survived %d\n", static_cast<int>(faults));
    std::fflush(stdout);
    go(sets_out);  // an overflow is still ours
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_own_simple_handler) {
  std::signal(SIGBUS, [](int signal) { _exit(40 + signal); });
  run([] {
    go([] {
      // A page of an empty file.
      std::FILE* file = std::tmpfile();
      void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
      pokes(static_cast<char*>(page));
    });
    make_chan<int>().recv();
  });
}

// --------------------------------------------------------------------------------------- the tests

constexpr int segv_status = base::with_asan || base::with_tsan ? 1 : 128 + SIGSEGV;

// The default action, or a sanitizer's own report.
void expect_plain_segv(const ended& p) {
  const int tsan_status = 66;
  EXPECT_EQ(p.status, base::with_tsan ? tsan_status : segv_status) << p.head();
  EXPECT_FALSE(p.has("stack overflow\n")) << p.head();
  EXPECT_FALSE(p.has("runtime: goroutine stack")) << p.head();
}

TEST(fault, that_is_no_overflow_dumps_core) {
  expect_plain_segv(run_program("wild_pointer"));
  expect_plain_segv(run_program("wild_pointer_into_the_own_guard"));
  expect_plain_segv(run_program("wild_pointer_into_a_neighbors_guard"));
  expect_plain_segv(run_program("sent_signal"));
}

TEST(fault, of_a_plain_thread_is_not_ours) {
  const ended p = run_program("overflow_of_a_plain_thread");
  EXPECT_NE(p.status, 0);
  EXPECT_NE(p.status, 2) << p.head();
  EXPECT_FALSE(p.has("runtime: goroutine stack")) << p.head();
}

TEST(fault, reaches_the_programs_own_handler) {
  const ended p = run_program("own_handler");
  EXPECT_EQ(p.count("own handler: 11 at 0x123, blocked 11\n"), 3)
      << "with the mask that it asked for\n"
      << p.head();
  EXPECT_TRUE(p.has("survived 3\n")) << p.head();
  expect_report(p, default_limit);
  EXPECT_EQ(run_program("own_simple_handler").status, 40 + SIGBUS);
}

}  // namespace
}  // namespace gort
