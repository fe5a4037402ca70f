// Starting programs: what they get, what they say, how they end, and what nobody blocks for.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using test::element;

using namespace std::chrono_literals;

exec::command shell(const std::string& script) {
  return {.program = "/bin/sh", .arguments = {"-c", script}};
}

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// On a goroutine and on a plain thread. (Not after run(): nothing watches descriptors then.)
void on_both(const std::function<void()>& f) {
  test::with_procs(2, [&] {
    f();
    std::thread plain(f);
    blocking([&] { plain.join(); });
  });
}

TEST(exec, output_and_exit_status) {
  on_both([] {
    const exec::result r = exec::output(shell("echo out; echo err >&2; exit 3"));
    EXPECT_EQ(r.out, "out\n");
    EXPECT_EQ(r.err, "err\n");
    EXPECT_EQ(r.state.code, 3);
    EXPECT_FALSE(r.state.success());
    EXPECT_EQ(r.state.to_string(), "exit status 3");
    EXPECT_EQ(exec::output({.program = "echo", .arguments = {"a b", "", "c"}}).out, "a b  c\n");
    exec::command both = shell("echo out; echo err >&2");
    both.err = exec::redirect::merge();
    EXPECT_EQ(exec::output(both).out, "out\nerr\n");
  });
}

TEST(exec, more_output_than_pipes_hold_on_both_streams) {
  test::with_procs(1, [] {
    const exec::result r =
        exec::output(shell("head -c 1000000 /dev/zero >&2; head -c 2000000 /dev/zero"));
    EXPECT_EQ(r.out.size(), 2000000U);
    EXPECT_EQ(r.err.size(), 1000000U);
    EXPECT_TRUE(r.state.success());
  });
}

TEST(exec, environment_and_directory) {
  run([] {
    exec::command c = shell("echo $GORT_A-$HOME; pwd");
    c.environment = {"GORT_A=x y"};
    c.directory = "/";
    EXPECT_EQ(exec::output(c).out, "x y-\n/\n");
  });
}

TEST(exec, input_and_output_by_turns) {
  on_both([] {
    exec::process cat = exec::start(
        {.program = "cat", .in = exec::redirect::pipe(), .out = exec::redirect::pipe()});
    for (int i = 0; i < 10; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      cat.in().write(bytes(line));
      std::string back(line.size(), 0);
      for (std::size_t got = 0; got < back.size();) {
        const std::size_t n =
            cat.out().read(std::as_writable_bytes(std::span(back.data() + got, back.size() - got)));
        ASSERT_NE(n, 0U);
        got += n;
      }
      EXPECT_EQ(back, line);
    }
    cat.in().close();
    EXPECT_EQ(cat.out().read_all(), "");
    EXPECT_TRUE(cat.wait().success());
  });
}

TEST(exec, waiting_blocks_only_the_goroutine) {
  test::with_procs(1, [] {
    std::vector<exec::process> sleepers;
    for (int i = 0; i < 10; ++i)
      sleepers.push_back(exec::start({.program = "sleep", .arguments = {"1000"}}));
    const std::uint64_t before = debug::read_scheduler_counts().threads;
    wait_group all;
    std::atomic<int> waiting{0};
    for (std::size_t i = 0; i < 20; ++i) {
      all.go([&, i] {
        waiting.fetch_add(1, std::memory_order_relaxed);
        const exec::exit_state how = sleepers[i % sleepers.size()].wait();
        EXPECT_EQ(how.signal, SIGTERM);
        EXPECT_EQ(how.code, -1);
        EXPECT_EQ(how.to_string(), "signal: terminated");
      });
    }
    while (waiting.load(std::memory_order_relaxed) != 20) gort::sleep(1ms);
    auto c = make_chan<element>();
    for (int i = 0; i < 100; ++i) {
      go([c] { c.send(1); });
      c.recv();
    }
    // Some more, for those that were held up on their way; were each wait a thread's, twenty.
    EXPECT_LE(debug::read_scheduler_counts().threads, before + 10);
    for (exec::process& each : sleepers) each.kill(SIGTERM);
    all.wait();
    exec::process& sleeper = sleepers.front();
    EXPECT_EQ(sleeper.wait().signal, SIGTERM);  // known still
    std::error_code error;
    sleeper.kill(SIGTERM, error);
    EXPECT_EQ(error, std::errc::no_such_process);
    EXPECT_NE(::kill(sleeper.pid(), 0), 0) << "a zombie is left";
  });
}

TEST(exec, a_context_kills) {
  on_both([] {
    auto [ctx, cancel] = with_cancel(background());
    exec::process sleeper = exec::start(ctx, {.program = "sleep", .arguments = {"1000"}});
    cancel();
    std::error_code error;
    EXPECT_EQ(sleeper.wait(error).signal, SIGKILL);
    EXPECT_EQ(error, context_error::canceled);
    exec::start(ctx, {.program = "true"}, error);
    EXPECT_EQ(error, context_error::canceled);
    // Also when what it started holds the pipe.
    std::string folder = std::filesystem::temp_directory_path() / "gort-exec-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::string begun = folder + "/begun";
    auto [in_time, cancel_in_time] = with_cancel(background());
    wait_group canceler;
    canceler.go([&begun, &cancel_in_time = cancel_in_time] {
      while (access(begun.c_str(), F_OK) != 0) gort::sleep(1ms);
      cancel_in_time();
    });
    const exec::result r =
        exec::output(in_time, shell("sleep 100 & : >" + begun + "; wait"), error);
    canceler.wait();
    EXPECT_EQ(error, context_error::canceled);
    EXPECT_EQ(r.state.signal, SIGKILL);
    std::filesystem::remove_all(folder);
    // By its time, too, which may be over before it has begun.
    auto [soon, cancel_soon] = with_timeout(background(), 100ms);
    exec::output(soon, shell("sleep 100 & wait"), error);
    EXPECT_EQ(error, context_error::deadline_exceeded);
    // One that ends in time is not disturbed.
    auto [later, cancel_later] = with_timeout(background(), 1h);
    EXPECT_EQ(exec::output(later, shell("echo fine")).out, "fine\n");
    // Nor one whose context is that of a temporary.
    exec::process own = exec::start(with_timeout(background(), 1h).ctx, shell("sleep 0.1"));
    EXPECT_TRUE(own.wait(error).success());
    EXPECT_FALSE(error);
  });
}

