# SPDX-License-Identifier: Apache-2.0
"""Boot as PID 1 and as a subreaper: evidence, the promised documents, an orderly stop that leaves nothing."""
import os
import re
import signal
import unittest

from harness import CORE, Guardian, main, service

USER = {
    "base.chunk": service("/bin/sleep 1000"),
    "top.chunk": service("/bin/sleep 1000", unit={"Requires": "base", "After": "base"}, chunk={"Heal": "restart_service"}),
    # leaves a grandchild in a session of its own behind: it must not outlive the set
    "orphan.chunk": service("/bin/sh -c 'setsid sh -c \"sleep 1000 & exit 0\"; exec sleep 1000'"),
    "stubborn.chunk": service("/bin/sh -c 'trap \"\" TERM; echo ignoring; while :; do read x </dev/zero; done'",
                              service={"TimeoutStopSec": "300ms"}, chunk={"Priority": "4"}),
}
GUARDIAN_FIELDS = {"version": str, "pid": int, "role": str, "state": str, "boot_ms": float, "mode": str, "containment": str,
                   "policy_revision": str, "governance": str, "ledger": dict, "pending_approvals": int, "paused": bool,
                   "orphans_reaped": int}
UNIT_FIELDS = {"name": str, "priority": float, "state": str, "verdict": str, "health": str, "pid": int, "restarts": int,
               "since": str, "start_ms": float, "ready_ms": float, "validated_ms": float, "can_fail": bool,
               "critical": bool, "pinned": type(None), "last_exit": dict, "issues": list, "sandbox": dict}
PRIORITY = {"ledger": 1, "governance": 1.5, "mesh": 1.5, "immune": 1.5, "validators": 1.6, "stubborn": 4}


