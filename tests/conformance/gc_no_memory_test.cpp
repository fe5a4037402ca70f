// The collector's thread gets no memory from operator new: nothing ends the process, and what was
// due is so when there is memory again.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace {

gort::detail::atomic<bool> refuse;
gort::detail::atomic<int> refused;

bool is_collector() {
  char name[16] = {};
  return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
         std::strcmp(name, "gort-gc") == 0;
}

void* allocate(std::size_t bytes) {
  if (refuse.load_acquire() && is_collector()) {
    refused.fetch_add_relaxed(1);
    throw std::bad_alloc();
  }
  void* made = std::malloc(bytes);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace {

using namespace gort;
using namespace std::chrono_literals;

constexpr int objects = 1000;
detail::atomic<int> ended;

struct with_destructor {
  gc::ptr<with_destructor> next;
  ~with_destructor() { ended.fetch_add_acq_rel(1); }
};
struct without {
  gc::ptr<without> next;
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<without> = true;

namespace {

// They die without memory, and end with it, each once.
template <class T>
void all_end_later(std::function<void(gc::ptr<T>&)> add) {
  test::with_procs(2, [&add] {
    ended.store_release(0);
    refused.store_relaxed(0);
    // On a thread: no frame is left that keeps one.
    std::thread([&add] {
      std::vector<gc::ptr<T>> all;
      for (int i = 0; i < objects; ++i) {
        all.push_back(gc::make<T>());
        add(all.back());
      }
    }).join();
    refuse.store_release(true);
    for (int i = 0; i < 3; ++i) runtime::gc();
    refuse.store_release(false);
    EXPECT_GT(refused.load_relaxed(), 0);
    EXPECT_EQ(ended.load_acquire(), 0);
    for (int i = 0; i < 1000 && ended.load_acquire() < objects; ++i) {
      runtime::gc();
      gort::sleep(1ms);
    }
    for (int i = 0; i < 3; ++i) runtime::gc();
    EXPECT_EQ(ended.load_acquire(), objects);
  });
}

TEST(gc_no_memory, destructors_run_later) {
  all_end_later<with_destructor>([](auto&) {});
}

TEST(gc_no_memory, so_do_finalizers) {
  all_end_later<without>([](auto& object) {
    runtime::set_finalizer(object, [](const gc::ptr<without>&) { ended.fetch_add_acq_rel(1); });
  });
}

TEST(gc_no_memory, so_do_cleanups) {
  all_end_later<without>(
      [](auto& object) { runtime::add_cleanup(object, [] { ended.fetch_add_acq_rel(1); }); });
}

TEST(gc_no_memory, who_wants_to_know_of_pressure_is_told_later) {
  test::with_procs(2, [] {
    detail::atomic<int> told;
    auto handle = debug::on_memory_pressure(
        [&told](const debug::memory_pressure&) { told.fetch_add_acq_rel(1); });
    runtime::gc();
    refuse.store_release(true);
    const std::int64_t before = debug::set_memory_limit(1 << 20);
    for (int i = 0; i < 3; ++i) runtime::gc();
    refuse.store_release(false);
    for (int i = 0; i < 1000 && told.load_acquire() == 0; ++i) {
      runtime::gc();
      gort::sleep(1ms);
    }
    EXPECT_GT(told.load_acquire(), 0);
    debug::set_memory_limit(before);
  });
}

}  // namespace
