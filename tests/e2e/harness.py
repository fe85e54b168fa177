# SPDX-License-Identifier: Apache-2.0
"""Runs the staged programs end to end: Guardian as PID 1 of fresh namespaces, guardianctl from outside.

As root the namespaces are pid and mount; as an ordinary user a user namespace is added (uid 0 inside). A test waits
for events (a log line, `guardianctl wait`), never for time; deadlines are there only to end a hanging run.
"""
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import wire

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from jsonschema_min import check_cli  # noqa: E402

STAGE = os.environ.get("GUARDIAN_STAGE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/stage")
STAGE = os.path.abspath(STAGE)
GUARDIAN = os.path.join(STAGE, "bin/guardian")
CTL = os.path.join(STAGE, "bin/guardianctl")
PUPPET = os.environ.get("GUARDIAN_PUPPET") or os.path.join(STAGE, "../tests/e2e/puppet")
PUPPET = os.path.abspath(PUPPET)
ROOT = os.getuid() == 0
CORE = ("ledger", "governance", "mesh", "immune", "validators")
DEADLINE = float(os.environ.get("GUARDIAN_TEST_DEADLINE", "60"))


def needs_root(f):
    return unittest.skipUnless(ROOT, "needs root")(f)


class Puppet:
    """Listens for the instances of a puppet unit (puppet.c) and speaks for each over its control pipe."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.sock.listen(16)
        self.sock.settimeout(DEADLINE)
        self.peers = []

    def accept(self):
        """The control pipe of the next instance, HELLO read; .hello has its fields."""
        conn, _ = self.sock.accept()
        with conn:
            conn.settimeout(DEADLINE)
            _, fds, _, _ = socket.recv_fds(conn, 1, 1)
        peer = wire.Peer(socket.socket(fileno=fds[0]))
        peer.hello = peer.expect("HELLO")
        self.peers.append(peer)
        return peer

    def validated(self, **fields):
        """The next instance, having answered everything rightly."""
        peer = self.accept()
        peer.send("READY")
        answer(peer, **fields)
        return peer

    def close(self):
        self.sock.close()
        for p in self.peers:
            p.close()


def answer(peer, **fields):
    """Takes the challenge and answers it rightly, but for what fields say."""
    nonce = peer.expect("CHALLENGE")["NONCE"]
    fields = dict({"NONCE": nonce, "PROOF": wire.proof(peer.hello, nonce)}, **fields)
    peer.send("CHALLENGE_REPLY", **fields)


def link(peer, unit):
    """The next link to that unit that Guardian sends over a control pipe, as a Peer."""
    got = peer.expect("LINK", UNIT=unit)
    other = wire.Peer(socket.socket(fileno=got["fd"]))
    other.fields = got
    return other


def copy_stage(to, programs=None):
    """A copy of the stage. programs: {name: file} go beside the chunks and into the manifest."""
    shutil.copytree(STAGE, to)
    with open(os.path.join(to, "lib/guardian/manifest"), "a") as manifest:
        for name, path in (programs or {}).items():
            shutil.copy(path, os.path.join(to, "libexec/guardian", name))
            with open(path, "rb") as f:
                manifest.write("%s  %s\n" % (hashlib.sha256(f.read()).hexdigest(), name))
    return to


def mounts():
    with open("/proc/self/mountinfo") as f:
        return sorted(line.split()[4] for line in f)


class CtlResult:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __repr__(self):
        return "exit %d\nout: %s\nerr: %s" % (self.code, self.out[-2000:], self.err[-2000:])


class Guardian:
    """One run. units: {file name: text}. Use as a context manager; at the end nothing may be left."""

    def __init__(self, units=None, args=(), core=True, pid1=True, state=None, env=None, prefix=(), stage=None,
                 policies=None, puppets=(), puppet_stage=False):
        """units: {file: text}, @DIR@ in a text is this run's directory. puppets: names whose .puppet() is listened for.
        puppet_stage: runs from a copy of the stage whose manifest knows `puppet`, so that core units can be puppets."""
        self.dir = tempfile.mkdtemp(prefix="gdn-")
        os.chmod(self.dir, 0o755)
        self.puppets = {n: Puppet(os.path.join(self.dir, n + ".sock")) for n in puppets}
        if puppet_stage:
            stage = copy_stage(os.path.join(self.dir, "stage"), {"puppet": PUPPET})
        self.stage = stage
        self.state = state or os.path.join(self.dir, "state")
        self.runtime = os.path.join(self.dir, "run")
        self.units = os.path.join(self.dir, "units")
        os.mkdir(self.units)
        for name, text in (units or {}).items():
            self.write_unit(name, text)
        self.core, self.pid1, self.prefix = core, pid1, list(prefix)
        self.args = list(args)
        if policies:
            self.args += ["--policies", policies]
        self.env = dict(os.environ, **(env or {}))
        self.program = os.path.join(stage, "bin/guardian") if stage else GUARDIAN
        self.log = ""
        self.proc = None

    def write_unit(self, name, text):
        os.makedirs(os.path.dirname(os.path.join(self.units, name)), exist_ok=True)
        with open(os.path.join(self.units, name), "w") as f:
            f.write(text.replace("@DIR@", self.dir))

    def puppet(self, name):
        return self.puppets[name]

    def argv(self):
        argv = [self.program, "--state", self.state, "--runtime", self.runtime, "--units", self.units]
        if not self.core:
            argv.append("--no-core")
        argv += self.args
        if self.pid1:
            ns = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
            if not ROOT:
                ns[1:1] = ["--user", "--map-root-user"]
            argv = ns + self.prefix + argv
        else:
            argv = self.prefix + argv
        return argv

    def start(self):
        self.proc = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, env=self.env, start_new_session=True)
        os.set_blocking(self.proc.stdout.fileno(), False)
        return self

    __enter__ = start

    def __exit__(self, *exc):
        try:
            if self.proc and self.proc.poll() is None:
                self.stop()
        finally:
            if self.proc and self.proc.poll() is None:
                os.killpg(self.proc.pid, signal.SIGKILL)
                self.proc.wait()
            if self.proc:
                self._read()
                self.proc.stdout.close()
            for p in self.puppets.values():
                p.close()
            if exc and exc[0]:
                print("--- guardian's log\n" + self.log[-12000:])
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- the log
    def _read(self):
        got = False
        while True:
            try:
                data = os.read(self.proc.stdout.fileno(), 65536)
            except BlockingIOError:
                return got
            if not data:
                return got
            self.log += data.decode("utf-8", "replace")
            got = True

    def wait_log(self, pattern, since=0, deadline=None):
        """Waits for a regular expression in Guardian's output; returns the match."""
        end = time.monotonic() + (deadline or DEADLINE)
        rx = re.compile(pattern)
        while True:
            self._read()
            m = rx.search(self.log, since)
            if m:
                return m
            left = end - time.monotonic()
            if left <= 0 or self.proc.poll() is not None:
                self._read()
                m = rx.search(self.log, since)
                if m:
                    return m
                raise AssertionError("no %r in the log (guardian %s):\n%s" % (
                    pattern, "runs" if self.proc.poll() is None else "ended %s" % self.proc.returncode, self.log[-6000:]))
            select.select([self.proc.stdout], [], [], min(left, 1))

    def until(self, what, check, deadline=None):
        """Asks check() until it is true, looking again whenever Guardian said something and at least 20 times a second."""
        end = time.monotonic() + (deadline or DEADLINE)
        while True:
            got = check()
            if got:
                return got
            if time.monotonic() > end:
                self._read()
                raise AssertionError("not in time: %s\n%s" % (what, self.log[-6000:]))
            select.select([self.proc.stdout], [], [], 0.05)
            self._read()

    def mark(self):
        """End of the log so far, for wait_log(since=)."""
        self._read()
        return len(self.log)

    def wait_boot(self):
        return self.wait_log(r"boot (finished|degraded)")

    # --- guardianctl
    def ctl(self, *args, code=0, input=None, timeout=DEADLINE):
        r = self.ctl_any(*args, input=input, timeout=timeout)
        if code is not None and r.code != code:
            self._read()
            raise AssertionError("guardianctl %s: expected %s, got %r\nlog:\n%s" % (" ".join(args), code, r, self.log[-4000:]))
        return r

    def ctl_any(self, *args, input=None, timeout=DEADLINE):
        p = subprocess.run([CTL, "--runtime", self.runtime, "--state", self.state, *args], capture_output=True, text=True,
                           input=input, timeout=timeout)
        return CtlResult(p.returncode, p.stdout, p.stderr)

    def status(self):
        """Every document that a test looks at fits its schema, and has no member that is not described there."""
        document = self.ctl("--json", "status").json
        problems = check_cli("status", document, strict=True)
        assert not problems, problems
        return document

    def unit(self, name):
        for u in self.status()["units"]:
            if u["name"] == name:
                return u
        raise AssertionError("no unit " + name)

    def wait_unit(self, name, state, deadline=None):
        self.ctl("--timeout", "%ds" % int(deadline or DEADLINE), "wait", name, "--state", state)
        return self.unit(name)

    # --- processes, seen from outside
    def host_pid(self, ns_pid):
        """The pid outside of the namespace of a process that Guardian calls ns_pid."""
        if not self.pid1:
            return ns_pid
        ns = os.readlink("/proc/%d/ns/pid" % self.guardian_pid())
        for d in os.listdir("/proc"):
            if not d.isdigit():
                continue
            try:
                if os.readlink("/proc/%s/ns/pid" % d) != ns:
                    continue
                with open("/proc/%s/status" % d) as f:
                    m = re.search(r"^NSpid:\s*(.*)$", f.read(), re.M)
                if m and int(m.group(1).split()[-1]) == ns_pid:
                    return int(d)
            except OSError:
                continue
        raise ProcessLookupError(ns_pid)

    def guardian_pid(self):
        """Guardian's own pid as seen from outside."""
        if not self.pid1:
            return self.proc.pid
        with open("/proc/%d/task/%d/children" % (self.proc.pid, self.proc.pid)) as f:
            kids = f.read().split()
        return int(kids[0])

    def is_guardian(self):
        """Guardian has passed exec and the first lines of main(): SIGTERM is held, or has its handler."""
        try:
            with open("/proc/%d/status" % self.guardian_pid()) as f:
                text = f.read()
            return text.startswith("Name:\tguardian\n") and any(
                int(x, 16) & 1 << signal.SIGTERM - 1 for x in re.findall(r"Sig(?:Blk|Cgt):\s*(\S+)", text))
        except (OSError, IndexError):
            return False

    def kill_unit(self, name, sig=signal.SIGKILL):
        pid = self.unit(name)["pid"]
        os.kill(self.host_pid(pid), sig)
        return pid

    def signal(self, sig):
        os.kill(self.guardian_pid() if self.pid1 else self.proc.pid, sig)

    def stop(self):
        """Orderly stop; returns Guardian's exit status."""
        if self.proc.poll() is None:
            # before that it could not know that it is to stop
            self.until("guardian runs", lambda: self.proc.poll() is not None or "guardian: " in self.log or self.is_guardian())
            try:
                self.signal(signal.SIGTERM)
            except (IndexError, ProcessLookupError):
                pass  # it ended by itself, and unshare is about to
        return self.wait()

    def wait(self):
        end = time.monotonic() + DEADLINE
        while self.proc.poll() is None:
            if time.monotonic() > end:
                raise AssertionError("guardian does not end:\n" + self.log[-6000:])
            select.select([self.proc.stdout], [], [], 1)
            if not self._read() and self.proc.poll() is None:
                try:
                    self.proc.wait(0.05)
                except subprocess.TimeoutExpired:
                    pass
        self._read()
        return self.proc.returncode

    # --- what is left, seen from outside
    def family(self):
        """Guardian and all that descends from it: {pid: start time}, and the cgroups its units are in."""
        found, cgroups, todo = {}, set(), [self.guardian_pid()]
        while todo:
            pid = todo.pop()
            try:
                with open("/proc/%d/stat" % pid) as f:
                    found[pid] = f.read().rsplit(")", 1)[1].split()[19]
                with open("/proc/%d/cgroup" % pid) as f:
                    cgroups.update(re.findall(r"^0::.*/(guardian-[0-9a-f]+)", f.read(), re.M))
                with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                    todo += [int(x) for x in f.read().split()]
            except OSError:
                continue
        return found, cgroups

    def stop_clean(self, expect=0):
        """Stops in order and looks from outside: no process, socket, mount or cgroup of this run may be left."""
        before, (family, cgroups) = mounts(), self.family()
        assert len(family) > 1, "no family to look for"
        status = self.stop()
        assert status == expect, "status %s, not %s\n%s" % (status, expect, self.log[-4000:])
        left = []
        for pid, start in family.items():
            try:
                with open("/proc/%d/stat" % pid) as f:
                    if f.read().rsplit(")", 1)[1].split()[19] == start:
                        left.append("process %d" % pid)
            except OSError:
                pass
        for folder, _, names in os.walk(self.runtime):
            left += ["file " + os.path.join(folder, n) for n in names]
        if self.dir in " ".join(set(mounts()) - set(before)):
            left.append("mounts %s" % (set(mounts()) - set(before)))
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            left += ["cgroup " + os.path.join(folder, n) for n in names if n in cgroups]
        assert not left, "left behind: %s" % left

    def descriptors(self):
        """Number of Guardian's open descriptors."""
        return len(os.listdir("/proc/%d/fd" % self.guardian_pid()))

    def order_of_ends(self, since=0):
        """Units in the order in which they ended."""
        self._read()
        return re.findall(r"unit ended unit=(\S+)", self.log[since:])

    # --- the ledger
    def records(self, *filters):
        return self.ctl("--json", "ledger", "query", *filters).lines

    def verify(self, code=None, state=None):
        """The ledger is whole; while it is written its last records may not be signed yet (status 2), unless code=0."""
        r = self.ctl("--json", "--state", state or self.state, "ledger", "verify", code=code)
        # 2: good up to an unsigned tail, or to one that is being written, or was cut by a kill, right behind the last entry
        assert r.code in (0, 2) and r.json["first_bad_index"] in (None, r.json["entries"]), r
        return r.json


def puppet_unit(name, program=None, type="chunk", **keys):
    """Text of a unit that runs the puppet; the test speaks for it through g.puppet(name)."""
    keys["service"] = dict({"Type": type}, **keys.get("service", {}))
    return service("%s @DIR@/%s.sock" % (program or PUPPET, name), **keys)


def service(command, **keys):
    """Text of a small unit: service("sleep 1000", chunk={"CanFail": "yes"}, service={"Restart": "always"})."""
    text = ""
    for section in ("unit", "chunk", "service", "health", "sandbox"):
        kv = keys.get(section, {})
        if section == "service":
            kv = dict(kv, ExecStart=command)
        if kv:
            text += "[%s]\n" % section.capitalize() + "".join("%s=%s\n" % i for i in kv.items())
    return text


def main():
    unittest.main(verbosity=2)
