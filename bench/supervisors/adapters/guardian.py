# SPDX-License-Identifier: Apache-2.0
"""Guardian itself: the program below $GUARDIAN_STAGE (a stage folder of the build), or on PATH."""
import os
import subprocess

from benchlib import Adapter, Launch


class Guardian(Adapter):
    name = "guardian"
    features = Adapter.features | {"chain"}
    note = "--no-core: the bench units alone, defaults, Restart=always, output captured; tuned: RestartSec=0, no start limit; " \
           "chain: Type=notify"
    core = False
    peer = False

    def program(self):
        stage = os.environ.get("GUARDIAN_STAGE")
        own = os.path.join(stage, "bin/guardian") if stage else None
        return own if own and os.access(own, os.X_OK) else self.find("guardian")

    def version(self):
        p = self.program()
        if not p:
            return None
        r = subprocess.run([p, "--version"], capture_output=True, text=True)
        return r.stdout.replace("guardian", "").strip() or None

    def setup(self, job):
        for i in range(job.n):
            s = []
            if job.chain and i:
                s += ["[Unit]", "Requires=s%04d" % (i - 1), "After=s%04d" % (i - 1)]
            s += ["[Service]", "Type=notify" if job.chain else "Type=exec", "Restart=always",
                  "ExecStart=" + " ".join(job.svc(i, "sd" if job.chain else None))]
            if job.tuned:
                s += ["RestartSec=0", "StartLimitBurst=0"]
            job.write("units/s%04d.chunk" % i, "\n".join(s) + "\n")
        return Launch([self.program(), "--units", job.path("units"), "--state", job.path("state"), "--runtime",
                       job.path("run")] + ([] if self.core else ["--no-core"]))


class GuardianGoverned(Guardian):
    name = "guardian-governed"
    note = "the same units behind the whole core set: ledger, governance, mesh, immune, validators, each validated first"
    core = True
