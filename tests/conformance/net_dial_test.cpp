// Dialing and resolving: refusals, timeouts, cancellation, happy eyeballs. The machine's loopback
// offers a black hole: a listener whose queue is full drops what asks to be let in. The program has
// a connect() of its own, by which a race goes as a test wants it.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "net/dial.hpp"
#include "net/io.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

// While there is one, connections to `to` begin when it is released, and others once one of those
// has come. Both block their threads, as a slow system call does.
struct late_connect {
  explicit late_connect(const gort::net::endpoint& e);
  ~late_connect();
  void release() {
    is_released.store(true, std::memory_order_release);  // pairs with the wait in connect()
    is_released.notify_all();
  }

  const gort::os::socket_address to;
  std::atomic<bool> has_come{false};
  std::atomic<bool> is_released{false};
};
std::atomic<late_connect*> late;  // its test ends after the goroutines that look at it

late_connect::late_connect(const gort::net::endpoint& e)
    : to(gort::net::to_system(e, gort::net::system_family(e))) {
  late.store(this, std::memory_order_release);  // pairs with the load in connect()
}
late_connect::~late_connect() { late.store(nullptr, std::memory_order_relaxed); }

}  // namespace

int connect(int fd, const sockaddr* to, socklen_t bytes) {
  if (late_connect* l = late.load(std::memory_order_acquire); l != nullptr) {
    if (bytes == l->to.bytes && std::memcmp(to, &l->to.storage, bytes) == 0) {
      l->has_come.store(true, std::memory_order_release);  // pairs with the wait below
      l->has_come.notify_all();
      l->is_released.wait(false, std::memory_order_acquire);
    } else {
      l->has_come.wait(false, std::memory_order_acquire);
    }
  }
  return static_cast<int>(syscall(SYS_connect, fd, to, bytes));
}

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using net::endpoint;
using test::black_hole;
using test::bytes_of;
using test::echo_server;
using test::with_procs;

// A port where nobody listens, now.
endpoint free_port(const char* address = "127.0.0.1:0") {
  return net::listen(address).local_endpoint();
}

class net_dial : public ::testing::TestWithParam<int> {};

TEST_P(net_dial, refused) {
  with_procs(GetParam(), [&] {
    std::error_code error;
    net::conn c = net::dial(background(), free_port().to_string(), {}, error);
    EXPECT_EQ(error, std::errc::connection_refused) << error.message();
    EXPECT_FALSE(c.is_open());
    net::dial(background(), "unix:/tmp/gort-nobody-is-here", {}, error);
    EXPECT_EQ(error, std::errc::no_such_file_or_directory);
    const std::string address = free_port().to_string();
    try {
      net::dial(background(), address);
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_EQ(std::string(e.what()), "dial " + address + ": Connection refused");
    }
  });
}

TEST_P(net_dial, bad_addresses) {
  with_procs(GetParam(), [&] {
    for (const char* text : {"127.0.0.1", "localhost", "[::1]", "127.0.0.1:"}) {
      std::error_code error;
      net::dial(background(), text, {}, error);
      EXPECT_EQ(error, net::errc::missing_port) << text;
    }
    for (const char* text : {"127.0.0.1:99999", "::1:80", "127.0.0.1:http", "[::1:80", "unix:"}) {
      std::error_code error;
      net::dial(background(), text, {}, error);
      EXPECT_EQ(error, net::errc::invalid_address) << text;
      net::listen(text, {}, error);
      EXPECT_EQ(error, net::errc::invalid_address) << text;
    }
  });
}

// Only 0 is no limit.
TEST_P(net_dial, a_negative_timeout_has_passed) {
  with_procs(GetParam(), [&] {
    const echo_server server("127.0.0.1:0");
    for (const auto timeout : {-1ns, std::chrono::nanoseconds::min()}) {
      std::error_code error;
      net::dial(background(), server.address(), {.timeout = timeout}, error);
      EXPECT_EQ(error, net::errc::timed_out);
    }
  });
}

