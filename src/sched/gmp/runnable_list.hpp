// First in, first out, linked through the runnables themselves. Who uses one that is shared holds a
// lock.
#pragma once

#include <cstddef>

#include "sched/gmp/g.hpp"

namespace gort::sched {

struct runnable_list {
  runnable head = 0;
  runnable tail = 0;
  std::size_t size = 0;

  void push_back(runnable r) noexcept {
    link_of(r) = 0;
    if (tail != 0)
      link_of(tail) = r;
    else
      head = r;
    tail = r;
    ++size;
  }

  void append(const runnable_list& more) noexcept {
    if (more.head == 0) return;
    (tail != 0 ? link_of(tail) : head) = more.head;
    tail = more.tail;
    size += more.size;
  }

  void push_front(runnable r) noexcept {
    link_of(r) = head;
    head = r;
    if (tail == 0) tail = r;
    ++size;
  }

  runnable pop_front() noexcept {
    const runnable r = head;
    if (r != 0) {
      head = link_of(r);
      if (head == 0) tail = 0;
      --size;
    }
    return r;
  }
};

}  // namespace gort::sched
