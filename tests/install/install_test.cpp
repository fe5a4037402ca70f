// Installs gort, moves the installed tree elsewhere, and uses it from there as a stranger would:
// through find_package, through pkg-config, and header by header. Moving it finds absolute paths.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "support/skip.hpp"

namespace {

namespace fs = std::filesystem;

struct outcome {
  int status;
  std::string output;
};

outcome shell(const std::string& command) {
  outcome out{-1, {}};
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  while (std::size_t n = std::fread(buffer, 1, sizeof(buffer), pipe)) out.output.append(buffer, n);
  out.status = ::pclose(pipe);
  return out;
}

#define EXPECT_RUNS(command)                                     \
  do {                                                           \
    const outcome ran = shell(command);                          \
    EXPECT_EQ(ran.status, 0) << (command) << "\n" << ran.output; \
  } while (false)

class install : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "gort-install-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    work_ = name;
    prefix_ = work_ / "moved here";
    std::cerr << "installing into " << work_ << " and building consumers ...\n";
    EXPECT_RUNS("cmake --install '" GORT_BINARY_DIR "' --prefix '" + (work_ / "first").string() +
                "'");
    fs::rename(work_ / "first", prefix_);
  }
  static void TearDownTestSuite() { fs::remove_all(work_); }

  static std::string quoted(const fs::path& path) { return "'" + path.string() + "'"; }
  static fs::path package_config() {
    for (const auto& entry : fs::recursive_directory_iterator(prefix_)) {
      if (entry.path().filename() == "gort.pc") return entry.path().parent_path();
    }
    return {};
  }

  static fs::path work_;
  static fs::path prefix_;
};
fs::path install::work_;
fs::path install::prefix_;

const std::string consumer = GORT_SOURCE_DIR "/tests/install/consumer";
const std::string says = "sum of squares: 385\n";

TEST_F(install, find_package) {
  const fs::path build = work_ / "find_package";
  EXPECT_RUNS("cmake -G Ninja -S " + quoted(consumer) + " -B " + quoted(build) +
              " -DCMAKE_CXX_COMPILER='" GORT_CXX "' -DCMAKE_PREFIX_PATH=" + quoted(prefix_) +
              " && cmake --build " + quoted(build));
  EXPECT_EQ(shell(quoted(build / "consumer")).output, says);
  EXPECT_EQ(shell(quoted(build / "consumer_core")).output, says);
}

// A stranger's program has them in itself, and those who must not load any from programs a file.
TEST_F(install, the_debuggers_commands_come_with_it) {
  const fs::path script = prefix_ / "share" / "gort" / "gdb" / "gort.py";
  EXPECT_TRUE(fs::exists(script)) << script;
  if (shell("gdb -q -nx -batch -ex 'python print(1)'").output != "1\n")
    GORT_SKIP("no gdb with Python");
  const fs::path program = work_ / "find_package" / "consumer_core";
  const std::string asked = " -ex 'help info goroutines' " + quoted(program);
  const std::string gdb = "gdb -q -nx -batch -iex 'set debuginfod enabled off' ";
  const outcome by_itself =
      shell(gdb + "-iex " + quoted("add-auto-load-safe-path " + work_.string()) + asked);
  EXPECT_EQ(by_itself.output.find("Undefined"), by_itself.output.npos) << by_itself.output;
  EXPECT_NE(by_itself.output.find("goroutine"), by_itself.output.npos) << by_itself.output;
  const outcome sourced = shell(gdb + "-iex 'set auto-load python-scripts off' -ex " +
                                quoted("source " + script.string()) + asked);
  EXPECT_EQ(sourced.output, by_itself.output);
}

TEST_F(install, find_package_refuses_another_minor_version) {
  const fs::path source = work_ / "later";
  fs::copy(consumer, source);
  EXPECT_RUNS("sed -i 's/gort 0.1/gort 0.99/' " + quoted(source / "CMakeLists.txt"));
  EXPECT_NE(shell("cmake -G Ninja -S " + quoted(source) + " -B " + quoted(source / "build") +
                  " -DCMAKE_CXX_COMPILER='" GORT_CXX "' -DCMAKE_PREFIX_PATH=" + quoted(prefix_))
                .status,
            0);
}

TEST_F(install, pkg_config) {
  const fs::path program = work_ / "pkg_config_consumer";
  // eval: pkg-config escapes the blank in the path for a shell.
  EXPECT_RUNS("flags=$(PKG_CONFIG_PATH=" + quoted(package_config()) +
              " pkg-config --cflags --libs gort) && eval \"'" GORT_CXX "' " +
              quoted(consumer + "/main.cpp") + " -o " + quoted(program) + " $flags\"");
  EXPECT_EQ(shell(quoted(program)).output, says);
}

