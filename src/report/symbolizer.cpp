#include "report/symbolizer.hpp"

#include <cxxabi.h>
#include <cstdlib>
#include <cstring>
#include <string_view>

#ifdef GORT_HAVE_LIBBACKTRACE
#include <backtrace.h>
#endif

#include <gort/detail/atomic.hpp>

#include "base/sanitizer.hpp"
#include "os/errno.hpp"
#include "os/loaded.hpp"
#include "os/mappings.hpp"
#include "report/dwarf/look_up.hpp"
#include "report/names.hpp"

namespace gort::report {

namespace {

constexpr std::size_t name_bytes_max = 1024;

bool linker_names = false;  // written by the one thread that reports [crash-1]

// All others stand for themselves; the demangler takes them for types ("d": double).
bool is_mangled(const char* name) noexcept { return std::string_view(name).starts_with("_Z"); }

// Demangled into `out`, cut if too long.
void readable_name(const char* name, char* out) noexcept {
  if (name == nullptr) name = "??";
  int status = 0;
  char* demangled = linker_names || !is_mangled(name)
                        ? nullptr
                        : abi::__cxa_demangle(name, nullptr, nullptr, &status);
  const char* text = status == 0 && demangled != nullptr ? demangled : name;
  std::strncpy(out, text, name_bytes_max - 1);
  out[name_bytes_max - 1] = 0;
  if (demangled != nullptr) std::free(demangled);
  shorten_name(out);
}

// All symbols of one address: those of inlined calls first, the function that they are in last.
struct request {
  static constexpr std::size_t symbols_max = 24;
  struct raw {
    const char* function;
    const char* file;
    int line;
  };
  raw found[symbols_max];
  std::size_t count = 0;
  std::uintptr_t offset = 0;
  const char* symbol_name = nullptr;
  const char* path = nullptr;  // of the shared object, if nothing else can tell
  char unversioned[128];
  os::exported_function exported;  // used only where the files have no name

