// Datagrams: boundaries, senders, refusals, deadlines.
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
using net::endpoint;
using net::udp_socket;
using test::bytes_of;
using test::with_procs;

std::string receive(udp_socket& s, endpoint& from, std::size_t most = 2048) {
  std::string text(most, '\0');
  text.resize(s.recv_from(std::as_writable_bytes(std::span(text)), from));
  return text;
}

class net_udp : public ::testing::TestWithParam<std::tuple<int, const char*>> {
 protected:
  int procs() const { return std::get<0>(GetParam()); }
  const char* address() const { return std::get<1>(GetParam()); }
};

TEST_P(net_udp, echo_among_many) {
  with_procs(procs(), [&] {
    udp_socket server = udp_socket::bind(address());
    const endpoint at = server.local_endpoint();
    wait_group serving;
    for (int i = 0; i < 2; ++i) {  // two readers of one socket
      serving.go([&] {
        std::byte buffer[2048];
        std::error_code error;
        for (;;) {
          endpoint from;
          const std::size_t got = server.recv_from(buffer, from, error);
          if (error) break;
          server.send_to(std::span(buffer).first(got), from);
        }
        EXPECT_EQ(error, net::errc::closed);
      });
    }
    auto converse = [&at, any = address()](int id) {
      udp_socket c = id % 2 == 0 ? udp_socket::bind(any) : udp_socket::connect(at);
      for (int round = 0; round < 20; ++round) {
        const std::string said = std::to_string(id) + ":" + std::to_string(round);
        if (id % 2 == 0)
          c.send_to(bytes_of(said), at);
        else
          c.send(bytes_of(said));
        endpoint from;
        ASSERT_EQ(receive(c, from), said);
        ASSERT_EQ(from, at);
      }
    };
    wait_group clients;
    for (int i = 0; i < 20; ++i) clients.go([&, i] { converse(i); });
    clients.wait();
    test::on_plain_thread([&] {
      converse(100);
      converse(101);
    });
    server.close();
    serving.wait();
  });
}

TEST_P(net_udp, boundaries_are_kept) {
  with_procs(procs(), [&] {
    udp_socket a = udp_socket::bind(address());
    udp_socket b = udp_socket::connect(a.local_endpoint());
    EXPECT_EQ(b.remote_endpoint(), a.local_endpoint());
    EXPECT_EQ(a.remote_endpoint(), endpoint());
    endpoint from;
    b.send(bytes_of("one"));
    b.send(bytes_of(""));
    b.send(bytes_of("three is cut"));
    EXPECT_EQ(receive(a, from), "one");
    EXPECT_EQ(receive(a, from), "");
    EXPECT_EQ(receive(a, from, 5), "three");
    EXPECT_EQ(from, b.local_endpoint());
    std::error_code error;
    b.send(bytes_of(std::string(100'000, 'x')), error);
    EXPECT_EQ(error, std::errc::message_size);
  });
}

TEST_P(net_udp, deadlines_and_refusals) {
  with_procs(procs(), [&] {
    udp_socket a = udp_socket::bind(address());
    a.set_read_deadline(clock::now() + 10ms);
    std::error_code error;
    std::byte one;
    endpoint from;
    a.recv_from({&one, 1}, from, error);
    EXPECT_EQ(error, net::errc::timed_out);
    udp_socket b = udp_socket::connect(a.local_endpoint());
    a.close();
    b.send(bytes_of("anybody?"));
    b.recv({&one, 1}, error);  // told by ICMP
    EXPECT_EQ(error, std::errc::connection_refused);
  });
}

TEST_P(net_udp, of_all_addresses_speaks_both_families) {
  with_procs(procs(), [&] {
    udp_socket all = udp_socket::bind(":0");
    udp_socket one = udp_socket::bind(address());
    const endpoint to = one.local_endpoint();
    if (to.family() == net::family::ip6 && all.local_endpoint().family() == net::family::ip4)
      return;  // no IPv6 here
    all.send_to(bytes_of("hello"), to);
    endpoint from;
    EXPECT_EQ(receive(one, from), "hello");
    EXPECT_EQ(from.family(), to.family());
    one.send_to(bytes_of("yes?"), from);
    EXPECT_EQ(receive(all, from), "yes?");
    EXPECT_EQ(from, to);
    std::error_code error;
    all.send_to(bytes_of("x"), endpoint::local("/tmp/x"), error);
    EXPECT_EQ(error, net::errc::invalid_address);
  });
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<int, const char*>>& info) {
  return "P" + std::to_string(std::get<0>(info.param)) +
         (std::get<1>(info.param)[0] == '[' ? "_ip6" : "_ip4");
}

INSTANTIATE_TEST_SUITE_P(kinds, net_udp,
                         ::testing::Combine(::testing::Values(1, 2),
                                            ::testing::Values("127.0.0.1:0", "[::1]:0")),
                         name_of);

}  // namespace
}  // namespace gort
