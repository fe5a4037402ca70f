// The profiles of goroutines, of who started them, of threads, and of what a program counts itself:
// with known numbers of each, as profile.proto, as text, and as Go's own tool reads them.
#include <algorithm>
#include <array>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/go_tool.hpp"
#include "support/metrics_support.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace std::chrono_literals;
using gort::test::gunzip;
using gort::test::profile_reader;
using gort::test::read_profile;
using gort::test::written;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

read_profile read(std::string_view name) { return profile_reader::read(gunzip(written(name, 0))); }

void run(void (*f)()) {
  gort::run([f] {
    gort::test::until_goroutines_left();
    f();
  });
}

TEST(pprof_profiles, all_goroutines_are_in_it_once) {
  run([] {
    const shop::crowd crowd(30, 70);
    const read_profile profile = read("goroutine");
    EXPECT_THAT(profile.types, ElementsAre("goroutine/count"));
    EXPECT_EQ(profile.period_type, "goroutine/count");
    EXPECT_EQ(profile.period, 1);
    EXPECT_GT(profile.time_ns, 1'700'000'000'000'000'000);
    EXPECT_EQ(profile.through("shop::wait_at_the_till"), 30) << profile.all_stacks();
    EXPECT_EQ(profile.through("shop::wait_for_goods"), 70) << profile.all_stacks();
    EXPECT_EQ(profile.total(), gort::runtime::num_goroutine()) << profile.all_stacks();
    EXPECT_EQ(gort::pprof::lookup("goroutine")->count(), profile.total());
  });
}

TEST(pprof_profiles, the_outermost_function_is_what_was_started) {
  run([] {
    const shop::crowd crowd(3, 0);
    for (const auto& sample : read("goroutine").samples) {
      if (!sample.passes("shop::wait_at_the_till")) continue;
      EXPECT_THAT(sample.stack.back().lines.back().function,
                  StartsWith("shop::crowd::crowd::{lambda"));
    }
  });
}

TEST(pprof_profiles, those_that_have_not_started_compute_and_sleep_in_calls_too) {
  gort::test::with_procs(1, [] {
    gort::test::until_goroutines_left();
    auto end = gort::make_chan<int>();
    auto begun = gort::make_chan<int>();
    std::promise<void> wakes;
    gort::wait_group all;
    all.go([&] {
      gort::blocking([&] {
        begun.close();
        wakes.get_future().wait();
      });
    });
    begun.recv();
    read_profile profile;
    // Whom the machine holds up here is preempted, and they start: then once more, with others.
    while (!gort::test::kept_its_processor([&] {
      for (int i = 0; i < 5; ++i) all.go([end] { end.recv(); });  // nobody has let them run
      profile = read("goroutine");
    })) {
      end.close();
      gort::test::until_goroutines_left(2);
      end = gort::make_chan<int>();
    }
    EXPECT_EQ(profile.total(), gort::runtime::num_goroutine()) << profile.all_stacks();
    EXPECT_GE(profile.total(), 7);
    for (const auto& sample : profile.samples) EXPECT_FALSE(sample.stack.empty());
    std::int64_t unstarted = 0;
    for (const auto& sample : profile.samples) {
      const std::string& leaf = sample.stack.at(0).lines.at(0).function;
      const bool is_one = leaf.ends_with("TestBody::{lambda#1}::{lambda#2}::{lambda#1}");
      unstarted += is_one ? sample.values[0] : 0;
    }
    EXPECT_EQ(unstarted, 5) << profile.all_stacks();
    wakes.set_value();
    end.close();
    all.wait();
  });
}

