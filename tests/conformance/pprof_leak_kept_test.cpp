// The profile "goroutineleak" with managed objects: whom it must not find, however somebody may
// still get hold of what they wait for.
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/gc_support.hpp"
#include "support/leak_support.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;
using gort::chan;
using gort::go;
using gort::make_chan;
using gort::gc::ptr;
using gort::test::leaks;
using gort::test::more_leaks;

struct node {
  chan<int> c = make_chan<int>();
  ptr<node> next;
  gort::mutex mutex;
};

// Of so many dead objects some stack may keep one by what is left there, but not all.
constexpr int many = 32;

[[gnu::noinline]] ptr<node> made() { return gort::gc::make<node>(); }

// Whoever waits there has a pointer of its own, and `keep` gets hold of the object in another way,
// which it gives back; nothing else has it. Then that way is taken.
template <class Keep>
void expect_kept(const char* how, Keep keep) {
  gort::wait_group all;
  std::function<node*()> way;
  EXPECT_EQ(more_leaks(1,
                       [&] {
                         gort::test::on_a_stack_of_its_own([&] {
                           auto n = made();
                           all.go([n] { n->c.recv(); });
                           way = keep(std::move(n));
                         });
                       }),
            0)
      << how;
  way()->c.close();
  all.wait();
}

ptr<node> kept_globally;
node* known_globally;

TEST(goroutine_leak_managed, is_none_while_a_pointer_to_it_is_somewhere) {
  gort::test::with_procs(2, [] {
    expect_kept("global", [](ptr<node> n) {
      kept_globally = std::move(n);
      return [] { return std::exchange(kept_globally, nullptr).get(); };
    });
    expect_kept("malloc", [](ptr<node> n) {
      auto box = std::make_shared<ptr<node>>(std::move(n));
      return [box] { return box->get(); };
    });
    expect_kept("chain of objects", [](ptr<node> n) {
      for (int i = 0; i < 100; ++i) {
        auto before = made();
        before->next = std::move(n);
        n = std::move(before);
      }
      kept_globally = std::move(n);
      return [] {
        auto at = std::exchange(kept_globally, nullptr);
        while (at->next) at = at->next;
        return at.get();
      };
    });
    expect_kept("buffer of a channel", [](ptr<node> n) {
      auto parcels = make_chan<ptr<node>>(1);
      parcels.send(std::move(n));
      return [parcels] { return parcels.recv()->get(); };
    });
    expect_kept("weak pointer", [](ptr<node> n) {
      auto box = std::make_shared<gort::gc::weak<node>>(n);
      return [box] { return box->lock().get(); };
    });
    expect_kept("finalizer", [](ptr<node> n) {
      auto found = make_chan<node*>(many);
      for (int i = 0; i < many; ++i)
        gort::runtime::set_finalizer(gort::gc::make<int>(1),
                                     [n, found](ptr<int>) { found.send(n.get()); });
      return [found] {
        gort::test::collect_all();
        return *found.recv();
      };
    });
  });
}

struct notes {  // no destructor: plain memory
  node* noted;
};

// The waiting one's own pointer keeps the object, so these are good.
TEST(goroutine_leak_managed, is_none_while_a_raw_pointer_to_it_is_somewhere) {
  gort::test::with_procs(2, [] {
    expect_kept("global", [](const ptr<node>& n) {
      known_globally = n.get();
      return [] { return std::exchange(known_globally, nullptr); };
    });
    expect_kept("malloc", [](const ptr<node>& n) {
      auto box = std::make_shared<node*>(n.get());
      return [box] { return *box; };
    });
    expect_kept("plain object", [](const ptr<node>& n) {
      auto box = std::make_shared<ptr<notes>>(gort::gc::make<notes>(n.get()));
      return [box] { return (*box)->noted; };
    });
    expect_kept("part of it", [](const ptr<node>& n) {
      auto box = std::make_shared<ptr<node>*>(&n->next);
      return [box] {
        return reinterpret_cast<node*>(reinterpret_cast<char*>(*box) - offsetof(node, next));
      };
    });
  });
}

