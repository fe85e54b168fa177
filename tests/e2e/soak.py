# SPDX-License-Identifier: Apache-2.0
"""script/soak: a booted set under random work for a long time; what it holds must not grow.

Starts, stops, restarts, crashes of units and of chunks, proposals, approvals and denials, events and questions, drawn from a seed.
Reload of units is not among them: this version has none. Every few seconds memory (private and proportional), descriptors,
zombies and threads of Guardian and of each chunk are read from outside. Memory is judged by the median of all slopes
(Theil-Sen) over the second half, in which no chunk but the validators is killed, so that a slope belongs to one process. At the
end everything is started again and left alone: descriptors, threads and zombies are those of the beginning, and the ledger
verifies. Below five minutes slopes are printed, not judged.
"""
import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time

from harness import CORE, CTL, ROOT, Guardian, service

KERNELS = ["k%d" % i for i in range(6)]
CRITICAL = ["critical0", "critical1"]
ASKER = 64002  # who asks may not vote: as root another operator asks; an ordinary user has only itself, and is refused
# default: its restart budget is used up and it is quarantined; the others are killed as often as it comes
FRAGILE = "fragile"
MEMORY_BOUND = 16    # KiB a minute of private memory: at ten pieces of work a second, 27 bytes for each
COUNT_BOUND = 0.05   # descriptors, threads, zombies a minute
JUDGED_FROM = 300    # seconds
OUTSTANDING = 4
CHUNK_PAUSE = 60     # seconds between two kills of one chunk: its restart budget is 10 in 300 s
ANSWERS = {0, 1, 4, 5, 6}  # of guardianctl: done, no, denied, waits for approval, unknown id


def units():
    keys = {"chunk": {"Heal": "restart_service", "CanFail": "yes"}, "service": {"Restart": "always"}}
    often = dict(keys, service={"Restart": "always", "StartLimitBurst": "1000", "RestartSec": "50ms"})
    found = {n + ".chunk": service("/bin/sleep 100000", **often) for n in KERNELS}
    for n in CRITICAL:
        found[n + ".chunk"] = service("/bin/sleep 100000", **dict(often, chunk=dict(keys["chunk"], Critical="yes")))
    found[FRAGILE + ".chunk"] = service("/bin/sh -c 'echo up; exec sleep 100000'", **keys)
    return found


