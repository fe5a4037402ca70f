// Deadlines and closing: they reach those who wait, those who come, and nobody else.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/net.hpp>
#include <gort/time.hpp>

#include "support/net_support.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test::bytes_of;
using test::connected_pair;
using test::read_text;
using test::with_procs;

class net_deadline : public ::testing::TestWithParam<int> {};

// Fills what the system takes, so that the next write has to wait.
void fill(net::conn& c) {
  const std::string text(1 << 16, 'x');
  std::error_code error;
  c.set_write_deadline(clock::now() + 50ms);
  while (!error) c.write(bytes_of(text), error);
  ASSERT_EQ(error, net::errc::timed_out);
  c.set_write_deadline({});
}

TEST_P(net_deadline, passed_before_the_operation) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    b.write(bytes_of("there is something to read"));
    a.set_deadline(clock::now() - 1s);
    std::error_code error;
    read_text(a, error);
    EXPECT_EQ(error, net::errc::timed_out);
    EXPECT_EQ(error, std::errc::timed_out);
    EXPECT_EQ(error.message(), "i/o timeout");
    EXPECT_EQ(a.write(bytes_of("x"), error), 0u);
    EXPECT_EQ(error, net::errc::timed_out);
    a.wait_readable(error);
    EXPECT_EQ(error, net::errc::timed_out);
    a.set_deadline({});
    EXPECT_EQ(read_text(a), "there is something to read");
    EXPECT_EQ(a.write(bytes_of("x")), 1u);
  });
}

// Only the epoch itself means never.
TEST_P(net_deadline, before_the_epoch_and_beyond_all_clocks) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    std::error_code error;
    for (const auto when : {clock::time_point::min(), clock::time_point(-1ns)}) {
      a.set_read_deadline(when);
      read_text(a, error);
      EXPECT_EQ(error, net::errc::timed_out);
    }
    for (const auto when : {clock::time_point::max(), clock::time_point::max() - 1ns}) {
      a.set_deadline(when);
      go([&b = b] {
        gort::sleep(2ms);
        b.write(bytes_of("x"));
      });
      EXPECT_EQ(read_text(a), "x");
    }
  });
}

TEST_P(net_deadline, passes_during_the_operation) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    const auto begun = clock::now();
    a.set_read_deadline(begun + 20ms);
    std::error_code error;
    read_text(a, error);
    EXPECT_EQ(error, net::errc::timed_out);
    EXPECT_GE(clock::now() - begun, 20ms);
    EXPECT_EQ(a.write(bytes_of("still writes"), error), 12u);
    EXPECT_FALSE(error);
    fill(a);
    b.write(bytes_of("x"));
    a.set_read_deadline(clock::now() + 1h);
    EXPECT_EQ(read_text(a), "x");
  });
}

TEST_P(net_deadline, moves_while_somebody_waits) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    for (const bool later_first : {false, true}) {
      if (later_first) a.set_read_deadline(clock::now() + 1h);
      wait_group waiting;
      std::error_code error;
      waiting.go([&, &in = a] { read_text(in, error); });
      gort::sleep(5ms);
      a.set_read_deadline(clock::now() + 10ms);  // earlier than none, earlier than an hour
      waiting.wait();
      EXPECT_EQ(error, net::errc::timed_out);
      a.set_read_deadline({});
    }
    // Later: the first deadline is forgotten. Unless it has passed before the second one is set:
    // then there is nothing to see, and the first is later the next time.
    wait_group waiting;
    std::error_code error;
    bool in_time = false;
    for (auto first = 20ms; !in_time; first *= 2) {
      const auto when = clock::now() + first;
      a.set_read_deadline(when);
      std::string heard;
      waiting.go([&, &in = a] { heard = read_text(in, error); });
      a.set_read_deadline(clock::now() + 1h);
      in_time = clock::now() < when;
      sleep_until(when + 20ms);
      b.write(bytes_of("late"));
      waiting.wait();
      if (!in_time && error) read_text(a);
      if (!in_time) continue;
      EXPECT_FALSE(error) << error.message();
      EXPECT_EQ(heard, "late");
    }
    // In the past: at once.
    waiting.go([&, &in = a] { read_text(in, error); });
    gort::sleep(5ms);
    a.set_read_deadline(clock::time_point(1ns));
    waiting.wait();
    EXPECT_EQ(error, net::errc::timed_out);
  });
}

TEST_P(net_deadline, reports_how_much_was_written) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    const std::string text(64 << 20, 'x');
    std::error_code error;
    std::size_t written = 0;
    const std::int64_t waited_before = net::poller().waiting;
    wait_group writing;
    writing.go([&, &out = a] { written = out.write(bytes_of(text), error); });
    while (net::poller().waiting == waited_before) gort::sleep(1ms);  // it has filled all there is
    a.set_write_deadline(clock::now() + 10ms);
    writing.wait();
    EXPECT_EQ(error, net::errc::timed_out);
    EXPECT_GT(written, 0u);
    a.close();
    std::size_t heard = 0;
    std::array<std::byte, 1 << 16> buffer;
    while (const std::size_t got = b.read(buffer)) heard += got;
    EXPECT_EQ(heard, written);
  });
}

