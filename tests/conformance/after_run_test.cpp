// Goroutines that outlive run(): they stand still, those that compute too, and the next run() finds
// them where they were. One that sleeps in a library's call goes on after it until it waits or
// yields in gort.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "os/memory.hpp"
#include "os/proc.hpp"
#include "support/cpu_time.hpp"
#include "support/metrics_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// For plain threads, whose waits a run() need not be in progress for.
void wait_until(auto f) {
  for (int i = 0; i < 6000 && !f(); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(f());
}

// Not before: a thread may lose its P on the way there, too, where it waits for a page.
void until_it_reads_without_p(const detail::atomic<int>& thread) {
  const std::string in_read = std::to_string(SYS_read) + " ";
  char text[256] = "";
  while (!std::string_view(text).starts_with(in_read) ||
         test::whole("/gort/sched/threads/strays:threads") == 0) {
    gort::sleep(1ms);
    const int id = thread.load_relaxed();
    if (id == 0 || os::read_of_thread(id, "syscall", text, sizeof(text)) == 0) text[0] = 0;
  }
}

TEST(after_run, one_whose_p_was_taken_sleeps_until_the_next_run) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<bool> has_read;
  detail::atomic<bool> is_over;
  test::with_procs(1, [&] {
    detail::atomic<int> reader;
    gort::go([&] {
      reader.store_relaxed(gettid());
      char c;
      ASSERT_EQ(read(pipe[0], &c, 1), 1);
      has_read.store_relaxed(true);
      runtime::gosched();
      is_over.store_relaxed(true);
    });
    until_it_reads_without_p(reader);
  });
  ASSERT_EQ(write(pipe[1], "x", 1), 1);
  wait_until([&] { return has_read.load_relaxed(); });
  std::this_thread::sleep_for(20ms);  // for it to come to rest
  constexpr auto watched = 500ms;
  const auto before = test::cpu_used();
  std::this_thread::sleep_for(watched);
  EXPECT_LT(test::cpu_used() - before, watched / 2) << "it waits for a P by asking again and again";
  EXPECT_FALSE(is_over.load_relaxed());
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
  close(pipe[0]);
  close(pipe[1]);
}

TEST(after_run, one_that_computes_stands_still_until_the_next_run) {
  detail::atomic<bool> go_on;
  detail::atomic<bool> is_over;
  detail::atomic<long> counted;
  test::with_procs(2, [&] {
    gort::go([&] {
      while (!go_on.load_relaxed()) counted.fetch_add_relaxed(1);
      is_over.store_relaxed(true);
    });
    while (counted.load_relaxed() == 0) gort::sleep(1ms);
  });
  for (int i = 0; i < 3; ++i) {
    const long before = counted.load_relaxed();
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(counted.load_relaxed(), before);
    // Stops of a frozen world leave it where it is.
    const int procs = runtime::gomaxprocs(3 + i);
    std::vector<char> text(1 << 16);
    runtime::stack(text, true);
    runtime::gomaxprocs(procs);
  }
  go_on.store_relaxed(true);
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
}

/// A page that is not there until give(): the kernel asks us for it.
class missing_page {
 public:
  missing_page()
      : asked_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY))) {
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register what{};
    what.range = range();
    what.mode = UFFDIO_REGISTER_MODE_MISSING;
    is_registered_ = asked_ >= 0 && ioctl(asked_, UFFDIO_API, &api) == 0 &&
                     ioctl(asked_, UFFDIO_REGISTER, &what) == 0;
  }
  ~missing_page() {
    if (asked_ >= 0) close(asked_);
    munmap(page_, os::page_bytes);
  }
  bool is_to_be_had() const { return is_registered_; }
  void touch() { *static_cast<volatile char*>(page_) = 1; }
  /// Until somebody has touched it.
  void wait_until_missed() {
    uffd_msg message;
    ASSERT_EQ(read(asked_, &message, sizeof(message)), static_cast<ssize_t>(sizeof(message)));
  }
  void give() {
    uffdio_zeropage zeros{};
    zeros.range = range();
    ASSERT_EQ(ioctl(asked_, UFFDIO_ZEROPAGE, &zeros), 0);
  }

 private:
  uffdio_range range() const {
    return {.start = reinterpret_cast<std::uintptr_t>(page_), .len = os::page_bytes};
  }
  void* const page_ =
      mmap(nullptr, os::page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int asked_;
  bool is_registered_;
};

// It sleeps in the kernel, but in no call: when the page has come it would compute on.
TEST(after_run, one_that_waits_for_a_page_stands_still_when_that_has_come) {
  missing_page page;
  if (!page.is_to_be_had()) GORT_SKIP("userfaultfd(2) is not to be had");
  detail::atomic<bool> go_on;
  detail::atomic<bool> is_over;
  detail::atomic<long> counted;
  test::with_procs(2, [&] {
    gort::go([&] {
      page.touch();
      while (!go_on.load_relaxed()) counted.fetch_add_relaxed(1);
      is_over.store_relaxed(true);
    });
    page.wait_until_missed();
  });
  page.give();
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(counted.load_relaxed(), 0);
  }
  go_on.store_relaxed(true);
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
}

// One that comes from a call in a frozen world.
TEST(after_run, one_that_comes_late_may_change_gomaxprocs) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<bool> has_changed;
  detail::atomic<bool> is_over;
  test::with_procs(2, [&] {
    detail::atomic<int> reader;
    gort::go([&] {
      reader.store_relaxed(gettid());
      char c;
      ASSERT_EQ(read(pipe[0], &c, 1), 1);
      const int procs = runtime::gomaxprocs(3);
      runtime::gomaxprocs(procs);
      has_changed.store_relaxed(true);
      runtime::gosched();
      is_over.store_relaxed(true);
    });
    until_it_reads_without_p(reader);
  });
  ASSERT_EQ(write(pipe[1], "x", 1), 1);
  wait_until([&] { return has_changed.load_relaxed(); });
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
  close(pipe[0]);
  close(pipe[1]);
}

// A goroutine that waits for its turn to stop the world when that is frozen must not get it.
TEST(after_run, nobody_who_stands_still_has_the_turn_to_stop_the_world) {
  detail::atomic<bool> stop;
  detail::atomic<int> running;
  for (int i = 0; i < 100; ++i) {
    gort::run([&] {
      if (i == 0) {
        for (int k = 0; k < 3; ++k) {
          gort::go([&, k] {
            running.fetch_add_relaxed(1);
            for (int n = 1; !stop.load_relaxed(); ++n) runtime::gomaxprocs(1 + (n + k) % 4);
            running.fetch_sub_relaxed(1);
          });
        }
      }
      while (running.load_relaxed() < 3) runtime::gosched();
      gort::sleep(100us);
    });
  }
  gort::run([&] {
    stop.store_relaxed(true);
    while (running.load_relaxed() != 0) runtime::gosched();
    runtime::set_default_gomaxprocs();
  });
}

}  // namespace
}  // namespace gort
