// Problem: atexit() gives a place in a line, and what is registered later comes first. To be first
// again one must leave the line and enter it anew, which atexit() does not offer, but what C++
// builds destructors of static objects on does: the Itanium ABI's __cxa_atexit() and
// __cxa_finalize(), by which a library that is unloaded takes its destructors out of the line. Each
// of our two tokens stands for such a library. They take turns, so that one is always in the line.
//
// __cxa_finalize() calls what it takes out, which then does nothing.
#include "os/at_exit.hpp"

#include <cxxabi.h>
#include <cstdlib>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "os/thread.hpp"

namespace gort::os {

namespace {

detail::atomic<std::uint32_t> moving;  // a lock: moves are rare and short
char tokens[2];
unsigned current = 0;                           // guarded by `moving`
constinit thread_local bool taken_out = false;  // this thread takes one out of the line

void called(void* f) {
  if (!taken_out) reinterpret_cast<void (*)() noexcept>(f)();
}

}  // namespace

void call_first_at_exit(void (*f)() noexcept) noexcept {
  // Acquire pairs with the release below.
  for (unsigned i = 0; moving.exchange_acquire(1) != 0; ++i) give_way(i);
  const unsigned before = current;
  current = 1 - before;
  abi::__cxa_atexit(called, reinterpret_cast<void*>(f), &tokens[current]);
  taken_out = true;
  abi::__cxa_finalize(&tokens[before]);
  taken_out = false;
  moving.store_release(0);  // pairs with the acquire above
}

void call_first_at_exit(void (*f)(int status) noexcept) noexcept {
  on_exit([](int status, void* raw) { reinterpret_cast<void (*)(int) noexcept>(raw)(status); },
          reinterpret_cast<void*>(f));
}

}  // namespace gort::os
