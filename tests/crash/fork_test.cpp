// The child of a fork() may exec and end; whatever else it does with gort ends it with a message.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/debug.hpp>
#include <gort/errgroup.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "support/net_support.hpp"
#include "support/run.hpp"

// The leak checker asks this at exit(). In the child it would miss the stacks of the parent's other
// threads, and take what only they refer to for leaked.
static bool leaks_cannot_be_told = false;
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return leaks_cannot_be_told ? 1 : 0; }

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr int survived = 77;

struct ended {
  int status = -1;  // exit status, or 128 + signal; -2: it hung
  std::string text;
};

// What a forked child that calls f and then ends with status `survived` has to say on standard
// error.
ended in_child(const std::function<void()>& f) {
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    dup2(pipe[1], 2);
    leaks_cannot_be_told = true;
    f();
    _exit(survived);
  }
  close(pipe[1]);
  ended result;
  blocking([&] {
    char part[4096];
    for (ssize_t got; (got = read(pipe[0], part, sizeof(part))) > 0;)
      result.text.append(part, static_cast<std::size_t>(got));
    close(pipe[0]);
    int status = 0;
    waitpid(child, &status, 0);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) result.status = -2;
  });
  return result;
}

constexpr const char* message = "fatal error: gort used in a forked child; ";

void expect_refused(const char* what, const std::function<void()>& f) {
  const ended child = in_child(f);
  EXPECT_EQ(child.status, 2) << what << "\n" << child.text;
  EXPECT_TRUE(child.text.starts_with(message)) << what << "\n" << child.text;
}

// Everything that may block or that the runtime takes part in.
void all_uses_are_refused() {
  auto buffered = make_chan<int>(4);
  buffered.send(1);
  auto unbuffered = make_chan<int>();
  mutex held;
  held.lock();
  rw_mutex held_rw;
  held_rw.lock();
  wait_group busy;
  busy.add(1);
  net::listener listening = net::listen("127.0.0.1:0");
  // No goroutine accepts: on a plain thread after run() none is running.
  const std::string address = listening.local_endpoint().to_string();
  net::conn dialed = net::dial(background(), address);
  net::conn accepted = listening.accept();
  ASSERT_EQ(accepted.write_some(test::bytes_of("hello")), 5U);
  const net::conn pending = net::dial(background(), address);

  // These would not have to wait.
  std::byte some[8];
  expect_refused("read", [&] { (void)dialed.read(some); });
  expect_refused("write", [&] { (void)dialed.write_some(test::bytes_of("x")); });
  EXPECT_EQ(dialed.read(some), 5U) << "the parent's bytes are where they were";
  expect_refused("go", [] { go([] {}); });
  expect_refused("send, with room", [&] { buffered.send(2); });
  expect_refused("recv, with an element", [&] { buffered.recv(); });
  expect_refused("recv, blocking", [&] { unbuffered.recv(); });
  expect_refused("try_send", [&] { (void)buffered.try_send(2); });
  expect_refused("try_recv", [&] { (void)buffered.try_recv(); });
  expect_refused("close", [&] { unbuffered.close(); });
  expect_refused("select", [&] { select(buffered.on_recv([](std::optional<int>) {})); });
  expect_refused("mutex", [&] { held.lock(); });
  expect_refused("rw_mutex", [&] { held_rw.lock(); });
  expect_refused("wait_group", [&] { busy.wait(); });
  expect_refused("sleep", [] { gort::sleep(1ms); });
  expect_refused("after", [] { gort::after(1ms).recv(); });
  expect_refused("timer", [] { timer t(1ms); });
  expect_refused("context", [] { auto [c, cancel] = with_timeout(background(), 1h); });
  expect_refused("gomaxprocs", [] { runtime::gomaxprocs(3); });
  expect_refused("lock_os_thread", [] { runtime::lock_os_thread(); });
  expect_refused("stack of all", [] {
    std::vector<char> text(1 << 16);
    runtime::stack(std::span(text.data(), text.size()), true);
  });
  expect_refused("accept", [&] { (void)listening.accept(); });
  expect_refused("dial", [&] { (void)net::dial(background(), address); });
  expect_refused("listen", [] { (void)net::listen("127.0.0.1:0"); });
  held.unlock();
  held_rw.unlock();
  busy.done();
}

TEST(fork, uses_in_the_child_of_a_goroutine_are_refused) {
  run([] {
    all_uses_are_refused();
    expect_refused("gosched", [] { runtime::gosched(); });
    expect_refused("blocking", [] { blocking([] {}); });
  });
}

TEST(fork, uses_in_the_child_of_a_plain_thread_are_refused) {
  run([] {});  // the runtime exists
  go([] {});
  all_uses_are_refused();
  std::thread(all_uses_are_refused).join();
}

TEST(fork, a_goroutine_that_ends_in_the_child_is_refused) {
  run([] {
    std::array<int, 2> pipe{};
    ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
    auto child = make_chan<pid_t>();
    go([&, child] {
      const pid_t id = fork();
      if (id == 0) {
        alarm(60);
        dup2(pipe[1], 2);
        return;
      }
      child.send(id);
    });
    const pid_t id = *child.recv();
    close(pipe[1]);
    int status = 0;
    std::string text(200, 0);
    blocking([&] {
      waitpid(id, &status, 0);
      text.resize(static_cast<std::size_t>(std::max<ssize_t>(read(pipe[0], text.data(), 200), 0)));
    });
    close(pipe[0]);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 2);
    EXPECT_TRUE(text.starts_with(message)) << text;
  });
}

