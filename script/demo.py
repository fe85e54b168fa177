#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""script/demo: boots a governed set as PID 1 of its own namespaces and watches it heal. Every step is checked; a step that is not
observed ends the demo with status 1 and Guardian's log."""
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

STAGE = os.path.abspath(sys.argv[1])
CTL = os.path.join(STAGE, "bin/guardianctl")
PATIENCE = 120  # seconds for one step, on a slow machine


class Missing(Exception):
    pass


def say(text):
    print("\n\033[1m== %s\033[0m" % text if sys.stdout.isatty() else "\n== " + text, flush=True)


class Demo:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="guardian-demo-")
        os.chmod(self.dir, 0o755)
        self.log, self.said = [], queue.Queue()  # Guardian's lines; something was said
        self.proc = None

    def start(self):
        examples = os.path.join(STAGE, "share/guardian/examples")
        units = os.path.join(self.dir, "units")
        os.makedirs(units)
        shutil.copytree(os.path.join(examples, "bin"), os.path.join(units, "bin"))
        for name in ("leaky.chunk", "crashy.chunk"):
            shutil.copy(os.path.join(examples, name), units)
        argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.getuid() != 0:
            argv[1:1] = ["--user", "--map-root-user"]
        argv += [os.path.join(STAGE, "bin/guardian"), "--state", self.dir + "/state", "--runtime", self.dir + "/run",
                 "--units", units]
        print("$ " + " ".join(argv))
        self.proc = self.listen(argv, self.log)

    def follow(self):
        """From now on until() hears the events of the mesh as well."""
        self.listen([CTL, "--runtime", self.dir + "/run", "--json", "events", "-f"], [])

    def listen(self, argv, lines):
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace")

        def read():
            for line in proc.stdout:
                lines.append(line)
                self.said.put(None)
            proc.wait()
            self.said.put(None)
        threading.Thread(target=read, daemon=True).start()
        return proc

    def ctl(self, *args, ok=(0,), show=False, timeout=PATIENCE):
        where = ["--runtime", self.dir + "/run"]
        if self.proc.poll() is not None:  # nobody to ask any more: from its files
            where = ["--state", self.dir + "/state"]
        argv = [CTL, *where, *args]
        if show:
            print("$ guardianctl " + " ".join(a for a in args if a != "--no-color"))
        p = subprocess.run(argv, capture_output=True, text=True, timeout=timeout + 10)
        if show:
            print(p.stdout + p.stderr, end="", flush=True)
        if p.returncode not in ok:
            raise Missing("guardianctl %s: status %d\n%s%s" % (" ".join(args), p.returncode, p.stdout, p.stderr))
        return p.stdout

    def query(self, *args):
        return [json.loads(line) for line in self.ctl("--json", "ledger", "query", *args).splitlines()]

    def until(self, what, fn):
        """Asks whenever Guardian or the mesh said something, until fn gives something."""
        end = time.monotonic() + PATIENCE
        while True:
            while not self.said.empty():
                self.said.get()
            if self.proc.poll() is not None:
                raise Missing("guardian ended with status %d" % self.proc.returncode)
            try:
                got = fn()
            except Missing:
                got = None
            if got:
                return got
            try:
                self.said.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise Missing("not observed: " + what) from None

    def unit(self, name):
        for u in json.loads(self.ctl("--json", "status"))["units"]:
            if u["name"] == name:
                return u
        raise Missing("no unit " + name)

    def incident(self, root):
        for i in json.loads(self.ctl("--json", "incidents")):
            if i["root"] == root:
                return i
        return None


def check(what, ok):
    print("  %s %s" % ("ok  " if ok else "FAIL", what), flush=True)
    if not ok:
        raise Missing(what)


ORDER = [("anomaly", None), ("incident", None), ("decision", "require_approval"), ("approval", None), ("decision", "allow"),
         ("intent", None), ("action", None)]


def healing_order(records):
    """Positions of the first record of each step, in the order of the protocol."""
    at, found = 0, []
    for kind, verdict in ORDER:
        while at < len(records):
            r = records[at]
            at += 1
            if r["kind"] == kind and (verdict is None or r["body"].get("verdict") == verdict):
                found.append(r)
                break
        else:
            return None
    return found


