# SPDX-License-Identifier: Apache-2.0
"""Units that do what a unit must not do; argv[1] says which. Each prints "armed" once it does."""
import ctypes
import os
import signal
import socket
import sys
import threading
import time


def deaf():
    for s in range(1, 65):
        try:
            signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError):
            pass


def armed():
    print("armed", flush=True)


def sit():
    deaf()
    time.sleep(1000)


def comet():
    """Gives way to a child of its own, again and again."""
    deaf()
    armed()
    if os.fork():
        sit()
    while True:
        if os.fork():
            os._exit(0)


def stranger():
    """A child that left session, parent and environment."""
    deaf()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, os.path.abspath(__file__), "sit"], {})
        os._exit(0)
    armed()
    sit()


def hollow():
    """An orphan in a session of its own that unmaps its environment: it names no unit, now or ever."""
    deaf()
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            page = os.sysconf("SC_PAGESIZE")
            with open("/proc/self/stat") as f:
                begin, end = map(int, f.read().rpartition(")")[2].split()[47:49])
            begin -= begin % page
            unmap = ctypes.CDLL(None, use_errno=True).munmap
            unmap.argtypes = ctypes.c_void_p, ctypes.c_size_t

            def go():
                unmap(begin, end - begin)
                with open("/proc/self/environ", "rb") as f:
                    os.write(w, b"-" if f.read() else b"+")
                time.sleep(1000)
            threading.Thread(target=go).start()  # the first thread's stack goes too
            time.sleep(1000)
        os._exit(0)
    if os.read(r, 1) == b"+":
        armed()
    sit()


def zombies():
    for _ in range(500):
        if os.fork() == 0:
            os._exit(0)
    armed()
    sit()


def orphans():
    armed()
    while True:
        child = os.fork()
        if child == 0:
            os.fork()
            os._exit(0)
        os.waitpid(child, 0)


def notify():
    name = os.environ["NOTIFY_SOCKET"]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect("\0" + name[1:] if name[0] == "@" else name)

    def send(data, fds=()):
        try:
            socket.send_fds(s, [data], fds)
        except OSError:
            pass

    for data in (b"READY=1\nSTATUS=\x1b[31mred\x07\n", b"x" * 65536, b"\0" * 4096, b"READY=1\0", b"=" * 4000, b"\n" * 4096,
                 b"MAINPID=1\n", b"MAINPID=-1", b"MAINPID=" + b"9" * 30, b"STATUS=" + b"\xff\xfe\x80" * 1000, b"STOPPING=1",
                 b"WATCHDOG_USEC=1", b"EXTEND_TIMEOUT_USEC=" + b"9" * 30, b"STATUS=\x1b]0;mine\x07\x1b[2Jlast"):
        send(data)
    send(b"FDSTORE=1\nFDNAME=x", [1] * 200)
    print("\x1b[31mred\x1b[0m \x1b]0;mine\x07", flush=True)
    armed()
    if len(sys.argv) > 2:
        for _ in range(3):
            if os.fork() == 0:
                break
        while True:
            send(b"STATUS=flood")
    sit()


def print_much():
    block = b"A" * 65536
    for _ in range(200 * 1024 * 1024 // len(block)):
        os.write(1, block)
    os.write(1, b"\nfinished\n")
    sit()


def close():
    for fd in 0, 1, 2:
        os.close(fd)
    sit()


{"comet": comet, "stranger": stranger, "sit": sit, "hollow": hollow, "zombies": zombies, "orphans": orphans, "notify": notify,
 "print": print_much, "close": close}[sys.argv[1]]()
