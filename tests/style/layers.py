#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. usage: layers.py ROOT | layers.py --self-test

Guardian's safety argument is a direction of includes: immune/ cannot name the function that kills a process, because no
header that declares it is within its reach. The table below is that direction; a folder that is not in it is an error.
"""
import os
import pathlib
import re
import sys
import tempfile

SUBLIBS = ["common/events", "common/json", "common/rules", "common/yaml"]
CHUNK = ["chunks/runtime", "common", *SUBLIBS]
CHUNK_LIBS = ["jansson.h", "sodium.h", "uv.h"]

# folder: (folders it may include besides itself, headers of libraries it may include)
LAYERS = {
    "common": ([], ["sodium.h", "uv.h"]),
    "common/events": (["common", "common/yaml"], []),
    "common/json": (["common"], ["jansson.h"]),
    "common/rules": (["common", "common/json", "common/yaml"], []),
    "common/yaml": (["common"], ["yaml.h"]),
    "supervisor": (["common"], ["uv.h"]),
    "chunks/runtime": (["common"], ["uv.h"]),
    "chunks/governance": (CHUNK, CHUNK_LIBS),
    "chunks/ledger": (CHUNK, CHUNK_LIBS),
    "chunks/mesh": (CHUNK, [*CHUNK_LIBS, "sqlite3.h"]),
    "chunks/validators": (CHUNK, CHUNK_LIBS),
    "immune": (CHUNK, CHUNK_LIBS),
    "guardian": (["guardian/enforce", "supervisor", "common"], ["ini.h", "sodium.h", "uv.h"]),
    "guardian/enforce": (["common"], []),
    "guardian/compile": (["common", "common/rules", "common/yaml"], ["seccomp.h"]),
    "guardian/ctl": (["common", *SUBLIBS], ["jansson.h", "sodium.h", "uv.h"]),
    "units": ([], []),
}
# guardianctl works offline with the pure parts of these: a header from which neither libuv nor the chunk runtime is reached
PURE_FOR = {"guardian/ctl": ["chunks/governance", "chunks/ledger", "chunks/mesh", "immune"]}
LIBRARIES = {"ini.h", "jansson.h", "seccomp.h", "sodium.h", "sqlite3.h", "uv.h", "yaml.h"}
FREE = ("tests", "bench")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def layer_of(path):
    """The longest folder of the table that holds `path`, or None."""
    folder = path.parent
    while str(folder) != ".":
        if str(folder) in LAYERS:
            return str(folder)
        folder = folder.parent
    return None


def includes(root, path):
    for number, line in enumerate((root / path).read_text(errors="replace").splitlines(), 1):
        m = INCLUDE.match(line)
        if m:
            yield number, m.group(1) == '"', m.group(2)


def impure(root, header, seen=None):
    """What makes a header more than a pure core, or None."""
    seen = seen if seen is not None else set()
    if header in seen or not (root / header).exists():
        return None
    seen.add(header)
    for _, quoted, name in includes(root, header):
        if name == "uv.h" or name.startswith("chunks/runtime/"):
            return name
        if quoted:
            why = impure(root, name, seen)
            if why:
                return why
    return None


def check_include(root, layer, quoted, name):
    """What is wrong with this include, or None."""
    folders, libraries = LAYERS[layer]
    if not quoted:
        if name in LIBRARIES and name not in libraries:
            return f"{layer} may not use <{name}>"
        return None
    other = layer_of(pathlib.PurePath(name))
    if other is None or ".." in pathlib.PurePath(name).parts:
        return f'"{name}" is not a path from the root'
    if other == layer or other in folders:
        return None
    if other in PURE_FOR.get(layer, []):
        why = impure(root, name)
        return f'"{name}" is not pure: it reaches {why}' if why else None
    return f'{layer} may not include "{name}"'


def check(root):
    problems, files = [], 0
    for folder, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if not d.startswith(".") and not d.startswith("build"))
        for name in sorted(names):
            path = pathlib.Path(folder, name).relative_to(root)
            if path.suffix not in (".c", ".h") or path.parts[0] in FREE:
                continue
            files += 1
            layer = layer_of(path)
            if layer is None:
                problems.append(f"{path}: its folder is not in the table of tests/style/layers.py")
                continue
            for number, quoted, included in includes(root, path):
                wrong = check_include(root, layer, quoted, included)
                if wrong:
                    problems.append(f"{path}:{number}: {wrong}")
    return files, problems


PLANTED = {
    # path: (text, the complaint or None)
    "common/buf.h": ("#include <stddef.h>\n", None),
    "common/bad.c": ('#include "common/yaml/yaml-read.h"\n', "common may not include"),
    "common/yaml/yaml-read.h": ("#include <yaml.h>\n", None),
    "common/conn.h": ("#include <uv.h>\n", None),
    "supervisor/spawn.h": ('#include "common/buf.h"\n', None),
    "supervisor/bad.c": ('#include "guardian/unit.h"\n', "supervisor may not include"),
    "chunks/runtime/chunk.h": ('#include "common/conn.h"\n', None),
    "chunks/ledger/verify.h": ('#include "common/buf.h"\n', None),
    "chunks/ledger/service.h": ('#include "chunks/runtime/chunk.h"\n', None),
    "chunks/mesh/bad.c": ('#include "chunks/ledger/verify.h"\n', "chunks/mesh may not include"),
    "immune/bad.c": ('#include "supervisor/spawn.h"\n', "immune may not include"),
    "immune/bad2.c": ("#include <sqlite3.h>\n", "immune may not use <sqlite3.h>"),
    "guardian/unit.h": ('#include "supervisor/spawn.h"\n', None),
    "guardian/bad.c": ("#include <jansson.h>\n", "guardian may not use <jansson.h>"),
    "guardian/bad2.c": ('#include "common/yaml/yaml-read.h"\n', "guardian may not include"),
    "guardian/enforce/bad.c": ('#include "supervisor/spawn.h"\n', "guardian/enforce may not include"),
    "guardian/ctl/good.c": ('#include "chunks/ledger/verify.h"\n#include <uv.h>\n', None),
    "guardian/ctl/bad.c": ('#include "chunks/ledger/service.h"\n', "is not pure: it reaches chunks/runtime/chunk.h"),
    "guardian/compile/good.c": ('#include "common/yaml/yaml-read.h"\n#include <seccomp.h>\n', None),
    "guardian/relative.c": ('#include "unit.h"\n', "is not a path from the root"),
    "elsewhere/a.c": ("", "its folder is not in the table"),
    "tests/unit/free.c": ('#include "supervisor/spawn.h"\n', None),
}


def self_test():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, (text, _) in PLANTED.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        _, problems = check(root)
    missed = [p for p, (_, want) in PLANTED.items()
              if want and not any(x.startswith(p) and want in x for x in problems)]
    surplus = [x for x in problems if not PLANTED[x.split(":")[0]][1]]
    print(f"self-test: {len(problems)} planted violations found, missed {missed}, surplus {surplus}")
    return 1 if missed or surplus else 0


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    files, problems = check(pathlib.Path(sys.argv[1]))
    print("\n".join(problems + [f"{files} files, {len(problems)} wrong includes"]))
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
