#include "net/hosts_file.hpp"

#include <algorithm>
#include <mutex>

namespace gort::net {

namespace {

constexpr std::size_t bytes_max = 16 << 20;  // lists of advertisers have some megabytes

// FNV-1a, of lower-case letters and without the dot of a full name.
std::uint64_t hash_of(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    hash ^= static_cast<unsigned char>(is_upper ? c - 'A' + 'a' : c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace

bool hosts_file::has(std::string_view name) {
  std::lock_guard guard(lock_);
  if (const os::file_stamp now = os::stamp_of(path_.c_str()); now != stamp_) {
    stamp_ = now;
    read_locked();
  }
  return std::ranges::binary_search(hashes_, hash_of(name));
}

void hosts_file::read_locked() {
  hashes_.clear();
  const std::string text = os::read_text_file(path_.c_str(), bytes_max);
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    line = line.substr(0, line.find('#'));
    bool is_address = true;  // the first word
    for (;;) {
      constexpr std::string_view blanks = " \t\r";
      line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
      if (line.empty()) break;
      const std::string_view word = line.substr(0, line.find_first_of(blanks));
      line.remove_prefix(word.size());
      if (!is_address) hashes_.push_back(hash_of(word));
      is_address = false;
    }
  }
  std::ranges::sort(hashes_);
}

}  // namespace gort::net