TEST(exec, errors_of_the_start) {
  on_both([] {
    std::error_code error;
    exec::start(background(), {.program = "/no/such/program"}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    exec::start(background(), {.program = "no-such-program-anywhere"}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    exec::start(background(), {.program = "/"}, error);
    EXPECT_EQ(error, std::errc::permission_denied);
    exec::start(background(), {.program = "true", .directory = "/no/such/directory"}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    exec::start(background(), {.program = "true", .out = exec::redirect::to(9999)}, error);
    EXPECT_EQ(error, std::errc::bad_file_descriptor);
    try {
      exec::start({.program = "/no/such/program"});
      ADD_FAILURE();
    } catch (const std::system_error& e) {
      EXPECT_EQ(std::string(e.what()), "exec: /no/such/program: No such file or directory");
    }
  });
}

// A fresh start: no handler, mask, descriptor or timer slack of ours or of this test's reaches it.
TEST(exec, what_was_not_started) {
  run([] {
    std::error_code error;
    exec::process none = exec::start(background(), {.program = "/no/such/program"}, error);
    EXPECT_TRUE(error);
    EXPECT_THROW(none.wait(error), runtime_error);
    EXPECT_THROW(none.wait(), runtime_error);
    EXPECT_THROW(none.pid(), runtime_error);
    EXPECT_THROW(none.out().read_all(), runtime_error);
    none.kill(SIGTERM, error);
    EXPECT_EQ(error, std::errc::no_such_process);
    EXPECT_THROW(none.kill(), std::system_error);
  });
}

TEST(exec, the_program_starts_clean) {
  sigset_t some, before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  sigaddset(&some, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &some, &before);
  const auto pipe_before = std::signal(SIGPIPE, SIG_IGN);
  const int inherited = open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  ASSERT_GE(inherited, 3);
  auto check = [] {
    const std::string status =
        exec::output({.program = "cat", .arguments = {"/proc/self/status"}}).out;
    for (const char* line : {"SigBlk:\t0000000000000000\n", "SigCgt:\t0000000000000000\n"})
      EXPECT_NE(status.find(line), std::string::npos) << line << status;
    const std::size_t at = status.find("SigIgn:\t");
    ASSERT_NE(at, std::string::npos);
    const auto ignored = std::stoull(status.substr(at + 8, 16), nullptr, 16);
    EXPECT_EQ(ignored & (1U << (SIGPIPE - 1)), 0U) << std::hex << ignored;
    EXPECT_EQ(exec::output(shell("ls /proc/self/fd | wc -w")).out, "4\n")  // ls has a third itself
        << exec::output(shell("ls -l /proc/self/fd")).out;
    EXPECT_EQ(exec::output({.program = "cat", .arguments = {"/proc/self/timerslack_ns"}}).out,
              "50000\n");
  };
  on_both(check);
  close(inherited);
  std::signal(SIGPIPE, pipe_before);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(exec, streams_can_be_files_or_ours) {
  on_both([] {
    std::FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    const int fd = fileno(file);
    ASSERT_EQ(write(fd, "from a file", 11), 11);
    ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
    exec::command c{.program = "cat"};
    c.in = exec::redirect::to(fd);
    EXPECT_EQ(exec::output(c).out, "from a file");
    EXPECT_EQ(exec::output({.program = "cat"}).out, "") << "input is /dev/null by default";
    c = shell("echo to stderr >&2; echo to stdout");
    c.out = exec::redirect::to(fd);
    c.err = exec::redirect::merge();
    EXPECT_TRUE(exec::start(c).wait().success());
    std::array<char, 64> text{};
    ASSERT_GE(pread(fd, text.data(), text.size() - 1, 11), 0);
    EXPECT_STREQ(text.data(), "to stderr\nto stdout\n");
    c.out = c.err = exec::redirect::inherit();
    EXPECT_TRUE(exec::start(c).wait().success());
    std::fclose(file);
  });
}

TEST(exec, writing_to_a_program_that_has_ended_is_an_error_and_no_signal) {
  on_both([] {
    exec::process gone = exec::start({.program = "true", .in = exec::redirect::pipe()});
    EXPECT_TRUE(gone.wait().success());
    std::error_code error;
    const std::string text = "x";
    gone.in().write(bytes(text), error);
    EXPECT_EQ(error, std::errc::broken_pipe);
  });
}

TEST(exec, many_at_once) {
  test::with_procs(4, [] {
    wait_group all;
    for (int i = 0; i < 40; ++i) {
      all.go([i] {
        const exec::result r = exec::output(shell("echo " + std::to_string(i) + "; exit 1"));
        EXPECT_EQ(r.out, std::to_string(i) + "\n");
        EXPECT_EQ(r.state.code, 1);
      });
    }
    all.wait();
  });
}

}  // namespace
}  // namespace gort
