// Streams over TCP and Unix-domain sockets: bytes arrive, in order, all of them, and ends are seen.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/net.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::bytes_of;
using test::connected_pair;
using test::echo_server;
using test::read_all;
using test::read_text;
using test::with_procs;

class net_stream : public ::testing::TestWithParam<std::tuple<int, const char*>> {
 protected:
  int procs() const { return std::get<0>(GetParam()); }
  std::string address() const {
    std::string a = std::get<1>(GetParam());
    if (a.starts_with("unix:")) a += "gort-net-stream-" + std::to_string(getpid());
    return a;
  }
};

void converse(const std::string& address, int id, int rounds) {
  net::conn c = net::dial(background(), address);
  for (int round = 0; round < rounds; ++round) {
    const std::string said = std::to_string(id) + ":" + std::to_string(round) + ";";
    ASSERT_EQ(c.write(bytes_of(said)), said.size());
    std::string heard;
    while (heard.size() < said.size()) heard += read_text(c, said.size() - heard.size());
    ASSERT_EQ(heard, said);
  }
  c.close_write();
  EXPECT_EQ(read_all(c), "");
}

TEST_P(net_stream, many_connections_echo) {
  const int before = test::open_sockets();
  with_procs(procs(), [&] {
    echo_server server(address());
    wait_group clients;
    const int count = base::with_tsan ? 50 : 200;
    for (int i = 0; i < count; ++i) clients.go([&, i] { converse(server.address(), i, 20); });
    clients.wait();
  });
  EXPECT_LE(test::open_sockets(), before);
}

TEST_P(net_stream, plain_threads_and_goroutines_mix) {
  with_procs(procs(), [&] {
    echo_server server(address());
    wait_group clients;
    for (int i = 0; i < 4; ++i) {
      clients.go([&, i] { test::on_plain_thread([&] { converse(server.address(), i, 50); }); });
      clients.go([&, i] { converse(server.address(), 100 + i, 50); });
    }
    clients.wait();
  });
}

// Much more than the socket's buffers: the writer waits for the reader again and again.
TEST_P(net_stream, large_transfer_arrives_whole) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    std::string sent(base::with_tsan ? 4 << 20 : 32 << 20, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i)
      sent[i] = static_cast<char>(i * 2654435761u >> 24);
    wait_group writer;
    writer.go([&, &out = a] {
      EXPECT_EQ(out.write(bytes_of(sent)), sent.size());
      out.close_write();
    });
    EXPECT_TRUE(read_all(b) == sent);
    writer.wait();
  });
}

TEST_P(net_stream, vectored_write_keeps_the_order) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    std::vector<std::string> pieces;
    for (int i = 0; i < 200; ++i)  // more than one system call takes; some empty, some large
      pieces.emplace_back(i % 7 == 0    ? 0u
                          : i % 50 == 1 ? 300'000u
                                        : static_cast<unsigned>(i),
                          static_cast<char>('a' + i % 26));
    std::vector<std::span<const std::byte>> spans;
    for (const auto& p : pieces) spans.push_back(bytes_of(p));
    const std::string whole = std::accumulate(pieces.begin(), pieces.end(), std::string());
    wait_group writer;
    writer.go([&, &out = a] {
      EXPECT_EQ(out.write_vectored(spans), whole.size());
      EXPECT_EQ(out.write_vectored({}), 0u);
      out.close_write();
    });
    EXPECT_TRUE(read_all(b) == whole);
    writer.wait();
  });
}

TEST_P(net_stream, file_is_sent_from_an_offset) {
  char name[] = "/tmp/gort-net-XXXXXX";
  const int file = mkstemp(name);
  ASSERT_GE(file, 0);
  unlink(name);
  std::string content(3 << 20, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 8);
  ASSERT_EQ(write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    wait_group writer;
    writer.go([&, &out = a] {
      EXPECT_EQ(out.send_file(file, 1000, 2 << 20), 2u << 20);
      // The file ends before the count is reached.
      EXPECT_EQ(out.send_file(file, static_cast<std::int64_t>(content.size()) - 5, 100), 5u);
      out.close_write();
    });
    EXPECT_TRUE(read_all(b) == content.substr(1000, 2 << 20) + content.substr(content.size() - 5));
    writer.wait();
  });
  close(file);
}

