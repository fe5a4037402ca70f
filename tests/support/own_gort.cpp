// A library with a gort of its own (several_gorts_test.cpp): makes trees while they are collected.
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

namespace {

struct node {
  gort::gc::ptr<node> left, right;
};

gort::gc::ptr<node> tree(int depth) {
  auto top = gort::gc::make<node>();
  if (depth == 0) return top;
  top->left = tree(depth - 1);
  top->right = tree(depth - 1);
  return top;
}

int count(const gort::gc::ptr<node>& top) {
  return top == nullptr ? 0 : 1 + count(top->left) + count(top->right);
}

}  // namespace

// How many trees were not whole.
extern "C" int make_trees() {
  gort::detail::atomic<int> wrong;
  gort::run([&] {
    const auto kept = tree(13);
    gort::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        for (int k = 0; k < 40; ++k) {
          if (count(tree(10)) != 2047) wrong.fetch_add_relaxed(1);
          if (k % 10 == 0) gort::runtime::gc();
        }
      });
    }
    all.wait();
    if (count(kept) != 16383) wrong.fetch_add_relaxed(1);
  });
  return wrong.load_relaxed();
}
