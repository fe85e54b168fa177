# SPDX-License-Identifier: Apache-2.0
"""One-child inits: they reap and forward signals, nothing is restarted."""
from benchlib import Adapter, Launch


class _Mini(Adapter):
    max_n = 1
    features = {"boot", "memory", "reap", "shutdown", "idle"}
    prog = pkg = None
    opts = []

    def version(self):
        return self.find(self.prog) and self.deb(self.pkg or self.prog)

    def setup(self, job):
        return Launch([self.find(self.prog)] + self.opts + ["--"] + job.svc(0))


class Tini(_Mini):
    name = prog = "tini"


class DumbInit(_Mini):
    name = prog = "dumb-init"


class Catatonit(_Mini):
    name = prog = "catatonit"
