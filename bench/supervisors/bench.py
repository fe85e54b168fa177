#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Side-by-side benchmark of process supervisors. See README.md.

    sudo ./bench.py                        everything, Markdown on stdout
    sudo ./bench.py --json r.json --md r.md
    sudo ./bench.py --adapters s6,dinit --measures boot,restart --reps 3
    sudo ./bench.py --smoke                does every adapter start 3 services?
"""
import argparse
import importlib.util
import inspect
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import benchlib  # noqa: E402
from benchlib import Adapter, Job, cpu_ns, memory, now, switches  # noqa: E402

MEASURES = ["boot", "chain", "restart", "reap", "shutdown", "memory", "idle"]


def build(cc, out):
    tools = {}
    for name, flags in (("svc", ["-static"]), ("storm", ["-static"]),
                        ("floor", ["-static"]), ("nsrun", [])):
        dst = os.path.join(out, name)
        subprocess.run([cc, "-O2"] + flags + ["-o", dst,
                        os.path.join(HERE, "helpers", name + ".c")], check=True)
        tools[name] = dst
    # optional: the libuv floor
    dst = os.path.join(out, "uvfloor")
    r = subprocess.run([cc, "-O2", "-o", dst, os.path.join(HERE, "helpers", "uvfloor.c"), "-luv"],
                       capture_output=True)
    if r.returncode == 0:
        tools["uvfloor"] = dst
        os.environ["BENCH_HAVE_UV"] = "1"
    tools["service_paths"] = {os.path.realpath(tools["svc"]), os.path.realpath(tools["storm"])}
    return tools


def load(dirs):
    found = []
    for d in dirs:
        for f in sorted(os.listdir(d)):
            if not f.endswith(".py"):
                continue
            spec = importlib.util.spec_from_file_location("adapter_" + f[:-3], os.path.join(d, f))
            m = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(m)
            for _, c in inspect.getmembers(m, inspect.isclass):
                if issubclass(c, Adapter) and c is not Adapter and c.name:
                    found.append(c())
    found.sort(key=lambda a: (not a.name.startswith("floor"), a.name))
    return found


class Bench:
    def __init__(self, args, tools, adapters):
        self.a, self.tools, self.adapters = args, tools, adapters
        self.samples = {}   # (measure, key) -> adapter -> [values]
        self.errors = []

    def add(self, measure, key, adapter, *vals):
        self.samples.setdefault((measure, str(key)), {}).setdefault(adapter.name, []).extend(vals)

    def err(self, adapter, what, e):
        msg = "%s: %s: %s: %s" % (adapter.name, what, type(e).__name__, str(e).strip()[:300])
        self.errors.append(msg)
        sys.stderr.write("  ! " + msg + "\n")

    def say(self, s):
        sys.stderr.write("[%5.0fs] %s\n" % (time.monotonic() - self.begin, s))

    def trace(self, ad, what, t):
        if self.a.verbose:
            self.say("%s %s %.2f s" % (what, ad.name, time.monotonic() - t))

    def with_(self, feature):
        return [a for a in self.adapters if feature in a.features]

    def order(self, feature):
        l = self.with_(feature)
        random.shuffle(l)
        return l

    def job(self, adapter, n, **kw):
        j = Job(self.tools, n, **kw)
        try:
            j.start(adapter.setup(j))
        except BaseException:
            j.close()
            raise
        return j

    # -- (a) boot, (c) memory, (e) shutdown share their starts
    def boot(self):
        for n in self.a.sizes:
            reps = self.a.reps if n <= 100 else max(3, self.a.reps - 2)
            for rep in range(reps):
                for ad in self.order("boot"):
                    if n > ad.max_n:
                        continue
                    try:
                        self.boot_one(ad, n, rep)
                    except Exception as e:
                        self.err(ad, "boot N=%d" % n, e)
            self.say("boot N=%d done" % n)

    def boot_one(self, ad, n, rep):
        j = self.job(ad, n)
        try:
            first = j.wait_up(n, self.a.timeout)
            t0 = max([j.t0] + [r[3] for r in j.records if r[0] == "B"])
            self.add("boot", n, ad, (max(first.values()) - t0) / 1e6)
            if "memory" in self.a.measures and "memory" in ad.features and rep < 2:
                time.sleep(0.7)
                t = j.tree()
                pss, rss, priv = memory(t)
                self.add("mem_pss", n, ad, pss)
                self.add("mem_rss", n, ad, rss)
                self.add("mem_priv", n, ad, priv)
                self.add("mem_procs", n, ad, len(t))
            if "shutdown" in self.a.measures and "shutdown" in ad.features and \
                    n == min(100, ad.max_n):
                if not (rep < 2 and "memory" in self.a.measures):
                    time.sleep(0.3)
                t = now()
                os.kill(j.pid, ad.term)
                end = j.wait_exit(12)
                j.read()
                graceful = len({r[1] for r in j.records if r[0] == "T"})
                self.add("shutdown_ms", "N=%d" % n, ad, (end - t) / 1e6 if end else None)
                self.add("shutdown_termed", "N=%d" % n, ad, graceful)
        finally:
            j.close()

    def chain(self):
        depth = self.a.depth
        for rep in range(self.a.reps):
            for ad in self.order("chain"):
                try:
                    j = self.job(ad, depth, chain=True)
                    try:
                        f = j.wait_up(depth, self.a.timeout)
                        ts = [f[i] for i in range(depth)]
                        if ts != sorted(ts):
                            raise RuntimeError("not in dependency order")
                        self.add("chain_ms", "depth=%d" % depth, ad, (ts[-1] - j.t0) / 1e6)
                        self.add("chain_hop_us", "depth=%d" % depth, ad,
                                 (ts[-1] - ts[0]) / 1e3 / (depth - 1))
                    finally:
                        j.close()
                except Exception as e:
                    self.err(ad, "chain", e)
        self.say("chain done")

    # -- (b) restart
    def restart(self):
        for rep in range(self.a.restart_reps):
            for tuned in (False, True):
                for ad in self.order("restart"):
                    try:
                        self.restart_one(ad, tuned)
                    except Exception as e:
                        self.err(ad, "restart tuned=%s" % tuned, e)
        self.say("restart done")

    def restart_one(self, ad, tuned):
        k = 5
        j = self.job(ad, 10, tuned=tuned)
        try:
            j.wait_up(10, self.a.timeout)
            time.sleep(2.2)     # past every start-up throttle
            m = j.ns_map()
            cur = {}
            for kind, i, pid, _t, _a in j.records:
                if kind == "S":
                    cur[i] = pid
            suffix = "tuned" if tuned else "default"
            # steady: killed after more than 2 s up;  crash loop: the new instance
            # is killed again as soon as it is seen
            state, steady, loop = {}, {}, {}
            pending = list(range(k))
            end = time.monotonic() + 6
            nextkill = time.monotonic()
            while time.monotonic() < end and len(loop) < k:
                if pending and time.monotonic() >= nextkill:
                    i = pending.pop(0)
                    state[i] = ("steady", now())
                    os.kill(m[cur[i]], signal.SIGKILL)
                    nextkill = time.monotonic() + 0.06
                for kind, i, pid, t, _a in j.read():
                    if kind != "S" or i not in state:
                        continue
                    phase, t0 = state[i]
                    if phase == "steady":
                        steady[i] = (t - t0) / 1e6
                        hp = j.ns_map().get(pid)
                        if hp is None:
                            continue
                        state[i] = ("loop", now())
                        os.kill(hp, signal.SIGKILL)
                    elif phase == "loop":
                        loop[i] = (t - t0) / 1e6
                        state[i] = ("done", 0)
                time.sleep(0.002)
            self.add("restart_steady_ms", suffix, ad, *steady.values())
            self.add("restart_loop_ms", suffix, ad, *loop.values())
            if len(steady) < k:
                self.add("restart_lost", suffix, ad, k - len(steady))
        finally:
            j.close()

    # -- (d) reaping
    def reap(self):
        failed = set()
        for rep in range(self.a.reap_reps):
            for ad in self.order("reap"):
                if ad.name in failed:
                    continue
                try:
                    self.reap_one(ad)
                except Exception as e:
                    failed.add(ad.name)
                    self.err(ad, "reap", e)
        self.say("reap done")

    def reap_one(self, ad):
        cnt = self.a.orphans
        begin = time.monotonic()
        j = self.job(ad, 1, storm=cnt)
        try:
            j.wait_up(1, self.a.timeout)
            time.sleep(0.5)
            base = j.tasks_now()
            hp = j.ns_map()[j.records[0][2]]
            for phase in ("storm", "drain"):
                peak = 0
                c0 = cpu_ns(j.pid)
                if phase == "drain":
                    os.kill(j.pid, signal.SIGSTOP)
                t0 = now()
                os.kill(hp, signal.SIGUSR1)
                ndone = 1 if phase == "storm" else 2
                end = time.monotonic() + 30
                while sum(1 for r in j.records if r[0] == "D") < ndone:
                    j.read()
                    peak = max(peak, j.tasks_now() - base)
                    if time.monotonic() > end:
                        raise TimeoutError("storm did not end")
                    time.sleep(0.002)
                if phase == "drain":
                    peak = j.tasks_now() - base
                    if peak < cnt * 0.9:
                        raise RuntimeError("only %d zombies while PID 1 was stopped" % peak)
                    t0 = now()
                    os.kill(j.pid, signal.SIGCONT)
                end = time.monotonic() + self.a.reap_timeout
                while j.tasks_now() > base:
                    if time.monotonic() > end:
                        self.add(phase + "_left", cnt, ad, j.tasks_now() - base)
                        raise TimeoutError("%s: %d zombies left after %gs"
                                           % (phase, j.tasks_now() - base, self.a.reap_timeout))
                    time.sleep(0.0005)
                dt = (now() - t0) / 1e6
                cpu = (cpu_ns(j.pid) - c0) / 1e6
                self.add(phase + "_ms", cnt, ad, dt)
                self.add(phase + "_cpu_ms", cnt, ad, cpu)
                if phase == "storm":
                    made = [r for r in j.records if r[0] == "D"][0]
                    self.add("storm_made_ms", cnt, ad, made[4] / 1e6)
                    self.add("storm_peak", cnt, ad, peak)
        finally:
            j.close()
            self.trace(ad, "reap", begin)

    # -- (g) idle wake-ups; all at the same time
    def idle(self):
        jobs = []
        try:
            for ad in self.with_("idle"):
                n = min(100, ad.max_n)
                try:
                    j = self.job(ad, n)
                    jobs.append((ad, n, j))
                    j.wait_up(n, self.a.timeout)
                except Exception as e:
                    self.err(ad, "idle", e)
            time.sleep(7)

            def snap():
                return [{p: (switches(p), cpu_ns(p)) for p in j.tree()} for _, _, j in jobs]
            s0 = snap()
            t0 = time.monotonic()
            time.sleep(self.a.idle_seconds)
            s1 = snap()
            dt = time.monotonic() - t0
            for (ad, n, _j), x, y in zip(jobs, s0, s1):
                both = set(x) & set(y)
                self.add("idle_wakeups_per_s", "N=%d" % n, ad,
                         sum(y[p][0][0] - x[p][0][0] for p in both) / dt)
                self.add("idle_invol_per_s", "N=%d" % n, ad,
                         sum(y[p][0][1] - x[p][0][1] for p in both) / dt)
                self.add("idle_cpu_us_per_s", "N=%d" % n, ad,
                         sum(y[p][1] - x[p][1] for p in both) / dt / 1e3)
        finally:
            for _, _, j in jobs:
                j.close()
        self.say("idle done")

    def run(self):
        self.begin = time.monotonic()
        m = self.a.measures
        if "boot" in m:
            self.boot()
        self.say("%d adapters" % len(self.adapters))
        for f in ("chain", "restart", "reap", "idle"):
            if f in m:
                getattr(self, f)()
        self.seconds = time.monotonic() - self.begin


# -- output

def med(v):
    v = [x for x in v if x is not None]
    return statistics.median(v) if v else None


def fmt(x):
    if x is None:
        return "-"
    if x == 0:
        return "0"
    if abs(x) >= 100:
        return "%.0f" % x
    if abs(x) >= 10:
        return "%.1f" % x
    return "%.2f" % x


def table(b, title, cols, how, only=None, ratio=True):
    """cols: [(measure, key, heading)]. Medians, with the ratio to the best
    row of the column that is a peer: neither a floor nor our own."""
    rows = []
    peers = {ad.name for ad in b.adapters if ad.peer}
    best = {}
    for c in cols:
        vals = [med(v) for a, v in b.samples.get(c[:2], {}).items() if a in peers]
        vals = [v for v in vals if v]
        best[c] = min(vals) if vals else None
    for ad in b.adapters:
        cells, some = [], False
        for c in cols:
            v = b.samples.get(c[:2], {}).get(ad.name)
            if v is None:
                cells.append("")
                continue
            some = True
            x = med(v)
            s = fmt(x)
            if ratio and x and best[c] and not c[2].endswith("!"):
                s += " (%s×)" % fmt(x / best[c])
            cells.append(s)
        if some:
            rows.append("| %s | %s |" % (ad.name, " | ".join(cells)))
    if not rows:
        return ""
    heads = [c[2].rstrip("!") for c in cols]
    return "\n### %s\n\n%s\n\n| | %s |\n|---|%s\n%s\n" % (
        title, how, " | ".join(heads), "---:|" * len(cols), "\n".join(rows))


def markdown(b):
    a = b.a
    o = ["# Supervisor benchmark\n",
         "%s, %d CPUs, %s; %d s; medians; (r×) = ratio to the best peer of the column "
         "(floor rows are limits, guardian rows ours: neither counts as a peer).\n"
         % (b.machine["kernel"], b.machine["cpus"], b.machine["date"], b.seconds),
         "| program | version | note |\n|---|---|---|"]
    for ad in b.adapters:
        o.append("| %s | %s | %s |" % (ad.name, ad.ver, ad.note))
    if b.skipped:
        o.append("\nSkipped, not installed: %s." % ", ".join(b.skipped))
    o.append(table(b, "Cold boot, ms", [("boot", str(n), "N=%d" % n) for n in a.sizes],
                   "exec of PID 1 until the last of N services entered main()."))
    o.append(table(b, "Dependency chain with readiness",
                   [("chain_ms", "depth=%d" % a.depth, "exec to last, ms"),
                    ("chain_hop_us", "depth=%d" % a.depth, "one hop, µs")],
                   "%d services, each started only when the one before it said it is ready."
                   % a.depth))
    o.append(table(b, "Restart latency, ms",
                   [("restart_steady_ms", "default", "steady, default"),
                    ("restart_loop_ms", "default", "crash loop, default"),
                    ("restart_steady_ms", "tuned", "steady, tuned"),
                    ("restart_loop_ms", "tuned", "crash loop, tuned"),
                    ("restart_lost", "default", "not restarted in 6 s, default!"),
                    ("restart_lost", "tuned", "…, tuned!")],
                   "SIGKILL of a service until its next instance entered main(). steady: it had "
                   "been up over 2 s; crash loop: killed again at once."))
    o.append(table(b, "Memory of the supervision tree without services: PSS, KiB",
                   [("mem_pss", str(n), "N=%d" % n) for n in a.sizes],
                   "Sum over smaps_rollup."))
    o.append(table(b, "… private pages only, KiB",
                   [("mem_priv", str(n), "N=%d" % n) for n in a.sizes],
                   "Private_Clean + Private_Dirty: PSS depends on what else on the machine maps "
                   "the same libraries, this does not."))
    o.append(table(b, "… RSS, KiB, and processes",
                   [("mem_rss", str(n), "RSS N=%d" % n) for n in a.sizes] +
                   [("mem_procs", str(n), "procs N=%d!" % n) for n in a.sizes], ""))
    o.append(table(b, "Reaping %d orphans" % a.orphans,
                   [("storm_ms", str(a.orphans), "storm: to no zombie, ms"),
                    ("storm_made_ms", str(a.orphans), "…making them took, ms!"),
                    ("storm_peak", str(a.orphans), "peak backlog!"),
                    ("storm_cpu_ms", str(a.orphans), "storm: PID 1 CPU, ms"),
                    ("drain_ms", str(a.orphans), "drain, ms"),
                    ("drain_cpu_ms", str(a.orphans), "drain: PID 1 CPU, ms")],
                   "storm: PID 1 reaps while a service double-forks. drain: PID 1 is stopped until "
                   "all are zombies, then continued."))
    o.append(table(b, "Shutdown",
                   [("shutdown_ms", "N=100", "N=100, ms"),
                    ("shutdown_termed", "N=100", "services that got SIGTERM!"),
                    ("shutdown_ms", "N=1", "N=1, ms"),
                    ("shutdown_termed", "N=1", "got SIGTERM!")],
                   "The adapter's signal to PID 1 until PID 1 and its namespace are gone."))
    o.append(table(b, "Idle",
                   [("idle_wakeups_per_s", "N=100", "wake-ups/s, N=100"),
                    ("idle_cpu_us_per_s", "N=100", "CPU µs/s, N=100"),
                    ("idle_wakeups_per_s", "N=1", "wake-ups/s, N=1"),
                    ("idle_cpu_us_per_s", "N=1", "CPU µs/s, N=1")],
                   "Voluntary context switches of the tree without services over %d s."
                   % a.idle_seconds, ratio=False))
    if b.errors:
        o.append("\n### Errors\n\n" + "\n".join("- " + e.replace("\n", " / ") for e in b.errors))
    return "\n".join(x for x in o if x) + "\n"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--adapters", help="only these rows, comma separated")
    p.add_argument("--adapter-dir", action="append", default=[], help="further adapters")
    p.add_argument("--measures", default=",".join(MEASURES))
    p.add_argument("--sizes", default="1,10,100,500")
    p.add_argument("--reps", type=int, default=4)
    p.add_argument("--restart-reps", type=int, default=1)
    p.add_argument("--reap-reps", type=int, default=2)
    p.add_argument("--reap-timeout", type=float, default=8)
    p.add_argument("--orphans", type=int, default=20000)
    p.add_argument("--depth", type=int, default=20)
    p.add_argument("--idle-seconds", type=int, default=20)
    p.add_argument("--timeout", type=float, default=30)
    p.add_argument("--json")
    p.add_argument("--md")
    p.add_argument("-v", "--verbose", action="store_true")
    p.add_argument("--smoke", action="store_true")
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    a.sizes = [int(x) for x in a.sizes.split(",")]
    a.measures = a.measures.split(",")
    if {"memory", "shutdown"} & set(a.measures) and "boot" not in a.measures:
        a.measures.append("boot")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # clean up
    if os.geteuid() != 0:
        sys.exit("bench.py: needs root (PID and mount namespaces)")
    with tempfile.TemporaryDirectory(prefix="svbench-tools.") as tmp:
        os.chmod(tmp, 0o755)
        tools = build(os.environ.get("CC", "cc"), tmp)
        adapters, skipped = [], []
        for ad in load([os.path.join(HERE, "adapters")] + a.adapter_dir):
            if a.adapters and ad.name not in a.adapters.split(","):
                continue
            ad.ver = ad.version()
            if ad.ver:
                adapters.append(ad)
            else:
                skipped.append(ad.name)
                sys.stderr.write("skipped, not installed: %s\n" % ad.name)
        if a.list:
            for ad in adapters:
                print(ad.name, ad.ver, ",".join(sorted(ad.features)), ad.max_n)
            return
        b = Bench(a, tools, adapters)
        b.skipped = skipped
        b.begin = time.monotonic()
        b.machine = {"kernel": platform.system() + " " + platform.release().split("-")[0],
                     "cpus": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
                     "load": os.getloadavg()}
        if a.smoke:
            a.sizes, a.reps = [3], 1
            a.measures = ["boot", "memory", "shutdown", "chain"]
            for ad in adapters:
                try:
                    b.boot_one(ad, min(3, ad.max_n), 0)
                except Exception as e:
                    b.err(ad, "smoke", e)
            b.chain()
            b.seconds = time.monotonic() - b.begin
        else:
            b.run()
        b.machine["load_after"] = os.getloadavg()
        md = markdown(b)
        sys.stdout.write(md)
        if a.md:
            with open(a.md, "w") as f:
                f.write(md)
        if a.json:
            with open(a.json, "w") as f:
                json.dump({"machine": b.machine, "seconds": b.seconds,
                           "versions": {x.name: x.ver for x in adapters},
                           "samples": {"%s %s" % k: v for k, v in sorted(b.samples.items())},
                           "medians": {"%s %s" % k: {n: med(x) for n, x in v.items()}
                                       for k, v in sorted(b.samples.items())},
                           "errors": b.errors}, f, indent=1)


if __name__ == "__main__":
    main()
