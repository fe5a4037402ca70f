#include <gort/error.hpp>

namespace gort::detail {

void throw_runtime_error(const char* text) { throw runtime_error(text); }

}  // namespace gort::detail
