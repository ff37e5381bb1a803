#!/usr/bin/env python3
"""Which hazards of rows.tsv have a passing test. A test claims rows by the first words of the comment before it:
`/* F06 F07: … */` in C, `# F06` before a Python test.

    check.py SOURCE BUILD     runs the ctests that hold such tests, and prints each row with its tests

Fails when a row of the core has none that passes."""
import collections
import pathlib
import re
import subprocess
import sys

CLAIM = re.compile(r'/\*\s*((?:[A-Z]\d\d[ ,:.]+)+)(?:(?!\*/).)*\*/\s*(?:static void|static int|int) (\w+)\(', re.S)
PYTHON = re.compile(r'^ *# ((?:[A-Z]\d\d[ ,:.]*)+).*\n(?: *@.*\n)*(?: *[A-Z_]+ = \{\n(?:.*\n)*? *\}\n\n)? *def (test_\w+)', re.M)
ID = re.compile(r'[A-Z]\d\d')


def claims(source):
    """Row → [(ctest, test)]."""
    found = collections.defaultdict(list)
    for path in sorted((source / 'tests/unit').rglob('*_test.c')):
        name = 'unit.%s.%s' % (path.parent.name, path.stem.removesuffix('_test'))
        for ids, test in CLAIM.findall(path.read_text()):
            for i in ID.findall(ids):
                found[i].append((name, test))
    for path in sorted((source / 'tests/fuzz').glob('*/driver.c')):
        for ids, test in CLAIM.findall(path.read_text()):
            for i in ID.findall(ids):
                found[i].append(('fuzz.' + path.parent.name, 'seeds'))
    for path in sorted((source / 'tests/system').glob('*_*.py')):
        for ids, test in PYTHON.findall(path.read_text()):
            for i in ID.findall(ids):
                found[i].append(('system ' + path.name, test))
    return found


def passed(build, names):
    """Of the ctests, those that pass; tests of a running server are run by tests/run and not here."""
    names = sorted(n for n in names if not n.startswith('system '))
    pattern = '^(%s)$' % '|'.join(re.escape(n) for n in names)
    out = subprocess.run(['ctest', '--test-dir', str(build), '-R', pattern, '--timeout', '300'], capture_output=True, text=True).stdout
    return {n for n in names if re.search(r' %s \.+ +Passed' % re.escape(n), out)}


def main():
    source, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rows = [line.rstrip('\n').split('\t') for line in (source / 'tests/security/rows.tsv').read_text().splitlines()
            if line and not line.startswith('#')]
    found = claims(source)
    good = passed(build, {name for i, _, _ in rows for name, _ in found[i]})
    missing, counts = [], collections.Counter()
    for i, part, what in rows:
        tests = [(n, t) for n, t in found[i] if n in good or n.startswith('system ')]
        failing = [(n, t) for n, t in found[i] if (n, t) not in tests]
        counts['with' if tests else 'without'] += 1
        if part == 'core' and (not tests or failing):
            missing.append(i)
        print('%s %-10s %s%s' % (i, part, what, '' if tests else '   NO TEST'))
        for n, t in tests:
            print('      %s: %s' % (n, t))
        for n, t in failing:
            print('      FAILED %s: %s' % (n, t))
    print('%d rows with a test that passes, %d without; of the core %s' % (
        counts['with'], counts['without'], 'all have one' if not missing else 'without: ' + ' '.join(missing)))
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
