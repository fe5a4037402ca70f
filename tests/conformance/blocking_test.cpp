// A goroutine that blocks its thread in code that knows nothing of gort: with one P, all others go
// on, and the blocked call is not disturbed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "os/preempt.hpp"
#include "support/element.hpp"
#include "support/quiet_call.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using test::element;

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// Runs `block` on a goroutine of one P, and on another one what must be done before that ends: were
// the P not handed on, the test would hang. Returns how often a P was taken from a thread unasked.
template <class Block, class Others>
std::uint64_t while_others_go_on(Block block, Others others) {
  std::uint64_t taken = 0;
  test::with_procs(1, [&] {
    const std::uint64_t before = debug::read_scheduler_counts().unannounced_blocking;
    wait_group all;
    all.go(block);
    all.go(others);
    all.wait();
    taken = debug::read_scheduler_counts().unannounced_blocking - before;
  });
  return taken;
}

void have_turns(int n = 20) {
  for (int i = 0; i < n; ++i) gort::sleep(1ms);
}

// CI runs this program with and without membarrier: here it says that it does.
TEST(blocking, threads_are_fenced_as_the_environment_says) {
  test::with_procs(1, [] {});
  const char* debug = std::getenv("GODEBUG");
  const bool refused = debug != nullptr && std::string_view(debug) == "membarrier=0";
  EXPECT_STREQ(os::thread_fence_kind(), refused ? "off-cpu" : "membarrier");
}

TEST(blocking, a_pipe_read_sees_no_eintr) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  test::quiet_call quiet;
  std::uint64_t taken = 0;
  do {
    ssize_t got = 0;
    taken = while_others_go_on(
        [&] {
          char byte = 0;
          quiet([&] { got = read(ends[0], &byte, 1); });
        },
        [&] {
          have_turns();
          EXPECT_EQ(write(ends[1], "x", 1), 1);
        });
    EXPECT_EQ(got, 1);
  } while (!quiet.proves());
  quiet.expect_undisturbed();
  EXPECT_GE(taken, 1U);
  close(ends[0]);
  close(ends[1]);
}

TEST(blocking, a_sleep_of_the_thread_is_not_interrupted) {
  // nanosleep() is never restarted after a signal handler, so it would tell.
  timespec rest{};
  int result = -1;
  test::quiet_call quiet;
  std::uint64_t taken = 0;
  do {
    taken = while_others_go_on(
        [&] {
          const timespec time{0, 500'000'000};
          rest = {};
          quiet([&] { result = nanosleep(&time, &rest); });
        },
        [] { have_turns(5); });
  } while (!quiet.proves());
  EXPECT_EQ(result, 0);
  EXPECT_EQ(rest.tv_nsec, 0);
  quiet.expect_undisturbed();
  EXPECT_GE(taken, 1U);
}

TEST(blocking, a_std_mutex_held_across_a_channel_operation) {
  std::mutex lock;
  bool first_is_through = false;
  test::with_procs(1, [&] {
    auto gate = make_chan<element>();
    auto held = make_chan<element>();
    wait_group all;
    all.go([&] {
      lock.lock();
      held.close();
      gate.recv();  // parks with the lock held
      first_is_through = true;
      lock.unlock();
    });
    all.go([&] {
      held.recv();
      const std::lock_guard guard(lock);  // blocks the thread
      EXPECT_TRUE(first_is_through);
    });
    all.go([&] {
      have_turns();
      gate.close();
    });
    all.wait();
  });
}

TEST(blocking, flock) {
  char name[] = "/tmp/gort-flock-XXXXXX";
  const int mine = mkostemp(name, O_CLOEXEC);
  const int other = open(name, O_RDWR | O_CLOEXEC);
  ASSERT_GE(mine, 0);
  ASSERT_GE(other, 0);
  test::quiet_call quiet;
  std::uint64_t taken = 0;
  do {
    ASSERT_EQ(flock(other, LOCK_EX), 0);
    int result = -1;
    taken = while_others_go_on(
        [&] { quiet([&] { result = flock(mine, LOCK_EX); }); },
        [&] {
          have_turns();
          flock(other, LOCK_UN);
        });
    EXPECT_EQ(result, 0);
    EXPECT_GE(taken, 1U);
    flock(mine, LOCK_UN);
  } while (!quiet.proves());
  quiet.expect_undisturbed();
  EXPECT_GE(taken, 1U);
  close(mine);
  close(other);
  unlink(name);
}

// Answers one query for an IPv4 address with 192.0.2.7, when told to.
class late_name_server {
 public:
  late_name_server() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(own);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&own), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size), 0);
    address = own;
  }
  ~late_name_server() { close(socket_); }
  late_name_server(const late_name_server&) = delete;
  late_name_server& operator=(const late_name_server&) = delete;

  /// Blocks the calling thread until the query is there.
  void answer() {
    unsigned char text[512];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(socket_, text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size);
    ASSERT_GT(got, 12);
    text[2] = 0x81;  // a response,
    text[3] = 0x80;  // without an error,
    text[7] = 1;     // with one answer,
    text[11] = 0;    // and nothing else
    auto length = static_cast<std::size_t>(got);
    for (std::size_t at = 12; at + 5 < length; at += text[at] + std::size_t{1}) {
      if (text[at] == 0) length = at + 5;  // cut off what follows the question
    }
    constexpr unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
    std::copy(std::begin(record), std::end(record), text + length);
    EXPECT_GT(
        sendto(socket_, text, length + sizeof(record), 0, reinterpret_cast<sockaddr*>(&from), size),
        0);
  }

  sockaddr_in address{};

 private:
  int socket_;
};

