// What ends with its last handle: the compiler says so where a program drops that.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "support/program.hpp"

namespace gort {
namespace {

namespace fs = std::filesystem;

// The lines that the compiler complains of with that word, of a function's body.
std::vector<std::string> complaints(const std::vector<std::string>& lines, std::string_view word) {
  std::string folder = (fs::temp_directory_path() / "gort-dropped-handles-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return {"no temporary folder"};
  const std::string path = folder + "/handles.cpp";
  {
    std::ofstream file(path);
    file << "#include <csignal>\n#include <gort/context.hpp>\n#include <gort/signal.hpp>\n#include "
            "<gort/time.hpp>\nusing namespace std::chrono_literals;\n"
            "inline const gort::context_key<int> key;\n"
            "void drops(const gort::context& ctx) {\n";
    int number = 0;
    for (const std::string& line : lines) file << "#line " << ++number << "\n" << line << "\n";
    file << "}\n";
  }
  const test::ended built = test::run_shell("LC_ALL=C " GORT_CXX
                                            " -std=c++20 -fsyntax-only "
                                            "-Wunused-result -I " GORT_SOURCE_DIR "/include " +
                                            path + " 2>&1");
  fs::remove_all(folder);
  std::vector<std::string> found;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string at = "/handles.cpp:" + std::to_string(i + 1) + ":";
    for (std::size_t from = 0; (from = built.text.find(at, from)) != std::string::npos; ++from) {
      const std::string text = built.text.substr(from, built.text.find('\n', from) - from);
      if (text.find(word) == std::string::npos) continue;
      found.push_back(lines[i]);
      break;
    }
  }
  EXPECT_EQ(built.text.find("fatal error"), std::string::npos) << built.text;
  return found;
}

TEST(dropped_handles, are_warned_about) {
  const std::vector<std::string> dropped{
      "gort::after_func(1s, [] {});",
      "gort::timer(1s);",
      "gort::ticker(1s);",
      "gort::after(1s);",
      "gort::with_cancel(ctx);",
      "gort::with_timeout(ctx, 1s);",
      "gort::with_timeout_cause(ctx, 1s, std::runtime_error(\"late\"));",
      "gort::with_deadline(ctx, std::chrono::steady_clock::now());",
      "gort::signal::notify_context(ctx, SIGTERM);",
  };
  EXPECT_EQ(complaints(dropped, "nodiscard"), dropped);
}

TEST(dropped_handles, channels_of_temporaries_are_refused) {
  const std::vector<std::string> dropped{
      "auto a = gort::timer(1s).c();",
      "for (auto when : gort::ticker(1s).c()) (void)when;",
  };
  EXPECT_EQ(complaints(dropped, "deleted"), dropped);
}

TEST(dropped_handles, those_kept_are_not) {
  const std::vector<std::string> kept{
      "const auto later = gort::after_func(1s, [] {});",
      "const gort::timer timer(1s); (void)timer.c();",
      "auto [bounded, cancel] = gort::with_timeout(ctx, 1s);",
      "const auto lives_on = gort::with_timeout(ctx, 1s).ctx;",
      "gort::after_func(ctx, [] {});",  // as in Go: it is called
      "const auto child = gort::with_value(ctx, key, 1);",
  };
  EXPECT_EQ(complaints(kept, ""), std::vector<std::string>());  // of any kind
}

}  // namespace
}  // namespace gort
