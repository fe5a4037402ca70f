// Parsing what the kernel says about control groups and mounts.
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "os/cgroup.hpp"
#include "support/scribbler.hpp"
#include "support/seed.hpp"

namespace gort::os {
namespace {

using test::scribbler;

TEST(parse_cpu_max, table) {
  struct row {
    const char* text;
    double cpus;  // -1: none
  };
  constexpr std::array rows{
      row{"150000 100000\n", 1.5},
      row{"150000 100000", 1.5},
      row{"1000 1000000\n", 0.001},
      row{"9223372036854775807 1\n", 9223372036854775807.0},
      row{"max 100000\n", -1},
      row{"", -1},
      row{"\n", -1},
      row{"150000", -1},
      row{"150000 \n", -1},
      row{"150000 0\n", -1},
      row{"0 100000\n", -1},
      row{"-150000 100000\n", -1},
      row{"150000 -100000\n", -1},
      row{"1.5e5 100000\n", -1},
      row{"0x100 100000\n", -1},
      row{"9223372036854775808 100000\n", -1},
      row{"150000 100000 7\n", -1},
      row{"maximum 100000\n", -1},
  };
  for (const row& r : rows) EXPECT_DOUBLE_EQ(parse_cpu_max(r.text), r.cpus) << '"' << r.text << '"';
}

TEST(parse_membership, table) {
  struct row {
    const char* text;
    const char* path;  // null: not found
    bool version1;
  };
  constexpr std::array rows{
      row{"0::/\n", "/", false},
      row{"0::/a:b::c\n", "/a:b::c", false},
      row{"1:cpu:/x\n0::/y\n", "/x", true},
      row{"0::/y\n1:cpuacct,cpu:/x\n", "/x", true},
      row{"5:cpuset:/x\n6:name=cpu:/x\n", nullptr, false},
      row{"0::relative\n", nullptr, false},
      row{"1::/x\n", nullptr, false},
      row{"0\n0:\n0::\n", nullptr, false},
      row{"", nullptr, false},
      row{"0::/no-newline", "/no-newline", false},
  };
  for (const row& r : rows) {
    const cgroup_membership found = parse_membership(r.text);
    EXPECT_EQ(found.found, r.path != nullptr) << r.text;
    if (r.path == nullptr) continue;
    EXPECT_EQ(found.path, r.path) << r.text;
    EXPECT_EQ(found.version1, r.version1) << r.text;
  }
}

TEST(parse_mount, optional_fields_may_be_absent_or_several) {
  for (const char* optional : {"", "shared:1 ", "shared:1 master:2 unbindable "}) {
    const std::string line = std::string("1 2 0:3 /r /m rw,nosuid ") + optional + "- cgroup2 c rw";
    const cgroup_mount mount = parse_mount(line, false);
    EXPECT_TRUE(mount.matches) << line;
    EXPECT_EQ(mount.root, "/r");
    EXPECT_EQ(mount.mount_point, "/m");
    EXPECT_FALSE(parse_mount(line, true).matches) << line;
  }
}

TEST(parse_mount, the_controller_is_a_whole_word_of_the_options) {
  EXPECT_TRUE(parse_mount("1 2 0:3 / /m rw - cgroup c rw,cpu", true).matches);
  EXPECT_TRUE(parse_mount("1 2 0:3 / /m rw - cgroup c rw,cpuacct,cpu", true).matches);
  EXPECT_FALSE(parse_mount("1 2 0:3 / /m rw - cgroup c rw,cpuset", true).matches);
  EXPECT_FALSE(parse_mount("1 2 0:3 / /cpu rw - cgroup cpu rw,name=cpu", true).matches);
  EXPECT_FALSE(parse_mount("1 2 0:3 / /m rw - tmpfs c rw,cpu", true).matches);
}

TEST(unescape_mount, decodes_three_octal_digits_and_nothing_else) {
  const auto decoded = [](std::string_view text) {
    char out[64];
    return unescape_mount(text, out, sizeof(out)) ? std::string(out) : "does not fit";
  };
  EXPECT_EQ(decoded("/a\\040b\\011c\\134"), "/a b\tc\\");
  EXPECT_EQ(decoded("\\04"), "\\04");
  EXPECT_EQ(decoded("\\089"), "\\089");
  EXPECT_EQ(decoded("\\x41"), "\\x41");
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded(std::string(63, 'x')), std::string(63, 'x'));
  EXPECT_EQ(decoded(std::string(64, 'x')), "does not fit");
}

TEST(cgroup_parse_property, weird_text_neither_crashes_nor_makes_a_limit_of_zero) {
  scribbler scribble(test::seed());
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = scribble.text();
    const double cpus = parse_cpu_max(text);
    ASSERT_TRUE(cpus > 0 || cpus == -1) << text;
    const cgroup_membership found = parse_membership(text);
    ASSERT_EQ(found.found, !found.path.empty()) << text;
    parse_mount(text, i % 2 == 0);
    char out[16];
    unescape_mount(text, out, sizeof(out));
  }
}

}  // namespace
}  // namespace gort::os
