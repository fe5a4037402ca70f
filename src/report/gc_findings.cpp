// What checks of the managed heap say when they have found something.
#include "gc/findings.hpp"

#include <cstring>
#include <string_view>

#include <gort/detail/managed_make.hpp>

#include "os/loaded.hpp"
#include "report/names.hpp"
#include "report/symbolizer.hpp"
#include "report/text_sink.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::managed {

namespace {

// Of destroy_each<T>, which is of the linker's table of symbols: T.
void print_type(report::text_sink& out, const ending_type& type) noexcept {
  // As a return address, which the call is before.
  const char* code = reinterpret_cast<const char*>(type.destroy) + 1;
  report::symbolize(
      code,
      [](const report::symbol& s, void* to) {
        const std::string_view name = s.inlined ? s.outermost : s.function;
        const std::size_t low = name.find('<'), high = name.rfind('>');
        const bool known = low != name.npos && high != name.npos && low < high;
        if (!s.inlined)
          *static_cast<report::text_sink*>(to)
              << (known ? name.substr(low + 1, high - low - 1) : "an object");
      },
      &out);
}

constexpr std::size_t name_bytes_max = 256;

// The innermost function that is a user's.
void print_allocator(report::text_sink& out, std::span<const void* const> frames) noexcept {
  struct search {
    report::text_sink& out;
    bool found = false;
  } here{out};
  for (const void* each : frames) {
    report::symbolize(
        each,
        [](const report::symbol& s, void* raw) {
          auto& to = *static_cast<search*>(raw);
          const std::string_view name(s.function);
          if (to.found || !report::is_creator(s) || name.starts_with("gort::managed::") ||
              name.starts_with("gort::gc::"))
            return;
          to.found = true;
          to.out << ", allocated in " << s.function;
          if (s.file == nullptr) return;
          to.out << " (" << s.file << ":" << static_cast<std::uint64_t>(s.line) << ")";
        },
        &here);
    if (here.found) return;
  }
}

}  // namespace

bool is_of_this_library(const hidden_pointer& found) noexcept {
  char name[name_bytes_max];
  return found.in_variable && report::name_variable(found.where, name, sizeof(name)) &&
         std::string_view(name).starts_with("gort::");
}

bool report_hidden_pointer(const hidden_pointer& found) noexcept {
  char name[name_bytes_max];
  const bool is_named = found.in_variable && report::name_variable(found.where, name, sizeof(name));
  report::text_sink out(os::stderr_fd);
  out << "gort: cgocheck: ";
  out.hex(found.word) << " (";
  if (found.type != nullptr) {
    print_type(out, *found.type);
    out << ", ";
  }
  out << static_cast<std::uint64_t>(found.bytes) << " bytes";
  print_allocator(out, found.allocated_by);
  out << ") is freed, and a raw pointer to it is in ";
  if (is_named) {
    out << "the variable " << name;
  } else if (found.in_variable) {
    os::loaded_object object;
    os::find_loaded(found.where, object);
    out << "a variable of " << (object.file != nullptr ? object.file : "the program");
  } else {
    out << "malloc's memory";
  }
  out << " at ";
  out.hex(found.where);
  if (!found.in_variable) out << "; an error if that block is in use and the pointer is used again";
  out << "\n";
  return is_named;
}

void report_more_hidden_pointers(std::size_t count) noexcept {
  report::text_sink out(os::stderr_fd);
  out << "gort: cgocheck: and " << static_cast<std::uint64_t>(count) << " more\n";
}

void report_use_of_destroyed(const ending_type& type, std::uintptr_t object, bool is_due) noexcept {
  char text[1024] = {};
  {
    report::text_sink out({text, sizeof(text) - 1});
    out << "gort: a destructor or finalizer uses a managed object that "
        << (is_due ? "has died, too, and is about to be destroyed: " : "has been destroyed: ");
    print_type(out, type);
    out << " at ";
    out.hex(object)
        << ".\n"
        << "Objects that die together are destroyed in no particular order. A destructor may use\n"
           "what the object owns, and no other managed object. What needs others belongs into a\n"
           "finalizer (runtime::set_finalizer), which runs before any of them is destroyed.\n";
  }
  sched::report_fatal("gort: use of a destroyed managed object", text);
}

}  // namespace gort::managed
