// Dumps of all goroutines: each shows where it waits, whoever owns the code it waits in.
#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

std::string dump() {
  std::string text(1 << 20, '\0');
  text.resize(runtime::stack(text, true));
  return text;
}

// The goroutine whose header has that name; empty if there is none.
std::string part_of(const std::string& text, const std::string& name) {
  const std::size_t mark = text.find("{name: " + name + "}:");
  if (mark == text.npos) return {};
  const std::size_t begin = text.rfind("goroutine ", mark);
  return text.substr(begin, std::min(text.find("\n\n", mark), text.size()) - begin);
}
bool has(const std::string& text, const std::string& what) { return text.find(what) != text.npos; }

// Dumps until `done` says yes to one.
template <class Done>
std::string dump_until(Done done) {
  for (;;) {
    std::string text = dump();
    if (done(text)) return text;
    gort::sleep(1ms);
  }
}
// One in which each of them sleeps in what that function calls, without a P. (On its way there a
// thread may sleep, too, and lose its P: for a page, for a lock.)
std::string dump_when_asleep(const std::vector<std::string>& names, const std::string& in) {
  (void)dump_until([&](const std::string& seen) {
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      const std::string part = part_of(seen, name);
      const std::size_t caller = part.find(in + "(...)\n");
      return has(part, "[syscall") && caller != part.npos && part.find("\n\t") < caller;
    });
  });
  return dump();  // they are there to stay: so are all of their frames
}

struct pipe_pair {
  int ends[2] = {-1, -1};
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    close(ends[0]);
    close(ends[1]);
  }
  // All that wait for a byte get one.
  void feed(std::size_t bytes) const {
    const std::string text(bytes, 'x');
    EXPECT_EQ(write(ends[1], text.data(), bytes), static_cast<ssize_t>(bytes));
  }
};

// A shared object made of C source, without frame pointers.
struct library {
  std::string path;
  std::string error;
  library(const std::string& name, const std::string& source, const std::string& flags)
      : path(std::string(GORT_BINARY_DIR) + "/dump_test_" + name + std::to_string(getpid()) +
             ".so") {
    const test::ended made =
        test::run_shell("(cc -x c -O2 -fomit-frame-pointer -shared -fPIC " + flags + " -o " + path +
                        " - <<'END'\n" + source + "END\n)");
    if (made.status != 0) error = made.text;
  }
  ~library() { unlink(path.c_str()); }
};

[[gnu::noinline]] void reads_one(int fd) {
  char c;
  [[maybe_unused]] const auto got = read(fd, &c, 1);
  asm volatile("" ::: "memory");
}
// Its frame is found by the frame pointer alone, at a place that depends on `bytes`.
[[gnu::noinline]] void reads_below_an_array(int fd, std::size_t bytes) {
  auto* room = static_cast<volatile char*>(__builtin_alloca(bytes));
  room[0] = 1;
  reads_one(fd);
  asm volatile("" : : "r"(room) : "memory");
}
// A return address and a frame of a call that is over lie in the array.
[[gnu::noinline]] void leaves_frames_behind(int depth) {
  volatile char room[64] = {};
  if (depth > 0) leaves_frames_behind(depth - 1);
  asm volatile("" : : "r"(room) : "memory");
}
[[gnu::noinline]] void reads_above_old_frames(int fd) {
  leaves_frames_behind(50);
  reads_below_an_array(fd, 2000);
  asm volatile("" ::: "memory");
}

TEST(dump, who_sleeps_in_a_call_shows_where) {
  GORT_NOT_UNDER(base::with_asan, "who called its interceptor of read() is not found");
  run([] {
    const pipe_pair p;
    const int fd = p.ends[0];
    wait_group all;
    const auto start = [&](const char* name, auto f) {
      all.add(1);
      go({.name = name}, [&all, f] {
        f();
        all.done();
      });
    };
    start("plain", [fd] { reads_one(fd); });
    start("announced", [fd] { blocking([fd] { reads_one(fd); }); });
    start("array", [fd] { reads_below_an_array(fd, 3000); });
    start("old_frames", [fd] { reads_above_old_frames(fd); });
    start("locked", [fd] {
      runtime::lock_os_thread();
      reads_one(fd);
      runtime::unlock_os_thread();
    });
    const std::vector<std::string> names{"plain", "announced", "array", "old_frames", "locked"};
    const std::string text = dump_when_asleep(names, "reads_one");
    for (const std::string& name : names) {
      const std::string part = part_of(text, name);
      EXPECT_TRUE(has(part, "reads_one(...)\n\t")) << part;
      EXPECT_TRUE(has(part, "dump_test.cpp:")) << part;
    }
    EXPECT_TRUE(has(part_of(text, "array"), "reads_below_an_array(...)\n")) << text;
    const std::string old_frames = part_of(text, "old_frames");
    EXPECT_TRUE(has(old_frames, "reads_below_an_array(...)\n")) << old_frames;
    EXPECT_TRUE(has(old_frames, "reads_above_old_frames(...)\n")) << old_frames;
    EXPECT_FALSE(has(old_frames, "leaves_frames_behind")) << old_frames;
    EXPECT_TRUE(has(part_of(text, "locked"), "[syscall, locked to thread] {name: locked}:\n"))
        << text;
    p.feed(names.size());
    all.wait();
  });
}

