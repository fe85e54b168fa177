# SPDX-License-Identifier: Apache-2.0
"""Forged frames: the sender's connection ends or its append is refused, logged with the peer; nobody else is harmed."""
import os
import select
import socket
import struct
import subprocess
import unittest

import wire
from harness import CORE, CTL, DEADLINE, STAGE, Guardian, answer, link, main, puppet_unit, service
from wire import KINDS, VERDICTS, frame, tlv

CALL = tlv(REQ=1, VERB="status")

# name: (bytes as the first frame of a connection, what the log says of it)
BAD_FRAMES = {
    "length_too_long": (frame("CALL", 1, CALL, length=wire.FRAME_MAX + 1), "length"),
    "length_too_short": (struct.pack("<I", 3) + bytes(3), "length"),
    "version": (frame("CALL", 1, CALL, version=9), "version"),
    "sequence_gap": (frame("CALL", 2, CALL), "sequence|missing"),
    "sequence_zero": (frame("CALL", 0, CALL), "sequence|missing"),
    "unknown_type": (frame(200, 1), "type"),
    "oversized_header": (frame("CALL", 1, tlv(REQ=1, VERB="status", ARG=["k=" + "x" * 1000] * 9)), "header"),
    "header_past_the_end": (frame("CALL", 1, CALL, header_length=len(CALL) + 5), "header"),
    "field_past_the_end": (frame("CALL", 1, CALL + struct.pack("<HH", 10, 50) + b"a=b"), "field|header"),
    "unknown_field": (frame("CALL", 1, CALL + struct.pack("<HH", 9999, 0)), "field|tag"),
    "field_of_another_message": (frame("CALL", 1, CALL + tlv(SECRET=bytes(32))), "SECRET|field"),
    "field_twice": (frame("CALL", 1, CALL + tlv(VERB="stop")), "VERB|twice|repeat"),
    "field_missing": (frame("CALL", 1, tlv(REQ=1)), "VERB"),
    "too_many_fields": (frame("CALL", 1, tlv(REQ=1, VERB="status", ARG=["a=b"] * 80)), "field"),
    "bad_utf8": (frame("CALL", 1, tlv(REQ=1, VERB=b"\xff\xfe")), "UTF-8|VERB"),
    "descriptor_missing": (frame("RESULT", 1, tlv(REQ=1, STATUS=0, CODE="ok"), flags=1), "descriptor"),
    "descriptor_where_none_may_be": (frame("CALL", 1, CALL, flags=1), "descriptor"),
    "garbage": (b"\x00" * 64, "length"),
}


def person(g):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(os.path.join(g.runtime, "control.sock"))
    s.settimeout(DEADLINE)
    return wire.Peer(s)


def call(peer, verb, **fields):
    peer.send("CALL", REQ=peer.out + 1, VERB=verb, **fields)
    return peer.expect("RESULT", REQ=peer.out)


