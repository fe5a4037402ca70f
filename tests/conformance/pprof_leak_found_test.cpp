// The profile "goroutineleak": whom it must find, and how it shows them.
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>

#include "base/sanitizer.hpp"
#include "support/leak_support.hpp"
#include "support/parked.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace {

using gort::chan;
using gort::go;
using gort::make_chan;
using gort::test::leaks;
using gort::test::more_leaks;
using gort::test::written_leaks;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Under sanitizers not all memory is looked at, so nobody is found who waits for a channel.
constexpr bool finds_all = !gort::base::with_asan && !gort::base::with_tsan;

void expect_found(std::int64_t found, std::int64_t there_are) {
  if (finds_all)
    EXPECT_EQ(found, there_are);
  else
    EXPECT_LE(found, there_are);
}

[[gnu::noinline]] void works(chan<int> from) {
  from.recv();
  asm("");
}

TEST(goroutine_leak, is_a_goroutine_whose_channel_nobody_else_has) {
  gort::test::with_procs(2, [] {
    const auto one = [](auto body) { return more_leaks(1, [&] { go(body(make_chan<int>())); }); };
    expect_found(one([](chan<int> c) { return [c] { c.recv(); }; }), 1);
    expect_found(one([](chan<int> c) { return [c] { c.send(1); }; }), 1);
    expect_found(one([](chan<int> c) {
                   return [c] {
                     for ([[maybe_unused]] int& x : c) {
                     }
                   };
                 }),
                 1);
    expect_found(one([](chan<int> c) { return [c] { works(c); }; }), 1);
    expect_found(one([](chan<int> c) {
                   return [c] {
                     auto other = make_chan<int>();
                     gort::select(c.on_recv([] {}), other.on_send(1));
                   };
                 }),
                 1);
    expect_found(more_leaks(1, [] { go(works, make_chan<int>()); }), 1);
    expect_found(more_leaks(1, [] { go([] { chan<int>().recv(); }); }), 1);
    expect_found(more_leaks(1, [] { go([] { gort::select(); }); }), 1);
    // Views are handles.
    expect_found(
        more_leaks(1, [] { go([r = chan<int>::receiver(make_chan<int>())] { r.recv(); }); }), 1);
  });
}

TEST(goroutine_leak, may_have_many_who_wait_for_each_other) {
  gort::test::with_procs(2, [] {
    // Ten on one channel.
    expect_found(more_leaks(10,
                            [] {
                              auto c = make_chan<int>();
                              for (int i = 0; i < 10; ++i) go([c] { c.recv(); });
                            }),
                 10);
    // A chain: each waits for what only the next one has, who has nobody.
    expect_found(more_leaks(20,
                            [] {
                              auto mine = make_chan<int>();
                              for (int i = 0; i < 20; ++i) {
                                auto next = make_chan<int>();
                                go([mine, next] {
                                  next.recv();
                                  mine.send(1);
                                });
                                mine = next;
                              }
                            }),
                 20);
  });
}

// The handler's frame is left on the thread's signal stack, with addresses of the goroutine's.
TEST(goroutine_leak, may_have_been_looked_at_while_it_computed) {
  gort::test::with_procs(2, [] {
    for (int i = 0; i < 10; ++i) {
      gort::detail::atomic<bool> computes, proceed;
      expect_found(more_leaks(1,
                              [&] {
                                go([&computes, &proceed, c = make_chan<int>()] {
                                  computes.store_relaxed(true);
                                  while (!proceed.load_relaxed()) continue;
                                  works(c);
                                });
                                while (!computes.load_relaxed()) gort::runtime::gosched();
                                gort::test::waiting_goroutines();
                                proceed.store_relaxed(true);
                              }),
                   1);
    }
  });
}

TEST(goroutine_leak, is_found_by_a_plain_thread_too) {
  gort::test::with_procs(2, [] {
    const std::int64_t before = leaks();
    gort::test::until_more_wait(1, [] { go(works, make_chan<int>()); });
    std::int64_t found = 0;
    auto end = make_chan<int>();
    const gort::test::arrivals since;
    std::thread plain([&, end] {
      // Who starts it may know an address from before.
      since.wait_for(1, gort::test::wait_reason::chan_receive);
      found = leaks() - before;
      end.close();
    });
    end.recv();
    plain.join();
    expect_found(found, 1);
  });
}

TEST(goroutine_leak, is_shown_as_go_shows_it) {
  gort::test::with_procs(2, [] {
    const std::int64_t before = leaks();
    gort::test::until_more_wait(3, [] {
      for (int i = 0; i < 3; ++i)
        gort::pprof::with_labels(gort::pprof::labels("shop", "north"),
                                 [] { go(works, make_chan<int>()); });
    });
    const auto profile = gort::test::profile_reader::read(gort::test::gunzip(written_leaks(0)));
    EXPECT_THAT(profile.types, ElementsAre("goroutineleak/count"));
    EXPECT_EQ(profile.period_type, "goroutineleak/count");
    if (!finds_all) return;
    EXPECT_EQ(profile.total(), before + 3) << profile.all_stacks();
    const std::string text = written_leaks(1);
    EXPECT_THAT(text,
                StartsWith("goroutineleak profile: total " + std::to_string(before + 3) + "\n"));
    const std::string dump = written_leaks(2);
    EXPECT_THAT(dump, StartsWith("goroutine 1 [running]:\n"));
    EXPECT_THAT(text, HasSubstr("3 @ 0x"));
    EXPECT_THAT(text, HasSubstr("# labels: {\"shop\":\"north\"}\n"));
    EXPECT_THAT(dump, HasSubstr(" [chan receive (leaked)] {shop: north}:\n"));
    // From then on every dump says so.
    std::string all(1 << 20, '\0');
    all.resize(gort::runtime::stack(std::span(all.data(), all.size()), true));
    EXPECT_THAT(all, HasSubstr(" [chan receive (leaked)] {shop: north}:\n"));
  });
}

}  // namespace
