// The leak check: what it finds, what it tolerates, what it waits for, and the GoogleTest fixture.
#include <gort/ops/gtest_leak_check.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/ops/leak_check.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/parked.hpp"

namespace {

using namespace std::chrono_literals;
using gort::ops::goroutine_info;
using gort::ops::leak_check;
using gort::ops::leak_options;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Where a leak is what is expected, five seconds of waiting for its end tell nothing.
leak_options briefly() {
  leak_options options;
  options.patience = 20ms;
  return options;
}

// A goroutine that waits until the channel is closed: when this returns.
gort::chan<int> start_waiter(const char* name = "") {
  auto c = gort::make_chan<int>();
  auto started = gort::make_chan<std::uint64_t>();
  gort::go({.name = name}, [c, started] {
    started.send(gort::this_goroutine::id());
    c.recv();
  });
  gort::test::until_parked(*started.recv());
  return c;
}

template <class F>
void at_one_p(F f) {
  gort::run([&] {
    const int before = gort::runtime::gomaxprocs(1);
    f();
    gort::runtime::gomaxprocs(before);
  });
}

// --- the text ------------------------------------------------------------------------------------

TEST(parse_goroutines, splits_a_dump) {
  const auto all = gort::ops::parse_goroutines(
      "goroutine 1 [running]:\n"
      "main()\n"
      "\t/src/main.cpp:7 +0x1d\n"
      "\n"
      "goroutine 34 [chan receive, 3 minutes, locked to thread]:\n"
      "shop::queue::pop(0xc000112000, {0x1, 0x2})\n"
      "\t/src/shop/queue.cpp:88 +0x61\n"
      "shop::serve(...)\n"
      "\t/src/shop/serve.cpp:41\n"
      "created by shop::start in goroutine 7\n"
      "\t/src/shop/pool.cpp:52 +0x9d\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, 1u);
  EXPECT_EQ(all[0].state, "running");
  EXPECT_THAT(all[0].functions, ElementsAre("main"));
  EXPECT_EQ(all[0].created_by, "");
  EXPECT_EQ(all[1].id, 34u);
  EXPECT_EQ(all[1].state, "chan receive");
  EXPECT_THAT(all[1].functions, ElementsAre("shop::queue::pop", "shop::serve"));
  EXPECT_EQ(all[1].created_by, "shop::start");
  EXPECT_EQ(all[1].created_at, "/src/shop/pool.cpp:52");
  EXPECT_TRUE(all[1].text.starts_with("goroutine 34 "));
  EXPECT_TRUE(all[1].text.ends_with("+0x9d"));
}

TEST(parse_goroutines, takes_other_headers) {
  const auto all = gort::ops::parse_goroutines(
      "goroutine 5 gp=0xc0 m=nil mp=0x0 [select (no cases)]:\nf()\n\t/a.cpp:1 +0x1\n"
      "created by g\n\t/b.cpp:2 +0x2\n");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].state, "select (no cases)");
  EXPECT_EQ(all[0].created_by, "g");
  EXPECT_EQ(all[0].created_at, "/b.cpp:2");
}

TEST(parse_goroutines, survives_a_cut_and_nonsense) {
  EXPECT_THAT(gort::ops::parse_goroutines(""), IsEmpty());
  EXPECT_THAT(gort::ops::parse_goroutines("\n\n\n"), IsEmpty());
  EXPECT_THAT(gort::ops::parse_goroutines("goroutine "), IsEmpty());
  EXPECT_THAT(gort::ops::parse_goroutines("goroutine x [running]:\n"), IsEmpty());
  const auto named =
      gort::ops::parse_goroutines("goroutine 3 [sleep, 2 minutes] {name: a}:\nf(...)\n");
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].state, "sleep");
  EXPECT_THAT(gort::ops::parse_goroutines("goroutine 1 ]: [\n"), IsEmpty());
  EXPECT_THAT(gort::ops::parse_goroutines("fatal error: no\n\nexit status 2\n"), IsEmpty());
  const auto cut = gort::ops::parse_goroutines("goroutine 3 [sleep]:\nf()\n\t");
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_THAT(cut[0].functions, ElementsAre("f"));
}

