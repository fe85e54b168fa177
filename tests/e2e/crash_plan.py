# SPDX-License-Identifier: Apache-2.0
"""What crash.py kills and when: the units of a run, what a process is by its command line, and the points of a seed."""
import collections
import os
import random
import re
import signal

from harness import CORE, STAGE, service

PHASES = ("boot", "run", "healing", "stop")
LEAKY = os.path.join(STAGE, "share/guardian/examples/bin/leaky.py")
MAIN = {"leak": "/usr/bin/python3 -u %s 48 48" % LEAKY, "tree": "/bin/sh -c ': tree; sleep 1001 & sleep 1001 & wait'",
        "probed": "/bin/sleep 1002", "plain": "/bin/sleep 1003", "crashing": "/bin/sh -c 'sleep 0.7; exit 1'"}
HEALED = ("leak", "plain", "leak", "tree", "leak", "probed")
UNITS = {
    # its growth is an anomaly a second after each start; critical: each healing waits for an approval
    "leak": service(MAIN["leak"], chunk={"CanFail": "yes", "Critical": "yes", "Heal": "restart_service"}, service={"Restart": "always"}),
    "tree": service(MAIN["tree"], chunk={"Heal": "restart_service"}, service={"Restart": "always"}),
    "probed": service(MAIN["probed"], chunk={"CanFail": "yes", "Heal": "restart_service"},
                      service={"Restart": "always", "ExecStartPre": "/bin/sleep 0.051"},
                      health={"LivenessProbe": "exec:/bin/sleep 0.052", "LivenessProbeIntervalSec": "200ms"}),
    "plain": service(MAIN["plain"], chunk={"Heal": "restart_service"}, service={"Restart": "always"}),
    "crashing": service(MAIN["crashing"], chunk={"CanFail": "yes"}, service={"Restart": "always", "StartLimitBurst": "4"}),
}
FILES = {n + ".chunk": t for n, t in UNITS.items()}
FILES["validators.chunk.d/once.conf"] = "[Chunk]\nStartRetries=1\n"  # a start that fails twice: the boot ends degraded
DETECTORS = """apiVersion: guardian/detectors.v1
detectors:
  memory_growth: {enabled: true, severity: high, settle: 100ms, interval: 100ms, window: 300ms, windows: 3, needed: 2,
                  min_rate: 1M, min_growth: 16M, verify_percent: 50}
"""
# what a process is, by its command line
KNOWN = {b"sleep\x000.051": "pre", b"sleep\x000.052": "probe", b"sleep\x001001": "tree:child", b"sleep\x000.7": "crashing:child"}
KNOWN.update({b"/bin/" + k: v for k, v in KNOWN.items() if v in ("pre", "probe")})
for _name, _command in MAIN.items():
    _argv = re.findall(r"'([^']*)'|(\S+)", _command)
    KNOWN["\0".join(a or b for a, b in _argv).encode()] = _name
SERVICES = tuple(MAIN) + ("tree:child",)
HELPERS = ("check", "compile", "spawn")  # guardian-NAME --check, guardian-compile, and what is cloned and has not called exec
VICTIMS = {  # by weight
    "boot": CORE * 3 + ("validators",) * 4 + HELPERS * 3 + ("pre",) * 2 + SERVICES + ("guardian",) * 4,
    "run": CORE * 3 + SERVICES * 2 + ("probe", "pre") * 2 + ("guardian",) * 3,
    "healing": CORE * 4 + SERVICES + ("guardian",) * 4,
    "stop": CORE * 3 + SERVICES + ("guardian",) * 3,
}
Proc = collections.namedtuple("Proc", "pid start state session what")
Point = collections.namedtuple("Point", "phase victim moment amount times")


def plan(seed, number):
    """The points of one run, which is two to three lives of Guardian on one state directory."""
    rng = random.Random("%d:%d" % (seed, number))
    points = []
    for _ in range(rng.randint(2, 3)):
        phases = ["boot"] + sorted(rng.choices(("run", "healing"), k=rng.randint(2, 4)), key=lambda _: rng.random()) + ["stop"]
        for phase in phases:
            victim = rng.choice(VICTIMS[phase])
            moment = rng.choice(("lines", "delay", "switches"))
            amount = {"lines": rng.randint(0, 24 if phase == "boot" else 6),
                      "delay": rng.random() * {"boot": 0.25, "stop": 0.03}.get(phase, 0.06),
                      "switches": rng.randint(1, 8 if phase == "stop" else 30)}[moment]
            if victim == "spawn":  # it lives for a millisecond, before the first line of the log or between two
                moment, amount = "delay", rng.random() * 0.1
            # what dies again and again as it starts: the boot is undone
            times = rng.choice((1, 8, 8)) if phase == "boot" and victim in CORE + HELPERS else 1
            points.append(Point(phase, victim, moment, amount, times))
    return rng.random() < 0.25, points


def classify(argv):
    argv = argv.rstrip(b"\0")
    name = os.path.basename(argv.split(b"\0")[0]).decode("utf-8", "replace")
    if name == "guardian-compile":
        return "compile"
    if name.startswith("guardian-"):
        return "check" if b"\0--check" in argv else name[len("guardian-"):]
    return "spawn" if name in ("guardian", "unshare") else KNOWN.get(argv)


def fields(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()


def alive(pid, start):
    try:
        f = fields(pid)
        return f[0] not in "ZX" and f[19] == start
    except OSError:
        return False


def end_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return pids


def now_is(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return classify(f.read())
    except OSError:
        return None


def descendants(guardian):
    found, todo = [], [guardian]
    while todo:
        pid = todo.pop()
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                todo += [int(x) for x in f.read().split()]
            if pid == guardian:
                continue
            what, f = now_is(pid), fields(pid)
            found.append(Proc(pid, f[19], f[0], f[3], what))
        except OSError:
            continue
    return found
