#!/usr/bin/env python3
"""What the core costs, beside Synapse's Python and the Rust crate ruma-state-res, as ratios.

    core.py BUILD [--json FILE]

BUILD is a release build; bench_core is built in it. Synapse's functions are run by the Python that SYNAPSE_PYTHON names (or
build/synapse-venv); ruma's by a cargo project made in BUILD/bench-ruma from crates.io. Who is not there is left out. Each
does the same work on the same room, and must come to the same state."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SIZES = (10, 1000, 10000)
VERSIONS = ('11', '12')
CARGO = '''[package]
name = "core_ruma"
version = "0.0.0"
edition = "2021"
[dependencies]
ruma-state-res = "0.18"
ruma-common = "0.20"
ruma-events = "0.35"
serde_json = { version = "1", features = ["raw_value"] }
serde = { version = "1", features = ["derive"] }
cpu-time = "1"
'''


def call(command, **kwargs):
    out = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if out.returncode != 0:
        sys.exit('%s: %s' % (command[0], out.stderr[-2000:]))
    return out.stdout


def synapse_python():
    python = os.environ.get('SYNAPSE_PYTHON') or str(HERE.parents[1] / 'build/synapse-venv/bin/python')
    return python if shutil.which(python) else None


def ruma(build):
    if not shutil.which('cargo'):
        return None
    folder = build / 'bench-ruma'
    (folder / 'src').mkdir(parents=True, exist_ok=True)
    (folder / 'Cargo.toml').write_text(CARGO)
    shutil.copy(HERE / 'core_ruma.rs', folder / 'src/main.rs')
    done = subprocess.run(['cargo', 'build', '--release', '--quiet'], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        print('ruma: does not build here: %s' % done.stderr.strip().splitlines()[-1:])
        return None
    return [str(folder / 'target/release/core_ruma')]


def times(seconds):
    return '%.1f µs' % (seconds * 1e6) if seconds < 1e-3 else '%.2f ms' % (seconds * 1e3)


def compare(name, command, room, ours, rows):
    theirs = json.loads(call(command, input=room))
    if not theirs['same']:
        sys.exit('%s comes to another state' % name)
    rows.append((name, theirs))
    for key in ('whole', 'seconds'):
        if key in theirs:
            what = {'whole': '', 'seconds': ', auth difference given' if name == 'Synapse' else ', auth chains given'}[key]
            print('    %-8s %10s  %6.1f ×%s' % (name, times(theirs[key]), theirs[key] / ours, what))


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    call(['ninja', '-C', str(build), 'bench_core'])
    bench = str(build / 'tests/bench/bench_core')
    peers = []
    if synapse_python():
        peers.append(('Synapse', [synapse_python(), str(HERE / 'core_synapse.py')]))
    if ruma(build):
        peers.append(('ruma', ruma(build)))
    figures = {}
    for version in VERSIONS:
        for size in SIZES:
            ours = json.loads(call([bench, 'resolve', version, str(size)]))
            rows = []
            print('resolve %d conflicted events, version %s: %s, %d KiB' %
                  (size, version, times(ours['seconds']), ours['bytes'] // 1024))
            room = call([bench, 'dump', version, str(size)])
            for name, command in peers:
                compare(name, command, room, ours['seconds'], rows)
            figures['resolve %s %d' % (version, size)] = dict(rows, ours=ours)
    auth = json.loads(call([bench, 'auth', '11', '1000']))['per_second']
    print('auth checks per second: %d' % auth)
    rows = figures['resolve 11 1000']
    for name, _ in peers:
        print('    %-8s %10d  %6.1f ×' % (name, rows[name]['auth_per_second'], auth / rows[name]['auth_per_second']))
    verify = json.loads(call([bench, 'verify', '11']))
    print('events per second: libsodium bare %d; signature and hash %d (%.0f %%); all from bytes, with the id %d (%.0f %%)' % (
        verify['libsodium'], verify['signature_and_hash'], 100 * verify['signature_and_hash'] / verify['libsodium'],
        verify['from_bytes'], 100 * verify['from_bytes'] / verify['libsodium']))
    if 'Synapse' in rows:
        theirs = rows['Synapse']['verify_per_second']
        print('    %-8s %10d  %6.1f × (all from bytes)' % ('Synapse', theirs, verify['from_bytes'] / theirs))
    figures.update(auth_per_second=auth, verify=verify)
    if '--json' in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index('--json') + 1]).write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
