// The same exercise in Go, where Go is at hand: its figures stand beside ours.
#pragma once

#include <filesystem>
#include <string>

namespace tool {

/// Builds examples/exercises/FOLDER/go/main.go into `programs`, says so on standard output, and
/// returns the program; empty, with the reason in `why`, where there is no Go (in GOROOT or on the
/// PATH), no such source, or it does not build.
std::filesystem::path build_go_twin(const std::string& folder,
                                    const std::filesystem::path& programs, std::string& why);

}  // namespace tool
