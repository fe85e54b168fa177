# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random points of boot, run, healing and stop: of a chunk, a service's main process or child, a helper, Guardian.

crash.py [--points N] [--seed S] [--jobs J] [--run I]; script/crash builds before it. The points of a seed are planned before
anything runs: runs of a dozen points, each run on one state directory. After each point is looked at, from outside:
  - the set ends running, degraded or aborted, with a reason, within the harness's deadline; every client got its answer.
    Of many points each of these ends, and each helper, must be met, else the whole is red
  - never two instances of a unit (looked for all the time), no process that is nobody's, no zombie, no descriptor more
  - the ledger verifies; each record that a client was told of, or was shown, is there with the same hash
"""
import argparse
import collections
import concurrent.futures
import errno
import os
import random
import re
import select
import signal
import sys
import tempfile
import threading
import time
import traceback

import faults
from crash_plan import (DETECTORS, FILES, HEALED, HELPERS, MAIN, PHASES, Proc, alive, descendants, end_all, fields, now_is, plan)
from harness import CORE, Guardian

ENDS = ("running", "degraded", "aborted")  # of a boot
HELD = ("check", "compile")
ENOUGH = 500  # points of which each end must have been met, and each helper


class Eye(threading.Thread):
    """Looks all the time for two instances of a unit, and remembers every process that it saw."""

    def __init__(self):
        super().__init__(daemon=True)
        self.guardian, self.seen, self.twice, self.done = None, {}, [], threading.Event()

    def look(self):
        guardian = self.guardian
        found = descendants(guardian) if guardian else []
        instances = collections.defaultdict(dict)
        for p in found:
            if p.what and p.state not in "ZX":
                self.seen[p.pid, p.start] = p.what
                unit = p.what.split(":")[0]
                if unit in MAIN or unit in CORE:
                    # an instance is a session of its own
                    instances[unit].setdefault(p.session, p)
        for unit, by_session in instances.items():
            if len(by_session) > 1:
                # the second look: who still lives was beside the others when they were read
                still = [p for p in by_session.values() if alive(p.pid, p.start)]
                if len(still) > 1:
                    self.twice.append("two instances of %s: %s" % (unit, still))
        return found

    def run(self):
        while not self.done.wait(0.01):
            self.look()


class Run:
    def __init__(self, seed, number):
        self.seed, self.number = seed, number
        self.subreaper, self.points = plan(seed, number)
        self.trace, self.table, self.outcomes = [], collections.Counter(), collections.Counter()
        self.ends, self.known = collections.Counter(), {}
        self.recovery, self.acked, self.kept, self.failures = (0.0, ""), {}, {}, []
        self.votes, self.clients, self.killed, self.healings, self.dead = set(), [], 0, 0, None
        self.lock, self.going = threading.Lock(), threading.Event()

    # --- clients
    def ask(self, *args):
        """A client; its answer is what may not be lost. No answer in the harness's deadline is an exception, which is a failure."""
        r = self.g.ctl_any("--json", *args)
        try:
            doc = r.json
        except ValueError:
            return r.code, {}
        with self.lock:
            if args[0] == "emit" and r.code == 0:
                self.acked[doc["index"]] = ("event", args[1])
            for kind in ("decision", "intent", "action"):
                if isinstance(doc, dict) and doc.get(kind + "_index") is not None:
                    self.acked[doc[kind + "_index"]] = (kind, doc["request_id"])
            if args[0] == "approve" and r.code == 0:
                self.votes.add(doc["id"])
        return r.code, doc

    def client(self, fn, *args):
        def guarded():
            try:
                fn(*args)
            except Exception:
                self.failures.append("a client: " + traceback.format_exc())
        t = threading.Thread(target=guarded, daemon=True)
        t.start()
        self.clients.append(t)

    def at_work(self):
        self.going.set()
        self.client(self.emit_on)

    def emit_on(self):
        n = 0
        while self.going.is_set():
            self.ask("emit", "test.crash%d" % n, "--payload", "{}")
            n += 1

    def pending(self):
        """The approval that immune's proposal waits for. (Of his own proposal nobody may be the approver.)"""
        _, doc = self.ask("approvals")
        return [a["id"] for a in doc if a["state"] == "pending" and a["requested_by"] == "immune"] if isinstance(doc, list) else []

    def heal(self, target, waiting):
        """A governed restart: approved, or proposed."""
        if waiting:
            self.ask("approve", waiting[0])
        else:
            self.ask("propose", "restart_service", target)

    # --- the strike
    def hit(self, point, early):
        if early:
            return self.newborn(point.victim)
        return [p for p in self.eye.look() if p.what == point.victim and p.state not in "ZX"]

    def newborn(self, victim):
        """Among Guardian's own children: a look short enough to kill a chunk before it is ready, and a helper at all."""
        try:
            with open("/proc/%d/task/%d/children" % (self.eye.guardian, self.eye.guardian)) as f:
                pids = [int(x) for x in f.read().split()]
        except OSError:
            return []
        for pid in pids:
            try:
                key = pid, fields(pid)[19]
                what = self.known.get(key) or now_is(pid)
                if what == victim and (victim not in HELD or fields(pid)[0] == "T"):
                    self.eye.seen[key] = what
                    return [Proc(pid, key[1], "R", pid, what)]
                if what != "spawn":  # that one is about to be somebody
                    self.known[key] = what
            except OSError:
                continue
        return []

    def switches(self, pid):
        try:
            with open("/proc/%d/status" % pid) as f:
                return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M).group(1))
        except (OSError, AttributeError):
            return None

    def moment(self, point, mark):
        """Waits for so many lines of the log, turns of Guardian's loop, or a random time; never longer than 2 s."""
        end = time.monotonic() + (point.amount if point.moment == "delay" else 2)
        first = self.switches(self.eye.guardian)
        while time.monotonic() < end and self.g.proc.poll() is None:
            self.g._read()
            if point.moment == "lines" and self.g.log.count("\n", mark) >= point.amount:
                return
            if point.moment == "switches":
                n = self.switches(self.eye.guardian)
                if n is None or first is None or n - first >= point.amount:
                    return
            else:
                select.select([self.g.proc.stdout], [], [], max(0, min(0.02, end - time.monotonic())))

    def strike(self, point, rng, mark):
        """Kills the victim; another one when it does not appear in time. Returns what was killed, or None."""
        early = point.phase == "boot" and (point.times > 1 or point.victim in HELPERS + ("pre",))
        if point.victim == "spawn" or not early:
            self.moment(point, mark)
        if point.victim == "guardian":
            return self.kill("guardian", self.eye.guardian, point)
        end = time.monotonic() + (6 if point.times > 1 else 1.5)
        while self.g.proc.poll() is None:
            found = self.hit(point, early)
            if found:
                return self.kill(point.victim, self.later(rng.choice(found), rng), point)
            if point.phase == "stop" or time.monotonic() > end:
                break
            if self.g._read() and early and re.search("boot (finished|degraded|aborted)", self.g.log[mark:]):
                break
        others = sorted((p.what, p.pid) for p in self.eye.look() if p.what and p.what != "spawn" and p.state not in "ZX")
        return self.kill(*rng.choice(others), point) if others else None

    def held(self, point, rng):
        """A check or a compilation lives for some milliseconds: it waits at its start (shim.c) till it is struck."""
        program = "guardian-compile" if point.victim == "compile" else "guardian-" + rng.choice(("governance", "mesh", "immune"))
        f = faults.Faults(os.path.join(self.g.dir, "held"), program)
        f.fail(faults.BEGIN, errno.EIO)
        self.g.env.update(f.env)
        return f

    def later(self, one, rng):
        """One that waits at its start may go on for a while."""
        if one.what in HELD and rng.random() < 0.7:
            end = time.monotonic() + rng.random() * 0.006
            os.kill(one.pid, signal.SIGCONT)
            while time.monotonic() < end:
                pass
        return one.pid

    def kill(self, what, pid, point):
        try:
            self.dead = pid, fields(pid)[19]
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return None
        self.struck = time.monotonic()
        self.killed += 1
        self.kills.append(what)
        self.trace.append("%s:%s" % (point.phase, what))
        return what

    # --- what must hold
    def reaped(self):
        """Who was killed is known to be dead: before that it may look as if nothing had happened."""
        try:
            return not self.dead or fields(self.dead[0])[19] != self.dead[1]
        except (FileNotFoundError, ProcessLookupError):
            return True

    def settled(self):
        r = self.g.ctl_any("--json", "status")
        if r.code != 0:
            return None
        doc = r.json
        top = doc["guardian"]
        if top["state"] not in ("running", "degraded") or top["governance"] != "ready" or top["ledger"]["state"] != "ready":
            return None
        for u in doc["units"]:
            if u["name"] != "crashing" and u["state"] not in ("running", "quarantined", "failed"):
                return None
        return doc

    def reasons(self, doc):
        """What is not running says why; degraded is the name for it."""
        down = [u for u in doc["units"] if u["state"] in ("quarantined", "failed")]
        for u in down:
            assert u["issues"] or u["last_exit"]["reason"], "%s is %s, and nothing says why" % (u["name"], u["state"])
        if doc["guardian"]["state"] == "degraded":
            assert any(u["verdict"] in ("degraded", "failed") or u["state"] == "quarantined" for u in doc["units"]), doc
        return [u["name"] for u in down if u["name"] != "crashing"]

    def emitted(self):
        code, said = self.ask("emit", "test.after", "--payload", "{}")
        # the clients of this run share our uid and its 100 events a second; the mesh may not have its link to a new ledger yet
        if said.get("code") in ("E.RATE_LIMIT", "ledger_unavailable"):
            return False
        assert code == 0, "emit: status %d %s\n%s" % (code, said, self.g.log[-3000:])
        return True

    def recovered(self, what):
        """Settled again, and all that is to hold then. Units that wait for a person get one."""
        self.g.until("reaped after " + what, self.reaped)
        doc = self.g.until("settled after " + what, self.settled)
        took = time.monotonic() - self.struck
        self.recovery = max(self.recovery, (took, what))
        self.outcomes[doc["guardian"]["state"]] += 1
        for name in self.reasons(doc):
            self.trace.append("(start %s)" % name)
            self.ask("reset", name)
            self.ask("start", name)
        self.g.until("settled", self.settled)
        self.g.until("an event is taken", self.emitted)
        self.join_clients()
        self.g.until("no stray process", lambda: not self.strays())
        if self.descriptors is None:
            self.descriptors = self.g.descriptors()
        self.g.until("descriptors as before: %d" % self.descriptors, lambda: self.g.descriptors() <= self.descriptors)
        self.whole()

    def strays(self):
        return [p for p in self.eye.look() if p.what is None or p.state == "Z"]

    def join_clients(self):
        for t in self.clients:
            t.join(300)
            assert not t.is_alive(), "a client hangs"
        self.clients = []
        assert not self.failures, self.failures[0]
        assert not self.eye.twice, self.eye.twice[0]

    def whole(self, signed=False):
        """The ledger verifies, and every record that anybody was told of or shown is the same."""
        r = self.g.ctl_any("--json", "ledger", "verify")
        if r.code == 3 and r.json["entries"] == 0 and not self.kept and not self.acked:
            return  # every ledger was killed before it had one
        self.g.verify(code=0 if signed else None)
        rows = {r["index"]: r for r in self.g.ctl("--json", "ledger", "query", "--limit", "100000").lines}
        for index, digest in self.kept.items():
            assert index in rows and rows[index]["hash"] == digest, "record %d was shown, and is gone" % index
        for index, (kind, tag) in self.acked.items():
            r = rows.get(index)
            assert r and r["kind"] == kind and tag in (r["action"], r["request_id"]), "acknowledged: %d %s %s, is %s" % (
                index, kind, tag, r)
        lost = self.votes - {r["body"]["approval_id"] for r in rows.values() if r["kind"] == "approval" and r["body"].get("vote")}
        assert not lost, "acknowledged votes are gone: %s" % lost
        self.kept = {i: r["hash"] for i, r in rows.items()}

    def ended(self, what):
        """Guardian has ended: nobody that was ever seen is left; as a subreaper that was killed it leaves its services."""
        g = self.g
        if self.subreaper and what == "guardian":
            self.eye.guardian = None
            g.until("chunks and helpers end", lambda: not [
                p for p in list(self.eye.seen) if alive(*p) and str(now_is(p[0])).split(":")[0] not in MAIN])
            g.until("services are gone", lambda: not end_all(self.tagged() + [p for p, s in list(self.eye.seen) if alive(p, s)]))
        self.eye.guardian = None
        left = [(p, w) for p, w in list(self.eye.seen.items()) if alive(*p)] + self.tagged()
        assert not left, "left behind: %s" % left
        g.proc.stdout.close()
        # a ledger that was killed as it stopped has not signed its last records, nor has one that died with Guardian; and one that
        # was not opened in this life is as the last life left it
        self.whole(signed=what != "guardian" and "ledger" not in self.kills and "guardian-ledger: ledger open" in g.log[self.begun:])

    def nobody_else_killed(self, mark):
        """Who ignores SIGTERM, or waits for a dead part, gets SIGKILL after TimeoutStopSec: an end more than those of here."""
        ends = re.findall(r"unit ended .*by=signal status=9", self.g.log[mark:])
        assert len(ends) <= len(self.kills), self.g.log[mark:][-4000:]

    def tagged(self):
        """Living processes, anywhere, with this run's mark in their environment: services, and what they left."""
        found, mark = [], ("GUARDIAN_CRASH=%s\0" % self.g.dir).encode()
        for d in os.listdir("/proc"):
            try:
                with open("/proc/%s/environ" % d, "rb") as f:
                    if mark in f.read() and fields(int(d))[0] not in "ZX":
                        found.append(int(d))
            except (OSError, ValueError):
                continue
        return found

    # --- phases
    def life(self):
        """Starts Guardian; returns the place in the log where it does."""
        g = self.g
        mark = self.begun = len(g.log)
        self.kills, self.descriptors = [], None
        g.env["GUARDIAN_CRASH"] = g.dir
        g.start()
        end = time.monotonic() + 60
        while not g.is_guardian():  # a helper that is to be killed lives for some milliseconds only: no pause
            assert time.monotonic() < end and g.proc.poll() is None, "guardian does not start"
        self.eye.guardian = g.guardian_pid()
        self.up = True
        return mark

    def go_on(self, victim):
        """Nobody waits at its start any more."""
        for p in self.newborn(victim) if victim else ():
            try:
                os.kill(p.pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def booted(self, mark, what, held=None):
        """The outcome of a boot: True if Guardian is up."""
        g = self.g
        if what == "guardian":
            g.wait()
            self.ended(what)
            self.outcomes["killed"] += 1
            return False
        end = r"boot (finished|degraded|aborted)"
        g.until("boot ends", lambda: self.go_on(held) or g.proc.poll() is not None or re.search(end, g.log[mark:]))
        up = re.search(r"boot (finished|degraded)", g.log[mark:])
        if up:
            self.ends["degraded" if up.group(1) == "degraded" else "running"] += 1
            if up.group(1) == "degraded":
                assert re.search(r"verdict=(degraded|failed)|unit failed .* reason=", g.log[mark:]), g.log[mark:][-4000:]
            return True
        status = g.wait()
        said = g.log[mark:]
        assert status in (70, 75), "status %s\n%s" % (status, said[-4000:])
        assert re.search(r"boot aborted.*reason=" if status == 75 else r"was killed by signal 9", said), said[-4000:]
        self.nobody_else_killed(mark)
        self.outcomes["aborted"] += 1
        self.ends["aborted"] += status == 75
        self.recovery = max(self.recovery, (time.monotonic() - self.struck, "boot aborted:%s" % what))
        self.ended("boot")
        return False

    def boot(self, point, rng):
        held = self.held(point, rng) if point.victim in HELD else None
        mark, what = self.life(), None
        for _ in range(point.times):
            got = self.strike(point, rng, mark)
            what = got or what
            if got != point.victim or got == "guardian":
                break
            self.g.until("reaped", self.reaped)
        if held:
            held.clear()
            for name in held.env:
                del self.g.env[name]
        self.up = self.booted(mark, what, held and point.victim)
        if self.up:
            self.recovered("boot:%s" % what)
        return what

    def ensure_up(self):
        if not self.up:
            mark = self.life()
            self.struck = time.monotonic()
            assert self.booted(mark, None), "a boot without a kill does not come up\n" + self.g.log[mark:][-4000:]
            self.recovered("boot")

    def amid(self, point, rng):
        """Clients at work, then the strike."""
        self.at_work()
        if point.phase == "healing":
            target, waiting = HEALED[self.healings % len(HEALED)], []
            end = time.monotonic() + (1.5 if target == "leak" else 0)
            while time.monotonic() < end and not waiting:
                waiting = self.pending()
            self.client(self.heal, target, waiting)
            self.healings += 1
        mark = self.g.mark()
        if point.victim == "pre":
            self.client(self.ask, "restart", "probed")
        return self.strike(point, rng, mark)

    def run_or_heal(self, point, rng):
        self.ensure_up()
        what = self.amid(point, rng)
        self.going.clear()
        if what == "guardian":
            self.g.wait()
            self.join_clients()
            self.ended(what)
            self.up = False
            self.outcomes["killed"] += 1
        else:
            self.recovered("%s:%s" % (point.phase, what))
        return what

    def stop(self, point, rng):
        self.ensure_up()
        self.kills = []
        self.at_work()
        mark = self.g.mark()
        os.kill(self.eye.guardian, signal.SIGTERM)
        what = self.strike(point, rng, mark)
        status = self.g.wait()
        self.going.clear()
        self.join_clients()
        assert what == "guardian" or status == 0, "status %s\n%s" % (status, self.g.log[mark:][-4000:])
        self.outcomes["killed" if what == "guardian" else "stopped"] += 1
        self.nobody_else_killed(mark)
        self.recovery = max(self.recovery, (time.monotonic() - self.struck, "stop:%s" % what))
        self.ended(what)
        self.up = False
        return what

    def all_points(self, limit):
        rng = random.Random("%d:%d:play" % (self.seed, self.number))
        self.up = False
        with tempfile.TemporaryDirectory(prefix="gdn-policies-") as policies:
            os.chmod(policies, 0o755)
            with open(os.path.join(policies, "detectors.yaml"), "w") as f:
                f.write(DETECTORS)
            self.g = Guardian(FILES, policies=policies, pid1=not self.subreaper)
            self.eye = Eye()
            self.eye.start()
            try:
                for point in self.points[:limit]:
                    self.struck = time.monotonic()
                    what = {"boot": self.boot, "stop": self.stop}.get(point.phase, self.run_or_heal)(point, rng)
                    self.join_clients()
                    if what:
                        self.table[point.phase, what] += 1
                if self.up:
                    self.up = False
                    assert self.g.stop() == 0, self.g.log[-4000:]
                    self.ended(None)
            finally:
                self.close()

    def close(self):
        self.going.clear()
        self.eye.done.set()
        self.eye.join()
        # of a failed run: nothing is left for those that follow
        left = [p for p in list(self.eye.seen) if alive(*p)]
        self.said = self.g.log
        if self.g.proc and self.g.proc.poll() is None:
            os.killpg(self.g.proc.pid, signal.SIGKILL)
            self.g.proc.wait()
        end_all([p for p, start in left if alive(p, start)] + self.tagged())
        if self.g.proc:
            self.g.proc.stdout.close()
            self.g.proc = None
        self.g.__exit__(None, None, None)


def play(seed, number, limit):
    """One run, for a worker: a plain answer."""
    sys.setswitchinterval(0.0002)  # the eye must not hold up who waits for a helper of some milliseconds
    r, begin, wrong = Run(seed, number), time.monotonic(), None
    try:
        r.all_points(limit)
    except Exception:
        wrong = "%s\n--- guardian's log\n%s" % (traceback.format_exc(), getattr(r, "said", "")[-8000:])
    return {"number": number, "trace": r.trace, "table": r.table, "outcomes": r.outcomes, "ends": r.ends, "recovery": r.recovery,
            "acked": len(r.acked) + len(r.votes), "votes": len(r.votes), "records": len(r.kept), "wrong": wrong, "took": time.monotonic() - begin,
            "killed": r.killed}


def summary(results):
    """Prints it; returns what was never met of the ends of a boot and of the helpers."""
    table, outcomes, ends = (collections.Counter() for _ in range(3))
    for r in results:
        table.update(r["table"])
        outcomes.update(r["outcomes"])
        ends.update(r["ends"])
    names = sorted({what for _, what in table})
    print("%-16s" % "victim" + "".join("%9s" % p for p in PHASES) + "%9s" % "all")
    for what in names:
        row = [table[p, what] for p in PHASES]
        print("%-16s" % what + "".join("%9d" % n for n in row) + "%9d" % sum(row))
    print("%-16s" % "all" + "".join("%9d" % sum(table[p, w] for w in names) for p in PHASES) + "%9d" % sum(table.values()))
    print("outcomes: " + ", ".join("%d %s" % (n, o) for o, n in sorted(outcomes.items())))
    took, what = max(r["recovery"] for r in results)
    sums = tuple(sum(r[k] for r in results) for k in ("killed", "acked", "votes", "records"))
    print("%d kills; %d acknowledged (%d of them votes) and %d records of %d runs found again; longest recovery %.1f s (%s)" % (
        sums + (len(results), took, what)))
    helpers = {h: sum(table[p, h] for p in PHASES) for h in HELPERS}
    print("helpers killed: " + ", ".join("%d %s" % (n, h) for h, n in helpers.items()))
    print("boots ended: " + ", ".join("%d %s" % (ends[e], e) for e in ENDS))
    return [e for e in ENDS if not ends[e]] + [h for h in HELPERS if not helpers[h]]


def storm(points, seed, jobs=2, only=None):
    """Plays the points; returns the numbers of the runs that failed, and what so many points should have met and have not."""
    print("seed %d, %d points" % (seed, points), flush=True)
    results, waiting, number, hits = [], {}, 0, 0
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        while True:
            # a point whose moment came too late hit nobody and does not count: another run makes up for it
            while len(waiting) < jobs and hits + sum(waiting.values()) < points and sum(bool(r["wrong"]) for r in results) < 10:
                n = number if only is None else only
                n_points = min(len(plan(seed, n)[1]), points - hits - sum(waiting.values()))
                waiting[pool.submit(play, seed, n, n_points)] = n_points
                number += 1
            if not waiting:
                break
            for done in concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED).done:
                del waiting[done]
                r = done.result()
                results.append(r)
                hits = points if only is not None else hits + sum(r["table"].values())
                print("run %d, %.1f s: %s" % (r["number"], r["took"], " ".join(r["trace"])), flush=True)
                if r["wrong"]:
                    print("FAILED: %s\nagain: script/crash --seed %d --run %d" % (r["wrong"], seed, r["number"]), flush=True)
    never = summary(results)
    return [r["number"] for r in results if r["wrong"]], never if points >= ENOUGH and only is None else []


def main():
    a = argparse.ArgumentParser(usage="script/crash [--points N] [--seed S] [--jobs J] [--run I]")
    a.add_argument("--points", type=int, default=1000)
    a.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--run", type=int, help="only this run of the seed, which a failure names")
    o = a.parse_args()
    failed, never = storm(o.points, o.seed, o.jobs, o.run)
    if never:
        print("never met: %s" % ", ".join(never))
    print("failed runs: %s" % failed if failed else "every point held")
    return 1 if failed or never else 0


if __name__ == "__main__":
    sys.exit(main())
