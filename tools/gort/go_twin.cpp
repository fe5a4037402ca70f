#include "go_twin.hpp"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "process.hpp"

namespace tool {

namespace {

std::filesystem::path find_go() {
  std::string places;
  if (const char* root = std::getenv("GOROOT"); root != nullptr && *root != 0)
    places = std::string(root) + "/bin:";
  if (const char* path = std::getenv("PATH"); path != nullptr) places += path;
  std::istringstream list(places);
  for (std::string folder; std::getline(list, folder, ':');) {
    const auto candidate = std::filesystem::path(folder) / "go";
    if (!folder.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

}  // namespace

std::filesystem::path build_go_twin(const std::string& folder,
                                    const std::filesystem::path& programs, std::string& why) {
  const auto source = std::filesystem::path(GORT_EXERCISES) / folder / "go" / "main.go";
  const auto go = find_go();
  if (go.empty() || !std::filesystem::exists(source)) {
    why = go.empty() ? "Go is not at hand (GOROOT, PATH)" : "no " + source.string();
    return {};
  }
  const auto program = programs / (folder + "_go");
  std::printf("  building its twin in Go ...\n");
  std::fflush(stdout);
  const outcome built = run_program(go, {"build", "-o", program.string(), source.string()}, {});
  if (built.status == 0) return program;
  why = "its twin does not build: " + built.standard_error;
  return {};
}

}  // namespace tool
