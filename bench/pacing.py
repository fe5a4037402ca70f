#!/usr/bin/env python3
"""Where the pacer steers: bench/pacing.py [--build DIR] [--go PROGRAM] [--gogc 50,100,200,400]
[--mb 50,100,300] [--rows plain_1,plain_2,trees_1,trees_2] [--seconds N]

Runs the rows of a steady heap (bench/gort/steady_heap.hpp) and their Go twins with gctrace, and
prints what the cycles of the last three fifths did: the goal against what lives; the peak (what was
in use when the marking ended) against the goal; the most memory the process had. --each: a line a
cycle.
"""
import argparse
import json
import os
import re
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE = re.compile(r"^gc \d+ @([\d.]+)s.* (\d+)->(\d+)->(\d+) MB, (\d+) MB goal", re.M)


def run(program, row, gogc, mb, seconds, each):
    env = dict(os.environ, GODEBUG="gctrace=1", GOGC=str(gogc), GORT_STEADY_MB=str(mb),
               GORT_STEADY_S=str(seconds))
    out = subprocess.run([program, "heap_steady_" + row, "--procs", "2"], env=env, check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cycles = [[float(x) for x in found.groups()] for found in LINE.finditer(out.stderr)]
    if each:
        print(out.stderr)
    # When the heap has its size.
    end = cycles[-1][0]
    return json.loads(out.stdout), [c for c in cycles if c[0] > 0.4 * end and c[4] > 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--go", help="the twin, as bench/run builds it: build/release/bench_go")
    parser.add_argument("--gogc", default="50,100,200,400")
    parser.add_argument("--mb", default="50,100,300")
    parser.add_argument("--rows", default="plain_1,plain_2,trees_1,trees_2")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    programs = {"gort": os.path.join(options.build, "bench_heap")}
    if options.go:
        programs["Go"] = options.go
    print("| row | live MiB | GOGC | | cycles | goal / (live * (1 + GOGC/100)) "
          "| peak / goal: median, most | most memory, MB | MB/s | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in options.rows.split(","):
        for mb in map(int, options.mb.split(",")):
            for gogc in map(int, options.gogc.split(",")):
                for name, program in programs.items():
                    got, cycles = run(program, row, gogc, mb, options.seconds, options.each)
                    ideal = mb * (1 + gogc / 100)
                    peaks = [c[2] / c[4] for c in cycles] or [0]
                    goals = [c[4] / ideal for c in cycles] or [0]
                    print(f"| {row} | {mb} | {gogc} | {name} | {len(cycles)} "
                          f"| {statistics.median(goals):.2f} "
                          f"| {statistics.median(peaks):.2f}, {max(peaks):.2f} "
                          f"| {got['peak_mb']:.0f} | {got['mb_per_s']:.0f} | {got['cpu_s']:.1f} |",
                          flush=True)


if __name__ == "__main__":
    main()
