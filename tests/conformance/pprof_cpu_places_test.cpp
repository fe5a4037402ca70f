// Where the CPU profile finds time: in the scheduler, on threads that have lost their P, in code
// that keeps no frame pointer, and in code that nothing is known of. And what it says of itself.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/metrics_support.hpp"
#include "support/profile_reader.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

std::atomic<unsigned> sink;

std::int64_t thread_cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

[[gnu::always_inline]] inline void burn(int ms) {
  const std::int64_t end = thread_cpu_ms() + ms;
  while (thread_cpu_ms() < end)
    for (unsigned i = 0; i < 2000; ++i)
      sink.store(sink.load(std::memory_order_relaxed) + i, std::memory_order_relaxed);
}

[[gnu::noinline]] void in_an_announced_call() {
  burn(100);
  sink.store(1, std::memory_order_relaxed);
}
[[gnu::noinline]] void after_an_unannounced_call() {
  burn(100);
  sink.store(2, std::memory_order_relaxed);
}

template <class F>
test::read_profile profile_of(F f) {
  std::string bytes;
  pprof::set_cpu_profile_rate(1000);
  pprof::start_cpu_profile([&](std::string_view piece) { bytes += piece; });
  f();
  pprof::stop_cpu_profile();
  pprof::set_cpu_profile_rate(0);
  return test::profile_reader::read(test::gunzip(bytes));
}

// Of the samples in `function`, whatever it is called from; with that label, if one is given.
double cpu_ms(const test::read_profile& p, const std::string& function,
              const std::string& who = {}) {
  double sum = 0;
  for (const auto& each : p.samples) {
    const auto label = each.labels.find("who");
    if (!who.empty() && (label == each.labels.end() || label->second != who)) continue;
    if (each.functions().find(function) != std::string::npos)
      sum += static_cast<double>(each.values.at(1)) / 1e6;
  }
  return sum;
}

// Neither of them has a P while it computes: others have the only one.
TEST(cpu_profile_places, threads_without_a_processor) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  const auto strays = [] { return test::whole("/gort/sched/threads/strays:threads"); };
  test::read_profile p;
  do {  // a thread that is new is looked for by one that may have to wait for a CPU
    test::with_procs(1, [&] {
      p = profile_of([&] {
        int way[2];
        ASSERT_EQ(pipe(way), 0);
        const auto read_a_byte = [&] {
          char byte;
          EXPECT_EQ(read(way[0], &byte, 1), 1);
        };
        wait_group all;
        all.go([&] {
          pprof::with_labels(pprof::labels("who", "announced"), [&] {
            blocking([&] {
              read_a_byte();
              in_an_announced_call();
            });
          });
        });
        all.go([&] {
          pprof::with_labels(pprof::labels("who", "not"), [&] {
            read_a_byte();
            after_an_unannounced_call();
          });
        });
        while (strays() < 2) gort::sleep(std::chrono::milliseconds(1));
        EXPECT_EQ(write(way[1], "xx", 2), 2);
        all.wait();
        close(way[0]);
        close(way[1]);
      });
    });
  } while (!testing::Test::HasFailure() &&
           (cpu_ms(p, "in_an_announced_call") < 20 || cpu_ms(p, "after_an_unannounced_call") < 20));
  // All of it is their own.
  EXPECT_EQ(cpu_ms(p, "in_an_announced_call"), cpu_ms(p, "in_an_announced_call", "announced"));
  EXPECT_EQ(cpu_ms(p, "after_an_unannounced_call"), cpu_ms(p, "after_an_unannounced_call", "not"));
}

// A thread of its own looks for work, and finds some each time.
TEST(cpu_profile_places, the_scheduler) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  test::read_profile p;
  do {
    p = profile_of([] {
      auto there = make_chan<int>();
      gort::run([&] {
        wait_group all;
        all.go([&] {
          while (there.recv()) {
          }
        });
        std::thread plain([&] {
          while (thread_cpu_ms() < 200) there.send(1);
          there.close();
        });
        blocking([&] { plain.join(); });
        all.wait();
      });
    });
  } while (cpu_ms(p, "gort::sched::scheduler_loop") == 0);
  for (const auto& each : p.samples) {
    if (each.functions().find("gort::sched::scheduler_loop") == std::string::npos) continue;
    EXPECT_TRUE(each.labels.empty()) << "it is nobody's time";
  }
}

