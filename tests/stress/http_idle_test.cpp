// What an idle connection costs: 50 000 of them, each of which has been served once, against as
// many goroutines that are parked. Both are measured in processes of their own, in the same run;
// the clients are a third one, so that their sockets do not count.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr int wanted = base::with_tsan || base::with_asan ? 2'000 : 50'000;
constexpr int fewest = 1'000;
constexpr int spare = 200;  // descriptors for everything else
constexpr int at_a_time = 100;
constexpr double times_parked_max = 2;

/// How many descriptors this process may have; raises the limit as far as it may.
int descriptors_allowed() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (const rlimit more{wanted + spare, std::max<rlim_t>(files.rlim_max, wanted + spare)};
      setrlimit(RLIMIT_NOFILE, &more) != 0) {
    const rlimit most{files.rlim_max, files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &most);
  }
  getrlimit(RLIMIT_NOFILE, &files);
  return static_cast<int>(std::min<rlim_t>(files.rlim_cur, wanted + spare));
}

/// Resident memory and page tables.
double memory_bytes() {
  std::ifstream status("/proc/self/status");
  double kib = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:") || line.starts_with("VmPTE:")) kib += std::stod(line.substr(6));
  }
  return kib * 1024;
}

void put(int fd, double value) {
  if (write(fd, &value, sizeof(value)) != sizeof(value)) _exit(9);
}
/// -1: the other process has ended, or says nothing for minutes.
double take(int fd) {
  double value = -1;
  pollfd there{fd, POLLIN, 0};
  if (poll(&there, 1, 100'000) != 1) return -1;
  return read(fd, &value, sizeof(value)) == sizeof(value) ? value : -1;
}

/// A child process that runs f(from parent, to parent), which ends when it is told 0.
struct child {
  template <class F>
  explicit child(F f) {
    int down[2];
    int up[2];
    if (pipe(down) != 0 || pipe(up) != 0) std::abort();
    pid = fork();
    if (pid == 0) {
      close(down[1]);
      close(up[0]);
      f(down[0], up[1]);
      _exit(0);
    }
    close(down[0]);
    close(up[1]);
    to = down[1];
    from = up[0];
  }
  ~child() {
    const double end = 0;
    if (write(to, &end, sizeof(end)) != sizeof(end)) std::printf("a child has ended early\n");
    close(to);
    close(from);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  pid_t pid;
  int to = -1;
  int from = -1;
};

// Says what a parked goroutine costs, given how many.
void park_many(int from, int to) {
  const int count = static_cast<int>(take(from));
  gort::run([&] {
    const double before = memory_bytes();
    const auto gate = make_chan<int>();
    wait_group running;
    wait_group ended;
    for (int i = 0; i < count; ++i) {
      running.add(1);
      ended.go([&, gate] {
        running.done();
        gate.recv();
      });
    }
    running.wait();
    put(to, (memory_bytes() - before) / count);
    gate.close();
    ended.wait();
  });
}

// What a handler may need of its stack, and the connection does not when it is idle again.
[[gnu::noinline]] std::size_t work_deep(std::size_t seed) {
  constexpr std::size_t page = 4096;
  volatile char deep[6 * page];
  for (std::size_t i = 0; i < sizeof(deep); i += page) deep[i] = static_cast<char>(seed);
  return static_cast<std::size_t>(deep[seed % sizeof(deep)]);
}

// Given how many connections, says its port; each time it is then told what one may cost, after
// that many are there, what one costs.
void serve_many(int from, int to) {
  const int count = static_cast<int>(take(from));
  descriptors_allowed();
  gort::run([&] {
    http::mux mux;
    mux.handle("GET /items/{id}", [](http::request& r, http::response_writer& w) {
      w.header().set("X-Count", std::to_string(work_deep(r.header("User-Agent").size() * 4096)));
      w.write("item " + std::string(r.path_value("id")));
    });
    net::listener l = net::listen("127.0.0.1:0");
    const auto port = l.local_endpoint().port();
    http::server server(mux);
    wait_group accepting;
    net::listener* const listener = &l;
    accepting.go([&] { server.serve(std::move(*listener)); });
    const double before = memory_bytes();
    put(to, port);
    for (double bound = 0; (bound = take(from)) > 0;) {
      // Until the last one, whose answer may still be on its way, is idle too; and longer than a
      // connection keeps what it used last: it may be late with that.
      while (server.connections() != static_cast<std::size_t>(count)) gort::sleep(1ms);
      gort::sleep(5s);
      const auto patience_end = std::chrono::steady_clock::now() + 60s;
      double each = 0;
      while ((each = (memory_bytes() - before) / count) > bound &&
             std::chrono::steady_clock::now() < patience_end)
        gort::sleep(100ms);
      put(to, each);
    }
    server.close();
    accepting.wait();
  });
}

constexpr std::string_view request_text =
    "GET /items/7 HTTP/1.1\r\nHost: idle.example\r\nUser-Agent: idle_test/1.0\r\n"
    "Accept: */*\r\nAccept-Encoding: gzip\r\n\r\n";

int connect_one(std::uint16_t port, int number) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  sockaddr_in from{};
  from.sin_family = AF_INET;
  // A source address has some 28 000 ports.
  from.sin_addr.s_addr = htonl(0x7f000002u + static_cast<unsigned>(number / 10'000));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    std::perror("http_idle_test: connect");
    _exit(8);
  }
  return fd;
}

void ask(const std::vector<int>& connections, std::size_t first, std::size_t count) {
  for (std::size_t i = first; i < first + count; ++i) {
    if (send(connections[i], request_text.data(), request_text.size(), MSG_NOSIGNAL) < 0) _exit(7);
  }
  for (std::size_t i = first; i < first + count; ++i) {
    char answer[1024];
    const ssize_t got = recv(connections[i], answer, sizeof(answer), 0);
    if (got <= 0 || !std::string_view(answer, static_cast<std::size_t>(got)).ends_with("item 7"))
      _exit(6);
  }
}

// Given the port and how many, connects and asks once on each; keeps them until it is told to end.
// Asks again each time it is told a positive number.
void ask_many(int from, int to) {
  const auto port = static_cast<std::uint16_t>(take(from));
  const auto count = static_cast<std::size_t>(take(from));
  descriptors_allowed();
  std::vector<int> connections;
  while (connections.size() < count) {
    const std::size_t first = connections.size();
    const std::size_t some = std::min<std::size_t>(at_a_time, count - first);
    for (std::size_t i = 0; i < some; ++i)
      connections.push_back(connect_one(port, static_cast<int>(first + i)));
    ask(connections, first, some);
  }
  put(to, 1);
  while (take(from) > 0) {
    for (std::size_t first = 0; first < count; first += at_a_time)
      ask(connections, first, std::min<std::size_t>(at_a_time, count - first));
    put(to, 1);
  }
}

TEST(http_idle, connections_cost_what_parked_goroutines_cost) {
  GORT_NOT_UNDER(base::with_tsan, "its forked children may not start threads");
  std::signal(SIGPIPE, SIG_IGN);
  const int allowed = descriptors_allowed() - spare;
  if (allowed < fewest) GORT_SKIP("too few descriptors allowed");
  const int servers = (wanted + allowed - 1) / allowed;
  const int count = wanted / servers;
  if (servers > 1)
    std::printf("%d servers of %d connections each: RLIMIT_NOFILE\n", servers, count);

  double parked_bytes;
  {
    child parked(park_many);
    put(parked.to, count);
    parked_bytes = take(parked.from);
  }
  ASSERT_GT(parked_bytes, 0);

  std::vector<std::unique_ptr<child>> asked;
  std::vector<std::unique_ptr<child>> asking;
  for (int i = 0; i < servers; ++i) {
    asked.push_back(std::make_unique<child>(serve_many));
    put(asked.back()->to, count);
    const double port = take(asked.back()->from);
    ASSERT_GT(port, 0);
    asking.push_back(std::make_unique<child>(ask_many));
    put(asking.back()->to, port);
    put(asking.back()->to, count);
  }
  // Under sanitizers their shadow is not ours to count.
  const double may_cost = base::with_tsan || base::with_asan ? std::numeric_limits<double>::max()
                                                             : times_parked_max * parked_bytes;
  // Twice over the same connections: memory does not grow.
  for (int round = 1; round <= 2; ++round) {
    for (const auto& each : asking)
      if (round > 1) put(each->to, 1);
    for (const auto& each : asking) ASSERT_EQ(take(each->from), 1);
    double bytes = 0;
    for (const auto& each : asked) put(each->to, may_cost);
    for (const auto& each : asked) {
      const double mine = take(each->from);
      ASSERT_GT(mine, 0);
      bytes += mine / servers;
    }
    std::printf(
        "%d idle connections, after %d requests: %.0f bytes each; a parked goroutine: %.0f\n",
        servers * count, round, bytes, parked_bytes);
    EXPECT_LE(bytes, may_cost);
  }
}

}  // namespace
}  // namespace gort
