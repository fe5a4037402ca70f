// Starting programs in bad company: children that others reap, threads that end, texts with NULs,
// descriptors that are closed, systems that offer less.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/debug.hpp>
#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/program.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

exec::command shell(const std::string& script) {
  return {.program = "/bin/sh", .arguments = {"-c", script}};
}

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Starts, waits, kills: all as it should be but for the status, which may be unknown.
void start_many(int count) {
  for (int i = 0; i < count; ++i) {
    std::error_code error;
    exec::process p = exec::start(background(), {.program = "true"}, error);
    ASSERT_FALSE(error) << error.message();
    const exec::exit_state how = p.wait(error);
    if (error) {
      EXPECT_EQ(error, std::errc::no_child_process);
      EXPECT_EQ(how.to_string(), "exit status unknown");
    } else {
      EXPECT_TRUE(how.success());
    }
    std::error_code again;
    EXPECT_EQ(p.wait(again).code, how.code);
    EXPECT_EQ(again, error);
    p.kill(SIGKILL, error);
    EXPECT_EQ(error, std::errc::no_such_process);
  }
}

void fails(exec::command what) {
  std::error_code error;
  const exec::result r = exec::output(background(), std::move(what), error);
  EXPECT_EQ(error, std::errc::invalid_argument) << r.out;
}

TEST(exec_world, sigchld_is_ignored) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  test::with_procs(2, [] {
    start_many(300);
    std::error_code error;
    exec::process failing = exec::start(background(), shell("exit 3"), error);
    const int code = failing.wait(error).code;
    EXPECT_EQ(code, error ? -1 : 3);
    exec::start(background(), {.program = "/no/such/program"}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    EXPECT_EQ(exec::output(background(), {.program = "echo", .arguments = {"text"}}, error).out,
              "text\n");
  });
  std::signal(SIGCHLD, before);
}

TEST(exec_world, another_thread_reaps_every_child) {
  std::atomic<bool> ends{false};
  std::thread reaper([&] {
    while (!ends.load(std::memory_order_relaxed)) {
      if (waitpid(-1, nullptr, WNOHANG) <= 0) std::this_thread::yield();
    }
  });
  test::with_procs(2, [] { start_many(300); });
  ends.store(true, std::memory_order_relaxed);
  reaper.join();
}

TEST(exec_world, a_nul_in_any_text_is_refused) {
  run([] {
    fails({.program = "echo", .arguments = {"a\0b"s}});
    fails({.program = "env", .environment = std::vector{"A=1\0B=2"s}});
    fails({.program = "echo\0x"s, .arguments = {"text"}});
    fails({.program = "pwd", .directory = "/\0x"s});
  });
}

TEST(exec_world, input_is_a_pipe) {
  run([] {
    exec::command c{.program = "cat", .arguments = {"/dev/stdin"}};
    c.in = c.out = exec::redirect::pipe();
    exec::process p = exec::start(c);
    p.in().write(bytes("text\n"));
    p.in().close();
    EXPECT_EQ(p.out().read_all(), "text\n");
    EXPECT_TRUE(p.wait().success());
    std::error_code error;
    p.in().close(error);
    EXPECT_EQ(error, net::errc::closed);
  });
}

TEST(exec_world, a_write_waits_for_room_and_ends_when_nobody_reads) {
  test::with_procs(2, [] {
    exec::command c = shell("sleep 0.1; wc -c");
    c.in = c.out = exec::redirect::pipe();
    exec::process counts = exec::start(c);
    counts.in().write(bytes(std::string(3'000'000, 'x')));
    counts.in().close();
    EXPECT_EQ(counts.out().read_all(), "3000000\n");
    counts.wait();
    // One that ends without reading wakes who waits for room, and raises no SIGPIPE.
    exec::process deaf =
        exec::start({.program = "sleep", .arguments = {"0.1"}, .in = exec::redirect::pipe()});
    std::error_code error;
    EXPECT_LT(deaf.in().write(bytes(std::string(3'000'000, 'x')), error), 3'000'000U);
    EXPECT_EQ(error, std::errc::broken_pipe);
    // close() wakes too.
    exec::process waits =
        exec::start({.program = "sleep", .arguments = {"1000"}, .in = exec::redirect::pipe()});
    wait_group writer;
    writer.go([&] {
      std::error_code closed;
      waits.in().write(bytes(std::string(3'000'000, 'x')), closed);
      EXPECT_EQ(closed, net::errc::closed);
    });
    gort::sleep(10ms);
    waits.in().close();
    writer.wait();
    waits.kill();
  });
}

