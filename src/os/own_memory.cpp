#include "os/own_memory.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <string_view>

#include "os/memory.hpp"

namespace gort::os {

namespace {

constexpr std::size_t mappings_max = 1 << 16;  // vm.max_map_count is 65530 unless raised
constexpr std::size_t mapping_list_bytes = mappings_max * sizeof(memory_range);
constexpr std::size_t read_bytes_max = std::size_t{1} << 18;
constexpr std::size_t pages_per_look = read_bytes_max / page_bytes;
constexpr std::uint64_t touched_mask = std::uint64_t{3} << 62;

// "low-high rw-p offset device inode path"; false: none that this process may have written to.
bool parse_mapping(std::string_view line, memory_range& to) noexcept {
  const char* const end = line.data() + line.size();
  const auto low = std::from_chars(line.data(), end, to.low, 16);
  if (low.ec != std::errc() || low.ptr == end) return false;
  const auto high = std::from_chars(low.ptr + 1, end, to.high, 16);
  if (high.ec != std::errc() || end - high.ptr <= 4) return false;
  const char* const may = high.ptr + 1;
  if (may[0] != 'r') return false;
  if (may[1] == 'w') return true;
  // Of no file: it was written to before that was forbidden.
  std::string_view rest(may, static_cast<std::size_t>(end - may));
  for (int field = 0; field < 3; ++field)
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
  return may[3] == 'p' && rest.starts_with("0 ");
}

}  // namespace

own_memory::own_memory() noexcept
    : memory_fd_(open("/proc/self/mem", O_RDONLY | O_CLOEXEC)),
      pages_fd_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)),
      own_(static_cast<char*>(reserve(mapping_list_bytes + read_bytes_max))) {
  if (memory_fd_ < 0 || own_ == nullptr) return;
  ranges_ = reinterpret_cast<memory_range*>(own_);
  buffer_ = own_ + mapping_list_bytes;
  is_complete_ = list();
}

own_memory::~own_memory() {
  if (own_ != nullptr) unreserve(own_, mapping_list_bytes + read_bytes_max);
  if (pages_fd_ >= 0) close(pages_fd_);
  if (memory_fd_ >= 0) close(memory_fd_);
}

bool own_memory::list() noexcept {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::size_t used = 0;
  bool good = true;
  for (;;) {
    const ssize_t got = ::read(fd, buffer_ + used, read_bytes_max - used);
    if (got <= 0) {
      good = good && got == 0;
      break;
    }
    used += static_cast<std::size_t>(got);
    std::string_view rest(buffer_, used);
    for (std::size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
      memory_range one;
      if (!parse_mapping(rest.substr(0, end), one)) continue;
      const auto mine = reinterpret_cast<std::uintptr_t>(own_);
      // The kernel may have put ours together with another one.
      const memory_range pieces[] = {
          {one.low, std::min(one.high, mine)},
          {std::max(one.low, mine + mapping_list_bytes + read_bytes_max), one.high}};
      const bool apart = mine >= one.high || mine + mapping_list_bytes + read_bytes_max <= one.low;
      for (const memory_range& each : pieces) {
        if (each.low >= each.high && !apart) continue;
        if (count_ == mappings_max) good = false;
        if (good) ranges_[count_++] = apart ? one : each;
        if (apart) break;
      }
    }
    used = rest.copy(buffer_, rest.size());
    if (used == read_bytes_max) good = false;  // no such long line
    if (!good) break;
  }
  close(fd);
  return good;
}

void own_memory::read(memory_range what, reader f, void* argument) const noexcept {
  std::uint64_t touched[pages_per_look];
  what.low = what.low / sizeof(std::uintptr_t) * sizeof(std::uintptr_t);
  while (what.low < what.high) {
    const std::uintptr_t first_page = what.low / page_bytes;
    const std::size_t pages =
        std::min(pages_per_look, (what.high + page_bytes - 1) / page_bytes - first_page);
    const std::size_t wanted = pages * sizeof(*touched);
    // Without it all pages are read, and pages of zeros are made of those that are not there.
    const bool known = pages_fd_ >= 0 && pread(pages_fd_, touched, wanted,
                                               static_cast<off_t>(first_page * sizeof(*touched))) ==
                                             static_cast<ssize_t>(wanted);
    for (std::size_t i = 0; i < pages;) {
      std::size_t together = 0;
      while (i + together < pages && (!known || (touched[i + together] & touched_mask) != 0))
        ++together;
      if (together == 0) {
        ++i;
        continue;
      }
      const std::uintptr_t low = std::max(what.low, (first_page + i) * page_bytes);
      const std::uintptr_t high = std::min(what.high, (first_page + i + together) * page_bytes);
      const ssize_t got = pread(memory_fd_, buffer_, high - low, static_cast<off_t>(low));
      if (got > 0) {
        f(argument, low, reinterpret_cast<const std::uintptr_t*>(buffer_),
          static_cast<std::size_t>(got) / sizeof(std::uintptr_t));
      }
      // What comes behind is tried after the page that could not be read.
      const std::size_t done = got <= 0 ? 0 : static_cast<std::size_t>(got);
      i += done == high - low ? together : (low + done) / page_bytes - first_page - i + 1;
    }
    what.low = (first_page + pages) * page_bytes;
  }
}

std::size_t own_memory::read_words(std::uintptr_t where, std::uintptr_t* to,
                                   std::size_t count) const noexcept {
  const ssize_t got = pread(memory_fd_, to, count * sizeof(*to), static_cast<off_t>(where));
  return got <= 0 ? 0 : static_cast<std::size_t>(got) / sizeof(*to);
}

}  // namespace gort::os
