# SPDX-License-Identifier: Apache-2.0
"""Wrapper mode from outside: test_wrapper.py PROGRAM. Prints TAP."""
import os
import pty
import signal
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(sys.argv[1])
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Skip(Exception):
    pass


def start(*args, **kw):
    """args: options, then "--", then the command. Standard output is a pipe that is read line by line."""
    return subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)


def run(*args, **kw):
    p = start(*args, **kw)
    out, err = p.communicate(timeout=60)
    return p.returncode, out, err


def expect(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


@test
def exit_status_is_the_commands():
    expect(run("--", "sh", "-c", "exit 42")[0], 42)
    expect(run("--", "true")[0], 0)
    expect(run("--", "sh", "-c", "kill -TERM $$")[0], 128 + 15)


@test
def not_found_and_not_executable():
    status, out, err = run("--", "no-such-command-here")
    expect(status, 127)
    assert "not found" in err, err
    expect(run("--", "/nonexistent/x")[0], 127)
    expect(run("--", "/etc/passwd")[0], 126)
    expect(run("--", "/tmp")[0], 126)


@test
def arguments_environment_and_directory_are_kept():
    with tempfile.TemporaryDirectory() as d:
        env = dict(os.environ, WRAPPED="a b")
        status, out, _ = run("--", "sh", "-c", 'echo "$1|$WRAPPED|$(pwd -P)"', "sh", "x y", cwd=d, env=env)
        expect((status, out), (0, f"x y|a b|{os.path.realpath(d)}\n"))


@test
def script_without_interpreter_line_runs():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "script")
        with open(path, "w") as f:
            f.write('echo "said $1"\nexit 3\n')
        os.chmod(path, 0o755)
        status, out, _ = run("--", path, "hello")
        expect((status, out), (3, "said hello\n"))


@test
def one_line_says_why():
    _, out, err = run("--", "sh", "-c", "exit 7")
    expect(out, "")
    expect(len(err.splitlines()), 1)
    assert "7" in err, err


@test
def every_catchable_signal_is_forwarded():
    skip = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
    signals = sorted(int(s) for s in signal.valid_signals() if s not in skip)
    code = (
        "import signal,sys\n"
        "todo=%r\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, todo)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    i = signal.sigwaitinfo(todo)\n"
        "    print(i.si_signo, flush=True)\n"
        "    if i.si_signo == signal.SIGTERM: sys.exit(5)\n" % (signals,)
    )
    p = start("--", sys.executable, "-c", code)
    expect(p.stdout.readline(), "ready\n")
    for s in signals:
        if s != signal.SIGTERM:
            os.kill(p.pid, s)
            expect(p.stdout.readline(), f"{s}\n")
    os.kill(p.pid, signal.SIGTERM)
    expect(p.stdout.readline(), f"{int(signal.SIGTERM)}\n")
    expect(p.wait(60), 5)


@test
def signals_are_rewritten_or_dropped():
    script = "trap 'echo usr1; exit 9' USR1; trap 'echo term' TERM; trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done"
    p = start("--rewrite", f"{int(signal.SIGTERM)}:{int(signal.SIGUSR1)}", "--rewrite", f"{int(signal.SIGHUP)}:0",
              "--", "sh", "-c", script)
    expect(p.stdout.readline(), "ready\n")
    os.kill(p.pid, signal.SIGHUP)
    os.kill(p.pid, signal.SIGTERM)
    out, _ = p.communicate(timeout=60)
    expect((p.returncode, out), (9, "usr1\n"))


@test
def group_gets_the_signal_with_g_only():
    # the command's own trap stands before its child says that all is ready
    script = "trap 'wait; echo main; exit 0' USR1; sh -c 'trap \"echo child; exit 0\" USR1; echo ready; while :; do sleep 0.05; done' & wait; wait"
    p = start("-g", "--", "sh", "-c", script)
    expect(p.stdout.readline(), "ready\n")
    os.kill(p.pid, signal.SIGUSR1)
    out, _ = p.communicate(timeout=60)
    expect((p.returncode, sorted(out.split())), (0, ["child", "main"]))


@test
def without_g_only_the_command_gets_it():
    script = "trap 'echo main; exit 3' USR1; sh -c 'trap \"echo child\" USR1; trap \"exit 0\" TERM; echo ready; while :; do sleep 0.05; done' & wait"
    p = start("--", "sh", "-c", script)
    expect(p.stdout.readline(), "ready\n")
    os.kill(p.pid, signal.SIGUSR1)
    out, _ = p.communicate(timeout=60)
    expect((p.returncode, out), (3, "main\n"))