TEST(exec_world, output_ends_the_input_that_nobody_can_write) {
  run([] { EXPECT_EQ(exec::output({.program = "cat", .in = exec::redirect::pipe()}).out, ""); });
}

TEST(exec_world, what_the_program_has_left_running_is_listened_to_for_a_while) {
  run([] {
    exec::command c = shell("echo text; sleep 1000 & echo $! >&2");
    c.wait_delay = 1s;  // in which we must have heard the text
    std::error_code error;
    const exec::result r = exec::output(background(), c, error);
    EXPECT_EQ(error, std::errc::timed_out);
    EXPECT_EQ(r.out, "text\n");
    EXPECT_TRUE(r.state.success());
    EXPECT_EQ(exec::output({.program = "kill", .arguments = {r.err.substr(0, r.err.size() - 1)}})
                  .state.code,
              0);
    c = shell("echo text; sleep 0.1 & exit 0");
    c.wait_delay = 1h;
    EXPECT_EQ(exec::output(c).out, "text\n");
    c = shell("sleep 20 & exit 0");  // longer than we may be held up
    c.wait_delay = -1ns;  // only 0 is no limit
    exec::output(background(), c, error);
    EXPECT_EQ(error, std::errc::timed_out);
  });
}

TEST(exec_world, the_last_setting_of_a_name_counts) {
  run([] {
    exec::command c{.program = "env"};
    c.environment = {"A=1", "B=2", "A=3"};
    EXPECT_EQ(exec::output(c).out, "B=2\nA=3\n");
  });
}