class Forged(unittest.TestCase):
    def others_go_on(self, g, pids):
        now = {u["name"]: u["pid"] for u in g.status()["units"]}
        self.assertEqual({n: now[n] for n in pids}, pids)

    def pids(self, g, names=CORE):
        return {u["name"]: u["pid"] for u in g.status()["units"] if u["name"] in names}

    def test_control_socket(self):
        with Guardian({"web.chunk": service("/bin/sleep 1000")}) as g:
            g.wait_boot()
            pids = self.pids(g)
            bystander = person(g)
            self.assertEqual(call(bystander, "status")["STATUS"], 0)
            before = g.descriptors()
            for name, (data, reason) in BAD_FRAMES.items():
                with self.subTest(name), person(g) as p:
                    mark = g.mark()
                    p.raw(data)
                    self.assertTrue(p.ended(), name)
                    g.wait_log(r'control connection ended peer=uid:\d+ reason="[^"]*(?:%s)' % reason, since=mark)
            for kind, fields in (("HELLO", dict(UNIT="x", INSTANCE=1, EPOCH=1, SECRET=bytes(32), BOOT_ID=bytes(16))),
                                 ("PROPOSE", dict(REQ=1, ACTION="restart_service", TARGET="web")),
                                 ("VERDICT", dict(REQUEST_ID=bytes(16), DIGEST=bytes(32), VERDICT=VERDICTS["allow"], CODE="ok",
                                                  POLICY_REVISION="x"))):
                with self.subTest(kind), person(g) as p:
                    mark = g.mark()
                    p.send(kind, **fields)
                    self.assertTrue(p.ended())
                    g.wait_log(r"control client refused peer=uid:\d+ reason=\"%s is not taken here" % kind, since=mark)
            # a frame in many pieces is a frame all the same
            with person(g) as p:
                for byte in frame("CALL", 1, CALL):
                    p.raw(bytes([byte]))
                self.assertEqual(p.expect("RESULT")["STATUS"], 0)
            self.assertEqual(call(bystander, "status")["STATUS"], 0)
            bystander.close()
            g.until("descriptors as before", lambda: g.descriptors() <= before)
            self.others_go_on(g, pids)
            g.stop_clean()

    def test_control_pipe_of_a_chunk(self):
        """Each forger is a unit of its own, validated first."""
        forgers = {
            "sequence": (frame("HEARTBEAT", 9), "sequence|missing"),
            "version": (frame("HEARTBEAT", 3, version=2), "version"),
            "length": (struct.pack("<I", 1 << 30), "length"),
            "unknown": (frame(99, 3), "type"),
            "header": (frame("HEARTBEAT", 3, header_length=9000), "header"),
            "nofd": (frame("LINK", 3, tlv(UNIT="ledger", INSTANCE=1, EPOCH=1, PEER_KIND="chunk", ACTOR="ledger", VALIDATED=True),
                           flags=1), "descriptor"),
            "peer": (frame("PEER", 3, tlv(UNIT="ledger", INSTANCE=1, VALIDATED=True)), "type=PEER"),
            "verdict": (frame("VERDICT", 3, tlv(REQUEST_ID=bytes(16), DIGEST=bytes(32), VERDICT=VERDICTS["allow"], CODE="ok",
                                                POLICY_REVISION="x")), "type=VERDICT"),
            "attached": (frame("ATTACHED", 3, tlv(CODE="ok", EPOCH=1, SEQ=0, SIZE=0, SIGNED_SIZE=0)),
                         "type=ATTACHED"),
        }
        units = {n + ".chunk": puppet_unit(n, chunk={"CanFail": "yes"}, service={"Restart": "no"}) for n in forgers}
        with Guardian(units, puppets=forgers) as g:
            pipes = {n: g.puppet(n).validated() for n in forgers}
            g.wait_boot()
            pids = self.pids(g)
            for name, (data, reason) in forgers.items():
                with self.subTest(name):
                    mark = g.mark()
                    pipes[name].raw(data)
                    self.assertTrue(pipes[name].ended())
                    g.wait_log(r"error guardian: (?:control pipe ended|a message that this chunk may not send) unit=%s .*(?:%s)" % (name, reason), since=mark)
                    g.wait_log("unit ended unit=%s" % name, since=mark)
                    self.assertIsNone(g.unit(name)["pid"])
            self.others_go_on(g, pids)

    def test_link_with_a_descriptor_sent_by_a_chunk(self):
        with Guardian({"fake.chunk": puppet_unit("fake", chunk={"CanFail": "yes"}, service={"Restart": "no"})}, puppets=["fake"]) as g:
            p = g.puppet("fake").validated()
            g.wait_boot()
            pids, before = self.pids(g), g.descriptors()
            mine, theirs = socket.socketpair()
            p.send("LINK", fd=theirs.fileno(), UNIT="ledger", INSTANCE=1, EPOCH=1, PEER_KIND="chunk", ACTOR="ledger", VALIDATED=True)
            theirs.close()
            self.assertTrue(p.ended())
            self.assertEqual(mine.recv(1), b"")  # nobody kept the descriptor
            mine.close()
            g.wait_log("a message that this chunk may not send unit=fake type=LINK")
            g.until("no descriptor more", lambda: g.descriptors() <= before)
            self.others_go_on(g, pids)

    def test_message_before_validation(self):
        with Guardian({"fake.chunk": puppet_unit("fake", chunk={"CanFail": "yes"}, service={"Restart": "no"})}, puppets=["fake"]) as g:
            p = g.puppet("fake").accept()
            p.send("PROPOSE", REQ=1, ACTION="restart_service", TARGET="mesh")
            self.assertTrue(p.ended())
            g.wait_log(r'unit=fake reason="a message before it was validated"')
            g.wait_boot()
            self.assertEqual(g.status()["guardian"]["state"], "degraded")
            self.assertEqual(g.records("--kind", "decision"), [])

    def test_proposal_of_a_unit_that_may_not_propose(self):
        with Guardian({"fake.chunk": puppet_unit("fake"), "web.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"})},
                      puppets=["fake"]) as g:
            p = g.puppet("fake").validated()
            g.wait_boot()
            pid = g.unit("web")["pid"]
            p.send("PROPOSE", REQ=7, ACTION="restart_service", TARGET="web")
            r = p.expect("PROPOSAL_RESULT", REQ=7)
            self.assertNotEqual(r["CODE"], "ok")
            self.assertEqual(g.unit("web")["pid"], pid)
            self.assertEqual(g.records("--kind", "intent"), [])

    def test_verdict_for_no_pending_request(self):
        with Guardian({"governance.chunk": puppet_unit("governance", "@DIR@/stage/libexec/guardian/puppet",
                                                       chunk={"Priority": "1.5", "Links": "ledger"}, service={"Restart": "always"}),
                       "web.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"})},
                      puppets=["governance"], puppet_stage=True) as g:
            p = g.puppet("governance").validated()
            g.wait_boot()
            pids = self.pids(g, ("ledger", "mesh", "immune", "validators"))
            verdict = dict(VERDICT=VERDICTS["allow"], CODE="ok", POLICY_REVISION="forged", DECISION_INDEX=1)
            # a request that never was: the connection ends, logged with the peer
            p.send("VERDICT", REQUEST_ID=bytes(range(16)), DIGEST=bytes(32), **verdict)
            self.assertTrue(p.ended())
            g.wait_log(r"control pipe ended: the chunk broke the protocol unit=governance reason=.*verdict")
            self.assertEqual(g.status()["guardian"]["enforcement"]["forged_verdicts"], 1)
            mark = len(g.log)
            p = g.puppet("governance").validated()
            # one that is pending, with another digest: the connection ends
            proc = subprocess.Popen([CTL, "--runtime", g.runtime, "--json", "propose", "restart_service", "web"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                asked = p.expect("DECIDE")
                p.send("VERDICT", REQUEST_ID=asked["REQUEST_ID"], DIGEST=bytes(32), **verdict)
                self.assertTrue(p.ended())
                g.wait_log(r"control pipe ended: the chunk broke the protocol unit=governance reason=.*verdict", since=mark)
                # the next instance is asked the same again, and may still say no
                p = g.puppet("governance").validated()
                again = p.expect("DECIDE")
                self.assertEqual((again["REQUEST_ID"], again["DIGEST"]), (asked["REQUEST_ID"], asked["DIGEST"]))
                p.send("VERDICT", REQUEST_ID=asked["REQUEST_ID"], DIGEST=asked["DIGEST"], VERDICT=VERDICTS["deny"],
                       CODE="denied_by_rule", POLICY_REVISION="x")
                self.assertEqual(proc.wait(DEADLINE), 4)
            finally:
                proc.kill()
                proc.wait()
            self.assertEqual(g.status()["guardian"]["enforcement"]["forged_verdicts"], 2)
            self.assertEqual(g.records("--kind", "intent"), [])
            self.others_go_on(g, pids)

    def decide(self, g, p, name, **verdict):
        """Proposes; the fake gate answers with that. Returns guardianctl's document and status."""
        web = g.unit("web")["pid"]
        proc = subprocess.Popen([CTL, "--runtime", g.runtime, "--json", "propose", "restart_service", "web"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            asked = p.expect("DECIDE")
            fields = dict(REQUEST_ID=asked["REQUEST_ID"], DIGEST=asked["DIGEST"], VERDICT=VERDICTS["allow"], CODE="ok",
                          POLICY_REVISION="forged", USE_BY_US=asked["NOW_BOOT_US"] + 5000000)
            fields.update(verdict)
            p.send("VERDICT", **fields)
            out, _ = proc.communicate(timeout=DEADLINE)
        finally:
            proc.kill()
            proc.wait()
            proc.stdout.close()
        self.assertNotEqual(proc.returncode, 0, name)
        self.assertEqual(g.unit("web")["pid"], web, name)
        self.assertEqual(g.records("--kind", "intent") + g.records("--kind", "action"), [], name)
        return out

    def test_allow_without_a_decision(self):
        """The ledger, not the gate's word, licenses an act: an intent whose ref is no such decision is refused."""
        units = {"governance.chunk": puppet_unit("governance", "@DIR@/stage/libexec/guardian/puppet",
                                                 chunk={"Priority": "1.5", "Links": "ledger"}, service={"Restart": "always"}),
                 "web.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"})}
        with Guardian(units, puppets=["governance"], puppet_stage=True) as g:
            p = g.puppet("governance").accept()
            ledger = link(p, "ledger")
            p.send("READY")
            answer(p)
            g.wait_boot()
            self.assertIn("intent_refused", self.decide(g, p, "no record", DECISION_INDEX=0))
            self.assertIn("intent_refused", self.decide(g, p, "index past the end", DECISION_INDEX=100000))
            # a real decision of governance, but for another request
            ledger.send("ATTACH", EPOCH=p.hello["EPOCH"])
            ledger.expect("ATTACHED", CODE="ok")
            ledger.send("APPEND", b"{}", SEQ=1, KIND=KINDS["decision"], REQUEST_ID=bytes(16), DIGEST=bytes(32), VERDICT_BITS=1)
            index = ledger.expect("APPEND_ACK", SEQ=1)["INDEX"]
            self.assertIn("intent_refused", self.decide(g, p, "decision for another request", DECISION_INDEX=index))
            self.assertEqual(g.status()["guardian"]["enforcement"]["intents_refused"], 3)
            g.verify()

    def test_appends_of_a_chunk(self):
        """Immune's pipe in the test's hand: what it may write, and what it may not."""
        units = {"immune.chunk": puppet_unit("immune", "@DIR@/stage/libexec/guardian/puppet",
                                             chunk={"Priority": "1.5", "Links": "ledger mesh"}, service={"Restart": "no"}),
                 "fake.chunk": puppet_unit("fake", chunk={"Links": "ledger", "CanFail": "yes"}, service={"Restart": "no"})}
        with Guardian(units, puppets=["immune", "fake"], puppet_stage=True) as g:
            p = g.puppet("immune").accept()
            ledger = link(p, "ledger")
            p.send("READY")
            answer(p)
            other = g.puppet("fake").accept()
            foreign = link(other, "ledger")
            other.send("READY")
            answer(other)
            g.wait_boot()
            pids = self.pids(g, ("ledger", "governance", "mesh", "validators"))
            ledger.send("APPEND", b"{}", SEQ=1, KIND=KINDS["anomaly"])
            self.assertEqual(ledger.expect("APPEND_REFUSED", SEQ=1)["CODE"], "E.CONFLICT")  # not attached
            ledger.send("ATTACH", EPOCH=p.hello["EPOCH"])
            ledger.expect("ATTACHED", CODE="ok")
            ledger.send("APPEND", b"{}", SEQ=1, KIND=KINDS["anomaly"])
            good = ledger.expect("APPEND_ACK", SEQ=1)
            ledger.send("APPEND", b"{}", SEQ=1, KIND=KINDS["anomaly"])
            self.assertEqual(ledger.expect("APPEND_ACK", SEQ=1)["INDEX"], good["INDEX"])  # never a second record
            seq = 1  # a refused number is used up
            for name, code, body, fields in (
                    ("intent", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["intent"], REF=good["INDEX"], REQUEST_ID=bytes(16), DIGEST=bytes(32))),
                    ("decision", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["decision"], REQUEST_ID=bytes(16), DIGEST=bytes(32), VERDICT_BITS=1)),
                    ("approval", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["approval"], REQUEST_ID=bytes(16))),
                    ("config", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["config"], ACTION="mode", RESULT="log_only")),
                    ("event", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["event"])),
                    ("key", "E.FORBIDDEN", b"{}", dict(KIND=KINDS["key"])),
                    ("no such kind", "E.VALIDATION|E.FORBIDDEN", b"{}", dict(KIND=99)),
                    ("no JSON", "E.VALIDATION", b"{", dict(KIND=KINDS["anomaly"])),
                    ("keys out of order", "E.VALIDATION", b'{"b":1,"a":2}', dict(KIND=KINDS["anomaly"])),
                    ("a float", "E.VALIDATION", b'{"a":1.5}', dict(KIND=KINDS["anomaly"])),
                    ("a gap", "E.CONFLICT", b"{}", dict(KIND=KINDS["anomaly"], SEQ=77))):
                with self.subTest(name):
                    seq = fields.pop("SEQ", seq + 1)
                    ledger.send("APPEND", body, SEQ=seq, **fields)
                    self.assertRegex(ledger.expect("APPEND_REFUSED", SEQ=seq)["CODE"], "^(?:%s)$" % code)
            # a unit that writes no records at all
            foreign.send("ATTACH", EPOCH=other.hello["EPOCH"])
            self.assertEqual(foreign.expect("ATTACHED")["CODE"], "E.FORBIDDEN")
            foreign.send("APPEND", b"{}", SEQ=1, KIND=KINDS["anomaly"])
            self.assertEqual(foreign.expect("APPEND_REFUSED", SEQ=1)["CODE"], "E.FORBIDDEN")
            # what only Guardian may say ends the link, whoever says it
            mark = g.mark()
            foreign.send("PEER", UNIT="fake", INSTANCE=1, VALIDATED=True)
            self.assertTrue(foreign.ended())
            g.wait_log("ledger: .*(link|refused|ended).*fake", since=mark)
            self.others_go_on(g, pids)
            rows = g.records("--writer", "immune") + g.records("--writer", "fake")
            self.assertEqual([(r["index"], r["kind"]) for r in rows], [(good["INDEX"], "anomaly")])
            g.verify()

    def test_not_validated_chunk_may_not_append(self):
        units = {"immune.chunk": puppet_unit("immune", "@DIR@/stage/libexec/guardian/puppet",
                                             chunk={"Priority": "1.5", "Links": "ledger mesh", "CanFail": "yes", "ValidateTimeoutSec": "1s",
                                                    "StartRetries": "0"}, service={"Restart": "no"})}
        with Guardian(units, puppets=["immune"], puppet_stage=True) as g:
            p = g.puppet("immune").accept()
            ledger = link(p, "ledger")
            p.send("READY")
            ledger.send("ATTACH", EPOCH=p.hello["EPOCH"])
            ledger.expect("ATTACHED")
            ledger.send("QUERY", REQ=1, LIMIT=1)
            self.assertEqual(ledger.expect("RECORD", REQ=1)["KIND"], KINDS["key"])
            ledger.send("APPEND", b"{}", SEQ=1, KIND=KINDS["anomaly"])
            g.wait_boot()
            self.assertTrue(ledger.ended())
            self.assertEqual(g.records("--writer", "immune"), [])

    def test_person_on_a_chunks_link(self):
        with Guardian() as g:
            g.wait_boot()
            pids = self.pids(g)
            for unit, kind, fields in (("ledger", "APPEND", dict(SEQ=1, KIND=KINDS["anomaly"])),
                                       ("ledger", "ATTACH", dict(EPOCH=1)),
                                       ("mesh", "PEER", dict(UNIT="mesh", INSTANCE=1, VALIDATED=True)),
                                       ("mesh", "INVOKE", dict(REQ=1, HANDLER="avn_core.restart_kernel", TYPE="a.b")),
                                       ("governance", "DECIDE", None), ("immune", "EVENT", dict(TYPE="unit.state"))):
                with self.subTest("%s to %s" % (kind, unit)), person(g) as control:
                    got = call(control, "connect", UNIT=unit)
                    self.assertEqual(got["STATUS"], 0, got)
                    with wire.Peer(socket.socket(fileno=got["fd"])) as p:
                        if fields is None:
                            p.raw(frame("DECIDE", 1))
                        else:
                            p.send(kind, **fields)
                        self.assertTrue(p.ended())
            self.others_go_on(g, pids)
            self.assertEqual([r for r in g.records("--kind", "anomaly")], [])