class Boot(unittest.TestCase):
    def fields(self, doc, wanted):
        for key, kind in wanted.items():
            self.assertIn(key, doc)
            self.assertIsInstance(doc[key], (int, float) if kind is float else kind, key)

    def check(self, pid1):
        with Guardian(USER, pid1=pid1) as g:
            g.wait_boot()
            g.wait_log("stubborn: ignoring")
            doc = g.status()
            self.fields(doc["guardian"], GUARDIAN_FIELDS)
            self.assertEqual(doc["guardian"]["role"], "pid1" if pid1 else "subreaper")
            self.assertEqual(doc["guardian"]["pid"], 1 if pid1 else g.proc.pid)
            self.assertEqual(doc["guardian"]["state"], "running")
            self.assertEqual(doc["guardian"]["governance"], "ready")
            self.assertEqual(doc["guardian"]["mode"], "enforce")
            self.assertEqual(doc["guardian"]["ledger"]["state"], "ready")
            self.assertEqual(set(doc["guardian"]["ledger"]), {"size", "signed_size", "state"})
            self.assertIn(doc["guardian"]["containment"], ("cgroup", "session"))
            units = {u["name"]: u for u in doc["units"]}
            self.assertEqual(set(units), set(CORE) | {"base", "top", "orphan", "stubborn"})
            for u in units.values():
                self.fields(u, UNIT_FIELDS)
                self.assertEqual(set(u["last_exit"]), {"code", "signal", "reason"})
                self.assertRegex(u["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertEqual((u["state"], u["verdict"], u["issues"]), ("running", "passed", []), u["name"])
            for name in CORE:
                box = units[name]["sandbox"]
                self.assertEqual((box["profile"], box["verified"], box["missing"]), ("base", True, []))
                self.assertTrue(all(set(c) == {"key", "planned", "found"} and c["planned"] == c["found"]
                                    for c in box["checks"]), box)
                self.assertTrue({"NoNewPrivs", "Exe", "Descriptors"} <= {c["key"] for c in box["checks"]})
            self.assertEqual(units["base"]["sandbox"]["profile"], "none")
            self.assertFalse(units["base"]["sandbox"]["verified"])
            mark = g.mark()
            g.stop_clean()
            ends = g.order_of_ends(mark)
            self.assertEqual(set(ends), set(units))
            ranks = [PRIORITY.get(n, 3) for n in ends]
            self.assertEqual(ranks, sorted(ranks, reverse=True), ends)
            self.assertLess(ends.index("top"), ends.index("base"))
            self.assertRegex(g.log, r"unit ended unit=stubborn by=signal status=9")

    def test_pid1(self):
        self.check(True)

    def test_subreaper(self):
        self.check(False)

    def test_status_document(self):
        """Every member that is there only at times; status() itself holds the document against its schema, strictly."""
        units = {"told.chunk": service("/bin/sleep 1000", unit={"Description": "told", "Documentation": "man:sleep(1)"},
                                       sandbox={"Profile": "none", "Reason": "a test"}),
                 "gone.chunk": service("/bin/sh -c 'exit 3'", chunk={"CanFail": "yes"}, service={"Restart": "no"})}
        with Guardian(units) as g:
            g.wait_boot()
            g.wait_unit("gone", "failed")
            units = {u["name"]: u for u in g.status()["units"]}
            self.assertEqual((units["told"]["description"], units["told"]["documentation"], units["told"]["sandbox"]["reason"]),
                             ("told", ["man:sleep(1)"], "a test"))
            self.assertEqual(units["gone"]["last_exit"], {"code": 3, "signal": None, "reason": "exit"})
            self.assertIsNone(g.status()["guardian"]["break_glass_until"])
            g.ctl("lockdown", "on")
            g.ctl("pause", "a test")
            g.ctl("break-glass", "--reason", "a test", "--ttl", "10m")
            doc = g.status()["guardian"]
            self.assertEqual((doc["lockdown"], doc["paused"], doc["pause_reason"], doc["break_glass"]), (True, True, "a test", True))
            self.assertGreater(doc["break_glass_until"], units["told"]["since"])

    def test_boot_document(self):
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            g.ctl("boot", "--plot", "/nonexistent/boot.svg", code=1)
            g.ctl("boot", "--plot", "/nonexistent/boot.svg", code=1)
            doc = g.ctl("--json", "boot").json
            self.assertEqual(doc["state"], "running")
            self.assertEqual([s["priority"] for s in doc["stages"]], [1, 1.5, 1.6, 3])
            for before, after in zip(doc["stages"], doc["stages"][1:]):
                self.assertLessEqual(before["end_ms"], after["start_ms"])
            for stage in doc["stages"]:
                for u in stage["units"]:
                    self.assertTrue({"name", "start_ms", "ready_ms", "validated_ms", "verdict", "issues"} <= set(u))
                    self.assertGreaterEqual(u["start_ms"], stage["start_ms"])
            self.assertEqual(doc["critical_chain"][-1], "base")

    def test_interrupt_stops(self):
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            g.signal(signal.SIGINT)
            self.assertEqual(g.wait(), 0)
            self.assertRegex(g.log, "stopping reason=Interrupt")

    def test_stop_asked_for_before_the_boot_began(self):
        """Sent while Guardian still reads its set: pid 1 has no handler yet, and the kernel drops what it has none for."""
        for pid1 in (True, False):
            with Guardian({"u%d.chunk" % i: USER["base.chunk"] for i in range(40)}, pid1=pid1) as g:
                g.until("guardian runs", lambda: g.is_guardian())
                g.signal(signal.SIGTERM)
                self.assertEqual(g.wait(), 0)

    def test_second_signal_escalates(self):
        text = USER["stubborn.chunk"].replace("300ms", "1h")
        with Guardian({"stubborn.chunk": text}) as g:
            g.wait_boot()
            g.wait_log("stubborn: ignoring")
            g.signal(signal.SIGTERM)
            g.wait_log("stopping reason=")
            self.ask_again(g)
            self.assertEqual(g.wait(), 0)
            self.assertRegex(g.log, "unit ended unit=stubborn by=signal status=9")

    def ask_again(self, g):
        """Two that come together are one wish: this one has to be later than that."""
        g.until("it kills what is left", lambda: "stop asked for again" in g.log or g.signal(signal.SIGTERM))

    def test_signals_that_come_together_are_one(self):
        """As timeout(1) sends them, and a terminal: the stop stays an ordered one."""
        text = "/bin/sh -c 'trap \"\" TERM; echo ignoring; while [ ! -e @DIR@/go ]; do sleep 0.05; done'"
        with Guardian({"slow.chunk": service(text, service={"TimeoutStopSec": "1h"})}) as g:
            g.wait_boot()
            g.wait_log("slow: ignoring")
            g.signal(signal.SIGTERM)
            g.signal(signal.SIGINT)
            g.wait_log("stopping reason=")
            self.assertIn("Guardian is stopping", g.ctl("restart", "slow", code=1).err)  # both have been seen
            open(os.path.join(g.dir, "go"), "w").close()
            self.assertEqual(g.wait(), 0)
            self.assertNotIn("stop asked for again", g.log)
            self.assertIn("unit ended unit=slow with=status status=0", g.log)

    def test_a_program_may_run_another(self):
        """With Profile=auto too: what is read back is what stays."""
        for command in ("/bin/sh -c 'exec sleep 1000'", "/usr/bin/env sleep 1000"):
            with Guardian({"x.chunk": service(command).replace("[Service]", "[Sandbox]\nProfile=auto\n[Service]")}) as g:
                g.wait_boot()
                x = g.unit("x")
                self.assertEqual((x["verdict"], x["sandbox"]["verified"], x["issues"]), ("passed", True, []))
                self.assertNotIn("Exe", [c["key"] for c in x["sandbox"]["checks"]])

    def test_second_signal_ends_those_whose_turn_has_not_come(self):
        """They are not restarted, to be asked again for an hour."""
        deaf = {"Restart": "always", "TimeoutStopSec": "1h"}
        text = "/bin/sh -c 'trap \"\" TERM; echo ignoring; while :; do sleep 1; done'"
        with Guardian({"early.chunk": service(text, chunk={"Priority": "3"}, service=deaf),
                       "late.chunk": service(text, chunk={"Priority": "4"}, service=deaf)}) as g:
            g.wait_boot()
            for name in ("early", "late"):
                g.wait_log(name + ": ignoring")
            g.signal(signal.SIGTERM)
            g.wait_log("stopping reason=")
            self.ask_again(g)
            self.assertEqual(g.wait(), 0)
            self.assertEqual(g.log.count(": ignoring"), 2)

    def test_nothing_is_started_by_a_guardian_that_stops(self):
        """A restart asked for meanwhile would make the stop wait for ever for a unit that is up again."""
        text = "/bin/sh -c 'trap \"\" TERM; echo ignoring; while [ ! -e @DIR@/go ]; do sleep 0.05; done'"
        with Guardian({"slow.chunk": service(text, service={"TimeoutStopSec": "1h"}),
                       "x.chunk": service("/bin/sleep 1000", chunk={"Priority": "4", "Heal": "restart_service"})}) as g:
            g.wait_boot()
            g.wait_log("slow: ignoring")
            g.signal(signal.SIGTERM)
            g.wait_log("unit ended unit=x")
            for argv in (("restart", "slow"), ("start", "x"), ("restart", "x"), ("propose", "restart_service", "x"),
                         ("restart", "mesh"), ("restart", "ledger")):
                self.assertIn("Guardian is stopping", g.ctl(*argv, code=1).err)
            open(os.path.join(g.dir, "go"), "w").close()
            self.assertEqual(g.wait(), 0)
            self.assertEqual(g.log.count("unit ended unit=x"), 1)

    def test_shutdown_with_a_status(self):
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            g.ctl("shutdown", "--exit-code", "7")
            self.assertEqual(g.wait(), 7)

    def test_essential_unit_ends_the_set(self):
        with Guardian({"job.chunk": service("/bin/sh -c 'read x; exit 9'", chunk={"Essential": "yes"}, service={"Restart": "no"}),
                       "base.chunk": USER["base.chunk"]}) as g:
            self.assertEqual(g.wait(), 9)
            self.assertRegex(g.log, "unit ended unit=base")

    def test_a_second_guardian_is_kept_out(self):
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            before = sorted(os.listdir(g.runtime))
            other = Guardian({"base.chunk": USER["base.chunk"]}, core=False, args=["--runtime", g.runtime])
            with other:
                other.wait_log("another Guardian uses this runtime directory")
                self.assertEqual(other.wait(), 71)
            self.assertEqual(sorted(os.listdir(g.runtime)), before)  # it took nothing away
            self.assertEqual(g.status()["guardian"]["state"], "running")

    def test_two_guardians_and_one_state_directory(self):
        """The second is kept out; an ungoverned one goes without, and its pause is not the first one's."""
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            with Guardian({"base.chunk": USER["base.chunk"]}, state=g.state) as other:
                other.wait_log("another Guardian uses this state directory")
                self.assertEqual(other.wait(), 71)
            with Guardian({"base.chunk": USER["base.chunk"]}, state=g.state, core=False) as other:
                other.wait_boot()
                other.ctl("pause", "a test")
                other.ctl("break-glass", "--reason", "a test", "--ttl", "1min", code=1)
                self.assertRegex(other.log, "another Guardian uses this state directory")
                other.stop_clean()
            self.assertEqual(os.listdir(os.path.join(g.state, "guardian")), [])
            g.stop_clean()

    def test_without_core_set(self):
        with Guardian({"base.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"})}, core=False) as g:
            g.wait_boot()
            doc = g.status()["guardian"]
            self.assertEqual((doc["governance"], doc["ledger"]["state"]), ("absent", "absent"))
            g.ctl("restart", "base")
            r = g.ctl("--json", "propose", "restart_service", "base", code=4)
            self.assertEqual(r.json["code"], "governance_absent")
            self.assertIn("this set has no immune kernel", " ".join(g.ctl("incidents", code=6).err.split()))
            g.stop_clean()

    def test_descriptors_do_not_grow(self):
        with Guardian({"base.chunk": USER["base.chunk"]}) as g:
            g.wait_boot()
            g.ctl("restart", "base")
            g.ctl("ledger", "head")
            before, (family, _) = g.descriptors(), g.family()
            for _ in range(8):
                g.ctl("restart", "base")
                g.ctl("ledger", "head")
                g.ctl("logs", "base")
                g.ctl("emit", "test.descriptors")
            g.until("descriptors as before: %d" % before, lambda: g.descriptors() <= before)
            self.assertEqual(len(g.family()[0]), len(family))

    def test_bad_units_start_nothing(self):
        with Guardian({"a.chunk": "[Service]\nExecStart=/bin/true\nRestarts=always\n"}) as g:
            self.assertEqual(g.wait(), 65)
            self.assertRegex(g.log, r"a\.chunk:3.*Restart")
            self.assertNotIn("guardian starts", g.log)
            self.assertFalse(os.path.exists(os.path.join(g.state, "ledger")))

    def test_dependency_cycle_is_named(self):
        with Guardian({"a.chunk": service("/bin/true", unit={"Requires": "b", "After": "b"}),
                       "b.chunk": service("/bin/true", unit={"Requires": "a", "After": "a"})}) as g:
            self.assertEqual(g.wait(), 65)
            self.assertTrue(re.search(r"a -> b -> a|b -> a -> b", g.log), g.log)


if __name__ == "__main__":
    main()
