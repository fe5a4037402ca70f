// Whether an object that a destructor uses has been destroyed before, or will be, as it died
// together with it: what dereferences ask in builds with assertions
// (include/gort/detail/managed_check.hpp). So whether a program is right does not depend on the
// order, in which there is nothing to rely on.
//
// What is due has all been found in one step, and that one is using it now was found before or in
// the same step (what a destructor that is due reaches is not dead): so its header says so already.
//
// Only what has a destructor can have been destroyed, and its header says so. What points into a
// header is one past the end of the array before it, and is no use.
#include <gort/detail/managed_check.hpp>

#include "arch/thread_word.hpp"
#include "gc/findings.hpp"
#include "gc/heap.hpp"

namespace gort::detail {

void gc_check_use(std::uintptr_t address) noexcept {
  using namespace gort::managed;
  if (arch::load_current_g() != gc_endings_run_on.load_relaxed()) return;
  const place in = find(address);
  if (!in || in.in->kind != kind::ending) return;
  const std::uintptr_t slot = in.in->address_of(in.slot);
  if (address < slot + object_header::bytes) return;
  const auto& header = *reinterpret_cast<const object_header*>(slot);
  if (const ending_type* type = header.ended_as(); type != nullptr)
    report_use_of_destroyed(*type, slot + type->header_bytes, false);
  if (const ending_type* type = header.due_as(); type != nullptr)
    report_use_of_destroyed(*type, slot + type->header_bytes, true);
}

}  // namespace gort::detail
