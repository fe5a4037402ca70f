#include "report/symbolizer.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <cstdlib>
#include <cstring>
#include <string_view>

#ifdef GORT_HAVE_LIBBACKTRACE
#include <backtrace.h>
#endif

namespace gort::report {

namespace {

constexpr std::size_t name_bytes_max = 1024;

bool linker_names = false;  // written by the one thread that reports [crash-1]

// Demangled into `out`, cut if too long.
void readable_name(const char* name, char* out) noexcept {
  if (name == nullptr) name = "??";
  int status = 0;
  char* demangled = linker_names ? nullptr : abi::__cxa_demangle(name, nullptr, nullptr, &status);
  const char* text = status == 0 && demangled != nullptr ? demangled : name;
  std::strncpy(out, text, name_bytes_max - 1);
  out[name_bytes_max - 1] = 0;
  if (demangled != nullptr) std::free(demangled);
  strip_parameters(out);
}

struct request {
  void (*f)(const symbol&, void*);
  void* argument;
  std::uintptr_t offset = 0;
  const char* symbol_name = nullptr;
  // One symbol is held back until it is known whether another encloses it.
  bool pending = false;
  symbol held{};
  char names[2][name_bytes_max];
  int which = 0;

  void emit(const char* function, const char* file, int line) noexcept {
    if (pending) {
      held.inlined = true;
      held.offset = 0;
      f(held, argument);
    }
    which = 1 - which;
    readable_name(function, names[which]);
    held = symbol{names[which], file, line, offset, false};
    pending = true;
  }
  // The last one is the function that the code belongs to: its linker name is fully qualified,
  // where debug information often has just "operator()".
  void finish() noexcept {
    if (!pending) return;
    if (symbol_name != nullptr) {
      readable_name(symbol_name, names[which]);
      held.function = names[which];
    }
    f(held, argument);
  }
};

// The exported functions of shared objects; their path stands in for the file.
void look_up_exported(request& r, std::uintptr_t pc) noexcept {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(pc), &info) == 0) {
    r.emit(nullptr, nullptr, 0);
    return;
  }
  if (info.dli_sname != nullptr)
    r.offset = pc + 1 - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  r.symbol_name = info.dli_sname;
  r.emit(info.dli_sname, info.dli_fname, 0);
}

#ifdef GORT_HAVE_LIBBACKTRACE

void ignore_error(void*, const char*, int) {}

backtrace_state* state() noexcept {
  // Made once; libbacktrace synchronizes the rest by itself (threaded = 1).
  static backtrace_state* const made = backtrace_create_state(nullptr, 1, ignore_error, nullptr);
  return made;  // null: no memory
}

void look_up(request& r, std::uintptr_t pc) noexcept {
  if (state() == nullptr) return look_up_exported(r, pc);
  backtrace_syminfo(
      state(), pc,
      [](void* data, std::uintptr_t at, const char* name, std::uintptr_t start, std::uintptr_t) {
        auto& to = *static_cast<request*>(data);
        if (name == nullptr) return;
        to.symbol_name = name;
        to.offset = at + 1 - start;
      },
      ignore_error, &r);
  backtrace_pcinfo(
      state(), pc,
      [](void* data, std::uintptr_t, const char* file, int line, const char* function) {
        auto& to = *static_cast<request*>(data);
        if (function == nullptr && file == nullptr) return 0;
        to.emit(function != nullptr ? function : to.symbol_name, file, line);
        return 0;
      },
      ignore_error, &r);
  if (r.pending) return;
  if (r.symbol_name != nullptr)
    r.emit(r.symbol_name, nullptr, 0);
  else
    look_up_exported(r, pc);
}

#else

void look_up(request& r, std::uintptr_t pc) noexcept { look_up_exported(r, pc); }

#endif

bool starts_with_any(std::string_view text, const char* const* prefixes, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    if (text.starts_with(prefixes[i])) return true;
  }
  return false;
}

}  // namespace

void symbolize(const void* return_address, void (*f)(const symbol&, void*),
               void* argument) noexcept {
  request r{f, argument, 0, nullptr, false, {}, {}, 0};
  look_up(r, reinterpret_cast<std::uintptr_t>(return_address) - 1);
  r.finish();
}

void use_linker_names(bool yes) noexcept { linker_names = yes; }

void strip_parameters(char* name) noexcept {
  // The last balanced pair of parentheses that only qualifiers follow is the parameter list; a
  // function template's return type in front of the name goes too.
  std::size_t end = std::strlen(name);
  while (end > 0 && name[end - 1] != ')' && name[end - 1] != '}' && name[end - 1] != '>') --end;
  if (end == 0 || name[end - 1] != ')') return;
  int depth = 0;
  std::size_t at = end;
  while (at > 0) {
    --at;
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) break;
  }
  constexpr std::string_view call_operator = "operator";
  const std::string_view before(name, at);
  if (depth != 0 || at == 0 || before.ends_with(call_operator)) return;
  name[at] = 0;
  // A space outside all brackets ends the return type ("void f<int>"); operators keep theirs.
  int brackets = 0;
  for (std::size_t i = at; i-- > 0;) {
    const char c = name[i];
    if (c == '>' || c == ')' || c == '}' || c == ']') ++brackets;
    if (c == '<' || c == '(' || c == '{' || c == '[') --brackets;
    if (c == ' ' && brackets == 0) {
      if (std::strstr(name, "operator ") == nullptr) std::memmove(name, name + i + 1, at - i);
      return;
    }
  }
}

bool is_internal(const symbol& s) noexcept {
  static constexpr const char* const functions[] = {
      "gort::detail::",
      "gort::sched::",
      "gort::report::",
      "gort::stack::",
      "gort::arch::",
      "gort::os::",
      "gort::go<",
      "gort::run<",
      "gort_",
      "std::__invoke",
      "std::invoke",
      "std::apply",
      "std::__apply",
      "std::__terminate",
      "std::terminate",
      "__cxxabiv1::",
      "__cxa_",
      "_Unwind_",
      "std::__new_allocator",
      "__gxx_",
      "std::forward",
      "std::get",
  };
  if (starts_with_any(s.function, functions, sizeof(functions) / sizeof(*functions))) return true;
  if (s.file == nullptr) return false;
  // Inlined calls are known by their short names only: judged by where they stand.
  const std::string_view file(s.file);
  for (const char* place : {"/include/c++/", "/include/gort/detail/", "/include/gort/go.hpp"}) {
    if (file.find(place) != file.npos) return true;
  }
  static constexpr std::string_view this_file = __FILE__;
  static constexpr std::string_view sources =
      this_file.substr(0, this_file.size() - std::string_view("report/symbolizer.cpp").size());
  const bool ours = file.starts_with(sources) || file.find("/include/gort/") != file.npos;
  // What is left of ours is the public interface: shown by its full name.
  const std::string_view function(s.function);
  return ours && (!function.starts_with("gort::") || function.ends_with("_slow"));
}

bool is_creator(const symbol& s) noexcept {
  return !is_internal(s) && (s.file == nullptr || std::string_view(s.file).find("/include/gort/") ==
                                                      std::string_view::npos);
}

}  // namespace gort::report
