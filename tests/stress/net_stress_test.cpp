// Thousands of connections that are opened, used, reset and dropped at random, at several numbers
// of Ps: afterwards no descriptor and no goroutine is left over. GORT_SEED=n repeats the choices.
#include <sys/resource.h>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test::bytes_of;
using test::with_procs;

// ThreadSanitizer makes each cost a hundred times as much.
constexpr int connections = base::with_tsan ? 2'000 : 10'000;
constexpr int at_a_time = 200;

using choices = std::minstd_rand;

// What one end does with its connection until it is gone.
void misbehave(net::conn& c, choices& random) {
  std::error_code error;
  std::byte buffer[512];
  wait_group helpers;  // a second goroutine on the same connection
  for (int step = 0; step < 6 && !error; ++step) {
    const auto short_time = std::chrono::microseconds(random() % 300);
    switch (random() % 8) {
      case 0: c.write(bytes_of("some bytes"), error); break;
      case 1: {
        const std::string many(random() % 100'000, 'm');
        c.set_write_deadline(clock::now() + short_time, error);
        c.write(bytes_of(many), error);
        break;
      }
      case 2:
        c.set_read_deadline(clock::now() + short_time, error);
        c.read(buffer, error);
        if (error == net::errc::timed_out) error.clear();
        break;
      case 3: c.close_write(error); break;
      case 4:
        helpers.go([&c] {
          std::error_code mine;
          std::byte own[64];
          c.read(own, mine);
        });
        break;
      case 5: c.set_deadline({}, error); break;
      case 6: gort::sleep(short_time); break;
      default: c.set_linger(0s, error); break;  // a reset instead of an end
    }
  }
  if (random() % 4 != 0) c.close(error);
  c.set_read_deadline(clock::now(), error);  // for the helpers, if it is still open
  helpers.wait();
}

class net_stress : public ::testing::TestWithParam<std::tuple<int, const char*>> {};

TEST_P(net_stress, nothing_is_left_over) {
  const auto [procs, address] = GetParam();
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const std::uint64_t seed = test::seed();
  with_procs(procs, [&, at = std::string(address)] {
    // The first use makes what stays: the poller's two descriptors.
    test::connected_pair(at);
    const int descriptors = test::open_sockets();
    const std::int64_t goroutines = runtime::num_goroutine();
    {
      net::listener l = net::listen(at);
      const std::string where = l.local_endpoint().to_string();
      wait_group all;
      all.go([&] {
        std::error_code error;
        for (std::uint64_t n = 1;; ++n) {
          net::conn c = l.accept(error);
          if (error) break;
          all.go([c = std::move(c), n, seed]() mutable {
            choices random(static_cast<unsigned>(seed + 2 * n));
            misbehave(c, random);
            c = {};  // before the goroutine counts as done
          });
        }
      });
      wait_group clients;
      for (int worker = 0; worker < at_a_time; ++worker) {
        clients.go([&, worker] {
          choices random(static_cast<unsigned>(seed + 2 * static_cast<unsigned>(worker) + 1));
          for (int i = worker; i < connections; i += at_a_time) {
            std::error_code error;
            const bool impatient = random() % 10 == 0;
            const auto limit = impatient ? std::chrono::microseconds(random() % 200) : 10s;
            net::conn c = net::dial(background(), where, {.timeout = limit}, error);
            if (!error) misbehave(c, random);
          }
        });
      }
      clients.wait();
      l.close();
      all.wait();
    }
    // The last goroutines end just after they have counted themselves out.
    for (int i = 0; i < 2000 && runtime::num_goroutine() > goroutines; ++i) gort::sleep(1ms);
    EXPECT_LE(runtime::num_goroutine(), goroutines);
    EXPECT_EQ(test::open_sockets(), descriptors);
  });
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<int, const char*>>& info) {
  return "P" + std::to_string(std::get<0>(info.param)) +
         (std::get<1>(info.param)[0] == 'u' ? "_unix" : "_tcp");
}

INSTANTIATE_TEST_SUITE_P(kinds, net_stress,
                         ::testing::Combine(::testing::Values(1, 2, 4),
                                            ::testing::Values("127.0.0.1:0", "unix:@")),
                         name_of);

// Messages through many connections between goroutines and plain threads, for a while.
class net_traffic : public ::testing::TestWithParam<int> {};

TEST_P(net_traffic, ping_pong_of_goroutines_and_threads) {
  with_procs(GetParam(), [&] {
    test::echo_server server("127.0.0.1:0");
    const auto end = clock::now() + std::chrono::duration_cast<clock::duration>(
                                        std::chrono::duration<double>(test::stress_seconds()));
    detail::atomic<long> rounds;
    auto converse = [&] {
      net::conn c = net::dial(background(), server.address());
      const std::string said = "a message of some length";
      do {  // once at least, however late its turn comes
        c.write(bytes_of(said));
        std::string heard;
        while (heard.size() < said.size()) heard += test::read_text(c);
        ASSERT_EQ(heard, said);
        rounds.fetch_add_relaxed(1);
      } while (clock::now() < end);
    };
    wait_group clients;
    for (int i = 0; i < 32; ++i) clients.go(converse);
    for (int i = 0; i < 4; ++i) clients.go([&] { test::on_plain_thread(converse); });
    clients.wait();
    EXPECT_GT(rounds.load_relaxed(), 0);
    RecordProperty("rounds", static_cast<int>(rounds.load_relaxed()));
  });
}

INSTANTIATE_TEST_SUITE_P(procs, net_traffic, ::testing::Values(1, 2, 4),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace gort
