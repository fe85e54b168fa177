#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Size budget. usage: size.py ROOT | size.py --self-test

A file over 800 lines or a function over 100 fails; over 600 or 60 is printed, for the next change to make smaller.
"""
import os
import pathlib
import re
import sys
import tempfile

FILE_WARN, FILE_STOP, FUNCTION_WARN, FUNCTION_STOP = 600, 800, 60, 100
LITERALS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)


def blank(match):
    """Nothing but its newlines: line numbers must stay."""
    return "\n" * match.group(0).count("\n") or " "


def functions(text):
    """(name, first line, lines) of each function: a brace opened outside all braces, behind a closing parenthesis."""
    text = DIRECTIVE.sub(blank, LITERALS.sub(blank, text))
    depth, line, head, head_line, inside = 0, 1, "", 0, None
    for c in text:
        if c == "{":
            if depth == 0 and head.rstrip().endswith(")") and "=" not in head:
                name = re.search(r"START_TEST\s*\(\s*(\w+)", head) or re.search(r"(\w+)\s*\(", head)
                inside = (name.group(1) if name else "?", head_line)
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                if inside:
                    yield inside[0], inside[1], line - inside[1] + 1
                inside, head = None, ""
        elif depth == 0:
            if c == ";":
                head = ""
            elif not head and not c.isspace():
                head, head_line = c, line
            elif head:
                head += c
        line += c == "\n"


def check(root):
    files, notes, errors = 0, [], []
    for folder, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if not d.startswith(".") and not d.startswith("build"))
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix not in (".c", ".h"):
                continue
            files += 1
            text = path.read_text(errors="replace")
            where, n = path.relative_to(root), text.count("\n")
            if n > FILE_WARN:
                (errors if n > FILE_STOP else notes).append(f"{where}: {n} lines")
            for function, line, length in functions(text):
                if length > FUNCTION_WARN:
                    (errors if length > FUNCTION_STOP else notes).append(f"{where}:{line}: {function}() has {length} lines")
    return files, notes, errors


def body(n):
    return "static int\nf_%d(int a,\n        int b) {\n%s}\n" % (n, "        a++; /* } */ char c = '}', *s = \"}\";\n" * (n - 4))


PLANTED = {
    "good.c": (body(60) + "static const int t[] = {\n" + "1,\n" * 200 + "};\n#define M {\\\n{\n", None, None),
    "note.c": (body(61), "f_61() has 61 lines", None),
    "edge.c": (body(100), "f_100() has 100 lines", None),
    "long.c": ("\n" * 5 + body(101), None, "long.c:6: f_101() has 101 lines"),
    "big.c": ("\n" * 601, "big.c: 601 lines", None),
    "huge.c": ("\n" * 801, None, "huge.c: 801 lines"),
}


def self_test():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, (text, _, _) in PLANTED.items():
            (root / path).write_text(text)
        _, notes, errors = check(root)
    want_notes = [w for _, w, _ in PLANTED.values() if w]
    want_errors = [w for _, _, w in PLANTED.values() if w]
    good = len(notes) == len(want_notes) and len(errors) == len(want_errors) and \
        all(any(w in x for x in notes) for w in want_notes) and all(any(w in x for x in errors) for w in want_errors)
    print("self-test:", "good" if good else "bad", notes, errors)
    return 0 if good else 1


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    files, notes, errors = check(pathlib.Path(sys.argv[1]))
    print("\n".join([f"note: {n}" for n in notes] + [f"error: {e}" for e in errors] +
                    [f"{files} files, {len(notes)} notes, {len(errors)} errors"]))
    return 1 if errors or not files else 0


if __name__ == "__main__":
    sys.exit(main())
