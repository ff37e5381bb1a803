#!/usr/bin/env python3
"""Every header compiles alone: all of them in C, the public ones in C++ too. What libhs.so exports is tests/headers/abi.list.

    check.py SOURCE BUILD           compare
    check.py SOURCE BUILD --write   make abi.list anew; the difference belongs into CHANGES"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

C = ['-std=gnu17', '-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wstrict-prototypes', '-D_GNU_SOURCE']
STRICT_C = ['-std=c17', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Wstrict-prototypes']
CXX = ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-Wno-missing-field-initializers']
LIBRARIES = ['libpq', 'libsodium', 'jansson', 'hiredis', 'libprotobuf-c', 'libcurl', 'yaml-0.1']


def compiles(command, header):
    text = '#include "%s"\ntypedef int not_empty;\n' % header
    p = subprocess.run(command + ['-fsyntax-only', '-'], input=text, capture_output=True, text=True)
    return None if p.returncode == 0 else p.stderr.strip().splitlines()


def jobs(source, build):
    cc, cxx = os.environ.get('CC', 'cc'), os.environ.get('CXX', 'c++')
    flags = subprocess.run(['pkg-config', '--cflags', *LIBRARIES], capture_output=True, text=True).stdout.split()
    inside = ['-I' + str(x) for x in (source / 'libhs/include', source / 'libhs', source, build)]
    h2o = ['-DH2O_USE_LIBUV=0', '-DH2O_USE_EPOLL=1']
    public = source / 'libhs/include'
    for header in sorted(public.rglob('*.h')):
        yield header, [cc, '-x', 'c', *STRICT_C, '-I' + str(public)]
        yield header, [cxx, '-x', 'c++', *CXX, '-I' + str(public)]
    for folder in ('libhs', 'workers', 'main'):
        for header in sorted((source / folder).rglob('*.h')):
            if public not in header.parents:
                yield header, [cc, '-x', 'c', *C, *flags, *h2o, *inside]


def exports(build):
    libs = sorted(build.rglob('libhs.so'))
    if not libs:
        return None
    out = subprocess.run(['nm', '-D', '--defined-only', str(libs[0])], capture_output=True, text=True, check=True).stdout
    return sorted({line.split()[-1].split('@')[0] for line in out.splitlines() if line.split()[1] != 'A'})


def check_abi(source, build, write):
    path = source / 'tests/headers/abi.list'
    now = exports(build)
    if now is None:
        return []
    if write:
        path.write_text('\n'.join(now) + '\n')
    listed = path.read_text().split()
    lost, new = sorted(set(listed) - set(now)), sorted(set(now) - set(listed))
    return (['tests/headers/abi.list:%d: %s is no longer exported' % (listed.index(x) + 1, x) for x in lost] +
            ['tests/headers/abi.list:1: %s is exported and not listed' % x for x in new])


def main():
    source, build = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        todo = [(h, pool.submit(compiles, command, h)) for h, command in jobs(source, build)]
        for header, result in todo:
            for line in (result.result() or [])[:5]:
                problems.append('%s:1: does not compile alone: %s' % (header.relative_to(source), line))
    problems += check_abi(source, build, '--write' in sys.argv)
    print('\n'.join(problems) if problems else 'headers: %d compilations, exports as listed' % len(todo))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