TEST(describe_leaks, joins_the_same_leak) {
  goroutine_info one{.id = 5,
                     .state = "chan send",
                     .functions = {"f"},
                     .created_by = "shop::start",
                     .created_at = "/src/pool.cpp:52",
                     .text = "goroutine 5 [chan send]:\nf()"};
  goroutine_info two = one;
  two.id = 6;
  goroutine_info other = one;
  other.id = 7;
  other.created_at = "/src/pool.cpp:60";
  const std::string text = gort::ops::describe_leaks(std::vector{one, two, other});
  EXPECT_THAT(text, HasSubstr("found unexpected goroutines: 3\n"));
  EXPECT_THAT(text, HasSubstr("2 [chan send] goroutines 5, 6, created by shop::start at "
                              "/src/pool.cpp:52\n"));
  EXPECT_THAT(text, HasSubstr("1 [chan send] goroutine 7, created by shop::start at "
                              "/src/pool.cpp:60\n"));
  EXPECT_EQ(gort::ops::describe_leaks({}), "");
}

// --- the check -----------------------------------------------------------------------------------

TEST(leak_check, finds_nothing_where_nothing_stays) {
  at_one_p([] {
    const leak_check check;
    auto c = start_waiter();
    c.close();
    EXPECT_THAT(check.find(), IsEmpty());
  });
}

TEST(leak_check, finds_who_stays_and_names_the_creator) {
  at_one_p([] {
    const leak_check check(briefly()), patient;
    auto c = start_waiter("forgotten");
    const auto leaks = check.find();
    ASSERT_EQ(leaks.size(), 1u);
    EXPECT_NE(leaks[0].id, gort::this_goroutine::id());
    EXPECT_EQ(leaks[0].state, "chan receive");
    EXPECT_EQ(leaks[0].name, "forgotten");
    EXPECT_NE(leaks[0].created_by, "");
    EXPECT_NE(leaks[0].text, "");
    c.close();
    EXPECT_THAT(patient.find(), IsEmpty());
  });
}

TEST(leak_check, finds_many) {
  at_one_p([] {
    const leak_check check(briefly()), patient;
    constexpr std::size_t many = 1000;
    auto c = gort::make_chan<int>();
    for (std::size_t i = 0; i < many; ++i) gort::go([c] { c.recv(); });
    EXPECT_EQ(check.find().size(), many);
    c.close();
    EXPECT_THAT(patient.find(), IsEmpty());
  });
}

TEST(leak_check, waits_for_stragglers) {
  at_one_p([] {
    const leak_check check;
    gort::go([] { gort::sleep(30ms); });
    EXPECT_THAT(check.find(), IsEmpty());
  });
}

// Whoever asks is newer than the check, here; and main is nobody's leak.
TEST(leak_check, does_not_count_the_caller_or_main) {
  const leak_check check(briefly());
  gort::run([&] {
    auto found = gort::make_chan<std::size_t>();
    gort::go([&] { found.send(check.find().size()); });
    EXPECT_EQ(*found.recv(), 0u);
  });
}

TEST(leak_check, finds_what_a_plain_thread_has_started) {
  auto c = gort::make_chan<int>();
  const leak_check check(briefly()), patient;
  gort::go([c] { c.recv(); });
  EXPECT_EQ(check.find().size(), 1u);
  c.close();
  EXPECT_THAT(patient.find(), IsEmpty());
}

// A comparison of counts would pass here.
TEST(leak_check, one_ended_does_not_make_up_for_one_leaked) {
  at_one_p([] {
    auto older = start_waiter();
    const leak_check check(briefly()), patient;
    older.close();
    EXPECT_THAT(patient.find(), IsEmpty());
    auto leaked = start_waiter();
    EXPECT_EQ(check.find().size(), 1u);
    leaked.close();
    EXPECT_THAT(patient.find(), IsEmpty());
  });
}

TEST(leak_check, tolerates_those_of_before) {
  at_one_p([] {
    auto older = start_waiter();
    EXPECT_THAT(leak_check(briefly()).find(), IsEmpty());
    older.close();
  });
}

TEST(leak_check, tolerates_by_name) {
  at_one_p([] {
    leak_options options = briefly();
    options.names = {"pool "};
    const leak_check check(options);
    auto pool = start_waiter("pool 7");
    EXPECT_THAT(check.find(), IsEmpty());
    auto other = start_waiter("other pool ");
    const auto leaks = check.find();
    ASSERT_EQ(leaks.size(), 1u);
    EXPECT_EQ(leaks[0].name, "other pool ");
    pool.close();
    other.close();
  });
}

