// Labels: set, nested, inherited, in contexts; in profiles, in dumps, and as Go's tool selects
// them.
#include <array>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

namespace pprof = gort::pprof;
using gort::test::gunzip;
using gort::test::profile_reader;
using gort::test::read_profile;
using gort::test::written;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

std::string shown(const pprof::label_set& all) {
  std::string out;
  pprof::for_labels(all, [&](std::string_view key, std::string_view value) {
    ((out += key) += "=") += value;
    out += ' ';
  });
  return out;
}
std::string mine() { return shown(pprof::goroutine_labels()); }

TEST(pprof_labels, a_set_is_sorted_and_the_last_of_a_key_counts) {
  EXPECT_EQ(shown(pprof::labels("b", "1", "a", "2", "b", "3", "c", "", "b", "4")), "a=2 b=4 c= ");
  EXPECT_TRUE(pprof::labels().empty());
  EXPECT_EQ(pprof::labels("k", "v").find("k"), "v");
  EXPECT_EQ(pprof::labels("k", "v").find("j"), std::nullopt);
  EXPECT_EQ(pprof::labels("k", "v")[1].first, "");
  EXPECT_EQ(pprof::label_set()[0].second, "");
}

TEST(pprof_labels, with_labels_adds_and_puts_back) {
  gort::run([] {
    EXPECT_EQ(mine(), "");
    const int returned = pprof::with_labels(pprof::labels("endpoint", "/pay", "a", "1"), [] {
      EXPECT_EQ(mine(), "a=1 endpoint=/pay ");
      pprof::with_labels(pprof::labels("a", "2", "shard", "3"), [] {
        EXPECT_EQ(mine(), "a=2 endpoint=/pay shard=3 ");
        EXPECT_EQ(pprof::label("shard"), "3");
        gort::runtime::gosched();
        EXPECT_EQ(mine(), "a=2 endpoint=/pay shard=3 ");
      });
      EXPECT_EQ(mine(), "a=1 endpoint=/pay ");
      EXPECT_EQ(pprof::label("shard"), std::nullopt);
      return 7;
    });
    EXPECT_EQ(returned, 7);
    EXPECT_EQ(mine(), "");
    EXPECT_THROW(pprof::with_labels(pprof::labels("a", "1"), [] { throw std::runtime_error("x"); }),
                 std::runtime_error);
    EXPECT_EQ(mine(), "");
  });
}

TEST(pprof_labels, goroutines_have_those_of_their_starter) {
  gort::run([] {
    gort::wait_group all;
    pprof::with_labels(pprof::labels("tenant", "7"), [&] {
      all.go([&] {
        EXPECT_EQ(mine(), "tenant=7 ");
        pprof::set_goroutine_labels(pprof::labels("tenant", "8"));
        all.go([] { EXPECT_EQ(mine(), "tenant=8 "); });
        pprof::set_goroutine_labels(pprof::label_set());
        all.go([] { EXPECT_EQ(mine(), ""); });
        EXPECT_EQ(mine(), "");
      });
    });
    all.wait();
    EXPECT_EQ(mine(), "");
    // The next on the same stack has none.
    for (int i = 0; i < 10; ++i) all.go([] { EXPECT_EQ(mine(), ""); });
    all.wait();
  });
}

TEST(pprof_labels, plain_threads_have_labels_and_hand_them_on) {
  gort::run([] {
    gort::wait_group all;
    std::thread([&] {
      pprof::with_labels(pprof::labels("from", "thread"), [&] {
        EXPECT_EQ(mine(), "from=thread ");
        all.go([] { EXPECT_EQ(mine(), "from=thread "); });
      });
      pprof::set_goroutine_labels(pprof::labels("left", "behind"));
    }).join();
    all.wait();
  });
}

