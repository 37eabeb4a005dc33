#!/bin/sh
# symbols.sh - over what was built: no name is defined in two files, and nothing that can change is global
# or static except in log, clock and fault, which say so.
set -u
cd "$(dirname "$0")/../.." || exit 2
: "${B:=build}"
[ -e "$B/daemon/base/room.a" ] || { echo "skip symbols: nothing is built in $B"; exit 0; }
[ -z "${SAN:-}" ] || { echo "skip symbols: sanitizers add their own"; exit 0; }

python3 - "$B" <<'PY'
import glob, re, subprocess, sys

ALLOWED = {
    'daemon/base/log.o', 'daemon/base/clock.o', 'daemon/base/fault.o',
    'daemon/news/arena.o',  # jansson's hooks for memory take no argument
    'daemon/store/db.o',    # LMDB: one handle for a path in a process
    'client/signals.o',     # a handler can reach nothing else
}
tree, defined, faults, suspects = sys.argv[1], {}, [], {}
objects = [path for path in sorted(glob.glob(f'{tree}/proto/*.o') + glob.glob(f'{tree}/daemon/*/*.o') +
                                   glob.glob(f'{tree}/client/*.o'))
           if glob.glob(path[len(tree) + 1:-1] + 'c')]  # not what was built from a file that is gone

def apart(one, other):
    """newsxctl has neither store nor core: these two never meet on a link line"""
    client, daemon = sorted((one, other))
    return client.startswith('client/') and re.match('daemon/(store|net|core|config)/', daemon)

def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split('\n')

for line in run('nm', '-A', '--defined-only', *objects):
    found = re.match(r'(.*?):[0-9a-f]+ (\w) (\S+)$', line)
    if not found:
        continue
    name, kind, symbol = found.group(1)[len(tree) + 1:], found.group(2), found.group(3)
    if kind.isupper() and kind not in 'VW':
        if symbol in defined and not apart(defined[symbol], name):
            faults.append(f'{symbol} stands in {defined[symbol]} and in {name}')
        defined.setdefault(symbol, name)
    if kind in 'bBcCdD' and name not in ALLOWED:
        suspects.setdefault(name, set()).add(symbol)
# .data.rel.ro is constant after start, though nm says D for it
for name, symbols in suspects.items():
    for row in run('objdump', '-t', f'{tree}/{name}'):
        if row.split()[-1:] and row.split()[-1] in symbols and '.data.rel.ro' not in row:
            faults.append(f'{name} has {row.split()[-1]}, which can change and belongs to nobody')
for fault in faults:
    print(f'    {fault}')
if faults:
    print(f'FAIL symbols: {len(faults)} fault(s)')
    sys.exit(1)
print(f'ok symbols: {len(defined)} names in {len(objects)} files')
PY
