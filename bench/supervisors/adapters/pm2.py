# SPDX-License-Identifier: Apache-2.0
import json
import os
from benchlib import Adapter, Launch


class Pm2(Adapter):
    name = "pm2"
    max_n = 100
    note = "pm2-runtime, fork mode, no interpreter; stops services with SIGINT"

    def _bin(self):
        return self.find("pm2-runtime")

    def version(self):
        b = self._bin()
        if not b or not self.find("node"):
            return None
        try:
            with open(os.path.join(os.path.dirname(os.path.realpath(b)),
                                   "..", "package.json")) as f:
                return json.load(f)["version"]
        except OSError:
            return "?"

    def setup(self, job):
        apps = []
        for i in range(job.n):
            a = job.svc(i)
            app = {"name": "s%04d" % i, "script": a[0], "args": a[1:],
                   "interpreter": "none", "exec_mode": "fork",
                   "out_file": "/dev/null", "error_file": "/dev/null"}
            apps.append(app)
        conf = job.write("eco.config.json", json.dumps({"apps": apps}))
        return Launch([self.find("node"), os.path.realpath(self._bin()), "start", conf],
                      {"PM2_HOME": job.path("pm2"), "PM2_DISABLE_VERSION_CHECK": "true",
                       "PM2_DISCRETE_MODE": "true"})
