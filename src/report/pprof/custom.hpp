// The stacks that a program has added to a profile of its own.
#pragma once

#include <map>
#include <vector>

#include <gort/mutex.hpp>
#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof::detail {

struct custom_stacks {
  struct added {
    std::vector<const void*> frames;
    label_set labels;  // of who has added it
  };
  mutable mutex lock;
  std::map<const void*, added> stacks;  // by key; guarded by lock
};

report::profile_data collect_custom(const std::string& name, const custom_stacks& from);

}  // namespace gort::pprof::detail