TEST(blocking, getaddrinfo) {
  late_name_server server;
  int result = -1;
  in_addr_t found = 0;
  const std::uint64_t taken = while_others_go_on(
      [&] {
        // The resolver's settings belong to the thread, and nothing here changes that.
        ASSERT_EQ(res_init(), 0);
        _res.nscount = 1;
        _res.nsaddr_list[0] = server.address;
        _res.retrans = 30;
        addrinfo hints{};
        hints.ai_family = AF_INET;
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* list = nullptr;
        result = ::getaddrinfo("late.example.", nullptr, &hints, &list);
        if (result == 0) found = reinterpret_cast<sockaddr_in*>(list->ai_addr)->sin_addr.s_addr;
        if (list != nullptr) freeaddrinfo(list);
      },
      [&] {
        have_turns();
        server.answer();
      });
  EXPECT_EQ(result, 0) << gai_strerror(result);
  EXPECT_EQ(found, htonl(0xc0000207));
  EXPECT_GE(taken, 1U);
}

TEST(blocking, announced) {
  test::with_procs(1, [] {
    const std::uint64_t before = debug::read_scheduler_counts().announced_blocking;
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    wait_group all;
    all.go([&] {
      char byte = 0;
      const ssize_t got = blocking([&] { return read(ends[0], &byte, 1); });
      EXPECT_EQ(got, 1);
    });
    all.go([&] {
      have_turns();
      EXPECT_EQ(write(ends[1], "x", 1), 1);
    });
    all.wait();
    EXPECT_THROW(blocking([]() -> int { throw std::string("through"); }), std::string);
    EXPECT_EQ(debug::read_scheduler_counts().announced_blocking, before + 2);
    close(ends[0]);
    close(ends[1]);
  });
  EXPECT_EQ(blocking([] { return 3; }), 3);  // on a plain thread
}

TEST(blocking, many_at_once_and_each_returns_to_work) {
  test::with_procs(2, [] {
    constexpr int many = 100;
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    auto results = make_chan<element>();
    for (int i = 0; i < many; ++i) {
      go([&, i] {
        char byte = 0;
        const ssize_t got = i % 2 == 0 ? read(ends[0], &byte, 1)
                                       : blocking([&] { return read(ends[0], &byte, 1); });
        results.send(got == 1 ? 1 : 1000);
      });
    }
    have_turns(10);
    const std::string bytes(many, 'x');
    ASSERT_EQ(write(ends[1], bytes.data(), bytes.size()), many);
    int sum = 0;
    for (int i = 0; i < many; ++i) sum += *results.recv();
    EXPECT_EQ(sum, many);
    close(ends[0]);
    close(ends[1]);
  });
}

// Waits until so many threads are parked in place; false: not within half a minute.
bool in_place_become(std::uint64_t wanted) {
  for (int i = 0; i < 30'000; ++i) {
    if (debug::read_scheduler_counts().threads_in_place == wanted) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

// A thread that comes back from a blocking call without a P and computes on is bounded too.
TEST(blocking, one_that_returns_and_computes_shares_the_processor) {
  test::with_procs(1, [] {
    std::atomic<bool> stop{false};
    wait_group all;
    constexpr int hogs = 3;
    for (int i = 0; i < hogs; ++i) {
      all.go([&] {
        const timespec time{0, 30'000'000};
        nanosleep(&time, nullptr);
        std::uint64_t n = 0;
        while (!stop.load(std::memory_order_relaxed)) {
          n = n + 1;
          if (n % 1000 == 0) clock::now();
        }
      });
    }
    EXPECT_TRUE(in_place_become(hogs - 1));
    stop.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

// f parks, so it begins on one thread and ends on another. Neither is in blocking() afterwards: of
// goroutines that compute there all but one are parked in place.
TEST(blocking, announced_ends_with_the_call_wherever_that_ends) {
  constexpr int hogs = 4;
  bool bounded = false;
  std::atomic<bool> stop{false};
  auto all_compute = make_chan<element>();
  std::thread watcher([&] {
    all_compute.recv();
    bounded = in_place_become(hogs - 1);
    stop.store(true, std::memory_order_relaxed);
  });
  test::with_procs(1, [&] {
    for (int round = 0; round < 20; ++round) {
      wait_group all;
      for (int i = 0; i < 8; ++i) all.go([] { blocking([] { gort::sleep(1ms); }); });
      all.wait();
    }
    wait_group all;
    for (int i = 0; i < hogs; ++i)
      all.go([&] {
        for (std::uint64_t n = 1; !stop.load(std::memory_order_relaxed); ++n)
          if (n % 1000 == 0) clock::now();
      });
    all_compute.close();
    all.wait();
  });
  watcher.join();
  EXPECT_TRUE(bounded);
}

TEST(blocking, announced_calls_may_be_nested) {
  test::with_procs(1, [] {
    std::atomic<bool> computes{false}, stop{false};
    wait_group all;
    all.go([&] {
      blocking([&] {
        blocking([] { runtime::gosched(); });
        // Still in the outer one, where computing is as good as blocking.
        computes.store(true, std::memory_order_relaxed);
        for (std::uint64_t n = 1; !stop.load(std::memory_order_relaxed); ++n)
          if (n % 1000 == 0) clock::now();
      });
    });
    while (!computes.load(std::memory_order_relaxed)) gort::sleep(1ms);
    // On its way there it could be preempted, as all that compute.
    const std::uint64_t before = debug::read_scheduler_counts().preemptions;
    have_turns(50);
    if (os::fences_running_threads()) {  // else it could never be stopped
      EXPECT_EQ(debug::read_scheduler_counts().preemptions, before);
    }
    stop.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

}  // namespace
}  // namespace gort
