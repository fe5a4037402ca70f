// Before: a plain handler. Whoever looks at the process sees that it computes, not for whom.
#include "work.hpp"

int main(int count, char** arguments) {
  gort::http::mux mux;
  mux.handle("/work", exercise::handle_work);
  return exercise::serve(count, arguments, mux);
}
