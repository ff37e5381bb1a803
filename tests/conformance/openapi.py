#!/usr/bin/env python3
"""Recorded requests and answers against the specification's OpenAPI documents.

    HS_RECORD=FILE tests/run full                     # or any pytest run in tests/system: each exchange becomes a line of FILE
    openapi.py SPEC/api/client-server FILE…           # SPEC: the folder `data` of the matrix-spec repository

Every answer 200 must satisfy its operation's schema, and so must the request that was answered so; every refusal must be an error object with a
code. What does not is printed once for each operation and place. Differences that are meant stand in openapi.txt, with their reason; one that is not
there, or is there and was not seen, fails the check. Needs PyYAML and jsonschema."""

import argparse
import collections
import json
import pathlib
import re
import sys
import urllib.parse

import jsonschema
import referencing
import referencing.jsonschema
import yaml

HERE = pathlib.Path(__file__).resolve().parent
METHODS = ("get", "put", "post", "delete", "head", "patch")


class Loader(yaml.CSafeLoader):
    """YAML as OpenAPI means it: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path):
    return yaml.load(path.read_text(), Loader)


def retrieve(uri):
    path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(uri).path))
    return referencing.Resource(contents=read_yaml(path), specification=referencing.jsonschema.DRAFT202012)


class Operation:
    def __init__(self, uri, registry, method, path, pointer, doc):
        path = path.strip()  # one path with two bodies is written as two that differ in a blank
        self.method, self.path = method.upper(), path
        self.name = f"{self.method} {path}"
        self.base, self.registry, self.pointer, self.doc = uri, registry, pointer, doc
        parts = [r"[^/]+" if p.startswith("{") else re.escape(p) for p in path.split("/")]
        self.pattern = re.compile("/".join(parts) + r"/?$")
        self.literal = sum(not p.startswith("{") for p in path.split("/"))
        self._known = {}

    def validator(self, *where):
        """The schema at a place below the operation, or None when the document has none there."""
        if where not in self._known:
            self._known[where] = self._make(where)
        return self._known[where]

    def _make(self, where):
        node, uri, pointer = self.doc, self.base, list(self.pointer)
        for step in where:
            while isinstance(node, dict) and "$ref" in node:
                uri = urllib.parse.urljoin(uri, node["$ref"].split("#")[0]) if not node["$ref"].startswith("#") else uri
                fragment = node["$ref"].partition("#")[2]
                pointer = [p for p in fragment.split("/") if p]
                node = self.registry.get_or_retrieve(uri).value.contents
                for p in pointer:
                    node = node[p]
            if not isinstance(node, dict) or step not in node:
                return None
            node = node[step]
            pointer.append(step)
        escaped = "/".join(str(p).replace("~", "~0").replace("/", "~1") for p in pointer)
        reference = {"$ref": f"{uri}#/{escaped}"}
        return jsonschema.Draft202012Validator(reference, registry=self.registry)


def operations(folder):
    registry = referencing.Registry(retrieve=retrieve)
    found = []
    for path in sorted(folder.glob("*.yaml")):
        doc = read_yaml(path)
        if "paths" not in doc:
            continue
        uri = path.as_uri()
        registry = registry.with_resource(uri, referencing.Resource(contents=doc, specification=referencing.jsonschema.DRAFT202012))
        base = doc["servers"][0]["variables"].get("basePath", {}).get("default", "") if doc.get("servers") else ""
        for p, item in doc["paths"].items():
            for method in METHODS:
                if method in item:
                    found.append((uri, method, base + p, ["paths", p, method], item[method]))
    return [Operation(u, registry, m, p, ptr, d) for u, m, p, ptr, d in found]


def canonical(path):
    """A path under one of its older prefixes, as the documents have it."""
    return re.sub(r"^/_matrix/client/(r0|api/v1)/", "/_matrix/client/v3/", path)


class Book:
    """Operations by method, most literal first."""

    def __init__(self, found):
        self.by_method = collections.defaultdict(list)
        for op in found:
            self.by_method[op.method].append(op)
        for ops in self.by_method.values():
            ops.sort(key=lambda op: -op.literal)
        self.known = {}

    def find(self, method, path):
        """The operations of the path: more than one where its body may be one of several."""
        path = canonical(path)
        found = [op for op in self.by_method[method] if op.pattern.match(path)]
        return [op for op in found if op.path == found[0].path]


def place(error):
    """Where in the document, with the names that are data left out."""
    steps = []
    for p in error.absolute_path:
        steps.append("[]" if isinstance(p, int) else "{}" if re.match(r"[@!$#+]|.*[:/]", str(p)) else str(p))
    return "/".join(steps) or "."


def deepest(error):
    """Of an anyOf's reasons, the ones of the branch that got furthest."""
    while error.context and error.validator in ("anyOf", "oneOf"):
        error = max(error.context, key=lambda e: len(e.absolute_path))
    return error


