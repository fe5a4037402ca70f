// What http/text.hpp looks at several bytes at a time, byte by byte.
#include <string>

#include <gtest/gtest.h>

#include "http/text.hpp"

namespace gort::http {
namespace {

TEST(http_text, a_control_character_is_found_wherever_it_stands) {
  for (std::size_t length = 0; length <= 20; ++length) {
    std::string text(length, 'x');
    EXPECT_FALSE(has_control(text));
    for (char& at : text) {
      for (int byte = 0; byte < 256; ++byte) {
        at = static_cast<char>(byte);
        const bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        ASSERT_EQ(has_control(text), is_control)
            << "byte " << byte << " at " << &at - text.data() << " of " << length;
      }
      at = 'x';
    }
  }
}

}  // namespace
}  // namespace gort::http
