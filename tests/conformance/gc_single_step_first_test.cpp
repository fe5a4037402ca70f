// A thread is stopped in the middle of what nobody has done before in this process: the first weak
// pointer, the first finalizer. A whole collection runs there, and need not wait for it: it may
// stand there for as long as it likes, after the end of run() for good.
#include <gort/gc.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include <gtest/gtest.h>

#include <gort/detail/park.hpp>
#include <gort/runtime.hpp>

#include "support/single_step.hpp"
#include "support/single_step_words.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using namespace gort::test;

[[gnu::noinline]] void for_the_first_time(words& a, words& b) {
  const gc::weak<leaf> kept(a);
  b = kept.lock();
  runtime::set_finalizer(b, [](const words&) {});
}

// In a process of its own, as there is one first time in each. How many instructions it has; 0: it
// has failed, or hangs.
long stopped_at(long instruction) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // which ends it
    test::take_signals();
    with<in_table>([&](const in_table& of) {
      of.late() = gc::make<leaf>();
      // Threads wait for each other in malloc when it is their first time.
      (void)detail::current_g();
      ask(only_malloc);
      const long seen = step_through(for_the_first_time, of.late(), of.early(), {-1, instruction});
      if (write(ends[1], &seen, sizeof(seen)) != sizeof(seen)) _exit(1);
    });
    _exit(0);
  }
  close(ends[1]);
  long seen = 0;
  if (read(ends[0], &seen, sizeof(seen)) != sizeof(seen)) seen = 0;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? seen : 0;
}

TEST(gc_single_step_first, nobody_is_waited_for_who_does_something_first) {
  if (!test::can_single_step) GORT_SKIP("the trap flag is x86-64's");
  const long end = stopped_at(-1);
  ASSERT_GT(end, 100);
  // What takes longer than so many is not passed over.
  constexpr long step = 41;
  for (long at = 0; at < end; at += step)
    ASSERT_NE(stopped_at(at), 0) << "stopped at instruction " << at << " of " << end;
  std::printf("%ld instructions\n", end);
}

}  // namespace