// One call's bytes are not mixed with another's.
TEST_P(net_stream, concurrent_writes_stay_whole) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    constexpr int writers = 8;
    constexpr std::size_t bytes = 1 << 20;
    wait_group all;
    for (int i = 0; i < writers; ++i) {
      all.go([&, i, &out = a] {
        const std::string mine(bytes, static_cast<char>('a' + i));
        EXPECT_EQ(out.write(bytes_of(mine)), bytes);
      });
    }
    std::string heard;
    while (heard.size() < writers * bytes) heard += read_text(b, 1 << 16);
    all.wait();
    for (std::size_t at = 0; at < heard.size(); at += bytes)
      EXPECT_EQ(heard.find_first_not_of(heard[at], at),
                at + bytes < heard.size() ? at + bytes : heard.npos);
  });
}

TEST_P(net_stream, writing_to_a_closed_peer_is_an_error_and_no_signal) {
  ASSERT_EQ(signal(SIGPIPE, SIG_DFL), SIG_DFL) << "somebody ignores SIGPIPE already";
  char name[] = "/tmp/gort-net-XXXXXX";
  const int file = mkstemp(name);
  ASSERT_GE(file, 0);
  unlink(name);
  ASSERT_EQ(write(file, "0123456789", 10), 10);
  with_procs(procs(), [&] {
    const std::string text(1 << 16, 'x');
    const std::span<const std::byte> piece = bytes_of(text);
    auto until_error = [&](auto write_once) {
      auto [a, b] = connected_pair(address());
      b.close();
      std::error_code error;
      while (!error) write_once(a, error);  // what was sent must have been answered
      EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset)
          << error.message();
      write_once(a, error);
      EXPECT_EQ(error, std::errc::broken_pipe) << error.message();
    };
    until_error([&](net::conn& c, std::error_code& e) { c.write(piece, e); });
    until_error([&](net::conn& c, std::error_code& e) { c.write_some(piece, e); });
    until_error([&](net::conn& c, std::error_code& e) { c.write_vectored({&piece, 1}, e); });
    until_error([&](net::conn& c, std::error_code& e) { c.send_file(file, 0, 10, e); });
  });
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  close(file);
}

TEST_P(net_stream, end_of_stream_and_half_close) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    a.write(bytes_of("question"));
    a.close_write();
    EXPECT_EQ(read_all(b), "question");
    EXPECT_EQ(read_text(b), "");  // again and again
    b.write(bytes_of("answer"));
    b.close();
    EXPECT_EQ(read_all(a), "answer");
  });
}

// A read that got everything waits for an event before it asks the system again [poll-6]; the end
// of the stream may have been announced together with the data.
TEST_P(net_stream, end_that_comes_with_the_data_is_seen) {
  with_procs(procs(), [&] {
    for (int i = 0; i < 200; ++i) {
      auto [a, b] = connected_pair(address());
      wait_group reader;
      const bool late = i % 2 == 0;
      reader.go([&, &in = b] {
        if (late) runtime::gosched();
        EXPECT_EQ(read_text(in), "x");
        EXPECT_EQ(read_text(in), "");
      });
      if (!late) runtime::gosched();
      a.write(bytes_of("x"));
      a.close();
      reader.wait();
    }
  });
}

TEST_P(net_stream, waits_until_readable_without_a_buffer) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    for (int i = 0; i < 3; ++i) {
      detail::atomic<int> told;
      wait_group waiting;
      waiting.go([&, &in = b] {
        in.wait_readable();
        told.store_relaxed(1);
      });
      gort::sleep(5ms);
      EXPECT_EQ(told.load_relaxed(), 0);
      a.write(bytes_of("ping"));
      waiting.wait();
      b.wait_readable();  // still is
      EXPECT_EQ(read_text(b), "ping");
    }
    a.close();
    b.wait_readable();
    EXPECT_EQ(read_text(b), "");
  });
}

TEST_P(net_stream, room_is_asked_for_when_there_is_something) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    char room[64];
    detail::atomic<int> asked;
    const std::function<std::span<std::byte>()> give = [&] {
      asked.store_relaxed(asked.load_relaxed() + 1);
      return std::as_writable_bytes(std::span(room));
    };
    for (int i = 0; i < 3; ++i) {
      asked.store_relaxed(0);
      std::size_t got = 0;
      wait_group waiting;
      waiting.go([&, &in = b] { got = in.read_when_readable(give); });
      gort::sleep(5ms);
      EXPECT_EQ(asked.load_relaxed(), 0);
      a.write(bytes_of("ping"));
      waiting.wait();
      EXPECT_EQ(std::string_view(room, got), "ping");
      a.write(bytes_of("there already"));
      got = b.read_when_readable(give);
      EXPECT_EQ(std::string_view(room, got), "there already");
      EXPECT_EQ(asked.load_relaxed(), 2);
    }
    std::error_code error;
    b.set_read_deadline(std::chrono::steady_clock::now() + 1ms);
    EXPECT_EQ(b.read_when_readable(give, error), 0U);
    EXPECT_EQ(error, net::errc::timed_out);
    b.set_read_deadline({});
    a.write(bytes_of("stays"));
    EXPECT_EQ(b.read_when_readable([] { return std::span<std::byte>(); }), 0U) << "no room";
    EXPECT_THROW(b.read_when_readable([]() -> std::span<std::byte> { throw 1; }), int);
    EXPECT_EQ(read_text(b), "stays");
    asked.store_relaxed(0);
    a.close();
    EXPECT_EQ(b.read_when_readable(give), 0U) << "the end";
    EXPECT_EQ(asked.load_relaxed(), 1);
    b.close();
    EXPECT_EQ(b.read_when_readable(give, error), 0U);
    EXPECT_EQ(error, net::errc::closed);
  });
}

