#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays the built programs and their data out as an installation: bin, libexec/guardian, lib/guardian, share/guardian.

stage.py ROOT SOURCE STAMP PROGRAM:FOLDER..   (at build time ROOT is build/stage, at install time the prefix)

Also writes lib/guardian/manifest: the SHA-256 of every chunk program, checked by Guardian on the opened file.
A file that did not change is left alone, so that a running Guardian's programs are not replaced under it.
"""
import filecmp
import hashlib
import os
import shutil
import sys


def put(src, dst, mode):
    os.makedirs(os.path.dirname(dst), exist_ok=True)
    if os.path.exists(dst) and filecmp.cmp(src, dst, shallow=False):
        os.chmod(dst, mode)
        return
    tmp = dst + ".new"
    shutil.copyfile(src, tmp)
    os.chmod(tmp, mode)
    os.replace(tmp, dst)


def put_tree(src, dst, keep):
    wanted = set()
    for folder, _, names in os.walk(src):
        for name in names:
            if not keep(name):
                continue
            path = os.path.join(folder, name)
            rel = os.path.relpath(path, src)
            wanted.add(rel)
            put(path, os.path.join(dst, rel), 0o755 if os.access(path, os.X_OK) else 0o644)
    for folder, _, names in os.walk(dst):
        for name in names:
            if os.path.relpath(os.path.join(folder, name), dst) not in wanted:
                os.unlink(os.path.join(folder, name))


def main():
    root, source, stamp, *programs = sys.argv[1:]
    if root == "--install":
        root = os.environ["MESON_INSTALL_DESTDIR_PREFIX"]
    chunks = []
    for entry in programs:
        path, folder = entry.rsplit(":", 1)
        name = os.path.basename(path)
        put(path, os.path.join(root, folder, name), 0o755)
        if folder == "libexec/guardian":
            chunks.append((name, os.path.join(root, folder, name)))
    lines = []
    for name, path in sorted(chunks):
        with open(path, "rb") as f:
            lines.append("%s  %s\n" % (hashlib.sha256(f.read()).hexdigest(), name))
    manifest = os.path.join(root, "lib/guardian/manifest")
    os.makedirs(os.path.dirname(manifest), exist_ok=True)
    with open(manifest + ".new", "w") as f:
        f.writelines(lines)
    os.replace(manifest + ".new", manifest)
    put_tree(os.path.join(source, "units/core"), os.path.join(root, "lib/guardian/units"),
             lambda n: n.endswith((".chunk", ".service", ".conf")))
    put_tree(os.path.join(source, "units/examples"), os.path.join(root, "share/guardian/examples"),
             lambda n: not n.endswith((".pyc", ".build")))
    put_tree(os.path.join(source, "policies"), os.path.join(root, "share/guardian/policies"),
             lambda n: n.endswith((".yaml", ".json")))
    if stamp != "-":
        with open(stamp, "w") as f:
            f.write("staged\n")


main()
