// Threads and goroutines asleep in every way there is, each with the only gc::ptr to an object on
// its stack and a raw pointer, in a register, beside it.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/cond.hpp>
#include <gort/gc.hpp>
#include <gort/mutex.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/select.hpp>
#include <gort/semaphore.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using gort::test::on_a_goroutine;
using gort::test::runner;

using namespace std::chrono_literals;
using test::counted;

// Sleeps until it is woken, over and over: nobody knows when a sleeper has come.
struct kind_of_sleep {
  std::function<void()> rest;
  std::function<void()> wake;
};

struct pipe_pair {
  pipe_pair() {
    if (::pipe(ends) != 0) std::abort();
  }
  ~pipe_pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void wake() const { (void)!::write(ends[1], "x", 1); }
  int ends[2];
};

// The pointer is in the frame, as all are; the raw one need not be.
[[gnu::noinline]] void sleep_with_the_only_pointer(const std::function<void()>& rest,
                                                   detail::atomic<int>& there) {
  const gc::ptr<counted> only = gc::make<counted>(1);
  const counted* raw = only.get();
  asm volatile("" : "+r"(raw));
  there.fetch_add_acq_rel(1);  // with the test's look
  rest();
  asm volatile("" : "+r"(raw));
  raw->check();
}

struct sleepers {
  pipe_pair plain, announced, polled, epolled;
  sem_t system_semaphore{};
  std::mutex of_system_condition;
  std::condition_variable system_condition;
  bool condition_holds = false;
  int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  int sockets[2] = {};
  int event_fd = ::eventfd(0, EFD_CLOEXEC);
  chan<int> received = make_chan<int>(), sent = make_chan<int>(), selected = make_chan<int>();
  mutex locked;
  rw_mutex shared;
  mutex of_cond;
  cond changed;
  bool has_changed = false;
  semaphore permits{1};
  wait_group group;
  detail::atomic<bool> over;

  sleepers() {
    ::sem_init(&system_semaphore, 0, 0);
    locked.lock();
    shared.lock();
    group.add(1);
    permits.acquire();
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) std::abort();
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, epolled.ends[0], &wanted);
  }
  ~sleepers() {
    ::sem_destroy(&system_semaphore);
    for (const int fd : {epoll_fd, event_fd, sockets[0], sockets[1]}) ::close(fd);
  }

  static void read_from(int fd) {
    char byte[8];
    while (::read(fd, byte, sizeof(byte)) < 0 && errno == EINTR) {
    }
  }

  std::vector<kind_of_sleep> in_calls() {
    return {
        {[this] { read_from(plain.ends[0]); }, [this] { plain.wake(); }},
        {[this] {
           char c;
           (void)!::recv(sockets[0], &c, 1, 0);
         },
         [this] { (void)!::send(sockets[1], "x", 1, 0); }},
        {[this] { read_from(event_fd); },
         [this] {
           const std::uint64_t one = 1;
           (void)!::write(event_fd, &one, sizeof(one));
         }},
        {[this] {
           pollfd wanted{polled.ends[0], POLLIN, 0};
           while (::poll(&wanted, 1, -1) < 0) {
           }
         },
         [this] { polled.wake(); }},
        {[this] {
           epoll_event found{};
           while (::epoll_wait(epoll_fd, &found, 1, -1) < 0) {
           }
         },
         [this] { epolled.wake(); }},
        {[this] {
           while (!over.load_relaxed()) std::this_thread::sleep_for(3ms);
         },
         [this] { over.store_relaxed(true); }},
        {[this] {
           while (::sem_wait(&system_semaphore) != 0) {
           }
         },
         [this] { ::sem_post(&system_semaphore); }},
        {[this] {
           std::unique_lock held(of_system_condition);
           system_condition.wait(held, [this] { return condition_holds; });
         },
         [this] {
           {
             const std::lock_guard held(of_system_condition);
             condition_holds = true;
           }
           system_condition.notify_all();
         }},
    };
  }
  std::vector<kind_of_sleep> in_gort() {
    return {
        {[this] { (void)received.recv(); }, [this] { received.close(); }},
        {[this] { sent.send(1); }, [this] { (void)sent.recv(); }},
        {[this] { select(selected.on_recv([](auto) {}), after(1h).on_recv([](auto) {})); },
         [this] { selected.close(); }},
        {[this] { const std::lock_guard guard(locked); }, [this] { locked.unlock(); }},
        {[this] { const std::shared_lock guard(shared); }, [this] { shared.unlock(); }},
        {[this] {
           const std::lock_guard guard(of_cond);
           changed.wait(of_cond, [this] { return has_changed; });
         },
         [this] {
           const std::lock_guard guard(of_cond);
           has_changed = true;
           changed.broadcast();
         }},
        {[this] { permits.acquire(1); }, [this] { permits.release(1); }},
        {[this] { group.wait(); }, [this] { group.done(); }},
        {[this] {
           while (!over.load_relaxed()) gort::sleep(3ms);
         },
         [this] { over.store_relaxed(true); }},
        {[this] { gort::blocking([this] { read_from(announced.ends[0]); }); },
         [this] { announced.wake(); }},
    };
  }
};

std::function<void()> on_a_locked_goroutine(std::function<void()> f) {
  return on_a_goroutine([f = std::move(f)] {
    runtime::lock_os_thread();
    f();
    runtime::unlock_os_thread();
  });
}

std::function<void()> on_a_thread(std::function<void()> f) {
  auto thread = std::make_shared<std::thread>(std::move(f));
  return [thread] { gort::blocking([&] { thread->join(); }); };
}

void all_sleep(const std::vector<kind_of_sleep>& kinds, const runner& run) {
  counted::reset();
  const int n = static_cast<int>(kinds.size());
  detail::atomic<int> there;
  std::vector<std::function<void()>> ends;
  for (const kind_of_sleep& each : kinds)
    ends.push_back(run([&each, &there] { sleep_with_the_only_pointer(each.rest, there); }));
  while (there.load_acquire() < n) gort::sleep(1ms);  // pairs with the addition
  for (int i = 0; i < 5; ++i) {
    gort::sleep(2ms);
    test::collect_all();
  }
  EXPECT_EQ(counted::ended(), 0);
  for (const kind_of_sleep& each : kinds) each.wake();
  for (const auto& wait : ends) wait();
  EXPECT_TRUE(test::ends(n));
}

struct gc_asleep : testing::TestWithParam<runner> {};

TEST_P(gc_asleep, in_a_system_call) {
  test::with_procs(2, [&] {
    sleepers all;
    all_sleep(all.in_calls(), GetParam());
  });
}

TEST_P(gc_asleep, in_gort) {
  test::with_procs(2, [&] {
    sleepers all;
    all_sleep(all.in_gort(), GetParam());
  });
}

std::string name_of(const testing::TestParamInfo<runner>& which) {
  constexpr const char* names[] = {"goroutine", "locked", "thread"};
  return names[which.index];
}
INSTANTIATE_TEST_SUITE_P(places, gc_asleep,
                         testing::Values(on_a_goroutine, on_a_locked_goroutine, on_a_thread),
                         name_of);

}  // namespace
}  // namespace gort