TEST_P(net_dial, timeout_deadline_and_cancellation) {
  with_procs(GetParam(), [&] {
    const black_hole hole;
    if (!hole.swallows()) GORT_SKIP("a full listener does not drop connections here");
    const std::string address = hole.where().to_string();
    std::error_code error;
    net::dial(background(), address, {.timeout = 20ms}, error);
    EXPECT_EQ(error, net::errc::timed_out);
    {
      const auto [ctx, cancel] = with_timeout(background(), 20ms);
      net::dial(ctx, address, {.timeout = 1h}, error);
      EXPECT_EQ(error, context_error::deadline_exceeded);
    }
    {
      const auto [ctx, cancel] = with_cancel(background());
      wait_group canceler;
      canceler.go([&, &stop = cancel] {
        gort::sleep(20ms);
        stop();
      });
      net::dial(ctx, address, {}, error);
      EXPECT_EQ(error, context_error::canceled);
      canceler.wait();
      net::dial(ctx, address, {}, error);  // cancelled before
      EXPECT_EQ(error, context_error::canceled);
    }
    test::on_plain_thread([&] { net::dial(background(), address, {.timeout = 20ms}, error); });
    EXPECT_EQ(error, net::errc::timed_out);
  });
}

// A connection that comes about just as its dial is cancelled is usable or gone, never half.
TEST_P(net_dial, cancelled_at_any_moment) {
  with_procs(GetParam(), [&] {
    echo_server server("127.0.0.1:0");
    int made = 0;
    for (int i = 0; i < 300; ++i) {
      const auto [ctx, cancel] = with_cancel(background());
      wait_group canceler;
      canceler.go([&, i, &stop = cancel] {
        for (int k = 0; k < i % 5; ++k) runtime::gosched();
        stop();
      });
      std::error_code error;
      net::conn c = net::dial(ctx, server.address(), {}, error);
      canceler.wait();
      EXPECT_EQ(c.is_open(), !error);
      if (error) {
        EXPECT_EQ(error, context_error::canceled);
        continue;
      }
      ++made;
      c.write(bytes_of("hello"));
      EXPECT_EQ(test::read_text(c), "hello");
    }
    RecordProperty("made", made);
  });
}

TEST_P(net_dial, unix_listener_with_a_full_queue_is_waited_for) {
  with_procs(GetParam(), [&] {
    const std::string address = "unix:@gort-full-queue-" + std::to_string(getpid());
    net::listener l = net::listen(address, {.backlog = 1});
    std::vector<net::conn> made;
    std::error_code error;
    while (!error && made.size() < 10)
      made.push_back(net::dial(background(), address, {.timeout = 20ms}, error));
    ASSERT_EQ(error, net::errc::timed_out);
    wait_group accepting;
    accepting.go([&] {
      gort::sleep(10ms);
      l.accept();
    });
    net::dial(background(), address, {}, error);
    EXPECT_FALSE(error) << error.message();
    accepting.wait();
  });
}

// --- several addresses

TEST_P(net_dial, next_address_is_tried_after_the_stagger) {
  with_procs(GetParam(), [&] {
    const black_hole hole;
    if (!hole.swallows()) GORT_SKIP("a full listener does not drop connections here");
    echo_server server("127.0.0.1:0");
    const endpoint good = endpoint::parse(server.address());
    std::error_code error;
    auto begun = clock::now();
    net::conn c = net::race(background(), std::vector{hole.where(), good}, 50ms, error);
    EXPECT_FALSE(error) << error.message();
    EXPECT_EQ(c.remote_endpoint(), good);
    EXPECT_GE(clock::now() - begun, 50ms);
    // A failure does not wait for the stagger; a black hole's neighbours do not wait for it.
    c = net::race(background(), std::vector{free_port(), good}, 1h, error);
    EXPECT_EQ(c.remote_endpoint(), good);
    c = net::race(background(), std::vector{hole.where(), free_port(), good, hole.where()}, 10ms,
                  error);
    EXPECT_EQ(c.remote_endpoint(), good);
    // The winner is usable, and was not touched by the cancellation of the others.
    gort::sleep(20ms);
    c.write(bytes_of("hello"));
    EXPECT_EQ(test::read_text(c), "hello");
  });
}

