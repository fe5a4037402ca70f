// What is loaded may be closed while it is looked at.
#include "os/loaded.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include <gtest/gtest.h>

#include "os/copy_if_there.hpp"
#include "os/memory.hpp"
#include "report/dwarf/object_file.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;

std::uintptr_t address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

TEST(os_loaded, a_function_is_found_by_its_address) {
  os::exported_function found;
  ASSERT_TRUE(os::find_exported(address_of(dlsym(RTLD_DEFAULT, "getenv")) + 1, found));
  EXPECT_STREQ(found.name, "getenv");
  EXPECT_EQ(found.begin, address_of(dlsym(RTLD_DEFAULT, "getenv")));
  ASSERT_NE(found.in.file, nullptr);
  EXPECT_NE(std::string_view(found.in.file).find("libc"), std::string_view::npos);
  int local = 0;
  EXPECT_FALSE(os::find_exported(address_of(&local), found));
  EXPECT_STREQ(found.name, "");
}

TEST(os_loaded, what_has_been_closed_meanwhile_is_not_read) {
  void* library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) GORT_SKIP("no libresolv.so.2; install libc6");
  os::loaded_object found;
  ASSERT_TRUE(os::find_loaded(address_of(dlsym(library, "ns_datetosecs")), found));
  report::dwarf::beginning its;
  EXPECT_TRUE(report::dwarf::read_beginning(found, its));
  dlclose(library);
  os::loaded_object still;
  ASSERT_FALSE(os::find_loaded(address_of(found.object), still)) << "somebody else uses it";
  EXPECT_FALSE(report::dwarf::read_beginning(found, its));
}

TEST(os_loaded, only_what_is_there_is_copied) {
  void* two_pages = mmap(nullptr, 2 * os::page_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(two_pages, MAP_FAILED);
  char* text = static_cast<char*>(two_pages) + os::page_bytes - 4;
  std::memcpy(text, "12345678", 8);
  char copied[8] = {};
  EXPECT_TRUE(os::copy_if_there(copied, text, 8));
  EXPECT_EQ(std::string_view(copied, 8), "12345678");
  munmap(static_cast<char*>(two_pages) + os::page_bytes, os::page_bytes);
  EXPECT_TRUE(os::copy_if_there(copied, text, 4));
  EXPECT_FALSE(os::copy_if_there(copied, text, 8));
  munmap(two_pages, os::page_bytes);
  EXPECT_FALSE(os::copy_if_there(copied, text, 4));
}

}  // namespace
