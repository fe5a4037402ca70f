// `go tool pprof`, without a change, on each of our profiles: its tables, call graphs, stacks and
// differences, and its pages, served on loopback. One program makes all profiles.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool.hpp"
#include "support/parked.hpp"
#include "support/pprof_world.hpp"
#include "support/skip.hpp"

namespace shop {

std::unique_ptr<char[]> shelf[32];  // which allocates nothing itself: a small block may be sampled
int boxes_there = 0;
gort::mutex till;
int basket[8];

[[gnu::noinline]] void fill_the_shelf(int boxes) {
  for (int i = 0; i < boxes; ++i)
    shelf[boxes_there++] = std::make_unique<char[]>(std::size_t{1} << 20);
  asm("");
}

[[gnu::noinline]] void count_the_till(int ms) {
  const auto now_ns = [] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  };
  const std::int64_t end = now_ns() + std::int64_t{ms} * 1'000'000;
  while (now_ns() < end)
    for (unsigned i = 0; i < 10'000; ++i) asm volatile("" : "+r"(i));
  asm("");
}

[[gnu::noinline]] void leave_the_till() {
  till.unlock();
  asm("");
}
[[gnu::noinline]] void queue_for_the_till() {
  till.lock();
  leave_the_till();
}

/// One waits for 2 ms.
void contend() {
  till.lock();
  const gort::test::arrivals since;
  gort::wait_group other;
  other.go(queue_for_the_till);
  since.wait_for(1, gort::test::wait_reason::sync_mutex_lock);
  gort::sleep(2ms);
  leave_the_till();
  other.wait();
}

[[gnu::noinline]] void take_a_basket(gort::pprof::profile& open, int which) {
  open.add(&basket[which]);
  asm("");
}

}  // namespace shop

