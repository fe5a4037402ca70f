#include <gort/go.hpp>
#include <gort/pprof.hpp>

#include <cstdio>
#include <string>
#include <string_view>

int main() {
  return gort::run([] {
    std::string text;
    gort::pprof::lookup("goroutine")->write_to([&](std::string_view piece) { text += piece; }, 0);
    std::printf("packed: %s\n", text.starts_with("\x1f\x8b") ? "yes" : "no");
  });
}
