// Goroutines that wait at known places, for tests of profiles.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/parked.hpp"

namespace shop {

using namespace std::chrono_literals;

[[gnu::noinline]] inline void wait_at_the_till(gort::chan<int>& end) {
  end.recv();
  asm("");
}
[[gnu::noinline]] inline void wait_for_goods(gort::chan<int>& end) {
  end.recv();
  asm("");
}

/// So many of each; they end with it.
class crowd {
 public:
  crowd(int at_the_till, int for_goods) : end_(gort::make_chan<int>()) {
    const gort::test::arrivals since;
    for (int i = 0; i < at_the_till; ++i) all_.go([this] { wait_at_the_till(end_); });
    for (int i = 0; i < for_goods; ++i) all_.go([this] { wait_for_goods(end_); });
    // Parked: who is only on the way has another stack, and is a line of its own.
    since.wait_for(static_cast<std::size_t>(at_the_till + for_goods),
                   gort::test::wait_reason::chan_receive);
  }
  ~crowd() {
    end_.close();
    all_.wait();
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

 private:
  gort::chan<int> end_;
  gort::wait_group all_;
};

}  // namespace shop

namespace gort::test {

inline std::string written(std::string_view name, int debug) {
  std::string text;
  pprof::profile* found = pprof::lookup(name);
  if (found != nullptr) found->write_to([&](std::string_view piece) { text += piece; }, debug);
  return text;
}

}  // namespace gort::test