// A shared object made of C source, without frame pointers.
class library {
 public:
  library(const std::string& name, const std::string& source, const std::string& flags)
      : path_(std::string(GORT_BINARY_DIR) + "/pprof_cpu_places_test_" + name +
              std::to_string(getpid()) + ".so") {
    const test::ended made =
        test::run_shell("(cc -x c -O2 -g -fomit-frame-pointer -shared -fPIC " + flags + " -o " +
                        path_ + " - <<'END'\n" + source + "END\n)");
    if (made.status == 0) handle_ = dlopen(path_.c_str(), RTLD_NOW);
  }
  ~library() {
    if (handle_ != nullptr) dlclose(handle_);
    unlink(path_.c_str());
  }
  library(const library&) = delete;
  library& operator=(const library&) = delete;

  using function = void(long);
  function* find(const char* name) const {
    return handle_ == nullptr ? nullptr : reinterpret_cast<function*>(dlsym(handle_, name));
  }

 private:
  std::string path_;
  void* handle_ = nullptr;
};

[[gnu::noinline]] void calls_it(library::function* f) {
  const std::int64_t end = thread_cpu_ms() + 100;
  while (thread_cpu_ms() < end) f(1'000'000);
  sink.store(3, std::memory_order_relaxed);
}

TEST(cpu_profile_places, code_without_frame_pointers_and_how_much_of_it_there_was) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  const library one("bare",
                    "__attribute__((noinline)) static long inner(long n) {\n"
                    "  long sum = n;\n"
                    "  while (n-- > 0) __asm__ volatile(\"\" : \"+r\"(sum));\n"
                    "  return sum;\n"
                    "}\n"
                    "long cpu_places_bare(long n) { return inner(n) + 1; }\n",
                    "");
  library::function* f = one.find("cpu_places_bare");
  if (f == nullptr) GORT_SKIP("no C compiler");
  test::read_profile p;
  do {
    p = profile_of([&] { gort::run([&] { calls_it(f); }); });
  } while (cpu_ms(p, "inner cpu_places_bare ") == 0);
  for (const auto& each : p.samples) {
    if (each.functions().find("inner cpu_places_bare ") == std::string::npos) continue;
    EXPECT_NE(each.functions().find("calls_it "), std::string::npos) << each.functions();
  }
  const pprof::cpu_profile_stacks how = pprof::last_cpu_profile_stacks();
  EXPECT_GT(how.stacks, 0);
  EXPECT_GT(how.frames, how.stacks);
  EXPECT_GT(how.frames_without_pointer, 0);
  EXPECT_LE(how.frames_without_pointer, how.frames);
  EXPECT_EQ(how.cut != 0, p.through("gort::pprof::stack_cut_off") != 0);
}

// It has neither call frame information nor its caller's frame pointer.
TEST(cpu_profile_places, code_that_nothing_is_known_of_is_the_end_of_a_stack) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  const library one("unknown",
                    "#ifdef __x86_64__\n"
                    "void cpu_places_unknown(long n);\n"
                    "__asm__(\".globl cpu_places_unknown\\n\"\n"
                    "        \".type cpu_places_unknown, @function\\n\"\n"
                    "        \"cpu_places_unknown:\\n\"\n"
                    "        \"  push %rbp\\n\"\n"
                    "        \"  xor %ebp, %ebp\\n\"\n"
                    "        \"1: dec %rdi\\n\"\n"
                    "        \"  jnz 1b\\n\"\n"
                    "        \"  pop %rbp\\n\"\n"
                    "        \"  ret\\n\"\n"
                    "        \".size cpu_places_unknown, . - cpu_places_unknown\\n\");\n"
                    "#endif\n",
                    "");
  library::function* f = one.find("cpu_places_unknown");
  if (f == nullptr) GORT_SKIP("no C compiler, or another architecture");
  f(1);  // its page is there: a sample of a fault would stand where the frame pointer is good still
  test::read_profile p;
  do {
    p = profile_of([&] { gort::run([&] { calls_it(f); }); });
  } while (cpu_ms(p, "cpu_places_unknown") == 0);
  EXPECT_GT(pprof::last_cpu_profile_stacks().cut, 0);
  EXPECT_EQ(cpu_ms(p, "cpu_places_unknown"),
            cpu_ms(p, "cpu_places_unknown gort::pprof::stack_cut_off "))
      << p.all_stacks();
}

}  // namespace
}  // namespace gort
