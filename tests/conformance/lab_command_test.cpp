// The lab judges what the programs measure: here the programs are scripts, so that what they say
// and how they end is known, and the verdict must follow.
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

using gort::test::run_shell;
using ran = gort::test::ended;

class lab_command : public testing::Test {
 protected:
  static std::string gort() { return std::string(GORT_BINARY_DIR) + "/gort"; }

  void SetUp() override {
    if (!fs::exists(gort())) GORT_SKIP("the gort command is not part of this build");
    std::string pattern = (fs::temp_directory_path() / "gort-lab-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  // A program that notes that it ran, says `line` and ends with `status`.
  void script(const std::string& name, const std::string& line, int status = 0) {
    const fs::path path = folder_ / name;
    std::ofstream(path) << "#!/bin/sh\necho \"" << name << " $*\" >> '"
                        << (folder_ / "log").string() << "'\necho '" << line << "'\nexit " << status
                        << "\n";
    fs::permissions(path, fs::perms::owner_all);
  }

  ran lab(const std::string& arguments) {
    return run_shell("PATH=/nowhere GOROOT= " + gort() + " lab " + arguments +
                     " --wait 0 --programs " + folder_.string());
  }

  std::string log() {
    std::ostringstream text;
    text << std::ifstream(folder_ / "log").rdbuf();
    return text.str();
  }

  fs::path folder_;
};

TEST_F(lab_command, says_its_version_and_lists) {
  const ran version = run_shell(gort() + " --version");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.text, ContainsRegex("^gort [0-9]+\\.[0-9]+"));
  const ran list = run_shell(gort() + " lab list");
  EXPECT_EQ(list.status, 0);
  for (const char* line : {" 1  ", " 2  ", " 3  ", " 4  ", " 5  ", " 6  ", " 7  ", " 8  ", " 9  ",
                           "10  ", "12  ", "14  "})
    EXPECT_THAT(list.text, HasSubstr(line));
}

TEST_F(lab_command, met_follows_the_measured_ratio) {
  script("02_yield_in_hot_loop_before", R"({"elapsed_ms": 750, "ns_per_iteration": 7.5})");
  script("02_yield_in_hot_loop_after", R"({"elapsed_ms": 100, "ns_per_iteration": 1})");
  const ran fast = lab("run 2");
  EXPECT_EQ(fast.status, 0) << fast.text;
  EXPECT_THAT(fast.text, HasSubstr("measured: 7.5x; target: at least 5x faster; met\n"));

  script("02_yield_in_hot_loop_after", R"({"elapsed_ms": 160, "ns_per_iteration": 1.6})");
  const ran slow = lab("run 2");
  EXPECT_EQ(slow.status, 1) << slow.text;
  EXPECT_THAT(slow.text, HasSubstr("measured: 4.7x; target: at least 5x faster; NOT met\n"));
}

TEST_F(lab_command, takes_turns) {
  script("02_yield_in_hot_loop_before", R"({"elapsed_ms": 9, "ns_per_iteration": 9})");
  script("02_yield_in_hot_loop_after", R"({"elapsed_ms": 1, "ns_per_iteration": 1})");
  lab("run 2 --rounds 2");
  EXPECT_EQ(log(),
            "02_yield_in_hot_loop_before \n02_yield_in_hot_loop_after \n"
            "02_yield_in_hot_loop_before \n02_yield_in_hot_loop_after \n");
}

TEST_F(lab_command, the_better_of_two_ways_counts) {
  script(
      "07_bounded_pool_before",
      R"({"elapsed_ms": 100, "peak_rss_mib": 20, "gomaxprocs": 2, "task_ns": 1, "ideal_ms": 30})");
  // One script for both: "pool" is slow, "errgroup" is fast.
  std::ofstream(folder_ / "07_bounded_pool_after")
      << "#!/bin/sh\ncase $1 in pool) t=90;; errgroup) t=50;; *) exit 3;; esac\n"
         "echo \"{\\\"elapsed_ms\\\": $t, \\\"peak_rss_mib\\\": 2}\"\n";
  fs::permissions(folder_ / "07_bounded_pool_after", fs::perms::owner_all);
  const ran got = lab("run 7");
  EXPECT_EQ(got.status, 0) << got.text;
  EXPECT_THAT(got.text, HasSubstr("measured: 50% less (errgroup)"));
  EXPECT_THAT(got.text, HasSubstr("pool: elapsed 10% less, peak memory 20.0 to 2.0 MiB"));
}

TEST_F(lab_command, says_so_where_there_is_less_to_win_than_the_target_asks_for) {
  const auto before = [&](const char* ideal_ms) {
    script(
        "07_bounded_pool_before",
        R"({"elapsed_ms": 100, "peak_rss_mib": 20, "gomaxprocs": 2, "task_ns": 1, "ideal_ms": )" +
            std::string(ideal_ms) + "}");
  };
  script("07_bounded_pool_after", R"({"elapsed_ms": 90, "peak_rss_mib": 2})");
  before("75");
  const ran small = lab("run 7");
  EXPECT_EQ(small.status, 0) << small.text;
  EXPECT_THAT(small.text, HasSubstr("; small here\n"));
  EXPECT_THAT(small.text,
              HasSubstr("a pool that costs a quarter of the goroutines would save 19%"));
  before("59");
  const ran large = lab("run 7");
  EXPECT_EQ(large.status, 1) << large.text;
  EXPECT_THAT(large.text, HasSubstr("; NOT met\n"));
}

TEST_F(lab_command, runs_the_twin_in_go_beside_where_go_is_at_hand) {
  script(
      "07_bounded_pool_before",
      R"({"elapsed_ms": 100, "peak_rss_mib": 20, "gomaxprocs": 2, "task_ns": 1, "ideal_ms": 75})");
  script("07_bounded_pool_after", R"({"elapsed_ms": 90, "peak_rss_mib": 2})");
  EXPECT_THAT(lab("run 7").text, HasSubstr("Go is not at hand"));
  // `go build -o PROGRAM SOURCE`: a program that says what a twin says.
  fs::create_directories(folder_ / "go" / "bin");
  const fs::path go = folder_ / "go" / "bin" / "go";
  std::ofstream(go)
      << "#!/bin/sh\nprintf '#!/bin/sh\\ncase $1 in before) t=400;; *) t=100;; esac\\n"
         "echo {\\\"elapsed_ms\\\": $t}\\n' > $3\nchmod +x $3\n";
  fs::permissions(go, fs::perms::owner_all);
  const ran got = run_shell("GOROOT=" + (folder_ / "go").string() + " " + gort() +
                            " lab run 7 --wait 0 --programs " + folder_.string());
  EXPECT_THAT(got.text, HasSubstr("Go in the same rounds: elapsed ms before 400.0, after 100.0: "
                                  "75% less"))
      << got.text;
  // As where Go is too old for what it asks its runtime.
  std::ofstream(go)
      << "#!/bin/sh\nprintf '#!/bin/sh\\necho panic: no such metric >&2; exit 2\\n' > "
         "$3\nchmod +x $3\n";
  const ran old = run_shell("GOROOT=" + (folder_ / "go").string() + " " + gort() +
                            " lab run 7 --wait 0 --programs " + folder_.string());
  EXPECT_EQ(old.status, got.status) << old.text;
  EXPECT_THAT(old.text, HasSubstr("Go's figures would stand here: its twin does not run"));
  EXPECT_THAT(old.text, HasSubstr("panic: no such metric"));
}

TEST_F(lab_command, a_stack_limit_must_end_it_soon_with_the_report_and_spare_the_good) {
  const auto line = [](const char* report_ms, const char* mib, const char* limit,
                       const char* rest) {
    return std::string("{\"to_report_ms\": ") + report_ms + ", \"peak_rss_mib\": " + mib +
           ", \"limit_kib\": " + limit + ", \"high_water_kib\": 200, \"elapsed_ms\": 3000, " +
           "\"documents\": 9, " + rest + "}";
  };
  const char* good = R"("status": 2, "reported": 1, "good_documents": 9)";
  script("09_cap_the_stack_before", line("3000", "790", "786432", good));
  const auto run_with = [&](const std::string& after) {
    script("09_cap_the_stack_after", after);
    return lab("run 9");
  };
  const ran met = run_with(line("40", "12", "1024", good));
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 40 ms, 12 MiB; "));
  EXPECT_THAT(met.text, HasSubstr("before died after 3000 ms with 790 MiB"));
  EXPECT_EQ(run_with(line("400", "12", "1024", good)).status, 1) << "slow";
  EXPECT_EQ(run_with(line("40", "120", "1024", good)).status, 1) << "large";
  EXPECT_EQ(run_with(line("40", "12", "300", good)).status, 1) << "no headroom";
  for (const char* bad : {R"("status": 139, "reported": 1, "good_documents": 9)",
                          R"("status": 2, "reported": 0, "good_documents": 9)",
                          R"("status": 2, "reported": 1, "good_documents": 8)"})
    EXPECT_EQ(run_with(line("40", "12", "1024", bad)).status, 1) << bad;
}

TEST_F(lab_command, with_a_memory_limit_what_was_killed_without_survives) {
  // `end`: what the script does when it has told its bursts.
  const auto run_with = [&](const char* before_end, const char* bursts, const char* after_end) {
    const auto write = [&](const char* name, const char* told, const char* end) {
      const fs::path path = folder_ / name;
      std::ofstream(path) << "#!/bin/sh\necho '{\"bursts\": " << told << "}'\n" << end << "\n";
      fs::permissions(path, fs::perms::owner_all);
    };
    write("04_memory_limit_before", "2", before_end);
    write("04_memory_limit_after", bursts, after_end);
    return lab("run 4");
  };
  // It looks for the end of a line.
  const char* too_much = "PATH=/usr/bin:/bin; exec tail /dev/zero";
  const ran met = run_with(too_much, "10", "exit 0");
  if (met.status == 77) GORT_SKIP(met.text);
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: killed, then survived; "));
  EXPECT_THAT(met.text, HasSubstr("- before: the kernel killed it in burst 3, with 10"));
  EXPECT_THAT(met.text, HasSubstr("- after touching: went through 10 bursts"));
  EXPECT_EQ(run_with("exit 0", "10", "exit 0").status, 1) << "nobody is killed";
  EXPECT_EQ(run_with(too_much, "9", "exit 0").status, 1) << "too few bursts";
  EXPECT_EQ(run_with(too_much, "10", too_much).status, 1) << "all are killed";
  const ran other = run_with("exit 0", "10", "kill -9 $$");
  EXPECT_EQ(other.status, 2) << other.text;
  EXPECT_THAT(other.text, HasSubstr("04_memory_limit_after ended with status 137, not 0"));
}

TEST_F(lab_command, collecting_must_take_less_and_the_memory_must_do) {
  script("06_raise_gogc_before", R"({"gc_percent": 18, "requests_per_s": 9000})");
  const auto run_with = [&](const char* percent, const char* mib) {
    script("06_raise_gogc_after", std::string("{\"gogc\": 200, \"gc_percent\": ") + percent +
                                      ", \"peak_rss_mib\": " + mib +
                                      ", \"most_mib\": 950, \"scale\": 0.5, \"live_mib\": 100}");
    return lab("run 6 --rounds 1");
  };
  const ran met = run_with("9.5", "900");
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 18.0%, then 9.5%; "));
  EXPECT_THAT(met.text, HasSubstr("scale: 0.50 of the guide's memory"));
  EXPECT_EQ(run_with("10.5", "900").status, 1) << "too much";
  EXPECT_EQ(run_with("9.5", "960").status, 1) << "too large";
  script("06_raise_gogc_before", R"({"gc_percent": 6, "requests_per_s": 9000})");
  EXPECT_THAT(run_with("5", "900").text, HasSubstr("; small here\n"));
}

TEST_F(lab_command, a_leak_that_is_missed_is_not_met) {
  script("14_leak_check_after", R"({"leaks": 0, "with_creation_site": 0, "elapsed_ms": 3})");
  script("14_leak_check_before", R"({"leaks": 2, "with_creation_site": 2, "elapsed_ms": 9})", 1);
  EXPECT_EQ(lab("run 14").status, 0);
  script("14_leak_check_before", R"({"leaks": 2, "with_creation_site": 0, "elapsed_ms": 9})", 1);
  EXPECT_EQ(lab("run 14").status, 1);
  script("14_leak_check_before", R"({"leaks": 1, "with_creation_site": 1, "elapsed_ms": 9})", 1);
  EXPECT_EQ(lab("run 14").status, 1);
  // The leaky test passing is a failure of the exercise.
  script("14_leak_check_before", R"({"leaks": 2, "with_creation_site": 2, "elapsed_ms": 9})", 0);
  EXPECT_EQ(lab("run 14").status, 2);
}

TEST_F(lab_command, a_profile_that_cannot_be_sliced_is_not_met) {
  const auto line = [](const char* percent, const char* slices) {
    return std::string("{\"cpu_ms\": 900, \"report_percent\": 50, \"sliced_percent\": ") + percent +
           ", \"slices\": " + slices + "}";
  };
  const auto run_with = [&](const std::string& before, const std::string& after) {
    script("05_label_by_middleware_before", before);
    script("05_label_by_middleware_after", after);
    return lab("run 5 --rounds 1");
  };
  const ran met = run_with(line("0", "0"), line("98", "3"));
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 0%, then 98%; "));
  EXPECT_THAT(log(), HasSubstr("after measure\n"));
  EXPECT_EQ(run_with(line("0", "0"), line("80", "3")).status, 1);
  EXPECT_EQ(run_with(line("0", "0"), line("98", "2")).status, 1);
  EXPECT_EQ(run_with(line("98", "3"), line("98", "3")).status, 1);
}

TEST_F(lab_command, the_collector_must_export_dozens_with_histograms) {
  script("08_official_metrics_before",
         R"({"families": 1, "histograms": 0, "goroutines": 0, "pauses": 0, "heap_objects": 0, )"
         R"("stops": 60})");
  const auto run_with = [&](const char* families, const char* histograms, const char* pauses) {
    script("08_official_metrics_after",
           std::string("{\"families\": ") + families + ", \"histograms\": " + histograms +
               ", \"pauses\": " + pauses +
               ", \"goroutines\": 1, \"heap_objects\": 1, \"stops\": 0}");
    return lab("run 8");
  };
  const ran met = run_with("90", "7", "1");
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 1, then 90; "));
  EXPECT_EQ(run_with("23", "7", "1").status, 1);
  EXPECT_EQ(run_with("90", "0", "1").status, 1);
  EXPECT_EQ(run_with("90", "7", "0").status, 1);
}

TEST_F(lab_command, a_mutex_profile_on_demand_must_cost_less_and_be_there_on_demand) {
  script("10_mutex_profile_on_demand_before", R"({"request_us": 9, "standing_percent": 4})");
  const auto run_with = [&](const char* standing, const char* found) {
    script("10_mutex_profile_on_demand_after",
           std::string("{\"request_us\": 9, \"investigating_percent\": 2, \"standing_percent\": ") +
               standing + ", \"found\": " + found + "}");
    return lab("run 10 --rounds 1");
  };
  const ran met = run_with("0.1", "1");
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 4.0%, then 0.1%; "));
  EXPECT_EQ(run_with("5", "1").status, 1) << "no gain";
  EXPECT_EQ(run_with("0.1", "0").status, 1) << "nothing found";
}

TEST_F(lab_command, every_log_line_must_match) {
  const auto line = [](const char* lines, const char* sets, const char* matched) {
    return std::string("{\"requests\": 6, \"lines\": ") + lines + ", \"label_sets\": " + sets +
           ", \"matched\": " + matched + "}";
  };
  const auto run_with = [&](const std::string& before, const std::string& after) {
    script("12_labels_in_log_lines_before", before);
    script("12_labels_in_log_lines_after", after);
    return lab("run 12");
  };
  const ran met = run_with(line("6", "0", "0"), line("6", "6", "6"));
  EXPECT_EQ(met.status, 0) << met.text;
  EXPECT_THAT(met.text, HasSubstr("measured: 0, then 6 of 6; "));
  EXPECT_EQ(run_with(line("6", "0", "0"), line("6", "6", "5")).status, 1);
  EXPECT_EQ(run_with(line("6", "0", "0"), line("5", "6", "5")).status, 1);
  EXPECT_EQ(run_with(line("6", "0", "0"), line("6", "7", "6")).status, 1);
  EXPECT_EQ(run_with(line("6", "6", "6"), line("6", "6", "6")).status, 1);
}

TEST_F(lab_command, an_exercise_whose_library_is_missing_is_skipped) {
  const ran got = lab("run 12");
  EXPECT_EQ(got.status, 77) << got.text;
  EXPECT_THAT(got.text, HasSubstr("it is built where there is gort::pprof and spdlog\n"));
}

TEST_F(lab_command, a_program_that_fails_is_no_measurement) {
  script("02_yield_in_hot_loop_before", R"({"elapsed_ms": 9, "ns_per_iteration": 9})");
  const ran missing = lab("run 2");
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.text, HasSubstr("no program " + folder_.string()));

