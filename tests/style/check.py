#!/usr/bin/env python3
"""What a reviewer need not look at: format, banned functions, length of files, what must not be in the tree.

    check.py SOURCE"""
import pathlib
import re
import shutil
import subprocess
import sys

MAX_LINES = 1000

# Function -> what to use instead.
EVERYWHERE = {
    'strcpy': 'hs_str', 'strcat': 'hs_str_cat', 'stpcpy': 'hs_str', 'sprintf': 'hs_str_fmt or snprintf',
    'vsprintf': 'vsnprintf', 'strtok': 'hs_str_split', 'atoi': 'hs_str_to_i64',
    'atol': 'hs_str_to_i64', 'atoll': 'hs_str_to_i64', 'atof': 'hs_str_to_i64', 'gets': 'fgets', 'alloca': 'an arena',
    'rand': 'hs_random', 'srand': 'hs_random', 'random': 'hs_random', 'srandom': 'hs_random', 'drand48': 'hs_random', 'system': 'posix_spawn', 'popen': 'posix_spawn', 'tmpnam': 'mkstemp',
    'mktemp': 'mkstemp', 'localtime': 'localtime_r', 'gmtime': 'gmtime_r', 'ctime': 'strftime', 'asctime': 'strftime',
    'longjmp': 'hs_error', 'strncpy': 'hs_str', 'strncat': 'hs_str_cat',
}
# The library returns errors: it does not print and does not end the process.
LIBRARY = {
    'exit': 'an error', '_exit': 'an error', 'abort': 'an error', 'printf': 'hs_log', 'puts': 'hs_log', 'perror': 'hs_log',
    'sscanf': 'hs_str_to_i64',
}
NOT_HERE = [
    (re.compile(r'(?<![\w.])/(work|tmp/(wt|tvenv|b-\w+))(/|\b)'), 'a path of somebody\'s machine'),
    (re.compile(r'\b(TODO|FIXME|XXX)\b(?! ?\(#\d+\))'), 'an open end without an issue number'),
    (re.compile(r'[ \t]+$'), 'blanks at the end'),
]
TEXT = {'.c', '.h', '.py', '.sh', '.md', '.txt', '.cmake', '.sql', '.proto', '.yaml', '.yml', '.def', ''}
CALL = re.compile(r'(?<![\w.>])(\w+)\s*\(')
LITERALS = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'|/\*.*?\*/', re.S)


def files(source):
    out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=source, capture_output=True, text=True)
    if out.returncode == 0:
        names = out.stdout.splitlines()
    else:  # a tree without its history
        skip = {'.git', '.venv', '__pycache__'}
        names = [str(p.relative_to(source)) for p in source.rglob('*')
                 if p.is_file() and not skip & set(p.parts) and not p.relative_to(source).parts[0].startswith('build')]
    return [n for n in sorted(names) if (source / n).is_file() and n != 'tests/style/check.py']


def blank(match):
    """Comments and literals become blanks; lines stay where they are."""
    return re.sub(r'[^\n]', ' ', match.group(0))


def check_c(name, text):
    library = name.startswith(('libhs/', 'workers/'))
    if not name.startswith('tests/') and not text.startswith('/*'):
        yield 1, 'a file opens with what it owns'
    for number, line in enumerate(LITERALS.sub(blank, text).splitlines(), 1):
        if '\t' in line:
            yield number, 'a tab'
        if '//' in line:
            yield number, 'a // comment'
        for call in CALL.findall(line):
            instead = EVERYWHERE.get(call) or (LIBRARY.get(call) if library else None)
            if instead:
                yield number, '%s is banned, use %s' % (call, instead)


def check_text(name, text):
    lines = text.splitlines()
    if len(lines) > MAX_LINES and not name.endswith(('.tsv', '.list', '.json', 'LICENSE')):
        yield MAX_LINES, 'more than %d lines' % MAX_LINES
    for number, line in enumerate(lines, 1):
        for pattern, what in NOT_HERE:
            if pattern.search(line) and not (what.startswith('blanks') and name.endswith('.md')):
                yield number, what
    if text and not text.endswith('\n'):
        yield len(lines), 'no newline at the end'


def check_format(source, names):
    tool = shutil.which('clang-format') or shutil.which('clang-format-14')
    if not tool:
        return ['.clang-format:1: clang-format is not installed']
    p = subprocess.run([tool, '--dry-run', '-Werror', '--ferror-limit=1', *names], cwd=source, capture_output=True, text=True)
    return [line for line in p.stderr.splitlines() if 'error:' in line] if p.returncode else []


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    problems, c = [], []
    for name in files(source):
        path = source / name
        if path.suffix not in TEXT or '/seeds/' in name:
            continue
        try:
            text = path.read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        if path.suffix in ('.c', '.h'):
            c.append(name)
            problems += ['%s:%d: %s' % (name, n, what) for n, what in check_c(name, text)]
        problems += ['%s:%d: %s' % (name, n, what) for n, what in check_text(name, text)]
    problems += check_format(source, c)
    print('\n'.join(problems) if problems else 'style: %d files of C, nothing to say' % len(c))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
