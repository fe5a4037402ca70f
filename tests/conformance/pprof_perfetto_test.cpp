// An execution trace in Perfetto's format. There is no trace_processor in Debian: what is written
// is read back by its schema (support/perfetto_reader.hpp).
#include <unistd.h>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/cpu_time.hpp"
#include "support/parked.hpp"
#include "support/perfetto_reader.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

[[gnu::noinline]] void waits_in_a_named_function(const chan<int>& c) {
  c.recv();
  asm("");
}

// Some of everything.
const std::string& a_trace() {
  static const std::string made = [] {
    std::string file;
    test::with_procs(2, [&] {
      trace::start(into(file));
      {
        trace::task outer(background(), "outer task");
        const trace::task inner(outer.context(), "inner task");
        const trace::region all(inner.context(), "all of it");
        trace::with_region(inner.context(), "a part", [] { gort::sleep(1ms); });
        trace::log(inner.context(), "key", "a message");
        auto c = make_chan<int>();
        wait_group some;
        const test::arrivals since;
        for (int i = 0; i < 5; ++i) some.go([&] { waits_in_a_named_function(c); });
        since.wait_for(5, test::wait_reason::chan_receive);
        gort::sleep(2ms);
        for (int i = 0; i < 5; ++i) c.send(i);
        some.wait();
        gort::blocking([] { std::this_thread::sleep_for(1ms); });
        runtime::gomaxprocs(3);
      }
      trace::stop();
    });
    return file;
  }();
  return made;
}

std::string converted(std::string_view trace) {
  std::string out;
  trace::to_perfetto(trace, into(out));
  return out;
}

TEST(perfetto, shows_goroutines_processors_tasks_and_regions) {
  const test::perfetto_reader seen(converted(a_trace()));
  EXPECT_GE(seen.count_below("Goroutines", "running"), 6u);
  EXPECT_GE(seen.count_below("Goroutines", "runnable"), 6u);
  EXPECT_GE(seen.count_below("Goroutines", "chan receive"), 1u);
  EXPECT_GE(seen.count_below("Goroutines", "sleep"), 2u);
  EXPECT_GE(seen.count_below("Goroutines", "in a call"), 1u);
  EXPECT_EQ(seen.count_below("regions", "all of it"), 1u);
  EXPECT_EQ(seen.count_below("regions", "a part"), 1u);
  EXPECT_EQ(seen.count_below("Tasks", "outer task"), 1u);
  EXPECT_EQ(seen.count_below("Tasks", "inner task"), 1u);
  EXPECT_EQ(seen.count_below("Goroutines", "a message"), 1u);
  EXPECT_EQ(seen.count_below("Stops of the world", "GOMAXPROCS"), 1u);
  EXPECT_EQ(seen.counts.front(), 2);
  EXPECT_EQ(seen.counts.back(), 3);
  EXPECT_GE(seen.arrows, 5u);
  bool has_stack = false;
  for (const test::perfetto_slice& s : seen.slices) {
    if (s.name == "a part") {
      EXPECT_GE(s.end_ns - s.begin_ns, 1'000'000);
    }
    if (const auto at = s.notes.find("stack"); s.name == "chan receive" && at != s.notes.end())
      has_stack |= at->second.find("waits_in_a_named_function") != std::string::npos;
  }
  EXPECT_TRUE(has_stack);
}

// Names are cut at so many bytes, which may be in the middle of a character.
TEST(perfetto, names_that_are_no_utf_8) {
  std::string file, broken = "caf\xe9", longer(1023, 'a');
  longer += "\u00e9";
  test::with_procs(2, [&] {
    trace::start(into(file));
    {
      const trace::task outer(background(), broken);
      trace::with_region(outer.context(), longer, [] { runtime::gosched(); });
      trace::log(outer.context(), broken, broken);
      go({.name = broken}, [] {});
      gort::sleep(1ms);
    }
    trace::stop();
  });
  const test::perfetto_reader seen(converted(file));
  EXPECT_EQ(seen.count_below("Tasks", "caf\uFFFD"), 1u);
  EXPECT_EQ(seen.count_below("regions", longer.substr(0, 1023) + "\uFFFD"), 1u);
}

