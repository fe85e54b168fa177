# SPDX-License-Identifier: Apache-2.0
"""The physical limit: a bare spawner (helpers/floor.c), one row per system call,
and the same over libuv (helpers/uvfloor.c, where libuv's headers are installed)."""
import os
from benchlib import Adapter, Launch


class _Floor(Adapter):
    features = {"boot", "memory", "reap", "shutdown", "idle"}
    ballast = 0
    peer = False

    def version(self):
        return "floor"

    def setup(self, job):
        if job.storm:  # floor has one fixed argv shape: wrap the storm helper
            run = job.write("run", "#!/bin/sh\nexec %s\n" % " ".join(job.svc(0)), 0o755)
            return Launch([job.tools["floor"], self.mode, job.log, "1", run])
        return Launch([job.tools["floor"], self.mode, job.log, str(job.n),
                       job.tools["svc"]] + ([str(self.ballast)] if self.ballast else []))


class Vfork(_Floor):
    name, mode = "floor:vfork", "vfork"


class Spawn(_Floor):
    name, mode = "floor:posix_spawn", "spawn"
    features = {"boot"}


class Clone3(_Floor):
    name, mode = "floor:clone3(VFORK+PIDFD)", "clone3"
    features = {"boot"}


class Clone(_Floor):
    name, mode = "floor:clone(VM+VFORK+PIDFD)", "clone"
    features = {"boot"}


class Fork(_Floor):
    name, mode = "floor:fork", "fork"
    features = {"boot"}


class ForkBallast(_Floor):
    name, mode, ballast = "floor:fork+64MB heap", "fork", 64
    features = {"boot"}


class Uv(_Floor):
    name, mode = "floor:uv_spawn", "plain"
    note = "libuv alone"

    def version(self):
        return self.deb("libuv1") if os.environ.get("BENCH_HAVE_UV") else None

    def setup(self, job):
        l = super().setup(job)
        l.argv[0] = job.tools["uvfloor"]
        return l


class UvSweep(Uv):
    name, mode = "floor:uv_spawn+sweep", "sweep"
    note = "libuv and a waitid(P_ALL, WNOWAIT) sweep for orphans"
    features = {"boot", "reap"}
