# SPDX-License-Identifier: Apache-2.0
"""What a unit that does not get ready does to a boot: abort, degraded, retries."""
import os
import re
import shutil
import subprocess
import unittest

from harness import ROOT, Guardian, main, service

STUCK = "/bin/sh -c 'echo waiting for a disk that never comes; exec sleep 1000'"
FLAKY = """import os, socket, sys, time
once = os.path.join(os.path.dirname(sys.argv[0]), "once")
if not os.path.exists(once):
    open(once, "w")
    print("first try")
    sys.exit(3)
print("second try")
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""
NOTIFY = {"Type": "notify", "TimeoutStartSec": "1s", "Restart": "no"}


class Abort(unittest.TestCase):
    def test_critical_unit_aborts(self):
        with Guardian({"stuck.chunk": service(STUCK, service=NOTIFY), "early.chunk": service("/bin/sleep 1000", chunk={"Priority": "2"}),
                       "late.chunk": service("/bin/sleep 1000", chunk={"Priority": "4"})}) as g:
            self.assertEqual(g.wait(), 75)
            lines = re.findall(r".*boot aborted.*", g.log)
            self.assertEqual(len(lines), 1, g.log)
            self.assertIn("unit=stuck", lines[0])
            self.assertRegex(lines[0], r'reason="not ready within 1s')
            self.assertIn("waiting for a disk that never comes", lines[0])
            self.assertNotIn("unit=late", g.log)
            ends = g.order_of_ends()
            self.assertEqual(set(ends), {"stuck", "early", "ledger", "governance", "mesh", "immune", "validators"})
            self.assertEqual((ends[0], ends[1], ends[2], ends[-1]), ("stuck", "early", "validators", "ledger"))

    def test_abort_stands_in_the_ledger(self):
        with Guardian({"stuck.chunk": service(STUCK, service=NOTIFY)}) as g:
            self.assertEqual(g.wait(), 75)
            lines = g.ctl("--json", "ledger", "query", "--kind", "boot").lines
            self.assertIn("aborted", [r["action"] for r in lines])
            self.assertEqual(g.verify(code=0)["unsigned_tail"], 0)

    def test_keep_on_abort(self):
        with Guardian({"stuck.chunk": service(STUCK, service=NOTIFY)}, args=["--keep-on-abort"]) as g:
            g.wait_log("boot aborted")
            doc = g.status()
            self.assertEqual(doc["guardian"]["state"], "aborted")
            self.assertEqual({u["name"]: u["verdict"] for u in doc["units"]}["stuck"], "failed")
            self.assertEqual(g.stop(), 75)

    def test_unit_that_can_fail_degrades(self):
        with Guardian({"stuck.chunk": service(STUCK, service=NOTIFY, chunk={"CanFail": "yes"}),
                       "needs.chunk": service("/bin/sleep 1000", unit={"Requires": "stuck", "After": "stuck"}, chunk={"CanFail": "yes"}),
                       "late.chunk": service("/bin/sleep 1000", chunk={"Priority": "4"})}) as g:
            g.wait_boot()
            doc = g.status()
            units = {u["name"]: u for u in doc["units"]}
            self.assertEqual(doc["guardian"]["state"], "degraded")
            self.assertIn(units["stuck"]["verdict"], ("degraded", "failed"))
            self.assertEqual(units["stuck"]["last_exit"]["reason"], "startup_timeout")
            self.assertEqual(units["needs"]["verdict"], "skipped")
            self.assertEqual((units["late"]["state"], units["late"]["verdict"]), ("running", "passed"))
            self.assertEqual({u["name"] for u in g.ctl("--json", "status", "--failed").json["units"]}, {"stuck", "needs"})
            g.stop_clean()

    def test_what_operators_do_meanwhile_holds_up_no_boot(self):
        """A unit pinned down, or started, before its turn: the stages go on to the end."""
        slow = service("/bin/sh -c 'while [ ! -e @DIR@/go ]; do sleep 0.05; done'", chunk={"Priority": "2"},
                       service={"Type": "oneshot"})
        units = {"slow.chunk": slow, "last.chunk": service("/bin/sleep 1000", chunk={"Priority": "5"})}
        for name in ("pinned", "early", "gone"):
            units[name + ".chunk"] = service("/bin/sleep 1000", chunk={"Priority": "4"})
        with Guardian(units, core=False) as g:
            g.until("it answers", lambda: g.ctl_any("status").code == 0)
            g.ctl("pin", "pinned", "down")
            g.ctl("start", "early", "gone")
            g.ctl("stop", "gone")
            open(os.path.join(g.dir, "go"), "w").close()
            g.wait_log("boot degraded")
            states = {u["name"]: (u["state"], u["verdict"]) for u in g.status()["units"]}
            self.assertEqual(states["pinned"], ("inactive", "pending"))
            for name in ("early", "gone", "last"):
                self.assertEqual(states[name], ("running", "passed"))
            g.ctl("unpin", "pinned")
            g.ctl("start", "pinned")
            self.assertEqual(g.status()["guardian"]["state"], "running")
            g.stop_clean()

    def test_start_retries(self):
        keys = {"Type": "notify", "Restart": "no"}
        for retries in ("1", "0"):
            g = Guardian({"flaky.chunk": service("/usr/bin/python3 -u @DIR@/flaky.py", service=keys, chunk={"StartRetries": retries})})
            with open(os.path.join(g.dir, "flaky.py"), "w") as f:
                f.write(FLAKY)
            with g:
                if retries == "1":
                    g.wait_boot()
                    self.assertRegex(g.log, "(?s)flaky: first try.*flaky: second try")
                    self.assertEqual(g.unit("flaky")["verdict"], "passed")
                else:
                    self.assertEqual(g.wait(), 75)
                    self.assertRegex(g.log, r'boot aborted unit=flaky reason="[^"]*status 3')
                    self.assertNotIn("second try", g.log)

    def test_program_that_is_missing(self):
        with Guardian({"gone.chunk": service("/nonexistent/program", service={"Restart": "no"})}) as g:
            self.assertEqual(g.wait(), 75)
            self.assertRegex(g.log, r"boot aborted unit=gone reason=.*/nonexistent/program")

    def check(self, g):
        r = subprocess.run(g.argv() + ["--check"], capture_output=True, text=True, timeout=60)
        return r.returncode, r.stdout + r.stderr

    def test_check_names_what_cannot_be_started(self):
        units = {"gone.chunk": service("/nonexistent/program"), "bare.chunk": service("no-such-program-anywhere"),
                 "data.chunk": service("/etc/passwd"), "whose.chunk": service("/bin/sleep 1", service={"User": "nobody-has-this-name"}),
                 "group.chunk": service("/bin/sleep 1", service={"Group": "nobody-has-this-name"}),
                 "good.chunk": service("sleep 1", service={"User": str(os.getuid()), "Group": "root"}),
                 "may.chunk": service("-/nonexistent/program")}
        g = Guardian(units, pid1=False)
        self.addCleanup(shutil.rmtree, g.dir, True)
        code, out = self.check(g)
        self.assertEqual(code, 65, out)
        for name, line, text in (("gone", 2, "program '/nonexistent/program' is not found"), ("bare", 2, "sought in PATH"),
                                 ("data", 2, "program '/etc/passwd' is not executable"), ("whose", 2, "User=nobody-has-this-name"),
                                 ("group", 2, "Group=nobody-has-this-name")):
            self.assertRegex(out, r"%s\.chunk:%d: .*%s" % (name, line, text))
        self.assertNotRegex(out, r"(good|may)\.chunk")
        for name in ("gone", "bare", "data", "whose", "group"):
            os.unlink(os.path.join(g.units, name + ".chunk"))
        self.assertEqual(self.check(g)[0], 0)

    def test_check_names_what_is_not_there_yet(self):
        """An earlier unit may make it: said, with file and line, and no error."""
        files = {"WorkingDirectory": "/nonexistent/dir", "EnvironmentFile": "/nonexistent/env"}
        units = {"a.chunk": service("/bin/sleep 1", service=files),
                 "b.chunk": service("/bin/sleep 1", service={"WorkingDirectory": "-/nonexistent/dir", "EnvironmentFile": "-/nonexistent/env"}),
                 "c.chunk": service("/bin/sleep 1", service={"WorkingDirectory": "/tmp", "EnvironmentFile": "/etc/passwd"})}
        g = Guardian(units, core=False, pid1=False)
        self.addCleanup(shutil.rmtree, g.dir, True)
        code, out = self.check(g)
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"a\.chunk:2: WorkingDirectory=/nonexistent/dir is not a directory \(.*'-'")
        self.assertRegex(out, r"a\.chunk:3: EnvironmentFile=/nonexistent/env is no file")
        self.assertNotRegex(out, r"[bc]\.chunk")

    def test_check_of_another_user(self):
        """Only root starts a program as somebody else."""
        g = Guardian({"a.chunk": service("/bin/sleep 1", service={"User": "64999"})}, core=False, pid1=False)
        self.addCleanup(shutil.rmtree, g.dir, True)
        if ROOT:
            self.assertEqual(self.check(g), (0, "good\n"))
            g.prefix = ["setpriv", "--reuid=64998", "--clear-groups"]
        code, out = self.check(g)
        self.assertEqual(code, 65)
        self.assertRegex(out, r"a\.chunk:2: User=64999: only root .*as root\)")

    def test_check_as_the_readme_shows_it(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md")) as f:
            shown = re.search(r"^\$ guardian --check --no-core --units DIR --policies POLICIES\n(.*?)^```", f.read(), re.M | re.S).group(1)
        g = Guardian({"x.chunk": "[Service]\nExecStart=/bin/true\nRestrat=no\n\n[Limits]\nMemoryMax=64M\n",
                      "y.chunk": "[Service]\nExecStart=/usr/bin/serverd\nUser=serverd\n"}, core=False, pid1=False)
        self.addCleanup(shutil.rmtree, g.dir, True)
        policies = os.path.join(g.dir, "policies")
        os.mkdir(policies)
        open(os.path.join(policies, "govrnance.yaml"), "w").close()
        g.args += ["--policies", policies]
        self.assertEqual(self.check(g), (65, shown.replace("DIR", g.units).replace("POLICIES", policies)))

    def test_what_cannot_be_started_is_not_retried(self):
        always = {"Restart": "always", "RestartSec": "1ms"}
        with Guardian({"gone.chunk": service("/nonexistent/program", service=always, chunk={"StartRetries": "5"})}) as g:
            self.assertEqual(g.wait(), 75)
            self.assertEqual(g.log.count("unit can't start"), 1)
        units = {"gone.chunk": service("/nonexistent/program", service=always, chunk={"CanFail": "yes"}),
                 "whose.chunk": service("/bin/sleep 1000", service=dict(always, User="nobody-has-this-name"), chunk={"CanFail": "yes"})}
        with Guardian(units) as g:
            g.wait_boot()
            for name, issue in (("gone", "program '/nonexistent/program': not found"), ("whose", "User=nobody-has-this-name")):
                u = g.wait_unit(name, "failed")
                self.assertEqual((u["last_exit"], u["restarts"]), ({"code": None, "signal": None, "reason": "exit"}, 0))
                self.assertIn(issue, u["issues"][0])
                self.assertRegex(g.log, "unit could not be started unit=%s issue=.*%s" % (name, issue))
            self.assertIn("could not be started", g.ctl("status").out)
            self.assertIn("could not be started: program", g.ctl("why", "gone").out)
            g.stop_clean()

    def test_start_timeout_is_not_retried(self):
        with Guardian({"stuck.chunk": service(STUCK, service=NOTIFY, chunk={"StartRetries": "3"})}) as g:
            self.assertEqual(g.wait(), 75)
            self.assertEqual(len(re.findall("stuck: waiting for a disk", g.log)), 1)


if __name__ == "__main__":
    main()
