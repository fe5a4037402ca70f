// For tests of sockets: texts as bytes, connected pairs, counting descriptors. Loopback only.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/net.hpp>
#include <gort/wait_group.hpp>

namespace gort::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// One read of at most `most` bytes, as text.
inline std::string read_text(net::conn& c, std::error_code& error, std::size_t most = 4096) {
  std::string text(most, '\0');
  text.resize(c.read(std::as_writable_bytes(std::span(text)), error));
  return text;
}
inline std::string read_text(net::conn& c, std::size_t most = 4096) {
  std::error_code error;
  std::string text = read_text(c, error, most);
  EXPECT_FALSE(error) << error.message();
  return text;
}

/// Everything until the end of the stream.
inline std::string read_all(net::conn& c) {
  std::string all;
  for (;;) {
    const std::string piece = read_text(c, std::size_t{1} << 16);
    if (piece.empty()) return all;
    all += piece;
  }
}

/// Both ends of a connection through a listener at `address`.
inline std::pair<net::conn, net::conn> connected_pair(std::string_view address = "127.0.0.1:0") {
  net::listener l = net::listen(address);
  net::conn accepted;
  wait_group done;
  done.go([&] { accepted = l.accept(); });
  net::conn dialed = net::dial(background(), l.local_endpoint().to_string());
  done.wait();
  return {std::move(dialed), std::move(accepted)};
}

/// Runs f on a plain thread; the caller waits for it as a goroutine does, without its P.
template <class F>
void on_plain_thread(F f) {
  const auto done = make_chan<unit>();
  std::thread plain([&] {
    f();
    done.close();
  });
  done.recv();
  plain.join();
}

/// A server that sends back what it reads, until it is closed or destroyed.
class echo_server {
 public:
  explicit echo_server(std::string_view address) : listener_(net::listen(address)) {
    all_.go([this] {
      for (;;) {
        std::error_code error;
        net::conn c = listener_.accept(error);
        if (error) break;
        all_.go([c = std::move(c)]() mutable { serve(c); });
      }
    });
  }
  ~echo_server() { close(); }

  std::string address() const { return listener_.local_endpoint().to_string(); }
  net::listener& listener() { return listener_; }
  void close() {
    std::error_code error;
    listener_.close(error);
    all_.wait();
  }

  static void serve(net::conn& c) {
    std::byte buffer[4096];
    std::error_code error;
    do {
      const std::size_t got = c.read(buffer, error);
      if (error || got == 0) break;
      c.write(std::span(buffer).first(got), error);
    } while (!error);
    c.close(error);  // before the goroutine counts as done
  }

 private:
  net::listener listener_;
  wait_group all_;
};

/// Connections to it neither succeed nor fail.
class black_hole {
 public:
  explicit black_hole(std::string_view address = "127.0.0.1:0")
      : listener_(net::listen(address, {.backlog = 1})) {
    // Full by what the system says of it: a dial may also time out because we had no CPU.
    while (!is_full() && queued_.size() < 10)
      queued_.push_back(net::dial(background(), where().to_string()));
    std::error_code error;
    net::dial(background(), where().to_string(), {.timeout = std::chrono::milliseconds(50)}, error);
    swallows_ = is_full() && error == net::errc::timed_out;
  }
  bool swallows() const { return swallows_; }
  net::endpoint where() const { return listener_.local_endpoint(); }

 private:
  // Of a listener the system tells how many wait to be accepted, and how many may.
  bool is_full() const {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    return getsockopt(listener_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 &&
           info.tcpi_unacked > info.tcpi_sacked;
  }

  net::listener listener_;
  std::vector<net::conn> queued_;
  bool swallows_ = false;
};

/// Open sockets of this process. (Not all descriptors: sysmon has a file open now and then.)
inline int open_sockets() {
  int count = 0;
  std::error_code error;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    count += std::filesystem::read_symlink(each.path(), error).string().starts_with("socket:");
  return count;
}

}  // namespace gort::test
