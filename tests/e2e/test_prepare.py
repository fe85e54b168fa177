# SPDX-License-Identifier: Apache-2.0
"""What a start needs of the file system, and a file system that does not answer: one unit waits, never Guardian."""
import ctypes
import os
import unittest

from harness import ROOT, Guardian, main, needs_root, service

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


class DeadDisk:
    """A file system whose server never reads a request, as an NFS server that is gone. end() makes what waits fail."""

    def __init__(self, path):
        os.mkdir(path)
        self.path, self.fd = path, os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % self.fd
        if LIBC.mount(b"dead", path.encode(), b"fuse", 0, options) != 0:
            os.close(self.fd)
            raise unittest.SkipTest("no FUSE: " + os.strerror(ctypes.get_errno()))

    def end(self):
        if self.fd >= 0:
            os.close(self.fd)
            LIBC.umount2(self.path.encode(), MNT_DETACH)
        self.fd = -1


def unit(command="/bin/sleep 1000", **keys):
    return service(command, chunk={"CanFail": "yes"}, service=dict({"Restart": "no"}, **keys))


class Refusals(unittest.TestCase):
    def test_reasons(self):
        units = {"fifo.chunk": unit(EnvironmentFile="@DIR@/fifo"), "user.chunk": unit(User="nobody-of-that-name"),
                 "group.chunk": unit(Group="nobody-of-that-name"), "state.chunk": unit(StateDirectory="taken"),
                 "run.chunk": unit(RuntimeDirectory="taken/below"), "program.chunk": unit("/nowhere/program", StateDirectory="p"),
                 "cwd.chunk": unit(WorkingDirectory="/nowhere"),
                 "good.chunk": unit("/bin/sh -c 'echo said $A; exec sleep 1000'", StateDirectory="a/b", RuntimeDirectory="r",
                                    EnvironmentFile="@DIR@/env")}
        reasons = {"fifo": r"EnvironmentFile .*/fifo: not a regular file", "user": r"User=nobody-of-that-name is not in /etc/passwd",
                   "group": r"Group=nobody-of-that-name is not in /etc/group", "state": r"StateDirectory=taken: .*no directory",
                   "run": r"RuntimeDirectory=taken/below: ", "program": r"program '/nowhere/program': not found",
                   "cwd": r"WorkingDirectory=/nowhere: No such file"}
        g = Guardian(units, core=False)
        os.mkdir(g.state, 0o700)
        os.mkdir(g.runtime, 0o700)
        os.mkfifo(os.path.join(g.dir, "fifo"))
        for path in (os.path.join(g.state, "taken"), os.path.join(g.runtime, "taken")):
            open(path, "w").close()
        with open(os.path.join(g.dir, "env"), "w") as f:
            f.write("A=one\n")
        with g:
            g.wait_boot()
            g.wait_log("said one")
            self.assertEqual(g.unit("good")["state"], "running")
            self.assertTrue(os.path.isdir(os.path.join(g.state, "a/b")))
            self.assertTrue(os.path.isdir(os.path.join(g.runtime, "r")))
            for name, reason in reasons.items():
                failed = g.unit(name)
                self.assertEqual((failed["state"], failed["pid"]), ("failed", None), name)
                self.assertRegex(" ".join(failed["issues"]), reason)
            os.unlink(os.path.join(g.state, "taken"))  # put right
            g.ctl("start", "state")
            self.assertEqual(g.unit("state")["state"], "running")
            self.assertEqual(g.stop(), 0)

    @unittest.skipIf(ROOT, "root may run a program as anybody")
    def test_user_that_only_root_can_give(self):
        with Guardian({"other.chunk": unit(User="root")}, core=False, pid1=False) as g:
            g.wait_boot()
            failed = g.unit("other")
            self.assertEqual((failed["state"], failed["pid"]), ("failed", None))
            self.assertIn("User= or Group= is another's, and Guardian runs as uid %d" % os.getuid(), " ".join(failed["issues"]))
            self.assertEqual(g.stop(), 0)


