"""The table of the managed heap beside Go, with the bounds it should keep. For bench/run."""
import json
import os
import statistics
import subprocess

TREES = [("s", "s", 0.6, None), ("peak_mb", "MB", 1.3, None), ("cpu_s", "CPU s", None, None)]


def drop(ratio):
    return [("ns", "ns", ratio, None), ("cpu_ns", "CPU ns", None, None)]


# row, procs, what it is, figures: (name, unit, at most so many times Go's, at most)
ROWS = [
    ("heap_trees_18_1", 2, "binary-trees 18, one goroutine", TREES),
    ("heap_trees_18_2", 2, "binary-trees 18, two", TREES),
    ("heap_trees_20_1", 2, "binary-trees 20, one goroutine", TREES),
    ("heap_trees_20_2", 2, "binary-trees 20, two", TREES),
    ("heap_drop_16", 1, "allocate and drop 16 bytes", drop(0.7)),
    ("heap_drop_64", 1, "allocate and drop 64 bytes", drop(0.6)),
    ("heap_drop_256", 1, "allocate and drop 256 bytes", drop(0.5)),
    ("heap_drop_1024", 1, "allocate and drop 1024 bytes", drop(0.4)),
    ("heap_drop_16", 2, "allocate and drop 16 bytes, on each", drop(None)),
    ("heap_drop_64", 2, "allocate and drop 64 bytes, on each", drop(None)),
    ("heap_drop_256", 2, "allocate and drop 256 bytes, on each", drop(None)),
    ("heap_drop_1024", 2, "allocate and drop 1024 bytes, on each", drop(None)),
    ("heap_latency", 2, "200 MB/s beside a big live heap", [
        ("alloc_worst_ms", "worst allocation, ms", 0.2, None),
        ("tick_p999_ms", "tick p99.9, ms", 0.1, None),
        ("peak_mb", "MB", 1.0, None),
        ("alloc_p999_us", "allocation p99.9, us", None, None),
        ("pause_worst_ms", "worst stop of the world, ms", None, None),
        ("cpu_s", "CPU s", None, None)]),
    ("heap_mark", 2, "a forced collection of that heap, per object", [
        ("cpu_ns", "CPU ns", 0.5, None), ("wall_ns", "ns", None, None)]),
    ("heap_store", 2, "pointer store", [("ns", "ns", 1.2, None)]),
    ("heap_store_marking", 2, "pointer store, marking", [("ns", "ns", 0.8, None)]),
    ("heap_bursts", 2, "100 MB live, bursts of 200 MB, limit 400 MiB", [
        ("ms", "ms each", 0.75, None), ("peak_mb", "MB", None, 450),
        ("idle_mb", "MB after 5 s", None, 130)]),
]
# Of their own time on one P.
TWO_PROCS_MAX = 1.2
# bdwgc's time against ours, where it has the row.
TIMES_FASTER_THAN_BDWGC = 2


def run_once(program, row, procs, scale):
    out = subprocess.run([program, row, "--procs", str(procs)], stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, GORT_HEAP_SCALE=str(scale)), timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{program} {row} --procs {procs}: exit status {out.returncode}")
    return json.loads(out.stdout.strip().splitlines()[-1])


def values(runs, name):
    return [r[name] for r in runs if name in r]


def cell(runs, name):
    got = values(runs, name)
    if not got:
        return "none"
    return " / ".join(f"{v:.3g}" for v in (min(got), statistics.median(got), max(got)))


def ratio(runs, others, name, other_name=None):
    ours, theirs = values(runs, name), values(others, other_name or name)
    if not ours or not theirs:
        return None
    return statistics.median(ours) / statistics.median(theirs)


class Table:
    def __init__(self):
        self.count = 0
        self.missed = 0

    def line(self, what, procs, ours, theirs, got, wanted):
        told = ""
        if wanted is not None:
            self.count += 1
            told = "not measured" if got is None else "met" if got <= wanted[0] else "NOT met"
            self.missed += told == "NOT met"
        shown = "-" if got is None else f"{got:.2f}"
        print(f"| {what} | {procs} | {ours} | {theirs} | {shown} "
              f"| {'' if wanted is None else wanted[1]} | {told} |")


def tell(table, samples, rows):
    for row, procs, what, figures in rows:
        runs = {name: samples.get((name, row, procs), []) for name in ("gort", "go", "bdwgc")}
        for name, unit, times_go, at_most in figures:
            got, wanted = ratio(runs["gort"], runs["go"], name), None
            if times_go is not None:
                wanted = (times_go, f"<= {times_go} x Go")
            if at_most is not None:
                got, wanted = max(values(runs["gort"], name)), (at_most, f"<= {at_most}")
            table.line(f"{what}: {unit}", procs, cell(runs["gort"], name), cell(runs["go"], name),
                       got, wanted)
        alone = samples.get(("gort", row, 1), [])
        if row.startswith("heap_drop") and procs == 2 and alone:
            go_alone = samples.get(("go", row, 1), [])
            theirs = ratio(runs["go"], go_alone, "ns")
            table.line(f"{what}, against one P", procs, "", f"{theirs:.2f}" if theirs else "none",
                       ratio(runs["gort"], alone, "ns"), (TWO_PROCS_MAX, f"<= {TWO_PROCS_MAX}"))
            theirs = ratio(runs["go"], go_alone, "cpu_ns")
            table.line(f"{what}, against one P: CPU", procs, "",
                       f"{theirs:.2f}" if theirs else "none",
                       ratio(runs["gort"], alone, "cpu_ns"), None)
        if runs["bdwgc"]:
            for name, unit, wanted in (("s", "s", (1 / TIMES_FASTER_THAN_BDWGC, "<= 0.5 x bdwgc")),
                                       ("peak_mb", "MB", None)):
                table.line(f"{what}, bdwgc: {unit}", procs, cell(runs["gort"], name),
                           f"bdwgc: {cell(runs['bdwgc'], name)}",
                           ratio(runs["gort"], runs["bdwgc"], name), wanted)


def measure(build, go, rounds, wanted, scale):
    """Prints the table; returns (rows for the report, how many there are, how many missed)."""
    rows = [r for r in ROWS if wanted in r[0]]
    ours = os.path.join(build, "bench_heap")
    bdwgc = os.path.join(build, "bench_bdwgc")
    if not rows or not os.access(ours, os.X_OK):
        return [], 0, 0
    samples = {}
    for number in range(rounds):
        for row, procs, _, _ in rows:
            contenders = [("gort", ours)] + ([("go", go)] if go else [])
            if row.startswith("heap_trees") and os.access(bdwgc, os.X_OK):
                contenders.append(("bdwgc", bdwgc))
            for name, program in contenders[::-1 if number % 2 else 1]:
                samples.setdefault((name, row, procs), []).append(
                    run_once(program, row, procs, scale))
    print()
    print(f"The managed heap over {rounds} runs; the big heap at {scale:g} of 10 M objects and "
          "20 s; each cell: best / median / worst; ratios of medians")
    print()
    print("| row | P | gort | Go | ratio | bound | |")
    print("|---|---|---|---|---|---|---|")
    table = Table()
    tell(table, samples, rows)
    report = [{"row": row, "procs": procs, "contender": name, "runs": runs}
              for (name, row, procs), runs in samples.items()]
    return report, table.count, table.missed
