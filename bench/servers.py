"""The rows of the table in which wrk asks a server: for bench/run.

One process per sample, as for the other rows: the server of a contender is started, asked for a
moment to warm up, asked for SECONDS, and ended. Its CPU time, user and system, of all its threads,
is read from /proc before and after.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys

SECONDS = 3
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}

# server, connections, processors. wrk has one thread: of two CPUs it takes one, so with one
# processor nobody shares a CPU, and with two, the default there, wrk and the server share.
LOADS = [("http", 64, 1), ("http", 1000, 1), ("http", 64, 2), ("http", 1000, 2),
         ("tcp", 64, 1), ("tcp", 1000, 1), ("tcp", 64, 2), ("tcp", 1000, 2)]
NAMES = {"http": "HTTP hello", "tcp": "raw TCP"}
# One thread, epoll, recv and send, and no runtime: what the kernel leaves for any server.
BARE_LOADS = [("bare", 64, 1), ("bare", 1000, 1)]
WAYS = ["epoll", "poll", "poll-deferred", "all", "all-deferred"]

# The least that gort must be times Go in requests per CPU second; p99 must be no worse.
TARGETS = {"http": 2, "tcp": 1}
TCP_TO_HTTP_TARGET = 1.9  # raw TCP to Go's net/http


def why_not(build):
    if not shutil.which("wrk"):
        return "no wrk: it is in the Debian package of that name"
    if not os.access(os.path.join(build, "bench_server"), os.X_OK):
        return "no bench_server: it needs gort::http"
    return None


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(port, connections, seconds):
    """Runs wrk; returns requests, requests per second and p99 in us."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                          f"http://127.0.0.1:{port}/hello"], stdout=subprocess.PIPE, text=True,
                         timeout=seconds + 60, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"wrk -c{connections}: {out}")
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return requests, rate, float(value) * UNITS[unit]


def contenders(build, go, load):
    """Who serves this load: (name, command)."""
    kind, _, procs = load
    if kind == "bare":
        command = bare_command(build, "epoll")
        return [("bare", command)] if command else []
    flags = [kind, "--procs", str(procs)]
    ours = [("gort", [os.path.join(build, "bench_server")] + flags)]
    return ours + ([("go", [go] + flags)] if go else [])


def bare_command(build, way):
    program = os.path.join(build, "bench_bare")
    return [program, way] if os.access(program, os.X_OK) else None


def run_once(command, connections, seconds=SECONDS):
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline() or 0)
        if not port:
            raise SystemExit(f"{' '.join(command)}: no port; what it says is above")
        ask(port, connections, 1)
        before = cpu_seconds(server.pid)
        requests, rate, p99_us = ask(port, connections, seconds)
        cpu = cpu_seconds(server.pid) - before
    finally:
        server.kill()
        server.wait()
    return {"per_cpu_second": requests / cpu, "per_second": rate, "p99_us": p99_us}


def cell(samples, best):
    return f"{best(samples):.0f} / {statistics.median(samples):.0f}" if samples else "none"


def of(samples, name, load, key):
    return [each[key] for each in samples.get((name, load), [])]


def tell(samples):
    """Prints the rows; returns what the report keeps, and how many rows there are and miss."""
    kept, count, missed = [], 0, 0

    def row(load, what, key, best, ratio, target, met):
        nonlocal count, missed
        kind, connections, procs = load
        told = "no Go" if ratio is None else "met" if met else "NOT met"
        count += 1
        missed += told == "NOT met"
        print(f"| {NAMES[kind]}, wrk -c{connections}: {what} | {procs} "
              f"| {cell(of(samples, 'gort', load, key), best)} "
              f"| {cell(of(samples, 'go', load, key), best)} "
              f"| {'-' if ratio is None else f'{ratio:.1f}x'} | {target} | {told} | none |")
        return told

    def row_bare(load):
        """No contender: what it leaves of a ratio to Go."""
        rate = of(samples, "bare", load, "per_cpu_second")
        if not rate:
            return
        go = of(samples, "go", ("http",) + load[1:], "per_cpu_second")
        to_http = f"{statistics.median(rate) / statistics.median(go):.1f}x" if go else "-"
        print(f"| what the machine allows: one thread, epoll, recv, send, wrk -c{load[1]}: "
              f"requests per server-CPU-second | {load[2]} | {cell(rate, max)} | none "
              f"| Go's HTTP: {to_http} | | | none |")
        kept.append({"server": "bare", "connections": load[1], "procs": load[2],
                     "bare": samples[("bare", load)]})

    for load in LOADS:
        ours = {key: statistics.median(of(samples, "gort", load, key))
                for key in ("per_cpu_second", "p99_us")}
        go = of(samples, "go", load, "per_cpu_second")
        ratio = ours["per_cpu_second"] / statistics.median(go) if go else None
        met = bool(go) and ratio >= TARGETS[load[0]]
        target = f"{TARGETS[load[0]]}x"
        if load[0] == "tcp":
            go_http = of(samples, "go", ("http",) + load[1:], "per_cpu_second")
            to_http = ours["per_cpu_second"] / statistics.median(go_http) if go_http else 0
            met = met and to_http >= TCP_TO_HTTP_TARGET
            target += f"; {TCP_TO_HTTP_TARGET}x Go's HTTP: {to_http:.1f}x"
        told = [row(load, "requests per server-CPU-second", "per_cpu_second", max, ratio, target,
                    met)]
        go = of(samples, "go", load, "p99_us")
        ratio = statistics.median(go) / ours["p99_us"] if go else None
        told.append(row(load, "p99, us", "p99_us", min, ratio, "1x", bool(go) and ratio >= 1))
        kept.append({"server": load[0], "connections": load[1], "procs": load[2],
                     "gort": samples.get(("gort", load), []), "go": samples.get(("go", load), []),
                     "verdicts": told})
    for load in BARE_LOADS:
        row_bare(load)
    return kept, count, missed


def compare_ways(build, rounds):
    """io_uring against epoll on the bare server: requests per server-CPU-second."""
    if why_not(build) or not bare_command(build, WAYS[0]):
        raise SystemExit(why_not(build) or "no bench_bare: it needs liburing-dev; make bench")
    samples = {(way, c): [] for way in WAYS for c in (64, 1000)}
    for number in range(rounds):
        for way, connections in reversed(samples) if number % 2 else samples:
            print(f"\rround {number + 1}/{rounds}, wrk: {way} -c{connections}        ", end="",
                  file=sys.stderr, flush=True)
            got = run_once(bare_command(build, way), connections)
            samples[way, connections].append(got["per_cpu_second"])
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
    print("| way | connections | requests per server-CPU-second | to epoll, medians | by round |")
    print("|---|---|---|---|---|")
    for connections in (64, 1000):
        epoll = samples["epoll", connections]
        for way in WAYS:
            own = samples[way, connections]
            pairs = ", ".join(f"{a / b:.2f}" for a, b in zip(own, epoll))
            print(f"| {way} | {connections} | {cell(own, max)} "
                  f"| {statistics.median(own) / statistics.median(epoll):.2f}x | {pairs} |")
