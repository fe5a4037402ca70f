// Events by hand, as the recorder has them, through the model into a file that is read back.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "report/go_trace/model.hpp"
#include "report/go_trace/order.hpp"
#include "support/go_tool_trace.hpp"

namespace gort::test {

using record::trace_kind;
using report::stack_key;
using report::trace_event;
using report::trace_model;
using state = trace_model::state;

struct model_run {
  std::string file;
  report::trace_file out{[this](std::string_view b) { file += b; },
                         [](stack_key key, std::vector<report::trace_frame>& to) {
                           const auto n = static_cast<std::uint64_t>(key) & 0xffff;
                           to.push_back({n, "leaf" + std::to_string(n), "a.cpp", n});
                           to.push_back({1000, "root", "a.cpp", 1});
                         }};
  trace_model model{out};
  report::trace_order order;
  std::int64_t now_ns = 1000;

  // P 0 on thread 11 with goroutine 1 running, P 1 idle, goroutine 2 waits.
  model_run() {
    model.set_proc_count(2);
    model.add_proc(0, true, 11);
    model.add_proc(1, false, 0);
    model.add_goroutine(1, state::running, 11, stack_key::none);
    model.add_goroutine(2, state::waiting, 0, stack_key{7});
    model.start(now_ns, now_ns);
  }
  trace_event make(std::uint64_t thread, trace_kind kind, std::uint64_t id, std::uint64_t word = 0,
                   std::uint8_t detail = 0, std::string text = {}) {
    trace_event e;
    e.at_ns = now_ns += 10;
    e.thread = thread;
    e.kind = kind;
    e.id = id;
    e.words[0] = word;
    e.detail = detail;
    e.text = std::move(text);
    return e;
  }
  // As if it came in this order.
  template <class... A>
  void happens(A... a) {
    EXPECT_TRUE(model.apply(make(a...), false));
  }
  void gets(std::uint64_t thread, std::uint64_t p) {
    happens(thread, trace_kind::p_gets, p, thread);
  }
  void loses(std::uint64_t thread, std::uint64_t p) {
    happens(thread, trace_kind::p_loses, p, thread);
  }
  go_trace_summary read() {
    model.end();
    go_trace_summary seen;
    expect_valid_trace(file, &seen);
    return seen;
  }
};

}  // namespace gort::test
