#include "report/dwarf/split_off.hpp"

#include "report/dwarf/path_text.hpp"

namespace gort::report::dwarf {

split_off_part::split_off_part(const unit& of) noexcept {
  const char* name = of.split_off_file();
  if (name == nullptr) return;
  path_text path;
  if (const char* folder = of.directory(); *name != '/' && folder != nullptr)
    (path += folder) += "/";
  path += name;
  file_ = elf_file(path.c_str(), true);
  file_.inflate_debug();
  sections_ = file_.debug();
  // Addresses are where the linker has put them, and older ranges.
  for (const section each : {section::addr, section::ranges}) sections_[each] = of.in()[each];
  part_ = of.split_off(sections_);
}

}  // namespace gort::report::dwarf
