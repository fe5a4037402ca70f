#include "os/loaded.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "os/copy_if_there.hpp"
#include "os/memory.hpp"

namespace gort::os {

namespace {

#ifdef DLFO_STRUCT_HAS_EH_DBASE  // with it came _dl_find_object()

// Some of it at a time, as there are many small things to read.
class copied_memory {
 public:
  template <class T>
  bool get(std::uintptr_t at, T& to) noexcept {
    static_assert(sizeof(T) <= sizeof(block_) && std::is_trivially_copyable_v<T>);
    if (at - low_ >= bytes_ || bytes_ - (at - low_) < sizeof(T)) {
      if (!copy(at, sizeof(T))) return false;
    }
    std::memcpy(&to, block_ + (at - low_), sizeof(T));
    return true;
  }

 private:
  bool copy(std::uintptr_t at, std::size_t least) noexcept {
    low_ = at;
    bytes_ = std::clamp(page_bytes - at % page_bytes, least, sizeof(block_));
    if (!copy_if_there(block_, reinterpret_cast<const void*>(at), bytes_)) bytes_ = 0;
    return bytes_ != 0;
  }

  std::uintptr_t low_ = 0;
  std::size_t bytes_ = 0;
  char block_[1024];
};

struct symbol_table {
  std::uintptr_t symbols = 0, names = 0;
  std::size_t count = 0;
};

// The hash tables are what tells how many symbols there are.
std::size_t count_by_gnu_hash(std::uintptr_t table, copied_memory& memory) noexcept {
  struct {
    std::uint32_t buckets, first, bloom_words, shift;
  } head;
  if (!memory.get(table, head)) return 0;
  constexpr std::size_t entry_bytes = sizeof(std::uint32_t);
  const std::uintptr_t bucket = table + sizeof(head) + head.bloom_words * sizeof(ElfW(Addr));
  const std::uintptr_t chain = bucket + head.buckets * entry_bytes;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < head.buckets; ++i) {
    std::uint32_t one = 0;
    if (!memory.get(bucket + i * entry_bytes, one)) return 0;
    last = std::max(last, one);
  }
  if (last < head.first) return head.first;
  for (;; ++last) {
    std::uint32_t hash = 0;
    if (!memory.get(chain + (last - head.first) * entry_bytes, hash)) return 0;
    if ((hash & 1) != 0) return last + std::size_t{1};
  }
}

symbol_table table_of(const link_map& object, copied_memory& memory) noexcept {
  symbol_table out;
  if (object.l_ld == nullptr) return out;
  auto at = reinterpret_cast<std::uintptr_t>(object.l_ld);
  for (ElfW(Dyn) entry; memory.get(at, entry) && entry.d_tag != DT_NULL; at += sizeof(entry)) {
    // The linker has made addresses of these, except where the section is read-only.
    ElfW(Addr) address = entry.d_un.d_ptr;
    if (address < object.l_addr) address += object.l_addr;
    struct {
      std::uint32_t buckets, chains;
    } head;
    copied_memory elsewhere;
    switch (entry.d_tag) {
      case DT_SYMTAB: out.symbols = address; break;
      case DT_STRTAB: out.names = address; break;
      case DT_HASH:
        if (elsewhere.get(address, head)) out.count = head.chains;
        break;
      case DT_GNU_HASH:
        if (out.count == 0) out.count = count_by_gnu_hash(address, elsewhere);
        break;
      default: break;
    }
  }
  if (out.symbols == 0 || out.names == 0) out.count = 0;
  return out;
}

void copy_name(std::uintptr_t from, exported_function& to, copied_memory& memory) noexcept {
  for (std::size_t i = 0; i + 1 < sizeof(to.name); ++i) {
    if (!memory.get(from + i, to.name[i]) || to.name[i] == 0) return;
    to.name[i + 1] = 0;
  }
}

#endif

}  // namespace

#ifdef DLFO_STRUCT_HAS_EH_DBASE

namespace {

bool find_map(std::uintptr_t address, loaded_object& found, link_map& map) noexcept {
  found = {};
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0 ||
      !copy_if_there(&map, object.dlfo_link_map, sizeof(map)))
    return false;
  found.object = object.dlfo_map_start;
  found.object_end = object.dlfo_map_end;
  found.bias = map.l_addr;
  char first = 0;
  if (map.l_name != nullptr && copy_if_there(&first, map.l_name, sizeof(first)) && first != 0)
    found.file = map.l_name;
  return true;
}

}  // namespace

bool find_loaded(std::uintptr_t address, loaded_object& found) noexcept {
  link_map map;
  return find_map(address, found, map);
}

bool find_exported(std::uintptr_t address, exported_function& found) noexcept {
  found.name[0] = 0;
  link_map map;
  if (!find_map(address, found.in, map)) return false;
  copied_memory memory;
  const symbol_table table = table_of(map, memory);
  for (std::size_t i = 0; i < table.count; ++i) {
    ElfW(Sym) each;
    if (!memory.get(table.symbols + i * sizeof(each), each)) break;
    const auto begin = static_cast<std::uintptr_t>(map.l_addr + each.st_value);
    if (each.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(each.st_info) != STT_FUNC || address < begin ||
        address - begin >= each.st_size)
      continue;
    found.begin = begin;
    copy_name(table.names + each.st_name, found, memory);
    break;
  }
  return true;
}

#else

bool find_loaded(std::uintptr_t address, loaded_object& found) noexcept {
  exported_function of;
  const bool is_there = find_exported(address, of);
  found = of.in;
  return is_there;
}

bool find_exported(std::uintptr_t address, exported_function& found) noexcept {
  found.in = {};
  found.name[0] = 0;
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0) return false;
  found.in.object = info.dli_fbase;
  found.in.file = info.dli_fname;
  found.begin = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  if (info.dli_sname != nullptr)
    std::strncat(found.name, info.dli_sname, sizeof(found.name) - 1);
  return true;
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
