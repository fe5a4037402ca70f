// Debug information: which line of which function an address is, and what is inlined there.
//
// Problem: a function that is inline or a template is compiled in each unit that uses it. The
// linker keeps one copy; to the debug information of the other units it gives the address of that
// one (if it is as large), so several units claim the same code. libbacktrace (before GCC 15) joins
// neighboring ranges of a unit, sorts all units' ranges, and looks only at the last one that begins
// before an address. Where that is another unit's copy in the middle of a joined range, it finds
// nothing for the rest of the range: no file, no line, no inlined calls. It looks for inlined calls
// in the same way, and leaves out some; the line of what they call stands under their caller then.
//
// So all ranges are kept as they are in the file, nested or not (intervals.hpp). What gcc and clang
// write is read: DWARF 2 to 5, split-off units too, if their files are there (split_off.hpp). What
// is in a second file that dwz has made of several is not: a name is missing then, and libbacktrace
// is asked (symbolizer.cpp).
//
// Invariants
//   [dwarf-1] Right or nothing. A file belongs to what is loaded if their headers and build ids are
//             equal, a split-off unit to the rest of it if their numbers are; that it still is
//             loaded there tells the memory's beginning at each look-up. Where several units claim
//             an address and have other lines for it, it has none.
//   [dwarf-2] Nothing in a file is believed: all reading is by cursors, which end where their
//             section does, and all tables are as large as their section allows.
//   [dwarf-3] What has been read never changes and stays: objects and units are published once, by
//             a compare-exchange; who comes second gives up his own. So there are no locks.
//
// Rejected: elfutils' libdw. It calls malloc, and a report may come from within malloc; it is not
// thread-safe; in Debian 12 it finds units by .debug_aranges only, which clang does not write.
// Options of the compiler or the linker: users link, and of the linkers only lld marks the ranges
// of what it has thrown away. Another sort in libbacktrace, put in its place by the linker: depends
// on what is inside of it.
#include "report/dwarf/look_up.hpp"

#include <gort/detail/atomic.hpp>

#include "os/loaded.hpp"
#include "report/dwarf/memory.hpp"
#include "report/dwarf/object.hpp"

namespace gort::report::dwarf {

namespace {

// Also those without debug information, so that each file is opened once.
detail::atomic<object*> objects;

object* find_object(const os::loaded_object& loaded) noexcept {
  constexpr int objects_max = 256;
  beginning its;
  if (!read_beginning(loaded, its)) return nullptr;
  // Acquire: pairs with the exchange below.
  object* newest = objects.load_acquire();
  int count = 0;
  for (object* each = newest; each != nullptr; each = each->next, ++count) {
    if (each->is(loaded, its)) return each;
  }
  if (count >= objects_max) return nullptr;
  auto* mine = make<object>(loaded, its);
  if (mine == nullptr) return nullptr;
  do {
    mine->next = newest;
    // Acquire-release: pairs with the loads here and above. Two of one object do no harm.
  } while (!objects.cas_acq_rel(newest, mine));
  return mine;
}

object* object_at(std::uintptr_t address, os::loaded_object& loaded) noexcept {
  if (!os::find_loaded(address, loaded) || loaded.object_end == nullptr) return nullptr;
  return find_object(loaded);
}

}  // namespace

known look_up(std::uintptr_t pc, reader f, void* argument) noexcept {
  os::loaded_object loaded;
  object* of = object_at(pc, loaded);
  return of == nullptr ? known::nothing : of->look_up(pc - loaded.bias, f, argument);
}

bool find_symbol(std::uintptr_t address, symbol_found& found) noexcept {
  os::loaded_object loaded;
  const object* of = object_at(address, loaded);
  const symbol_entry entry =
      of == nullptr ? symbol_entry() : of->find_symbol(address - loaded.bias);
  if (entry.name == nullptr) return false;
  found = {entry.name, static_cast<std::uintptr_t>(entry.begin + loaded.bias)};
  return true;
}

bool file_is_in_place(std::uintptr_t pc) noexcept {
  os::loaded_object loaded;
  const object* of = object_at(pc, loaded);
  return of != nullptr && of->is_in_place(loaded);
}

}  // namespace gort::report::dwarf
