# SPDX-License-Identifier: Apache-2.0
"""Hostile units: whatever they do, PID 1 answers, restarts, and stops them."""
import os
import resource
import socket
import sys
import unittest

import harness
from harness import Guardian, service

HOSTILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile.py")
SESSIONS = ("sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")  # no cgroup to write to


def hostile(what, **service_keys):
    return service("%s %s %s" % (sys.executable, HOSTILE, what), service=dict(TimeoutStopSec="1s", **service_keys))


class Descriptors(unittest.TestCase):
    def test_none_left(self):
        """No descriptor left for anything new: no spinning, and the stop still finds and ends every unit."""
        for prefix in (), SESSIONS:
            with self.subTest(prefix=prefix), Guardian(
                    {"a.chunk": service("/bin/sleep 1000", service={"Restart": "always"})}, core=False, prefix=prefix) as g:
                g.wait_boot()
                pid, unit = g.guardian_pid(), g.host_pid(g.unit("a")["pid"])
                used = 1 + max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
                hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
                for _ in range(4):
                    s = socket.socket(socket.AF_UNIX)
                    self.addCleanup(s.close)
                    s.connect(os.path.join(g.runtime, "control.sock"))
                g.wait_log("no control client can be taken")
                os.kill(unit, 0)
                self.assertEqual(g.stop(), 0)
                self.assertEqual(g.log.count("no control client can be taken"), 1)
                self.assertIn("unit ended unit=a", g.log)

    def test_a_limit_that_is_too_low(self):
        with Guardian({"a.chunk": service("/bin/true")}, core=False, prefix=("prlimit", "--nofile=64:64")) as g:
            self.assertEqual(g.wait(), 71)
            self.assertIn("raise the limit of open files", g.log)


    def test_units_keep_the_limit_they_were_given(self):
        with Guardian({"a.chunk": service("/bin/sh -c 'echo soft $(ulimit -Sn); sleep 1000'")}, core=False,
                      prefix=("prlimit", "--nofile=1000:4000")) as g:
            g.wait_log(r"a: soft 1000\b")


class Processes(unittest.TestCase):
    def test_stop_of_those_who_flee(self):
        """Successors forked all the time, sessions and environments left behind, TERM ignored."""
        for prefix in (), SESSIONS:
            for pid1 in (True, False) if not prefix else (True,):
                for what in "comet", "stranger", "zombies", "orphans":
                    with self.subTest(what, pid1=pid1, prefix=prefix), Guardian(
                            {"h.chunk": hostile(what)}, core=False, pid1=pid1, prefix=prefix) as g:
                        g.wait_log("h: armed")
                        g.wait_boot()
                        self.assertEqual(g.unit("h")["state"], "running")
                        self.assertEqual(g.stop(), 0)

    def test_who_hides_for_ever_holds_up_nobody(self):
        """The orphan of one unit names none and never will: it is in no other's way."""
        units = {"a.chunk": service("/bin/sleep 1000"), "h.chunk": hostile("hollow")}
        with Guardian(units, core=False, prefix=SESSIONS) as g:
            g.wait_log("h: armed")
            g.wait_boot()
            self.assertEqual(g.ctl("stop", "a").code, 0)
            self.assertEqual(g.unit("a")["state"], "inactive")
            self.assertEqual(g.stop(), 0)

    def test_notification_garbage(self):
        with Guardian({"h.chunk": hostile("notify", Type="notify", NotifyAccess="all")}, core=False) as g:
            g.wait_log("h: armed")
            g.wait_boot()
            r = g.ctl("--json", "status", "h")
            self.assertEqual(r.json["units"][0]["state"], "running")
            self.assertNotEqual(r.json["units"][0]["pid"], 1)
            for args in ("status",), ("status", "h"), ("why", "h"):
                self.assertNotIn("\x1b", g.ctl_any(*args).out, args)
            self.assertLess(len(os.listdir("/proc/%d/fd" % g.guardian_pid())), 40)

    def test_notification_flood(self):
        with Guardian({"h.chunk": hostile("notify flood", Type="notify", NotifyAccess="all")}, core=False) as g:
            g.wait_log("h: armed")
            g.wait_boot()
            g.kill_unit("h")  # its children go on while the rest of the queue is read
            g.ctl("stop", "h")
            self.assertEqual(g.stop(), 0)

    def test_output_without_end(self):
        """No line end in 200 MB, then closed descriptors: memory stays, the ring stays readable."""
        with Guardian({"h.chunk": hostile("print"), "c.chunk": hostile("close")}, core=False) as g:
            g.wait_boot()
            while "finished" not in g.ctl("logs", "h", "-n", "1").out:
                g._read()
                g.log = g.log[-1000:]
            with open("/proc/%d/status" % g.guardian_pid()) as f:
                kb = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
            self.assertLess(kb, 20 * 1024)
            self.assertEqual(g.unit("c")["state"], "running")


if __name__ == "__main__":
    harness.main()
