// Before: stacks may grow to 768 MiB, as they may in Go, where the limit is 1 GB. The malformed
// document fills all of that before the process dies.
#include "service.hpp"

int main() {
  constexpr std::size_t limit_bytes = std::size_t{768} << 20;
  exercise::tell(exercise::watch_service(limit_bytes), limit_bytes, 0);
}
