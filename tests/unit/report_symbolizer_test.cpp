// Files and lines of functions that several units have, as gcc, clang and the linker leave them.
#include <dlfcn.h>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "os/loaded.hpp"
#include "report/dwarf/object.hpp"
#include "report/symbolizer.hpp"
#include "support/copies/copies.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

namespace fs = std::filesystem;
using gort::report::symbol;

struct call {
  const void* return_address;
  std::string kind;
  int which, length, line, outer_line;

  std::string name() const {
    const std::string numbers = "<" + std::to_string(which) + ", " + std::to_string(length) + ">";
    return which == 0 ? kind : "copies::" + kind + numbers;
  }
};

std::vector<call> calls;

void note(const char* kind, int which, int length, int line, int outer_line) {
  calls.push_back({__builtin_return_address(0), kind, which, length, line, outer_line});
}

struct shown {
  std::string function, file;
  int line;
  bool inlined;
};

std::vector<shown> symbols_of(const void* return_address) {
  std::vector<shown> out;
  gort::report::symbolize(
      return_address,
      [](const symbol& s, void* to) {
        static_cast<std::vector<shown>*>(to)->push_back(
            {s.function, s.file == nullptr ? "" : s.file, s.line, s.inlined});
      },
      &out);
  return out;
}

bool is_in(const shown& s, std::string_view function, int line) {
  return s.function.find(function) != s.function.npos && s.line == line &&
         s.file.ends_with(function == "split" ? "first.cpp" : "copies.hpp");
}

std::string text(const std::vector<shown>& all) {
  std::string out;
  for (const shown& each : all)
    out += "  " + each.function + " " + each.file + ":" + std::to_string(each.line) + "\n";
  return out;
}

/// How much is said of a call that is inlined.
enum class detail { chain, line_only };

// Right, or the line is none: never a wrong one. And right, unless the line may miss.
void expect_right(const call& c, detail how, bool may_miss = false) {
  const std::vector<shown> all = symbols_of(c.return_address);
  if (may_miss && (all.empty() || all[0].line == 0)) return;
  ASSERT_FALSE(all.empty()) << c.name();
  if (how == detail::line_only) {
    EXPECT_TRUE(all[0].file.ends_with("copies.hpp") && all[0].line == c.line) << c.name() << "\n"
                                                                              << text(all);
    return;
  }
  ASSERT_EQ(all.size(), 2u) << c.name() << "\n" << text(all);
  EXPECT_TRUE(is_in(all[0], "copies::look", c.line)) << c.name() << "\n" << text(all);
  EXPECT_TRUE(is_in(all[1], c.name(), c.outer_line)) << c.name() << "\n" << text(all);
}

extern "C" {
const void* return_address_in_c;
[[gnu::noinline]] void d() { return_address_in_c = __builtin_return_address(0); }
[[gnu::always_inline]] inline void m() {
  d();
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void Pc() {
  m();
  asm volatile("");
}
int Pv;
}

// Each of these names is also how the linker writes a type.
TEST(symbolizer, names_that_are_not_mangled_stay_as_they_are) {
  Pc();
  const std::vector<shown> all = symbols_of(return_address_in_c);
  ASSERT_EQ(all.size(), 2u) << text(all);
  EXPECT_EQ(all[0].function, "m");
  EXPECT_EQ(all[1].function, "Pc");
  EXPECT_EQ(symbols_of(reinterpret_cast<const char*>(&d) + 1).at(0).function, "d");
  char name[16];
  ASSERT_TRUE(gort::report::name_variable(reinterpret_cast<std::uintptr_t>(&Pv), name, 16));
  EXPECT_STREQ(name, "Pv");
}

constexpr std::size_t calls_of_all = 16 * (3 + 1) * 3 + 1;

TEST(symbolizer, finds_lines_of_functions_beside_copies) {
  calls.clear();
  copies_of_the_first_unit(note);
  copies_of_the_second_unit(note);
  ASSERT_EQ(calls.size(), calls_of_all);
  for (const call& each : calls) expect_right(each, detail::chain);
}

// The two units as a shared library.
class built : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gort-symbolizer-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (library_ != nullptr) dlclose(library_);
    fs::remove_all(folder_);
  }

  static bool has(const std::string& tool) {
    return gort::test::run_shell("command -v " + tool).status == 0;
  }
  std::string library() const { return folder_ / "copies.so"; }

  // Each unit by a compiler's command of its own, then what is done to the library.
  void build(const std::string& first, const std::string& second, const std::string& link,
             const std::string& then = "true") {
    const std::string units = " -std=c++20 -fPIC -I" GORT_SOURCE_DIR "/tests -c " GORT_SOURCE_DIR
                              "/tests/support/copies/";
    const auto made =
        gort::test::run_shell("cd " + folder_.string() + " && " + first + units + "first.cpp && " +
                              second + units + "second.cpp && " + link +
                              " -shared -Wl,--build-id -o copies.so first.o second.o && " + then);
    ASSERT_EQ(made.status, 0) << made.text;
  }
  void build(const std::string& compiler, const std::string& then = "true") {
    build(compiler, compiler, compiler, then);
  }

  void load(bool refresh = true) {
    library_ = dlopen(library().c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    if (refresh) gort::report::refresh_symbols();
    calls.clear();
    for (const char* each : {"copies_of_the_first_unit", "copies_of_the_second_unit"}) {
      auto* run = reinterpret_cast<void (*)(copies::witness)>(dlsym(library_, each));
      ASSERT_NE(run, nullptr);
      run(note);
    }
    ASSERT_EQ(calls.size(), calls_of_all);
  }

  void load_and_expect(detail how = detail::chain) {
    load();
    if (HasFatalFailure()) return;
    for (const call& each : calls) expect_right(each, how);
  }

  static void expect_no_lines() {
    for (const call& each : calls) {
      for (const shown& s : symbols_of(each.return_address)) EXPECT_EQ(s.line, 0) << s.file;
    }
  }

  // Which reads the library's files anew.
  std::size_t lines_by_second_reader() {
    gort::os::loaded_object loaded;
    gort::os::find_loaded(reinterpret_cast<std::uintptr_t>(calls.at(0).return_address), loaded);
    gort::report::dwarf::beginning its;
    EXPECT_TRUE(gort::report::dwarf::read_beginning(loaded, its));
    gort::report::dwarf::object from(loaded, its);
    std::size_t found = 0, text_bytes = 0;
    for (const call& each : calls) {
      const auto pc = reinterpret_cast<std::uintptr_t>(each.return_address) - 1;
      const auto how = from.look_up(
          pc - loaded.bias,
          [](const char* function, const char* file, int, void* bytes) {
            // Texts end.
            if (function != nullptr) *static_cast<std::size_t*>(bytes) += std::strlen(function);
            if (file != nullptr) *static_cast<std::size_t*>(bytes) += std::strlen(file);
          },
          &text_bytes);
      if (how == gort::report::dwarf::known::all) ++found;
      if (const auto symbol = from.find_symbol(pc - loaded.bias); symbol.name != nullptr)
        text_bytes += std::strlen(symbol.name);
    }
    EXPECT_TRUE(found == 0 || text_bytes != 0);
    return found;
  }

  fs::path folder_;
  void* library_ = nullptr;
};

