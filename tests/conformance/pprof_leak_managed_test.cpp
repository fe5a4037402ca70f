// The profile "goroutineleak" with managed objects: whom it must find by what the marker knows.
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/semaphore.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/gc_support.hpp"
#include "support/leak_support.hpp"
#include "support/metrics_support.hpp"
#include "support/run.hpp"

namespace {

using gort::chan;
using gort::go;
using gort::make_chan;
using gort::gc::ptr;
using gort::test::leaks;

// What an address has left somewhere (in a signal's frame, say) keeps a goroutine from being found.
// So of each kind there are so many, of which half must be. Under sanitizers not all memory is
// looked at, so nobody is.
constexpr int times = 8;
constexpr bool finds_any = !gort::base::with_asan && !gort::base::with_tsan;

void expect_most(std::int64_t found, int each) {
  EXPECT_GE(found, finds_any ? each * times / 2 : 0);
}

struct node {
  chan<int> c = make_chan<int>();
  ptr<node> next;
};

[[gnu::noinline]] ptr<node> made() { return gort::gc::make<node>(); }

// On a stack that nobody has had: what others have left in theirs keeps something, too.
template <class F>
void leak(F f) {
  go({.stack = 768 << 10}, std::move(f));
}

// What runs destructors after the last look may be caught on a stack that has had another one.
std::int64_t leaks_when_quiet() {
  using gort::test::whole;
  while (whole("/sched/goroutines/running:goroutines") > 1 ||
         whole("/sched/goroutines/runnable:goroutines") > 0)
    gort::sleep(std::chrono::milliseconds(1));
  return leaks();
}

// Its own frames are gone when it returns: what they have left keeps nothing.
template <class F>
std::int64_t found_of(int each, F start) {
  const std::int64_t before = leaks();
  gort::test::until_more_wait(each * times, [&] {
    for (int i = 0; i < times; ++i) gort::test::on_a_stack_of_its_own(start);
  });
  return leaks_when_quiet() - before;
}

TEST(goroutine_leak_managed, is_one_whose_channel_lies_in_an_object_that_only_it_has) {
  gort::test::with_procs(2, [] {
    expect_most(found_of(1, [] { leak([n = made()] { n->c.recv(); }); }), 1);
    expect_most(found_of(1, [] { leak([n = made()] { n->c.send(1); }); }), 1);
    // The handle is its own, the other one the object's.
    expect_most(found_of(1,
                         [] {
                           leak([n = made(), c = make_chan<int>()] {
                             n->c = c;
                             c.recv();
                           });
                         }),
                1);
    // In a container's managed memory.
    expect_most(found_of(1,
                         [] {
                           leak([] {
                             std::vector<chan<int>, gort::gc::allocator<chan<int>>> all;
                             for (int i = 0; i < 10; ++i) all.push_back(make_chan<int>());
                             all[7].recv();
                           });
                         }),
                1);
  });
}

TEST(goroutine_leak_managed, may_reach_it_by_a_chain_or_be_part_of_a_cycle) {
  gort::test::with_procs(2, [] {
    expect_most(found_of(1,
                         [] {
                           auto head = made();
                           chan<int> last = head->c;
                           for (int i = 0; i < 1000; ++i) {
                             auto before = made();
                             before->next = std::move(head);
                             head = std::move(before);
                           }
                           leak([head = std::move(head), last = std::move(last)] { last.recv(); });
                         }),
                1);
    expect_most(found_of(1,
                         [] {
                           leak([] {
                             auto a = made(), b = made();
                             a->next = b;
                             b->next = a;
                             b->c.recv();
                           });
                         }),
                1);
    // A ring of those who wait for each other, each by way of the next one's object.
    expect_most(found_of(10,
                         [] {
                           auto first = made();
                           auto mine = first;
                           for (int i = 0; i < 10; ++i) {
                             auto next = i == 9 ? first : made();
                             mine->next = next;
                             leak([mine] {
                               mine->next->c.recv();
                               mine->c.send(1);
                             });
                             mine = next;
                           }
                         }),
                10);
  });
}

struct locks {
  gort::mutex mutex;
  gort::rw_mutex rw;
  gort::cond cond;
  gort::wait_group group;
  gort::semaphore semaphore{1};
};

TEST(goroutine_leak_managed, may_wait_for_a_mutex_or_the_like_in_such_an_object) {
  gort::test::with_procs(2, [] {
    const auto in_object = [](auto wait) {
      return found_of(1, [wait] { leak([wait, all = gort::gc::make<locks>()] { wait(*all); }); });
    };
    expect_most(in_object([](locks& all) {
                  all.mutex.lock();
                  all.mutex.lock();
                }),
                1);
    expect_most(in_object([](locks& all) {
                  all.rw.lock_shared();
                  all.rw.lock();
                }),
                1);
    expect_most(in_object([](locks& all) {
                  all.rw.lock();
                  all.rw.lock_shared();
                }),
                1);
    expect_most(in_object([](locks& all) {
                  all.mutex.lock();
                  all.cond.wait(all.mutex);
                }),
                1);
    expect_most(in_object([](locks& all) {
                  all.group.add(1);
                  all.group.wait();
                }),
                1);
    expect_most(in_object([](locks& all) {
                  all.semaphore.acquire();
                  all.semaphore.acquire();
                }),
                1);
    // Whoever has locked it is gone.
    expect_most(found_of(1,
                         [] {
                           auto all = gort::gc::make<locks>();
                           gort::test::on_a_stack_of_its_own([&all] { all->mutex.lock(); });
                           leak([all] { all->mutex.lock(); });
                         }),
                1);
  });
}

TEST(goroutine_leak_managed, may_wait_for_one_in_its_own_frame) {
  gort::test::with_procs(2, [] {
    expect_most(found_of(1,
                         [] {
                           leak([] {
                             gort::wait_group nobody;
                             nobody.add(1);
                             nobody.wait();
                           });
                         }),
                1);
    // Those who could go on with it are leaked, too.
    expect_most(found_of(4,
                         [] {
                           leak([] {
                             gort::wait_group all;
                             for (int i = 0; i < 3; ++i) all.go([] { make_chan<int>().recv(); });
                             all.wait();
                           });
                         }),
                4);
  });
}

TEST(goroutine_leak_managed, is_one_when_what_else_led_there_has_gone) {
  gort::test::with_procs(2, [] {
    static ptr<node> kept[times];
    const std::int64_t while_kept = found_of(1, [] {
      static int next = 0;
      ptr<node>& one = kept[next++];
      one = made();
      leak([n = one] { n->c.recv(); });
    });
    EXPECT_LT(while_kept, times / 2);
    const std::int64_t before = leaks();
    for (ptr<node>& each : kept) each = nullptr;
    expect_most(leaks_when_quiet() - before, 1);

    // The objects are garbage: their handles go when their destructors have run.
    const std::int64_t then = leaks();
    gort::test::until_more_wait(times, [] {
      for (int i = 0; i < times; ++i)
        gort::test::on_a_stack_of_its_own([] { leak([c = made()->c] { c.recv(); }); });
    });
    gort::test::collect_all();
    expect_most(leaks_when_quiet() - then, 1);
  });
}

}  // namespace
