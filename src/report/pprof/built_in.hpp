// The runtime's own profiles: a table. A row is all that a new one needs to be found by
// pprof::lookup(), listed on the index page and served by the debug endpoints.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

struct built_in {
  const char* name;
  /// For the index page: a sentence or two, plain text.
  const char* description;
  /// Two of them can be subtracted, for `seconds=`.
  bool has_delta;
  /// Throws std::bad_alloc.
  std::int64_t (*count)();
  /// As of now. Throws std::bad_alloc.
  report::profile_data (*collect)();
  /// debug 1 and above; null: as what counts goroutines (report::counts_as_text).
  void (*write_text)(const sink& to, int debug) = nullptr;
  /// Before it is collected, on request (`gc=1`); null: there is nothing to do.
  void (*prepare)() = nullptr;
  /// For one that samples at a rate: sets it and returns the one before; 0: off.
  int (*set_rate)(int rate) = nullptr;
  /// What /debug/NAME/enable sets where it is not told.
  int usual_rate = 0;
};

/// By name. (src/report/pprof/built_in.cpp is the table.)
std::span<const built_in> all_built_in() noexcept;

namespace detail {
/// What the debug endpoints need to know of a profile.
struct profile_access {
  static const built_in* of(const profile& p) noexcept { return p.built_in_; }
  /// Null for a profile of the runtime's.
  static const custom_stacks* custom_of(const profile& p) noexcept { return p.custom_.get(); }
  static std::unique_ptr<profile> make(std::string name, const built_in* kind);
};
}  // namespace detail

/// Encoded and packed, in pieces.
void write_proto(const report::profile_data& data, const sink& to);

}  // namespace gort::pprof
