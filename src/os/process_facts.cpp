#include "os/process_facts.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "os/memory.hpp"
#include "os/text_file.hpp"

namespace gort::os {

namespace {

constexpr std::size_t small_file = 64 << 10;

// The words of a line, from `from` on.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(" \n");
    if (end != 0) out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

std::uint64_t number(std::string_view word) noexcept {
  return std::strtoull(std::string(word).c_str(), nullptr, 10);
}

// Since 1970.
std::optional<double> boot_seconds() {
  const std::string text = read_text_file("/proc/stat", std::size_t{4} << 20);
  const std::size_t at = text.find("\nbtime ");
  if (at == text.npos) return std::nullopt;
  return std::strtod(text.c_str() + at + 7, nullptr);
}

void read_stat(process_facts& to) {
  const std::string text = read_text_file("/proc/self/stat", small_file);
  const std::size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == text.npos) return;
  const std::vector<std::string_view> fields = words(std::string_view(text).substr(name_end + 1));
  constexpr std::size_t first = 3, start_ticks = 22, virtual_bytes = 23, resident_pages = 24;
  if (fields.size() <= resident_pages - first) return;
  to.virtual_bytes = number(fields[virtual_bytes - first]);
  to.resident_bytes = number(fields[resident_pages - first]) * page_bytes;
  static const std::optional<double> boot = boot_seconds();
  const long ticks_per_s = sysconf(_SC_CLK_TCK);
  if (boot && ticks_per_s > 0)
    to.start_time_seconds = *boot + static_cast<double>(number(fields[start_ticks - first])) /
                                        static_cast<double>(ticks_per_s);
}

std::optional<std::uint64_t> soft_limit(int what) noexcept {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(what), &limit) != 0) return std::nullopt;
  return limit.rlim_cur;
}

std::optional<std::uint64_t> count_descriptors() noexcept {
  // Linux 6.2 tells by the size of the directory; before, it is 0.
  struct stat info {};
  if (stat("/proc/self/fd", &info) != 0) return std::nullopt;
  if (info.st_size > 0) return static_cast<std::uint64_t>(info.st_size);
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  std::uint64_t entries = 0;
  while (readdir(folder) != nullptr) ++entries;
  closedir(folder);
  constexpr std::uint64_t not_counted = 3;  // ".", "..", and the folder's own
  return entries > not_counted ? entries - not_counted : 0;
}

// Two lines for each group: "IpExt: name name ...", "IpExt: 1 2 ...".
void read_network(process_facts& to) {
  const std::string text = read_text_file("/proc/self/net/netstat", small_file);
  const std::size_t names_at = text.find("IpExt: ");
  if (names_at == text.npos) return;
  const std::size_t values_at = text.find("IpExt: ", names_at + 1);
  if (values_at == text.npos) return;
  const auto line = [&](std::size_t at) {
    return words(std::string_view(text).substr(at, text.find('\n', at) - at));
  };
  const auto names = line(names_at), values = line(values_at);
  for (std::size_t i = 0; i < names.size() && i < values.size(); ++i) {
    if (names[i] == "InOctets") to.received_bytes = number(values[i]);
    if (names[i] == "OutOctets") to.sent_bytes = number(values[i]);
  }
}

}  // namespace

std::uint64_t peak_resident_bytes() noexcept {
  constexpr std::uint64_t unit = 1024;
  rusage used{};
  return getrusage(RUSAGE_SELF, &used) == 0 ? static_cast<std::uint64_t>(used.ru_maxrss) * unit : 0;
}

process_facts read_process_facts() {
  process_facts out;
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) {
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    out.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  }
  read_stat(out);
  out.open_descriptors = count_descriptors();
  out.descriptors_max = soft_limit(RLIMIT_NOFILE);
  out.virtual_bytes_max = soft_limit(RLIMIT_AS);
  read_network(out);
  return out;
}

}  // namespace gort::os
