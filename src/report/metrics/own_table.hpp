// The metrics that Go does not have.
#pragma once

#include "record/counters.hpp"
#include "report/metrics/table.hpp"

namespace gort::report::entries {

inline constexpr metric own_table[] = {
    count(
        "/gort/gc/destructors/executed:destructors",
        [](gathered& g) { return g.managed().destructors_run; },
        "Destructors of dead objects of the managed heap that have run."),
    count(
        "/gort/gc/destructors/queued:destructors",
        [](gathered& g) { return g.managed().destructors_queued; },
        "Destructors of dead objects that have been queued."),
    seconds(
        "/gort/gc/sweep:cpu-seconds", [](gathered& g) { return in_seconds(g.managed().sweep_ns); },
        "CPU time of the collector's thread after its markings; of "
        "/cpu/classes/gc/mark/dedicated."),
    gauge(
        "/gort/poll/waiting:goroutines", [](gathered& g) { return g.goroutines().io_waits; },
        "Goroutines and threads that wait for a socket."),
    count(
        "/gort/poll/polls:polls",
        [](gathered&) { return record::sum(record::counter::network_polls); },
        "How often the system was asked which sockets are ready."),
    count(
        "/gort/poll/readied:goroutines",
        [](gathered&) { return record::sum(record::counter::network_readied); },
        "How often a goroutine became runnable because a socket was ready."),
    count(
        "/gort/record/lost/profiles:samples",
        [](gathered&) { return record::sum(record::counter::lost_profile_samples); },
        "Samples and events of profiles that were lost because a buffer or a table was full."),
    count(
        "/gort/record/lost/trace:events",
        [](gathered&) { return record::sum(record::counter::lost_trace_events); },
        "Events of execution traces that were lost because a buffer was full."),
    count(
        "/gort/sched/hand-offs/given:processors", [](gathered& g) { return g.goroutines().given; },
        "Processors given away at the beginning of gort::blocking()."),
    count(
        "/gort/sched/hand-offs/preempted:processors",
        [](gathered& g) { return g.goroutines().preemptions; },
        "Processors taken from threads that computed for too long; each parks in place."),
    count(
        "/gort/sched/hand-offs/taken-announced:processors",
        [](gathered& g) { return g.goroutines().taken_announced; },
        "Processors taken from threads that slept in gort::blocking()."),
    count(
        "/gort/sched/hand-offs/taken-unannounced:processors",
        [](gathered& g) { return g.goroutines().taken_unannounced; },
        "Processors taken from threads that slept in a call that nobody had announced."),
    count(
        "/gort/sched/steals:steals", [](gathered&) { return record::sum(record::counter::steals); },
        "How often a processor without work has taken some from another."),
    gauge(
        "/gort/sched/threads/in-place:threads", [](gathered& g) { return g.goroutines().in_place; },
        "Threads parked in place: preempted, and waiting for a processor."),
    gauge(
        "/gort/sched/threads/strays:threads", [](gathered& g) { return g.goroutines().strays; },
        "Threads that have lost their processor in a call and are not back."),
    count(
        "/gort/stacks/given-back:bytes", [](gathered& g) { return g.stacks().given_back_bytes; },
        "Pages below the stack pointers of long-parked goroutines that were given back."),
    count(
        "/gort/stacks/given-back:stacks", [](gathered& g) { return g.stacks().given_back_stacks; },
        "From how many stacks, each time counted."),
    count(
        "/gort/stacks/scavenged:bytes", [](gathered& g) { return g.stacks().scavenged_bytes; },
        "Pages of stacks that no goroutine had that were given back."),
    count(
        "/gort/stacks/scavenged:stacks", [](gathered& g) { return g.stacks().scavenged_stacks; },
        "From how many stacks, each time counted."),
    count(
        "/gort/stacks/made:stacks", [](gathered& g) { return g.stacks().stacks; },
        "Stacks that have been made, whether in use or kept for later."),
    gauge(
        "/gort/stacks/warm:stacks", [](gathered& g) { return g.stacks().free_warm_stacks; },
        "Stacks that no goroutine has, kept with their pages for the next."),
};

}  // namespace gort::report::entries
