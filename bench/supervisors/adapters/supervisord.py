# SPDX-License-Identifier: Apache-2.0
import os
from benchlib import Adapter, Launch, ROOTS


class Supervisord(Adapter):
    name = "supervisord"
    note = "default startsecs=1; no log files; tuned = startsecs=0"

    def version(self):
        return self.find("supervisord") and self.deb("supervisor", "4.2.5-1")

    def setup(self, job):
        c = ["[supervisord]", "nodaemon=true", "user=root", "logfile=/dev/null",
             "logfile_maxbytes=0", "minfds=4096", "pidfile=" + job.path("pid")]
        for i in range(job.n):
            c += ["[program:s%04d]" % i, "command=" + " ".join(job.svc(i)),
                  "autorestart=true", "stdout_logfile=NONE", "stderr_logfile=NONE"]
            if job.tuned:
                c.append("startsecs=0")
        conf = job.write("supervisord.conf", "\n".join(c) + "\n")
        env = {}
        pp = [r + "/usr/lib/python3/dist-packages" for r in ROOTS
              if os.path.isdir(r + "/usr/lib/python3/dist-packages")]
        if pp:
            env["PYTHONPATH"] = ":".join(pp)
        return Launch(["/usr/bin/python3", self.find("supervisord"), "-c", conf], env)
