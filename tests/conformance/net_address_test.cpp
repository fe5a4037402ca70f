// Addresses of sockets: both families at one address, IPv4 written as IPv6, and the files of Unix
// listeners, which are removed by those who made them only.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <gort/net.hpp>

#include "base/sanitizer.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using net::endpoint;
using net::listen_options;
using test::bytes_of;
using test::with_procs;

bool has_ip6() {
  std::error_code error;
  net::listen("[::1]:0", {}, error);
  return !error;
}

std::string port_of(const endpoint& e) { return std::to_string(e.port()); }

TEST(net_address, the_unspecified_one_of_ip6_is_of_both_families) {
  if (!has_ip6()) GORT_SKIP("no IPv6 on this machine");
  with_procs(2, [] {
    net::listener l = net::listen("[::]:0");
    for (const char* host : {"127.0.0.1:", "[::1]:", "[::ffff:127.0.0.1]:"}) {
      net::conn c = net::dial(background(), host + port_of(l.local_endpoint()));
      EXPECT_EQ(l.accept().remote_endpoint(), c.local_endpoint()) << host;
    }
    std::error_code error;
    net::listen("127.0.0.1:" + port_of(l.local_endpoint()), {}, error);
    EXPECT_EQ(error, std::errc::address_in_use);
    net::udp_socket all = net::udp_socket::bind("[::]:0");
    net::udp_socket one = net::udp_socket::bind("127.0.0.1:0");
    one.send_to(bytes_of("x"), endpoint::ip4({127, 0, 0, 1}, all.local_endpoint().port()));
    std::byte buffer[8];
    endpoint from;
    EXPECT_EQ(all.recv_from(buffer, from), 1u);
    EXPECT_EQ(from, one.local_endpoint());
  });
}

TEST(net_address, others_of_ip6_are_of_that_family_alone) {
  if (!has_ip6()) GORT_SKIP("no IPv6 on this machine");
  with_procs(2, [] {
    const net::listener l = net::listen("[::1]:0");
    std::error_code error;
    net::dial(background(), "127.0.0.1:" + port_of(l.local_endpoint()), {}, error);
    EXPECT_EQ(error, std::errc::connection_refused);
  });
}

TEST(net_address, ip4_written_as_ip6_is_ip4) {
  with_procs(2, [] {
    const endpoint mapped = endpoint::parse("[::ffff:127.0.0.1]:80");
    EXPECT_EQ(mapped, endpoint::parse("127.0.0.1:80"));
    EXPECT_TRUE(mapped.is_loopback());
    net::listener l = net::listen("[::ffff:127.0.0.1]:0");
    net::conn c = net::dial(background(), "127.0.0.1:" + port_of(l.local_endpoint()));
    l.accept();
    EXPECT_EQ(net::resolve(background(), "::ffff:10.1.2.3"),
              std::vector{endpoint::ip4({10, 1, 2, 3}, 0)});
    net::udp_socket here = net::udp_socket::bind("127.0.0.1:0");
    net::udp_socket there = net::udp_socket::bind("[::ffff:127.0.0.1]:0");
    here.send_to(bytes_of("x"),
                 endpoint::parse("[::ffff:127.0.0.1]:" + port_of(there.local_endpoint())));
    std::byte one;
    EXPECT_EQ(there.recv({&one, 1}), 1u);
  });
}

// --- files of Unix listeners

class net_unix_file : public ::testing::Test {
 protected:
  net_unix_file() {
    char name[] = "/tmp/gort-unix-file-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~net_unix_file() override {
    for (const char* each : {"/s", "/other", "/below/other"}) unlink((folder_ + each).c_str());
    rmdir((folder_ + "/below").c_str());
    rmdir(folder_.c_str());
  }
  std::string path() const { return folder_ + "/s"; }
  std::string address() const { return "unix:" + path(); }
  static bool exists(const std::string& path) {
    struct stat is;
    return lstat(path.c_str(), &is) == 0;
  }

  std::string folder_;
};

TEST_F(net_unix_file, goes_with_its_listener_unless_that_is_turned_off) {
  net::listener l = net::listen(address());
  EXPECT_TRUE(exists(path()));
  l.close();
  EXPECT_FALSE(exists(path()));
  { const net::listener dropped = net::listen(address()); }
  EXPECT_FALSE(exists(path()));
  net::listen(address(), {.unlink_on_close = false}).close();
  EXPECT_TRUE(exists(path()));
}

TEST_F(net_unix_file, of_a_successor_stays) {
  net::listener old = net::listen(address());
  unlink(path().c_str());
  net::listener successor = net::listen(address());
  old.close();
  EXPECT_TRUE(exists(path()));
  net::conn c = net::dial(background(), address());
  successor.close();
  EXPECT_FALSE(exists(path()));
}

TEST_F(net_unix_file, that_is_none_of_ours_stays) {
  net::listener l = net::listen(address());
  unlink(path().c_str());
  close(open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  l.close();
  EXPECT_TRUE(exists(path()));
}

TEST_F(net_unix_file, is_found_again_from_another_folder) {
  char before[4096];
  ASSERT_NE(getcwd(before, sizeof before), nullptr);
  ASSERT_EQ(chdir(folder_.c_str()), 0);
  net::listener l = net::listen("unix:other");
  ASSERT_EQ(mkdir("below", 0700), 0);
  ASSERT_EQ(chdir("below"), 0);
  close(open("other", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  l.close();
  ASSERT_EQ(chdir(before), 0);
  EXPECT_TRUE(exists(folder_ + "/below/other"));
  EXPECT_FALSE(exists(folder_ + "/other"));
}

// A child that was forked has a copy of the listener; what it destroys at its exit is the copy.
TEST_F(net_unix_file, stays_when_a_forked_child_exits) {
  GORT_NOT_UNDER(base::with_asan, "its leak checker, in the child, misses the C library's list");
  static net::listener l;
  l = net::listen(address());
  const pid_t child = fork();
  if (child == 0) std::exit(0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(exists(path()));
  l.close();
  EXPECT_FALSE(exists(path()));
}

TEST_F(net_unix_file, paths_are_not_cut_at_a_zero) {
  std::error_code error;
  net::listen(address() + std::string("\0x", 2), {}, error);
  EXPECT_EQ(error, net::errc::invalid_address);
  EXPECT_FALSE(exists(path()));
}

// The system would see the part before it, which is not what has been checked.
TEST(net_address, a_zero_in_a_host_is_refused) {
  with_procs(2, [] {
    using namespace std::string_literals;
    const net::listener l = net::listen("127.0.0.1:0");
    std::error_code error;
    net::dial(background(), "127.0.0.1\0x:"s + port_of(l.local_endpoint()), {}, error);
    EXPECT_EQ(error, net::errc::no_such_host);
    for (const std::string& host : {"127.0.0.1\0x"s, "::1\0x"s, "localhost\0x"s}) {
      EXPECT_TRUE(net::resolve(background(), host, error).empty());
      EXPECT_EQ(error, net::errc::no_such_host);
    }
    for (const std::string& text : {"127.0.0.1\0x:0"s, "[::1\0x]:0"s, "[fe80::1%lo\0x]:0"s}) {
      endpoint::parse(text, error);
      EXPECT_EQ(error, net::errc::invalid_address);
      net::listen(text, {}, error);
      EXPECT_EQ(error, net::errc::invalid_address);
      net::udp_socket::bind(text, error);
      EXPECT_EQ(error, net::errc::invalid_address);
    }
  });
}

}  // namespace
}  // namespace gort
