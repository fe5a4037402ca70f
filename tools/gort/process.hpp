// Runs a program and keeps what it says.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tool {

struct outcome {
  int status = 0;  // exit status; 128 + n if signal n ended it
  std::string standard_out;
  std::string standard_error;
};

/// Blocks until the program has ended. Where `cgroup_procs` is not empty, the new process enters
/// that group before it becomes the program. Throws std::system_error where it cannot be started.
outcome run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                    const std::filesystem::path& cgroup_procs);

/// The folder of the running executable.
std::filesystem::path own_folder();

}  // namespace tool
