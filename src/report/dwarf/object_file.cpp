#include "report/dwarf/object_file.hpp"

#include <elf.h>
#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include "report/dwarf/inflate.hpp"

namespace gort::report::dwarf {

namespace {

constexpr std::string_view debug_names[section_count] = {
    ".debug_info",   ".debug_abbrev",   ".debug_line", ".debug_str",        ".debug_line_str",
    ".debug_ranges", ".debug_rnglists", ".debug_addr", ".debug_str_offsets"};

// Text that is cut where there is no more room.
class path_text {
 public:
  path_text& operator+=(std::string_view text) noexcept {
    size_ += text.copy(text_ + size_, sizeof(text_) - 1 - size_);
    text_[size_] = 0;
    return *this;
  }
  path_text& hexadecimal(bytes of) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const unsigned char each : of) {
      *this += digits.substr(each >> 4, 1);
      *this += digits.substr(each & 0xf, 1);
    }
    return *this;
  }
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[PATH_MAX] = {};
  std::size_t size_ = 0;
};

bool is_ours(const Elf64_Ehdr& header) noexcept {
  constexpr unsigned char order =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == order &&
         header.e_shentsize == sizeof(Elf64_Shdr);
}

bool same(bytes a, bytes b) noexcept { return std::ranges::equal(a, b); }

}  // namespace

elf_file::elf_file(const char* path) noexcept : file_(path) {
  const bytes all = file_.bytes();
  cursor start(all);
  const auto header = start.fixed<Elf64_Ehdr>();
  if (start.failed() || !is_ours(header)) {
    file_ = {};
    return;
  }
  // More sections than the header has room for: then the first one tells.
  const auto first = cursor(from(all, header.e_shoff)).fixed<Elf64_Shdr>();
  const std::uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const std::uint64_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  if (names >= count || count > all.size() / sizeof(Elf64_Shdr)) return;
  cursor named(from(all, header.e_shoff));
  named.skip(names * sizeof(Elf64_Shdr));
  const auto name_section = named.fixed<Elf64_Shdr>();
  const bytes name_text = cursor(from(all, name_section.sh_offset)).take(name_section.sh_size);
  cursor each(from(all, header.e_shoff));
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto here = each.fixed<Elf64_Shdr>();
    if (each.failed()) return;
    if (const char* name = text_at(name_text, here.sh_name); name != nullptr)
      read_section(name, &here);
  }
}

void elf_file::read_section(const char* name, const void* section_header) noexcept {
  const auto& header = *static_cast<const Elf64_Shdr*>(section_header);
  if (header.sh_type == SHT_NOBITS) return;  // of a file that has been stripped to its debug part
  const bytes content = cursor(from(file_.bytes(), header.sh_offset)).take(header.sh_size);
  const std::string_view is(name);
  if (is == ".note.gnu.build-id") return read_build_id(content, header.sh_addr);
  if (is == ".gnu_debuglink") {
    debug_link_ = text_at(content, 0);
    return;
  }
  for (std::size_t i = 0; i < section_count; ++i) {
    if (is != debug_names[i]) continue;
    const bool packed = (header.sh_flags & SHF_COMPRESSED) != 0;
    debug[static_cast<section>(i)] = packed ? inflate(content) : content;
  }
}

void elf_file::read_build_id(bytes note, std::uint64_t address) noexcept {
  cursor at(note);
  const auto head = at.fixed<Elf64_Nhdr>();
  at.skip(head.n_namesz);
  const bytes id = at.take(head.n_descsz);
  if (head.n_type != NT_GNU_BUILD_ID || head.n_namesz != 4) return;
  build_id_ = id;
  build_id_address_ = address + sizeof(head) + head.n_namesz;
}

bytes elf_file::header() const noexcept {
  return file_.bytes().first(std::min(file_.bytes().size(), sizeof(Elf64_Ehdr)));
}

object_file::object_file(const os::loaded_function& loaded) noexcept : object_(loaded.object) {
  const bytes memory = memory_of(loaded);
  if (memory.size() < beginning_.size()) return;
  std::ranges::copy(memory.first(beginning_.size()), beginning_.begin());
  // The program's own file by this name, even if another one has taken its place.
  own_ = elf_file(loaded.file != nullptr ? loaded.file : "/proc/self/exe");
  if (!is_of_own_file(loaded)) {
    in_doubt_ = !own_.empty();
    own_ = {};
    return;
  }
  if (!own_.debug[section::info].empty() || own_.build_id().empty()) return;
  path_text path;
  if (loaded.file != nullptr)
    path += loaded.file;
  else if (char name[PATH_MAX]; os::program_path(name))
    path += name;
  look_beside(path.c_str());
}

// Empty on older systems.
bytes object_file::memory_of(const os::loaded_function& loaded) noexcept {
  if (loaded.object_end == nullptr) return {};
  return {static_cast<const unsigned char*>(loaded.object),
          static_cast<const unsigned char*>(loaded.object_end)};
}

bool object_file::is(const os::loaded_function& loaded) const noexcept {
  const bytes memory = memory_of(loaded);
  return loaded.object == object_ &&
         (memory.size() < beginning_.size() || same(memory.first(beginning_.size()), beginning_));
}

// A loaded object has its file's beginning where it begins.
bool object_file::is_of_own_file(const os::loaded_function& loaded) const noexcept {
  const bytes memory = memory_of(loaded), header = own_.header(), id = own_.build_id();
  if (own_.empty() || !same(memory.first(header.size()), header)) return false;
  const std::uint64_t at =
      loaded.bias + own_.build_id_address() - reinterpret_cast<std::uintptr_t>(loaded.object);
  return same(cursor(from(memory, at)).take(id.size()), id);
}

bool object_file::take_beside(const char* path) noexcept {
  elf_file found(path);
  if (found.debug[section::info].empty()) return false;
  in_doubt_ = !same(found.build_id(), own_.build_id());
  if (in_doubt_) return false;
  beside_ = std::move(found);
  is_own_ = false;
  return true;
}

void object_file::look_beside(const char* path) noexcept {
  constexpr std::string_view global = "/usr/lib/debug";
  path_text by_id;
  ((by_id += global) += "/.build-id/").hexadecimal(own_.build_id().first(1)) += "/";
  by_id.hexadecimal(own_.build_id().subspan(1)) += ".debug";
  if (take_beside(by_id.c_str()) || own_.debug_link() == nullptr) return;
  const std::string_view whole(path);
  const std::string_view folder = whole.substr(0, whole.rfind('/') + 1);
  for (const auto& [before, after] :
       {std::pair<std::string_view, std::string_view>{"", ""}, {"", ".debug/"}, {global, ""}}) {
    path_text beside;
    (((beside += before) += folder) += after) += own_.debug_link();
    if (take_beside(beside.c_str())) return;
  }
}

}  // namespace gort::report::dwarf