TEST_P(net_stream, endpoints_and_options) {
  with_procs(procs(), [&] {
    auto [a, b] = connected_pair(address());
    EXPECT_EQ(a.remote_endpoint(), b.local_endpoint());
    EXPECT_EQ(a.local_endpoint(), b.remote_endpoint());
    for (net::conn* c : {&a, &b}) {
      const int flags = fcntl(c->native_handle(), F_GETFL);
      EXPECT_NE(flags & O_NONBLOCK, 0);
      EXPECT_NE(fcntl(c->native_handle(), F_GETFD) & FD_CLOEXEC, 0);
    }
    std::error_code error;
    a.set_linger(0s, error);
    EXPECT_FALSE(error);
    if (!b.local_endpoint().is_ip()) return;
    for (net::conn* c : {&a, &b}) {  // the accepted one inherits
      int on = 0;
      socklen_t bytes = sizeof on;
      getsockopt(c->native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, &bytes);
      EXPECT_NE(on, 0);
      getsockopt(c->native_handle(), SOL_SOCKET, SO_KEEPALIVE, &on, &bytes);
      EXPECT_NE(on, 0);
      c->set_no_delay(false);
      c->set_keep_alive(0s);
    }
    a.close();  // reset, by the linger of 0
    read_text(b, error);
    EXPECT_EQ(error, std::errc::connection_reset);
  });
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<int, const char*>>& info) {
  const std::string a = std::get<1>(info.param);
  const char* kind = a[0] == '1' ? "ip4" : a[0] == '[' ? "ip6" : a[5] == '@' ? "abstract" : "path";
  return "P" + std::to_string(std::get<0>(info.param)) + "_" + kind;
}

INSTANTIATE_TEST_SUITE_P(kinds, net_stream,
                         ::testing::Combine(::testing::Values(1, 2),
                                            ::testing::Values("127.0.0.1:0", "[::1]:0", "unix:@",
                                                              "unix:/tmp/")),
                         name_of);

TEST(net_threads, nothing_but_plain_threads) {
  echo_server server("127.0.0.1:0");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { converse(server.address(), i, 50); });
  for (auto& t : threads) t.join();
}

TEST(net_threads, unix_listener_leaves_no_file) {
  const std::string path = "/tmp/gort-net-path-" + std::to_string(getpid());
  {
    net::listener l = net::listen("unix:" + path);
    EXPECT_TRUE(std::filesystem::exists(path));
    std::error_code error;
    net::listen("unix:" + path, {}, error);
    EXPECT_EQ(error, std::errc::address_in_use);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Else two programs that ask for any name could not run at once.
TEST(net_threads, unix_listeners_get_names_of_their_own) {
  const net::listener one = net::listen("unix:@"), other = net::listen("unix:@");
  EXPECT_NE(one.local_endpoint(), other.local_endpoint());
  EXPECT_GT(one.local_endpoint().path().size(), 1u);
}

TEST(net_threads, adopts_a_socket) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  net::conn a = net::conn::adopt(ends[0]);
  net::conn b = net::conn::adopt(ends[1]);
  std::thread writer([&] { a.write(bytes_of("over here")); });
  EXPECT_EQ(read_text(b), "over here");
  writer.join();
  std::error_code error;
  net::conn::adopt(-1, error);
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
}

// Behind those without run(): after one, goroutines stand still until the next.
TEST(net_poller, says_what_it_is_and_how_many_wait) {
  with_procs(1, [] {
    auto [here, there] = test::connected_pair();
    EXPECT_EQ(net::poller().kind, "epoll");
    const std::int64_t before = net::poller().waiting;
    wait_group all;
    all.go([&, end = &here] { end->wait_readable(); });
    while (net::poller().waiting != before + 1) runtime::gosched();
    there.write(test::bytes_of("x"));
    all.wait();
    EXPECT_EQ(net::poller().waiting, before);
  });
}

}  // namespace
}  // namespace gort