TEST(pprof_labels, the_main_goroutine_has_those_of_the_thread_that_runs_it) {
  for (const bool locked : {false, true}) {
    std::thread([&] {
      if (locked) gort::runtime::lock_os_thread();
      pprof::with_labels(pprof::labels("from", "thread"), [] {
        gort::run([] {
          EXPECT_EQ(mine(), "from=thread ");
          pprof::set_goroutine_labels(pprof::labels("its", "own"));
        });
        EXPECT_EQ(mine(), "from=thread ");
      });
      gort::run([] { EXPECT_EQ(mine(), ""); });
      if (locked) gort::runtime::unlock_os_thread();
    }).join();
  }
}

TEST(pprof_labels, contexts_carry_them) {
  gort::run([] {
    const gort::context plain = gort::background();
    const gort::context one = pprof::with_labels(plain, pprof::labels("a", "1", "b", "1"));
    const gort::context two = pprof::with_labels(one, pprof::labels("b", "2"));
    EXPECT_EQ(mine(), "");
    EXPECT_EQ(shown(pprof::labels_of(two)), "a=1 b=2 ");
    EXPECT_EQ(shown(pprof::labels_of(one)), "a=1 b=1 ");
    EXPECT_EQ(pprof::label(two, "b"), "2");
    EXPECT_EQ(pprof::label(plain, "b"), std::nullopt);
    std::string first;
    pprof::for_labels(two, [&](std::string_view key, std::string_view) {
      first += key;
      return false;
    });
    EXPECT_EQ(first, "a");
    pprof::set_goroutine_labels(two);
    EXPECT_EQ(mine(), "a=1 b=2 ");
    const int returned = pprof::with_labels(one, pprof::labels("c", "3"), [](const auto& ctx) {
      EXPECT_EQ(mine(), "a=1 b=1 c=3 ");
      EXPECT_EQ(pprof::label(ctx, "c"), "3");
      return 5;
    });
    EXPECT_EQ(returned, 5);
    EXPECT_EQ(mine(), "a=1 b=2 ");
    pprof::set_goroutine_labels(plain);
    EXPECT_EQ(mine(), "");
  });
}

TEST(pprof_labels, are_in_profiles_of_goroutines_and_in_dumps) {
  gort::run([] {
    const shop::crowd without(5, 0);
    const std::int64_t before = gort::runtime::num_goroutine();
    pprof::with_labels(pprof::labels("endpoint", "/pay now", "shard", "3"), [] {
      const shop::crowd with(7, 0);
      const read_profile profile = profile_reader::read(gunzip(written("goroutine", 0)));
      std::int64_t labelled = 0, others = 0;
      for (const auto& sample : profile.samples) {
        if (!sample.passes("shop::wait_at_the_till")) continue;
        if (sample.labels.empty()) {
          others += sample.values[0];
          continue;
        }
        labelled += sample.values[0];
        EXPECT_EQ(sample.labels.at("endpoint"), "/pay now");
        EXPECT_EQ(sample.labels.at("shard"), "3");
      }
      EXPECT_EQ(labelled, 7);
      EXPECT_EQ(others, 5);
      const std::string text = written("goroutine", 1);
      EXPECT_THAT(text, HasSubstr("\n# labels: {\"endpoint\":\"/pay now\", \"shard\":\"3\"}\n#\t"));
      const std::string dump = written("goroutine", 2);
      EXPECT_THAT(dump, HasSubstr("[running] {endpoint: \"/pay now\", shard: 3}:\n"));
      EXPECT_THAT(dump, HasSubstr("[chan receive] {endpoint: \"/pay now\", shard: 3}:\n"));
      EXPECT_THAT(dump, HasSubstr("[chan receive]:\n"));
      EXPECT_THAT(written("creation", 1), HasSubstr("# labels: {\"endpoint\":"));
    });
    gort::test::until_goroutines_left(before);
    EXPECT_THAT(written("goroutine", 2), Not(HasSubstr("shard")));
  });
}

