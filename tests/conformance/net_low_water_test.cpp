// Sockets whose events do not tell all: with SO_RCVLOWAT the system says nothing about fewer bytes
// than that. A read takes what is there all the same; and one into nothing waits for nothing.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include <gort/net.hpp>
#include <gort/time.hpp>

#include "support/net_support.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::with_procs;

void set_low_water(int fd, int bytes) {
  ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes), 0);
}

// Much, then little, which is there before it is asked for.
void expect_reads_all(net::conn& from, net::conn& to) {
  from.set_read_deadline(std::chrono::steady_clock::now() + 20s);
  std::error_code error;
  to.write(test::bytes_of(std::string(150, 'x')));
  EXPECT_EQ(test::read_text(from, error).size(), 150u);
  EXPECT_FALSE(error) << error.message();
  to.write(test::bytes_of(std::string(50, 'y')));
  for (int on_the_way = 1; on_the_way != 0; gort::sleep(1ms))
    ASSERT_EQ(ioctl(to.native_handle(), TIOCOUTQ, &on_the_way), 0);
  EXPECT_EQ(test::read_text(from, error).size(), 50u);
  EXPECT_FALSE(error) << error.message();
}

TEST(net_low_water, of_an_adopted_socket) {
  with_procs(2, [] {
    auto [here, there] = test::connected_pair();
    const int fd = dup(here.native_handle());
    here.close();
    set_low_water(fd, 100);
    net::conn adopted = net::conn::adopt(fd);
    expect_reads_all(adopted, there);
  });
}

TEST(net_low_water, set_by_number) {
  with_procs(2, [] {
    auto [here, there] = test::connected_pair();
    set_low_water(here.native_handle(), 100);
    expect_reads_all(here, there);
  });
}

TEST(net_low_water, inherited_from_a_listener) {
  with_procs(2, [] {
    net::listener l = net::listen("127.0.0.1:0");
    set_low_water(l.native_handle(), 100);
    net::conn dialed = net::dial(background(), l.local_endpoint().to_string());
    net::conn accepted = l.accept();
    expect_reads_all(accepted, dialed);
  });
}

// Also when the last read has left nothing, and the next is known to have to wait.
TEST(net_low_water, into_nothing_nothing_is_waited_for) {
  with_procs(1, [] {
    auto [a, b] = test::connected_pair();
    EXPECT_EQ(a.read({}), 0u);
    b.write(test::bytes_of("abc"));
    EXPECT_EQ(test::read_text(a), "abc");
    EXPECT_EQ(a.read({}), 0u);
    EXPECT_EQ(a.write({}), 0u);
    EXPECT_EQ(a.write_vectored({}), 0u);
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(a.send_file(file, 0, 0), 0u);
    a.close();
    std::error_code error;
    a.read({}, error);
    EXPECT_EQ(error, net::errc::closed);
    a.send_file(file, 0, 0, error);
    EXPECT_EQ(error, net::errc::closed);
    close(file);
  });
}

}  // namespace
}  // namespace gort
