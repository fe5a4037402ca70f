// The demo and the programs of exercise 5, as a user runs them: they print what to ask, curl asks,
// and they end when they are told to.
#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/net.hpp>

#include "support/go_tool.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// A program of this build that prints what it has to say through a pipe, standard error included.
class program {
 public:
  explicit program(const std::string& name, const std::vector<std::string>& arguments = {},
                   const char* demo_seconds = nullptr) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    const std::string path = std::string(GORT_BINARY_DIR) + "/" + name;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      demo_seconds == nullptr ? unsetenv("DEMO_SECONDS") : setenv("DEMO_SECONDS", demo_seconds, 1);
      std::vector<char*> all{const_cast<char*>(path.c_str())};
      for (const std::string& each : arguments) all.push_back(const_cast<char*>(each.c_str()));
      all.push_back(nullptr);
      execv(path.c_str(), all.data());
      _exit(127);
    }
    close(ends[1]);
    out_ = ends[0];
  }
  ~program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(out_);
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  /// Reads until `mark` has been printed, or the end.
  std::string hear(const std::string& mark) {
    std::array<char, 1024> piece;
    while (text_.find(mark) == text_.npos) {
      const ssize_t got = read(out_, piece.data(), piece.size());
      if (got <= 0) break;
      text_.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text_;
  }
  /// "http://127.0.0.1:PORT" from the first URL that it prints.
  std::string base() {
    const std::string all = hear("/work");
    const std::size_t start = all.find("http://127.0.0.1:");
    return start == all.npos ? "" : all.substr(start, all.find('/', start + 7) - start);
  }
  void tell(int signal) const { kill(pid_, signal); }
  /// How it ended: its exit status, or minus the signal.
  int wait() {
    hear("what nobody says");
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& text() const { return text_; }

 private:
  pid_t pid_;
  int out_;
  std::string text_;
};

std::string curl(const std::string& arguments) {
  std::string out;
  FILE* pipe = popen(("curl -sS -m 30 " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), n);
  pclose(pipe);
  return out;
}

class http_examples : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("curl --version >/dev/null 2>&1") != 0) GORT_SKIP("no curl");
  }
};

TEST_F(http_examples, demo_answers_what_it_prints) {
  program demo("demo", {"127.0.0.1:0"});
  const std::string at = demo.base();
  ASSERT_THAT(at, StartsWith("http://127.0.0.1:"));
  EXPECT_THAT(curl(at + "/"), HasSubstr("/items/42"));
  EXPECT_EQ(curl(at + "/healthz"), "ok\n");
  EXPECT_THAT(curl(at + "/debug/vars"), HasSubstr("\"memstats\": {"));
  EXPECT_THAT(curl(at + "/debug/pprof/"), HasSubstr("href=\"profile\""));
  EXPECT_EQ(curl(at + "/debug/mutex/enable?rate=7"), "set to 7 (prev 0)\n");
  if (curl(at + "/").find("/metrics") != std::string::npos) {
    EXPECT_THAT(curl(at + "/metrics"), HasSubstr("\ngo_sched_goroutines_goroutines "));
  }
}

TEST_F(http_examples, demo_ends_by_itself) {
  program demo("demo", {"127.0.0.1:0"}, "2");
  const std::string at = demo.base();
  ASSERT_THAT(at, StartsWith("http://127.0.0.1:"));
  EXPECT_EQ(demo.wait(), 0) << demo.text();
  EXPECT_THAT(demo.text(), HasSubstr("for 2 s (DEMO_SECONDS)\n"));
  EXPECT_THAT(demo.text(), EndsWith("shutting down ...\n"));
  EXPECT_THAT(curl(at + "/healthz"), HasSubstr("curl: (7)"));
}

