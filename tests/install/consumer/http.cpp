#include <gort/go.hpp>
#include <gort/http.hpp>

#include <cstdio>

int main() {
  return gort::run([] {
    gort::http::mux m;
    std::printf("has a multiplexer\n");
  });
}