  script("02_yield_in_hot_loop_after", R"({"elapsed_ms": 1, "ns_per_iteration": 1})", 4);
  const ran failed = lab("run 2");
  EXPECT_EQ(failed.status, 2);
  EXPECT_THAT(failed.text, HasSubstr("02_yield_in_hot_loop_after ended with status 4, not 0"));

  for (const char* nonsense : {"", "fast", "{", "{}{", R"({"elapsed_ms": fast})",
                               R"({"elapsed_ms" 1})", R"({"elapsed_ms": 1)", R"({"elapsed_ms)"}) {
    script("02_yield_in_hot_loop_after", nonsense);
    const ran got = lab("run 2 --rounds 1");
    EXPECT_EQ(got.status, 2) << nonsense;
    EXPECT_THAT(got.text, HasSubstr("measurement: ")) << nonsense;
  }
}

TEST_F(lab_command, refuses_what_it_does_not_know) {
  const ran none = lab("run 99");
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.text, HasSubstr("no exercise 99"));
  EXPECT_NE(run_shell(gort()).status, 0);
  EXPECT_NE(lab("run 2 --rounds 0").status, 0);
  EXPECT_NE(run_shell(gort() + " lab run 2 --programs /nonexistent").status, 0);
}

TEST_F(lab_command, skips_and_says_why_where_it_may_not_make_a_cgroup) {
  // Whoever may write the hierarchy runs it as a user who may not.
  const std::string as_nobody =
      geteuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups " : "";
  if (run_shell(as_nobody + gort() + " --version").status != 0)
    GORT_SKIP("another user cannot run the build's programs");
  for (const char* number : {"1", "4"}) {
    const ran got = run_shell(as_nobody + gort() + " lab run " + number + " --wait 0");
    EXPECT_EQ(got.status, 77) << got.text;
    EXPECT_THAT(got.text, HasSubstr("SKIPPED: "));
    EXPECT_THAT(got.text, Not(HasSubstr("measured:")));
  }
}

