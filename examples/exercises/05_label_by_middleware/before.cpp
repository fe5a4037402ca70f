// Before: plain handlers. Whoever looks at the process sees that it computes, not for whom.
#include "work.hpp"

int main(int count, char** arguments) {
  return exercise::run_or_measure(count, arguments, exercise::handle_work, exercise::handle_report);
}