@needs_root
class Hanging(unittest.TestCase):
    def setUp(self):
        hang = {"EnvironmentFile": "@DIR@/disk/env", "TimeoutStartSec": "infinity"}
        units = {"hang%d.chunk" % i: unit(**hang) for i in range(9)}
        units["late.chunk"] = unit(**dict(hang, TimeoutStartSec="1s"))
        units["pre.chunk"] = unit(**dict(hang, TimeoutStartSec="1s", ExecStartPre="/bin/true"))
        units["plain.chunk"] = unit()
        units["other.chunk"] = unit(User="root", StateDirectory="other")
        self.g = Guardian(units, core=False)
        self.disk = DeadDisk(os.path.join(self.g.dir, "disk"))
        self.g.start()
        self.addCleanup(lambda: self.g.__exit__(None, None, None))
        self.addCleanup(self.disk.end)
        self.g.wait_log("control socket ready")

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.g.guardian_pid()))

    def spawned(self, name):
        self.g.until(name, lambda: self.g.unit(name)["pid"])

    def test_others_are_started_and_it_ends_in_order(self):
        self.spawned("plain")
        self.spawned("other")
        self.assertEqual(self.g.unit("hang0")["state"], "starting")
        self.g.stop_clean()

    def test_deadline_stop_and_late_answers(self):
        for name in ("late", "pre"):
            self.g.until(name, lambda: self.g.unit(name)["state"] == "failed")
            self.assertRegex(" ".join(self.g.unit(name)["issues"]),
                             r"EnvironmentFile=/.*/disk/env does not answer: not prepared within 1s \(TimeoutStartSec=\)")
        self.g.ctl("stop", "hang0")
        self.assertEqual(self.g.unit("hang0")["state"], "inactive")
        self.g.ctl("start", "--no-block", "late")  # its last thread still hangs: it waits for it, and no longer than its deadline
        self.g.until("again", lambda: self.g.unit("late")["state"] == "starting")
        self.g.until("again", lambda: self.g.unit("late")["state"] == "failed")
        mark = self.g.mark()
        self.disk.end()
        for i in range(1, 9):  # those that wait get the error; a stopped one hears of nothing
            name = "hang%d" % i
            self.g.until(name, lambda: self.g.unit(name)["state"] == "failed")
            self.assertIn("Transport endpoint is not connected", " ".join(self.g.unit(name)["issues"]))
        self.g.until("no thread is left", lambda: self.threads() == 1)
        self.assertEqual(self.g.unit("hang0")["state"], "inactive")
        self.assertNotIn("hang0", self.g.log[mark:])
        self.assertIn("does not answer", " ".join(self.g.unit("late")["issues"]))


@needs_root
class HangingProbe(unittest.TestCase):
    """The program of an exec probe lies on a disk that does not answer: the probe fails, Guardian and the others go on."""

    def start(self, g):
        disk = DeadDisk(os.path.join(g.dir, "disk"))
        g.start()
        self.addCleanup(lambda: g.__exit__(None, None, None))
        self.addCleanup(disk.end)  # before that nobody could look into the directory
        return disk

    def test_it_fails_and_nobody_else_waits(self):
        health = {"LivenessProbe": "exec:@DIR@/disk/check", "LivenessProbeIntervalSec": "50ms", "LivenessProbeTimeoutSec": "100ms",
                  "LivenessProbeFailureThreshold": "2"}
        g = Guardian({"probed.chunk": service("/bin/sleep 1000", service={"Restart": "always", "RestartMaxDelaySec": "100ms",
                                                                          "StartLimitBurst": "100000"}, health=health),
                      "plain.chunk": service("/bin/sleep 1001", health=dict(health, LivenessProbe="exec:true", LivenessProbeTimeoutSec="30s"))}, core=False)
        disk = self.start(g)
        g.wait_boot()
        g.wait_log("probe failed unit=probed .*no answer in time")
        g.wait_log("unit ended unit=probed .*reason=liveness")
        again = g.mark()  # the next instance's look waits for the one that hangs
        g.wait_log("unit ended unit=probed .*reason=liveness", since=again)
        self.assertEqual((g.unit("plain")["state"], g.unit("plain")["restarts"]), ("running", 0))
        threads = os.listdir("/proc/%d/task" % g.guardian_pid())
        self.assertLessEqual(len(threads), 3, "one that hangs, one of a look of plain's")
        mark = g.mark()
        disk.end()
        g.wait_log("probe failed unit=probed .*(Transport endpoint is not connected|No such file)", since=mark)
        g.stop_clean()

    def test_it_ends_while_one_hangs(self):
        g = Guardian({"probed.chunk": service("/bin/sleep 1000", health={"LivenessProbe": "exec:@DIR@/disk/check"})}, core=False)
        self.start(g)
        g.wait_boot()
        g.until("the look hangs", lambda: len(os.listdir("/proc/%d/task" % g.guardian_pid())) == 2)
        g.stop_clean()


if __name__ == "__main__":
    main()
