"""The table of turns: how long a goroutine waits in a crowd that does not let go by itself, beside
Go's same crowd. For bench/run."""
import os
import statistics

from delays import run_once

# row, procs, what it is, unit, bound whatever Go does
ROWS = [
    ("fair_sent_then_computes", 1, "send, then compute: until the receiver runs", "ms", None),
    ("fair_sent_then_computes", 2, "send, then compute: until the receiver runs", "ms", None),
    ("fair_first_turns", 2, "60 that compute: until the last has run", "ms", None),
    ("fair_new_beside_many", 2, "a new one beside 200 that compute", "ms", None),
    ("fair_fresh_beside_yielding", 1,
     "a new one beside two that compute 8 ms and yield, and a tree", "ms", None),
    ("fair_pairs", 1, "two pairs pass tokens, of 1 and 1000: share of the one that gets more", ":1",
     20),
]
TIMES_GO = 2
# A slice: below it the figures are the moment's.
SLICE_MS = 10


def cell(runs):
    if not runs:
        return "none"
    median = statistics.median(r["median"] for r in runs)
    return f"{median:.1f} / {max(r['worst'] for r in runs):.1f}"


def is_met(ours, go, bound):
    got = statistics.median(r["median"] for r in ours)
    if bound is not None:
        return got <= bound
    if not go:
        return None
    theirs = statistics.median(r["median"] for r in go)
    return got <= TIMES_GO * max(theirs, SLICE_MS)


def measure(build, go, rounds, wanted):
    """Prints the table; returns (rows for the report, how many there are, how many missed)."""
    rows = [r for r in ROWS if wanted in r[0]]
    program = os.path.join(build, "bench_fair")
    if not rows or not os.access(program, os.X_OK):
        return [], 0, 0
    report = []
    missed = 0
    print()
    print(f"Turns over {rounds} runs; each cell: median of the medians / worst of all; to be met: "
          f"{TIMES_GO} times Go's median, or what stands there")
    print()
    print("| row | P | gort | Go | bound | |")
    print("|---|---|---|---|---|---|")
    for row, procs, what, unit, bound in rows:
        ours, theirs = [], []
        for number in range(rounds):
            for runs, contender in ((ours, program), (theirs, go))[::-1 if number % 2 else 1]:
                if contender:
                    runs.append(run_once(contender, row, procs))
        met = is_met(ours, theirs, bound)
        missed += met is False
        verdict = "no Go" if met is None else "met" if met else "NOT met"
        print(f"| {what}, {unit} | {procs} | {cell(ours)} | {cell(theirs)} "
              f"| {bound if bound is not None else f'{TIMES_GO} x Go'} | {verdict} |")
        report.append({"row": row, "procs": procs, "gort": ours, "go": theirs, "met": met})
    return report, len(rows), missed
