# SPDX-License-Identifier: Apache-2.0
"""The gate or the ledger is away: what is refused, what goes on, what stands on record afterwards."""
import json
import os
import select
import shutil
import signal
import unittest

from harness import Guardian, answer, link, main, puppet_unit, service
from wire import KINDS

WEB = {"web.chunk": service("/bin/sleep 1000", service={"Restart": "always", "RestartSec": "10ms"},
                            chunk={"Heal": "restart_service", "CanFail": "yes"})}


def of_request(g, request_id):
    return [r for r in g.records() if r["request_id"] == request_id]


class Gate(unittest.TestCase):
    def test_governed_restart_is_on_record(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            before = g.unit("web")["pid"]
            r = g.ctl("--json", "propose", "restart_service", "web").json
            self.assertEqual((r["code"], r["verdict"], r["outcome"], r["ungated"]), ("ok", "allow", "ok", False))
            self.assertNotEqual(g.wait_unit("web", "running")["pid"], before)
            rows = of_request(g, r["request_id"])
            self.assertEqual([x["kind"] for x in rows], ["decision", "intent", "action"])
            self.assertEqual([x["writer"] for x in rows], ["governance", "guardian", "guardian"])
            self.assertEqual([x["index"] for x in rows], [r["decision_index"], r["intent_index"], r["action_index"]])
            self.assertEqual((rows[1]["ref"], rows[2]["ref"]), (rows[0]["index"], rows[1]["index"]))
            self.assertEqual({x["correlation_id"] for x in rows}, {r["correlation_id"]})
            self.assertEqual(rows[2]["body"]["outcome"], "ok")
            self.assertEqual(rows[0]["body"]["digest"], rows[2]["body"]["digest"])

    def test_question_about_a_unit_that_was_down(self):
        """It was about no process; with the next one it is over, and holds no other question up until it lapses."""
        vital = service("/bin/sleep 1000", chunk={"Heal": "restart_service", "CanFail": "yes", "Critical": "yes"})
        with Guardian({"vital.chunk": vital}) as g:
            g.wait_boot()
            g.ctl("stop", "vital")
            asked = g.ctl("--json", "propose", "restart_service", "vital", code=5).json
            self.assertEqual(g.status()["guardian"]["pending_approvals"], 1)
            g.ctl("start", "vital")
            g.until("void", lambda: g.status()["guardian"]["pending_approvals"] == 0)
            states = {a["id"]: a["state"] for a in g.ctl("--json", "approvals", "--all").json}
            self.assertEqual(states[asked["approval_id"]], "void")
            g.ctl("propose", "restart_service", "vital", code=5)

    def test_gate_killed_and_pinned_down(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            g.ctl("pin", "governance", "down")
            g.kill_unit("governance")
            g.wait_unit("governance", "backoff")
            self.assertEqual(g.status()["guardian"]["governance"], "down")
            self.assertEqual(g.unit("governance")["pinned"], "down")

            r = g.ctl("--json", "propose", "restart_service", "web", code=4).json
            self.assertEqual(r["code"], "governance_unavailable")
            self.assertEqual((r["intent_index"], r["action_index"]), (None, None))
            self.assertEqual(g.records("--kind", "intent") + g.records("--kind", "action"), self.acts_of_pin(g))

            mark, old = g.mark(), g.kill_unit("web")
            g.wait_log(r"unit ended unit=web by=signal status=9", since=mark)
            self.assertNotEqual(g.until("web is back", lambda: self.up(g, "web", old)), old)

            old = g.unit("web")["pid"]
            r = g.ctl("--json", "restart", "web", "--reason", "by hand").json
            self.assertEqual((r["code"], r["ungated"]), ("ok", True))
            self.assertNotEqual(g.until("web is new", lambda: self.up(g, "web", old)), old)

            r = g.ctl("--json", "unpin", "governance").json
            self.assertEqual((r["code"], r["ungated"]), ("ok", True))
            u = g.wait_unit("governance", "running")
            self.assertEqual((u["sandbox"]["verified"], u["pinned"]), (True, None))
            g.until("the gate is ready", lambda: g.status()["guardian"]["governance"] == "ready")

            rows = g.until("recovery records", lambda: len(g.records("--kind", "recovery")) >= 2 and g.records("--kind", "recovery"))
            self.assertEqual({(x["action"], x["resource"]) for x in rows}, {("restart", "web"), ("unpin", "governance")})
            self.assertEqual(len(rows), 2)
            self.assertEqual({x["writer"] for x in rows}, {"guardian"})
            self.assertEqual({x["actor"] for x in rows}, {"uid:%d" % (0 if g.pid1 else os.getuid())})
            # and governed action works again
            self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")
            g.verify()

    def acts_of_pin(self, g):
        """What the pinning itself, governed while the gate was there, left on record."""
        rows = [x for x in g.records("--kind", "intent") + g.records("--kind", "action") if x["action"] == "pin"]
        self.assertEqual(len(rows), 2)
        return rows

    def up(self, g, name, other):
        u = g.unit(name)
        return u["state"] == "running" and u["pid"] not in (None, other) and u["pid"]

    def test_nothing_else_is_let_through_while_the_gate_is_down(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            g.ctl("pin", "governance", "down")
            g.kill_unit("governance")
            g.wait_unit("governance", "backoff")
            for verb in (["mode", "log_only"], ["pin", "web", "up"], ["lockdown", "on"]):
                r = g.ctl("--json", *verb, code=4).json
                self.assertEqual(r["code"], "governance_unavailable", verb)
            self.assertEqual(g.status()["guardian"]["mode"], "enforce")
            self.assertIsNone(g.unit("web")["pinned"])
            # pause is Guardian's own
            g.ctl("pause", "maintenance")
            self.assertTrue(g.status()["guardian"]["paused"])
            g.ctl("resume")
            self.assertFalse(g.status()["guardian"]["paused"])

    def test_recovery_records_survive_a_restart_of_guardian(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            g.ctl("pin", "governance", "down")
            # the ledger cannot take the record: it is on its way when Guardian ends
            g.ctl("pin", "ledger", "down")
            g.kill_unit("governance")
            g.wait_unit("governance", "backoff")
            g.kill_unit("ledger")
            g.wait_unit("ledger", "backoff")
            r = g.ctl("--json", "restart", "web").json
            self.assertTrue(r["ungated"])
            g.until("it is in the spool", lambda: g.status()["guardian"]["spooled"] == 1)
            g.signal(signal.SIGTERM)
            self.assertEqual(g.wait(), 0)
            with Guardian(WEB, state=g.state) as again:
                again.wait_boot()
                rows = again.until("recovery record", lambda: again.records("--kind", "recovery"))
                self.assertEqual([(x["action"], x["resource"], x["request_id"]) for x in rows], [("restart", "web", r["request_id"])])
                again.until("the spool is empty", lambda: again.status()["guardian"]["spooled"] == 0)
                again.stop()
            with Guardian(WEB, state=g.state) as third:
                third.wait_boot()
                self.assertEqual(len(third.records("--kind", "recovery")), 1)

    def test_gate_stopped(self):
        """SIGSTOP: it hangs on to its links but says nothing."""
        with Guardian(WEB) as g:
            g.wait_boot()
            pid = g.host_pid(g.unit("governance")["pid"])
            before = g.unit("web")["pid"]
            os.kill(pid, signal.SIGSTOP)
            try:
                r = g.ctl("--json", "propose", "restart_service", "web", code=4).json
                self.assertEqual(r["code"], "governance_unavailable")
                self.assertEqual(g.status()["guardian"]["governance"], "down")
            finally:
                os.kill(pid, signal.SIGCONT)
            g.until("the gate is back", lambda: g.status()["guardian"]["governance"] == "ready")
            # the late verdict is on record but was never used
            self.assertEqual(g.unit("web")["pid"], before)
            self.assertNotIn("action", [x["kind"] for x in of_request(g, r["request_id"])])
            self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")

    def write_unreadable_decision(self, g):
        """The gate is in the test's hand, and leaves a decision that no gate can read."""
        p = g.puppet("governance").accept()
        with link(p, "ledger") as ledger:
            p.send("READY")
            answer(p)
            ledger.send("ATTACH", EPOCH=p.hello["EPOCH"])
            ledger.expect("ATTACHED", CODE="ok")
            ledger.send("APPEND", b'{"verdict":"allow"}', SEQ=1, KIND=KINDS["decision"], REQUEST_ID=bytes(16), DIGEST=bytes(32),
                        VERDICT_BITS=1)
            return ledger.expect("APPEND_ACK", SEQ=1)["INDEX"]

    def test_unreadable_decision(self):
        """Everything is denied and says why; nothing restarts for ever; with the ledger set aside it goes on."""
        gate = puppet_unit("governance", "@DIR@/stage/libexec/guardian/puppet",
                           chunk={"Priority": "1.5", "Links": "ledger"}, service={"Restart": "no"})
        with Guardian({"governance.chunk": gate}, puppets=["governance"], puppet_stage=True) as g:
            index = self.write_unreadable_decision(g)
            g.wait_boot()
            g.stop()
            with Guardian(WEB, state=g.state) as again:
                again.wait_boot()
                reason = "record %d of the ledger is a decision that can't be read" % index
                again.wait_log("governance: .*the gate denies everything.*" + reason)
                self.assertEqual(again.status()["guardian"]["governance"], "down")
                u = again.unit("governance")
                self.assertEqual((u["state"], u["verdict"], u["restarts"]), ("running", "degraded", 0))
                self.assertIn(reason, u["issues"][0])
                web = again.unit("web")["pid"]
                for verb in (["propose", "restart_service", "web"], ["mode", "log_only"]):
                    r = again.ctl("--json", *verb, code=4).json
                    self.assertEqual((r["code"], r["intent_index"]), ("governance_unavailable", None), verb)
                    self.assertIn(reason, r["reason"])
                self.assertEqual(again.unit("web")["pid"], web)
                self.assertIn(reason, " ".join(again.ctl("trust", code=1).err.split()))
                # an admin's own verbs work as with any gate that is down
                self.assertTrue(again.ctl("--json", "restart", "web").json["ungated"])
                # a new gate reads the same record: it stays down, and up
                old = again.kill_unit("governance")
                again.until("a new gate", lambda: self.up(again, "governance", old))
                self.assertEqual(again.status()["guardian"]["governance"], "down")
                again.verify()
                again.stop()
            aside = os.path.join(g.dir, "aside")
            os.mkdir(aside)
            os.rename(os.path.join(g.state, "ledger"), os.path.join(aside, "ledger"))
            with Guardian(WEB, state=g.state) as third:
                third.wait_boot()
                self.assertEqual(third.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")
                third.verify(state=aside)
                old = third.ctl("--json", "--state", aside, "ledger", "query", "--kind", "decision").lines
                self.assertEqual([x["index"] for x in old], [index])


class Ledger(unittest.TestCase):
    def test_ledger_stopped(self):
        with Guardian(WEB) as g:
            g.wait_boot()
            pid = g.host_pid(g.unit("ledger")["pid"])
            before = g.unit("web")["pid"]
            os.kill(pid, signal.SIGSTOP)
            try:
                # the gate waits for the ledger, Guardian for the gate; the cause is named
                first = g.ctl("--json", "propose", "restart_service", "web", code=4).json
                self.assertEqual(first["code"], "ledger_unavailable")
                self.assertEqual(g.status()["guardian"]["ledger"]["state"], "stalled")
                self.assertEqual(g.unit("web")["pid"], before)
                # a unit's own budget needs no record
                g.kill_unit("web")
                after = g.until("web is back", lambda: Gate.up(self, g, "web", before))
                second = g.ctl("--json", "propose", "restart_service", "web", code=4).json
                self.assertEqual(second["code"], "ledger_unavailable")
                self.assertEqual(g.unit("web")["pid"], after)  # status answers while the ledger is stopped
            finally:
                os.kill(pid, signal.SIGCONT)
            g.until("the ledger is back", lambda: g.status()["guardian"]["ledger"]["state"] == "ready")
            self.assertEqual(g.unit("web")["pid"], after)
            for r in (first, second):
                self.assertNotIn("action", [x["kind"] for x in of_request(g, r["request_id"]) if r["request_id"]])
            g.until("the gate is back", lambda: g.status()["guardian"]["governance"] == "ready")
            self.assertEqual(g.ctl("--json", "propose", "restart_service", "web").json["code"], "ok")
            g.verify()

    def test_an_older_copy_is_put_back(self):
        """Good by itself, as verify says; Guardian remembers more of it, says so, and nothing that is governed runs."""
        with Guardian(WEB) as g:
            g.wait_boot()
            now, old = os.path.join(g.state, "ledger"), os.path.join(g.dir, "old")
            pid = g.host_pid(g.unit("ledger")["pid"])
            pidfd = os.pidfd_open(pid)
            self.addCleanup(os.close, pidfd)
            os.kill(pid, signal.SIGSTOP)
            shutil.copytree(now, old)
            os.kill(pid, signal.SIGCONT)
            g.ctl("propose", "restart_service", "web")
            g.signal(signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            select.select([pidfd], [], [])
            os.rename(now, now + ".away")
            os.rename(old, now)
            g.signal(signal.SIGCONT)
            g.wait_log("error guardian: the ledger lost records that it had acknowledged: nothing that is governed runs size=")
            r = g.ctl("--json", "propose", "restart_service", "web", code=4)
            self.assertEqual((r.json["code"], r.json["reason"]),
                             ("ledger_rollback", "the ledger lost records that it had acknowledged"))
            self.assertEqual(g.status()["guardian"]["state"], "degraded")

    def test_ledger_on_a_full_disk(self):
        # a disk of its own for the state, seen only inside of the namespace
        mount = ["/bin/sh", "-c", 'mkdir -p "$0" && mount -t tmpfs -o size=4m,mode=700 disk "$0" && exec "$@"']
        g = Guardian(WEB)
        g.prefix = mount + [g.state]
        with g:
            g.wait_boot()
            # the spare segment is made after boot: events are taken until the disk holds no more
            fill = os.path.join("/proc/%d/root" % g.guardian_pid(), g.state.lstrip("/"), "fill")
            with open(fill, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(bytes(4096))
                except OSError:
                    pass
            payload = json.dumps({"text": "x" * 40000})
            for _ in range(200):
                if g.ctl_any("--json", "emit", "test.fill", "--payload", payload).code:
                    break
            # what the segment still holds is kept for exactly such records: asked until one is denied
            g.until("a verb is denied", lambda: g.ctl_any("--json", "pin", "web", "up").code == 4)
            before = g.unit("web")["pid"]
            r = g.ctl("--json", "propose", "restart_service", "web", code=4).json
            self.assertEqual((r["code"], r["intent_index"]), ("ledger_unavailable", None))
            self.assertEqual(g.unit("web")["pid"], before)
            self.assertIn(g.status()["guardian"]["ledger"]["state"], ("failed", "stalled"))
            os.unlink(fill)
            g.ctl("restart", "ledger")
            g.until("gate and ledger are back", lambda: (lambda d: d["ledger"]["state"] == d["governance"] == "ready")(
                g.status()["guardian"]))
            # the result of a pin may be on its way to the record still: until then web takes nothing new
            answer = g.until("web takes proposals", lambda: (lambda d: d if d["code"] != "target_busy" else None)(
                g.ctl_any("--json", "propose", "restart_service", "web").json))
            self.assertEqual(answer["code"], "ok")
            self.assertNotEqual(g.unit("web")["pid"], before)
            g.verify(state=os.path.dirname(fill))


if __name__ == "__main__":
    main()
