#include "report/dwarf/object_file.hpp"

#include <elf.h>
#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include "os/copy_if_there.hpp"
#include "report/dwarf/inflate.hpp"
#include "report/dwarf/path_text.hpp"

namespace gort::report::dwarf {

namespace {

constexpr std::string_view debug_names[section_count] = {
    "debug_info",   "debug_abbrev",   "debug_line", "debug_str",        "debug_line_str",
    "debug_ranges", "debug_rnglists", "debug_addr", "debug_str_offsets"};

bool is_ours(const Elf64_Ehdr& header) noexcept {
  constexpr unsigned char order =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == order &&
         header.e_shentsize == sizeof(Elf64_Shdr);
}

bool same(bytes a, bytes b) noexcept { return std::ranges::equal(a, b); }

}  // namespace

elf_file::elf_file(const char* path, bool split_off) noexcept : file_(path), split_off_(split_off) {
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
  std::string_view is(name);
  if (is == ".note.gnu.build-id") return read_build_id(content, header.sh_addr);
  if (is == ".gnu_debuglink") {
    debug_link_ = text_at(content, 0);
    return;
  }
  if (is == ".symtab") all_.symbols = content;
  if (is == ".strtab") all_.names = content;
  if (is == ".dynsym") exported_.symbols = content;
  if (is == ".dynstr") exported_.names = content;
  const bool is_of_older_kind = is.starts_with(".z");  // ".zdebug_info"
  is.remove_prefix(std::min<std::size_t>(is.size(), is_of_older_kind ? 2 : 1));
  constexpr std::string_view split_off = ".dwo";
  if (is.ends_with(split_off) != split_off_) return;
  if (split_off_) is.remove_suffix(split_off.size());
  for (std::size_t i = 0; i < section_count; ++i) {
    if (is != debug_names[i]) continue;
    debug_[static_cast<section>(i)] = content;
    is_compressed_[i] = is_of_older_kind || (header.sh_flags & SHF_COMPRESSED) != 0;
  }
}

void elf_file::inflate_debug() noexcept {
  for (std::size_t i = 0; i < section_count; ++i) {
    bytes& content = debug_[static_cast<section>(i)];
    if (std::exchange(is_compressed_[i], false)) content = inflate(content);
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

namespace {

// The program's own file by that name, even if another one has taken its place.
constexpr const char* own_program = "/proc/self/exe";

const char* path_of(const os::loaded_object& loaded) noexcept {
  return loaded.file != nullptr ? loaded.file : own_program;
}

std::size_t bytes_of(const os::loaded_object& loaded) noexcept {
  if (loaded.object_end == nullptr) return 0;  // on older systems
  return static_cast<std::size_t>(static_cast<const unsigned char*>(loaded.object_end) -
                                  static_cast<const unsigned char*>(loaded.object));
}

}  // namespace

bool read_beginning(const os::loaded_object& loaded, beginning& to) noexcept {
  to = {};
  return bytes_of(loaded) < to.size() || os::copy_if_there(to.data(), loaded.object, to.size());
}

object_file::object_file(const os::loaded_object& loaded, const beginning& its) noexcept
    : object_(loaded.object), beginning_(its) {
  if (bytes_of(loaded) < its.size()) return;
  own_ = elf_file(path_of(loaded));
  const char* executed = loaded.file == nullptr ? os::executed_path() : nullptr;
  if (own_.empty() && executed != nullptr) own_ = elf_file(executed);  // without /proc
  if (!is_of_own_file(loaded)) {
    in_doubt_ = !own_.empty();
    own_ = {};
    return;
  }
  has_debug_ = own_.has_debug();
  own_.inflate_debug();
  if (has_debug_ || own_.build_id().empty()) return;
  path_text path;
  if (loaded.file != nullptr)
    path += loaded.file;
  else if (char name[PATH_MAX]; os::program_path(name))
    path += name;
  else if (executed != nullptr)
    path += executed;
  look_beside(path.c_str());
}

bool object_file::is(const os::loaded_object& loaded, const beginning& its) const noexcept {
  return loaded.object == object_ && its == beginning_;
}

// A loaded object has its file's beginning where it begins.
bool object_file::is_of_own_file(const os::loaded_object& loaded) const noexcept {
  const bytes header = own_.header(), id = own_.build_id();
  if (own_.empty() || !same(bytes(beginning_).first(header.size()), header)) return false;
  std::array<unsigned char, 64> there;
  const std::uint64_t at =
      loaded.bias + own_.build_id_address() - reinterpret_cast<std::uintptr_t>(loaded.object);
  const std::size_t size = bytes_of(loaded);
  return id.empty() ||
         (id.size() <= there.size() && at < size && id.size() <= size - at &&
          os::copy_if_there(there.data(), static_cast<const unsigned char*>(loaded.object) + at,
                            id.size()) &&
          same(bytes(there).first(id.size()), id));
}

const elf_file::symbol_table& object_file::symbols() const noexcept {
  if (!own_.all_symbols().symbols.empty()) return own_.all_symbols();
  return beside_.all_symbols().symbols.empty() ? own_.exported_symbols() : beside_.all_symbols();
}

bool object_file::is_in_place(const os::loaded_object& loaded) const noexcept {
  return own_.is_at(path_of(loaded));
}

bool object_file::take_beside(const char* path) noexcept {
  elf_file found(path);
  if (!found.has_debug()) return false;
  in_doubt_ = !same(found.build_id(), own_.build_id());
  if (in_doubt_) return false;
  beside_ = std::move(found);
  has_debug_ = true;
  beside_.inflate_debug();
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
