// The judgement of each exercise: by what was measured in all rounds.
#pragma once

#include "exercises.hpp"

namespace tool {

verdict judge_gomaxprocs(const exercise& what, const results& all);
verdict judge_yield(const exercise& what, const results& all);
verdict judge_metrics(const exercise& what, const results& all);
verdict judge_memory_limit(const exercise& what, const results& all);
verdict judge_labels(const exercise& what, const results& all);
verdict judge_gogc(const exercise& what, const results& all);
verdict judge_pool(const exercise& what, const results& all);
verdict judge_collector(const exercise& what, const results& all);
verdict judge_stack_limit(const exercise& what, const results& all);
verdict judge_mutex_profile(const exercise& what, const results& all);
verdict judge_log_lines(const exercise& what, const results& all);
verdict judge_leak(const exercise& what, const results& all);
verdict judge_storm(const exercise& what, const results& all);

}  // namespace tool
