// Long file: a table of 66 rows, one for each metric of Go.
//
// The metrics of Go 1.24 to 1.27, by name, and what each is here. One that has no meaning in C++
// has the value of a Go program whose collector has never run. docs/metrics.md says it to users.
#pragma once

#include "record/counters.hpp"
#include "record/pauses.hpp"
#include "report/metrics/knobs.hpp"
#include "report/metrics/table.hpp"
#include "sched/stacks/stack_size.hpp"

namespace gort::report::entries {

inline constexpr metric go_table[] = {
    count(
        "/cgo/go-to-c-calls:calls", [](gathered& g) { return g.goroutines().announced_calls; },
        "Calls of gort::blocking() so far."),
    seconds("/cpu/classes/gc/mark/assist:cpu-seconds", no_seconds,
            "CPU time that goroutines spent to help the collector because they allocated fast."),
    seconds("/cpu/classes/gc/mark/dedicated:cpu-seconds", no_seconds,
            "CPU time of the collector's workers that had a processor for themselves."),
    seconds("/cpu/classes/gc/mark/idle:cpu-seconds", no_seconds,
            "CPU time of the collector's workers on processors that had nothing else to do."),
    seconds("/cpu/classes/gc/pause:cpu-seconds", no_seconds,
            "Time for which the collector stopped the world, times GOMAXPROCS."),
    seconds("/cpu/classes/gc/total:cpu-seconds", no_seconds,
            "The sum of the /cpu/classes/gc classes."),
    seconds(
        "/cpu/classes/idle:cpu-seconds", [](gathered& g) { return in_seconds(g.cpu().idle_ns); },
        "Time for which processors had nothing to run."),
    seconds("/cpu/classes/scavenge/assist:cpu-seconds", no_seconds,
            "CPU time for giving memory back because a limit was near."),
    seconds(
        "/cpu/classes/scavenge/background:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().scavenge_ns); },
        "CPU time for giving the pages of unused stacks back to the system."),
    seconds(
        "/cpu/classes/scavenge/total:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().scavenge_ns); },
        "The sum of the /cpu/classes/scavenge classes."),
    seconds(
        "/cpu/classes/total:cpu-seconds",
        [](gathered& g) { return in_seconds(g.cpu().total_ns()); },
        "GOMAXPROCS integrated over time: what there was to use, and the scavenger's time."),
    seconds(
        "/cpu/classes/user:cpu-seconds", [](gathered& g) { return in_seconds(g.cpu().user_ns); },
        "Time for which processors ran goroutines, or looked for some."),
    count("/gc/cleanups/executed:cleanups", zero, "Cleanups that have run."),
    count("/gc/cleanups/queued:cleanups", zero, "Cleanups that have been queued."),
    count("/gc/cycles/automatic:gc-cycles", zero, "Collections that the runtime began."),
    count("/gc/cycles/forced:gc-cycles", zero, "Collections that the program asked for."),
    count("/gc/cycles/total:gc-cycles", zero, "Collections that have been completed."),
    count("/gc/finalizers/executed:finalizers", zero, "Finalizers that have run."),
    count("/gc/finalizers/queued:finalizers", zero, "Finalizers that have been queued."),
    gauge(
        "/gc/gogc:percent", [](gathered&) { return gc_percent(); },
        "How much the heap may grow between collections, in percent: GOGC. 2^64 - 1: off."),
    gauge(
        "/gc/gomemlimit:bytes", [](gathered&) { return memory_limit(); },
        "The soft limit on memory: GOMEMLIMIT. 2^63 - 1: none."),
    sizes("/gc/heap/allocs-by-size:bytes", "Sizes of what was allocated on the heap."),
    count("/gc/heap/allocs:bytes", zero, "Bytes that were allocated on the heap."),
    count("/gc/heap/allocs:objects", zero, "Allocations on the heap."),
    sizes("/gc/heap/frees-by-size:bytes", "Sizes of what was freed on the heap."),
    count("/gc/heap/frees:bytes", zero, "Bytes that were freed on the heap."),
    count("/gc/heap/frees:objects", zero, "What was freed on the heap."),
    gauge(
        "/gc/heap/goal:bytes", [](gathered&) { return heap_goal(); },
        "The size of the heap at which the current collection is to end."),
    gauge("/gc/heap/live:bytes", zero, "Bytes that the last collection found in use."),
    gauge("/gc/heap/objects:objects", zero, "Objects on the heap."),
    count("/gc/heap/tiny/allocs:objects", zero, "Small allocations that share a block."),
    gauge(
        "/gc/limiter/last-enabled:gc-cycle", zero,
        "The collection in which the limit on the collector's CPU time was last reached; 0: none."),
    times("/gc/pauses:seconds", nullptr, "Deprecated: /sched/pauses/total/gc:seconds."),
    gauge("/gc/scan/globals:bytes", zero, "Bytes of globals that a collection scans."),
    gauge("/gc/scan/heap:bytes", zero, "Bytes of the heap that a collection scans."),
    gauge("/gc/scan/stack:bytes", zero, "Bytes of stacks that the last collection scanned."),
    gauge("/gc/scan/total:bytes", zero, "The sum of the /gc/scan values."),
    gauge(
        "/gc/stack/starting-size:bytes",
        [](gathered&) -> std::uint64_t {
          return stack::class_bytes(sched::sizes.default_class.load_relaxed());
        },
        "The address space of a new goroutine's stack; memory is used as it is touched."),
    gauge(
        "/memory/classes/heap/free:bytes", [](gathered& g) { return g.memory().heap_free; },
        "What malloc holds and has not handed out; some of it may be with the system."),
    gauge(
        "/memory/classes/heap/objects:bytes", [](gathered& g) { return g.memory().heap_objects; },
        "What malloc and operator new have handed out."),
    gauge("/memory/classes/heap/released:bytes", zero,
          "Free memory of the managed heap that was given back to the system."),
    gauge(
        "/memory/classes/heap/stacks:bytes", [](gathered& g) { return g.memory().stacks; },
        "Pages of goroutines' stacks, free ones included."),
    gauge("/memory/classes/heap/unused:bytes", zero,
          "Memory of the managed heap in blocks that are in use in part."),
    gauge("/memory/classes/metadata/mcache/free:bytes", zero,
          "Of processors' caches, what is unused."),
    gauge(
        "/memory/classes/metadata/mcache/inuse:bytes",
        [](gathered& g) { return g.memory().processors; },
        "Processors: their queues, caches and counters."),
    gauge("/memory/classes/metadata/mspan/free:bytes", zero,
          "Of the managed heap's descriptions of its spans, what is unused."),
    gauge("/memory/classes/metadata/mspan/inuse:bytes", zero,
          "The managed heap's descriptions of its spans."),
    gauge("/memory/classes/metadata/other:bytes", zero, "What else the collector needs."),
    gauge(
        "/memory/classes/os-stacks:bytes", [](gathered& g) { return g.memory().os_stacks; },
        "Address space of the stacks of the runtime's threads."),
    gauge(
        "/memory/classes/other:bytes", [](gathered& g) { return g.memory().other; },
        "Records of goroutines that have not started, and of threads."),
    gauge("/memory/classes/profiling/buckets:bytes", zero, "Tables of stacks in profiles."),
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
          "From the collector's decision to stop the world until it stood."),
    times(
        "/sched/pauses/stopping/other:seconds",
        [](std::span<std::uint64_t> to) { record::other_pauses.stopping.add_to(to); },
        "From another decision to stop the world until it stood."),
    times("/sched/pauses/total/gc:seconds", nullptr,
          "From the collector's decision to stop the world until it went on."),
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
