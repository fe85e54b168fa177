# SPDX-License-Identifier: Apache-2.0
"""Runs the staged programs end to end: Guardian as PID 1 of fresh namespaces, guardianctl from outside.

As root the namespaces are pid and mount; as an ordinary user a user namespace is added (uid 0 inside). A test waits
for events (a log line, `guardianctl wait`), never for time; deadlines are there only to end a hanging run.
"""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

STAGE = os.environ.get("GUARDIAN_STAGE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/stage")
STAGE = os.path.abspath(STAGE)
GUARDIAN = os.path.join(STAGE, "bin/guardian")
CTL = os.path.join(STAGE, "bin/guardianctl")
ROOT = os.getuid() == 0
DEADLINE = float(os.environ.get("GUARDIAN_TEST_DEADLINE", "60"))


def needs_root(f):
    return unittest.skipUnless(ROOT, "needs root")(f)


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

    def __init__(self, units=None, args=(), core=True, pid1=True, state=None, env=None, prefix=(), stage=None, policies=None):
        self.dir = tempfile.mkdtemp(prefix="gdn-")
        os.chmod(self.dir, 0o755)
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
        with open(os.path.join(self.units, name), "w") as f:
            f.write(text)

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
        return self.ctl("--json", "status").json

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

    def kill_unit(self, name, sig=signal.SIGKILL):
        pid = self.unit(name)["pid"]
        os.kill(self.host_pid(pid), sig)
        return pid

    def signal(self, sig):
        os.kill(self.guardian_pid() if self.pid1 else self.proc.pid, sig)

    def stop(self):
        """Orderly stop; returns Guardian's exit status."""
        if self.proc.poll() is None:
            self.signal(signal.SIGTERM)
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

    # --- the ledger
    def records(self, *filters):
        return self.ctl("--json", "ledger", "query", *filters).lines


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
