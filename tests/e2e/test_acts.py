# SPDX-License-Identifier: Apache-2.0
"""What verbs do to units in the running program, and what a chunk may not do to the parts."""
import os
import unittest

import wire  # noqa: F401  (the puppets speak it)
from harness import Guardian, main, puppet_unit, service

KEYS = {"request_id", "verdict", "code", "decision_index", "approval_id", "intent_index", "action_index", "outcome", "reason",
        "correlation_id", "ungated"}


class Ungoverned(unittest.TestCase):
    """A set without a governance unit: roles alone decide, and nothing went past a gate that is not there."""

    def setUp(self):
        self.g = Guardian({"a.chunk": service("/bin/sleep 1000", service={"ExecReload": "/bin/false"}),
                           "b.chunk": service("/bin/sleep 1001", unit={"Requires": "a"}, service={"ExecReload": "/bin/true"}),
                           "c.chunk": service("/bin/sleep 1002")},
                          core=False).start()
        self.addCleanup(lambda: self.g.__exit__(None, None, None))
        self.g.wait_boot()

    def test_document_of_every_verb(self):
        for argv, code in ((("restart", "b"), 0), (("stop", "a"), 1), (("pause", "look"), 0), (("resume",), 0),
                           (("start", "nobody"), 6), (("shutdown",), 0)):
            doc = self.g.ctl("--json", *argv, code=code).json
            self.assertLessEqual(KEYS, set(doc), argv)
            self.assertFalse(doc["ungated"])
        self.assertEqual(self.g.wait(), 0)

    def test_reload_tells_how_it_went(self):
        self.assertEqual(self.g.ctl("--json", "reload-unit", "b").json["outcome"], "ok")
        self.assertEqual(self.g.ctl("--json", "reload-unit", "a", code=1).json["outcome"], "failed")
        self.assertIn("c has no ExecReload=", repr(self.g.ctl("reload-unit", "c", code=1)))
        self.assertEqual(self.g.unit("a")["state"], "running")

    def test_pinned_down_waits_uncounted(self):
        before = self.g.unit("b")
        self.g.ctl("pin", "b", "down")
        self.g.kill_unit("b")
        waiting = self.g.wait_unit("b", "backoff")
        self.assertEqual(waiting["restart_budget_left"], before["restart_budget_left"])
        self.g.ctl("unpin", "b")
        self.assertNotEqual(self.g.wait_unit("b", "running")["pid"], before["pid"])


class BreakGlass(unittest.TestCase):
    def test_on_record_first(self):
        """It answers, and is in force, once its record is on the disk; without that it did not happen."""
        g = Guardian({"x.chunk": service("/bin/sleep 1000")}, core=False)
        os.mkdir(g.state, 0o700)
        folder, spool = os.path.join(g.state, "guardian"), os.path.join(g.state, "guardian", "recovery")
        with g:
            g.wait_boot()
            os.rename(folder, folder + ".away")
            r = g.ctl("--json", "break-glass", "--reason", "fire", "--ttl", "10min", code=1)
            self.assertEqual(r.json["code"], "failed")
            self.assertFalse(g.status()["guardian"]["break_glass"])
            os.rename(folder + ".away", folder)
            self.assertIn("60min", g.ctl("break-glass", "--reason", "fire", "--ttl", "61min", code=1).err)
            r = g.ctl("--json", "break-glass", "--reason", "fire", "--ttl", "10min")
            with open(spool) as f:
                self.assertEqual(f.read().count("break_glass"), 1)
            self.assertEqual(r.json["code"], "ok")
            self.assertTrue(g.status()["guardian"]["break_glass"])
            g.stop_clean()