@test
def the_rest_gets_term_when_the_command_ends():
    script = "(trap 'echo rest got term; exit 0' TERM; echo ready; while :; do sleep 0.05; done) & read x; exit 6"
    p = start("--", "sh", "-c", script, stdin=subprocess.PIPE)
    expect(p.stdout.readline(), "ready\n")
    out, _ = p.communicate("", timeout=60)
    expect((p.returncode, out), (6, "rest got term\n"))


@test
def a_daemon_is_waited_for_and_killed_after_the_timeout():
    code = (
        "import os,signal,sys\n"
        "r, w = os.pipe()\n"
        "if os.fork():\n"
        "    os.read(r, 1)\n"
        "    os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        "os.write(w, b'x')\n"
        "signal.pause()\n"
    )
    p = start("--stop-timeout", "300", "--", sys.executable, "-c", code)
    pid = int(p.stdout.readline())
    expect(p.wait(60), 0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    raise AssertionError("the daemon is still there")


STUBBORN = "trap '' TERM; (trap '' TERM; exec sleep 1000) & echo ready; while :; do sleep 0.05; done"


@test
def signals_without_end_do_not_postpone_the_kill():
    """Queued faster than they are forwarded, by those who are to be killed; they end with Guardian at the latest."""
    code = ("import os, signal\n"
            "guardian = os.getppid()\n"
            "for s in range(1, 65):\n"
            "    if s not in (9, 17, 19, 32, 33):\n"
            "        signal.signal(s, signal.SIG_IGN)\n"
            "for i in range(4):\n"
            "    if os.fork() == 0:\n"
            "        while True:\n"
            "            for s in range(40, 60):\n"
            "                try:\n"
            "                    os.kill(guardian, s)\n"
            "                except BlockingIOError:\n"
            "                    pass\n"
            "os._exit(3)\n")
    p = start("--stop-timeout", "200", "--", sys.executable, "-c", code)
    try:
        p.communicate(timeout=20)
    finally:
        p.kill()
    expect(p.returncode, 3)


@test
def term_escalates_only_with_stop_timeout():
    p = start("--stop-timeout", "200", "--", "sh", "-c", STUBBORN)
    expect(p.stdout.readline(), "ready\n")
    os.kill(p.pid, signal.SIGTERM)
    expect(p.wait(60), 137)
    p = start("--", "sh", "-c", "trap 'echo term' TERM; trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done")
    expect(p.stdout.readline(), "ready\n")
    os.kill(p.pid, signal.SIGTERM)
    expect(p.stdout.readline(), "term\n")
    os.kill(p.pid, signal.SIGUSR1)
    expect(p.wait(60), 4)


@test
def orphans_are_reaped_while_it_runs():
    script = "i=0; while [ $i -lt 50 ]; do (true &); i=$((i+1)); done; echo made; read x; exit 0"
    p = start("--", "sh", "-c", script, stdin=subprocess.PIPE)
    expect(p.stdout.readline(), "made\n")
    while True:  # until no child of the wrapper is a zombie; it reaps on each SIGCHLD
        states = []
        for d in os.listdir("/proc"):
            if d.isdigit():
                try:
                    with open(f"/proc/{d}/stat") as f:
                        rest = f.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(rest[1]) == p.pid:
                    states.append(rest[0])
        if "Z" not in states:
            break
    p.communicate("", timeout=60)
    expect(p.returncode, 0)


@test
def as_pid_1():
    flags = ["--pid", "--fork", "--mount-proc"] if os.getuid() == 0 else \
        ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run(["unshare", *flags, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("unshare is not permitted here")
    script = "trap 'exit 8' INT; echo $PPID; while :; do sleep 0.05; done"
    p = subprocess.Popen(["unshare", *flags, PROGRAM, "--", "sh", "-c", script], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    expect(p.stdout.readline(), "1\n")
    children = subprocess.run(["pgrep", "-P", str(p.pid)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    os.kill(int(children[0]), signal.SIGINT)
    expect(p.wait(60), 8)


@test
def the_terminal_is_handed_over():
    pid, fd = pty.fork()
    if pid == 0:
        code = "import os; print('FG' if os.tcgetpgrp(0) == os.getpgrp() else 'BG', flush=True)"
        os.execv(PROGRAM, [PROGRAM, "--", sys.executable, "-c", code])
    data = b""
    while True:
        try:
            chunk = os.read(fd, 4096)
        except OSError:
            break
        if not chunk:
            break
        data += chunk
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    expect(os.waitstatus_to_exitcode(status), 0)
    assert b"FG" in data, data


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for n, f in enumerate(TESTS, 1):
        try:
            f()
            print(f"ok {n} - {f.__name__}")
        except Skip as e:
            print(f"ok {n} - {f.__name__} # SKIP {e}")
        except Exception as e:
            failed += 1
            print(f"not ok {n} - {f.__name__}\n# {type(e).__name__}: {e}")
    return 1 if failed else 0


sys.exit(main())
