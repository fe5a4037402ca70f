// A second reader of debug information.
//
// Problem: a function that is inline or a template is compiled in each unit that uses it. The
// linker keeps one copy; to the debug information of the other units it gives the address of that
// one (if it is as large), so several units claim the same code. libbacktrace (before GCC 15) joins
// neighboring ranges of a unit, sorts all units' ranges, and looks only at the last one that begins
// before an address. Where that is another unit's copy in the middle of a joined range, it finds
// nothing for the rest of the range: no file, no line, no inlined calls.
//
// So where libbacktrace finds nothing, we look: among all ranges as they are in the file, nested or
// not. It reads what gcc and clang write (DWARF 2 to 5), with split-off units their lines. What is
// in a second file that dwz has made of several is not read: a name is missing then.
//
// Invariants
//   [dwarf-1] Right or nothing. A file belongs to what is loaded if their headers and build ids are
//             equal, at each look-up: the object may have been unloaded and another one be there.
//             Where several units claim an address and do not say the same of it, it has no line.
//   [dwarf-2] Nothing in a file is believed: all reading is by cursors, which end where their
//             section does, and all tables are as large as their section allows.
//   [dwarf-3] What has been read never changes and stays: objects and units are published once, by
//             a compare-exchange; who comes second gives up his own. So there are no locks.
//
// Rejected: elfutils' libdw, which calls malloc and is not thread-safe (a report may come from
// within malloc), and in Debian 12 finds no unit of what clang has compiled, without
// .debug_aranges. A change of the linker's or the compiler's options: users link.
#include "report/dwarf/look_up.hpp"

#include <gort/detail/atomic.hpp>

#include "os/loaded.hpp"
#include "report/dwarf/memory.hpp"
#include "report/dwarf/object.hpp"

namespace gort::report::dwarf {

namespace {

// Also those without debug information, so that each file is opened once.
detail::atomic<object*> objects;

object* find_object(const os::loaded_function& loaded) noexcept {
  constexpr int objects_max = 256;
  // Acquire: pairs with the exchange below.
  object* newest = objects.load_acquire();
  int count = 0;
  for (object* each = newest; each != nullptr; each = each->next, ++count) {
    if (each->is(loaded)) return each;
  }
  if (count >= objects_max) return nullptr;
  auto* mine = make<object>(loaded);
  if (mine == nullptr) return nullptr;
  do {
    mine->next = newest;
    // Acquire-release: pairs with the loads here and above. Two of one object do no harm.
  } while (!objects.cas_acq_rel(newest, mine));
  return mine;
}

}  // namespace

known look_up(std::uintptr_t pc, reader f, void* argument) noexcept {
  os::loaded_function loaded;
  if (!os::find_loaded_object(pc, loaded) || loaded.object_end == nullptr) return known::nothing;
  object* of = find_object(loaded);
  return of == nullptr ? known::nothing : of->look_up(pc - loaded.bias, f, argument);
}

}  // namespace gort::report::dwarf
