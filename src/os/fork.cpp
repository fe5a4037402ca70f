#include "os/fork.hpp"

#include <pthread.h>

namespace gort::os {

bool in_forked_children(void (*f)() noexcept) noexcept {
  return pthread_atfork(nullptr, nullptr, f) == 0;
}

}  // namespace gort::os
