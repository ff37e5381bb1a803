#!/usr/bin/env python3
"""The route tables against the list of operations (endpoints.tsv: what Synapse and the specification serve).

    check.py HS

Compares, for every row that `hs routes` prints: is there such an operation, are all its accepted prefixes served, who may call it, are guests
let in, which rate limit counts, under which name. Differences that are meant stand in differences.txt with their reason. Operations of the first tier that
are not served yet stand in absent.txt. Prints what is covered, by area and tier. Both lists fail the check when they are out of date."""

import collections
import csv
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
AUTH = {"none": "none", "optional": "optional", "access_token": "user", "admin": "admin", "shared-secret-hmac": "secret", "X-Matrix": "server"}
RATES = ("rc_message", "rc_registration", "rc_registration_token_validity", "rc_login", "rc_reports", "rc_user_directory")


def shape(path):
    return re.sub(r"\{[^}]*\}", "{}", path)


def expand(row):
    """All paths of an operation: the listed one stands for each of its versions."""
    path, versions = row["path"], row["versions"]
    m = re.match(r"(/_matrix/(?:client|media)/)((?:r0|v[0-9]+|api/v1|unstable))(/.*)$", path)
    if versions in ("-", "") or not m:
        return [path]
    return [m.group(1) + v + m.group(3) for v in versions.split(",")]


AREAS = (
    ("media", r"/_matrix/(media|client/v1/media)/"),
    ("client", r"/_matrix/client/(?!unstable/)"),
    ("client, unstable", r"/_matrix/client/unstable/"),
    ("federation", r"/_matrix/(federation|key)/"),
    ("admin", r"/_synapse/admin/"),
    ("other", r"/"),
)


def area(path):
    return next(name for name, pattern in AREAS if re.match(pattern, path))


def print_coverage(operations, served):
    """Operations served of those listed, by area and tier."""
    have, listed, tiers = collections.Counter(), collections.Counter(), sorted({row["tier"] for row, _ in operations})
    for row, paths in operations:
        at = area(row["path"]), row["tier"]
        listed[at] += 1
        have[at] += any((row["method"], shape(p)) in served for p in paths)

    def cells(name, of):
        yield name
        for tier in tiers + [None]:
            keys = [k for k in listed if k[0] in of and tier in (k[1], None)]
            yield f"{sum(have[k] for k in keys)}/{sum(listed[k] for k in keys)}" if keys else "-"

    for line in [["area", *(f"tier {t}" for t in tiers), "all"], *(list(cells(n, [n])) for n, _ in AREAS), list(cells("all", [n for n, _ in AREAS]))]:
        print("  ".join([line[0].ljust(18), *(c.rjust(8) for c in line[1:])]))


def read_list(name):
    found = {}
    for line in (HERE / name).read_text().splitlines():
        if line and not line.startswith("#"):
            key, _, reason = line.partition("  ")
            if not reason.strip():
                sys.exit(f"tests/routes/{name}: no reason given: {line}")
            found[key.strip()] = reason.strip()
    return found


def main():
    served = {}
    for line in subprocess.run([sys.argv[1], "routes"], capture_output=True, text=True, check=True).stdout.splitlines():
        method, path, auth, guest, rate, _, servlet = line.split("\t")
        served[method, shape(path)] = {"path": path, "auth": auth, "guest": guest, "rate": rate, "servlet": servlet}
    known, operations = {}, []
    with open(HERE / "endpoints.tsv") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            paths = expand(row)
            operations.append((row, paths))
            for p in paths:
                known.setdefault((row["method"], shape(p)), row)
    differences, absent = read_list("differences.txt"), read_list("absent.txt")
    problems, used = [], set()

    def problem(key, text):
        if key in differences:
            used.add(key)
        else:
            problems.append(f"{key}  {text}")

    for (method, path), ours in sorted(served.items()):
        row = known.get((method, path))
        name = f"{method} {ours['path']}"
        if not row:
            problem(name, "is not in the list of operations")
            continue
        op = f"{method} {row['path']}"
        want = AUTH.get(row["auth"])
        if want and want != ours["auth"]:
            problem(f"{op} auth", f"is {ours['auth']}, listed as {want}")
        guest = "yes" if row["guest"] in ("yes", "synapse-only") else "no"
        if ours["auth"] == "user" and guest != ours["guest"]:
            problem(f"{op} guest", f"is {ours['guest']}, listed as {guest}")
        listed = {part.split(".")[0] for part in re.split("[, ]+", row["rc"])}  # the row's class; finer ones are the service's
        rate = next((r for r in RATES if r in listed), None)
        if rate and "(UIA)" not in row["rc"] and ours["rate"] not in listed:
            problem(f"{op} rate", f"is {ours['rate']}, listed as {row['rc']}")
        if row["servlet"] and ours["servlet"] not in re.split(r"[,+ ]+", row["servlet"]):
            problem(f"{op} servlet", f"is {ours['servlet']}, listed as {row['servlet']}")
    for row, paths in operations:
        have = [p for p in paths if (row["method"], shape(p)) in served]
        op = f"{row['method']} {row['path']}"
        if have and len(have) < len(paths):
            missing = [p for p in paths if p not in have]
            problem(f"{op} prefixes", f"not served under {' '.join(missing)}")
        if not have and row["tier"] == "1":
            if op in absent:
                used.add(op)
            else:
                problems.append(f"{op}  is of the first tier and neither served nor in absent.txt")
    for name, entries in (("differences.txt", differences), ("absent.txt", absent)):
        problems += [f"tests/routes/{name}: out of date: {k}" for k in entries if k not in used]
    count = collections.Counter(bool(known.get(k)) for k in served)
    print(f"{len(served)} rows served, {count[True]} of them in the list; {len(absent)} of the first tier to come, {len(differences)} differences meant")
    print_coverage(operations, served)
    for p in sorted(set(problems)):
        print(p)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