// One after the other, and still a silent address does not use up the time of those behind it.
TEST(net_dial_order, without_a_stagger_each_address_has_a_share_of_the_time) {
  with_procs(2, [&] {
    const black_hole hole;
    if (!hole.swallows()) GORT_SKIP("a full listener does not drop connections here");
    echo_server server("127.0.0.1:0");
    const endpoint good = endpoint::parse(server.address());
    std::error_code error;
    const auto [ctx, cancel] = with_timeout(background(), 60s);
    net::conn c;
    {
      const auto [own, stop] = with_timeout(ctx, 10s);  // half of it for each
      c = net::race(own, std::vector{hole.where(), good}, -1ns, error);
      EXPECT_FALSE(error) << error.message();
    }
    const auto [little, stop] = with_timeout(ctx, 60ms);
    net::race(little, std::vector{hole.where(), hole.where(), hole.where()}, -1ns, error);
    EXPECT_EQ(error, context_error::deadline_exceeded);
    net::race(ctx, std::vector{free_port(), free_port()}, -1ns, error);
    EXPECT_EQ(error, std::errc::connection_refused);
    // dial() by name: the machine's own two addresses.
    c = net::dial(background(), ":" + std::to_string(good.port()),
                  {.timeout = 20s, .stagger = -1ns}, error);
    EXPECT_FALSE(error) << error.message();
  });
}

// What a race may leave behind for a moment, and no longer.
void expect_nothing_left(int sockets_before, std::int64_t goroutines_before) {
  const auto patience_end = clock::now() + 20s;
  while ((runtime::num_goroutine() > goroutines_before || test::open_sockets() > sockets_before) &&
         clock::now() < patience_end)
    gort::sleep(1ms);
  EXPECT_EQ(runtime::num_goroutine(), goroutines_before);
  EXPECT_EQ(test::open_sockets(), sockets_before);
}

// Over TCP it finds itself cancelled; a Unix socket is connected at once.
TEST_P(net_dial, loser_of_a_race_that_connects_later_is_closed) {
  with_procs(GetParam(), [&] {
    const std::string local = "unix:@gort-late-" + std::to_string(getpid());
    for (const std::string& address : {std::string("127.0.0.1:0"), local}) {
      net::listener slow = net::listen(address);
      net::listener fast = net::listen("127.0.0.1:0");
      test::until_goroutines_left();
      const int sockets_before = test::open_sockets();
      const auto goroutines_before = runtime::num_goroutine();
      late_connect loser(slow.local_endpoint());
      {
        std::error_code error;
        const std::vector both{slow.local_endpoint(), fast.local_endpoint()};
        net::conn won = net::race(background(), both, 1ms, error);
        EXPECT_FALSE(error) << error.message();
        EXPECT_EQ(won.remote_endpoint(), fast.local_endpoint());
        loser.release();
        slow.set_deadline(clock::now() + 20s);
        net::conn lost = slow.accept(error);
        EXPECT_FALSE(error) << address << ": " << error.message();
        lost.set_read_deadline(clock::now() + 20s);
        EXPECT_EQ(test::read_text(lost, error), "");
        EXPECT_FALSE(error) << address << " was left open: " << error.message();
        EXPECT_TRUE(won.is_open());
      }
      expect_nothing_left(sockets_before, goroutines_before);
    }
  });
}