TEST(pprof_profiles, goroutines_as_text) {
  run([] {
    const shop::crowd crowd(30, 70);
    const std::string text = written("goroutine", 1);
    const std::string total = std::to_string(gort::runtime::num_goroutine());
    EXPECT_THAT(text, StartsWith("goroutine profile: total " + total + "\n70 @ 0x"));
    EXPECT_THAT(text, HasSubstr("\n30 @ 0x"));
    EXPECT_THAT(text, HasSubstr("\tshop::wait_for_goods+0x"));
    EXPECT_THAT(text, HasSubstr("tests/support/pprof_world.hpp:"));
    EXPECT_THAT(text, Not(HasSubstr("gort::sched::")));
    const std::string dump = written("goroutine", 2);
    EXPECT_THAT(dump, StartsWith("goroutine 1 [running]:\n"));
    EXPECT_THAT(dump, HasSubstr("[chan receive]:\n"));
    EXPECT_THAT(dump, HasSubstr("created by shop::crowd::crowd in goroutine 1\n"));
  });
}

TEST(pprof_profiles, a_sink_that_throws_ends_the_dump) {
  run([] {
    const shop::crowd crowd(300, 300);
    int pieces = 0;
    const auto refuse = [&](std::string_view) {
      ++pieces;
      throw std::runtime_error("gone");
    };
    for (const int debug : {0, 1, 2}) {
      pieces = 0;
      EXPECT_THROW(gort::pprof::lookup("goroutine")->write_to(refuse, debug), std::runtime_error);
      EXPECT_EQ(pieces, 1);
    }
  });
}

// However many there are, it is never in memory as a whole, and the world goes on.
TEST(pprof_profiles, a_dump_is_written_in_pieces_while_others_run) {
  gort::test::with_procs(1, [] {
    const shop::crowd crowd(1000, 1000);
    auto question = gort::make_chan<int>(), answer = gort::make_chan<int>();
    gort::wait_group other;
    other.go([&] {
      while (question.recv()) answer.send(1);
    });
    std::size_t bytes = 0, longest = 0, pieces = 0;
    const auto sink = [&](std::string_view piece) {
      bytes += piece.size();
      longest = std::max(longest, piece.size());
      ++pieces;
      question.send(1);
      answer.recv();
    };
    gort::pprof::lookup("goroutine")->write_to(sink, 2);
    EXPECT_GT(bytes, 2000 * std::string("goroutine [chan receive]:").size());
    EXPECT_LT(longest, bytes / 10);
    EXPECT_GT(pieces, 10u);
    question.close();
    other.wait();
  });
}

TEST(pprof_profiles, creation_counts_by_who_started_them) {
  run([] {
    const shop::crowd crowd(30, 70);
    const read_profile profile = read("creation");
    EXPECT_THAT(profile.types, ElementsAre("goroutine/count", "started/count"));
    EXPECT_EQ(profile.total(), gort::runtime::num_goroutine()) << profile.all_stacks();
    EXPECT_EQ(profile.through("shop::crowd::crowd"), 100) << profile.all_stacks();
    EXPECT_EQ(profile.total(1), 0) << "nobody has asked for it";
    // Two places.
    std::vector<std::int64_t> counts;
    for (const auto& each : profile.samples) {
      if (each.passes("shop::crowd::crowd")) counts.push_back(each.values[0]);
    }
    EXPECT_THAT(counts, testing::UnorderedElementsAre(30, 70));
    EXPECT_THAT(written("creation", 1), HasSubstr("\n30 @ 0x"));
  });
}

[[gnu::noinline]] void starts_and_waits(int n) {
  gort::wait_group all;
  for (int i = 0; i < n; ++i) all.go([] {});
  all.wait();
  asm("");
}