TEST_F(lab_command, a_table_is_no_failure_where_targets_are_missed) {
  for (const char* side : {"before", "after"}) {
    for (const char* name :
         {"01_right_size_gomaxprocs_", "02_yield_in_hot_loop_", "04_memory_limit_",
          "06_raise_gogc_", "07_bounded_pool_", "09_cap_the_stack_", "15_trace_the_storm_"}) {
      script(std::string(name) + side,
             R"({"elapsed_ms": 9, "ns_per_iteration": 9, "p99_ms": 9, "to_report_ms": 9, )"
             R"("p99_us": 9, "bursts": 9, "gc_percent": 9})");
    }
    script(std::string("03_metrics_not_memory_statistics_") + side,
           R"({"stops": 9, "polls": 9, "median_stop_us": 9, "longest_stop_us": 9, )"
           R"("look_us": 9, "late_p99_us": 9})");
  }
  script("14_leak_check_before", R"({"leaks": 2, "with_creation_site": 2, "elapsed_ms": 9})", 1);
  script("14_leak_check_after", R"({"leaks": 0, "with_creation_site": 0, "elapsed_ms": 3})");
  const ran table = lab("table --rounds 1");
  EXPECT_EQ(table.status, 0) << table.text;
  EXPECT_THAT(table.text, ContainsRegex(" 2  Remove gosched [^\n]*1\\.0x +NOT met\n"));
  EXPECT_THAT(table.text, ContainsRegex("14  Leak check [^\n]*2 found, then 0 +met\n"));
  EXPECT_EQ(lab("table --strict --rounds 1").status, 1);
}

}  // namespace