TEST_P(net_dial, loser_of_a_race_that_waits_ends) {
  with_procs(GetParam(), [&] {
    const black_hole hole;
    if (!hole.swallows()) GORT_SKIP("a full listener does not drop connections here");
    net::listener fast = net::listen("127.0.0.1:0");
    test::until_goroutines_left();
    const int sockets_before = test::open_sockets();
    const auto goroutines_before = runtime::num_goroutine();
    std::error_code error;
    net::race(background(), std::vector{hole.where(), fast.local_endpoint()}, 10ms, error);
    EXPECT_FALSE(error) << error.message();
    expect_nothing_left(sockets_before, goroutines_before);
  });
}

TEST_P(net_dial, all_addresses_fail) {
  with_procs(GetParam(), [&] {
    std::error_code error;
    net::race(background(), std::vector{free_port(), free_port("[::1]:0")}, 10ms, error);
    EXPECT_EQ(error, std::errc::connection_refused);
    net::race(background(), {}, 10ms, error);
    EXPECT_EQ(error, net::errc::no_address);
    const black_hole hole;
    if (!hole.swallows()) GORT_SKIP("a full listener does not drop connections here");
    const auto [ctx, cancel] = with_timeout(background(), 30ms);
    net::race(ctx, std::vector{hole.where(), hole.where(), free_port()}, 5ms, error);
    EXPECT_EQ(error, context_error::deadline_exceeded);
  });
}

TEST(net_dial_order, families_alternate) {
  const auto four = [](std::uint8_t n) { return endpoint::ip4({10, 0, 0, n}, 1); };
  const auto six = [](std::uint8_t n) { return endpoint::ip6({0xfd, n}, 1); };
  using list = std::vector<endpoint>;
  EXPECT_EQ(net::interleave(list{six(1), six(2), six(3), four(1), four(2)}),
            (list{six(1), four(1), six(2), four(2), six(3)}));
  EXPECT_EQ(net::interleave(list{four(1), six(1), six(2), six(3)}),
            (list{four(1), six(1), six(2), six(3)}));
  EXPECT_EQ(net::interleave(list{}), list{});
}

// --- names

TEST_P(net_dial, names_are_resolved) {
  with_procs(GetParam(), [&] {
    std::error_code error;
    const auto found = net::resolve(background(), "localhost", error);
    ASSERT_FALSE(error) << error.message();
    ASSERT_FALSE(found.empty());
    for (const endpoint& e : found) EXPECT_TRUE(e.is_loopback()) << e.to_string();
    EXPECT_EQ(net::resolve(background(), "::1"), std::vector{endpoint::parse("[::1]:0")});
    net::resolve(background(), "no-such-host.invalid", error);
    EXPECT_TRUE(error == net::errc::no_such_host || error == net::errc::name_server)
        << error.message();
    net::resolve(background(), "", error);
    EXPECT_EQ(error, net::errc::no_such_host);
    const auto [ctx, cancel] = with_cancel(background());
    cancel();
    net::resolve(ctx, "localhost", error);
    EXPECT_EQ(error, context_error::canceled);

    // Both families are tried: the server has one of them.
    for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
      echo_server server(address);
      const auto port = std::to_string(endpoint::parse(server.address()).port());
      if (std::string(address) == "[::1]:0" && found.size() == 1) continue;
      net::conn c = net::dial(background(), "localhost:" + port);
      EXPECT_EQ(c.remote_endpoint().to_string(), server.address());
      c = net::dial(background(), ":" + port);
      EXPECT_EQ(c.remote_endpoint().to_string(), server.address());
    }
  });
}

TEST_P(net_dial, many_look_ups_at_once) {
  with_procs(GetParam(), [&] {
    wait_group all;
    detail::atomic<int> good;
    for (int i = 0; i < 100; ++i) {
      all.go([&] {
        std::error_code error;
        if (!net::resolve(background(), "localhost", error).empty()) good.fetch_add_relaxed(1);
      });
    }
    all.wait();
    EXPECT_EQ(good.load_relaxed(), 100);
  });
}

INSTANTIATE_TEST_SUITE_P(procs, net_dial, ::testing::Values(1, 2),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace gort
