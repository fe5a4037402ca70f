// Many parties of both kinds at once, and what misuse says.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include <gort/wait_group.hpp>

#include "support/run.hpp"

namespace gort::test {

// Runs `body(i)` in n goroutines and n threads at once, at several numbers of Ps.
template <class F>
void in_all(int n, F body) {
  for (const int procs : {1, 2, 4}) {
    with_procs(procs, [&] {
      wait_group all;
      std::vector<std::thread> threads;
      detail::atomic<int> threads_left{n};
      for (int i = 0; i < n; ++i) {
        all.go([&, i, held = element(i)] {
          body(i);
          EXPECT_EQ(held, i);
        });
        threads.emplace_back([&, i] {
          body(n + i);
          threads_left.fetch_sub_release(1);
        });
      }
      all.wait();
      while (threads_left.load_acquire() != 0) runtime::gosched();  // join() would hold the P
      for (auto& t : threads) t.join();
    });
  }
}

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const runtime_error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace gort::test
