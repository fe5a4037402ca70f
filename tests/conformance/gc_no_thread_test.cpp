// Where the collector's thread cannot be made, whoever asks for a collection is told, also one who
// asks while another's attempt is under way.
#include <gort/gc.hpp>

#include <dlfcn.h>
#include <pthread.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

namespace {

using gort::detail::atomic;

atomic<bool> refused;
atomic<int> attempts, asking;

}  // namespace

// The system's, which refuses for a while; not before all have asked.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*f)(void*), void* argument) noexcept {
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
  if (!refused.load_acquire()) return real(thread, attributes, f, argument);
  attempts.fetch_add_acq_rel(1);
  while (asking.load_acquire() < 2) std::this_thread::yield();
  constexpr auto for_the_other = std::chrono::milliseconds(50);  // to find this attempt under way
  std::this_thread::sleep_for(for_the_other);
  return EAGAIN;
}

namespace {

TEST(gc_no_thread, all_who_ask_for_a_collection_are_told) {
  std::array<std::thread, 2> threads;
  atomic<int> told;
  atomic<bool> begin;
  gort::run([] {});  // its own threads are there
  for (auto& each : threads) {
    each = std::thread([&] {
      while (!begin.load_acquire()) std::this_thread::yield();
      asking.fetch_add_acq_rel(1);
      try {
        gort::runtime::gc();
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), EAGAIN);
        told.fetch_add_acq_rel(1);
      }
    });
  }
  refused.store_release(true);
  begin.store_release(true);
  for (auto& each : threads) each.join();
  EXPECT_EQ(told.load_acquire(), 2);
  EXPECT_GE(attempts.load_acquire(), 1);
  refused.store_release(false);
  gort::runtime::gc();
}

}  // namespace
