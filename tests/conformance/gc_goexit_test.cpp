// Finalizers that end their goroutine hold up no others.
#include <gort/gc.hpp>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

TEST(gc_goexit, others_run_on_another_goroutine) {
  test::with_procs(2, [] {
    constexpr int several = 10;
    detail::atomic<int> ran;
    for (int i = 0; i < several; ++i) {
      test::on_a_stack_of_its_own([&ran] {
        runtime::set_finalizer(gc::make<int>(1), [&ran](const gc::ptr<int>&) {
          ran.fetch_add_relaxed(1);
          runtime::goexit();
        });
      });
    }
    // A word that is left in some stack may keep one for a while.
    while (ran.load_relaxed() < several) test::collect_all();
  });
}

}  // namespace
}  // namespace gort
