// An exception that somebody catches and reports: where it was thrown, and what it says.
//
// Problem: a `catch` runs when the frames of the throw are gone. std::terminate() is called before
// that, which panics make use of; for who goes on, a frame between the two looks at the stack when
// the unwinder asks it for its opinion. It costs nothing until something is thrown.
#pragma once

#include <memory>
#include <type_traits>

#include "arch/unwind.hpp"
#include "report/text_sink.hpp"
#include "report/trace.hpp"

namespace gort::report {

/// Calls f(). Where an exception leaves it, `thrown` is the stack at its throw, or at the last
/// `throw;`; else it stays as it is. Of one from another goroutine (errgroup) it is the stack at
/// which it was thrown again here. goexit() is none.
template <class F>
void call_watched(F&& f, trace& thrown) {
  using function = std::remove_reference_t<F>;
  gort_call_watched([](void* raw) { (*static_cast<function*>(raw))(); }, std::addressof(f),
                    &thrown);
}

/// The exception in flight, in the form that Go uses for the kind of value.
void print_exception(text_sink& out) noexcept;

}  // namespace gort::report