TEST(exec_world, errors_of_commands) {
  run([] {
    std::error_code error;
    for (int bad : {-1, -2, -3, -4}) {
      exec::start(background(), {.program = "true", .out = exec::redirect::to(bad)}, error);
      EXPECT_EQ(error, std::errc::bad_file_descriptor);
    }
    exec::start(background(), {.program = ""}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    exec::start(background(), {.program = "true", .arguments = {std::string(1 << 20, 'x')}}, error);
    EXPECT_EQ(error, std::errc::argument_list_too_long);
    exec::start(background(), {.program = std::string(10'000, 'x')}, error);
    EXPECT_EQ(error, std::errc::filename_too_long);
  });
}

struct folder {
  std::string path = std::filesystem::temp_directory_path() / "gort-exec-XXXXXX";
  folder() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
  ~folder() { std::filesystem::remove_all(path); }
};

TEST(exec_world, names_are_looked_for_as_the_shell_does) {
  const folder one;
  const folder two;
  const std::string before = std::getenv("PATH");
  auto make = [](const folder& in, const std::string& says, int mode) {
    const std::string file = in.path + "/gort-exec-test";
    std::FILE* f = std::fopen(file.c_str(), "w");
    std::fputs(("#!/bin/sh\necho " + says + "\n").c_str(), f);
    std::fclose(f);
    ::chmod(file.c_str(), static_cast<mode_t>(mode));
  };
  make(one, "one", 0600);
  ::setenv("PATH", (one.path + "/none:" + one.path + ":" + two.path + ":" + before).c_str(), 1);
  run([&] {
    std::error_code error;
    exec::start(background(), {.program = "gort-exec-test"}, error);
    EXPECT_EQ(error, std::errc::permission_denied) << "there is one, though not executable";
    make(two, "two", 0700);
    EXPECT_EQ(exec::output({.program = "gort-exec-test"}).out, "two\n");
  });
  ::setenv("PATH", before.c_str(), 1);
}

// A process of ours that has only just begun still has a copy of every descriptor.
TEST(exec_world, a_file_just_written_can_be_executed) {
  const folder in;
  test::with_procs(2, [&] {
    wait_group all;
    for (int i = 0; i < 8; ++i) {
      all.go([&, i] {
        for (int round = 0; round < 20; ++round) {
          const std::string file = in.path + "/" + std::to_string(i) + "-" + std::to_string(round);
          const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
          const std::string text = "#!/bin/true\n";
          ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
          close(fd);
          std::error_code error;
          exec::output(background(), {.program = file}, error);
          EXPECT_FALSE(error) << error.message();
        }
      });
    }
    all.wait();
  });
}

// What a goroutine has done to the thread that it is locked to, its programs inherit; and nobody
// else's do.
TEST(exec_world, programs_of_a_locked_goroutine_have_its_thread) {
  test::with_procs(2, [] {
    const exec::command c{.program = "nice"};  // prints how nice it is
    const std::string usual = exec::output(c).out;
    wait_group g;
    g.go([&] {
      runtime::lock_os_thread();  // and its thread ends with it
      ASSERT_EQ(setpriority(PRIO_PROCESS, 0, std::stoi(usual) + 3), 0);
      EXPECT_EQ(exec::output(c).out, std::to_string(std::stoi(usual) + 3) + "\n");
    });
    g.wait();
    for (int i = 0; i < 10; ++i) g.go([&] { EXPECT_EQ(exec::output(c).out, usual); });
    g.wait();
  });
}

// With GODEBUG=mreap=20.
TEST(program, DISABLED_parents_end) {
  run([] {
    std::vector<exec::process> started(12);
    wait_group g;
    for (std::size_t i = 0; i < started.size(); ++i) {
      g.go([&p = started[i], i] {
        // Blocks its thread, so there are many, and each starts one.
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + 20 * i));
        p = exec::start({.program = "setpriv",
                         .arguments = {"--pdeathsig", "KILL", "sh", "-c", "echo up; sleep 1000"},
                         .out = exec::redirect::pipe()});
        std::array<std::byte, 16> text{};
        p.out().read(text);  // it has asked for its signal
        std::this_thread::sleep_for(20ms);
      });
    }
    g.wait();
    const auto most = static_cast<std::uint64_t>(runtime::gomaxprocs(0)) + 3;
    while (debug::read_scheduler_counts().threads > most) gort::sleep(20ms);
    int killed = 0;
    for (exec::process& p : started) {
      p.kill(SIGTERM);
      killed += p.wait().signal == SIGKILL ? 1 : 0;
    }
    std::printf("%d killed\n", killed);
  });
}

TEST(exec_world, programs_outlive_the_thread_of_the_goroutine_that_started_them) {
  const test::ended p = test::run_program("parents_end", "GODEBUG=mreap=20");
  EXPECT_EQ(p.status, 0) << p.head();
  EXPECT_TRUE(p.has("\n0 killed\n")) << p.head();
}

TEST(program, DISABLED_no_standard_streams) {
  close(0);
  close(2);
  run([] {
    for (int i = 0; i < 3; ++i) {
      exec::command c = shell("cat; echo err >&2");
      c.in = c.out = c.err = exec::redirect::pipe();
      exec::process p = exec::start(c);
      p.in().write(bytes("text\n"));
      p.in().close();
      std::printf("%s", p.out().read_all().c_str());
      std::printf("%s", p.err().read_all().c_str());
      std::printf("%d\n", p.wait().code);
    }
  });
}

TEST(exec_world, the_standard_streams_may_be_closed) {
  const test::ended p = test::run_program("no_standard_streams");
  EXPECT_EQ(p.status, 0) << p.head();
  EXPECT_TRUE(p.has("text\nerr\n0\ntext\nerr\n0\ntext\nerr\n0\n")) << p.head();
}

// Answers ENOSYS to close_range(2), as systems before Linux 5.9 do.
TEST(program, DISABLED_without_close_range) {
  std::array<sock_filter, 4> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 436, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog all{filter.size(), filter.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all), 0);
  for (int i = 0; i < 300; ++i) ASSERT_GE(open("/dev/null", O_RDONLY), 0);  // without O_CLOEXEC
  run([] { std::printf("%s", exec::output(shell("ls /proc/self/fd | wc -w")).out.c_str()); });
}

TEST(exec_world, descriptors_are_closed_without_close_range_too) {
  const test::ended p = test::run_program("without_close_range");
  EXPECT_EQ(p.status, 0) << p.head();
  EXPECT_TRUE(p.has("\n4\n")) << p.head();  // ls has a third itself
}

}  // namespace
}  // namespace gort
