#include "record/malloc_account.hpp"

namespace gort::record {

constinit malloc_account malloc_bytes;

}  // namespace gort::record
