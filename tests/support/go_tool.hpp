// `go tool pprof` on our output, by the Go that is at hand.
#pragma once

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "support/program.hpp"

namespace gort::test {

/// "/usr/bin/go", or GOROOT's; empty: there is none.
inline std::string find_go() {
  if (const char* root = std::getenv("GOROOT"); root != nullptr) {
    const std::string inside = std::string(root) + "/bin/go";
    if (access(inside.c_str(), X_OK) == 0) return inside;
  }
#ifdef GORT_GO
  return GORT_GO;
#else
  return {};
#endif
}

inline ended go_tool_pprof(const std::string& arguments) {
  // Where it keeps copies, and nothing from elsewhere.
  return run_shell("PPROF_TMPDIR=/tmp/gort-pprof-copies GOTOOLCHAIN=local GOFLAGS= " + find_go() +
                   " tool pprof -symbolize=none " + arguments);
}

/// A file that is gone when this is.
class temporary_file {
 public:
  temporary_file(const std::string& name, std::string_view content)
      : path_("/tmp/gort-" + std::to_string(getpid()) + "-" + name) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~temporary_file() { unlink(path_.c_str()); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace gort::test