def short(error):
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance]
        return "lacks " + ", ".join(missing)
    if error.validator == "type":
        return f"is a {type(error.instance).__name__}, not {error.validator_value}"
    if error.validator == "oneOf" and not error.context:
        return "fits more than one of the schemas"
    if error.validator == "enum":
        return f"is {json.dumps(error.instance)[:40]}, not one of the enum"
    return f"{error.validator}: {re.sub(r'[0-9]+', 'N', error.message)[:100]}"


def problems(ops, line):
    """What is wrong with a recorded exchange, by the operation that it fits best."""
    return min((list(problems_of(op, line)) for op in ops), key=len, default=[])


def problems_of(op, line):
    status, answer = line["status"], line.get("answer")
    json_schema = ("content", "application/json", "schema")
    if status == 200:
        for part, where, value in (
            ("answer", ("responses", "200") + json_schema, answer),
            ("request", ("requestBody",) + json_schema, line.get("request")),
        ):
            validator = op.validator(*where)
            if not validator or value is None:
                continue
            for error in validator.iter_errors(value):
                error = deepest(error)
                yield f"{part} {place(error)} {short(error)}"
        if "200" not in op.doc["responses"]:
            yield "answer 200 is not foreseen"
    elif 400 <= status < 600 and op.method != "HEAD":
        # 401 of interactive authentication has flows in place of a code.
        if not isinstance(answer, dict) or not (isinstance(answer.get("errcode"), str) or (status == 401 and "flows" in answer)):
            yield f"refusal {status} without an error code"
        elif "errcode" in answer and not isinstance(answer.get("error"), str):
            yield f"refusal {status} without a text"


def read_reasons(path):
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            key, _, reason = line.partition("  # ")
            if not reason.strip():
                sys.exit(f"{path.name}: no reason given: {line}")
            found[key.strip()] = reason.strip()
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument("spec", type=pathlib.Path)
    args.add_argument("records", type=pathlib.Path, nargs="+")
    args.add_argument("--show", metavar="TEXT", help="print the first exchange of each difference that contains TEXT")
    args = args.parse_args()
    book = Book(operations(args.spec.resolve()))
    seen, first, touched, exchanges, unknown = collections.Counter(), {}, collections.Counter(), 0, collections.Counter()
    for path in args.records:
        with path.open() as f:
            for text in f:
                line = json.loads(text)
                exchanges += 1
                ops = book.find(line["method"], line["path"])
                if ops:
                    touched[ops[0].name, line["status"] == 200] += 1
                elif line["status"] == 200:
                    unknown[line["method"] + " " + "/".join(line["path"].split("/")[:5])] += 1
                for what in problems(ops, line):
                    key = f"{ops[0].name}: {what}"
                    seen[key] += 1
                    first.setdefault(key, line)
    reasons = read_reasons(HERE / "openapi.txt")
    unexplained = sorted(k for k in seen if k not in reasons)
    stale = sorted(k for k in reasons if k not in seen)
    for k in unexplained:
        print(f"{seen[k]:6} {k}")
        if args.show and args.show in k:
            print(json.dumps(first[k], indent=1)[:3000])
    for k in stale:
        print(f"explained, but not seen: {k}")
    names = {op.name for ops in book.by_method.values() for op in ops}
    served = {name for name, ok in touched if ok}
    print(f"{exchanges} exchanges, {len(served)} of {len(names)} operations answered 200, {len(seen)} differences, {len(seen) - len(unexplained)} explained")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
