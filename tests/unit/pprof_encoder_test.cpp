// profile.proto, read back by another reader: tables, stacks, names, mappings; and gzip.
#include "report/pprof/proto.hpp"

#include <dlfcn.h>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sanitizer.hpp"
#include "report/pprof/text.hpp"
#include "support/profile_reader.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace shop {

using stack = std::vector<const void*>;

[[gnu::always_inline]] inline void here(stack& to) { to.push_back(__builtin_return_address(0)); }
// Each adds the address that it returns to.
[[gnu::noinline]] void leaf(stack& to) { here(to); }
[[gnu::always_inline]] inline void inlined(stack& to) {
  leaf(to);
  asm("");
}
template <class T>
[[gnu::noinline]] void middle(stack& to) {
  here(to);
  inlined(to);
  asm("");
}
[[gnu::noinline]] stack outer() {
  stack to;
  middle<int>(to);
  std::swap(to[0], to[1]);
  return to;  // in inlined() in middle(), in outer()
}

}  // namespace shop

namespace {

using namespace gort::report;
using gort::test::gunzip;
using gort::test::profile_reader;
using gort::test::read_profile;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

profile_data two_types() {
  profile_data data({{"contentions", "count"}, {"delay", "nanoseconds"}});
  data.period_type = {"contentions", "count"};
  data.period = 1;
  return data;
}

std::vector<const void*> addresses(std::vector<std::uintptr_t> numbers) {
  std::vector<const void*> out;
  for (const std::uintptr_t each : numbers) out.push_back(reinterpret_cast<const void*>(each));
  return out;
}

void add(profile_data& to, const std::vector<const void*>& frames, std::vector<std::int64_t> values,
         const std::vector<sample_label>& labels = {}) {
  to.add(frames, values, labels);
}

TEST(pprof_encoder, what_stands_in_the_head) {
  profile_data data = two_types();
  data.default_type = "contentions";
  data.time_ns = 1'700'000'000'000'000'001;
  data.duration_ns = 5'000'000'000;
  const read_profile read = profile_reader::read(encode_proto(data));
  EXPECT_THAT(read.types, ElementsAre("contentions/count", "delay/nanoseconds"));
  EXPECT_EQ(read.period_type, "contentions/count");
  EXPECT_EQ(read.period, 1);
  EXPECT_EQ(read.default_type, "contentions");
  EXPECT_EQ(read.time_ns, 1'700'000'000'000'000'001);
  EXPECT_EQ(read.duration_ns, 5'000'000'000);
  EXPECT_TRUE(read.samples.empty());
}

TEST(pprof_encoder, equal_stacks_with_equal_labels_are_one_sample) {
  profile_data data = two_types();
  add(data, addresses({0x11, 0x21}), {1, 10});
  add(data, addresses({0x11, 0x21}), {2, 20});
  add(data, addresses({0x11, 0x31}), {4, 40});
  add(data, addresses({0x11, 0x21}), {8, 80}, {{"a", "1"}, {"b", "2"}});
  add(data, addresses({0x11, 0x21}), {16, 160}, {{"a", "1"}, {"b", "2"}});
  add(data, addresses({0x11, 0x21}), {32, -320}, {{"bytes", "", 48, "bytes"}});
  add(data, {}, {64, 640});
  const read_profile read = profile_reader::read(encode_proto(data));
  ASSERT_EQ(read.samples.size(), 5u);
  EXPECT_THAT(read.samples[0].values, ElementsAre(3, 30));
  EXPECT_THAT(read.samples[1].values, ElementsAre(4, 40));
  EXPECT_THAT(read.samples[2].values, ElementsAre(24, 240));
  EXPECT_EQ(read.samples[2].labels, (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
  EXPECT_THAT(read.samples[3].values, ElementsAre(32, -320));
  EXPECT_EQ(read.samples[3].numbers.at("bytes"), 48);
  EXPECT_TRUE(read.samples[4].stack.empty());
  ASSERT_EQ(read.samples[1].stack.size(), 2u);
  EXPECT_EQ(read.samples[1].stack[0].address, 0x10u);
  EXPECT_EQ(read.samples[1].stack[1].address, 0x30u);
  EXPECT_EQ(read.samples[1].stack[1].mapping, 0u);
}

// Readers of protobuf refuse a whole profile for one text that is something else.
TEST(pprof_encoder, what_is_no_utf_8_becomes_a_replacement_character) {
  profile_data data(
      {value_type{"\xff"
                  "count",
                  "count"}});
  add(data, addresses({0x11}), {1}, {{"k\xc3\xa4y", "z\xc3\xbc"}, {"k\xe4y", "half \xe2\x82"}});
  const read_profile read = profile_reader::read(encode_proto(data));
  EXPECT_THAT(read.types, ElementsAre("\uFFFDcount/count"));
  ASSERT_EQ(read.samples.size(), 1u);
  const std::map<std::string, std::string> labels{{"k\u00e4y", "z\u00fc"},
                                                  {"k\uFFFDy", "half \uFFFD\uFFFD"}};
  EXPECT_EQ(read.samples[0].labels, labels);
}

TEST(pprof_encoder, a_difference_keeps_what_has_changed) {
  profile_data before = two_types(), after = two_types();
  add(before, addresses({0x11}), {1, 10});
  add(before, addresses({0x21}), {2, 20});
  add(after, addresses({0x21}), {2, 20});
  add(after, addresses({0x11}), {4, 50});
  add(after, addresses({0x31}), {1, 1});
  after.subtract(before);
  ASSERT_EQ(after.samples().size(), 2u);
  EXPECT_THAT(after.samples()[0].values, ElementsAre(3, 40));
  EXPECT_THAT(after.samples()[1].values, ElementsAre(1, 1));
  EXPECT_EQ(after.total(1), 41);
}

TEST(pprof_encoder, functions_with_those_inlined_and_their_lines) {
  const shop::stack frames = shop::outer();
  profile_data data = two_types();
  add(data, frames, {1, 1});
  const read_profile read = profile_reader::read(encode_proto(data));
  ASSERT_EQ(read.samples.size(), 1u);
  const auto& stack = read.samples[0].stack;
  ASSERT_EQ(stack.size(), 2u);
  // The innermost first, the function that has them all last.
  ASSERT_FALSE(stack[0].lines.empty() || stack[1].lines.empty()) << read.all_stacks();
  ASSERT_GE(stack[0].lines.size(), 2u) << read.all_stacks();
  EXPECT_THAT(stack[0].lines.front().function, EndsWith("inlined"));
  EXPECT_EQ(stack[0].lines.back().function, "shop::middle<int>");
  EXPECT_THAT(stack[0].lines.back().system_name, StartsWith("_ZN4shop6middleIiEE"));
  EXPECT_EQ(stack[1].lines.back().function, "shop::outer");
  for (const auto& each : stack) {
    for (const auto& line : each.lines) {
      EXPECT_THAT(line.file, EndsWith("tests/unit/pprof_encoder_test.cpp"));
      EXPECT_GT(line.line, 20);
      EXPECT_LT(line.line, 55);
    }
  }
}

TEST(pprof_encoder, mappings_are_of_this_program_and_its_libraries) {
  const shop::stack frames = shop::outer();
  profile_data data = two_types();
  add(data, {frames[0], reinterpret_cast<const char*>(&std::fopen) + 1}, {1, 1});
  const read_profile read = profile_reader::read(encode_proto(data));
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
  ASSERT_FALSE(read.mappings.empty());
  EXPECT_EQ(read.mappings[0].file, self);
  EXPECT_TRUE(read.mappings[0].has_functions);
  const auto& stack = read.samples.at(0).stack;
  EXPECT_EQ(stack.at(0).mapping, 1u);
  bool has_vdso = false;
  for (const auto& each : read.mappings) has_vdso = has_vdso || each.file == "[vdso]";
  EXPECT_TRUE(has_vdso);
  // As file(1) and the linker see it.
  const auto linked = gort::test::run_shell(std::string("readelf -n ") + self);
  ASSERT_EQ(linked.status, 0) << linked.text;
  ASSERT_FALSE(read.mappings[0].build_id.empty());
  EXPECT_TRUE(linked.has("Build ID: " + read.mappings[0].build_id)) << linked.text;
  if (gort::base::with_asan || gort::base::with_tsan) return;  // which put a fopen in front
  const auto& library = read.mappings.at(stack.at(1).mapping - 1);
  EXPECT_THAT(library.file, HasSubstr("libc"));
  EXPECT_TRUE(library.has_functions);
  EXPECT_THAT(stack[1].lines.at(0).function, testing::AnyOf("fopen", "_IO_fopen", "fopen64"));
}

TEST(pprof_encoder, where_a_function_is_unknown_readers_are_told_to_look) {
  const read_profile first = profile_reader::read(encode_proto(two_types()));
  EXPECT_FALSE(first.mappings.at(0).has_functions) << "nothing of it is in the profile";
  // The end of the mapping is padding: no function.
  profile_data data = two_types();
  add(data, addresses({first.mappings[0].high}), {1, 1});
  const read_profile read = profile_reader::read(encode_proto(data));
  ASSERT_EQ(read.samples.at(0).stack.at(0).mapping, 1u);
  if (!read.samples[0].stack[0].lines.empty()) return;  // the last page is full
  EXPECT_FALSE(read.mappings[0].has_functions);
}

// Readers who look replace what is known by what they find, in all of the mapping.
TEST(pprof_encoder, an_address_that_is_in_no_function_takes_no_names_away) {
  const profile_data none = two_types();
  const std::uintptr_t high = profile_reader::read(encode_proto(none)).mappings.at(0).high;
  const auto inside = reinterpret_cast<std::uintptr_t>(&shop::outer) + 1;
  for (const auto& order : {addresses({inside, high}), addresses({high, inside})}) {
    profile_data data = two_types();
    add(data, order, {1, 1});
    EXPECT_TRUE(profile_reader::read(encode_proto(data)).mappings.at(0).has_functions);
  }
}

TEST(pprof_encoder, libraries_loaded_later_have_lines_too) {
  if (gort::base::with_asan || gort::base::with_tsan) return;  // it would need their runtime
  const std::string base = "/tmp/gort-pprof-" + std::to_string(getpid());
  std::ofstream(base + ".cpp") << "namespace plugin {\n"
                                  "static __attribute__((noinline)) void* hidden() {\n"
                                  "  return __builtin_return_address(0);\n"
                                  "}\n"
                                  "static __attribute__((noinline)) void* caller() {\n"
                                  "  void* at = hidden();\n"
                                  "  asm(\"\");\n"
                                  "  return at;\n"
                                  "}\n"
                                  "}\n"
                                  "extern \"C\" void* plugin_pc() { return plugin::caller(); }\n";
  // What was looked up before does not count.
  profile_data before = two_types();
  add(before, shop::outer(), {1, 1});
  encode_proto(before);
  const auto built = gort::test::run_shell(GORT_CXX " -g -O1 -shared -fPIC -Wl,--build-id -o " +
                                           base + ".so " + base + ".cpp");
  ASSERT_EQ(built.status, 0) << built.text;
  void* library = dlopen((base + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  auto* pc = reinterpret_cast<void* (*)()>(dlsym(library, "plugin_pc"));
  ASSERT_NE(pc, nullptr);
  profile_data data = two_types();
  add(data, {pc()}, {1, 1});
  const read_profile read = profile_reader::read(encode_proto(data));
  const auto& at = read.samples.at(0).stack.at(0);
  EXPECT_EQ(at.lines.at(0).function, "plugin::caller");
  EXPECT_EQ(at.lines.at(0).file, base + ".cpp");
  EXPECT_EQ(at.lines.at(0).line, 6);
  ASSERT_NE(at.mapping, 0u);
  EXPECT_EQ(read.mappings[at.mapping - 1].file, base + ".so");
  EXPECT_FALSE(read.mappings[at.mapping - 1].build_id.empty());
  dlclose(library);
  std::remove((base + ".cpp").c_str());
  std::remove((base + ".so").c_str());
}

TEST(pprof_encoder, gzip_can_be_read_back) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919);
  const std::string packed = gzip(text);
  EXPECT_LT(packed.size(), text.size());
  EXPECT_EQ(gunzip(packed), text);
  EXPECT_EQ(gunzip(gzip("")), "");
  EXPECT_THAT(gzip(""), StartsWith("\x1f\x8b"));
}

TEST(pprof_text, groups_by_count_with_labels) {
  const shop::stack frames = shop::outer();
  profile_data data({value_type{"goroutine", "count"}});
  data.add(frames, std::array<std::int64_t, 1>{2}, std::vector<sample_label>{{"b\"", "x\n"}});
  data.add(frames, std::array<std::int64_t, 1>{5});
  const std::string text = counts_as_text("goroutine", data);
  EXPECT_THAT(text, StartsWith("goroutine profile: total 7\n5 @ 0x"));
  EXPECT_THAT(text, HasSubstr("\n# labels: {\"b\\\"\":\"x\\n\"}\n"));
  EXPECT_THAT(text, HasSubstr("\tshop::middle<int>+0x"));
  EXPECT_THAT(text, HasSubstr("tests/unit/pprof_encoder_test.cpp:"));
  EXPECT_LT(text.find("5 @"), text.find("2 @"));
  EXPECT_THAT(text, EndsWith("\n\n"));
}

}  // namespace