TEST_F(install, pkg_config_for_http) {
  if (!fs::exists(package_config() / "gort-http.pc")) GORT_SKIP("no gort::http in this build");
  const fs::path program = work_ / "pkg_config_http";
  EXPECT_RUNS("flags=$(PKG_CONFIG_PATH=" + quoted(package_config()) +
              " pkg-config --cflags --libs gort-http) && eval \"'" GORT_CXX "' " +
              quoted(consumer + "/http.cpp") + " -o " + quoted(program) + " $flags\"");
  EXPECT_EQ(shell(quoted(program)).output, "has a multiplexer\n");
  EXPECT_EQ(shell(quoted(work_ / "find_package" / "consumer_http")).output, "has a multiplexer\n");
}

TEST_F(install, pkg_config_for_pprof) {
  if (!fs::exists(package_config() / "gort-pprof.pc")) GORT_SKIP("no gort::pprof in this build");
  const fs::path program = work_ / "pkg_config_pprof";
  EXPECT_RUNS("flags=$(PKG_CONFIG_PATH=" + quoted(package_config()) +
              " pkg-config --cflags --libs gort-pprof) && eval \"'" GORT_CXX "' " +
              quoted(consumer + "/pprof.cpp") + " -o " + quoted(program) + " $flags\"");
  EXPECT_EQ(shell(quoted(program)).output, "packed: yes\n");
  EXPECT_EQ(shell(quoted(work_ / "find_package" / "consumer_pprof")).output, "packed: yes\n");
}

TEST_F(install, pkg_config_for_prometheus) {
  if (!fs::exists(package_config() / "gort-prometheus.pc"))
    GORT_SKIP("no gort::prometheus in this build");
  const fs::path program = work_ / "pkg_config_prometheus";
  EXPECT_RUNS("flags=$(PKG_CONFIG_PATH=" + quoted(package_config()) +
              " pkg-config --cflags --libs gort-prometheus) && eval \"'" GORT_CXX "' " +
              quoted(consumer + "/prometheus.cpp") + " -o " + quoted(program) + " $flags\"");
  EXPECT_EQ(shell(quoted(program)).output, "exported: yes\n");
  EXPECT_EQ(shell(quoted(work_ / "find_package" / "consumer_prometheus")).output,
            "exported: yes\n");
}

std::string build_sanitized(const std::string& prefix, const std::string& build,
                            const std::string& sanitizer) {
  return "cmake -G Ninja -S '" + consumer + "' -B " + build +
         " -DCMAKE_CXX_COMPILER='" GORT_CXX "' -DCMAKE_PREFIX_PATH=" + prefix +
         " -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=-fsanitize=" + sanitizer +
         " && cmake --build " + build + " --target consumer_sanitized";
}

// This library is not instrumented; the program is.
TEST_F(install, a_program_with_address_sanitizer) {
  const fs::path build = work_ / "address";
  EXPECT_RUNS(build_sanitized(quoted(prefix_), quoted(build), "address,undefined"));
  for (const char* options : {"", "ASAN_OPTIONS=detect_stack_use_after_return=1 "}) {
    const outcome ran = shell(options + quoted(build / "consumer_sanitized"));
    EXPECT_EQ(ran.output, "caught: 1000\n");
    EXPECT_EQ(ran.status, 0);
  }
}

TEST_F(install, a_program_with_thread_sanitizer_is_told_why_not) {
  const outcome built = shell(build_sanitized(quoted(prefix_), quoted(work_ / "thread"), "thread"));
  EXPECT_NE(built.status, 0);
  EXPECT_NE(built.output.find("gort_is_built_without_thread_sanitizer__see_docs_sanitizers_md"),
            std::string::npos)
      << built.output;
}

// A header that compiles only after another one breaks the program that includes it first.
TEST_F(install, every_header_stands_alone_without_warnings) {
  int headers = 0;
  for (const auto& entry : fs::recursive_directory_iterator(prefix_ / "include")) {
    if (entry.path().extension() != ".hpp") continue;
    ++headers;
    const std::string name = entry.path().lexically_relative(prefix_ / "include").string();
    std::ofstream(work_ / "alone.cpp") << "#include <" << name << ">\n#include <" << name << ">\n";
    EXPECT_RUNS("'" GORT_CXX
                "' -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion "
                "-Wshadow -Werror -I" +
                quoted(prefix_ / "include") + " " + quoted(work_ / "alone.cpp"));
  }
  EXPECT_GE(headers, 5);
}

}  // namespace
