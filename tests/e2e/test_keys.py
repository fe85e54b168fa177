# SPDX-License-Identifier: Apache-2.0
"""Keys of a unit file, by what its processes then are and may: outputs, limits, the watchdog, the mesh."""
import os
import re
import sys
import unittest

from harness import STAGE, Guardian, main, service

SAYS = '/bin/sh -c "echo out; echo err >&2; exec sleep 1000"'
# tells what it was given, then beats once, then says by itself that it hangs
DOG = """
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
print("usec=" + os.environ["WATCHDOG_USEC"], flush=True)
s.send(b"STATUS=well\\nWATCHDOG=1\\nREADY=1")
sys.stdin.close()
open(sys.argv[1]).close()  # a FIFO: until somebody writes to it
s.send(b"WATCHDOG=trigger")
while True:
    time.sleep(1000)
"""


def read(path):
    with open(path) as f:
        return f.read()


class Outputs(unittest.TestCase):
    def one(self, keys, files=()):
        g = Guardian({"says.chunk": service(SAYS, service=keys)}, core=False)
        for name, text in files:
            with open(os.path.join(g.dir, name), "w") as f:
                f.write(text)
        return g

    def test_file(self):
        """From its beginning, and what stands behind is kept; standard error goes there too."""
        with self.one({"StandardOutput": "file:@DIR@/out"}, [("out", "0123456789\n")]) as g:
            g.wait_boot()
            g.until("both lines", lambda: read(os.path.join(g.dir, "out")) == "out\nerr\n89\n")
            self.assertNotIn("says: out", g.log)
            self.assertEqual(g.ctl("logs", "says").out, "")

    def test_append(self):
        with self.one({"StandardOutput": "append:@DIR@/out", "StandardError": "append:@DIR@/%N.err"}, [("out", "before\n")]) as g:
            g.wait_boot()
            g.until("out", lambda: read(os.path.join(g.dir, "out")) == "before\nout\n")
            g.until("err", lambda: read(os.path.join(g.dir, "says.err")) == "err\n")
            self.assertEqual(os.stat(os.path.join(g.dir, "says.err")).st_mode & 0o137, 0)  # nobody else's to read

    def test_null_and_log(self):
        with self.one({"StandardOutput": "null", "StandardError": "log"}) as g:
            g.wait_log("says: err")
            self.assertEqual(os.readlink("/proc/%d/fd/1" % g.host_pid(g.unit("says")["pid"])), "/dev/null")
            self.assertEqual(g.ctl("logs", "says").out.count("\n"), 1)
            self.assertNotIn("says: out", g.log)

    def test_inherit(self):
        """Guardian's own, without a name in front, and without a copy for `logs`."""
        with self.one({"StandardOutput": "inherit", "StandardError": "log"}) as g:
            g.wait_log("(?m)^out$")
            g.wait_log("says: err")
            self.assertEqual(g.ctl("logs", "says").out.count("\n"), 1)

    def test_a_file_that_can_not_be_opened(self):
        with self.one({"StandardOutput": "file:@DIR@/none/out"}) as g:
            g.wait_log(r"boot aborted unit=says reason=.*can't be started: output: No such file or directory")
            self.assertEqual(g.wait(), 75)


class Limits(unittest.TestCase):
    def test_limits(self):
        keys = {"LimitNOFILE": "100:200", "LimitCORE": "0", "LimitFSIZE": "infinity", "LimitSTACK": "1048576"}
        with Guardian({"lim.chunk": service("/bin/sleep 1000", service=keys), "free.chunk": service("/bin/sleep 1000")}, core=False) as g:
            g.wait_boot()

            def limits(name):
                text = read("/proc/%d/limits" % g.host_pid(g.unit(name)["pid"]))
                return {k.strip(): tuple(v.split()) for k, v in re.findall(r"(?m)^(Max [a-z ]+?)  +(\S+ +\S+)", text)}

            got, free = limits("lim"), limits("free")
            self.assertEqual(got["Max open files"], ("100", "200"))
            self.assertEqual(got["Max core file size"], ("0", "0"))
            self.assertEqual(got["Max file size"], ("unlimited", "unlimited"))
            self.assertEqual(got["Max stack size"], ("1048576", "1048576"))
            # without a key the soft limit is what Guardian was started with, not the one that it raised for itself
            self.assertEqual(free["Max open files"][0], read("/proc/self/limits").split("Max open files")[1].split()[0])


