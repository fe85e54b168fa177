# SPDX-License-Identifier: Apache-2.0
"""Faults, a row each: what fails where, what it is called from outside, and that it is over when the fault is.

Stalled processes, disks that are full, broken or read-only, no descriptors, no memory, a wall clock that jumps. Each
test shows that things work before (or in a sibling), and that the fault was really met. GUARDIAN_FAULTS=long holds
processes still for up to 30 s and takes more allocations (script/faults --long).
"""
import errno
import os
import random
import re
import resource
import signal
import socket
import sys
import time
import unittest

import faults
from faults import ALLOC, BEGIN, MMAP, OPEN, REALLOC, SYNC, WRITE
from harness import CORE, Guardian, main, service

LONG = os.environ.get("GUARDIAN_FAULTS") == "long"
SEED = int(os.environ.get("GUARDIAN_FAULTS_SEED") or random.SystemRandom().randrange(1 << 32))
FAST = "[Service]\nRestartMaxDelaySec=300ms\n"  # the pauses between restarts are not what is tested
WEB = {"web.chunk": service("/bin/sleep 1000", service={"Restart": "always", "StartLimitBurst": "100000",
                                                         "RestartMaxDelaySec": "300ms"},
                            chunk={"Heal": "restart_service", "CanFail": "yes"})}


def units(burst=False):
    """web and the core set; burst: no chunk is quarantined, however often its start fails."""
    more = {"%s.chunk.d/fast.conf" % n: FAST + ("StartLimitBurst=100000\n" if burst else "") for n in CORE}
    return dict(WEB, **more)


def in_guardian(g, program="guardian"):
    """The shim under Guardian itself, or under a helper that inherits its environment: before start()."""
    f = faults.Faults(os.path.join(g.dir, "faults"), program)
    g.prefix = ["env"] + ["%s=%s" % i for i in f.env.items()]
    return f


def in_chunk(g, name):
    """The shim under one chunk: Guardian gives core chunks a clean environment, so it is the unit's own."""
    f = faults.Faults(os.path.join(g.dir, "faults-" + name), "guardian-" + name)
    g.write_unit(name + ".chunk.d/shim.conf", f.drop_in())
    return f


class Row(unittest.TestCase):
    def state(self, g):
        top = g.status()["guardian"]
        return top["ledger"]["state"], top["governance"]

    def well(self, g):
        doc = g.status()
        top = doc["guardian"]
        return (top["ledger"]["state"], top["governance"]) == ("ready", "ready") and all(
            u["state"] == "running" for u in doc["units"])

    def back(self, g):
        """Without a person: everything runs, and what is governed is done and on record."""
        g.until("all is well again", lambda: self.well(g))
        g.until("a governed act", lambda: self.act(g)["code"] not in ("target_busy", "busy"))

    def act(self, g):
        """A governed act that any number of may be asked for: a pin and its end."""
        verb = ["unpin", "web"] if g.unit("web")["pinned"] else ["pin", "web", "up"]
        return g.ctl_any("--json", "--timeout", "20s", *verb).json

    def hit(self, g, f):
        g.until("the fault was met", lambda: f.hits() > 0)


