# SPDX-License-Identifier: Apache-2.0
"""Who may do what: roles by uid, units that ask their own supervisor, votes."""
import os
import subprocess
import unittest

from harness import CTL, DEADLINE, ROOT, CtlResult, Guardian, main, needs_root, service

NOBODY, OBSERVER, OPERATOR, ADMIN, SECOND = 64000, 64001, 64002, 64003, 64004
ROLES = """apiVersion: guardian/policy.v1
roles:
  observer: {uids: [%d]}
  operator: {uids: [%d, %d]}
  admin: {uids: [%d]}
""" % (OBSERVER, OPERATOR, SECOND, ADMIN)
UNITS = {"web.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service"}),
         "vital.chunk": service("/bin/sleep 1000", chunk={"Heal": "restart_service", "Critical": "yes"})}


# The last one is nobody's child any more when it asks.
CALLER = """ask() { name=$1; shift; %(ctl)s "$@"; echo "$name=$?"; }
ask status version
ask restart restart web
ask approve approve x
ask pause pause x
ask mode mode log_only
ask shutdown shutdown
setsid sh -c '(%(ctl)s restart web; echo "deep=$?") &'
exec sleep 1000
"""


def guardian(units=None, **more):
    g = Guardian(units or UNITS, **more)
    os.mkdir(os.path.join(g.dir, "policies"))
    with open(os.path.join(g.dir, "policies", "roles.yaml"), "w") as f:
        f.write(ROLES)
    g.args += ["--policies", os.path.join(g.dir, "policies")]
    os.mkdir(g.runtime, 0o755)  # others may reach the socket
    return g


def as_uid(g, uid, *args):
    p = subprocess.run([CTL, "--runtime", g.runtime, *args], capture_output=True, text=True, timeout=DEADLINE,
                       user=uid, group=uid, extra_groups=[])
    return CtlResult(p.returncode, p.stdout, p.stderr)


