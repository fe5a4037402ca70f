// The style of the whole tree, checked as an ordinary test. The rules are in rules.hpp, what is
// banned in bans.hpp. The linter first tests itself on snippets: a rule that finds nothing in bad
// code cannot pass for a clean tree.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tidy/rules.hpp"

namespace {

using namespace gort::tidy;
namespace fs = std::filesystem;

std::vector<std::string> rules_hit(const std::string& path, const std::string& text) {
  std::vector<std::string> out;
  for (const finding& f : check(parse(path, text))) out.push_back(f.rule);
  return out;
}

// --- the linter on snippets
// -----------------------------------------------------------------------

struct snippet {
  std::string rule;  // empty: clean
  std::string path;
  std::string text;
};

std::string many_lines(std::size_t n) {
  std::string out;
  while (n-- > 0) out += "int x;\n";
  return out;
}

const std::vector<snippet> snippets{
    {"include", "src/base/a.cpp", "#include \"sched/gmp/g.hpp\"\n"},
    {"include", "src/sync/a.cpp", "#include \"report/dump.hpp\"\n"},
    {"include", "src/sched/gmp/a.cpp", "#include \"g.hpp\"\n"},
    {"include", "src/sched/gmp/a.cpp", "#include \"../base/g.hpp\"\n"},
    {"include", "src/sched/gmp/a.cpp", "#include \"gort/go.hpp\"\n"},
    {"include", "include/gort/a.hpp", "#pragma once\n#include \"sched/gmp/g.hpp\"\n"},
    {"include", "examples/exercises/01_a/before.cpp", "#include <gort/detail/park.hpp>\n"},
    {"include", "tools/gort/a.cpp", "#include \"sched/gmp/g.hpp\"\n"},
    {"", "src/report/a.cpp", "#include \"base/env.hpp\"\n#include \"report/b.hpp\"\n"},
    {"", "src/sched/gmp/a.cpp", "#include <gort/go.hpp>\n// #include \"report/b.hpp\"\n"},
    {"", "tools/gort/a.cpp", "#include \"table.hpp\"\n#include <gort/go.hpp>\n"},
    {"include", "src/sched/gmp/a.cpp", "#include \"sched/stacks/b.hpp\"\n"},
    {"include", "src/sched/threads/a.cpp", "#include \"sched/runtime/b.hpp\"\n"},
    {"", "src/sched/stacks/a.cpp",
     "#include \"sched/parts/b.hpp\"\n#include \"sched/stacks/c.hpp\"\n"},
    {"", "src/sync/a.cpp", "#include \"sched/runtime/b.hpp\"\n"},
    {"floor", "src/sched/a.cpp", "#include \"sched/runtime/b.hpp\"\n"},
    {"floor", "src/sched/attic/a.cpp", "int x;\n"},
    {"length", "src/base/a.cpp", std::string(101, '/') + "\n"},
    {"length", "CMakeLists.txt", "#" + std::string(100, 'x') + "\n"},
    {"", "src/base/a.cpp", std::string(100, '/') + "\n"},
    {"", "README.md", std::string(300, 'x') + "\n"},
    {"", "src/base/a.cpp", "// " + std::string(96, 'x') + "\xc3\xa9\n"},
    {"tab", "src/base/a.cpp", "\tint x;\n"},
    {"", "Makefile", "\tcmake\n"},
    {"blank", "src/base/a.cpp", "int x; \n"},
    {"blank", "docs/a.md", "text \n"},
    {"blank", "src/base/a.cpp", "int x;"},
    {"control", "src/base/a.cpp", "int x;\r\n"},
    {"control", "README.md", "bell \a\n"},
    {"size", "src/base/a.cpp", many_lines(401)},
    {"size", "src/base/a.cpp", "// Long file:\n" + many_lines(900)},
    {"size", "src/base/a.cpp", many_lines(300) + "// Long file: too late\n" + many_lines(300)},
    {"", "src/base/a.cpp", "// Long file: one algorithm\n" + many_lines(900)},
    {"", "src/base/a.cpp", many_lines(400)},
    {"guard", "src/base/a.hpp", "int x;\n"},
    {"", "src/base/a.hpp", "#pragma once\nint x;\n"},
    {"todo", "src/base/a.cpp", "// TODO: later\n"},
    {"todo", "scripts/a", "# FIXME\n"},
    {"", "src/base/a.cpp", "// TODO(#12): later\nauto s = \"TODO\";\n"},
    {"nolint", "src/base/a.cpp", "f();  // NOLINT\n"},
    {"", "src/base/a.cpp", "f();  // NOLINT(bugprone-x): reason\n"},
    {"order", "tests/unit/a.cpp", "int y = n.load();\n"},
    {"order", "tests/unit/a.cpp", "n->store(1);\n"},
    {"", "tests/unit/a.cpp", "gort::map<int, int> m;\nint y = *m.load(1);\n"},
    {"order", "bench/gort/a.cpp", "n.fetch_add(\n    f(1));\n"},
    {"order", "tests/unit/a.cpp", "std::atomic<int> hits{0};\nvoid f() { ++hits; }\n"},
    {"order", "tests/unit/a.cpp", "std::atomic<int> hits{0};\nvoid f() { hits += 2; }\n"},
    {"", "tests/unit/a.cpp", "int y = n.load(std::memory_order_acquire);\n"},
    {"", "tests/unit/a.cpp", "n.fetch_add(1,\n            std::memory_order_relaxed);\n"},
    {"", "tests/unit/a.cpp", "int hits = 0;\nvoid f() { ++hits; loader.load_all(); }\n"},
    {"partner", "src/sched/gmp/a.cpp", "void f() { ready_.store_release(1); }\n"},
    {"partner", "include/gort/a.hpp", "#pragma once\nauto x = p->state.load_acquire();\n"},
    {"", "src/sched/gmp/a.cpp", "// pairs with the load in park()\nready_.store_release(1);\n"},
    {"", "src/sched/gmp/a.cpp", "ready_.store_relaxed(1);\n"},
};

TEST(tidy_linter, finds_what_it_should_and_nothing_else) {
  for (const snippet& s : snippets) {
    const std::vector<std::string> expected =
        s.rule.empty() ? std::vector<std::string>{} : std::vector<std::string>{s.rule};
    EXPECT_EQ(rules_hit(s.path, s.text), expected) << s.path << ":\n" << s.text.substr(0, 200);
  }
}

TEST(tidy_linter, every_ban_finds_its_bad_example_and_spares_the_good_one) {
  for (const ban& b : bans) {
    // A place where the ban holds.
    const std::string path = std::string(b.in.front()) + "sync/sample.cpp";
    ASSERT_FALSE(is_excused(path, b)) << b.bad;
    EXPECT_FALSE(b.instead.empty()) << b.bad;
    EXPECT_EQ(rules_hit(path, std::string(b.bad) + "\n"), std::vector<std::string>{"ban"}) << b.bad;
    EXPECT_EQ(rules_hit(path, std::string(b.good) + "\n"), std::vector<std::string>{}) << b.good;
    for (const excused& e : b.except) EXPECT_FALSE(e.reason.empty()) << e.path;
  }
}

TEST(tidy_linter, every_word_of_a_ban_is_found) {
  for (const ban& b : bans) {
    for (const std::string_view word : b.words) {
      std::string text(word);
      if (b.as == form::call) text += "(x);";
      if (b.as == form::header) text = "#include <" + text + (text.ends_with('/') ? "x.h>" : ">");
      if (b.as == form::macro) text = "#ifdef " + text;
      EXPECT_TRUE(uses(parse("src/sync/a.cpp", text).lines.at(0), b.as, word)) << text;
    }
  }
}

TEST(tidy_linter, looks_at_code_not_at_comments_or_literals) {
  const auto code = [](const std::string& text) {
    std::string out;
    for (const line& l : parse("a.cpp", text).lines) out += l.code + "\n";
    return out;
  };
  EXPECT_EQ(code("a /* b\nc */ d\n"), "a     \n     d\n");
  EXPECT_EQ(code("a(\"b\\\"c\"); // d\n"), "a(\"    \");     \n");
  EXPECT_EQ(code("x = R\"(b\n\" // )\" c;\n"), "x =     \n        c;\n");
  EXPECT_EQ(code("n = 1'000'000; c = 'x';\n"), "n = 1'000'000; c = ' ';\n");
}

// --- the tree
// -------------------------------------------------------------------------------------

// Text files of ours; the peers' twins keep the style of their own languages.
bool is_checked(const fs::path& path) {
  static const std::set<std::string> suffixes{".cpp", ".hpp",  ".S",  ".cmake", ".md", ".in",
                                              ".yml", ".json", ".py", ".sh",    ".txt"};
  static const std::set<std::string> names{"Makefile", "run", "packages", ".clang-tidy"};
  return suffixes.contains(path.extension().string()) || names.contains(path.filename().string());
}

std::vector<source> read_tree() {
  const fs::path root = GORT_SOURCE_DIR;
  std::vector<source> out;
  const auto add = [&](const fs::path& path) {
    if (fs::is_regular_file(path) && is_checked(path)) {
      out.push_back(read(root.string(), path.lexically_relative(root).generic_string()));
    }
  };
  for (const auto& entry : fs::directory_iterator(root)) add(entry.path());
  for (const char* folder : {"include", "src", "tests", "tools", "bench", "examples", "docs",
                             "cmake", "scripts", ".ci"}) {
    if (!fs::exists(root / folder)) continue;
    for (fs::recursive_directory_iterator it(root / folder), end; it != end; ++it) {
      if (it->path().filename() == "peers") it.disable_recursion_pending();
      add(it->path());
    }
  }
  std::ranges::sort(out, {}, &source::path);
  return out;
}

class tidy : public testing::Test {
 protected:
  static void SetUpTestSuite() { tree_ = read_tree(); }
  static void TearDownTestSuite() { tree_.clear(); }
  static std::vector<source> tree_;
};
std::vector<source> tidy::tree_;

TEST_F(tidy, sees_the_tree) {
  std::set<std::string> paths;
  for (const source& s : tree_) paths.insert(s.path);
  for (const char* path : {"CMakeLists.txt", "Makefile", "include/gort/go.hpp", ".ci/run",
                           "src/sched/switching/schedule.cpp", "tests/tidy/tidy_test.cpp"}) {
    EXPECT_TRUE(paths.contains(path)) << path;
  }
  EXPECT_GT(paths.size(), 50u);
}

TEST_F(tidy, tree_is_clean) {
  std::string report;
  std::size_t count = 0;
  for (const source& s : tree_) {
    for (const finding& f : check(s)) {
      report += f.text() + "\n";
      ++count;
    }
  }
  EXPECT_EQ(count, 0u) << report;
}

TEST_F(tidy, every_exception_is_still_needed) {
  for (const ban& b : bans) {
    for (const excused& e : b.except) {
      if (e.path.ends_with('/')) continue;  // a folder's exception states the design
      const auto s = std::ranges::find(tree_, e.path, &source::path);
      ASSERT_NE(s, tree_.end()) << e.path << " is excused from a ban but does not exist";
      EXPECT_TRUE(std::ranges::any_of(s->lines,
                                      [&](const line& l) {
                                        return std::ranges::any_of(b.words, [&](auto word) {
                                          return uses(l, b.as, word);
                                        });
                                      }))
          << e.path << " no longer needs its exception from the ban of " << b.words.front();
    }
  }
}

TEST_F(tidy, no_header_is_dead) {
  std::set<std::string> reached;
  for (const source& s : tree_) {
    for (const line& l : s.lines) {
      const std::string target = included(l);
      if (target.size() > 2) reached.insert(target.substr(1, target.size() - 2));
    }
  }
  for (const source& s : tree_) {
    if (!s.has_suffix(".hpp")) continue;
    if (s.in("src/")) {
      EXPECT_TRUE(reached.contains(s.path.substr(4)))
          << s.path << ": nobody includes it; delete it";
    } else if (s.in("include/gort/detail/")) {
      EXPECT_TRUE(reached.contains(s.path.substr(8)))
          << s.path << ": nobody includes it; delete it";
    }
  }
}

TEST_F(tidy, the_floors_of_sched_are_listed_in_their_order) {
  for (const char* page : {"ARCHITECTURE.md", "HACKING.md"}) {
    const auto s = std::ranges::find(tree_, page, &source::path);
    ASSERT_NE(s, tree_.end()) << page;
    std::string text;
    for (const line& l : s->lines) text += l.raw + "\n";
    std::size_t at = text.find("**Floors.**");
    for (const std::string_view floor : sched_floors) {
      if (at != text.npos) at = text.find("`" + std::string(floor) + "/`", at);
      EXPECT_NE(at, text.npos) << page << ": " << floor << ", in the order of tests/tidy/rules.hpp";
    }
  }
}

// Links in the documents that point into the tree.
TEST_F(tidy, links_lead_somewhere) {
  static const std::regex link(R"(\]\(([^)#:]+)(#[^)]*)?\))");
  const fs::path root = GORT_SOURCE_DIR;
  for (const source& s : tree_) {
    if (!s.has_suffix(".md")) continue;
    for (std::size_t i = 0; i < s.lines.size(); ++i) {
      const std::string& raw = s.lines[i].raw;
      for (std::sregex_iterator m(raw.begin(), raw.end(), link), end; m != end; ++m) {
        EXPECT_TRUE(fs::exists((root / s.path).parent_path() / m->str(1)))
            << s.path << ":" << i + 1 << ": no file " << m->str(1);
      }
    }
  }
}

TEST_F(tidy, every_page_is_in_the_index) {
  const auto index = std::ranges::find(tree_, "docs/README.md", &source::path);
  ASSERT_NE(index, tree_.end());
  for (const source& s : tree_) {
    if (!s.in("docs/") || !s.has_suffix(".md") || s.path == index->path) continue;
    const std::string link = "(" + s.path.substr(5) + ")";
    EXPECT_TRUE(std::ranges::any_of(index->lines,
                                    [&](const line& l) { return l.raw.find(link) != l.raw.npos; }))
        << s.path << ": add it to docs/README.md";
  }
}

}  // namespace