class Watchdog(unittest.TestCase):
    def test_watchdog(self):
        dog = service("%s @DIR@/dog.py @DIR@/hang" % sys.executable,
                      service={"Type": "notify", "WatchdogSec": "1h", "Restart": "always", "RestartSec": "10ms"})
        g = Guardian({"dog.chunk": dog}, core=False)
        with open(os.path.join(g.dir, "dog.py"), "w") as f:
            f.write(DOG)
        os.mkfifo(os.path.join(g.dir, "hang"))
        os.chmod(os.path.join(g.dir, "hang"), 0o666)
        with g:
            g.wait_boot()
            g.wait_log("dog: usec=3600000000")
            u = g.unit("dog")
            self.assertEqual((u["state"], u["status"], u["restarts"]), ("running", "well", 0))
            open(os.path.join(g.dir, "hang"), "w").close()
            again = g.until("a new one", lambda: (lambda d: d if d["restarts"] == 1 and d["state"] == "running" else None)(g.unit("dog")))
            self.assertNotEqual(again["pid"], u["pid"])
            self.assertEqual(again["last_exit"]["reason"], "watchdog")

    def test_silence(self):
        """No beat at all: the deadline ends it, and the next one is started."""
        mute = service("%s @DIR@/mute.py" % sys.executable,
                       service={"Type": "notify", "WatchdogSec": "50ms", "Restart": "always", "RestartSec": "1ms", "StartLimitBurst": "100000"})
        g = Guardian({"mute.chunk": mute}, core=False)
        with open(os.path.join(g.dir, "mute.py"), "w") as f:
            f.write(DOG.replace("WATCHDOG=1\\n", "").replace("open(sys.argv[1]).close()", "time.sleep(1000)"))
        with g:
            g.wait_boot()
            g.wait_log("unit ended unit=mute")
            u = g.until("a restart", lambda: (lambda d: d if d["restarts"] else None)(g.unit("mute")))
            self.assertEqual(u["last_exit"]["reason"], "watchdog")


EARS = """
import sys
sys.path.insert(0, sys.argv[1])
from mesh_client import Mesh
with Mesh() as mesh:
    mesh.subscribe("job.*")
    print("subscribed", flush=True)
    for e in mesh.events():
        print("heard", e["source"], e["type"], e["payload"]["n"], flush=True)
"""
MOUTH = """
import sys
sys.path.insert(0, sys.argv[1])
from mesh_client import Mesh
n = 0
while True:
    open(sys.argv[2]).close()  # a FIFO: until somebody writes to it
    n += 1
    with Mesh() as mesh:
        print("index", mesh.publish("job.done", {"n": n}), flush=True)
        try:
            mesh.publish("other.done", {})
        except RuntimeError as e:
            print("refused", e, flush=True)
"""
EXAMPLES = os.path.join(STAGE, "share/guardian/examples")


class MeshSocket(unittest.TestCase):
    def test_units_speak_over_the_mesh(self):
        """Links=mesh, Publishes=, Subscribes=: a socket of its own, which outlives the mesh."""
        units = {name + ".chunk": service("%s @DIR@/%s.py %s @DIR@/go" % (sys.executable, name, EXAMPLES),
                                          service={"Restart": "always", "RestartSec": "1ms", "StartLimitBurst": "1000"},
                                          chunk={"Links": "mesh", "CanFail": "yes", key: "job.*"})
                 for name, key in (("ears", "Subscribes"), ("mouth", "Publishes"))}
        g = Guardian(units)
        for name, text in (("ears", EARS), ("mouth", MOUTH)):
            with open(os.path.join(g.dir, name + ".py"), "w") as f:
                f.write(text)
        os.mkfifo(os.path.join(g.dir, "go"))
        os.chmod(os.path.join(g.dir, "go"), 0o666)
        with g:
            g.wait_boot()
            g.wait_log("ears: subscribed")
            open(os.path.join(g.dir, "go"), "w").close()
            index = int(g.wait_log(r"mouth: index (\d+)")[1])
            g.wait_log("mouth: refused E.FORBIDDEN")
            g.wait_log("ears: heard mouth job.done 1")
            (row,) = [r for r in g.records("--kind", "event") if r["action"] == "job.done"]
            self.assertEqual((row["index"], row["actor"]), (index, "mouth"))
            mark = g.mark()
            g.kill_unit("mesh")
            g.wait_log("ears: subscribed", since=mark)
            open(os.path.join(g.dir, "go"), "w").close()
            g.wait_log("ears: heard mouth job.done 2", since=mark)


if __name__ == "__main__":
    main()