namespace {

using namespace std::chrono_literals;
using gort::test::ended;
using gort::test::go_tool_pprof;
using gort::test::temporary_file;
using testing::ContainsRegex;
using testing::HasSubstr;

/// A profile early and later, as files, and a function of whom there was more later.
struct pair_of_files {
  std::string name;
  std::string type;  // what the tool shows of it
  std::string who;
  std::unique_ptr<temporary_file> early;
  std::unique_ptr<temporary_file> later;
};

std::string cpu_profile_of(int ms) {
  std::string bytes;
  gort::pprof::start_cpu_profile([&](std::string_view piece) { bytes += piece; });
  gort::pprof::with_labels(gort::pprof::labels("endpoint", "/till"),
                           [&] { shop::count_the_till(ms); });
  gort::pprof::stop_cpu_profile();
  return bytes;
}

struct known_profile {
  std::string type;
  std::string who;
};
// Of others it is tried only that the tool takes them.
const std::map<std::string, known_profile> known{
    {"allocs", {"alloc_space", "shop::fill_the_shelf"}},
    {"block", {"delay", "shop::queue_for_the_till"}},
    {"creation", {"goroutine", "shop::crowd::crowd"}},
    {"goroutine", {"goroutine", "shop::wait_for_goods"}},
    {"heap", {"inuse_space", "shop::fill_the_shelf"}},
    {"mutex", {"delay", "shop::leave_the_till"}},
    {"test.baskets", {"test.baskets", "shop::take_a_basket"}},
    {"threadcreate", {"threadcreate", ""}},
};

std::vector<pair_of_files> make_profiles() {
  std::vector<pair_of_files> all;
  gort::pprof::profile* baskets = gort::pprof::new_profile("test.baskets");
  for (const gort::pprof::profile* each : gort::pprof::profiles()) {
    const auto found = known.find(each->name());
    const known_profile what = found != known.end() ? found->second : known_profile{};
    all.push_back({each->name(), what.type, what.who, {}, {}});
  }
  gort::runtime::set_block_profile_rate(1);
  gort::runtime::set_mutex_profile_fraction(1);
  std::optional<shop::crowd> crowds[2];
  for (int turn = 0; turn < 2; ++turn) {
    const std::string which = turn == 0 ? "early" : "later";
    shop::fill_the_shelf(16);
    gort::pprof::with_labels(gort::pprof::labels("shop", "north"), [&] {
      for (int i = 0; i < 3; ++i) shop::contend();
      crowds[turn].emplace(0, 7);
      for (int i = 0; i < 4; ++i) shop::take_a_basket(*baskets, turn * 4 + i);
    });
    for (pair_of_files& each : all) {
      (turn == 0 ? each.early : each.later) = std::make_unique<temporary_file>(
          each.name + "-" + which + ".pb.gz", gort::test::written(each.name, 0));
    }
  }
  all.push_back({"profile", "cpu", "shop::count_the_till",
                 std::make_unique<temporary_file>("cpu-early.pb.gz", cpu_profile_of(100)),
                 std::make_unique<temporary_file>("cpu-later.pb.gz", cpu_profile_of(300))});
  gort::runtime::set_block_profile_rate(0);
  gort::runtime::set_mutex_profile_fraction(0);
  for (auto& each : shop::shelf) each.reset();
  return all;
}

const std::vector<pair_of_files>& profiles() {
  static const std::vector<pair_of_files> all = [] {
    std::vector<pair_of_files> made;
    gort::run([&] { made = make_profiles(); });
    return made;
  }();
  return all;
}

class pprof_tool : public testing::Test {
 protected:
  void SetUp() override {
    if (gort::test::find_go().empty()) GORT_SKIP("no go");
  }
};

TEST_F(pprof_tool, has_all_that_it_knows) {
  std::vector<std::string> tried;
  for (const pair_of_files& each : profiles()) tried.push_back(each.name);
  for (const auto& [name, what] : known) EXPECT_THAT(tried, testing::Contains(name));
}

TEST_F(pprof_tool, top_peek_and_traces) {
  for (const pair_of_files& each : profiles()) {
    const ended top = go_tool_pprof("-top -cum " + each.later->path());
    EXPECT_EQ(top.status, 0) << each.name << top.text;
    EXPECT_THAT(top.text, HasSubstr("File: pprof_tool_test\n")) << each.name;
    EXPECT_THAT(top.text, HasSubstr("Type: " + each.type)) << each.name;
    const ended peek = go_tool_pprof("-peek '" + each.who + "' " + each.later->path());
    EXPECT_EQ(peek.status, 0) << each.name << peek.text;
    const ended traces = go_tool_pprof("-traces " + each.later->path());
    EXPECT_EQ(traces.status, 0) << each.name << traces.text;
    for (const ended* table : {&top, &peek, &traces})
      EXPECT_THAT(table->text, HasSubstr(each.who)) << each.name;
  }
}

TEST_F(pprof_tool, the_difference_of_two) {
  std::map<std::string, std::string> grown{
      {"goroutine", " 7 "}, {"creation", " 7 "}, {"test.baskets", " 4 "}};
  for (const pair_of_files& each : profiles()) {
    const ended more =
        go_tool_pprof("-top -cum -diff_base " + each.early->path() + " " + each.later->path());
    EXPECT_EQ(more.status, 0) << each.name << more.text;
    EXPECT_THAT(more.text, HasSubstr("Type: " + each.type)) << each.name;
    if (each.who.empty()) continue;
    EXPECT_THAT(more.text, HasSubstr(each.who)) << each.name;
    if (grown.contains(each.name)) {
      EXPECT_THAT(more.text, ContainsRegex(grown[each.name] + "[ 0-9.%]+  " + each.who));
    }
    const ended none =
        go_tool_pprof("-top -cum -diff_base " + each.later->path() + " " + each.later->path());
    EXPECT_EQ(none.status, 0) << each.name << none.text;
    EXPECT_FALSE(none.has(each.who)) << each.name << none.text;
  }
}

TEST_F(pprof_tool, by_labels_and_by_the_size_of_blocks) {
  for (const pair_of_files& each : profiles()) {
    if (each.who.empty()) continue;
    const std::string focus = each.name == "profile"                         ? "endpoint=/till"
                              : each.name == "heap" || each.name == "allocs" ? "bytes=1mb:"
                                                                             : "shop=north";
    const ended these = go_tool_pprof("-top -cum -tagfocus=" + focus + " " + each.later->path());
    EXPECT_EQ(these.status, 0) << each.name << these.text;
    EXPECT_THAT(these.text, HasSubstr(each.who)) << each.name;
    const ended others = go_tool_pprof("-top -cum -tagignore=" + focus + " " + each.later->path());
    EXPECT_FALSE(others.has(each.who)) << each.name << others.text;
    const ended tags = go_tool_pprof("-tags " + each.later->path());
    EXPECT_THAT(tags.text,
                HasSubstr(focus == "bytes=1mb:" ? "1MB" : focus.substr(focus.find('=') + 1)))
        << each.name;
  }
}

TEST_F(pprof_tool, heap_as_text_is_read_too) {
  const temporary_file text("heap.txt", gort::test::written("heap", 1));
  const ended top = go_tool_pprof("-top " + text.path());
  EXPECT_EQ(top.status, 0) << top.text;
  EXPECT_THAT(top.text, HasSubstr("Type: inuse_space\n"));
}

/// The tool as a server of pages, until this is gone.
class pages {
 public:
  explicit pages(const std::string& file) {
    const std::string go = gort::test::find_go();
    setenv("GOTOOLCHAIN", "local", 1);
    std::string tool =
        gort::exec::output({.program = go, .arguments = {"tool", "-n", "pprof"}}).out;
    if (tool.ends_with('\n')) tool.pop_back();
    // It takes a port that was free a moment ago, and tells which.
    process_ = gort::exec::start(
        {.program = tool,
         .arguments = {"-symbolize=none", "-no_browser", "-http=127.0.0.1:", file},
         .err = gort::exec::redirect::pipe()});
    const std::string mark = "Serving web UI on ";
    std::string said;
    std::byte piece[512];
    std::size_t at;
    while ((at = said.find(mark)) == said.npos || said.find('\n', at) == said.npos) {
      const std::size_t got = process_.err().read(piece);
      if (got == 0) throw std::runtime_error(said);
      said.append(reinterpret_cast<const char*>(piece), got);
    }
    at += mark.size();
    base_ = said.substr(at, said.find('\n', at) - at) + "/ui/";
  }
  ~pages() {
    process_.kill();
    process_.wait();
  }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;

  /// Waits until it serves.
  std::string page(const std::string& name) const {
    for (;;) {
      try {
        gort::http::client c;
        gort::http::response got = c.get(base_ + name);
        return std::to_string(got.status()) + "\n" + got.body();
      } catch (const std::system_error&) {
        gort::sleep(5ms);
      }
    }
  }

 private:
  std::string base_;
  gort::exec::process process_;
};

TEST_F(pprof_tool, its_pages) {
  const auto& all = profiles();
  gort::run([&] {
    for (const pair_of_files& each : all) {
      const pages served(each.later->path());
      const std::string who = each.who.substr(0, each.who.find("::crowd"));
      for (const char* name : {"top", "flamegraph", "peek"}) {
        if (who.empty() && name == std::string("peek")) continue;  // it has nothing to show
        const std::string page = served.page(name);
        EXPECT_THAT(page, testing::StartsWith("200\n")) << each.name << " " << name;
        EXPECT_THAT(page, HasSubstr(who)) << each.name << " " << name;
      }
    }
  });
}

}  // namespace
