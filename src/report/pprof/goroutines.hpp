// The profiles of what exists now: goroutines, who started them, threads.
#pragma once

#include <cstdint>
#include <string>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

std::int64_t goroutine_count();
report::profile_data collect_goroutines();
report::profile_data collect_creation();
void write_creation_text(const sink& to, int debug);
void write_goroutine_text(const sink& to, int debug);

/// Which goroutines a dump shows: all of what is set must fit.
struct goroutine_filter {
  std::string state;        // as the header says it
  std::string label_key;    // also "name"
  std::string label_value;  // if there is a key; empty: any
  std::uint64_t limit = 0;  // so many at most; 0: all
};
void write_goroutine_dump(const sink& to, const goroutine_filter& which);
/// "chan receive (5), running (1)": what a filter's state could be now.
std::string goroutine_states();

/// Of the last search.
std::int64_t leak_count();
/// Looks for leaked goroutines; so does the text (src/report/leaks.cpp).
report::profile_data collect_leaks();
void write_leak_text(const sink& to, int debug);

std::int64_t thread_count();
report::profile_data collect_threads();

}  // namespace gort::pprof