// Of those that have ended, too, by the labels that they had at the start.
TEST(pprof_profiles, creation_counts_starts_on_request) {
  gort::test::with_procs(2, [] {
    EXPECT_FALSE(gort::runtime::set_creation_profile(true));
    starts_and_waits(40);
    gort::pprof::with_labels(gort::pprof::labels("shop", "north"), [] { starts_and_waits(60); });
    std::thread([] { starts_and_waits(7); }).join();
    EXPECT_TRUE(gort::runtime::set_creation_profile(false));
    starts_and_waits(1000);
    gort::test::until_goroutines_left();
    const read_profile profile = read("creation");
    EXPECT_EQ(profile.default_type, "goroutine");
    EXPECT_EQ(profile.through("(anonymous namespace)::starts_and_waits", 0), 0);
    EXPECT_EQ(profile.through("(anonymous namespace)::starts_and_waits", 1), 107)
        << profile.all_stacks();
    std::int64_t labeled = 0;
    for (const auto& each : profile.samples) {
      const auto label = each.labels.find("shop");
      labeled += label != each.labels.end() && label->second == "north" ? each.values[1] : 0;
    }
    EXPECT_EQ(labeled, 60);
    EXPECT_THAT(written("creation", 1), Not(HasSubstr("starts_and_waits")));
  });
}

TEST(pprof_profiles, threads_that_exist) {
  run([] {
    const auto threads = [] { return gort::debug::read_scheduler_counts().threads; };
    read_profile profile;
    std::uint64_t before;
    do {  // one may come or go meanwhile
      before = threads();
      profile = read("threadcreate");
    } while (threads() != before);
    EXPECT_THAT(profile.types, ElementsAre("threadcreate/count"));
    EXPECT_EQ(profile.total(), static_cast<std::int64_t>(before));
    EXPECT_THAT(written("threadcreate", 1), StartsWith("threadcreate profile: total "));
  });
}

[[gnu::noinline]] void open_connection(gort::pprof::profile& open, const void* key, int skip) {
  open.add(key, skip);
  asm("");
}

TEST(pprof_profiles, a_profile_of_the_programs_own) {
  run([] {
    gort::pprof::profile* open = gort::pprof::new_profile("test.connections");
    EXPECT_EQ(gort::pprof::lookup("test.connections"), open);
    const std::array<int, 4> keys{};
    for (const int& key : keys) open_connection(*open, &key, 0);
    EXPECT_EQ(open->count(), 4);
    const read_profile profile = read("test.connections");
    EXPECT_THAT(profile.types, ElementsAre("test.connections/count"));
    ASSERT_EQ(profile.samples.size(), 1u) << profile.all_stacks();
    EXPECT_EQ(profile.samples[0].values[0], 4);
    ASSERT_FALSE(profile.samples[0].stack.empty());
    EXPECT_EQ(profile.samples[0].stack[0].lines.back().function,
              "(anonymous namespace)::open_connection");
    EXPECT_LE(profile.samples[0].stack.size(), 32u);
    EXPECT_THAT(written("test.connections", 1),
                StartsWith("test.connections profile: total 4\n4 @"));
    open->remove(&keys[0]);
    open->remove(&keys[0]);
    EXPECT_EQ(open->count(), 3);
    open_connection(*open, &keys[0], 1);
    const read_profile skipped = read("test.connections");
    EXPECT_EQ(skipped.samples.size(), 2u);
    EXPECT_EQ(skipped.through("(anonymous namespace)::open_connection"), 3);
    for (const int& key : keys) open->remove(&key);
    gort::pprof::with_labels(gort::pprof::labels("shop", "north"),
                             [&] { open_connection(*open, &keys[0], 0); });
    open_connection(*open, &keys[1], 0);
    std::int64_t of_north = 0;
    for (const auto& each : read("test.connections").samples)
      of_north += each.labels.contains("shop") ? each.values[0] : 0;
    EXPECT_EQ(of_north, 1);
    EXPECT_THAT(written("test.connections", 1), HasSubstr("# labels: {\"shop\":\"north\"}"));
    for (const int& key : keys) open->remove(&key);
  });
}