  void name(const dwarf::symbol_found& symbol, std::uintptr_t pc) noexcept {
    offset = pc + 1 - symbol.begin;
    symbol_name = symbol.name;
    const std::string_view whole(symbol.name), bare = whole.substr(0, whole.find('@'));
    if (bare.size() == whole.size() || bare.size() >= sizeof(unversioned)) return;
    unversioned[bare.copy(unversioned, bare.size())] = 0;  // "fopen@@GLIBC_2.2.5"
    symbol_name = unversioned;
  }
  void emit(const char* function, const char* file, int line) noexcept {
    if (count < symbols_max) found[count++] = {function, file, line};
  }
  void take_symbols(const request& of) noexcept {
    std::memcpy(found, of.found, sizeof(found));
    count = of.count;
  }
  // Of the last one the linker's name is fully qualified, where debug information often has just
  // "operator()".
  const char* name_of(std::size_t which) const noexcept {
    return which + 1 == count && symbol_name != nullptr ? symbol_name : found[which].function;
  }
  // Lambdas have a bare name there. What they are of stands in the names of what they are inlined
  // into: as a template's argument, or it is that function.
  void name_lambda(std::size_t which, char* out) const noexcept {
    char outer[name_bytes_max];
    int more = 0;  // lambdas between it and the one that is named
    for (std::size_t next = which + 1; next < count; ++next) {
      readable_name(name_of(next), outer);
      const bool same_file = found[next].file != nullptr && found[which].file != nullptr &&
                             std::strcmp(found[next].file, found[which].file) == 0;
      if (!take_lambda_argument(outer)) {
        if (same_file) ++more;
        if (!same_file || is_bare_lambda(outer)) continue;
      }
      std::size_t bytes = std::strlen(outer);
      std::memcpy(out, outer, bytes + 1);
      constexpr std::string_view one = "::{lambda}";
      for (; more > 0 && bytes + one.size() < name_bytes_max; --more) {
        bytes += one.copy(out + bytes, one.size());
        out[bytes] = 0;
      }
      return;
    }
  }
};

// The exported functions of shared objects; their path stands in for the file.
void look_up_exported(request& r, std::uintptr_t pc) noexcept {
  os::find_exported(pc, r.exported);
  r.path = r.exported.in.file;
  if (r.exported.name[0] == 0) return;
  r.offset = pc + 1 - r.exported.begin;
  r.symbol_name = r.exported.name;
}

dwarf::known look_up_lines(request& r, std::uintptr_t pc) noexcept {
  return dwarf::look_up(
      pc,
      [](const char* function, const char* file, int line, void* to) {
        static_cast<request*>(to)->emit(function, file, line);
      },
      &r);
}

#ifdef GORT_HAVE_LIBBACKTRACE

void ignore_error(void*, const char*, int) {}

// What libbacktrace knows, as of its first look-up; it synchronizes the rest by itself. Older ones
// may be in use, and cannot be freed.
detail::atomic<backtrace_state*> newest_state;
detail::atomic<std::uint64_t> newest_version;  // of what was loaded then; 0: not known
detail::atomic<std::uint32_t> states_made;

backtrace_state* make_state() noexcept {
  return backtrace_create_state(nullptr, 1, ignore_error, nullptr);  // null: no memory
}

backtrace_state* state() noexcept {
  // Acquire pairs with the releases below.
  if (backtrace_state* made = newest_state.load_acquire(); made != nullptr) return made;
  backtrace_state* mine = make_state();
  backtrace_state* expected = nullptr;
  // Acquire-release: pairs with the loads here and there.
  return newest_state.cas_acq_rel(expected, mine) ? mine : expected;
}

// Another reader of the same debug information, and of some that ours does not read.
void look_up_lines_again(request& r, std::uintptr_t pc) noexcept {
  const base::unseen_by_tsan look_away;  // libbacktrace publishes its tables by atomics of its own
  if (state() == nullptr) return;
  backtrace_pcinfo(
      state(), pc,
      [](void* data, std::uintptr_t, const char* file, int line, const char* function) {
        auto& to = *static_cast<request*>(data);
        if (function == nullptr && file == nullptr) return 0;
        to.emit(function != nullptr ? function : to.symbol_name, file, line);
        return 0;
      },
      ignore_error, &r);
}

dwarf::symbol_found look_up_symbol_again(std::uintptr_t address) noexcept {
  const base::unseen_by_tsan look_away;
  dwarf::symbol_found found;
  if (state() == nullptr) return found;
  backtrace_syminfo(
      state(), address,
      [](void* data, std::uintptr_t, const char* name, std::uintptr_t begin, std::uintptr_t) {
        *static_cast<dwarf::symbol_found*>(data) = {name, begin};
      },
      ignore_error, &found);
  return found;
}

void look_at_changes() noexcept {
  constexpr std::uint32_t states_max = 32;
  const std::uint64_t version = os::loaded_objects_version();
  if (newest_version.exchange_relaxed(version) == version) return;
  if (states_made.fetch_add_relaxed(1) >= states_max) return;
  if (backtrace_state* made = make_state(); made != nullptr)
    newest_state.store_release(made);  // pairs with the acquire in state()
}

#else

void look_up_lines_again(request&, std::uintptr_t) noexcept {}
dwarf::symbol_found look_up_symbol_again(std::uintptr_t) noexcept { return {}; }
void look_at_changes() noexcept {}

#endif

// Where an object is found without a lock, its file is read by us, and known to be what is loaded.
// libbacktrace opens files by their names, whatever has become of them.
bool libbacktrace_may_look(std::uintptr_t pc) noexcept {
  return !os::finds_unwind_tables() || dwarf::file_is_in_place(pc);
}

dwarf::symbol_found look_up_symbol(std::uintptr_t address) noexcept {
  dwarf::symbol_found found;
  if (!dwarf::find_symbol(address, found) && !os::finds_unwind_tables())
    found = look_up_symbol_again(address);
  return found;
}

void look_up(request& r, std::uintptr_t pc) noexcept {
  if (const dwarf::symbol_found found = look_up_symbol(pc); found.name != nullptr) {
    r.name(found, pc);
  } else {
    look_up_exported(r, pc);
  }
  request lines;
  lines.symbol_name = r.symbol_name;
  const dwarf::known how = look_up_lines(r, pc);
  const bool is_all = how != dwarf::known::nothing && how != dwarf::known::but_names;
  if (!is_all && libbacktrace_may_look(pc)) look_up_lines_again(lines, pc);
  if (lines.count != 0) r.take_symbols(lines);
  if (r.count == 0) r.emit(r.symbol_name, r.path, 0);
}

}  // namespace

void symbolize(const void* return_address, void (*f)(const symbol&, void*),
               void* argument) noexcept {
  const os::errno_kept what_files_are_not_there;
  request r;
  look_up(r, reinterpret_cast<std::uintptr_t>(return_address) - 1);
  char name[name_bytes_max];
  char outermost[name_bytes_max] = {};
  if (r.count != 0) readable_name(r.name_of(r.count - 1), outermost);
  for (std::size_t i = 0; i < r.count; ++i) {
    const bool last = i + 1 == r.count;
    readable_name(r.name_of(i), name);
    if (is_bare_lambda(name)) r.name_lambda(i, name);
    f({name, r.found[i].file, r.found[i].line, last ? r.offset : 0, !last, outermost, r.name_of(i)},
      argument);
  }
}

bool name_variable(std::uintptr_t address, char* to, std::size_t room) noexcept {
  const os::errno_kept what_files_are_not_there;
  const char* name = look_up_symbol(address).name;
  if (name == nullptr) return false;
  int status = 0;
  char* demangled =
      is_mangled(name) ? abi::__cxa_demangle(name, nullptr, nullptr, &status) : nullptr;
  const std::string_view text(demangled != nullptr ? demangled : name);
  to[text.copy(to, room - 1)] = 0;
  std::free(demangled);
  return true;
}

void refresh_symbols() noexcept {
  const os::errno_kept what_files_are_not_there;
  look_at_changes();
}

void use_linker_names(bool yes) noexcept { linker_names = yes; }

}  // namespace gort::report