class Disk(Row):
    """(fault) of the ledger's directory -> ledger failed, ledger_unavailable; by itself back when it is over."""

    def row(self, calls, error, kill=False):
        with self.subTest(error=faults.name(error), calls=calls):
            g = Guardian(units())
            f = in_chunk(g, "ledger")
            with g:
                g.wait_boot()
                self.assertEqual(self.act(g)["code"], "ok")
                mark = g.mark()
                f.fail(calls, error, path="/ledger")
                if kill:
                    g.kill_unit("ledger")
                else:
                    g.ctl_any("--json", "--timeout", "20s", "pin", "web", "down")
                self.hit(g, f)
                g.wait_log("guardian-ledger: .*" + re.escape(os.strerror(error)), since=mark)
                g.until("the ledger is failed", lambda: self.state(g)[0] == "failed")
                before = g.unit("web")["pid"]
                r = g.ctl("--json", "--timeout", "20s", "propose", "restart_service", "web", code=4).json
                self.assertIn(r["code"], ("ledger_unavailable", "governance_unavailable"))
                self.assertEqual(g.unit("web")["pid"], before)
                g.kill_unit("web")  # a unit's own restarts need no record
                g.until("web is back", lambda: g.unit("web")["pid"] not in (None, before))
                f.clear()
                self.back(g)
                g.stop_clean()
                g.verify(code=0)

    def test_full(self):
        self.row(WRITE, errno.ENOSPC)

    def test_does_not_sync(self):
        self.row(SYNC, errno.EIO)

    def test_can_not_be_opened(self):
        for error in (errno.EROFS, errno.EMFILE, errno.EIO):
            self.row(OPEN, error, kill=True)

    def test_guardians_own_files(self):
        """Its pause holds and is said not to be kept; so is an act without gate or ledger that can't be spooled."""
        g = Guardian(units())
        f = in_guardian(g)
        with g:
            g.wait_boot()
            self.assertEqual(g.ctl("--json", "pause", "it can be kept").json["code"], "ok")
            self.assertIsNone(g.status()["guardian"]["pause_warning"])
            g.ctl("resume")
            f.fail(OPEN, errno.EROFS, path="/state/guardian/")
            said = g.ctl("--json", "pause", "maintenance", code=1).json
            self.assertEqual(said["code"], "failed")
            self.assertRegex(said["reason"], "^paused, but the pause does not outlive guardian, .*Read-only file system")
            g.wait_log("error guardian: the pause marker can't be changed.*Read-only file system")
            top = g.status()["guardian"]
            self.assertEqual((top["paused"], top["pause_reason"]), (True, "maintenance"))
            self.assertIn("Read-only file system", top["pause_warning"])
            self.assertRegex(" ".join(g.ctl("status").out.split()), "PAUSED: maintenance .*WARNING: the pause does not outlive")
            f.clear()
            g.ctl("pause", "again")  # and now it is kept
            self.assertIsNone(g.status()["guardian"]["pause_warning"])
            g.ctl("resume")
            f.fail(OPEN, errno.EROFS, path="/state/guardian/")
            g.ctl("pin", "governance", "down")
            g.ctl("pin", "ledger", "down")
            for name in ("governance", "ledger"):
                g.kill_unit(name)
                g.wait_unit(name, "backoff")
            self.assertTrue(g.ctl("--json", "restart", "web").json["ungated"])
            g.wait_log("error guardian: the spool of ungated acts can't be written .*Read-only file system")
            f.clear()
            for name in ("ledger", "governance"):
                g.ctl("unpin", name)
            self.back(g)
            g.until("it is on record", lambda: ("restart", "web") in {
                (x["action"], x["resource"]) for x in g.records("--kind", "recovery")})
            g.stop_clean()

    def boot(self, mount):
        g = Guardian(WEB)
        g.prefix = ["/bin/sh", "-c", 'mkdir -p "$0" && ' + mount + ' && exec "$@"', g.state]
        with g:
            if "good" in mount:
                g.wait_boot()
                return 0, g.log
            return g.wait(), g.log

    def test_state_directory_at_boot(self):
        code, log = self.boot('mount -t tmpfs -o size=64m,mode=700 good "$0"')
        self.assertEqual(code, 0)
        code, log = self.boot('mount -t tmpfs -o size=2m,mode=700 disk "$0"')
        self.assertEqual(code, 71)
        self.assertRegex(log, 'pre-flight failed check=disk .*hint="make room')
        code, log = self.boot('mount -t tmpfs -o ro,mode=700 disk "$0"')
        self.assertEqual(code, 71)
        self.assertRegex(log, "pre-flight failed check=state reason=.*Read-only file system.*hint=")


