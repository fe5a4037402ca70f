// errno of a thread, or goroutine, is as it was after an operation that has succeeded.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/debug.hpp>
#include <gort/errgroup.hpp>
#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/single_flight.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/program.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// errno may lie elsewhere after a switch: read and written by calls.
[[gnu::noinline]] void set_errno(int value) { errno = value; }
[[gnu::noinline]] int get_errno() { return errno; }

template <class F>
void keeps_errno(const char* what, F f) {
  constexpr int odd = 4711;
  set_errno(odd);
  f();
  EXPECT_EQ(get_errno(), odd) << what;
}

// Somebody who answers only when the caller is likely to wait already.
template <class F>
void soon(F f) {
  go([f] {
    gort::sleep(5ms);
    f();
  });
}

void all_operations() {
  auto c = make_chan<int>();
  keeps_errno("go", [] { go([] {}); });
  keeps_errno("go with options", [] { go({.stack = 1 << 20, .name = "named"}, [] {}); });
  keeps_errno("recv", [&] {
    soon([c] { c.send(1); });
    c.recv();
  });
  keeps_errno("send", [&] {
    soon([c] { c.recv(); });
    c.send(1);
  });
  keeps_errno("recv_for, too late", [&] { (void)c.recv_for(2ms); });
  keeps_errno("select", [&] {
    soon([c] { c.send(1); });
    select(c.on_recv([](std::optional<int>) {}));
  });
  keeps_errno("sleep", [] { gort::sleep(2ms); });
  keeps_errno("after", [] { gort::after(2ms).recv(); });
  keeps_errno("timer", [] {
    timer t(2ms);
    t.c().recv();
    t.reset(1h);
    t.stop();
  });
  keeps_errno("ticker", [] {
    ticker t(1ms);
    t.c().recv();
  });
  keeps_errno("mutex", [] {
    mutex lock;
    lock.lock();
    soon([&lock] { lock.unlock(); });
    lock.lock();
    lock.unlock();
  });
  keeps_errno("rw_mutex", [] {
    rw_mutex lock;
    lock.lock();
    soon([&lock] { lock.unlock(); });
    lock.lock_shared();
    lock.unlock_shared();
  });
  keeps_errno("wait_group", [] {
    wait_group all;
    for (int i = 0; i < 10; ++i) all.go([] { gort::sleep(1ms); });
    all.wait();
  });
  keeps_errno("context", [] {
    auto short_lived = with_timeout(background(), 2ms);
    short_lived.ctx.done().recv();
  });
  keeps_errno("gosched", [] { runtime::gosched(); });
  keeps_errno("blocking", [] { blocking([] {}); });
  keeps_errno("stack", [] { (void)debug::stack(); });
  keeps_errno("gomaxprocs", [] {
    const int before = runtime::gomaxprocs(3);
    runtime::gomaxprocs(before);
  });
  keeps_errno("counts", [] {
    (void)debug::read_scheduler_counts();
    (void)debug::read_stack_counts();
    (void)debug::stack_usage();
  });
  keeps_errno("lock_os_thread", [] {
    runtime::lock_os_thread();
    gort::sleep(1ms);
    runtime::unlock_os_thread();
  });
}

void all_of_the_network() {
  keeps_errno("listen, accept, dial, read, write, close", [] {
    auto listener = net::listen("127.0.0.1:0");
    const std::string address = "127.0.0.1:" + std::to_string(listener.local_endpoint().port());
    go([address] {
      gort::sleep(5ms);
      net::conn c = net::dial(background(), address);
      gort::sleep(5ms);
      const std::byte five[5] = {};
      c.write(five);
      std::byte text[8];
      (void)c.read(text);
    });
    net::conn c = listener.accept();
    std::byte text[8];
    EXPECT_EQ(c.read(text), 5u);
    c.set_deadline(std::chrono::steady_clock::now() + 1h);
    c.write(std::span<const std::byte>(text, 5));
    c.close();
    listener.close();
  });
  keeps_errno("udp", [] {
    auto one = net::udp_socket::bind("127.0.0.1:0");
    const net::endpoint address = one.local_endpoint();
    go([address] {
      gort::sleep(5ms);
      auto other = net::udp_socket::bind("127.0.0.1:0");
      const std::byte five[5] = {};
      other.send_to(five, address);
    });
    std::byte text[8];
    net::endpoint from;
    EXPECT_EQ(one.recv_from(text, from), 5u);
  });
  keeps_errno("exec", [] { EXPECT_EQ(exec::output({.program = "true"}).state.code, 0); });
  keeps_errno("resolve", [] { (void)net::resolve(background(), "127.0.0.1"); });
}

TEST(program, DISABLED_first_use) {
  keeps_errno("the first use of all", [] { go([] {}); });
}

TEST(errno_is_kept, by_the_start_of_the_runtime) {
  const test::ended p = test::run_program("first_use");
  EXPECT_EQ(p.status, 0) << p.head();
}

TEST(errno_is_kept, on_a_plain_thread) {
  test::with_procs(2, [] {
    auto done = make_chan<int>();
    std::thread plain([&] {
      all_operations();
      all_of_the_network();
      done.close();
    });
    done.recv();
    plain.join();
  });
}

TEST(errno_is_kept, on_a_goroutine) {
  test::with_procs(2, [] {
    all_operations();
    all_of_the_network();
  });
}

}  // namespace
}  // namespace gort
