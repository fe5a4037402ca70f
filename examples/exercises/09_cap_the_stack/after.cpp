// After: the good documents are parsed once with every stack measured; the limit is what they have
// used, four times, rounded up to a size of stack. The malformed document reaches it at once.
#include "service.hpp"

namespace {

// In a process of its own, so that what it touches is not counted as the service's.
std::size_t measured_high_water_bytes() {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    gort::debug::set_max_stack(std::size_t{64} << 20);  // enough, whatever they need
    gort::debug::set_stack_sampling(1);
    std::size_t most = 0;
    gort::run([&] {
      exercise::serve(exercise::good_documents());
      for (const auto& site : gort::debug::stack_usage()) {
        if (site.created_by.find("serve") != std::string::npos)
          most = std::max(most, site.high_water_bytes);
      }
    });
    if (write(ends[1], &most, sizeof(most)) != sizeof(most)) std::abort();
    _exit(0);
  }
  close(ends[1]);
  std::size_t bytes = 0;
  if (read(ends[0], &bytes, sizeof(bytes)) != sizeof(bytes)) std::abort();
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return bytes;
}

}  // namespace

int main() {
  const std::size_t high_water = measured_high_water_bytes();
  constexpr std::size_t headroom = 4;
  std::size_t limit = std::size_t{64} << 10;
  while (limit < high_water * headroom) limit *= 2;
  exercise::tell(exercise::watch_service(limit), limit, high_water);
}
