// Long file: one kind of interrupted code each, held together by the helpers at its top.
//
// A goroutine that computes without end: the others go on, and nothing of its own state is lost.
//
// Under ThreadSanitizer signals are delivered at calls into its runtime, so the loops here make one
// now and then (breathe()).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "os/proc.hpp"
#include "os/thread.hpp"
#include "support/breathe.hpp"
#include "support/cpu_time.hpp"
#include "support/lock_inside.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::breathe;

// Runs `work(stop)` on goroutines of one P while another goroutine must get its turns: `turns`
// sleeps of 1 ms. Only preemption gives it those.
template <class Work>
void while_others_go_on(int turns, Work work) {
  test::with_procs(1, [&] {
    std::atomic<bool> stop{false};
    wait_group all;
    all.add(1);
    go([&] {
      for (int i = 0; i < turns; ++i) gort::sleep(1ms);
      stop.store(true, std::memory_order_relaxed);
      all.done();
    });
    all.go([&] { work(stop); });
    all.wait();
  });
}

// Comes true when threads have been parked in place that often since it was made: without
// preemption never.
class preempted_often {
 public:
  // From several goroutines. Between two looks into gort there are 5 ms without.
  bool operator()() const {
    static thread_local clock::time_point next_look;
    const auto now = clock::now();
    if (now < next_look) return false;
    next_look = now + 5ms;
    return debug::read_scheduler_counts().preemptions >= enough_;
  }

 private:
  using clock = std::chrono::steady_clock;
  const std::uint64_t enough_ = debug::read_scheduler_counts().preemptions + 12;
};

TEST(preempt, a_loop_in_user_code) {
  while_others_go_on(5, [](std::atomic<bool>& stop) {
    std::uint64_t n = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      ++n;
      breathe();
    }
    EXPECT_GT(n, 0U);
  });
}

TEST(preempt, main_spins_for_what_another_one_does) {
  test::with_procs(1, [] {
    std::atomic<int> done{0};
    go([&] { done.store(1, std::memory_order_relaxed); });
    while (done.load(std::memory_order_relaxed) == 0) breathe();
  });
}

TEST(preempt, inside_malloc) {
  while_others_go_on(10, [](std::atomic<bool>& stop) {
    std::vector<std::string> kept(64);
    for (std::size_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
      std::string& slot = kept[i % kept.size()];
      slot.assign(i % 5000, static_cast<char>('a' + i % 26));
      if (!slot.empty()) {
        ASSERT_EQ(slot.front(), slot.back());
      }
    }
  });
}

TEST(preempt, inside_libc) {
  while_others_go_on(10, [](std::atomic<bool>& stop) {
    std::vector<int> numbers(5000);
    char text[64];
    while (!stop.load(std::memory_order_relaxed)) {
      for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i] = static_cast<int>(i * 7919 % numbers.size());
      std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
        return *static_cast<const int*>(a) - *static_cast<const int*>(b);
      });
      for (std::size_t i = 0; i < numbers.size(); ++i)
        ASSERT_EQ(numbers[i], static_cast<int>(i));  // 7919 is prime to the size
      std::snprintf(text, sizeof(text), "%.17g", 0.1);
      ASSERT_EQ(std::strtod(text, nullptr), 0.1);
    }
  });
}

TEST(preempt, while_holding_a_std_mutex_that_others_want) {
  test::with_procs(1, [] {
    std::mutex lock;
    std::uint64_t guarded = 0;
    const preempted_often enough;
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        while (!enough()) {
          const std::lock_guard guard(lock);
          const std::uint64_t before = guarded;
          for (int n = 0; n < 20000; ++n) {
            guarded = before + 1;
            asm volatile("" ::: "memory");
          }
          ASSERT_EQ(guarded, before + 1);
        }
      });
    }
    all.wait();
    EXPECT_GT(guarded, 0U);
  });
}

thread_local int per_thread = 0;

TEST(preempt, thread_local_objects_stay_between_two_calls_of_gort) {
  test::with_procs(1, [] {
    const preempted_often enough;
    wait_group all;
    for (int i = 1; i <= 4; ++i) {
      all.go([i, &enough] {
        int* const mine = &per_thread;  // as a compiler may keep it
        const auto thread = std::this_thread::get_id();
        per_thread = i;
        while (!enough()) {
          ASSERT_EQ(std::this_thread::get_id(), thread);
          ASSERT_EQ(*mine, i);
          breathe();
        }
      });
    }
    all.wait();
  });
}