def slope(points):
    """The median of the slopes between all pairs: a few outliers do not move it."""
    points = points[:: max(1, len(points) // 400)]
    rises = [(y1 - y0) / (x1 - x0) for i, (x0, y0) in enumerate(points) for x1, y1 in points[i + 1:] if x1 > x0]
    return statistics.median(rises) if rises else 0.0


def measure(pid):
    """What one process holds: private and proportional memory in KiB, descriptors, threads."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        maps = {k: int(v) for k, v in re.findall(r"^(\w+):\s*(\d+) kB", f.read(), re.M)}
    with open("/proc/%d/status" % pid) as f:
        threads = int(re.search(r"^Threads:\s*(\d+)", f.read(), re.M).group(1))
    return {"private": maps["Private_Clean"] + maps["Private_Dirty"], "pss": maps["Pss"],
            "fds": len(os.listdir("/proc/%d/fd" % pid)), "threads": threads}


class Soak:
    def __init__(self, seconds, seed, every):
        self.seconds, self.seed, self.every = seconds, seed, every
        self.rng = random.Random(seed)
        self.samples, self.zombies = {}, []  # {name: [(time, pid, measures)]}
        self.work, self.answers, self.problems = {}, {}, []
        self.running = []  # (process, what, since)
        self.killed = {}
        self.begin = 0.0
        self.asker = {"user": ASKER, "group": ASKER, "extra_groups": []} if ROOT else None

    def bad(self, text):
        self.problems.append(text)
        print("GROWN OR WRONG: " + text, flush=True)

    # --- looking
    def holders(self):
        """{name: pid outside} of Guardian and its chunks, and the number of zombies among its children."""
        guardian = self.g.guardian_pid()
        found, zombies = {"guardian": guardian}, 0
        with open("/proc/%d/task/%d/children" % (guardian, guardian)) as f:
            kids = f.read().split()
        for pid in kids:
            try:
                with open("/proc/%s/stat" % pid) as f:
                    state = f.read().rsplit(")", 1)[1].split()[0]
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    argv = f.read().split(b"\0")
            except OSError:
                continue
            name = os.path.basename(argv[0]).decode("utf-8", "replace")
            zombies += state == "Z"
            if name.startswith("guardian-") and name[9:] in CORE and b"--check" not in argv:
                found[name[9:]] = int(pid)
        return found, zombies

    def sample(self):
        now = time.monotonic() - self.begin
        found, zombies = self.holders()
        self.zombies.append((now, zombies))
        for name, pid in found.items():
            try:
                self.samples.setdefault(name, []).append((now, pid, measure(pid)))
            except (OSError, AttributeError, KeyError):
                continue  # it ended meanwhile

    def totals(self):
        found, zombies = self.holders()
        return {n: measure(p) for n, p in found.items()}, zombies

    # --- working
    def ask(self, *argv, user=None):
        what = next(a for a in argv if not a.startswith("-"))
        self.work[what] = self.work.get(what, 0) + 1
        self.running.append((subprocess.Popen([self.ctl, "--runtime", self.g.runtime, *argv], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **user or {}),
                             " ".join(argv), time.monotonic()))

    def reap(self, all_of_them=False):
        """Takes the answers that are there; waits while too many are owed."""
        while self.running:
            left = []
            for p, what, since in self.running:
                if p.poll() is None:
                    if time.monotonic() - since > 120:
                        self.bad("no answer in 120 s: " + what)
                        p.kill()
                    left.append((p, what, since))
                    continue
                said = p.communicate()[1]
                self.answers[p.returncode] = self.answers.get(p.returncode, 0) + 1
                if p.returncode not in ANSWERS:
                    self.bad("%s ended with %d: %s" % (what, p.returncode, said.strip()))
            self.running = left
            if not left or (len(left) < OUTSTANDING and not all_of_them):
                return
            self.one_ends([p for p, _, _ in left])

    def one_ends(self, processes):
        fds = [os.pidfd_open(p.pid) for p in processes]
        try:
            select.select(fds, [], [], 1)  # one second: then the 120 are looked at again
        finally:
            for fd in fds:
                os.close(fd)

    def kill(self, pid, what):
        self.work[what] = self.work.get(what, 0) + 1
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def crash_unit(self):
        guardian = self.g.guardian_pid()
        with open("/proc/%d/task/%d/children" % (guardian, guardian)) as f:
            kids = [int(x) for x in f.read().split()]
        self.rng.shuffle(kids)
        for pid in kids:
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    if b"sleep" in f.read():
                        return self.kill(pid, "crash")
            except OSError:
                continue

    def crash_chunk(self):
        now = time.monotonic() - self.begin
        found, _ = self.holders()
        names = [n for n in CORE if n in found and now - self.killed.get(n, -CHUNK_PAUSE) >= CHUNK_PAUSE]
        if now > self.seconds * 0.4:
            names = [n for n in names if n == "validators"]
        if names:
            name = self.rng.choice(names)
            self.killed[name] = now
            self.kill(found[name], "crash of a chunk")

    def vote(self):
        r = self.g.ctl_any("--json", "approvals")
        pending = [a["id"] for a in json.loads(r.out) if a["state"] == "pending"] if r.code == 0 and r.out else []
        if pending:
            self.ask(self.rng.choice(("approve", "approve", "deny")), self.rng.choice(pending))

    def recover(self):
        r = self.g.ctl_any("--json", "status")
        for u in r.json["units"] if r.code == 0 else ():
            if u["state"] == "quarantined":
                self.g.ctl_any("reset", u["name"])
            if u["state"] in ("quarantined", "inactive", "failed", "exited"):
                self.ask("start", "--no-block", u["name"])

    def one(self):
        rng, every = self.rng, KERNELS + CRITICAL + [FRAGILE]
        target = rng.choice(every)
        acts = (
            (8, lambda: self.ask("start", "--no-block", target)),
            (6, lambda: self.ask("stop", target)),
            (6, lambda: self.ask("restart", rng.choice(every + ["validators"]))),
            (10, self.crash_unit),
            (2, self.crash_chunk),
            (8, lambda: self.ask("propose", "restart_service", rng.choice(KERNELS), "--reason", "soak")),
            (4, lambda: self.ask("propose", "restart_service", rng.choice(CRITICAL), user=self.asker)),
            (6, self.vote),
            (16, lambda: self.ask("emit", "test.soak", "--payload", '{"n":%d}' % rng.randrange(1000), "--resource", target)),
            (4, lambda: self.ask("emit", "test.once", "--idempotency-key", "k%d" % rng.randrange(100))),
            (3, self.recover),
            (2, lambda: self.ask("--json", "status")), (2, lambda: self.ask("why", target)),
            (2, lambda: self.ask("logs", FRAGILE)), (2, lambda: self.ask("incidents")),
            (2, lambda: self.ask("--json", "ledger", "query", "--limit", "50")),
        )
        rng.choices([f for _, f in acts], [w for w, _ in acts])[0]()

    def each_once(self):
        """What is opened at its first use is open now."""
        for argv in (("restart", "k0"), ("restart", "validators"), ("emit", "test.warm"), ("propose", "restart_service", "k1"),
                     ("incidents",), ("logs", FRAGILE), ("--json", "ledger", "query", "--limit", "50"), ("why", "k0")):
            self.ask(*argv)
        self.reap(True)

    # --- quiet
    def settled(self):
        self.recover()
        self.reap(True)
        doc = self.g.ctl_any("--json", "status")
        return (doc.code == 0 and doc.json["guardian"]["governance"] == "ready"
                and doc.json["guardian"]["ledger"]["state"] == "ready"
                and doc.json["guardian"]["pending_approvals"] == 0
                and all(u["state"] == "running" for u in doc.json["units"]))

    def quiet(self, what):
        for n in CRITICAL:  # with its process goes what was asked about it
            self.g.ctl_any("restart", n)
        self.g.until("all runs, " + what, self.settled, 180)

    def same_as(self, before):
        """Once all is quiet again it holds no more descriptors and zombies than at the start."""
        def held():
            now, zombies = self.totals()
            return zombies == 0 and set(now) == set(before) and all(now[n]["fds"] <= before[n]["fds"] for n in before)
        try:
            self.g.until("descriptors and zombies as at the start", held, 60)
        except AssertionError:
            now, zombies = self.totals()
            self.bad("descriptors at the start %s, at the end %s; zombies %d" % (
                {n: v["fds"] for n, v in before.items()}, {n: v["fds"] for n, v in now.items()}, zombies))

    # --- judging
    def judge(self, before):
        now, zombies = self.totals()
        judged = self.seconds >= JUDGED_FROM
        print("\n%-11s %9s %9s %9s %9s  %-20s %5s %5s  %s" % (
            "", "private", "median of", "at the", "KiB/min", "pss KiB", "fds", "fds", "threads"))
        print("%-11s %9s %9s %9s %9s  %-20s %5s %5s  %s" % (
            "process", "start KiB", "2nd half", "end", "2nd half", "start, end", "start", "end", "start, end"))
        for name in ["guardian", *CORE]:
            series = [s for s in self.samples.get(name, ()) if s[0] >= self.seconds / 2]
            # one process: who was killed is another one since
            last = series[-1][1] if series else 0
            series = [s for s in series if s[1] == last]
            lines = {k: slope([(t / 60, m[k]) for t, _, m in series]) for k in ("private", "fds", "threads")}
            b, n = before[name], now.get(name, before[name])
            print("%-11s %9d %9d %9d %+9.1f  %-20s %5d %5d  %d, %d" % (
                name, b["private"], statistics.median([m["private"] for _, _, m in series] or [0]), n["private"], lines["private"],
                "%d, %d" % (b["pss"], n["pss"]), b["fds"], n["fds"], b["threads"], n["threads"]))
            if not judged or name == "validators":
                continue  # killed all along: no process of its own lasts long enough
            if len(series) < 20:
                self.bad("%s: only %d samples of one process" % (name, len(series)))
            if lines["private"] > MEMORY_BOUND:
                self.bad("%s: private memory grows by %.1f KiB a minute" % (name, lines["private"]))
            for k in ("fds", "threads"):
                if lines[k] > COUNT_BOUND:
                    self.bad("%s: %s grow by %.2f a minute" % (name, k, lines[k]))
        z = [(t / 60, n) for t, n in self.zombies if t >= self.seconds / 2]
        print("zombies: at most %d at a time, %+.2f a minute, %d at the end" % (
            max([n for _, n in self.zombies] or [0]), slope(z), zombies))
        if judged and slope(z) > COUNT_BOUND:
            self.bad("zombies grow by %.2f a minute" % slope(z))
        print("bounds: %d KiB a minute (%s); %.2f descriptors, threads or zombies a minute; at the end descriptors and zombies as "
              "at the start" % (MEMORY_BOUND, "judged" if judged else "not judged below %d s" % JUDGED_FROM, COUNT_BOUND))

    def run(self):
        print("seed %d: script/soak MINUTES --seed %d; %d s" % (self.seed, self.seed, self.seconds), flush=True)
        self.g = Guardian(units())
        # a build folder may be root's alone, and somebody else asks too
        self.ctl = shutil.copy(CTL, os.path.join(self.g.dir, "guardianctl"))
        if ROOT:
            policies = os.path.join(self.g.dir, "policies")
            os.mkdir(policies)
            with open(os.path.join(policies, "roles.yaml"), "w") as f:
                f.write("apiVersion: guardian/policy.v1\nroles:\n  operator: {uids: [%d]}\n" % ASKER)
            self.g.args += ["--policies", policies]
            os.mkdir(self.g.runtime, 0o755)  # others may reach the socket
        with self.g:
            self.g.wait_boot()
            self.each_once()
            self.quiet("at the start")
            before, _ = self.totals()
            self.begin = time.monotonic()
            next_sample = next_line = 0.0
            while (now := time.monotonic() - self.begin) < self.seconds:
                if now >= next_sample:
                    self.sample()
                    next_sample += self.every
                if now >= next_line:
                    g = self.samples["guardian"][-1][2]
                    print("%5d s: guardian %d KiB private, %d descriptors; %d pieces of work" % (
                        now, g["private"], g["fds"], sum(self.work.values())), flush=True)
                    next_line += 60
                self.g._read()
                self.g.log = self.g.log[-100000:]
                self.one()
                self.reap()
                time.sleep(self.rng.random() * 0.1)  # the pace of the load, nothing is waited for
            self.reap(True)
            self.quiet("at the end")
            self.same_as(before)
            self.judge(before)
            self.g.stop_clean()
            doc = self.g.verify(code=0)
        print("work: " + ", ".join("%s %d" % i for i in sorted(self.work.items())))
        print("answers by status: " + ", ".join("%d: %d" % i for i in sorted(self.answers.items())))
        print("ledger: verifies to its end, %d records" % doc["entries"])
        print("flat" if not self.problems else "NOT FLAT: %d findings, seed %d" % (len(self.problems), self.seed))
        return 1 if self.problems else 0


def main():
    p = argparse.ArgumentParser(prog="script/soak")
    p.add_argument("minutes", type=float, help="how long")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--every", type=float, default=5, help="seconds between two samples")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the end of `with`: nothing is left running
    sys.exit(Soak(a.minutes * 60, a.seed, a.every).run())


if __name__ == "__main__":
    main()