class Ends(unittest.TestCase):
    def test_a_start_that_hangs_is_stopped(self):
        slow = service("/bin/sleep 1000", chunk={"CanFail": "yes"}, service={"ExecStartPre": "/bin/sleep 1000", "TimeoutStartSec": "infinity"})
        with Guardian({"slow.chunk": slow, "other.chunk": service("/bin/sleep 1002")}, core=False) as g:
            g.wait_log("control socket ready")
            g.until("starting", lambda: g.unit("slow")["state"] == "starting")
            self.assertLessEqual(KEYS, set(g.ctl("--json", "restart", "--no-block", "slow").json))
            g.ctl("stop", "slow")
            self.assertEqual(g.unit("slow")["state"], "inactive")

    def test_environment_files(self):
        """Read anew for every instance, off the loop; what can't be read is the unit's failure, with the file's name."""
        unit = service("/bin/sh -c 'echo said $A $B; exec sleep 1004'",
                       service={"EnvironmentFile": "@DIR@/env", "ExecStartPre": "/bin/sh -c 'test $A = one -o $A = two'"})
        bad = service("/bin/true", chunk={"CanFail": "yes"}, service={"EnvironmentFile": "/nowhere/env", "Restart": "no"})
        g = Guardian({"a.chunk": unit, "bad.chunk": bad}, core=False)
        env = os.path.join(g.dir, "env")
        with open(env, "w") as f:
            f.write("A=one\nB='a b'\n")
        with g:
            g.wait_log("said one a b")
            g.wait_boot()
            with open(env, "w") as f:
                f.write("A=two\n")
            g.ctl("restart", "a")
            g.wait_log("said two")
            self.assertEqual(g.unit("bad")["state"], "failed")
            self.assertIn("/nowhere/env", " ".join(g.unit("bad")["issues"]))

    def test_exit_code_from_ends_with_its_unit(self):
        with Guardian({"a.chunk": service("/bin/sh -c 'exit 7'", chunk={"CanFail": "yes"}, service={"Restart": "no"}),
                       "b.chunk": service("/bin/sleep 1003")}, args=["--exit-code-from", "a"], core=False) as g:
            self.assertEqual(g.wait(), 7)

    def test_essential_program_that_is_not_there(self):
        # no program: as a shell says it
        with Guardian({"a.chunk": service("/nowhere/program", chunk={"CanFail": "yes", "Essential": "yes"},
                                          service={"Restart": "no"})}, core=False) as g:
            self.assertEqual(g.wait(), 127)


class Parts(unittest.TestCase):
    def test_only_the_ledger_tells_its_head(self):
        fake = puppet_unit("fake", chunk={"CanFail": "yes"}, service={"Restart": "no"})
        with Guardian({"fake.chunk": fake}, puppets=["fake"]) as g:
            p = g.puppet("fake").validated()
            g.wait_boot()
            p.send("LEDGER_HEAD", SIZE=0, SIGNED_SIZE=0, ROOT=bytes(32), LEDGER_STATE="failed", HASH=bytes(32))
            self.assertTrue(p.ended())
            g.until("ended", lambda: g.unit("fake")["state"] in ("failed", "exited"))
            self.assertEqual(g.status()["guardian"]["ledger"]["state"], "ready")
            g.ctl("restart", "validators")

    def test_pause_is_kept_in_the_state_directory(self):
        with Guardian() as g:
            marker = os.path.join(g.state, "guardian/paused")
            g.wait_boot()
            g.ctl("pause", "look")
            g.until("marker", lambda: os.path.exists(marker))
            self.assertEqual(g.stop(), 0)
            with open(marker) as f:
                self.assertEqual(f.read(), "look")
            with Guardian(state=g.state) as next_g:
                next_g.wait_boot()
                self.assertEqual(next_g.status()["guardian"]["pause_reason"], "look")
                next_g.ctl("resume")
                next_g.until("no marker", lambda: not os.path.exists(marker))
                rows = next_g.until("it is on record", lambda: next_g.records("--action", "resume"))
                self.assertEqual(rows[0]["actor"], "uid:0")

    def test_a_gate_without_its_pipe_is_down(self):
        with Guardian() as g:
            g.wait_boot()
            self.assertEqual(g.status()["guardian"]["governance"], "ready")
            g.ctl("pin", "governance", "down")
            g.kill_unit("governance")
            g.until("down", lambda: g.status()["guardian"]["governance"] == "down")
            doc = g.ctl("--json", "restart", "validators").json
            self.assertTrue(doc["ungated"])

    def test_a_chunk_may_end_with_its_pipe_unread(self):
        """HELLO stays unread: its pipe is closed, not broken, and it gets the time to end by itself."""
        script = "/bin/sh -c 'exec 3>&-; echo closed; read _ <@DIR@/go; exit 7'"
        guardian = Guardian({"fake.chunk": service(script, chunk={"CanFail": "yes"},
                                                   service={"Type": "chunk", "Restart": "no"})}, core=False)
        os.mkfifo(os.path.join(guardian.dir, "go"))
        with guardian as g:
            g.wait_log("fake: closed")
            g.status()  # a round trip: the pipe's end came before the line, and was looked at
            go = os.open(os.path.join(g.dir, "go"), os.O_RDWR)
            os.write(go, b"\n")
            self.assertEqual(g.wait_log(r"unit ended unit=fake (.*) reason").group(1), "with=status status=7")
            os.close(go)


if __name__ == "__main__":
    main()