TEST_P(net_deadline, of_accept_and_of_threads) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen("127.0.0.1:0");
    l.set_deadline(clock::now() + 10ms);
    std::error_code error;
    l.accept(error);
    EXPECT_EQ(error, net::errc::timed_out);
    l.set_deadline({});
    net::conn c = net::dial(background(), l.local_endpoint().to_string());
    const net::conn accepted = l.accept();
    EXPECT_TRUE(accepted.is_open());
    test::on_plain_thread([&] {
      c.set_read_deadline(clock::now() + 10ms);
      read_text(c, error);
    });
    EXPECT_EQ(error, net::errc::timed_out);
  });
}

TEST_P(net_deadline, many_short_ones_leave_nothing_armed) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    for (int i = 0; i < 2000; ++i) {
      a.set_deadline(clock::now() + std::chrono::microseconds(i % 50));
      std::error_code error;
      if (i % 3 == 0) read_text(a, error);
      a.set_deadline(clock::now() + 1h);
      b.write(bytes_of("y"));
      EXPECT_EQ(read_text(a, 1), "y");
    }
  });
}

// --- closing

TEST_P(net_deadline, close_wakes_reader_writer_and_those_behind) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    const std::string much(64 << 20, 'x');  // more than the system takes
    wait_group waiting;
    std::array<std::error_code, 5> errors;
    waiting.go([&, &c = a] { read_text(c, errors[0]); });
    waiting.go([&, &c = a] { read_text(c, errors[1]); });  // waits for its turn
    waiting.go([&, &c = a] { c.write(bytes_of(much), errors[2]); });
    waiting.go([&, &c = a] { c.write(bytes_of(much), errors[3]); });
    auto plain_done = make_chan<unit>();
    std::thread plain([&, &c = a] {
      read_text(c, errors[4]);
      plain_done.close();
    });
    gort::sleep(10ms);
    a.close();
    waiting.wait();
    plain_done.recv();
    plain.join();
    for (const std::error_code& e : errors) {
      EXPECT_EQ(e, net::errc::closed);
      EXPECT_EQ(e.message(), "use of closed network connection");
    }
    std::error_code error;
    a.close(error);
    EXPECT_EQ(error, net::errc::closed);
    read_text(a, error);
    EXPECT_EQ(error, net::errc::closed);
    a.set_deadline(clock::now(), error);
    EXPECT_EQ(error, net::errc::closed);
    EXPECT_EQ(a.native_handle(), -1);
    EXPECT_FALSE(a.is_open());
    EXPECT_EQ(a.local_endpoint(), net::endpoint());
  });
}

TEST_P(net_deadline, close_wakes_accept) {
  with_procs(GetParam(), [&] {
    const std::string abstract = "unix:@gort-close-accept-" + std::to_string(getpid());
    for (const std::string& address : {std::string("127.0.0.1:0"), abstract}) {
      net::listener l = net::listen(address);
      wait_group waiting;
      std::array<std::error_code, 3> errors;
      for (std::error_code& e : errors) waiting.go([&] { l.accept(e); });
      gort::sleep(5ms);
      l.close();
      waiting.wait();
      for (const std::error_code& e : errors) EXPECT_EQ(e, net::errc::closed);
    }
  });
}

// Closing at any moment of a read: before it, as it parks, after it was woken.
TEST_P(net_deadline, close_at_any_moment) {
  with_procs(GetParam(), [&] {
    for (int i = 0; i < 500; ++i) {
      auto [a, b] = connected_pair();
      wait_group waiting;
      std::error_code error;
      waiting.go([&, &c = a] {
        while (!error) {
          if (read_text(c, error).empty()) break;
        }
      });
      for (int k = 0; k < i % 7; ++k) runtime::gosched();
      if (i % 3 == 0) b.write(bytes_of("z"));
      a.close();
      waiting.wait();
      EXPECT_EQ(error, net::errc::closed);
    }
  });
}

TEST_P(net_deadline, moved_from_and_default_are_closed) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    net::conn moved = std::move(a);
    std::error_code error;
    read_text(a, error);
    EXPECT_EQ(error, net::errc::closed);
    EXPECT_TRUE(moved.is_open());
    moved = net::conn();  // closes
    EXPECT_EQ(read_text(b), "");
    net::listener none;
    none.accept(error);
    EXPECT_EQ(error, net::errc::closed);
    EXPECT_THROW(none.accept(), std::system_error);
    EXPECT_THROW(net::udp_socket().close(), std::system_error);
  });
}

TEST_P(net_deadline, exceptions_name_the_operation_and_both_ends) {
  with_procs(GetParam(), [&] {
    auto [a, b] = connected_pair();
    a.set_deadline(clock::now() - 1s);
    try {
      std::byte one;
      a.read({&one, 1});
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), net::errc::timed_out);
      EXPECT_EQ(std::string(e.what()), "read tcp " + a.local_endpoint().to_string() + "->" +
                                           a.remote_endpoint().to_string() + ": i/o timeout");
    }
    a.close();
    try {
      a.write(bytes_of("x"));
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_STREQ(e.what(), "write: use of closed network connection");
    }
  });
}

INSTANTIATE_TEST_SUITE_P(procs, net_deadline, ::testing::Values(1, 2),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace gort