using reads_bare = int(int fd);

[[gnu::noinline]] void calls_bare(reads_bare* f, int fd) {
  f(fd);
  asm volatile("" ::: "memory");
}

// Neither call frame information nor a frame pointer.
TEST(dump, code_without_information_hides_nobody_else) {
  GORT_NOT_UNDER(base::with_asan, "who called its interceptor of read() is not found");
  const library bare("bare",
                     "#include <unistd.h>\n"
                     "int dump_test_reads_bare(int fd) {\n"
                     "  char room[40];\n"
                     "  return (int)read(fd, room, 1) + room[0];\n"
                     "}\n",
                     "-fno-asynchronous-unwind-tables -fno-unwind-tables");
  if (!bare.error.empty()) GORT_SKIP("no C compiler: " + bare.error);
  void* handle = dlopen(bare.path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  auto* f = reinterpret_cast<reads_bare*>(dlsym(handle, "dump_test_reads_bare"));
  run([f] {
    const pipe_pair p;
    wait_group all;
    all.add(1);
    go({.name = "bare"}, [&, fd = p.ends[0]] {
      calls_bare(f, fd);
      all.done();
    });
    const std::string text = dump_when_asleep({"bare"}, "dump_test_reads_bare");
    EXPECT_TRUE(has(part_of(text, "bare"), "calls_bare(...)\n")) << text;
    p.feed(1);
    all.wait();
  });
  dlclose(handle);
}

TEST(dump, a_tail_call_into_the_library_shows_what_waits) {
  run([] {
    static mutex m;
    static rw_mutex rw;
    m.lock();
    rw.lock();
    wait_group all;
    all.add(2);
    go({.name = "locks"}, [] { m.lock(); });
    go({.name = "reads"}, [] { rw.lock_shared(); });
    const std::string text = dump_until([](const std::string& seen) {
      return has(part_of(seen, "locks"), "[sync.Mutex.Lock]") &&
             has(part_of(seen, "reads"), "[sync.RWMutex.RLock]");
    });
    EXPECT_TRUE(has(part_of(text, "locks"), "gort::mutex::lock")) << text;
    EXPECT_TRUE(has(part_of(text, "locks"), "dump_test.cpp:")) << text;
    EXPECT_TRUE(has(part_of(text, "reads"), "gort::rw_mutex::lock_shared")) << text;
    EXPECT_FALSE(has(text, "\n\n\n")) << text;
    m.unlock();
    rw.unlock();
  });
}

// The last call of the goroutine's function is the wait itself: nothing of the user's is left.
[[gnu::noinline]] void only_locks(mutex* m) { m->lock(); }
[[gnu::noinline]] void only_reads(rw_mutex* m) { m->lock_shared(); }
[[gnu::noinline]] void only_sleeps() { gort::sleep(1h); }

TEST(dump, the_only_frame_left_is_not_hidden) {
  run([] {
    mutex m;
    rw_mutex rw;
    m.lock();
    rw.lock();
    go({.name = "only"}, only_locks, &m);
    go({.name = "reads"}, only_reads, &rw);
    go({.name = "sleeps"}, only_sleeps);
    const std::string text = dump_until([](const std::string& seen) {
      return has(part_of(seen, "only"), "[sync.Mutex.Lock]") &&
             has(part_of(seen, "reads"), "[sync.RWMutex.RLock]") &&
             has(part_of(seen, "sleeps"), "[sleep]");
    });
    EXPECT_TRUE(has(part_of(text, "only"), "gort::mutex::lock")) << text;
    const std::string reads = part_of(text, "reads");
    EXPECT_TRUE(has(reads, "gort::rw_mutex::lock_shared")) << text;
    if (!base::with_asan && !base::with_tsan) {
      EXPECT_FALSE(has(reads, "only_reads")) << "this test is about those that have jumped";
    }
    const std::string sleeps = part_of(text, "sleeps");
    EXPECT_TRUE(has(sleeps, "(...)\n\t")) << text;
    EXPECT_FALSE(has(sleeps, "switch_to(")) << "what is below the wait itself\n" << text;
    m.unlock();
    rw.unlock();
    while (runtime::num_goroutine() > 2) runtime::gosched();  // one sleeps on
  });
}

TEST(dump, the_caller_comes_first_and_then_the_oldest) {
  run([] {
    auto c = make_chan<int>();
    wait_group all;
    for (int i = 0; i < 200; ++i) all.go([c] { c.recv(); });
    runtime::gosched();
    auto text = make_chan<std::string>();
    go([=] { text.send(dump()); });
    const std::string seen = *text.recv();
    std::vector<std::uint64_t> numbers;
    for (std::size_t at = 0; at != seen.npos; at = seen.find("\n\ngoroutine ", at + 1))
      numbers.push_back(std::stoull(seen.substr(seen.find("goroutine ", at) + 10)));
    ASSERT_GT(numbers.size(), 201u);
    EXPECT_EQ(numbers.at(1), 1u);
    EXPECT_TRUE(std::is_sorted(numbers.begin() + 1, numbers.end())) << seen.substr(0, 4000);
    EXPECT_GT(numbers.at(0), 1u);
    c.close();
    all.wait();
  });
}

[[gnu::noinline]] void computes_until(const bool* stop) {
  while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) asm volatile("" ::: "memory");
}

