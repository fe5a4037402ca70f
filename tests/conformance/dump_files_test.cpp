// A dump of a program whose file, or that of its debug information, is no longer where it was.
#include <fcntl.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "os/mapped_file.hpp"
#include "support/parked.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

namespace fs = std::filesystem;

[[gnu::noinline]] int waits_for(chan<int> c) {
  const auto got = c.recv();
  asm volatile("");
  return got.value_or(0);
}

// --- the program

TEST(program, DISABLED_shows_itself) {
  char path[4096];
  if (std::getenv("GORT_TEST_DELETES_ITSELF") != nullptr) {
    ASSERT_TRUE(os::program_path(path));
    ASSERT_EQ(unlink(path), 0);
  }
  if (const char* other = std::getenv("GORT_TEST_IS_REPLACED_BY"); other != nullptr) {
    ASSERT_TRUE(os::program_path(path));
    ASSERT_EQ(std::rename(other, path), 0);
  }
  run([] {
    auto c = make_chan<int>();
    const test::arrivals since;
    go([c] { waits_for(c); });
    since.wait_for(1, test::wait_reason::chan_receive);
    if (std::getenv("GORT_TEST_HAS_NO_DESCRIPTORS") != nullptr)
      while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {}
    std::vector<char> text(1 << 16);
    text.resize(runtime::stack(text, true));
    std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
    c.close();
  });
}

// --- the tests

class dump_files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gort-dump-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::copy_file("/proc/self/exe", folder_ / "program");
    fs::copy_file("/bin/true", folder_ / "other");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static test::ended in(const fs::path& folder, const std::string& before) {
    return test::run_shell("cd " + folder.string() + " && " + before +
                           " ./program --gtest_also_run_disabled_tests"
                           " --gtest_filter='*.DISABLED_shows_itself'");
  }
  void expect_all(const test::ended& of) const {
    EXPECT_EQ(of.status, 0) << of.head();
    EXPECT_TRUE(of.has("gort::(anonymous namespace)::waits_for(...)\n")) << of.head();
    EXPECT_TRUE(of.has("tests/conformance/dump_files_test.cpp:")) << of.head();
  }
  bool strip(const std::string& debug_file) const {
    return test::run_shell(
               "cd " + folder_.string() + " && objcopy --only-keep-debug program " + debug_file +
               " && strip program && objcopy --add-gnu-debuglink=" + debug_file + " program")
               .status == 0;
  }

  fs::path folder_;
};

TEST_F(dump_files, one_that_is_still_there) { expect_all(in(folder_, "")); }

TEST_F(dump_files, one_that_has_been_deleted) {
  expect_all(in(folder_, "GORT_TEST_DELETES_ITSELF=1"));
}

TEST_F(dump_files, one_in_whose_place_another_stands) {
  expect_all(in(folder_, "GORT_TEST_IS_REPLACED_BY=other"));
}

TEST_F(dump_files, debug_information_beside_one_that_has_been_deleted) {
  if (!strip("program.debug")) GORT_SKIP("no objcopy");
  expect_all(in(folder_, "GORT_TEST_DELETES_ITSELF=1"));
}

TEST_F(dump_files, a_new_ones_debug_information_is_not_the_old_ones) {
  if (!strip("program.debug")) GORT_SKIP("no objcopy");
  fs::rename(folder_ / "other", folder_ / "program.debug");
  const test::ended of = in(folder_, "");
  EXPECT_EQ(of.status, 0) << of.head();
  EXPECT_TRUE(of.has(" [chan receive]:\n")) << of.head();
  EXPECT_FALSE(of.has("dump_files_test.cpp:")) << of.head();
}

TEST_F(dump_files, without_a_free_descriptor_there_are_addresses) {
  const test::ended of = in(folder_, "ulimit -n 64 && GORT_TEST_HAS_NO_DESCRIPTORS=1");
  EXPECT_EQ(of.status, 0) << of.head();
  EXPECT_TRUE(of.has("(...)\n\t?\?:0 pc=0x")) << of.head();
}

TEST_F(dump_files, without_proc) {
  const std::string apart = "unshare --mount --propagation private sh -c '";
  const std::string hidden = "mount -t tmpfs none /proc && ";
  if (test::run_shell(apart + hidden + "true'").status != 0) GORT_SKIP("may not hide /proc");
  const test::ended of = test::run_shell(
      apart + hidden + "cd " + folder_.string() +
      " && ./program --gtest_also_run_disabled_tests --gtest_filter=*.DISABLED_shows_itself'");
  expect_all(of);
}

}  // namespace
}  // namespace gort
