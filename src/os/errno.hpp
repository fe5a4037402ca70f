// errno across code that may go on on another thread: by calls, as a compiler may keep its address.
#pragma once

namespace gort::os {

int get_errno() noexcept;
void set_errno(int value) noexcept;

/// What succeeds leaves errno as it was.
class errno_kept {
 public:
  errno_kept() noexcept : before_(get_errno()) {}
  ~errno_kept() { set_errno(before_); }
  errno_kept(const errno_kept&) = delete;
  errno_kept& operator=(const errno_kept&) = delete;

 private:
  int before_;
};

}  // namespace gort::os