TEST(pprof_labels, a_name_is_a_label_too) {
  gort::run([] {
    auto end = gort::make_chan<int>();
    gort::wait_group all;
    all.add(1);
    gort::go({.name = "rx"}, [&] {
      end.recv();
      all.done();
    });
    pprof::with_labels(pprof::labels("z", "1"), [] {
      gort::go({.name = "own words"}, [] {
        std::string text(4096, '\0');
        text.resize(gort::runtime::stack(text, false));
        EXPECT_THAT(text, HasSubstr("[running] {name: \"own words\", z: 1}:"));
      });
    });
    EXPECT_THAT(written("goroutine", 1), HasSubstr("# labels: {\"name\":\"rx\"}"));
    end.close();
    all.wait();
  });
}

// What a profile says of its samples counts, whatever the program has a label of that name for.
TEST(pprof_labels, of_a_name_that_a_profile_uses_itself_are_replaced_there) {
  gort::test::with_procs(2, [] {
    std::string packed;
    auto end = gort::make_chan<int>();
    gort::runtime::set_mutex_profile_fraction(1);
    pprof::with_labels(pprof::labels("state", "mine", "unlocked_by", "me", "bytes", "7"), [&] {
      auto m = std::make_shared<gort::mutex>();
      m->lock();
      gort::go([end, m] {
        m->lock();
        m->unlock();
        end.recv();
      });
      while (packed.empty() || profile_reader::read(gunzip(packed)).samples.empty()) {
        packed.clear();
        pprof::start_wall_profile([&](std::string_view piece) { packed += piece; });
        gort::sleep(std::chrono::milliseconds(50));
        pprof::stop_wall_profile();
      }
      m->unlock();
      end.send(1);
    });
    gort::runtime::set_mutex_profile_fraction(0);
    for (const auto& each : profile_reader::read(gunzip(packed)).samples)
      EXPECT_THAT(each.labels, Not(Contains(Pair("state", "mine"))));
    const read_profile waits = profile_reader::read(gunzip(written("lockwait", 0)));
    ASSERT_FALSE(waits.samples.empty());
    for (const auto& each : waits.samples)
      EXPECT_THAT(each.labels, Not(Contains(Pair("unlocked_by", "me"))));
  });
}

// Reports look at goroutines that change their labels, sleep in calls and end meanwhile.
TEST(pprof_labels, change_while_profiles_are_taken) {
  gort::test::with_procs(4, [] {
    gort::detail::atomic<int> over;
    gort::wait_group all;
    for (int i = 0; i < 6; ++i) {
      all.go([&, i] {
        const std::string own = std::to_string(i);
        for (int n = 0; over.load_relaxed() == 0; ++n) {
          pprof::with_labels(pprof::labels("i", own, "n", std::to_string(n)), [&] {
            if (n % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
            if (n % 7 == 0) all.go([own] { EXPECT_EQ(pprof::label("i"), own); });
            EXPECT_EQ(pprof::label("i"), own);
          });
        }
      });
    }
    for (int n = 0; n < 30; ++n) {
      const read_profile profile = profile_reader::read(gunzip(written("goroutine", 0)));
      EXPECT_GE(profile.total(), 7);
      EXPECT_FALSE(written("goroutine", 2).empty());
    }
    over.store_relaxed(1);
    all.wait();
  });
}

TEST(pprof_labels_tool, selects_by_them) {
  if (gort::test::find_go().empty()) GORT_SKIP("no go");
  gort::run([] {
    const shop::crowd without(5, 0);
    pprof::with_labels(pprof::labels("endpoint", "/pay"), [] {
      const shop::crowd with(7, 0);
      const gort::test::temporary_file file("labels.pb.gz", written("goroutine", 0));
      const auto top =
          gort::test::go_tool_pprof("-top -cum -tagfocus=endpoint=/pay " + file.path());
      EXPECT_EQ(top.status, 0) << top.text;
      EXPECT_THAT(top.text, testing::ContainsRegex(" 7 [ 0-9.%]+  shop::wait_at_the_till"));
      const auto tags = gort::test::go_tool_pprof("-tags " + file.path());
      EXPECT_TRUE(tags.has("endpoint:")) << tags.text;
      EXPECT_TRUE(tags.has("/pay")) << tags.text;
    });
  });
}

}  // namespace
