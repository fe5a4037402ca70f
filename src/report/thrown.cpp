#include "report/thrown.hpp"

#include <cxxabi.h>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <typeinfo>

#include "arch/unwind.hpp"
#include "base/env.hpp"

// In the first of the unwinder's two phases nothing has been unwound yet.
_Unwind_Reason_Code gort_see_exception(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                       _Unwind_Exception*, _Unwind_Context* context) noexcept {
  if ((actions & _UA_SEARCH_PHASE) != 0) {
    auto& to = *static_cast<gort::report::trace*>(gort::arch::watcher_of(context));
    gort::sched::goroutine_view own;
    own.is_current = true;
    to.count = 0;  // there may have been one before that was in the way of this
    gort::report::walk_stack(own, true, to);
  }
  return _URC_CONTINUE_UNWIND;
}

namespace gort::report {

namespace {

// Text of several lines: each further one is indented by a tab.
void print_indented(text_sink& out, std::string_view text) noexcept {
  for (;;) {
    const std::size_t end = text.find('\n');
    out << text.substr(0, end);
    if (end == text.npos) return;
    out << "\n\t";
    text.remove_prefix(end + 1);
  }
}

// What was thrown is a null pointer: Go's panic(nil), which is an error unless GODEBUG=panicnil=1.
void print_nil(text_sink& out) noexcept {
  const bool is_value = base::godebug("panicnil", 0) > 0;
  out << (is_value ? "nil" : "runtime error: panic called with nil argument");
}

void print_type(text_sink& out) noexcept {
  int status = 0;
  const std::type_info* type = abi::__cxa_current_exception_type();
  char* name =
      type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  out << "(" << (name != nullptr ? name : "unknown type") << ")";
  std::free(name);
}

}  // namespace

void print_exception(text_sink& out) noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    if (const char* text = e.what(); text != nullptr)
      print_indented(out, text);
    else
      print_type(out);
  } catch (const std::string& s) {
    print_indented(out, s);
  } catch (const char* s) {  // nullptr is one
    if (s == nullptr)
      print_nil(out);
    else
      print_indented(out, s);
  } catch (const void* pointer) {  // to whatever
    if (pointer == nullptr) return print_nil(out);
    print_type(out);
    out << " ";
    out.hex(pointer);
  } catch (int n) {
    if (n < 0) out << "-";
    out << static_cast<std::uint64_t>(n < 0 ? -static_cast<std::int64_t>(n) : n);
  } catch (bool b) {
    out << (b ? "true" : "false");
  } catch (...) {
    print_type(out);
  }
}

}  // namespace gort::report
