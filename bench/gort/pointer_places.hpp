// What a gc::ptr costs by where it is (docs/gc.md has the table).
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

#include <gort/gc.hpp>

#include "heap_support.hpp"

namespace heap_bench {

struct pointed_to {
  std::uint64_t value = 0;
};
using place = gort::gc::ptr<pointed_to>;

struct object_with_place {
  object_with_place() noexcept {}
  place field;
};

}  // namespace heap_bench

template <>
inline constexpr bool gort::gc::needs_no_destructor<heap_bench::object_with_place> = true;

namespace heap_bench {

/// ns for each f(), the median of some slices.
template <class F>
double each_ns(F f) {
  constexpr int slices = 101, rounds = 10'000;
  std::vector<double> ns;
  for (int slice = 0; slice < slices; ++slice) {
    const stopwatch time;
    for (int i = 0; i < rounds; ++i) f();
    ns.push_back(time.seconds() * 1e9 / rounds);
  }
  std::sort(ns.begin(), ns.end());
  return ns[slices / 2];
}

/// Copies a pointer to `where`, and drops the copy.
inline double make_and_drop_ns(const place& from, void* where) {
  return each_ns([&] { std::destroy_at(::new (where) place(from)); });
}

inline place global_place;

inline figures pointer_places() {
  const place target = gort::gc::make<pointed_to>();
  const auto object = gort::gc::make<object_with_place>();
  alignas(place) unsigned char local[sizeof(place)];
  void* from_malloc = std::malloc(sizeof(place));
  figures out{{"local_ns", make_and_drop_ns(target, local)},
              {"managed_ns", make_and_drop_ns(target, &object->field)},
              {"malloc_ns", make_and_drop_ns(target, from_malloc)}};
  std::free(from_malloc);
  std::thread([&] {
    alignas(place) unsigned char on_stack[sizeof(place)];
    out.emplace_back("plain_thread_ns", make_and_drop_ns(target, on_stack));
  }).join();
  out.emplace_back("store_ns", each_ns([&] { global_place = target; }));
  gort::gc::atomic_ptr<pointed_to> atomic(target);
  out.emplace_back("atomic_load_ns", each_ns([&] { (void)atomic.load(); }));
  out.emplace_back("atomic_store_ns", each_ns([&] { atomic.store(target); }));
  const gort::gc::weak<pointed_to> weak(target);
  out.emplace_back("weak_lock_ns", each_ns([&] { (void)weak.lock(); }));
  global_place = nullptr;
  return out;
}

}  // namespace heap_bench
