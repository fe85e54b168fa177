# SPDX-License-Identifier: Apache-2.0
"""Storms of kill -9: chunks and kernels die at random points of boot, run, healing and stop; the promises hold.

GUARDIAN_STORM=ROUNDS for more rounds, GUARDIAN_STORM_SEED=SEED to play one again (as far as timing allows).
"""
import os
import random
import re
import select
import signal
import subprocess
import time
import unittest

from harness import CORE, CTL, Guardian, main, service

ROUNDS = int(os.environ.get("GUARDIAN_STORM", "6"))
SEED = int(os.environ.get("GUARDIAN_STORM_SEED") or random.SystemRandom().randrange(1 << 32))
KERNELS = ("alpha", "beta")
UNITS = {n + ".chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"}, service={"Restart": "always"})
         for n in KERNELS}
PHASES = ("boot", "run", "healing", "stop")


def leaders(g):
    """{unit: [pids outside]} of the living processes that are a unit's own, seen in /proc only."""
    found = {}
    try:
        guardian = g.guardian_pid()
        with open("/proc/%d/task/%d/children" % (guardian, guardian)) as f:
            kids = f.read().split()
    except (OSError, IndexError):
        return found
    for pid in kids:
        try:
            with open("/proc/%s/stat" % pid) as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                argv = f.read().split(b"\0")
        except OSError:
            continue
        name = os.path.basename(argv[0]).decode()
        if state in "ZX" or b"--check" in argv or not name.startswith("guardian-"):
            continue
        found.setdefault(name[len("guardian-"):], []).append(int(pid))
    return {n: pids for n, pids in found.items() if n in CORE}


class Storm(unittest.TestCase):
    def single(self, g):
        found = leaders(g)
        for name, pids in found.items():
            # the second look: one of them may have ended between two reads of one walk
            if len(pids) > 1 and len(leaders(g).get(name, ())) > 1:
                self.fail("two instances of %s: %s\n%s" % (name, pids, g.log[-4000:]))
        return found

    def pause(self, g, rng):
        """A stimulus, not a wait: some output of Guardian, or a random moment without any."""
        select.select([g.proc.stdout], [], [], rng.random() * 0.05)
        g._read()
        self.single(g)

    def strike(self, g, rng):
        for _ in range(rng.randint(1, 4)):
            self.pause(g, rng)
            victims = [(n, p) for n, pids in sorted(leaders(g).items()) for p in pids]
            try:
                victims += [("kernel", p) for p in sorted(g.family()[0]) if self.is_kernel(p)]
            except (OSError, IndexError):
                return  # the stop was faster
            if victims:
                name, pid = rng.choice(victims)
                self.trace.append(name)
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    @staticmethod
    def is_kernel(pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                return f.read() == b"/bin/sleep\x001000\0"
        except OSError:
            return False

    def ready(self, g):
        self.single(g)
        doc = g.status()
        top = doc["guardian"]
        return (top["governance"] == "ready" and top["ledger"]["state"] == "ready"
                and all(u["state"] == "running" for u in doc["units"]))

    def emit(self, g, acked, kind):
        r = g.ctl_any("--json", "emit", kind, "--payload", "{}")
        if r.code == 0:
            acked.append((r.json["index"], kind))

    def round(self, rng, phase):
        self.trace, self.kills, acked = [phase], 0, []
        with Guardian(UNITS) as g:
            if phase == "boot":
                first = rng.choice(("guardian starts",) + tuple("unit ready unit=%s" % n for n in CORE))
                self.trace.append("(%s)" % first)
                g.wait_log(first)
                self.strike(g, rng)
            m = g.wait_log(r"boot (finished|degraded|aborted)")
            if m.group(1) == "aborted":
                self.assertRegex(g.log, r"boot aborted.*reason=")
                self.assertEqual(g.wait(), 75)
                self.nobody_else_killed(g)
                return
            g.until("all run", lambda: self.ready(g))
            self.emit(g, acked, "test.before")
            descriptors = g.descriptors()
            if phase in ("run", "healing"):
                asks = []
                if phase == "healing":
                    asks = [subprocess.Popen([CTL, "--runtime", g.runtime, "propose", "restart_service", n],
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in KERNELS]
                self.strike(g, rng)
                self.emit(g, acked, "test.amid")
                for p in asks:
                    p.wait(60)
                g.until("all run again", lambda: self.ready(g))
                self.emit(g, acked, "test.after")
                self.assertEqual(acked[-1][1], "test.after")
                g.until("descriptors as before", lambda: g.descriptors() <= descriptors)
            self.assertIn(g.status()["guardian"]["state"], ("running", "degraded"))
            if phase == "stop":
                self.strike(g, rng)
                g.signal(signal.SIGTERM)
                self.strike(g, rng)
                self.assertEqual(g.wait(), 0, g.log[-4000:])  # no stop(): a second SIGTERM kills what is left
            else:
                g.stop_clean()
            self.nobody_else_killed(g)
            # a ledger that was killed as it stopped has not signed its last records
            self.whole(g, acked, signed=phase != "stop" or "ledger" not in self.trace)

    def nobody_else_killed(self, g):
        """Who ignores SIGTERM, or waits for a dead part, gets SIGKILL after TimeoutStopSec: an end more than the test's."""
        ends = re.findall(r"unit ended .*by=signal status=9", g.log)
        self.assertLessEqual(len(ends), self.kills, g.log[-4000:])

    def whole(self, g, acked, signed):
        g.verify(code=0 if signed else None)
        rows = g.ctl("--json", "ledger", "query", "--kind", "event", "--limit", "1000").lines
        kept = {x["index"]: x["action"] for x in rows}
        for index, kind in acked:
            self.assertEqual(kept.get(index), kind, "acknowledged record %d" % index)

    def test_storm(self):
        print("seed %d: GUARDIAN_STORM_SEED=%d" % (SEED, SEED), flush=True)
        rng = random.Random(SEED)
        for i in range(ROUNDS):
            phase = PHASES[i % len(PHASES)]
            with self.subTest(round=i, phase=phase, seed=SEED):
                start = time.monotonic()
                try:
                    self.round(random.Random(rng.randrange(1 << 32)), phase)
                finally:
                    print("round %d, %.1f s: %s" % (i, time.monotonic() - start, " ".join(self.trace)), flush=True)

    def test_each_chunk_held_still(self):
        """SIGSTOP: status answers meanwhile; after SIGCONT a governed restart works."""
        # a target each: what one may be healed is limited
        units = {"for_%s.chunk" % n: UNITS["alpha.chunk"] for n in CORE}
        with Guardian(units) as g:
            g.wait_boot()
            for name in CORE:
                pid = g.host_pid(g.unit(name)["pid"])
                os.kill(pid, signal.SIGSTOP)
                try:
                    for _ in range(50):  # questions, each a turn of Guardian's loop in which the chunk says nothing
                        self.assertEqual(g.unit(name)["name"], name)
                finally:
                    os.kill(pid, signal.SIGCONT)
                g.until("all run", lambda: self.ready(g))
                self.assertEqual(g.ctl("--json", "propose", "restart_service", "for_" + name).json["code"],
                                 "ok", name)
                g.until("the target runs", lambda: self.ready(g))
            g.stop_clean()
            g.verify(code=0)


if __name__ == "__main__":
    main()
