#!/usr/bin/env python3
"""Who may include whom, and what the built objects may call. The rules are in the file `rules` beside this one.

    check.py [SOURCE [BUILD]]

SOURCE is this tree unless it is named. With BUILD, the objects of the pure layers and the exports of libhs.so are looked at too."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


class Rules:
    def __init__(self, path):
        self.layers = {}  # layer -> what it may include
        self.calls = {}  # layer -> what it may not call
        for line in path.read_text().splitlines():
            line = line.split('#', 1)[0]
            if ' : ' in line or line.rstrip().endswith(':'):
                layer, _, rest = line.partition(':')
                self.layers[layer.strip()] = rest.split()
            elif ' ! ' in line:
                layer, _, rest = line.partition('!')
                self.calls[layer.strip()] = set(rest.split())
        self.libraries = {x for row in self.layers.values() for x in row if x.startswith('<')}

    def layer_of(self, path):
        """The longest layer that is a prefix of the path."""
        fits = [x for x in list(self.layers) + ['proto'] if path == x or path.startswith(x + '/')]
        return max(fits, key=len, default=None)

    def allows(self, layer, target):
        return any(target == x or target.startswith(x + '/') for x in self.layers[layer])

    def allows_library(self, layer, header):
        owners = [x for x in self.libraries if self.names(x, header)]
        return not owners or any(x in self.layers[layer] for x in owners)

    @staticmethod
    def names(rule, header):
        name = rule.strip('<>')
        return header.startswith(name) if name.endswith('/') else header == name


def resolve(source, name):
    """The path in the tree of an include with quotes; generated files are known by their folder."""
    for base in ('libhs', '.'):
        if (source / base / name).exists():
            return str((pathlib.PurePath(base) / name))
    return name


def check_includes(source, rules):
    for folder in ('libhs', 'workers', 'main'):
        for path in sorted((source / folder).rglob('*.[ch]')):
            where = str(path.relative_to(source))
            layer = rules.layer_of(where)
            if layer is None:
                continue  # libhs/include: the public face, looked at by tests/headers
            for number, line in enumerate(path.read_text().splitlines(), 1):
                m = INCLUDE.match(line)
                if not m:
                    continue
                kind, name = m.groups()
                if kind == '<':
                    ok = rules.allows_library(layer, name)
                    shown = '<%s>' % name
                else:
                    shown = resolve(source, name)
                    target = rules.layer_of(shown)
                    ok = target in (None, layer) or rules.allows(layer, shown)
                if not ok:
                    yield '%s:%d: %s may not include %s' % (where, number, layer, shown)


def nm(*args):
    out = subprocess.run(['nm', *args], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1].split('@')[0] for line in out.splitlines() if line.split()]


def plain(symbol):
    """Without the dress that fortification and large files put on."""
    return re.sub(r'^__|_chk$|64$', '', symbol)


def check_objects(source, build, rules):
    for layer, banned in sorted(rules.calls.items()):
        stem = layer.split('/')[-1]
        objects = sorted((build / layer / 'CMakeFiles' / ('hs_%s.dir' % stem)).rglob('*.o'))
        for obj in objects:
            for symbol in nm('--undefined-only', str(obj)):
                if plain(symbol) in banned:
                    name = '%s/%s' % (layer, obj.name.removesuffix('.o'))
                    yield '%s:1: the layer may not call %s' % (name, symbol)


def check_exports(build):
    for lib in sorted(build.rglob('libhs.so')):
        for symbol in nm('-D', '--defined-only', str(lib)):
            if not symbol.startswith('hs_') and not symbol.startswith('HS_'):
                yield '%s:1: exports %s, which is not hs_…' % (lib.name, symbol)


def main():
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1]
    rules = Rules(HERE / 'rules')
    problems = list(check_includes(source, rules))
    if len(sys.argv) > 2:
        build = pathlib.Path(sys.argv[2])
        problems += check_objects(source, build, rules)
        problems += check_exports(build)
    print('\n'.join(problems) if problems else 'layers: no file reaches where it may not')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
