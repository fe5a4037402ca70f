// What debuggers read; see debugger.cpp.
#pragma once

namespace gort::sched {

/// Does nothing: a program that starts the runtime is linked with what debuggers need.
void keep_debugger_facts() noexcept;

}  // namespace gort::sched
