// Before: every event is recorded, all the time.
#include "service.hpp"

int main() {
  return gort::run([] {
    exercise::table t;
    const exercise::cost all_the_time = exercise::cost_of(1, t);
    exercise::report()
        .add("request_us", all_the_time.request_us)
        .add("standing_percent", all_the_time.percent)
        .print();
  });
}