class Roles(unittest.TestCase):
    # verb: who may do it
    VERBS = {("status",): (NOBODY, OBSERVER, OPERATOR, ADMIN),
             ("boot",): (OBSERVER, OPERATOR, ADMIN), ("logs",): (OBSERVER, OPERATOR, ADMIN),
             ("approvals",): (OBSERVER, OPERATOR, ADMIN), ("why", "web"): (OBSERVER, OPERATOR, ADMIN),
             ("graph", "units"): (OBSERVER, OPERATOR, ADMIN), ("ledger", "head"): (OBSERVER, OPERATOR, ADMIN),
             ("ledger", "query"): (OBSERVER, OPERATOR, ADMIN), ("incidents",): (OBSERVER, OPERATOR, ADMIN),
             ("restart", "web"): (OPERATOR, ADMIN), ("pin", "web", "up"): (OPERATOR, ADMIN), ("unpin", "web"): (OPERATOR, ADMIN),
             ("pause", "x"): (OPERATOR, ADMIN), ("resume",): (OPERATOR, ADMIN),
             ("emit", "test.roles"): (OPERATOR, ADMIN), ("propose", "restart_service", "web"): (OPERATOR, ADMIN),
             ("lockdown", "off"): (ADMIN,), ("mode", "log_only"): (ADMIN,), ("mode", "enforce"): (ADMIN,),
             ("break-glass", "--reason", "x", "--ttl", "1s"): (ADMIN,), ("ledger", "checkpoint"): (OPERATOR, ADMIN)}

    @needs_root
    def test_each_role(self):
        for pid1 in (True, False):
            with guardian(pid1=pid1) as g:
                g.wait_boot()
                for verb, may in self.VERBS.items():
                    for uid in (NOBODY, OBSERVER, OPERATOR, ADMIN):
                        with self.subTest(" ".join(verb), uid=uid, pid1=pid1):
                            r = as_uid(g, uid, "--json", *verb)
                            self.assertEqual(r.code, 0 if uid in may else 4, r)
                            if r.code and verb[0] in ("restart", "pin", "propose", "mode", "lockdown"):
                                self.assertEqual(r.json["code"], "denied_by_role")
                told = as_uid(g, OBSERVER, "pause", "x").err.replace("\n  ", " ")
                self.assertIn("your role is observer; it takes operator", told)
                self.assertIn("your role is nobody; it takes observer", as_uid(g, NOBODY, "boot").err)
                self.assertIn("your role is operator; it takes admin", as_uid(g, OPERATOR, "lockdown", "on").err)
                r = g.ctl_any("--json", "propose", "restart_servce", "web")
                self.assertEqual((r.code, r.json["code"]), (4, "unknown_action"), r)
                self.assertIn("did you mean 'restart_service'", g.ctl("propose", "restart_servce", "web", code=4).err)
                self.assertIn("guardianctl approvals", g.ctl("approve", "foo", code=6).err)
                self.assertIn("guardianctl incidents", g.ctl("incident", "inc_x", code=6).err)
                # who was refused for the role left no decision behind
                actors = {x["actor"] for x in g.records("--kind", "decision")}
                self.assertLessEqual(actors, {"uid:%d" % OPERATOR, "uid:%d" % ADMIN})
                r = as_uid(g, NOBODY, "shutdown")
                self.assertEqual(r.code, 4)
                self.assertEqual(as_uid(g, ADMIN, "shutdown").code, 0)
                self.assertEqual(g.wait(), 0)

    @needs_root
    def test_no_mode_widens_a_role(self):
        with guardian(args=["--mode", "log_only"]) as g:
            g.wait_boot()
            g.ctl("mode", "log_only")
            for uid, code in ((NOBODY, 4), (OBSERVER, 4), (OPERATOR, 0)):
                self.assertEqual(as_uid(g, uid, "restart", "web").code, code)
            self.assertEqual(as_uid(g, OPERATOR, "mode", "enforce").code, 4)

    @needs_root
    def test_votes(self):
        with guardian() as g:
            g.wait_boot()
            old = g.unit("vital")["pid"]
            r = as_uid(g, OPERATOR, "--json", "propose", "restart_service", "vital")
            self.assertEqual((r.code, r.json["code"]), (5, "approval_required"), r)
            ident = r.json["approval_id"]
            pending = g.ctl("--json", "approvals").json
            self.assertEqual([(a["id"], a["target"], a["state"], a["requested_by"]) for a in pending],
                             [(ident, "vital", "pending", "uid:%d" % OPERATOR)])
            self.assertEqual(g.status()["guardian"]["pending_approvals"], 1)
            self.assertIn(ident, g.ctl("approvals").out)
            for uid, code in ((NOBODY, "denied_by_role"), (OBSERVER, "denied_by_role"), (OPERATOR, "self_approval")):
                v = as_uid(g, uid, "--json", "approve", ident)
                self.assertEqual(v.json["code"], code, v)
                self.assertNotEqual(v.code, 0)
            self.assertEqual(g.unit("vital")["pid"], old)
            v = as_uid(g, SECOND, "--json", "approve", ident, "--note", "go")
            self.assertEqual((v.code, v.json["code"]), (0, "ok"), v)
            g.until("it is restarted", lambda: g.unit("vital")["pid"] not in (None, old))
            g.until("the act is on record", lambda: g.records("--kind", "action"))
            self.assertNotIn(ident, g.ctl("approvals").out)
            self.assertIn(ident, g.ctl("approvals", "--all").out)
            rows = [x for x in g.records("--correlation-id", r.json["correlation_id"]) if x["kind"] != "event"]
            self.assertEqual([x["kind"] for x in rows], ["decision", "approval", "decision", "intent", "action"])
            self.assertEqual(rows[0]["body"]["verdict"], "require_approval")
            v = as_uid(g, SECOND, "--json", "approve", ident)
            self.assertNotEqual(v.code, 0)
            self.assertIn(v.json["code"], ("approval_used", "already_voted"))
            self.assertEqual(g.ctl("--json", "approvals").json[0]["state"], "used")

    @needs_root
    def test_denied_by_a_person(self):
        with guardian() as g:
            g.wait_boot()
            old = g.unit("vital")["pid"]
            ident = as_uid(g, OPERATOR, "--json", "propose", "restart_service", "vital").json["approval_id"]
            self.assertEqual(as_uid(g, SECOND, "deny", ident).code, 0)
            v = g.ctl("--json", "approve", ident, code=None)
            self.assertNotEqual(v.code, 0)
            self.assertEqual(g.unit("vital")["pid"], old)
            self.assertEqual(g.records("--kind", "intent"), [])

    def test_approval_is_void_when_its_target_ended(self):
        with guardian() as g:
            g.wait_boot()
            r = g.ctl("--json", "propose", "restart_service", "vital", code=5).json
            g.kill_unit("vital")
            g.until("it is void", lambda: g.ctl("--json", "approvals").json[0]["state"] == "void")
            v = g.ctl("--json", "approve", r["approval_id"], code=1).json
            self.assertEqual(v["code"], "stale_target")
            self.assertEqual(g.records("--kind", "intent"), [])

    def test_unit_is_never_a_person(self):
        """Whatever its uid, and from whatever depth: a descendant of Guardian is a unit."""
        text = service("/bin/sh @DIR@/caller.sh", chunk={"Priority": "5"})
        for pid1 in (True, False):
            g = guardian(dict(UNITS, **{"caller.chunk": text}), pid1=pid1)
            with open(os.path.join(g.dir, "caller.sh"), "w") as f:
                f.write(CALLER % {"ctl": "%s --runtime %s --json" % (CTL, g.runtime)})
            with g:
                g.wait_boot()
                pid = g.unit("web")["pid"]
                g.wait_log(r"caller: status=0")
                for verb in ("restart", "approve", "pause", "mode", "shutdown", "deep"):
                    m = g.wait_log(r"caller: %s=(\d+)" % verb)
                    self.assertNotEqual(m[1], "0", verb)
                self.assertRegex(g.log, r'caller: .*"code":"denied_by_role"')
                doc = g.status()
                self.assertEqual((doc["guardian"]["paused"], doc["guardian"]["mode"]), (False, "enforce"))
                self.assertEqual({u["name"]: u["pid"] for u in doc["units"]}["web"], pid)
                self.assertEqual([x for x in g.records("--kind", "intent")], [])
                # the same as the same uid from outside works
                g.ctl("restart", "web")

    def test_unit_that_grants_login(self):
        ctl = "%s --runtime @DIR@/run" % CTL
        script = "/bin/sh -c '%s restart web; echo restart=$?; exec sleep 1000'" % ctl
        with guardian(dict(UNITS, **{"login.chunk": service(script, chunk={"Priority": "5", "GrantsLogin": "yes"})})) as g:
            g.wait_boot()
            g.wait_log("login: restart=0")
            self.assertEqual([x["actor"] for x in g.records("--kind", "action")], ["uid:0"])

    def test_bad_roles_file(self):
        g = guardian()
        with open(os.path.join(g.dir, "policies", "roles.yaml"), "w") as f:
            f.write("apiVersion: guardian/policy.v1\nroles:\n  emperor: {uids: [1]}\n")
        with g:
            self.assertEqual(g.wait(), 65)
            self.assertRegex(g.log, r"roles\.yaml:3.*emperor")

    @unittest.skipIf(ROOT, "needs an ordinary user")
    def test_own_uid_is_admin(self):
        with guardian(pid1=False) as g:
            g.wait_boot()
            self.assertEqual(g.ctl("mode", "log_only").code, 0)


if __name__ == "__main__":
    main()
