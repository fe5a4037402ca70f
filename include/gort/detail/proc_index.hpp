// Which P this thread holds, for per-P caches.
#pragma once

namespace gort::detail {

/// In [0, GOMAXPROCS), or -1 on a plain thread. A hint: it may change at any call into gort.
int current_p_index() noexcept;

}  // namespace gort::detail
