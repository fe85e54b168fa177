# SPDX-License-Identifier: Apache-2.0
import subprocess
from benchlib import Adapter, Launch


class Dinit(Adapter):
    name = "dinit"
    features = Adapter.features | {"chain"}
    note = "container mode; chain uses ready-notification = pipefd"

    def version(self):
        p = self.find("dinit")
        if not p:
            return None
        r = subprocess.run([p, "--version"], capture_output=True, text=True)
        return (r.stdout.split("\n")[0].replace("Dinit version ", "").strip(". ")) or "?"

    def setup(self, job):
        boot = ["type = internal"]
        for i in range(job.n):
            s = ["type = process", "restart = true",
                 "command = " + " ".join(job.svc(i, "3" if job.chain else None))]
            if job.tuned:
                s += ["restart-delay = 0", "restart-limit-count = 0"]
            if job.chain:
                s.append("ready-notification = pipefd:3")
                if i:
                    s.append("depends-on = s%04d" % (i - 1))
            job.write("dinit.d/s%04d" % i, "\n".join(s) + "\n")
            if not job.chain or i == job.n - 1:
                boot.append("waits-for = s%04d" % i)
        job.write("dinit.d/boot", "\n".join(boot) + "\n")
        return Launch([self.find("dinit"), "--container", "-d", job.path("dinit.d"),
                       "-p", job.path("ctl"), "-q"])
