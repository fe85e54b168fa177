# SPDX-License-Identifier: Apache-2.0
"""PID 1 where much is missing: /proc, descriptors, a writable root, a passwd entry, cgroups, capabilities, the terminal.

What comes out is looked at from outside; every refusal has a run beside it that lacks nothing and goes well.
"""
import os
import re
import shutil
import signal
import subprocess
import unittest

from harness import GUARDIAN, ROOT, Guardian, copy_stage, main, needs_root, service

UNITS = {"a.chunk": service("/bin/sleep 1000", service={"Restart": "always"})}
SESSIONS = ("sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")  # no cgroup to write to
NO_PROC = ("sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
# What a container engine leaves to root unless it is told otherwise
DOCKER = ("setpriv", "--inh-caps=-all", "--bounding-set=-all," + ",".join("+" + c for c in (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap")))
NO_MOUNT = ("setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin")
UID = 54321


def wrapper(prefix, *command):
    """guardian -- COMMAND as PID 1 of namespaces."""
    ns = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not ROOT:
        ns[1:1] = ["--user", "--map-root-user"]
    return subprocess.run([*ns, *prefix, GUARDIAN, "--", *command], capture_output=True, text=True, timeout=60)


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(re.findall(r"^(\w+):\s*(.*)$", f.read(), re.M))


class Pid1(unittest.TestCase):
    def boots(self, g, core=True):
        """All of it: booted, a unit that crashes comes back, and the stop leaves nothing."""
        g.until("booted", lambda: g.proc.poll() is not None or g.ctl_any("status").code == 0 and
                g.status()["guardian"]["state"] in ("running", "degraded"))
        doc = g.status()
        self.assertEqual((doc["guardian"]["state"], doc["guardian"]["pid"]), ("running", 1))
        self.assertEqual(doc["guardian"]["governance"], "ready" if core else "absent")
        self.assertTrue(all(u["state"] == "running" and not u["issues"] for u in doc["units"]), doc)
        before = g.unit("a")["pid"]
        os.kill(g.host_pid(before), signal.SIGKILL)
        g.until("it came back", lambda: g.unit("a")["state"] == "running" and g.unit("a")["pid"] not in (0, before))
        return doc

    def test_no_proc(self):
        """Mounted, if Guardian may; else refused with a hint. The wrapper needs none."""
        with Guardian(UNITS, prefix=NO_PROC) as g:
            self.boots(g)
            self.assertTrue(os.path.exists("/proc/%d/root/proc/1/status" % g.guardian_pid()))
            g.stop_clean()
        with Guardian(UNITS, prefix=(*NO_PROC, *NO_MOUNT)) as g:
            self.assertEqual(g.wait(), 71)
            self.assertRegex(g.log, r"check=proc .*hint=.*mount")
        self.assertEqual(wrapper((*NO_PROC, *NO_MOUNT), "/bin/sh", "-c", "exit 7").returncode, 7)

    def test_closed_standard_descriptors(self):
        closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
        with Guardian(UNITS, prefix=closed) as g:
            self.boots(g)
            pid = g.guardian_pid()
            self.assertEqual({os.readlink("/proc/%d/fd/%d" % (pid, fd)) for fd in (0, 1, 2)}, {"/dev/null"})
            g.stop_clean()
            self.assertEqual(g.log, "")
        # its command gets three as well: what it opens next is not taken for one of them
        self.assertEqual(wrapper(closed, "/bin/sh", "-c", "test -e /dev/fd/0 -a -e /dev/fd/1 -a -e /dev/fd/2 && exit 3").returncode, 3)

    def test_read_only_root(self):
        read_only = 'mount -o remount,bind,ro / && ! touch %s/x 2>/dev/null && exec "$@"'
        for what, keep, core, status in (("state and runtime", "mount --bind %s %s && ", True, 0), ("nothing", "", True, 71),
                                         ("nothing", "", False, 0)):
            with self.subTest(writable=what, core=core):
                g = Guardian(UNITS, core=core)
                script = read_only % os.path.dirname(g.dir)
                if keep:
                    script = keep % (g.dir, g.dir) + script
                if os.path.ismount("/tmp"):
                    script = "mount -o remount,bind,ro /tmp && " + script if not keep else script
                g.prefix = ["sh", "-c", script, "sh"]
                with g:
                    if status:
                        self.assertEqual(g.wait(), status)
                        self.assertRegex(g.log, r"check=state .*Read-only file system.*hint=")
                        continue
                    if keep:
                        self.boots(g)
                        g.stop_clean()
                        continue
                    g.wait_boot()
                    self.assertRegex(g.log, r"check=runtime .*Read-only file system: no control socket")
                    self.assertEqual(len(g.family()[0]), 2)
                    g.stop_clean()

    def test_uid_without_an_entry(self):
        for prefix in (), SESSIONS:
            with self.subTest(prefix=prefix):
                g = Guardian(UNITS, env={"HOME": "/nonexistent"}, prefix=prefix)
                if ROOT:
                    # a build folder may be root's alone
                    g.program = os.path.join(copy_stage(os.path.join(g.dir, "stage")), "bin/guardian")
                    os.chown(g.dir, UID, UID)
                    g.prefix += ["setpriv", "--reuid=%d" % UID, "--regid=%d" % UID, "--clear-groups", "--inh-caps=-all"]
                elif prefix:
                    shutil.rmtree(g.dir)
                    continue  # without being root inside nothing can be mounted over the cgroups
                else:
                    argv = [a for a in g.argv() if a != "--map-root-user"]
                    argv[2:2] = ["--map-user=%d" % UID, "--map-group=%d" % UID]
                    g.argv = lambda: argv
                with g:
                    self.boots(g)
                    if ROOT:
                        self.assertEqual(status_of(g.guardian_pid())["Uid"].split(), [str(UID)] * 4)
                    self.assertEqual(int(status_of(g.guardian_pid())["CapEff"], 16), 0)
                    g.stop_clean()

    def test_no_cgroup(self):
        with Guardian(UNITS, prefix=SESSIONS) as g:
            self.assertEqual(self.boots(g)["guardian"]["containment"], "session")
            g.stop_clean()

    def test_descriptor_limit(self):
        """64 are refused, and the hint's own figure is the smallest that does."""
        def limited(n):
            return Guardian(UNITS, prefix=("prlimit", "--nofile=%d:%d" % (n, n)))

        with limited(64) as g:
            self.assertEqual(g.wait(), 71)
            need, have = map(int, re.search(r"check=descriptors reason=\"(\d+) descriptors for 6 units, (\d+) allowed", g.log).groups())
            self.assertIn("raise the limit of open files", g.log)
        enough = need + 64 - have  # Guardian keeps some for itself
        with limited(enough - 1) as g:
            self.assertEqual(g.wait(), 71)
        with limited(enough) as g:
            self.boots(g)
            g.stop_clean()

    @needs_root
    def test_capabilities_of_a_container(self):
        """A unit with User= starts, and what it leaves in a session of its own is seen, though its environment is not root's."""
        orphan = "/bin/sh -c 'setsid sh -c \"sleep 4711 & exit 0\"; echo left; exec sleep 1000'"
        units = dict(UNITS, **{"u.chunk": service(orphan, service={"User": "65534", "TimeoutStopSec": "2s"}),
                               "v.chunk": service("/bin/sleep 1001", service={"User": "65534"}),
                               "b.chunk": service("/bin/sleep 1002", sandbox={"Profile": "auto"})})
        for prefix in (DOCKER, (*SESSIONS, *DOCKER)):
            with self.subTest(prefix=prefix[0]), Guardian(units, prefix=prefix) as g:
                g.wait_log("u: left")
                self.boots(g)
                self.assertEqual(status_of(g.guardian_pid())["CapEff"], "00000000a80425fb")
                self.assertTrue(all(u["sandbox"]["verified"] for u in g.status()["units"] if u["sandbox"]["profile"] == "base"))
                self.assertEqual(status_of(g.host_pid(g.unit("u")["pid"]))["Uid"].split(), ["65534"] * 4)
                left = [p for p in g.family()[0] if cmdline(p) == b"sleep\x004711\0"]
                self.assertEqual(len(left), 1)
                g.ctl("stop", "u")
                self.assertFalse(os.path.exists("/proc/%d" % left[0]), "the orphan of u outlived its unit")
                self.assertEqual(g.unit("v")["state"], "running")
                g.stop_clean()


    @needs_root
    def test_user_and_sandbox_of_a_container(self):
        """User= with Profile=auto: ids, groups and no_new_privs are the planned ones, in /proc and in status; its orphans end with it.

        Without a cgroup an orphan with a session of its own and nothing in its environment is nobody's: it holds no unit up, and
        ends with Guardian.
        """
        leaves = "/bin/sh -c 'setsid sh -c \"%s sleep 4712 & exit 0\"; echo left; exec sleep 1003'"
        units = dict(UNITS)
        for name, ids, env in (("u", {"User": "65534", "Group": "54321", "SupplementaryGroups": "54322"}, ""),
                               ("bare", {"User": "54323"}, "env -i")):  # whose orphan has nothing of its unit's environment
            units[name + ".chunk"] = service(leaves % env, service=dict(ids, Restart="always", TimeoutStopSec="2s"),
                                             sandbox={"Profile": "auto"})
        for prefix in (DOCKER, (*SESSIONS, *DOCKER)):
            with self.subTest(prefix=prefix[0]), Guardian(units, prefix=prefix) as g:
                for name in ("u", "bare"):
                    g.wait_log(name + ": left")
                self.boots(g)
                self.confined(g, "u", uid=65534, gid=54321, groups={"54321", "54322"})
                self.confined(g, "bare", uid=54323, gid=0, groups={"0"})
                sure = g.status()["guardian"]["containment"] == "cgroup"
                self.assertEqual(sure, prefix is DOCKER)
                for end in ("stop", "kill"):
                    for name in ("u", "bare"):
                        with self.subTest(end=end, unit=name):
                            self.orphan_ends(g, name, end, sure or name == "u")
                g.stop_clean()

    def confined(self, g, name, uid, gid, groups):
        unit, sandbox = g.unit(name), g.unit(name)["sandbox"]
        self.assertEqual((sandbox["profile"], sandbox["verified"], sandbox["missing"]), ("base", True, []))
        found = {c["key"]: (c["planned"], c["found"]) for c in sandbox["checks"]}
        self.assertTrue(all(planned == got for planned, got in found.values()), found)
        for pid in self.all_of(g, name):
            with self.subTest(unit=name, program=cmdline(pid)):
                status = status_of(pid)
                self.assertEqual((status["Uid"].split(), status["Gid"].split()), ([str(uid)] * 4, [str(gid)] * 4))
                self.assertLessEqual(set(status["Groups"].split()), groups)
                self.assertEqual(status["NoNewPrivs"], "1")
                self.assertEqual([int(status["Cap" + s], 16) for s in ("Eff", "Prm", "Inh", "Amb")], [0] * 4)
        self.assertEqual(found["NoNewPrivs"], ("1", "1"))
        self.assertEqual(unit["issues"], [])

    def all_of(self, g, name):
        """The unit's main process and its orphan: they run as nobody else does."""
        uid = status_of(g.host_pid(g.unit(name)["pid"]))["Uid"]
        found = [p for p in g.family()[0] if status_of(p)["Uid"] == uid]
        self.assertGreaterEqual(len(found), 2, [cmdline(p) for p in found])
        return found

    def orphan_ends(self, g, name, end, sure):
        before, mark = self.all_of(g, name), g.mark()
        if end == "stop":
            g.ctl("stop", name)
            self.assertTrue(not sure or not [p for p in before if cmdline(p)], "what %s left outlived it" % name)
            g.ctl("start", name)
        else:
            g.kill_unit(name)
        g.wait_log(name + ": left", since=mark)
        self.assertTrue(not sure or not [p for p in before if cmdline(p)], "what %s left is beside the next instance" % name)
        g.wait_unit(name, "running")


def cmdline(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read()
    except OSError:
        return b""


class Terminal(unittest.TestCase):
    """Guardian is what leads the session of a terminal, as under `docker run -it`; then the terminal is closed."""

    def on_terminal(self, g, argv):
        """Started with a terminal as its 0 to 2; the pipe, on which nobody writes, stands in for its output."""
        ours, its = os.openpty()
        quiet, end = os.pipe()
        self.addCleanup(os.close, end)
        os.set_blocking(quiet, False)
        ns = argv.index("--mount-proc") + 1
        argv = argv[:ns] + ["setsid", "--ctty"] + argv[ns:]
        g.proc = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, env=g.env, start_new_session=True)
        g.proc.stdout = os.fdopen(quiet, "rb", buffering=0)
        os.close(its)
        return ours

    def test_set(self):
        g = Guardian(UNITS)
        ours = self.on_terminal(g, g.argv())
        with open_guardian(g):
            seen = b""
            while b"boot finished" not in seen:
                seen += os.read(ours, 65536)
            with open("/proc/%d/stat" % g.guardian_pid()) as f:
                self.assertNotEqual(f.read().rsplit(")", 1)[1].split()[4], "0", "it has a terminal")
            os.close(ours)
            for _ in range(3):  # each says something on a terminal that is gone
                before = g.unit("a")["pid"]
                g.ctl("restart", "a")
                self.assertNotEqual(g.wait_unit("a", "running")["pid"], before)
            g.stop_clean()

    def test_wrapper_passes_the_hangup_on(self):
        g = Guardian({})
        argv = g.argv()
        argv = argv[:argv.index("--mount-proc") + 1] + [GUARDIAN, "--", "/bin/sh", "-c", "trap 'exit 9' HUP; echo up; while :; do sleep 0.1; done"]
        ours = self.on_terminal(g, argv)
        with open_guardian(g):
            seen = b""
            while b"up" not in seen:
                seen += os.read(ours, 65536)
            os.close(ours)
            self.assertEqual(g.proc.wait(60), 9)


class open_guardian:
    """The end of a Guardian that is started already."""

    def __init__(self, g):
        self.g = g

    def __enter__(self):
        return self.g

    def __exit__(self, *exc):
        return self.g.__exit__(*exc)


if __name__ == "__main__":
    main()
