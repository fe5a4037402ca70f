#include "os/asleep.hpp"

#include <sys/uio.h>
#include <unistd.h>
#include <charconv>
#include <string_view>

#include "os/proc.hpp"

namespace gort::os {

namespace {

// The words of the last two columns: "0 0x5 ... 0x7ffd 0x7f12" or "-1 0x7ffd 0x7f12".
bool parse_last_two(std::string_view line, place_asleep& where) noexcept {
  std::uintptr_t* const columns[] = {&where.pc, &where.sp};
  for (std::uintptr_t* column : columns) {
    const std::size_t gap = line.rfind(' ');
    if (gap == line.npos) return false;
    std::string_view word = line.substr(gap + 1);
    if (!word.starts_with("0x")) return false;
    word.remove_prefix(2);
    constexpr int base = 16;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), *column, base);
    if (parsed.ptr != word.data() + word.size()) return false;
    line = line.substr(0, gap);
  }
  return true;
}

}  // namespace

bool find_asleep(const thread_handle& thread, place_asleep& where) noexcept {
  where.cpu_ns = thread_cpu_ns(thread);
  if (where.cpu_ns < 0) return false;
  char text[256];
  const std::size_t got = read_of_thread(thread.id, "syscall", text, sizeof(text));
  if (got == 0) return false;
  std::string_view line(text, got);
  if (line.ends_with('\n')) line.remove_suffix(1);
  // "running" has no columns. What comes before the clock is looked at again may be older.
  return parse_last_two(line, where) && thread_cpu_ns(thread) == where.cpu_ns;
}

bool read_memory(std::uintptr_t from, void* to, std::size_t bytes) noexcept {
  const iovec local{to, bytes};
  const iovec remote{reinterpret_cast<void*>(from), bytes};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

}  // namespace gort::os