// What the child may do.
void exec_and_exit_work() {
  EXPECT_EQ(in_child([] { _exit(3); }).status, 3);
  const ended shell = in_child([] {
    execl("/bin/sh", "sh", "-c", "echo from the program >&2; exit 4", static_cast<char*>(nullptr));
  });
  EXPECT_EQ(shell.status, 4);
  EXPECT_EQ(shell.text, "from the program\n");
  // exit() runs destructors and our own handler, which must neither wait nor complain.
  const ended at_exit = in_child([] { std::exit(5); });
  EXPECT_EQ(at_exit.status, 5) << at_exit.text;
  EXPECT_EQ(at_exit.text.find(message), std::string::npos) << at_exit.text;
  // Ctrl-\ ends it: the thread that would print stacks does not exist there.
  EXPECT_EQ(in_child([] { raise(SIGQUIT); }).status, 128 + SIGQUIT);
  // What needs nothing but its own memory goes on working.
  EXPECT_EQ(in_child([] {
              mutex m;
              m.lock();
              m.unlock();
              wait_group none;
              none.wait();
            }).status,
            survived);
}

// Made when the runtime exists: destroyed before all that its start has registered.
struct objects {
  timer armed{1h};
  cancelable_context limited = with_timeout(background(), 1h);
  net::listener listening = net::listen("127.0.0.1:0");
  chan<int> full = make_chan<int>(1);
  ~objects() {
    (void)full.try_send(1);
    go([] {});
    limited.cancel();
  }
};

// Static ones, in a child of whichever thread.
void exit_destroys_them() {
  static objects made_later;
  EXPECT_EQ(made_later.full.len(), 0U);
  for (int i = 0; i < 3; ++i) {
    const ended child = in_child([] { std::exit(5); });
    EXPECT_EQ(child.status, 5) << child.text;
    EXPECT_EQ(child.text, "");
  }
}

TEST(fork, exit_in_the_child_destroys_what_is_gort_s) {
  run([] { exit_destroys_them(); });
  exit_destroys_them();
  std::thread(exit_destroys_them).join();
}

// A destructor that would wait there ends the child, as quietly.
TEST(fork, exit_in_the_child_waits_for_nothing) {
  struct waits {
    chan<int> from;
    pid_t parent = 0;
    ~waits() {
      if (parent != getpid()) from.recv();
    }
  };
  static waits later{make_chan<int>(), getpid()};
  const auto check = [] {
    const ended child = in_child([] { std::exit(6); });
    EXPECT_EQ(child.status, 6) << child.text;
    EXPECT_EQ(child.text, "");
  };
  run(check);
  check();
  later.parent = 0;
  later.from.close();
}

// So does one that shows what the program is doing: what it would wait for was another thread's.
TEST(fork, exit_in_the_child_waits_for_nobody_who_runs) {
  struct shows {
    std::function<void()> what;
    pid_t parent = 0;
    ~shows() {
      if (parent != getpid()) what();
    }
  };
  static trace::flight_recorder recorder;
  static shows later{[] {}, getpid()};
  recorder.start();
  const std::pair<const char*, std::function<void()>> all[] = {
      {"statistics",
       [] {
         runtime::mem_stats m;
         runtime::read_mem_stats(m);
       }},
      {"metrics",
       [] {
         std::array samples{metrics::sample{"/gc/heap/live:bytes"}};
         metrics::read(samples);
       }},
      {"stacks", [] { (void)debug::stack_usage(); }},
      {"processors", [] { runtime::gomaxprocs(1); }},
      {"snapshot", [] { recorder.write_to([](std::string_view) {}); }},
      {"dump",
       [] {
         std::vector<char> text(1 << 16);
         runtime::stack(std::span(text.data(), text.size()), true);
       }},
  };
  test::with_procs(4, [&] {
    std::atomic<bool> stop{false};
    wait_group busy;
    for (int i = 0; i < 3; ++i) {
      busy.go([&] {
        while (!stop.load(std::memory_order_relaxed)) (void)gc::make<std::string>("garbage");
      });
    }
    for (const auto& [name, what] : all) {
      later.what = what;
      for (int i = 0; i < 6; ++i) {
        const ended child = in_child([] {
          alarm(10);
          std::exit(6);
        });
        EXPECT_EQ(child.status, 6) << name << child.text;
        if (child.status != 6) break;
      }
    }
    stop.store(true, std::memory_order_relaxed);
    busy.wait();
  });
  recorder.stop();
  later.parent = 0;
  later.what = [] {};
}

TEST(fork, exec_and_exit_work_in_the_child) {
  go([] {});
  exec_and_exit_work();
  run([] { exec_and_exit_work(); });
}

TEST(fork, others_go_on_in_the_parent) {
  test::with_procs(2, [] {
    std::atomic<bool> stop{false};
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        while (!stop.load(std::memory_order_relaxed)) {
          gort::sleep(50us);
          runtime::gosched();
        }
      });
    }
    for (int i = 0; i < 20; ++i) EXPECT_EQ(in_child([] { _exit(6); }).status, 6);
    stop.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

}  // namespace
}  // namespace gort