def heal_leaky(d):
    say("a kernel leaks: detection, incident, a question to governance")
    before = d.unit("leaky")
    approval = d.until("an approval for leaky", lambda: next(
        (a for a in json.loads(d.ctl("--json", "approvals")) if a["target"] == "leaky" and a["state"] == "pending"), None))
    d.ctl("--no-color", "approvals", show=True)
    check("governance asks for a person: leaky is critical", approval["action"] == "restart_service")
    check("nothing was done yet", d.unit("leaky")["pid"] == before["pid"])
    say("a person approves")
    d.ctl("approve", approval["id"], "--note", "shown in the demo", show=True)
    after = d.until("a new process of leaky", lambda: (lambda u: u if u["pid"] and u["pid"] != before["pid"] and
                                                       u["state"] == "running" else None)(d.unit("leaky")))
    check("leaky has a new pid (%d, was %d)" % (after["pid"], before["pid"]), True)
    done = d.until("the healing verified", lambda: (lambda i: i if i and i["outcome"] == "fixed" else None)(d.incident("leaky")))
    check("its memory is verified to be down (incident %s: %s)" % (done["id"], done["outcome"]), True)
    records = d.query("--correlation-id", done["correlation_id"])
    steps = healing_order(records)
    check("on record, in this order and with one correlation id: " +
          ", ".join(k + ("(%s)" % v if v else "") for k, v in ORDER), steps is not None)
    for r in steps:
        print("    %5d %-9s %-10s %s" % (r["index"], r["kind"], r["writer"], r["result"] or ""))
    say("why?")
    why = d.ctl("--no-color", "why", "leaky", show=True)
    check("`why` tells the story", approval["id"] in why and "voted to approve" in why and "verified, fixed" in why)


def quarantine_crashy(d):
    say("a kernel crashes: its own budget, without the gate")
    unit = d.until("crashy quarantined", lambda: (lambda u: u if u["state"] == "quarantined" else None)(d.unit("crashy")))
    check("it was restarted %d times by its own budget" % unit["restarts"], unit["restarts"] >= 10)
    decisions = d.query("--kind", "decision", "--resource", "crashy", "--action", "restart_service")
    check("no decision was needed for that", not decisions)
    incident = d.until("an incident about crashy", lambda: d.incident("crashy"))
    text = d.ctl("--no-color", "incident", incident["id"], show=True)
    check("its incident says why", "quarantined" in text)


def story(d):
    say("boot")
    d.start()
    d.until("the boot", lambda: json.loads(d.ctl("--json", "status"))["guardian"]["state"] in ("running", "degraded"))
    d.follow()
    d.ctl("--no-color", "status", show=True)
    status = json.loads(d.ctl("--json", "status"))
    core = [u for u in status["units"] if u["priority"] < 2]
    check("every core unit is running, passed and verified", len(core) == 5 and all(
        u["state"] == "running" and u["verdict"] == "passed" and u["sandbox"]["verified"] for u in core))
    d.ctl("--no-color", "boot", show=True)
    heal_leaky(d)
    quarantine_crashy(d)
    say("the record")
    check("the running log verifies", "true" in d.ctl("--json", "ledger", "verify", show=True))
    say("stop")
    d.ctl("shutdown", show=True, ok=(0, 3))
    check("guardian ended with status 0", d.proc.wait(PATIENCE) == 0)
    d.ctl("ledger", "verify", show=True)
    check("the ledger verifies to its last record", True)


def main():
    d = Demo()
    status = 1
    try:
        story(d)
        status = 0
        say("every step was observed")
    except (Missing, subprocess.TimeoutExpired) as e:
        print("\nNOT OBSERVED: %s\n--- guardian's log" % e)
        print("".join(d.log)[-8000:])
    finally:
        if d.proc and d.proc.poll() is None:
            d.proc.send_signal(signal.SIGTERM)
            try:
                d.proc.wait(15)
            except subprocess.TimeoutExpired:
                d.proc.kill()
        shutil.rmtree(d.dir, ignore_errors=True)
    return status


sys.exit(main())