class with_options : public built, public testing::WithParamInterface<const char*> {};

TEST_P(with_options, finds_lines) {
  if (const std::string tool(GetParam()); !has(tool.substr(0, tool.find(' '))))
    GORT_SKIP(tool + " is not here");
  build(GetParam());
  if (!HasFatalFailure()) load_and_expect();
}

INSTANTIATE_TEST_SUITE_P(, with_options,
                         testing::Values("g++ -g -O0", "g++ -g -O2 -gz", "g++ -g -Os -gdwarf-4",
                                         "g++ -g -O2 -flto -fno-ipa-icf", "g++ -g -O2 -gdwarf64",
                                         "clang++ -g -O1", "g++ -g1 -Og -fuse-ld=gold"));

// The names of what is inlined are in files that stay where the program was built.
TEST_F(built, units_that_are_split_off_lie_beside_what_they_were_compiled_to) {
  for (const char* compiler : {"g++ -g -O2 -gsplit-dwarf", "g++ -g -O1 -gz -gsplit-dwarf",
                               "g++ -g -O2 -gdwarf-4 -gsplit-dwarf"}) {
    build(compiler);
    if (HasFatalFailure()) return;
    load_and_expect();
    dlclose(std::exchange(library_, nullptr));
  }
  if (!has("clang++")) GORT_SKIP("clang++ is not here");
  build("clang++ -g -O1 -gsplit-dwarf");
  if (!HasFatalFailure()) load_and_expect();
}

TEST_F(built, split_off_units_that_are_gone_leave_the_lines) {
  build("g++ -g -O2 -gsplit-dwarf", "rm *.dwo");
  if (!HasFatalFailure()) load_and_expect(detail::line_only);
}

TEST_F(built, split_off_units_of_another_build_are_not_believed) {
  build("g++ -g -O2 -gsplit-dwarf", "mkdir old && mv *.so *.o old");
  build("g++ -g -O3 -gsplit-dwarf -DNDEBUG", "mv old/copies.so .");
  if (!HasFatalFailure()) load_and_expect(detail::line_only);
}

TEST_F(built, sections_may_be_compressed_in_the_older_way) {
  build("g++ -g -O1", "objcopy --compress-debug-sections=zlib-gnu copies.so");
  if (!HasFatalFailure()) load_and_expect();
}

TEST_F(built, other_compressions_leave_the_names) {
  const std::string pack = "objcopy --compress-debug-sections=zstd copies.so";
  build("g++ -g -O2", pack + " 2>/dev/null || touch cannot");
  if (HasFatalFailure()) return;
  if (fs::exists(folder_ / "cannot")) GORT_SKIP("binutils here know no zstd");
  load();
  if (HasFatalFailure()) return;
  for (const call& each : calls) {
    const std::vector<shown> all = symbols_of(each.return_address);
    ASSERT_FALSE(all.empty());
    EXPECT_TRUE(all.back().line == 0 || is_in(all[0], "copies::look", each.line)) << text(all);
    EXPECT_NE(all.back().function.find(each.name()), std::string::npos) << text(all);
  }
}