class RealLedger(unittest.TestCase):
    """The ledger alone, the test in Guardian's place: intents that Guardian itself would never send."""

    def test_intent_binding(self):
        with Guardian() as g:
            self.run_alone(os.path.join(g.dir, "alone"))

    def run_alone(self, state):
        os.mkdir(state)
        mine, theirs = socket.socketpair()
        with open(os.devnull) as null:
            proc = subprocess.Popen(["/bin/sh", "-c", 'exec 3<&%d "$0"' % theirs.fileno(),
                                     os.path.join(STAGE, "libexec/guardian/guardian-ledger")],
                                    pass_fds=[theirs.fileno()], stdin=null, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        theirs.close()
        with wire.Peer(mine) as control:
            try:
                control.send("HELLO", UNIT="ledger", INSTANCE=1, EPOCH=1, SECRET=bytes(32), BOOT_ID=bytes(16), STATE_DIR=state)
                control.expect("READY")
                with self.link(control, "governance", 2) as gate:
                    self.bind(control, gate)
            finally:
                proc.kill()
                proc.wait()

    def link(self, control, unit, instance):
        a, b = socket.socketpair()
        control.send("LINK", fd=b.fileno(), UNIT=unit, INSTANCE=instance, EPOCH=1, PEER_KIND="chunk", ACTOR=unit, VALIDATED=True)
        b.close()
        return wire.Peer(a)

    def bind(self, control, gate):
        rid, digest, other = bytes(range(16)), bytes(range(32)), bytes(32)
        gate.send("ATTACH", EPOCH=1)
        gate.expect("ATTACHED", CODE="ok")
        control.send("ATTACH", EPOCH=0)
        control.expect("ATTACHED", CODE="ok")
        index = {}
        for seq, (name, bits) in enumerate((("allow", 1), ("deny", 2), ("ask", 4), ("check", 9)), 1):
            gate.send("APPEND", b"{}", SEQ=seq, KIND=KINDS["decision"], REQUEST_ID=rid, DIGEST=digest, VERDICT_BITS=bits)
            index[name] = gate.expect("APPEND_ACK", SEQ=seq)["INDEX"]
        good = dict(KIND=KINDS["intent"], REQUEST_ID=rid, DIGEST=digest, REF=index["allow"])
        seq = 0
        for name, change in (("key record", dict(REF=0)), ("nothing there", dict(REF=10 ** 6)), ("denied", dict(REF=index["deny"])),
                             ("asked", dict(REF=index["ask"])), ("only a check", dict(REF=index["check"])),
                             ("another digest", dict(DIGEST=other)), ("another request", dict(REQUEST_ID=bytes(16)))):
            with self.subTest(name):
                seq += 1  # a refused number is used up
                control.send("APPEND", b"{}", SEQ=seq, **dict(good, **change))
                self.assertEqual(control.expect("APPEND_REFUSED", SEQ=seq)["CODE"], "intent_refused")
        control.send("APPEND", b"{}", SEQ=seq + 1, **good)
        control.expect("APPEND_ACK", SEQ=seq + 1)
        control.send("APPEND", b"{}", SEQ=seq + 2, **good)
        self.assertEqual(control.expect("APPEND_REFUSED", SEQ=seq + 2)["CODE"], "intent_refused")  # an allow is used once
        self.assertFalse(select.select([gate.sock], [], [], 0)[0])


if __name__ == "__main__":
    main()