template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const gort::runtime_error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(pprof_profiles, misuse_has_gos_words) {
  run([] {
    EXPECT_EQ(refusal([] { gort::pprof::new_profile(""); }), "pprof: NewProfile with empty name");
    EXPECT_EQ(refusal([] { gort::pprof::new_profile("goroutine"); }),
              "pprof: NewProfile name already in use: \"goroutine\"");
    int key = 0;
    gort::pprof::profile* own = gort::pprof::new_profile("test.misuse");
    own->add(&key);
    EXPECT_EQ(refusal([&] { own->add(&key); }), "pprof: Profile.Add of duplicate value");
    EXPECT_EQ(refusal([&] { gort::pprof::lookup("goroutine")->add(&key); }),
              "pprof: Add called on built-in Profile \"goroutine\"");
    gort::pprof::lookup("goroutine")->remove(&key);
    own->remove(&key);
    EXPECT_EQ(gort::pprof::lookup("no such"), nullptr);
    std::vector<std::string> names;
    for (const gort::pprof::profile* each : gort::pprof::profiles()) names.push_back(each->name());
    EXPECT_TRUE(std::ranges::is_sorted(names));
    EXPECT_THAT(names, testing::IsSupersetOf({"creation", "goroutine", "threadcreate"}));
  });
}

TEST(pprof_profiles, any_number_of_writers_while_goroutines_come_and_go) {
  gort::test::with_procs(2, [] {
    gort::detail::atomic<int> over;
    gort::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        while (over.load_relaxed() == 0) {
          gort::wait_group some;
          for (int k = 0; k < 20; ++k) some.go([] { gort::sleep(100us); });
          some.wait();
        }
      });
    }
    gort::wait_group writers;
    for (int i = 0; i < 3; ++i) {
      writers.go([] {
        for (int n = 0; n < 5; ++n) {
          const read_profile profile = read("goroutine");
          EXPECT_GE(profile.total(), 8);
          EXPECT_FALSE(written("creation", 1).empty());
        }
      });
    }
    writers.wait();
    over.store_relaxed(1);
    all.wait();
  });
}

TEST(pprof_tool, reads_the_profile_of_goroutines) {
  if (gort::test::find_go().empty()) GORT_SKIP("no go");
  run([] {
    const shop::crowd crowd(30, 70);
    const gort::test::temporary_file file("goroutine.pb.gz", written("goroutine", 0));
    const auto top = gort::test::go_tool_pprof("-top -cum " + file.path());
    EXPECT_EQ(top.status, 0) << top.text;
    EXPECT_TRUE(top.has("Type: goroutine")) << top.text;
    EXPECT_TRUE(top.has("File: pprof_profiles_test")) << top.text;
    EXPECT_TRUE(top.has("Build ID: ")) << top.text;
    // flat  flat%  sum%  cum  cum%  name
    EXPECT_THAT(top.text, testing::ContainsRegex(" 70 [ 0-9.%]+  shop::wait_for_goods"));
    EXPECT_THAT(top.text, testing::ContainsRegex(" 30 [ 0-9.%]+  shop::wait_at_the_till"));
    const auto peek = gort::test::go_tool_pprof("-peek 'shop::wait_for_goods$' " + file.path());
    EXPECT_EQ(peek.status, 0) << peek.text;
    EXPECT_TRUE(peek.has("shop::crowd::crowd::{lambda")) << peek.text;
    const auto traces = gort::test::go_tool_pprof("-traces " + file.path());
    EXPECT_EQ(traces.status, 0) << traces.text;
    EXPECT_TRUE(traces.has("shop::wait_at_the_till")) << traces.text;
    EXPECT_FALSE(traces.has("start_goroutine")) << traces.text;
    const gort::test::temporary_file sites("creation.pb.gz", written("creation", 0));
    const auto lines = gort::test::go_tool_pprof("-top -lines " + sites.path());
    EXPECT_TRUE(lines.has("shop::crowd::crowd")) << lines.text;
    EXPECT_TRUE(lines.has("pprof_world.hpp:")) << lines.text;
  });
}

}  // namespace
