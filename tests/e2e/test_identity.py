# SPDX-License-Identifier: Apache-2.0
"""Validation by evidence: who answers wrongly, is another program, or says nothing, is not validated."""
import os
import shutil
import unittest

import wire
from harness import STAGE, Guardian, answer, copy_stage, main, puppet_unit

# A core chunk is tried three times more, with delays; once is enough here.
ONCE = {n + ".chunk.d/once.conf": "[Chunk]\nStartRetries=0\n" for n in ("mesh", "governance")}
FAKE = {"Restart": "no", "TimeoutStartSec": "1s"}


def fake(chunk=None, **more):
    return {"fake.chunk": puppet_unit("fake", chunk=dict({"ValidateTimeoutSec": "1s"}, **(chunk or {})), service=FAKE, **more)}


class Challenge(unittest.TestCase):
    def aborts(self, reason, chunk=None, ready=True, **fields):
        with Guardian(fake(chunk), puppets=["fake"]) as g:
            p = g.puppet("fake").accept()
            if ready:
                p.send("READY")
            if fields:
                answer(p, **fields)
            self.assertEqual(g.wait(), 75)
            self.assertRegex(g.log, r"boot aborted unit=fake reason=.*" + reason)
            self.assertNotRegex(g.log, "unit=fake verdict=passed")

    def test_right_answer_passes(self):
        with Guardian(fake({"Handles": "fake.heal"}), puppets=["fake"]) as g:
            g.puppet("fake").validated(HANDLER=["fake.heal"])
            g.wait_boot()
            u = g.unit("fake")
            self.assertEqual((u["state"], u["verdict"], u["sandbox"]["verified"], u["issues"]), ("running", "passed", True, []))
            g.stop_clean()

    def test_wrong_proof(self):
        self.aborts("the challenge was answered wrongly", PROOF=bytes(32))

    def test_answer_to_another_nonce(self):
        self.aborts("the challenge was answered wrongly", NONCE=bytes(32))

    def test_proof_of_another_wire(self):
        real = wire.table_hash
        wire.table_hash = lambda: bytes(32)
        try:
            self.aborts("the challenge was answered wrongly", HANDLER=["any"])
        finally:
            wire.table_hash = real

    def test_missing_handler(self):
        self.aborts("handler 'fake.heal' of Handles= is not registered", {"Handles": "fake.heal"}, HANDLER=["fake.other"])

    def test_self_test_failed(self):
        self.aborts("self-test: the disk is gone", ISSUE=["the disk is gone"])

    def test_never_answers(self):
        self.aborts("no answer to the challenge within 1s")

    def test_never_ready(self):
        self.aborts("not ready within 1s", ready=False)

    def test_answer_before_the_challenge_does_not_count(self):
        with Guardian(fake(), puppets=["fake"]) as g:
            p = g.puppet("fake").accept()
            p.send("CHALLENGE_REPLY", NONCE=bytes(32), PROOF=wire.proof(p.hello, bytes(32)))
            p.send("READY")
            self.assertEqual(g.wait(), 75)
            self.assertNotRegex(g.log, "unit=fake verdict=passed")

    def test_failing_unit_that_can_fail_is_not_running(self):
        with Guardian(fake({"CanFail": "yes"}), puppets=["fake"]) as g:
            p = g.puppet("fake").accept()
            p.send("READY")
            answer(p, PROOF=bytes(32))
            g.wait_boot()
            u = g.unit("fake")
            self.assertNotEqual(u["verdict"], "passed")
            self.assertNotEqual(u["state"], "running")
            self.assertEqual(g.status()["guardian"]["state"], "degraded")


class Executable(unittest.TestCase):
    def test_changed_copy_in_the_stage(self):
        with Guardian() as g:
            stage = copy_stage(os.path.join(g.dir, "copy"))
            self.append(os.path.join(stage, "libexec/guardian/guardian-mesh"))
            self.refused(Guardian(ONCE, stage=stage), "mesh")
            good = copy_stage(os.path.join(g.dir, "good"))
            with Guardian(stage=good) as other:
                other.wait_boot()

    def test_bind_mounted_over(self):
        with Guardian() as g:
            stage, bad = copy_stage(os.path.join(g.dir, "copy")), os.path.join(g.dir, "bad")
            program = os.path.join(stage, "libexec/guardian/guardian-governance")
            shutil.copy(program, bad)
            self.append(bad)
            shell = ["/bin/sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', bad, program]
            self.refused(Guardian(ONCE, stage=stage, prefix=shell), "governance")

    def append(self, path):
        with open(path, "ab") as f:
            f.write(b"\0")

    def refused(self, g, unit):
        with g:
            self.assertEqual(g.wait(), 75)
            self.assertRegex(g.log, r"boot aborted unit=%s reason=.*is not the planned one: its SHA-256 differs" % unit)
            self.assertNotRegex(g.log, "unit=%s verdict=passed" % unit)

    def test_another_program_after_exec(self):
        """The planned program gives way to another one: what runs is read back, not what was started."""
        text = puppet_unit("fake", chunk={"ValidateTimeoutSec": "1s"}, service=FAKE)
        text = text.replace("ExecStart=", "ExecStart=/bin/sh -c 'exec \"$0\" \"$@\"' ")
        with Guardian({"fake.chunk": text}, puppets=["fake"]) as g:
            g.puppet("fake").validated()
            self.assertEqual(g.wait(), 75)
            self.assertRegex(g.log, r"boot aborted unit=fake reason=.*Exe: planned")

    def test_core_unit_must_be_in_the_manifest(self):
        with Guardian({"mesh.chunk": puppet_unit("mesh", chunk={"StartRetries": "0"})}, puppets=["mesh"]) as g:
            self.assertEqual(g.wait(), 75)
            self.assertRegex(g.log, r"boot aborted unit=mesh reason=.*has no entry in lib/guardian/manifest")

    def test_manifest_missing(self):
        with Guardian() as g:
            stage = copy_stage(os.path.join(g.dir, "copy"))
            os.unlink(os.path.join(stage, "lib/guardian/manifest"))
            with Guardian(stage=stage) as other:
                self.assertEqual(other.wait(), 70)
                self.assertRegex(other.log, "manifest of chunk programs can't be read")
            self.assertTrue(os.path.exists(os.path.join(STAGE, "lib/guardian/manifest")))


if __name__ == "__main__":
    main()