TEST(dump, who_was_stopped_by_a_signal_shows_nothing_of_it) {
  GORT_NOT_UNDER(base::with_tsan, "it holds the signal back");
  run([] {
    bool stop = false;
    wait_group all;
    all.add(1);
    go({.name = "computes"}, [&] {
      computes_until(&stop);
      all.done();
    });
    const std::string text = dump_until([](const std::string& seen) {
      return has(part_of(seen, "computes"), "computes_until(...)");
    });
    const std::string part = part_of(text, "computes");
    EXPECT_TRUE(has(part, "{name: computes}:\ngort::(anonymous namespace)::computes_until(...)"))
        << part;
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    all.wait();
  });
}

[[gnu::noinline]] void polls(int ms) {
  poll(nullptr, 0, ms);
  asm volatile("" ::: "memory");
}

// They wake up at any moment, also while their stack is read.
TEST(dump, sleepers_may_wake_while_they_are_looked_at) {
  run([] {
    detail::atomic<bool> stop;
    wait_group all;
    for (int i = 0; i < 6; ++i) {
      all.add(1);
      go({.name = "sleeper"}, [&, i] {
        while (!stop.load_relaxed()) {
          polls(i % 2);
          if (i % 3 == 0) blocking([] { polls(1); });
        }
        all.done();
      });
    }
    const int rounds = base::with_asan || base::with_tsan ? 100 : 500;
    for (int i = 0; i < rounds; ++i) {
      const std::string text = dump();
      for (std::size_t at = text.find("[syscall"); at != text.npos;
           at = text.find("[syscall", at + 1)) {
        const std::string part = text.substr(at, text.find("\n\n", at) - at);
        EXPECT_TRUE(has(part, "poll") || has(part, "unavailable") || has(part, "blocking") ||
                    has(part, "dump_test.cpp"))
            << part;
      }
    }
    stop.store_relaxed(true);
    all.wait();
  });
}

// Named ones come and go all the time; some end on a thread that a stop does not reach.
TEST(dump, goroutines_may_start_and_end_meanwhile) {
  run([] {
    detail::atomic<bool> stop;
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&, i] {
        while (!stop.load_relaxed()) {
          wait_group few;
          for (int n = 0; n < 20; ++n) {
            few.add(1);
            go({.name = "short-lived goroutine with a long name"}, [&few, n, i] {
              if (n % 10 == i) polls(0);
              few.done();
              if (n == 0) polls(0);
            });
          }
          few.wait();
        }
      });
    }
    const int rounds = base::with_asan || base::with_tsan ? 50 : 300;
    for (int i = 0; i < rounds; ++i) EXPECT_FALSE(dump().empty());
    stop.store_relaxed(true);
    all.wait();
  });
}

// A library's constructor may wait for as long as it likes, with the dynamic linker's lock held.
TEST(dump, a_library_that_is_being_loaded_holds_nothing_up) {
  GORT_NOT_UNDER(base::with_asan, "who called its interceptor of read() is not found");
  GORT_NOT_UNDER(base::with_tsan, "to it the loader's writes and our reads of tables are a race");
  const library waits("waits",
                      "#include <stdlib.h>\n"
                      "#include <unistd.h>\n"
                      "void dump_test_constructor(void) __attribute__((constructor));\n"
                      "void dump_test_constructor(void) {\n"
                      "  char c;\n"
                      "  long got = read(atoi(getenv(\"DUMP_TEST_FD\")), &c, 1);\n"
                      "  __asm__ volatile(\"\" : : \"r\"(got) : \"memory\");\n"
                      "}\n",
                      "");
  if (!waits.error.empty()) GORT_SKIP("no C compiler: " + waits.error);
  run([&] {
    dump();  // the symbols known from now on are not the library's
    const pipe_pair p;
    setenv("DUMP_TEST_FD", std::to_string(p.ends[0]).c_str(), 1);
    wait_group all;
    all.add(1);
    go({.stack = 1 << 20, .name = "loads"}, [&] {
      void* handle = dlopen(waits.path.c_str(), RTLD_NOW);
      EXPECT_NE(handle, nullptr) << dlerror();
      all.done();
    });
    const std::string text = dump_when_asleep({"loads"}, "dump_test_constructor");
    const std::string part = part_of(text, "loads");
    EXPECT_TRUE(has(part, "dlopen")) << part;
    p.feed(1);
    all.wait();
  });
}

}  // namespace
}  // namespace gort
