#include "record/made.hpp"

namespace gort::record {

constinit made_things timers_made;
constinit made_things sockets_made;
constinit made_things goroutines_made;

}  // namespace gort::record