class Descriptors(Row):
    def test_guardian_runs_out(self):
        """-> starts fail and name it, clients wait; no crash; a unit is stopped all the same."""
        with Guardian(units(burst=True)) as g:
            g.wait_boot()
            pid, mark = g.guardian_pid(), g.mark()
            web, ledger = (g.host_pid(g.unit(n)["pid"]) for n in ("web", "ledger"))
            was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            most = max(int(x) for x in os.listdir("/proc/%d/fd" % pid)) + 1
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, was[1]))
            for p in (web, ledger):
                os.kill(p, signal.SIGKILL)
            g.wait_log("unit could not be started unit=(web|ledger) .*Too many open files", since=mark)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, was)
            self.back(g)
            g.stop_clean()

    def test_guardian_boots(self):
        """-> 70, and which file: it says nothing about the units."""
        g = Guardian(WEB)
        f = in_guardian(g)
        f.fail(OPEN, errno.EMFILE, path="/units/web.chunk")
        with g:
            self.assertEqual(g.wait(), 70)
            self.assertIn("the units can't be read: Too many open files", g.log)
            self.hit(g, f)


class Memory(Row):
    """Guardian never dies of it: PID 1 must not."""

    def starve(self, every):
        g = Guardian(units(burst=True))
        f = in_guardian(g)
        with g:
            g.wait_boot()
            pid = g.guardian_pid()
            victims = [g.host_pid(g.unit(n)["pid"]) for n in ("web", "ledger", "mesh")]
            f.fail(ALLOC | REALLOC, errno.ENOMEM, every=every)
            for verb in (["status"], ["pause", "x"], ["emit", "test.x", "--payload", "{}"], ["restart", "web"]):
                r = g.ctl_any("--timeout", "1s", *verb)
                self.assertIn(r.code, (0, 1, 3, 4), (verb, r))
            for p in victims:
                try:
                    os.kill(p, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # Guardian has ended it for want of memory
            self.hit(g, f)
            g.ctl_any("--timeout", "1s", "status")
            self.assertEqual(g.guardian_pid(), pid)
            f.clear()
            g.until("resumed", lambda: g.ctl_any("resume").code == 0)
            self.back(g)
            g.stop_clean()
            g.verify()
            return f.hits()

    def test_guardian(self):
        hits = 0
        for every in range(1, 41) if LONG else (1, 3, 6, 11, 15):
            with self.subTest(every=every):
                hits += self.starve(every)
        print("memory: %d failed allocations in Guardian" % hits)

    def end_of_boot(self, calls, **when):
        """Booting without memory: the exit status. It never crashes, and who ends says why."""
        g = Guardian(dict(WEB, **{"%s.chunk.d/fast.conf" % n: "[Service]\nTimeoutStartSec=2s\n" for n in CORE}))
        f = in_guardian(g)
        f.fail(calls, errno.ENOMEM, **when)
        with self.subTest(calls=calls, **when), g:
            g.until("an end, or a boot", lambda: g.proc.poll() is not None or re.search("boot (finished|degraded|aborted)", g.log))
            if g.proc.poll() is None and "boot aborted" not in g.log:
                f.clear()
                self.assertEqual(g.stop(), 0)
                return 0
            self.assertIn(g.wait(), (70, 71, 75), g.log[-3000:])
            self.assertIn("Cannot allocate memory", g.log)
            self.hit(g, f)
        return g.proc.returncode

    def test_guardian_boots(self):
        """-> 70, 71 or 75, and \"memory\" in the reason; never 65, for nothing is wrong with the units; or it boots."""
        ends = [self.end_of_boot(ALLOC | REALLOC, after=k, every=k) for k in range(2, 400, 7 if LONG else 67)]
        ends += [self.end_of_boot(ALLOC | REALLOC, after=k) for k in (range(1, 420, 20) if LONG else (160, 220))]
        print("memory: ends of boot %s" % ends)
        self.assertIn(70, ends)

    def test_no_mapping_at_boot(self):
        """-> 70 when nothing can be started at all; a unit without a thread is not prepared in time, and says so."""
        self.assertEqual(self.end_of_boot(MMAP, after=0), 70)
        self.assertEqual(self.end_of_boot(MMAP, after=1), 75)

    def test_table_of_descriptors(self):
        """libuv aborts when its table can't grow; Guardian has a reserve for it."""
        g = Guardian(units())
        f = in_guardian(g)
        with g:
            g.wait_boot()
            pid = g.guardian_pid()
            f.fail(REALLOC, errno.ENOMEM)
            clients = []
            try:
                for _ in range(100):
                    c = socket.socket(socket.AF_UNIX)
                    clients.append(c)
                    c.connect(os.path.join(g.runtime, "control.sock"))
                self.hit(g, f)
                g.until("they are taken", lambda: g.descriptors() > 70)
            finally:
                for c in clients:
                    c.close()
            f.clear()
            self.assertEqual(g.guardian_pid(), pid)
            self.back(g)
            g.stop_clean()

    def test_no_thread(self):
        """A pause holds and its marker follows when there is room for a thread again."""
        with Guardian(units()) as g:
            g.wait_boot()
            pid = g.guardian_pid()
            with open("/proc/%d/status" % pid) as f:
                size = int(re.search(r"VmSize:\s*(\d+)", f.read()).group(1)) * 1024
            was = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (size + 65536, was[1]))
            said = g.ctl("--json", "pause", "maintenance", code=1).json
            self.assertRegex(said["reason"], "^paused, but .*(Cannot allocate memory|Resource temporarily unavailable)")
            self.assertTrue(g.status()["guardian"]["paused"])
            marker = os.path.join(g.state, "guardian/paused")
            self.assertFalse(os.path.exists(marker))
            resource.prlimit(pid, resource.RLIMIT_AS, was)
            g.until("the marker stands", lambda: os.path.exists(marker))
            g.until("and is known to", lambda: g.status()["guardian"]["pause_warning"] is None)
            g.ctl("resume")
            self.back(g)
            g.stop_clean()

    def test_no_mapping(self):
        """-> starts wait, and are made up for; supervision goes on, and what needs no thread."""
        g = Guardian(units(burst=True))
        f = in_guardian(g)
        with g:
            g.wait_boot()
            pid = g.guardian_pid()
            f.fail(MMAP, errno.ENOMEM)
            for name in ("web", "ledger"):
                g.kill_unit(name)
            self.hit(g, f)
            self.assertEqual(g.wait_unit("ledger", "starting")["pid"], None)
            g.until("web is back", lambda: g.unit("web")["state"] == "running")
            f.clear()
            self.assertEqual(g.guardian_pid(), pid)
            self.back(g)
            g.stop_clean()
            g.verify(code=0)

    def test_no_mapping_in_mesh(self):
        """-> its store of undelivered events can't be opened, which it says, and it is restarted till it can."""
        g = Guardian(units(burst=True))
        f = in_chunk(g, "mesh")
        with g:
            g.wait_boot()
            f.fail(MMAP, errno.ENOMEM)
            mark = g.mark()
            g.kill_unit("mesh")
            self.hit(g, f)
            g.wait_log("guardian-mesh: ", since=mark)
            f.clear()
            self.back(g)
            g.stop_clean()

    def test_chunks(self):
        """-> it ends or refuses; restarted by itself; no record lost that was acknowledged."""
        for name in CORE:
            for every in range(1, 20, 3) if LONG else (1, 7):
                with self.subTest(chunk=name, every=every):
                    g = Guardian(units(burst=True))
                    f = in_chunk(g, name)
                    with g:
                        g.wait_boot()
                        index = g.ctl("--json", "emit", "test.kept", "--payload", "{}").json["index"]
                        f.fail(ALLOC | REALLOC, errno.ENOMEM, every=every)
                        g.ctl_any("--json", "--timeout", "1s", "emit", "test.x", "--payload", "{}")
                        try:
                            g.kill_unit(name)
                        except ProcessLookupError:
                            pass  # it has ended for want of memory
                        self.hit(g, f)
                        g.status()  # Guardian answers
                        f.clear()
                        self.back(g)
                        self.assertIn(index, [x["index"] for x in g.records("--kind", "event", "--action", "test.kept")])
                        g.stop_clean()
                        g.verify()


