// A program's own signal handler that calls gort, and has interrupted gort.
#include <csignal>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>

#include "support/program.hpp"

namespace gort {
namespace {

using test::ended;
using test::run_program;

// Elements are moved with the channel's lock held.
struct interrupted_when_moved {
  interrupted_when_moved() = default;
  interrupted_when_moved(interrupted_when_moved&&) noexcept { std::raise(SIGUSR1); }
};
chan<interrupted_when_moved>* used_by_handler = nullptr;

void use_in_handler(int flags) {
  run([flags] {
    auto c = make_chan<interrupted_when_moved>(1);
    used_by_handler = &c;
    struct sigaction action {};
    action.sa_handler = [](int) { static_cast<void>(used_by_handler->try_send({})); };
    action.sa_flags = flags;
    sigaction(SIGUSR1, &action, nullptr);
    c.send({});
  });
}

TEST(program, DISABLED_waits_in_a_handler) { use_in_handler(0); }
TEST(program, DISABLED_waits_in_a_handler_on_its_own_stack) { use_in_handler(SA_ONSTACK); }

TEST(signal_handler, that_waits_for_what_it_has_interrupted_is_told) {
  for (const char* name : {"waits_in_a_handler", "waits_in_a_handler_on_its_own_stack"}) {
    const ended p = run_program(name);
    EXPECT_NE(p.status, 0) << name;
    EXPECT_TRUE(p.has("fatal error: gort: called in a signal handler")) << name << p.head();
  }
}

}  // namespace
}  // namespace gort
