#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JSON Schema (the subset of draft 2020-12 that policies/schemas uses) with nothing but the standard library.

check(schema, document, base)      a list of problems, "$.units[0].pid: ..."; empty when it fits
check_cli(verb, document)          the same for the --json document of a verb of guardianctl: "status", "ledger query"
strict=True: a member that the schema does not name is a problem too. Users may get more than is promised, but what
Guardian writes is described; for schemas whose objects name their members in one place.
jsonschema_min.py VERB < DOCUMENT  exit status 0 or 1; a verb that streams takes JSON lines

A keyword that is not known here is an error: a schema that is not checked is no schema.
"""
import json
import os
import re
import sys

CLI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../policies/schemas/cli")
STREAMS = ("logs", "events", "ledger query", "ledger tail", "ledger export")
TYPES = {"object": dict, "array": list, "string": str, "null": type(None), "boolean": bool}
PLAIN = {"$schema", "$id", "$comment", "$defs", "title", "description", "default", "examples"}
_cache = {}


def load(path):
    if path not in _cache:
        with open(path) as f:
            _cache[path] = json.load(f)
    return _cache[path]


def is_type(value, name):
    if name == "integer":
        return not isinstance(value, bool) and (isinstance(value, int) or isinstance(value, float) and value.is_integer())
    if name == "number":
        return not isinstance(value, bool) and isinstance(value, (int, float))
    return isinstance(value, TYPES[name])


def same(a, b):
    """JSON equality: true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


class Checker:
    def __init__(self, base, strict=False):
        self.base, self.strict = base, strict

    def resolve(self, ref, root):
        """(schema, root of its document)"""
        name, _, pointer = ref.partition("#")
        if name:
            root = load(os.path.join(self.base, name))
        node = root
        for part in [p for p in pointer.split("/") if p]:
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node, root

    def check(self, schema, value, where, root):
        if isinstance(schema, bool):
            return [] if schema else ["%s: not allowed" % where]
        out = []
        for key, arg in schema.items():
            if key in PLAIN or key in ("then", "else"):
                continue
            rule = getattr(self, "k_" + key.lstrip("$"), None)
            if rule is None:
                raise ValueError("keyword %r is not supported" % key)
            out += rule(arg, value, where, root, schema)
        return out

    # --- any value
    def k_ref(self, arg, value, where, root, schema):
        target, root = self.resolve(arg, root)
        return self.check(target, value, where, root)

    def k_type(self, arg, value, where, root, schema):
        names = [arg] if isinstance(arg, str) else arg
        return [] if any(is_type(value, n) for n in names) else ["%s: %r is not %s" % (where, value, " or ".join(names))]

    def k_enum(self, arg, value, where, root, schema):
        return [] if any(same(value, a) for a in arg) else ["%s: %r is none of %s" % (where, value, arg)]

    def k_const(self, arg, value, where, root, schema):
        return [] if same(value, arg) else ["%s: %r is not %r" % (where, value, arg)]

    def k_anyOf(self, arg, value, where, root, schema):
        tries = [self.check(s, value, where, root) for s in arg]
        return [] if any(not t for t in tries) else ["%s: fits no alternative: %s" % (where, min(tries, key=len))]

    def k_oneOf(self, arg, value, where, root, schema):
        fits = sum(not self.check(s, value, where, root) for s in arg)
        return [] if fits == 1 else ["%s: fits %d alternatives instead of one" % (where, fits)]

    def k_allOf(self, arg, value, where, root, schema):
        return [p for s in arg for p in self.check(s, value, where, root)]

    def k_not(self, arg, value, where, root, schema):
        return [] if self.check(arg, value, where, root) else ["%s: %r is excluded" % (where, value)]

    def k_if(self, arg, value, where, root, schema):
        branch = "else" if self.check(arg, value, where, root) else "then"
        return self.check(schema.get(branch, True), value, where, root)

    # --- numbers and strings
    def k_minimum(self, arg, value, where, root, schema):
        return ["%s: %r is below %r" % (where, value, arg)] if is_type(value, "number") and value < arg else []

    def k_maximum(self, arg, value, where, root, schema):
        return ["%s: %r is above %r" % (where, value, arg)] if is_type(value, "number") and value > arg else []

    def k_pattern(self, arg, value, where, root, schema):
        return ["%s: %r does not match %s" % (where, value, arg)] if isinstance(value, str) and not re.search(arg, value) else []

    def k_minLength(self, arg, value, where, root, schema):
        return ["%s: is shorter than %d" % (where, arg)] if isinstance(value, str) and len(value) < arg else []

    def k_maxLength(self, arg, value, where, root, schema):
        return ["%s: is longer than %d" % (where, arg)] if isinstance(value, str) and len(value) > arg else []

    # --- objects
    def k_required(self, arg, value, where, root, schema):
        return ["%s: '%s' is missing" % (where, k) for k in arg if isinstance(value, dict) and k not in value]

    def k_properties(self, arg, value, where, root, schema):
        if not isinstance(value, dict):
            return []
        unknown = [k for k in value if k not in arg] if self.strict and "additionalProperties" not in schema else []
        return ["%s: '%s' is not described" % (where, k) for k in unknown] + [
            p for k, s in arg.items() if k in value for p in self.check(s, value[k], "%s.%s" % (where, k), root)]

    def k_additionalProperties(self, arg, value, where, root, schema):
        if not isinstance(value, dict):
            return []
        known = schema.get("properties", {})
        return [p for k in value if k not in known for p in self.check(arg, value[k], "%s.%s" % (where, k), root)]

    # --- arrays
    def k_items(self, arg, value, where, root, schema):
        if not isinstance(value, list):
            return []
        return [p for i, v in enumerate(value) for p in self.check(arg, v, "%s[%d]" % (where, i), root)]

    def k_minItems(self, arg, value, where, root, schema):
        return ["%s: has less than %d items" % (where, arg)] if isinstance(value, list) and len(value) < arg else []

    def k_maxItems(self, arg, value, where, root, schema):
        return ["%s: has more than %d items" % (where, arg)] if isinstance(value, list) and len(value) > arg else []

    def k_uniqueItems(self, arg, value, where, root, schema):
        if not arg or not isinstance(value, list):
            return []
        texts = [json.dumps(v, sort_keys=True) for v in value]
        return ["%s: has an item twice" % where] if len(set(texts)) != len(texts) else []


def check(schema, document, base=CLI, strict=False):
    return Checker(base, strict).check(schema, document, "$", schema)


def check_cli(verb, document, strict=False):
    """Problems of one document (or one line of a stream) of `guardianctl --json VERB`."""
    return check(load(os.path.join(CLI, verb.replace(" ", "-") + ".json")), document, strict=strict)


def main():
    verb = " ".join(sys.argv[1:])
    text = sys.stdin.read()
    documents = [json.loads(line) for line in text.splitlines()] if verb in STREAMS else [json.loads(text)]
    problems = ["document %d: %s" % (i, p) for i, d in enumerate(documents) for p in check_cli(verb, d)]
    for p in problems:
        print(p)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
