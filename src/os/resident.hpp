// Which pages of this process's private memory have been touched.
#pragma once

#include <cstddef>

namespace gort::os {

/// Reads /proc/self/pagemap, which knows pages that were swapped out; where that is missing, or
/// there are no descriptors, mincore(2), which does not. Open for a moment only: a child of fork()
/// would read its parent's pages. Allocates nothing.
class page_map {
 public:
  page_map() noexcept;
  ~page_map();
  page_map(const page_map&) = delete;
  page_map& operator=(const page_map&) = delete;

  struct touched {
    std::size_t bytes = 0;
    char* lowest = nullptr;  // page; null: none
    // False: others may have been, and may be swapped out.
    bool is_certain = true;
  };
  /// Of the pages from `low` to `high`, both page-aligned.
  touched scan(char* low, char* high) const noexcept;

 private:
  int fd_;
  bool may_swap_ = false;  // asked where there is no file
};

}  // namespace gort::os