class Clock(Row):
    def test_wall_clock_jumps(self):
        """An hour forth or back, for all of them: deadlines, budgets and verdicts go on, for they count boot time."""
        for seconds in (3600, -3600):
            with self.subTest(seconds=seconds):
                g = Guardian(units())
                moved = [in_guardian(g)] + [in_chunk(g, n) for n in CORE]
                with g:
                    g.wait_boot()
                    self.back(g)
                    last = g.records()[-1]["time"]
                    for f in moved:
                        f.wall(seconds)
                    self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")
                    now = g.records()[-1]["time"]
                    self.assertEqual(now > last, seconds > 0, (last, now))  # the jump was met
                    old = g.kill_unit("web")
                    g.until("web is back", lambda: g.unit("web")["pid"] not in (None, old))
                    old = g.kill_unit("ledger")
                    g.until("the ledger is back", lambda: g.unit("ledger")["pid"] not in (None, old))
                    self.back(g)
                    g.stop_clean()
                    g.verify(code=0)


class Stall(Row):
    """SIGSTOP, and SIGCONT once the outcome was seen; --long: for 0.1 to 30 s."""

    NAMED = {"ledger": ("stalled", "ledger_unavailable"), "governance": ("down", "governance_unavailable")}

    def lengths(self):
        rng = random.Random(SEED)
        return [0.1, rng.uniform(1, 5), rng.uniform(5, 15), 30] if LONG else [0]

    def held(self, g, pid, seconds, meanwhile):
        os.kill(pid, signal.SIGSTOP)
        try:
            end = time.monotonic() + seconds
            meanwhile()
            while time.monotonic() < end:
                time.sleep(min(0.2, max(0, end - time.monotonic())))
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_chunks(self):
        print("seed %d: GUARDIAN_FAULTS_SEED=%d" % (SEED, SEED), flush=True)
        for seconds in self.lengths():
            with Guardian(units()) as g:
                g.wait_boot()
                for name in CORE:
                    with self.subTest(chunk=name, seconds=seconds):
                        def look():
                            if seconds and seconds < 4:
                                return  # too short to be noticed, or just not
                            if name in self.NAMED:
                                r = g.ctl("--json", "--timeout", "20s", "propose", "restart_service", "web", code=4).json
                                self.assertEqual(r["code"], self.NAMED[name][1])
                                self.assertIn(self.NAMED[name][0], self.state(g))
                            self.assertEqual(g.unit(name)["restarts"], 0)
                        self.held(g, g.host_pid(g.unit(name)["pid"]), seconds, look)
                        self.back(g)
                        self.assertEqual(g.unit(name)["restarts"], 0)  # late is not dead
                g.stop_clean()
                g.verify()

    def test_emit_without_ledger(self):
        """-> ledger_unavailable, status 4: not recorded when it is away, perhaps later when it does not answer."""
        def refused(kind, why):
            r = g.ctl("--json", "emit", kind, "--payload", "{}", code=4).json
            self.assertEqual((r["code"], r["index"]), ("ledger_unavailable", None))
            self.assertIn(why, r["reason"])

        with Guardian(units()) as g:
            g.wait_boot()
            g.ctl("emit", "test.before", "--payload", "{}")
            self.held(g, g.host_pid(g.unit("ledger")["pid"]), 0, lambda: refused("test.stalled", "it may still record"))
            g.until("it still was", lambda: g.records("--action", "test.stalled"))
            g.ctl("pin", "ledger", "down")
            g.kill_unit("ledger")
            g.wait_unit("ledger", "backoff")
            refused("test.away", "the event is not recorded")
            g.ctl("unpin", "ledger")
            self.back(g)
            g.ctl("emit", "test.after", "--payload", "{}")
            seen = [x["action"] for x in g.records("--kind", "event")]
            self.assertEqual([a for a in seen if a.startswith("test.")], ["test.before", "test.stalled", "test.after"])
            g.stop_clean()
            g.verify(code=0)

    def test_guardian(self):
        """-> guardianctl ends with 1 and says so; afterwards ends, verdicts and deadlines are caught up with."""
        for seconds in self.lengths():
            with self.subTest(seconds=seconds), Guardian(units()) as g:
                g.wait_boot()
                web = g.unit("web")["pid"]
                outside = g.host_pid(web)

                def look():
                    r = g.ctl_any("--timeout", "500ms", "status")
                    self.assertIn(r.code, (1, 3))
                    self.assertIn("no answer in time", r.err)
                    os.kill(outside, signal.SIGKILL)
                self.held(g, g.guardian_pid(), seconds, look)
                g.until("web is back", lambda: g.unit("web")["pid"] not in (None, web))
                self.back(g)
                g.stop_clean()
                g.verify()

    def stalled_check(self, program):
        g = Guardian(WEB)
        f = in_guardian(g, program)
        f.fail(BEGIN, errno.EIO)
        return g, f

    def test_helpers_at_boot(self):
        """guardian-compile, and each chunk's --check -> go on where they were, or 70 after 20 s and which one."""
        programs = ["guardian-compile"] + ["guardian-" + n for n in (CORE if LONG else ("governance",))]
        for program in programs:
            with self.subTest(program=program, goes_on=True):
                g, f = self.stalled_check(program)
                with g:
                    pid = g.until("it is stopped", lambda: self.stopped(g, program))
                    os.kill(pid, signal.SIGCONT)
                    g.wait_boot()
                    g.stop_clean()
        begun = {program: self.stalled_check(program) for program in programs}
        for g, _ in begun.values():
            g.start()
        for program, (g, f) in begun.items():
            with self.subTest(program=program), open_guardian(g):
                self.assertEqual(g.wait(), 70)
                self.assertRegex(g.log, program + " (--check|roles) did not end within 20 s, and was killed")
                self.assertEqual(f.hits(), 1)  # what stalls once is not asked again

    def stopped(self, g, program):
        for pid in g.family()[0] if g.is_guardian() else ():
            try:
                with open("/proc/%d/stat" % pid) as f:
                    text = f.read()
            except OSError:
                continue
            if text[text.index("(") + 1:].startswith(program[:15]) and text.rsplit(")", 1)[1].split()[0] == "T":
                return pid
        return None

    def test_helpers_of_a_unit(self):
        """ExecStartPre -> startup timeout; a probe -> no answer in time; ExecStop -> KILL. Nothing of them is left."""
        stall = "/bin/sh -c 'kill -STOP $$'"
        more = {
            "pre.chunk": service("/bin/sleep 1000", chunk={"CanFail": "yes"},
                                 service={"ExecStartPre": stall, "TimeoutStartSec": "300ms"}),
            "probed.chunk": service("/bin/sleep 1000", chunk={"CanFail": "yes"}, service={"Restart": "no"}, health={
                "StartupProbe": "exec:/bin/sh -c 'kill -STOP $$'", "StartupProbeTimeoutSec": "100ms",
                "StartupProbeIntervalSec": "100ms", "StartupProbeFailureThreshold": "2"}),
            "ends.chunk": service("/bin/sleep 1000", service={"ExecStop": stall, "TimeoutStopSec": "300ms"})}
        with Guardian(dict(units(), **more)) as g:
            g.wait_log("boot degraded")
            self.assertEqual(g.unit("pre")["last_exit"]["reason"], "startup_timeout")
            g.wait_log("probe failed unit=probed .*no answer in time")
            self.assertEqual(g.wait_unit("probed", "failed")["verdict"], "degraded")
            g.ctl("stop", "ends")
            g.stop_clean()


class open_guardian:
    """The end of a Guardian that is started already."""

    def __init__(self, g):
        self.g = g

    def __enter__(self):
        return self.g

    def __exit__(self, *exc):
        return self.g.__exit__(*exc)


def known(name):
    """Whether it is a class of this file or CLASS.TEST."""
    cls, _, test = name.partition(".")
    row = globals().get(cls)
    return isinstance(row, type) and issubclass(row, unittest.TestCase) and row is not Row and (not test or hasattr(row, test))


if __name__ == "__main__":
    options = any(a.startswith("-") for a in sys.argv[1:])  # of unittest, which may have values
    wrong = [] if options else [a for a in sys.argv[1:] if not known(a)]
    if wrong:
        rows = [n for n, c in globals().items() if isinstance(c, type) and issubclass(c, Row) and c is not Row]
        sys.exit("faults: there is no %s; there are: %s, each also with .TEST" % (wrong[0], ", ".join(rows)))
    main()
