#include "sched/switching/system_goroutine.hpp"

#include <cstring>
#include <new>

#include <gort/detail/spawn.hpp>

#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

bool start_system_goroutine(const char* name, void (*invoke)(spawn_record*),
                            void* argument) noexcept try {
  const go_options options{.stack = 0, .name = name};
  spawn_record* record = detail::spawn_allocate(&options);
  record->invoke = invoke;
  std::memcpy(record->storage, &argument, sizeof(argument));
  record->parent_id = 0;
  record->creation_pc = nullptr;
  record->labels = nullptr;
  const detail::inside_gort inside;
  {
    detail::spin_guard guard(sched.lock);
    record->id = sched.next_id++;
  }
  seam::created(*record, nullptr);
  submit_global(to_runnable(record));
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace gort::sched
