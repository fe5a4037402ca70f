// Before: GOMAXPROCS as a runtime sets it that asks how many CPUs the host has, not how many this
// container may use: 64 on a common server. (A gort program gets there only by asking for it.)
#include "workload.hpp"

int main() {
  return gort::run([] {
    gort::runtime::gomaxprocs(64);
    exercise::run_workload();
  });
}