TEST(leak_check, tolerates_by_function_and_creator) {
  at_one_p([] {
    const leak_check check(briefly()), patient;
    auto c = start_waiter();
    const auto leaks = check.find();
    ASSERT_EQ(leaks.size(), 1u);
    const auto still_found = [&](leak_options options) {
      options.patience = 20ms;
      const leak_check second(std::move(options));
      auto waiter = start_waiter();
      const std::size_t found = second.find().size();
      waiter.close();
      return found;
    };
    EXPECT_EQ(still_found({}), 1u);
    EXPECT_EQ(still_found({.creators = {leaks[0].created_by}}), 0u);
    EXPECT_EQ(still_found({.creators = {"no::such"}}), 1u);
    ASSERT_FALSE(leaks[0].functions.empty());
    EXPECT_EQ(still_found({.functions = {leaks[0].functions.back()}}), 0u);
    EXPECT_EQ(still_found({.functions = {"no::such"}}), 1u);
    c.close();
    EXPECT_THAT(patient.find(), IsEmpty());
  });
}

// After a run() goroutines stand still: stragglers must get the chance to end, leaks must be found.
TEST(leak_check, works_around_a_run) {
  const leak_check check(briefly()), patient;
  gort::chan<int> c;
  at_one_p([&] {
    c = start_waiter();
    gort::go([] {});
  });
  while (check.find().size() > 1) continue;  // until the straggler has had a CPU
  EXPECT_EQ(check.find().size(), 1u);
  gort::run([&] {
    c.close();
    gort::go([] { gort::sleep(30ms); });
  });
  EXPECT_THAT(patient.find(), IsEmpty());
}

// --- GoogleTest ----------------------------------------------------------------------------------

// The fixture's life, driven by hand so that its failure can be looked at.
class driven : public gort::ops::leak_checked_test {
 public:
  explicit driven(leak_options options = briefly()) : options_(std::move(options)) {}
  using gort::ops::leak_checked_test::SetUp;
  using gort::ops::leak_checked_test::TearDown;

 private:
  void TestBody() override {}
  leak_options leaks_allowed() const override { return options_; }

  leak_options options_;
};

template <class F>
std::vector<std::string> failures_of(F body) {
  testing::TestPartResultArray results;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    body();
  }
  std::vector<std::string> messages;
  for (int i = 0; i < results.size(); ++i)
    messages.emplace_back(results.GetTestPartResult(i).message());
  return messages;
}

TEST(leak_checked_test, fails_with_what_was_left) {
  gort::chan<int> c;
  driven fixture;
  const auto failures = failures_of([&] {
    fixture.SetUp();
    at_one_p([&] { c = start_waiter("left behind"); });
    fixture.TearDown();
  });
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0], HasSubstr("found unexpected goroutines: 1"));
  EXPECT_THAT(failures[0], HasSubstr("[chan receive] \"left behind\""));
  EXPECT_THAT(failures[0], HasSubstr("created by "));
  gort::run([&] { c.close(); });
}

TEST(leak_checked_test, passes_where_nothing_stays_or_all_is_allowed) {
  gort::chan<int> c;
  EXPECT_THAT(failures_of([] {
                driven fixture(leak_options{});
                fixture.SetUp();
                gort::run([] { start_waiter().close(); });
                fixture.TearDown();
              }),
              IsEmpty());
  EXPECT_THAT(failures_of([&] {
                leak_options options = briefly();
                options.names = {"left"};
                driven fixture(options);
                fixture.SetUp();
                at_one_p([&] { c = start_waiter("left behind"); });
                fixture.TearDown();
              }),
              IsEmpty());
  gort::run([&] { c.close(); });
}

TEST(leak_listener, fails_the_test_that_has_ended) {
  gort::chan<int> c;
  gort::ops::leak_listener listener(briefly());
  const testing::TestInfo& here = *testing::UnitTest::GetInstance()->current_test_info();
  const auto failures = failures_of([&] {
    listener.OnTestStart(here);
    at_one_p([&] { c = start_waiter(); });
    listener.OnTestEnd(here);
  });
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0], HasSubstr("found unexpected goroutines: 1"));
  gort::run([&] { c.close(); });
}

}  // namespace