TEST_F(http_examples, demo_serves_until_it_is_interrupted) {
  for (const int signal : {SIGINT, SIGTERM}) {
    program demo("demo", {"127.0.0.1:0"});
    const std::string at = demo.base();
    EXPECT_THAT(demo.hear("Ctrl-C\n"), EndsWith("until Ctrl-C\n"));
    EXPECT_EQ(curl(at + "/hello/gopher"), "Hello, gopher!\n");
    EXPECT_EQ(curl(at + "/items/42"), "{\"id\": 42, \"name\": \"item 42\"}\n");
    EXPECT_THAT(curl("-i " + at + "/items/x"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(curl("-i -X DELETE " + at + "/items/42"), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
    EXPECT_EQ(curl(at + "/work"), "4999999950000000\n");
    EXPECT_EQ(curl("-d body " + at + "/echo"), "body");
    for (const char* command : {"profile?seconds=5'", "goroutine\n", "mutex; curl -s "})
      EXPECT_THAT(demo.text(), HasSubstr(at + "/debug/pprof/" + command));
    EXPECT_THAT(demo.text(),
                HasSubstr("curl -so gort-trace.out '" + at + "/debug/trace?seconds=5'"));
    EXPECT_THAT(
        curl(at + "/debug/pprof/goroutine?debug=1"),
        HasSubstr("# labels: {\"endpoint\":\"/debug/pprof/goroutine\", \"method\":\"GET\""));
    EXPECT_THAT(curl("-i " + at + "/panic"), StartsWith("HTTP/1.1 500 "));
    // A stream of events ends with the service.
    FILE* stream = popen(("curl -sS -m 30 -N " + at + "/events 2>&1").c_str(), "r");
    ASSERT_NE(stream, nullptr);
    std::array<char, 4096> line;
    std::string events;
    if (std::fgets(line.data(), line.size(), stream) != nullptr) events = line.data();
    demo.tell(signal);
    EXPECT_EQ(demo.wait(), 0) << demo.text();
    while (std::fgets(line.data(), line.size(), stream) != nullptr) events += line.data();
    pclose(stream);
    EXPECT_THAT(events, StartsWith("event: tick\ndata: tick 1, "));
    EXPECT_EQ(events.find("curl:"), events.npos) << "the end of the stream is in order: " << events;
    EXPECT_THAT(demo.text(), HasSubstr("on demand\n"));
    EXPECT_THAT(demo.text(), EndsWith("shutting down ...\n"));
  }
}

TEST_F(http_examples, demo_takes_another_port_if_its_own_is_taken) {
  const gort::net::listener taken = gort::net::listen("127.0.0.1:0");
  const std::string address = taken.local_endpoint().to_string();
  program demo("demo", {address});
  EXPECT_THAT(demo.hear("another port\n"), HasSubstr(address + " is in use"));
  const std::string at = demo.base();
  EXPECT_NE(at, "http://" + address);
  EXPECT_EQ(curl(at + "/healthz"), "ok\n");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

TEST_F(http_examples, the_commands_that_the_demo_prints_work) {
  if (gort::test::find_go().empty()) GORT_SKIP("no go");
  program demo("demo", {"127.0.0.1:0"});
  const std::string at = demo.base();
  std::istringstream lines(demo.hear("Ctrl-C\n"));
  int tried = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool command = line.starts_with("  go ") || line.starts_with("  curl ");
    if (!command || line.find("-http=") != line.npos) continue;  // that one serves pages
    line = line.substr(0, line.find(" && go tool trace"));
    line = replaced(replaced(line, "seconds=5", "seconds=1"), "-seconds 5", "-seconds 1");
    line = replaced(replaced(line, "sleep 5", "sleep 0.1"), "go tool",
                    gort::test::find_go() + " tool");
    std::atomic<bool> over{false};
    std::thread work([&] {  // until the command has seen it
      while (!over.load(std::memory_order_relaxed))
        (void)gort::test::run_shell("curl -sS -m 30 " + at + "/work");
    });
    const gort::test::ended got = gort::test::run_shell(
        "cd /tmp && PPROF_TMPDIR=/tmp/gort-pprof-copies GOTOOLCHAIN=local " + line);
    over.store(true, std::memory_order_relaxed);
    work.join();
    EXPECT_EQ(got.status, 0) << line << "\n" << got.text;
    if (line.find("pprof -top") != line.npos) {
      EXPECT_TRUE(got.has("Type: ")) << line << "\n" << got.text;
    }
    if (line.find("tagfocus") != line.npos) {
      EXPECT_TRUE(got.has("exercise::busy")) << line << "\n" << got.text;
    }
    ++tried;
  }
  EXPECT_EQ(tried, 6) << demo.text();
}

TEST_F(http_examples, exercise_5_answers_as_before_and_serves_profiles) {
  for (const char* side : {"before", "after"}) {
    program service(std::string("05_label_by_middleware_") + side, {"127.0.0.1:0"});
    const std::string at = service.base();
    EXPECT_EQ(curl(at + "/work"), "4999999950000000") << side;
    EXPECT_EQ(curl(at + "/report"), "19999999900000000") << side;
    EXPECT_THAT(curl(at + "/debug/pprof/goroutine?debug=1"), StartsWith("goroutine profile: "));
  }
}

}  // namespace
