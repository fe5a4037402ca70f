"""The table of delays: how long others wait for a goroutine that computes or blocks, and how long a
stop of the world takes while all compute. For bench/run."""
import json
import os
import statistics
import subprocess

# row, procs, what it is, bounds in us that gort must keep: of the median, of p99, of the worst
ROWS = [
    ("beside_computing", 1, "beside one that computes: lateness", (20_000, None, 50_000)),
    ("beside_blocking", 1, "beside one that blocks its thread: lateness", (None, None, 20_000)),
    ("beside_announced", 1, "the same in gort::blocking(): lateness", (None, None, 20_000)),
    ("stop_the_world", 2, "stop of the world, all compute", (None, 200, None)),
    ("signal_all", 2, "what the machine allows: plain threads signaled, and their answers",
     (None, None, None)),
]
NO_TWIN = {"signal_all"}
FIGURES = ("median_us", "p99_us", "worst_us")


def run_once(program, row, procs):
    out = subprocess.run([program, row, "--procs", str(procs)], stdout=subprocess.PIPE, text=True,
                         timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{program} {row} --procs {procs}: exit status {out.returncode}")
    return json.loads(out.stdout.strip().splitlines()[-1])


def figures(runs):
    """Over all rounds: the median of the medians and of the percentiles, the worst of the worst."""
    return [max(r[f] for r in runs) if f == "worst_us" else statistics.median(r[f] for r in runs)
            for f in FIGURES]


def cell(runs):
    return " / ".join(f"{f:.0f}" for f in figures(runs)) if runs else "none"


def measure(build, go, rounds, wanted):
    """Prints the table; returns (rows for the report, how many there are, how many missed)."""
    rows = [r for r in ROWS if wanted in r[0]]
    ours = os.path.join(build, "bench_delays")
    if not rows or not os.access(ours, os.X_OK):
        return [], 0, 0
    report = []
    missed = 0
    print()
    print(f"Delays in us over {rounds} runs; each cell: median of the medians / median of the 99th "
          "percentiles / worst of all")
    print()
    print("| row | P | gort | Go | bounds | |")
    print("|---|---|---|---|---|---|")
    for row, procs, what, bounds in rows:
        runs = {"gort": [], "go": []}
        for _ in range(rounds):
            runs["gort"].append(run_once(ours, row, procs))
            if go and row not in NO_TWIN:
                runs["go"].append(run_once(go, row, procs))
        got = figures(runs["gort"])
        met = all(b is None or g <= b for g, b in zip(got, bounds))
        missed += not met
        verdict = "" if not any(bounds) else "met" if met else "NOT met"
        shown = " / ".join("-" if b is None else str(b) for b in bounds)
        print(f"| {what} | {procs} | {cell(runs['gort'])} | {cell(runs['go'])} | {shown} "
              f"| {verdict} |")
        report.append({"row": row, "procs": procs, **runs, "bounds_us": bounds, "met": met})
    return report, sum(any(bounds) for *_, bounds in rows), missed
