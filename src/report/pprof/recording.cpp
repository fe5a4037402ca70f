#include "report/pprof/recording.hpp"

#include <string>

#include <gort/error.hpp>
#include <gort/pprof.hpp>

namespace gort::pprof {

namespace {

class pprof_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "pprof"; }
  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::cpu_profile_in_use: return "cpu profiling already in use";
      case errc::wall_profile_in_use: return "wall profiling already in use";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(errc e) noexcept {
  static const pprof_category category;
  return {static_cast<int>(e), category};
}

}  // namespace gort::pprof

namespace gort::report {

void throw_refusal(const std::error_code& error, const char* profile) {
  if (!error) return;
  if (error.category() == make_error_code(pprof::errc::cpu_profile_in_use).category())
    throw runtime_error(error.message());
  throw std::system_error(error, profile);
}

void throw_stopped_by_sink() { throw runtime_error("pprof: a profile is stopped by its own sink"); }

}  // namespace gort::report
