"""What watching costs: the same work with a profile off and on. For bench/run --rows watching."""
import json
import os
import statistics
import subprocess

# row, procs, what it is, percent that it may cost
ROWS = [
    ("cpu_100", 1, "CPU profile at 100 Hz, ping-pong", 1),
    ("cpu_1000", 1, "CPU profile at 1000 Hz, ping-pong", 5),
    ("mutex_5", 2, "mutex profile, 1 in 5, contended", 1),
    ("block_10us", 1, "block profile, 10 us, ping-pong", None),
    ("heap", 1, "heap profile, malloc of 16 to 1015 bytes, beside a program without it", 1),
    ("heap on", 1, "the same, beside itself at a rate of 0", None),
    ("heap_64", 1, "heap profile, malloc of 64 bytes, beside a program without it", 1),
    ("heap_64 on", 1, "the same, beside itself at a rate of 0", None),
    ("heap_objects", 1, "heap profile, new of 64 bytes, beside a program without it", 1),
    ("heap_strings", 1, "heap profile, strings of 16 to 115 bytes, beside a program without it", 1),
    ("heap_map", 1, "heap profile, a map's nodes, beside a program without it", 1),
    # 0.1% for one a second.
    ("scrape_100", 1, "all metrics read 100 times a second, ping-pong", 10),
    ("wall", 1, "wall profile, ping-pong", None),
    ("cpu_accounts", 1, "CPU time of each goroutine, ping-pong", None),
    ("timers", 1, "timers by maker, arm and stop", None),
    ("deadlock_check", 1, "deadlockcheck, lock and unlock alone", None),
    ("recorder_bare", 1, "flight recorder without stacks, ping-pong", None),
    ("trace_bare", 1, "trace without stacks, ping-pong", 5),
    ("trace", 1, "trace, ping-pong", None),
]
# The same by Go, off and on: rows of bench/peers/go. Its traces always have stacks.
OF_GO = {
    "go_trace": ("ping_pong", "ping_pong_trace", "Go's trace, Go's ping-pong"),
    "go_heap": ("malloc", "malloc_on", "Go's heap profile, 16 to 1015 bytes, beside itself"),
    "go_heap_64": ("malloc_64", "malloc_64_on", "Go's heap profile, 64 bytes, beside itself"),
}
# Their `off` is a program that does not link gort::malloc_profile.
WITH_MALLOC = {"heap", "heap_64", "heap_objects", "heap_strings", "heap_map"}
DUMP_BOUND_S = 1


def run_once(program, row, procs):
    out = subprocess.run([program, row, "--procs", str(procs)], stdout=subprocess.PIPE, text=True,
                         timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{program} {row} --procs {procs}: exit status {out.returncode}")
    return json.loads(out.stdout.strip().splitlines()[-1])


def costs(off, on):
    """Percent, pair by pair."""
    return [100 * (b - a) / a for a, b in zip(off, on)]


def run_go(program, row, procs):
    out = subprocess.run([program, row, "--procs", str(procs)], stdout=subprocess.PIPE, text=True,
                         check=True, timeout=600)
    return json.loads(out.stdout.strip().splitlines()[-1])["ns_per_op"]


def measure(build, rounds, go=None):
    """Prints the table; returns (samples, how many rows missed their bound)."""
    plain = os.path.join(build, "bench_watching")
    with_malloc = os.path.join(build, "bench_watching_malloc")
    kept, missed = [], 0
    print("| row | P | off, ns | on, ns | costs, median of pairs | half of the pairs within | "
          "bound | |")
    print("|---|---|---|---|---|---|---|---|")
    rows = ROWS + ([(row, 1, what, None) for row, (_, _, what) in OF_GO.items()] if go else [])
    for row, procs, what, bound in rows:
        off, on = [], []
        for _ in range(rounds):
            if row in OF_GO:
                for _ in range(4):
                    off.append(run_go(go, OF_GO[row][0], procs))
                    on.append(run_go(go, OF_GO[row][1], procs))
            elif row in WITH_MALLOC:
                off += run_once(plain, row, procs)["off_ns"]
                on += run_once(with_malloc, row, procs)["on_ns"]
            else:
                program = with_malloc if row.endswith(" on") else plain
                got = run_once(program, row.split()[0], procs)
                off += got["off_ns"]
                on += got["on_ns"]
        percent = costs(off, on)
        low, middle, high = statistics.quantiles(percent, n=4)
        told = "" if bound is None else "met" if middle <= bound else "NOT met"
        missed += told == "NOT met"
        print(f"| {what} | {procs} | {statistics.median(off):.1f} | {statistics.median(on):.1f} "
              f"| {middle:+.2f}% | {low:+.1f}% .. {high:+.1f}% "
              f"| {'' if bound is None else f'<= {bound}%'} | {told} |")
        kept.append({"row": row, "procs": procs, "off_ns": off, "on_ns": on, "bound": bound})
    missed += measure_dumps(plain, rounds, kept)
    return kept, missed


def measure_dumps(program, rounds, kept):
    """Prints how long one takes and holds up others; returns 1 if it missed its bound."""
    took, held_up = [], []
    for _ in range(rounds):
        got = run_once(program, "dump", 2)
        took += got["on_ns"]
        held_up += got["off_ns"]
    met = statistics.median(took) / 1e9 <= DUMP_BOUND_S
    print(f"\nA dump of 100 000 goroutines, P = 2: {statistics.median(took) / 1e9:.2f} s "
          f"({min(took) / 1e9:.2f} .. {max(took) / 1e9:.2f}; bound {DUMP_BOUND_S} s, "
          f"{'met' if met else 'NOT met'}); who yields all the time meanwhile waited for "
          f"{max(held_up) / 1e6:.1f} ms at the longest.")
    kept.append({"row": "dump", "procs": 2, "on_ns": took, "off_ns": held_up,
                 "bound": DUMP_BOUND_S})
    return 0 if met else 1
