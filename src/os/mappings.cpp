#include "os/mappings.hpp"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "os/text_file.hpp"

namespace gort::os {

namespace {

struct object {
  std::uintptr_t low;
  std::uintptr_t high;
  std::string build_id;
};

std::string hexadecimal(const unsigned char* bytes, std::size_t count) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 0xf];
  }
  return out;
}

// The note's name is "GNU"; both parts are padded to words of four bytes.
std::string build_id_in(const unsigned char* notes, std::size_t bytes) {
  constexpr auto padded = [](std::size_t n) { return (n + 3) & ~std::size_t{3}; };
  while (bytes >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes, sizeof(head));
    const std::size_t name_bytes = padded(head.n_namesz);
    const std::size_t all = sizeof(head) + name_bytes + padded(head.n_descsz);
    if (all > bytes) break;
    const unsigned char* name = notes + sizeof(head);
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
      return hexadecimal(name + name_bytes, head.n_descsz);
    notes += all;
    bytes -= all;
  }
  return {};
}

int look_at_object(dl_phdr_info* info, std::size_t, void* raw) {
  auto& to = *static_cast<std::vector<object>*>(raw);
  object found{~std::uintptr_t{0}, 0, {}};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    const std::uintptr_t at = info->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD) {
      found.low = std::min(found.low, at);
      found.high = std::max(found.high, at + part.p_memsz);
    } else if (part.p_type == PT_NOTE && found.build_id.empty()) {
      found.build_id = build_id_in(reinterpret_cast<const unsigned char*>(at), part.p_memsz);
    }
  }
  if (found.high != 0) to.push_back(std::move(found));
  return 0;
}

// "low-high r-xp offset dev inode   path"; false: not the mapping of code of a file.
bool parse_line(std::string_view line, code_mapping& out) {
  const char* end = line.data() + line.size();
  const auto low = std::from_chars(line.data(), end, out.low, 16);
  if (low.ec != std::errc() || low.ptr == end || *low.ptr != '-') return false;
  const auto high = std::from_chars(low.ptr + 1, end, out.high, 16);
  std::string_view rest(high.ptr, static_cast<std::size_t>(end - high.ptr));
  if (!rest.starts_with(" r") || rest.size() < 6 || rest[3] != 'x') return false;
  rest.remove_prefix(6);
  if (std::from_chars(rest.data(), end, out.file_offset, 16).ec != std::errc()) return false;
  for (int field = 0; field < 3; ++field) {  // the offset, the device, the inode
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  }
  constexpr std::string_view deleted = " (deleted)";
  if (rest.ends_with(deleted)) rest.remove_suffix(deleted.size());
  out.file = rest;
  return !out.file.empty();
}

}  // namespace

std::vector<code_mapping> code_mappings() {
  constexpr std::size_t text_bytes_max = std::size_t{64} << 20;
  const std::string text = read_text_file("/proc/self/maps", text_bytes_max);
  std::vector<object> objects;
  dl_iterate_phdr(look_at_object, &objects);
  std::vector<code_mapping> out;
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    code_mapping found;
    if (!parse_line(line, found)) continue;
    for (const object& each : objects) {
      if (found.low < each.high && each.low < found.high) found.build_id = each.build_id;
    }
    out.push_back(std::move(found));
  }
  const std::uintptr_t entry = getauxval(AT_ENTRY);
  std::stable_partition(out.begin(), out.end(), [&](const code_mapping& each) {
    return entry >= each.low && entry < each.high;
  });
  return out;
}

std::uint64_t loaded_objects_version() noexcept {
  std::uint64_t version = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* raw) {
        *static_cast<std::uint64_t*>(raw) = info->dlpi_adds + info->dlpi_subs;
        return 1;  // the same for all of them
      },
      &version);
  return version;
}

}  // namespace gort::os
