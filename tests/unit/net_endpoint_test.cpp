// Endpoints: texts there and back, what is refused, what the system is told.
#include <string>

#include <gtest/gtest.h>

#include <gort/net/endpoint.hpp>
#include <gort/net/errors.hpp>

#include "net/io.hpp"

namespace gort::net {
namespace {

TEST(net_endpoint, texts_there_and_back) {
  for (const char* text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
        "[2001:db8::1:2]:443", "[fe80::1%7]:22", "unix:/tmp/x", "unix:@name", "unix:relative"}) {
    std::error_code error;
    const endpoint e = endpoint::parse(text, error);
    EXPECT_FALSE(error) << text << ": " << error.message();
    EXPECT_EQ(e.to_string(), text);
    EXPECT_EQ(endpoint::parse(text), e);
  }
  EXPECT_EQ(endpoint::parse("[0:0:0:0:0:0:0:1]:1").to_string(), "[::1]:1");
  EXPECT_EQ(endpoint().to_string(), "");
}

TEST(net_endpoint, parts) {
  const endpoint four = endpoint::parse("127.0.0.2:8080");
  EXPECT_EQ(four.family(), family::ip4);
  EXPECT_EQ(four.port(), 8080);
  EXPECT_EQ(four.host(), "127.0.0.2");
  EXPECT_TRUE(four.is_loopback());
  EXPECT_EQ(four.with_port(1).to_string(), "127.0.0.2:1");
  EXPECT_EQ(endpoint::ip4({127, 0, 0, 2}, 8080), four);
  const endpoint six = endpoint::parse("[fe80::1%3]:9");
  EXPECT_EQ(six.family(), family::ip6);
  EXPECT_EQ(six.scope(), 3u);
  EXPECT_FALSE(six.is_loopback());
  EXPECT_TRUE(endpoint::parse("[::1]:9").is_loopback());
  EXPECT_FALSE(endpoint::parse("10.0.0.1:9").is_loopback());
  EXPECT_EQ(endpoint::parse("unix:/a/b").path(), "/a/b");
}

TEST(net_endpoint, what_is_refused) {
  const auto error_of_text = [](const std::string& text) {
    std::error_code error;
    endpoint::parse(text, error);
    return error;
  };
  for (const char* text : {"", "127.0.0.1", "[::1]", "[::1]:", "127.0.0.1:", "::]"})
    EXPECT_EQ(error_of_text(text), errc::missing_port) << text;
  for (const char* text :
       {":80", "localhost:80", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8o", "127.0.0.1: 80",
        "1.2.3:80", "1.2.3.4.5:80", "::1:80", "[::1:80", "::1]:80", "[[::1]]:80", "[fe80::1%]:80",
        "[fe80::1%no-such-interface]:80", "unix:", "127.0.0.1\n:80"})
    EXPECT_EQ(error_of_text(text), errc::invalid_address) << text;
  EXPECT_EQ(error_of_text("unix:" + std::string(108, 'x')), errc::invalid_address);
  EXPECT_FALSE(error_of_text("unix:" + std::string(107, 'x')));
  EXPECT_EQ(error_of_text(std::string(5000, '1') + ":1"), errc::invalid_address);
  EXPECT_THROW(endpoint::parse("nonsense"), std::system_error);
  try {
    endpoint::parse("nonsense");
  } catch (const std::system_error& e) {
    EXPECT_STREQ(e.what(), "parse nonsense: missing port in address");
  }
}

TEST(net_endpoint, system_addresses_there_and_back) {
  for (const char* text :
       {"127.0.0.1:80", "[2001:db8::1]:443", "[fe80::1%7]:22", "unix:/tmp/x", "unix:@name"}) {
    const endpoint e = endpoint::parse(text);
    EXPECT_EQ(from_system(to_system(e, system_family(e))), e) << text;
  }
  // An IPv6 socket takes IPv4 addresses; what comes from it looks like one.
  const endpoint four = endpoint::parse("10.1.2.3:80");
  const os::socket_address mapped = to_system(four, AF_INET6);
  EXPECT_EQ(mapped.storage.ss_family, AF_INET6);
  EXPECT_EQ(from_system(mapped), four);
  EXPECT_EQ(to_system(endpoint::parse("[::1]:1"), AF_INET).bytes, 0u);
  EXPECT_EQ(to_system(endpoint::local("/x"), AF_INET6).bytes, 0u);
  os::socket_address unnamed;
  unnamed.storage.ss_family = AF_UNIX;
  unnamed.bytes = sizeof(sa_family_t);
  EXPECT_EQ(from_system(unnamed), endpoint::local("@"));
}

TEST(net_errors, texts_and_conditions) {
  EXPECT_EQ(make_error_code(errc::closed).message(), "use of closed network connection");
  EXPECT_EQ(make_error_code(errc::timed_out).message(), "i/o timeout");
  EXPECT_EQ(make_error_code(errc::timed_out), std::errc::timed_out);
  EXPECT_NE(make_error_code(errc::closed), std::errc::timed_out);
  EXPECT_EQ(make_error_code(errc::no_such_host).message(), "no such host");
  EXPECT_STREQ(category().name(), "net");
}

}  // namespace
}  // namespace gort::net