TEST(preempt, floating_point_and_vector_registers) {
  test::with_procs(1, [] {
    const preempted_often enough;
    wait_group all;
    for (int i = 1; i <= 4; ++i) {
      all.go([i, &enough] {
        while (!enough()) {
          double sums[8];
          for (int lane = 0; lane < 8; ++lane) sums[lane] = i * 100 + lane;
          for (int n = 0; n < 10000; ++n)
            for (int lane = 0; lane < 8; ++lane) sums[lane] += 1;
          for (int lane = 0; lane < 8; ++lane) ASSERT_EQ(sums[lane], i * 100 + lane + 10000);
          breathe();
        }
      });
    }
    all.wait();
  });
}

#if defined(__x86_64__) && defined(__GNUC__)
#define GORT_EACH_ZMM(f)                                                                      \
  f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15) f(16) \
      f(17) f(18) f(19) f(20) f(21) f(22) f(23) f(24) f(25) f(26) f(27) f(28) f(29) f(30) f(31)
#define GORT_LOAD_ZMM(n) "vmovdqa64 64*" #n "(%0), %%zmm" #n "\n\t"
#define GORT_STORE_ZMM(n) "vmovdqa64 %%zmm" #n ", 64*" #n "(%1)\n\t"

// Keeps a value of its own in each of the 32 registers of 512 bits, and in a mask, for some 20 ms.
__attribute__((target("avx512f"))) bool zmm_survive(std::uint64_t pattern) {
  constexpr std::size_t words = 32 * 8;
  alignas(64) std::uint64_t in[words];
  alignas(64) std::uint64_t out[words] = {};
  for (std::size_t i = 0; i < words; ++i) in[i] = pattern * (i + 1);
  std::uint64_t mask = pattern & 0xffff;
  const std::uint64_t* from = in;
  std::uint64_t* to = out;
  asm volatile(GORT_EACH_ZMM(GORT_LOAD_ZMM)  //
               "kmovw %k2, %%k3\n\t"
               "movq $60000000, %%rcx\n"
               "1: decq %%rcx\n\t"
               "jnz 1b\n\t"
               "kmovw %%k3, %k2\n\t"  //
               GORT_EACH_ZMM(GORT_STORE_ZMM)
               : "+r"(from), "+r"(to), "+r"(mask)
               :
               : "memory", "rcx", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                 "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  return std::memcmp(in, out, sizeof(in)) == 0 && mask == (pattern & 0xffff);
}
#undef GORT_EACH_ZMM
#undef GORT_LOAD_ZMM
#undef GORT_STORE_ZMM

TEST(preempt, avx512_registers) {
  // Not a failure under CI, as other skips are: no script installs a CPU.
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "SKIPPED: the CPU has no AVX-512";
  test::with_procs(1, [] {
    const preempted_often enough;
    wait_group all;
    for (std::uint64_t i = 1; i <= 4; ++i) {
      all.go([i, &enough] {
        do {
          ASSERT_TRUE(zmm_survive(i * 0x0123456789abcdef));
          breathe();
        } while (!enough());
      });
    }
    all.wait();
  });
}
#endif

struct thrown {
  int value;
};

[[gnu::noinline]] int throw_deep(int depth, int value) {
  struct counted {
    volatile int n;
    ~counted() {
      for (int i = 0; i < 200; ++i) n = n + 1;
    }
  } at_each_level{depth};
  if (depth == 0) throw thrown{value};
  return throw_deep(depth - 1, value) + 1;
}

TEST(preempt, while_unwinding_an_exception) {
  test::with_procs(1, [] {
    const preempted_often enough;
    wait_group all;
    for (int i = 1; i <= 4; ++i) {
      all.go([i, &enough] {
        for (int n = 0; !enough(); ++n) {
          try {
            throw_deep(50, i * 1000 + n);
            FAIL();
          } catch (const thrown& e) {
            ASSERT_EQ(e.value, i * 1000 + n);
          }
        }
      });
    }
    all.wait();
  });
}

TEST(preempt, the_world_stops_while_every_processor_computes) {
  test::with_procs(4, [] {
    std::atomic<bool> stop{false};
    wait_group all;
    for (int i = 0; i < 8; ++i) {
      all.go([&] {
        while (!stop.load(std::memory_order_relaxed)) breathe();
      });
    }
    for (int n = 1; n <= 8; ++n) runtime::gomaxprocs(n);
    EXPECT_EQ(runtime::gomaxprocs(2), 8);
    stop.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

TEST(preempt, no_more_goroutines_run_than_there_are_processors) {
  test::with_procs(1, [] {
    std::atomic<bool> stop{false};
    wait_group all;
    for (int i = 0; i < 6; ++i) {
      all.go([&, i] {
        if (i % 2 == 0) std::this_thread::sleep_for(20ms);  // comes back without a P
        while (!stop.load(std::memory_order_relaxed)) breathe();
      });
    }
    std::thread observer([&] {
      std::this_thread::sleep_for(100ms);
      // Two run while one takes over from another, and for a while after a blocking call: until
      // there has been half a second of little of that.
      double in_use = 2;
      while (in_use >= 1.5) {
        const auto began = std::chrono::steady_clock::now();
        const auto used_before = test::cpu_used();
        std::this_thread::sleep_for(500ms);
        const std::chrono::duration<double> used = test::cpu_used() - used_before;
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
        in_use = used / passed;
      }
      stop.store(true, std::memory_order_relaxed);
    });
    all.wait();
    observer.join();
  });
}

// Answering it is computing, too: were that enough for the next signal, it would never rest.
TEST(preempt, a_thread_that_cannot_park_is_not_asked_again_while_it_sleeps) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  char byte = 0;
  long sleeps = 0;
  std::thread writer;
  test::with_procs(1, [&] {
    wait_group all;
    all.go([&] {
      writer = std::thread([&] {
        std::this_thread::sleep_for(300ms);
        EXPECT_EQ(write(ends[1], "x", 1), 1);
      });
      const detail::inside_gort inside;
      const auto start = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - start < 30ms) continue;  // so it is asked to park
      rusage before{}, after{};
      getrusage(RUSAGE_THREAD, &before);
      EXPECT_EQ(read(ends[0], &byte, 1), 1);
      getrusage(RUSAGE_THREAD, &after);
      sleeps = after.ru_nvcsw - before.ru_nvcsw;
    });
    all.go([] {});  // somebody waits for the P
    all.wait();
  });
  writer.join();
  EXPECT_LT(sleeps, 5);  // hundreds
  close(ends[0]);
  close(ends[1]);
}

TEST(preempt, while_holding_a_lock_that_is_wanted_inside_gort) {
  test::with_a_lock_wanted_inside_gort(1, 100ms, [] {});
}

TEST(preempt, a_stop_of_the_world_while_a_lock_is_wanted_inside_gort) {
  test::with_a_lock_wanted_inside_gort(2, 200ms, [] {
    gort::sleep(20ms);
    for (int n = 3; n <= 6; ++n) runtime::gomaxprocs(n);
  });
}

TEST(preempt, ten_thousand_that_compute_use_a_bounded_number_of_threads) {
  test::with_procs(1, [] {
    constexpr int many = base::with_tsan ? 1000 : 10'000;          // TSan has few fibers
    const std::int64_t threads_max = debug::set_max_threads(256);  // half of them in place
    std::atomic<bool> stop{false};
    std::atomic<int> began{0};
    wait_group all;
    for (int i = 0; i < many; ++i) {
      all.go([&] {
        began.fetch_add(1, std::memory_order_relaxed);
        while (!stop.load(std::memory_order_relaxed)) breathe();
      });
    }
    // Each preemption would cost another thread, were there no bound.
    const std::uint64_t enough = debug::read_scheduler_counts().preemptions + 300;
    auto threads = os::thread_count();
    while (debug::read_scheduler_counts().preemptions < enough) {
      gort::sleep(5ms);
      threads = std::max(threads, os::thread_count());
    }
    EXPECT_LE(threads, 128 + 16);
    EXPECT_GT(began.load(std::memory_order_relaxed), 1);
    stop.store(true, std::memory_order_relaxed);
    all.wait();
    EXPECT_EQ(began.load(std::memory_order_relaxed), many);
    debug::set_max_threads(threads_max);
  });
}

}  // namespace
}  // namespace gort