TEST(goroutine_leak_managed, is_none_while_somebody_has_it_who_goes_on) {
  gort::test::with_procs(2, [] {
    gort::wait_group all;
    gort::detail::atomic<bool> over;
    const auto sleeps_until_over = [&over] {
      while (!over.load_relaxed()) gort::sleep(20ms);
    };
    const auto sleeps_with = [&all, sleeps_until_over](auto pointer) {
      all.go([pointer, sleeps_until_over] {
        sleeps_until_over();
        pointer->c.close();
      });
    };
    const auto holds = [&](auto start) {
      over.store_relaxed(false);
      EXPECT_EQ(more_leaks(2, [&] { gort::test::on_a_stack_of_its_own(start); }), 0);
      over.store_relaxed(true);
      all.wait();
    };
    holds([&] {
      auto n = made();
      all.go([n] { n->c.recv(); });
      sleeps_with(n);
    });
    holds([&] {
      auto n = made();
      all.go([n] { n->c.recv(); });
      sleeps_with(n.get());
    });
    // By way of one that waits itself.
    holds([&] {
      auto n = made(), other = made();
      all.go([n] { n->c.recv(); });
      all.go([n, other] {
        other->c.recv();
        n->c.close();
      });
      sleeps_with(other);
    });
    // It waits for a mutex, and who has it sleeps.
    holds([&] {
      auto n = made();
      n->mutex.lock();
      all.go([n] { n->mutex.lock(); });
      all.go([n, sleeps_until_over] {
        sleeps_until_over();
        n->mutex.unlock();
      });
    });
    // A plain thread.
    auto end = make_chan<int>();
    std::thread thread;
    EXPECT_EQ(more_leaks(2,
                         [&] {
                           gort::test::on_a_stack_of_its_own([&] {
                             auto n = made();
                             all.go([n] { n->c.recv(); });
                             all.go([end] { end.recv(); });
                             thread = std::thread([n, end] {
                               end.recv();
                               n->c.close();
                             });
                           });
                         }),
              0);
    end.close();
    all.wait();
    thread.join();
  });
}

struct closes_at_its_end {
  explicit closes_at_its_end(ptr<node> n) : what(std::move(n)) {}
  ~closes_at_its_end() {
    if (what->mutex.try_lock()) what->c.close();  // only one of them may
  }
  ptr<node> what;
};

TEST(goroutine_leak_managed, is_none_that_a_destructor_will_wake) {
  gort::test::with_procs(2, [] {
    auto end = make_chan<gort::unit>();
    EXPECT_EQ(more_leaks(1,
                         [&] {
                           gort::test::on_a_stack_of_its_own([&] {
                             auto n = made();
                             // On a stack that nobody has had: no word there leads to the object.
                             go({.stack = 768 << 10}, [n, end] {
                               n->c.recv();
                               end.close();
                             });
                             for (int i = 0; i < many; ++i) gort::gc::make<closes_at_its_end>(n);
                           });
                         }),
              0);
    gort::test::collect_all();
    end.recv();
  });
}

gort::mutex global_mutex;

TEST(goroutine_leak_managed, is_none_that_waits_for_a_mutex_elsewhere) {
  gort::test::with_procs(2, [] {
    gort::wait_group all;
    auto in_malloc = std::make_unique<gort::mutex>();
    for (gort::mutex* each : {&global_mutex, in_malloc.get()}) {
      EXPECT_EQ(more_leaks(1,
                           [&] {
                             each->lock();
                             all.go([each] { each->lock(); });
                           }),
                0);
      each->unlock();
      all.wait();
      each->unlock();
    }
  });
}

// Everything ends, so nobody is ever leaked, whatever the moment of the look. Plain threads carry
// the only pointers about.
TEST(goroutine_leak_managed, is_nobody_of_those_who_go_on) {
  gort::test::with_procs(3, [] {
    const std::int64_t before = leaks();
    gort::detail::atomic<bool> over{false};
    gort::wait_group crowd;
    auto parcels = make_chan<ptr<node>>(1);
    auto back = make_chan<ptr<node>>(1);
    for (int i = 0; i < 4; ++i) {
      crowd.go([&, i] {
        while (!over.load_relaxed()) {
          gort::wait_group ours;
          auto n = made();
          n->next = made();
          ours.go([n] { n->next->c.recv(); });
          ours.go([at = n->next.get()] { at->c.recv(); });
          n->mutex.lock();
          ours.go([n] {
            n->mutex.lock();
            n->mutex.unlock();
          });
          if (i % 2 == 0) {
            parcels.send(std::move(n));
            n = std::move(*back.recv());
          }
          n->mutex.unlock();
          n->next->c.close();
          ours.wait();
        }
      });
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([parcels, back] {
        std::vector<ptr<node>> places(64);
        std::size_t at = 0;
        while (auto parcel = parcels.recv()) {
          places[at] = std::move(*parcel);
          for (int k = 0; k < 1000; ++k) {
            const std::size_t next = (at * 7 + 13) % places.size();
            places[next] = std::move(places[at]);
            at = next;
          }
          back.send(std::move(places[at]));
        }
      });
    }
    constexpr int looks = 8;  // each a collection beside more threads than CPUs
    for (int i = 0; i < looks; ++i) ASSERT_EQ(leaks(), before) << gort::test::written_leaks(2);
    over.store_relaxed(true);
    crowd.wait();
    parcels.close();
    for (std::thread& each : threads) each.join();
  });
}

}  // namespace
