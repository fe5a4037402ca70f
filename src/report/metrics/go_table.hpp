// Long file: a table of 66 rows, one for each metric of Go.
//
// The metrics of Go 1.24 to 1.27, by name, and what each is here. One that has no meaning has the
// value of a Go program whose collector has never run. docs/metrics.md says it to users.
#pragma once

#include "record/counters.hpp"
#include "record/pauses.hpp"
#include "report/metrics/managed_sizes.hpp"
#include "report/metrics/table.hpp"
#include "sched/stacks/stack_size.hpp"

namespace gort::report::entries {

inline constexpr metric go_table[] = {
    count(
        "/cgo/go-to-c-calls:calls", [](gathered& g) { return g.goroutines().announced_calls; },
        "Calls of gort::blocking() so far."),
    seconds(
        "/cpu/classes/gc/mark/assist:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().assist_ns); },
        "CPU time that those spent to help the collector who allocated fast."),
    seconds(
        "/cpu/classes/gc/mark/dedicated:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().dedicated_ns); },
        "CPU time of the collector's thread: marking, and sweeping."),
    seconds(
        "/cpu/classes/gc/mark/idle:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().idle_mark_ns); },
        "CPU time of the collector's workers on processors that had nothing else to do."),
    seconds("/cpu/classes/gc/pause:cpu-seconds", no_seconds,
            "Time for which the collector stopped the world, which it never does."),
    seconds(
        "/cpu/classes/gc/total:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().collector_ns()); },
        "The sum of the /cpu/classes/gc classes."),
    seconds(
        "/cpu/classes/idle:cpu-seconds", [](gathered& g) { return in_seconds(g.cpu().idle_ns); },
        "Time for which processors had nothing to run."),
    seconds(
        "/cpu/classes/scavenge/assist:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().scavenge_assist_ns); },
        "CPU time for giving memory back because a limit was near."),
    seconds(
        "/cpu/classes/scavenge/background:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().scavenge_background_ns); },
        "CPU time for giving pages of the heap and of unused stacks back to the system."),
    seconds(
        "/cpu/classes/scavenge/total:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().scavenge_ns()); },
        "The sum of the /cpu/classes/scavenge classes."),
    seconds(
        "/cpu/classes/total:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().total_ns()); },
        "GOMAXPROCS integrated over time: what there was to use; and the time of threads beside "
        "it, "
        "the scavenger's and the collector's."),
    seconds(
        "/cpu/classes/user:cpu-seconds", [](gathered& g) { return in_seconds(g.cpu().user_ns); },
        "Time for which processors ran goroutines, or looked for some."),
    count(
        "/gc/cleanups/executed:cleanups", [](gathered& g) { return g.managed().cleanups_run; },
        "Cleanups that have run."),
    count(
        "/gc/cleanups/queued:cleanups", [](gathered& g) { return g.managed().cleanups_queued; },
        "Cleanups that have been queued."),
    count(
        "/gc/cycles/automatic:gc-cycles",
        [](gathered& g) { return g.managed().cycles - g.managed().forced_cycles; },
        "Collections that the runtime began."),
    count(
        "/gc/cycles/forced:gc-cycles", [](gathered& g) { return g.managed().forced_cycles; },
        "Collections that the program asked for."),
    count(
        "/gc/cycles/total:gc-cycles", [](gathered& g) { return g.managed().cycles; },
        "Collections that have been completed."),
    count(
        "/gc/finalizers/executed:finalizers",
        [](gathered& g) { return g.managed().finalizers_run; }, "Finalizers that have run."),
    count(
        "/gc/finalizers/queued:finalizers",
        [](gathered& g) { return g.managed().finalizers_queued; },
        "Finalizers that have been queued."),
    gauge(
        "/gc/gogc:percent", [](gathered& g) { return g.managed().gc_percent; },
        "How much the heap may grow between collections, in percent: GOGC. 2^64 - 1: off."),
    gauge(
        "/gc/gomemlimit:bytes", [](gathered& g) { return g.managed().limit_bytes; },
        "The soft limit on memory: GOMEMLIMIT. 2^63 - 1: none."),
    sizes("/gc/heap/allocs-by-size:bytes", add_allocated_sizes,
          "Sizes of what was allocated on the managed heap."),
    count(
        "/gc/heap/allocs:bytes", [](gathered& g) { return g.managed().allocated_bytes; },
        "Bytes that were allocated on the managed heap."),
    count(
        "/gc/heap/allocs:objects", [](gathered& g) { return g.managed().allocated_objects; },
        "Allocations on the managed heap."),
    sizes("/gc/heap/frees-by-size:bytes", add_freed_sizes,
          "Sizes of what was freed on the managed heap."),
    count(
        "/gc/heap/frees:bytes", [](gathered& g) { return g.managed().freed_bytes; },
        "Bytes that were freed on the managed heap."),
    count(
        "/gc/heap/frees:objects", [](gathered& g) { return g.managed().freed_objects; },
        "What was freed on the managed heap."),
    gauge(
        "/gc/heap/goal:bytes", [](gathered& g) { return g.managed().goal_bytes; },
        "The size of the heap at which the current collection is to end."),
    gauge(
        "/gc/heap/live:bytes", [](gathered& g) { return g.managed().live_bytes; },
        "Bytes that the last collection found in use."),
    gauge(
        "/gc/heap/objects:objects", [](gathered& g) { return g.managed().heap_objects(); },
        "Objects on the managed heap."),
    count("/gc/heap/tiny/allocs:objects", zero, "Small allocations that share a block."),
    gauge(
        "/gc/limiter/last-enabled:gc-cycle",
        [](gathered& g) { return g.managed().last_limited_cycle; },
        "The collection in which the limit on the collector's CPU time was last reached; 0: none."),
    times("/gc/pauses:seconds", nullptr, "Deprecated: /sched/pauses/total/gc:seconds."),
    gauge(
        "/gc/scan/globals:bytes", [](gathered& g) { return g.managed().scanned_global_bytes; },
        "Bytes of managed pointers outside the heap and goroutines' stacks that the last "
        "collection "
        "read."),
    gauge(
        "/gc/scan/heap:bytes", [](gathered& g) { return g.managed().scanned_heap_bytes; },
        "Bytes of the heap that the last collection scanned."),
    gauge(
        "/gc/scan/stack:bytes", [](gathered& g) { return g.managed().scanned_stack_bytes; },
        "Bytes of stacks that the last collection scanned."),
    gauge(
        "/gc/scan/total:bytes",
        [](gathered& g) {
          return g.managed().scanned_global_bytes + g.managed().scanned_heap_bytes +
                 g.managed().scanned_stack_bytes;
        },
        "The sum of the /gc/scan values."),
    gauge(
        "/gc/stack/starting-size:bytes",
        [](gathered&) -> std::uint64_t {
          return stack::class_bytes(sched::sizes.default_class.load_relaxed());
        },
        "The address space of a new goroutine's stack; memory is used as it is touched."),
    gauge(
        "/memory/classes/heap/free:bytes", [](gathered& g) { return g.memory().heap_free; },
        "What malloc holds and has not handed out, some of which may be with the system; and free "
        "pages of the managed heap that are not."),
    gauge(
        "/memory/classes/heap/objects:bytes", [](gathered& g) { return g.memory().heap_objects; },
        "What malloc and operator new have handed out, and objects of the managed heap."),
    gauge(
        "/memory/classes/heap/released:bytes", [](gathered& g) { return g.memory().heap_released; },
        "Free memory of the managed heap that was given back to the system."),
    gauge(
        "/memory/classes/heap/stacks:bytes", [](gathered& g) { return g.memory().stacks; },
        "Pages of goroutines' stacks, free ones included."),
    gauge(
        "/memory/classes/heap/unused:bytes", [](gathered& g) { return g.memory().heap_unused; },
        "Memory of the managed heap in spans that are in use in part."),
    gauge("/memory/classes/metadata/mcache/free:bytes", zero,
          "Of processors' caches, what is unused."),
    gauge(
        "/memory/classes/metadata/mcache/inuse:bytes",
        [](gathered& g) { return g.memory().processors; },
        "Processors: their queues, caches and counters; the managed heap's caches."),
    gauge("/memory/classes/metadata/mspan/free:bytes", zero,
          "Of the managed heap's descriptions of its spans, what is unused."),
    gauge(
        "/memory/classes/metadata/mspan/inuse:bytes", [](gathered& g) { return g.memory().spans; },
        "The managed heap's descriptions of its spans."),
    gauge(
        "/memory/classes/metadata/other:bytes", [](gathered& g) { return g.memory().collector; },
        "What else the collector needs."),
    gauge(
        "/memory/classes/os-stacks:bytes", [](gathered& g) { return g.memory().os_stacks; },
        "Address space of the stacks of the runtime's threads."),
    gauge(
        "/memory/classes/other:bytes", [](gathered& g) { return g.memory().other; },
        "Records of goroutines that have not started, and of threads."),
    gauge(
        "/memory/classes/profiling/buckets:bytes", [](gathered& g) { return g.memory().profiles; },
        "Tables of stacks in profiles."),
    gauge(
        "/memory/classes/total:bytes", [](gathered& g) { return g.memory().total(); },
        "The sum of the /memory/classes."),
    gauge(
        "/sched/gomaxprocs:threads", [](gathered& g) { return g.goroutines().procs; },
        "GOMAXPROCS: how many goroutines may run at the same time."),
    count(
        "/sched/goroutines-created:goroutines", [](gathered& g) { return g.goroutines().created; },
        "Goroutines that have been started."),
    gauge(
        "/sched/goroutines/not-in-go:goroutines",
        [](gathered& g) { return g.goroutines().not_in_go; },
        "About how many goroutines are in a call that blocks, announced or found."),
    gauge(
        "/sched/goroutines/runnable:goroutines",
        [](gathered& g) { return g.goroutines().runnable; },
        "About how many goroutines could run and do not."),
    gauge(
        "/sched/goroutines/running:goroutines", [](gathered& g) { return g.goroutines().running; },
        "About how many goroutines run."),
    gauge(
        "/sched/goroutines/waiting:goroutines",
        [](gathered& g) { return g.goroutines().waiting(); },
        "About how many goroutines are parked."),
    gauge(
        "/sched/goroutines:goroutines", [](gathered& g) { return g.goroutines().live; },
        "Goroutines that exist."),
    times("/sched/latencies:seconds", record::sum_latencies,
          "For how long goroutines were runnable before they ran; weighted samples that estimate "
          "all of them."),
    times("/sched/pauses/stopping/gc:seconds", nullptr,
          "From the collector's decision to stop the world until it stood: it never does."),
    times(
        "/sched/pauses/stopping/other:seconds",
        [](std::span<std::uint64_t> to) { record::other_pauses.stopping.add_to(to); },
        "From another decision to stop the world until it stood."),
    times("/sched/pauses/total/gc:seconds", nullptr,
          "From the collector's decision to stop the world until it went on: it never does."),
    times(
        "/sched/pauses/total/other:seconds",
        [](std::span<std::uint64_t> to) { record::other_pauses.total.add_to(to); },
        "From another decision to stop the world until it went on."),
    gauge(
        "/sched/threads/total:threads", [](gathered& g) { return g.goroutines().threads; },
        "Threads of the runtime."),
    seconds(
        "/sync/mutex/wait/total:seconds",
        [](gathered&) { return in_seconds(record::sum(record::counter::mutex_wait_ns)); },
        "For how long goroutines have waited for a gort::mutex or rw_mutex, added up."),
};

}  // namespace gort::report::entries
