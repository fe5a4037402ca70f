// Libraries that a program loads may each have a gort linked in. (A compiler makes some variables
// one for the whole process, however libraries are loaded.)
#include <dlfcn.h>

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

#define OWN_GORT(name) GORT_BINARY_DIR "/tests/own_gort_" name ".so"

using trees_maker = int (*)();

trees_maker load(const char* path, int how) {
  void* library = dlopen(path, RTLD_NOW | how);
  EXPECT_NE(library, nullptr) << dlerror();
  return library == nullptr ? nullptr : reinterpret_cast<trees_maker>(dlsym(library, "make_trees"));
}

TEST(several_gorts, collect_beside_each_other) {
  std::vector<std::thread> all;
  std::vector<int> wrong(2, -1);
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    const trees_maker make_trees =
        load(i == 0 ? OWN_GORT("first") : OWN_GORT("second"), RTLD_LOCAL);
    ASSERT_NE(make_trees, nullptr);
    all.emplace_back([make_trees, &got = wrong[i]] {
      got = 0;
      for (int k = 0; k < 25; ++k) got += make_trees();
    });
  }
  for (std::thread& each : all) each.join();
  EXPECT_EQ(wrong, std::vector<int>(2, 0));
}

// As if the program were linked with both: the first one's symbols go for the other, too.
TEST(several_gorts, are_one_where_they_have_their_symbols_in_common) {
  for (const char* const each : {OWN_GORT("third"), OWN_GORT("fourth")}) {
    const trees_maker make_trees = load(each, RTLD_GLOBAL);
    ASSERT_NE(make_trees, nullptr);
    EXPECT_EQ(make_trees(), 0) << each;
  }
}

}  // namespace
