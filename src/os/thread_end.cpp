// By a key of the C library's, as destructors of thread_locals are registered under the dynamic
// linker's lock, which whoever waits for this thread may hold.
#include "os/thread_end.hpp"

#include <pthread.h>

#include <gort/detail/atomic.hpp>

namespace gort::os {

namespace {

enum : unsigned { no_key, key_is_made, key_works, key_refused };
constinit detail::atomic<unsigned> key_state{no_key};
constinit detail::atomic<void (*)() noexcept> at_thread_end;
pthread_key_t thread_end_key;  // written before key_works is

void end_of_thread(void*) { at_thread_end.load_relaxed()(); }

bool have_key(void (*f)() noexcept) noexcept {
  // Acquire pairs with the release below.
  const unsigned seen = key_state.load_acquire();
  if (seen != no_key) return seen == key_works;  // who comes while it is made does without
  unsigned none = no_key;
  if (!key_state.cas_acq_rel(none, key_is_made)) return none == key_works;
  at_thread_end.store_relaxed(f);
  const bool made = pthread_key_create(&thread_end_key, end_of_thread) == 0;
  key_state.store_release(made ? key_works : key_refused);
  return made;
}

}  // namespace

bool call_at_thread_end(void (*f)() noexcept) noexcept {
  return have_key(f) && pthread_setspecific(thread_end_key, &thread_end_key) == 0;
}

}  // namespace gort::os
