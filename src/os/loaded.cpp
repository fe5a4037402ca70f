#include "os/loaded.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <cstddef>

namespace gort::os {

namespace {

#ifdef DLFO_STRUCT_HAS_EH_DBASE  // with it came _dl_find_object()

struct symbol_table {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  std::size_t count = 0;
};

// The hash tables are what tells how many symbols there are.
std::size_t count_by_gnu_hash(const std::uint32_t* table) noexcept {
  const std::uint32_t buckets = table[0], first = table[1], bloom_words = table[2];
  constexpr std::size_t header_words = 4;
  const std::uint32_t* bucket = table + header_words + bloom_words * (sizeof(ElfW(Addr)) / 4);
  const std::uint32_t* chain = bucket + buckets;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < buckets; ++i) last = bucket[i] > last ? bucket[i] : last;
  if (last < first) return first;
  while ((chain[last - first] & 1) == 0) ++last;
  return last + std::size_t{1};
}

symbol_table table_of(const link_map& object) noexcept {
  symbol_table out;
  if (object.l_ld == nullptr) return out;
  for (const ElfW(Dyn)* entry = object.l_ld; entry->d_tag != DT_NULL; ++entry) {
    // The linker has made addresses of these, except where the section is read-only.
    ElfW(Addr) address = entry->d_un.d_ptr;
    if (address < object.l_addr) address += object.l_addr;
    const auto* at = reinterpret_cast<const void*>(address);
    switch (entry->d_tag) {
      case DT_SYMTAB: out.symbols = static_cast<const ElfW(Sym)*>(at); break;
      case DT_STRTAB: out.names = static_cast<const char*>(at); break;
      case DT_HASH: out.count = static_cast<const std::uint32_t*>(at)[1]; break;
      case DT_GNU_HASH:
        if (out.count == 0) out.count = count_by_gnu_hash(static_cast<const std::uint32_t*>(at));
        break;
      default: break;
    }
  }
  if (out.symbols == nullptr || out.names == nullptr) out.count = 0;
  return out;
}

#endif

}  // namespace

#ifdef DLFO_STRUCT_HAS_EH_DBASE

namespace {

const link_map* find_map(std::uintptr_t address, loaded_function& found) noexcept {
  found = {};
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return nullptr;
  found.object = object.dlfo_map_start;
  found.object_end = object.dlfo_map_end;
  const link_map& map = *object.dlfo_link_map;
  found.bias = map.l_addr;
  if (map.l_name != nullptr && *map.l_name != 0) found.file = map.l_name;
  return &map;
}

}  // namespace

bool find_loaded_object(std::uintptr_t address, loaded_function& found) noexcept {
  return find_map(address, found) != nullptr;
}

bool find_loaded(std::uintptr_t address, loaded_function& found) noexcept {
  const link_map* map = find_map(address, found);
  if (map == nullptr) return false;
  const symbol_table table = table_of(*map);
  for (std::size_t i = 0; i < table.count; ++i) {
    const ElfW(Sym)& each = table.symbols[i];
    const auto begin = static_cast<std::uintptr_t>(map->l_addr + each.st_value);
    if (each.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(each.st_info) != STT_FUNC || address < begin ||
        address - begin >= each.st_size)
      continue;
    found.begin = begin;
    found.name = table.names + each.st_name;
    break;
  }
  return true;
}

#else

bool find_loaded(std::uintptr_t address, loaded_function& found) noexcept {
  found = {};
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0) return false;
  found.object = info.dli_fbase;
  found.file = info.dli_fname;
  found.name = info.dli_sname;
  found.begin = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  return true;
}

bool find_loaded_object(std::uintptr_t address, loaded_function& found) noexcept {
  return find_loaded(address, found);
}

#endif

const unsigned char* find_unwind_table(std::uintptr_t address) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return nullptr;
  return static_cast<const unsigned char*>(object.dlfo_eh_frame);
#else
  static_cast<void>(address);
  return nullptr;
#endif
}

bool finds_unwind_tables() noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
  return true;
#else
  return false;
#endif
}

}  // namespace gort::os