constexpr const char* into_a_file_beside =
    "objcopy --only-keep-debug copies.so copies.debug && strip copies.so &&"
    " objcopy --add-gnu-debuglink=copies.debug copies.so";

TEST_F(built, debug_information_may_lie_beside) {
  build("g++ -g -O1", into_a_file_beside);
  if (!HasFatalFailure()) load_and_expect();
}

TEST_F(built, debug_information_of_another_build_is_not_believed) {
  build("g++ -g -O1", into_a_file_beside);
  ASSERT_EQ(std::rename((folder_ / "copies.debug").c_str(), (folder_ / "kept").c_str()), 0);
  build("g++ -g -O2", into_a_file_beside);
  ASSERT_EQ(std::rename((folder_ / "kept").c_str(), (folder_ / "copies.debug").c_str()), 0);
  load();
  if (!HasFatalFailure()) expect_no_lines();
}

// Of the second unit's copies only what is as large can be taken for what is there.
TEST_F(built, units_may_be_compiled_in_different_ways) {
  build("g++ -g -Os -DNDEBUG", "g++ -g -O3", "g++");
  if (!HasFatalFailure()) load_and_expect();
}

TEST_F(built, a_unit_may_have_no_debug_information) {
  build("g++ -g -O1", "g++ -g0 -O1", "g++");
  if (!HasFatalFailure()) load_and_expect();
}

// Not when it was first asked, but now.
TEST_F(built, a_later_library_needs_no_refresh) {
  symbols_of(reinterpret_cast<const void*>(&note));
  build("g++ -g -O1");
  load(false);
  if (HasFatalFailure()) return;
  for (const call& each : calls) expect_right(each, detail::chain);
}

TEST_F(built, a_file_that_has_been_replaced_is_not_believed) {
  build("g++ -g -Og");  // no other test's: what has been read once of the same build is right
  load(false);
  if (HasFatalFailure()) return;
  ASSERT_EQ(std::rename(library().c_str(), (folder_ / "old.so").c_str()), 0);
  build("g++ -g -O3");
  expect_no_lines();
}

// Names are of what is loaded, though the first look at the file comes when another has its place.
TEST_F(built, a_file_that_has_been_replaced_gives_no_names) {
  build("g++ -g -O0 -gno-column-info");
  load(false);
  if (HasFatalFailure()) return;
  ASSERT_EQ(std::rename(library().c_str(), (folder_ / "old.so").c_str()), 0);
  build("g++ -g -O2 -gno-column-info -fno-ipa-icf");
  gort::report::refresh_symbols();
  expect_no_lines();
  for (const call& each : calls) {
    const std::vector<shown> all = symbols_of(each.return_address);
    ASSERT_FALSE(all.empty());
    EXPECT_TRUE(all.back().function.find(each.name()) != std::string::npos ||
                all.back().function == "??")
        << each.name() << "\n"
        << text(all);
  }
}

// What the reader makes of files that are no longer what a compiler wrote: it comes back.
struct breakable {
  const char* compiler;
  const char* then;
  const char* file;
};

class broken : public built, public testing::WithParamInterface<breakable> {
 protected:
  void SetUp() override {
    built::SetUp();
    build(GetParam().compiler, GetParam().then);
    load();
    std::ifstream in(folder_ / GetParam().file, std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(in), {});
    ASSERT_GT(whole_.size(), 10'000u);
  }

  std::size_t look_at(const std::string& content) {
    std::ofstream(folder_ / GetParam().file, std::ios::binary) << content;
    return lines_by_second_reader();
  }

  std::string whole_;
};

TEST_P(broken, files_that_end_early) {
  EXPECT_EQ(look_at(whole_), calls_of_all);
  for (int part = 0; part < 50; ++part)
    look_at(whole_.substr(0, whole_.size() * static_cast<std::size_t>(part) / 50));
}

TEST_P(broken, files_with_wrong_bytes) {
  std::mt19937 random(1);  // always the same: what is found can be looked at
  const auto below = [&](std::size_t n) { return random() % n; };
  std::size_t found = 0;
  for (int turn = 0; turn < 150; ++turn) {
    std::string content = whole_;
    const std::size_t width = turn % 3 == 0 ? content.size() : 1u << below(14);
    const std::size_t begin = below(content.size() - width + 1);
    for (std::size_t i = 0, count = 1 + below(60); i < count; ++i)
      content[begin + below(width)] = static_cast<char>(below(3) == 0 ? 0xff : below(256));
    found += look_at(content);
  }
  EXPECT_GT(found, 0u);  // else it has only looked at the headers
}

INSTANTIATE_TEST_SUITE_P(
    , broken,
    testing::Values(breakable{"g++ -g -O1 -gno-column-info", into_a_file_beside, "copies.debug"},
                    breakable{"g++ -g -O1 -gno-column-info -gsplit-dwarf", "true", "first.dwo"}),
    [](const auto& of) { return std::string(of.index == 0 ? "beside" : "split_off"); });

}  // namespace