TEST(perfetto, one_goroutine_at_a_time_on_a_processor) {
  const test::perfetto_reader seen(converted(a_trace()));
  std::map<std::uint64_t, std::int64_t> free_from;
  std::size_t runs = 0;
  for (const test::perfetto_slice& s : seen.slices) {
    if (s.is_instant || !seen.is_below(s.track, "Processors")) continue;
    ++runs;
    EXPECT_GE(s.begin_ns, free_from[s.track]) << s.name;
    free_from[s.track] = s.end_ns;
  }
  EXPECT_GE(runs, 6u);
}

TEST(perfetto, cpu_samples_are_shown) {
  std::string file;
  test::with_procs(2, [&] {
    pprof::start_cpu_profile([](std::string_view) {});
    trace::start(into(file));
    const auto until = test::thread_cpu_used() + 150ms;  // not of others' time
    while (test::thread_cpu_used() < until) {
    }
    trace::stop();
    pprof::stop_cpu_profile();
  });
  const test::perfetto_reader seen(converted(file));
  std::size_t samples = 0;
  for (const test::perfetto_slice& s : seen.slices)
    samples += seen.is_below(s.track, "CPU samples");
  EXPECT_GE(samples, 1u);
}

// Cut off or changed anywhere: an error or not, but nothing else.
TEST(perfetto, what_is_no_trace_is_an_error) {
  EXPECT_THROW(converted(""), std::runtime_error);
  EXPECT_THROW(converted("something else altogether"), std::runtime_error);
  const std::string good = a_trace();
  std::size_t errors = 0;
  for (std::size_t cut = 0; cut < good.size(); cut += 1 + good.size() / 500) {
    for (const bool changed : {false, true}) {
      std::string bad = good;
      if (changed)
        bad[cut] = static_cast<char>(bad[cut] ^ 0x55);
      else
        bad.resize(cut);
      try {
        converted(bad);
      } catch (const std::runtime_error&) {
        ++errors;
      }
    }
  }
  EXPECT_GE(errors, 400u);
}

TEST(perfetto, the_command_converts_files) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "the gort command is no part of its build");
  const std::string command = std::string(GORT_BINARY_DIR) + "/gort";
  if (!std::filesystem::exists(command)) GORT_SKIP("the gort command is not part of this build");
  const std::string in = "/tmp/gort-trace-in-" + std::to_string(getpid()), out = in + ".perfetto";
  std::ofstream(in, std::ios::binary) << a_trace();
  const test::ended ran = test::run_shell(command + " trace convert " + in + " " + out);
  EXPECT_EQ(ran.status, 0) << ran.head();
  std::ifstream file(out, std::ios::binary);
  const std::string made{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(made, converted(a_trace()));
  const test::ended none = test::run_shell(command + " trace convert /nonexistent " + out);
  EXPECT_NE(none.status, 0);
  EXPECT_TRUE(none.has("cannot read /nonexistent")) << none.head();
  const test::ended no_trace = test::run_shell(command + " trace convert " + command + " " + out);
  EXPECT_NE(no_trace.status, 0);
  EXPECT_EQ(std::filesystem::file_size(out), made.size());  // what was there is kept
  // However the file is called the second time.
  std::filesystem::create_symlink(in, in + ".link");
  for (const std::string& same : {in, "/tmp/../" + in, in + ".link"}) {
    const test::ended over = test::run_shell(command + " trace convert " + in + " " + same);
    EXPECT_NE(over.status, 0) << same;
    EXPECT_TRUE(over.has("is the trace itself")) << over.head();
    EXPECT_EQ(std::filesystem::file_size(in), a_trace().size()) << same;
  }
  std::remove((in + ".link").c_str());
  std::remove(in.c_str());
  std::remove(out.c_str());
}

}  // namespace
}  // namespace gort
