#!/bin/sh
# circles.sh - over what was built: each file stands on the ones beneath it. No file needs a function or a table of
# another one that needs, over whatever way, something of the first.
set -u
cd "$(dirname "$0")/../.." || exit 2
: "${B:=build}"
[ -e "$B/daemon/base/room.a" ] || { echo "skip circles: nothing is built in $B"; exit 0; }

python3 - "$B" <<'PY'
import glob, subprocess, sys

tree = sys.argv[1]
objects = [path for path in sorted(glob.glob(f'{tree}/proto/*.o') + glob.glob(f'{tree}/daemon/**/*.o', recursive=True) +
                                   glob.glob(f'{tree}/client/*.o'))
           if glob.glob(path[len(tree) + 1:-1] + 'c')]  # not what was built from a file that is gone
defined, wanted = {}, {path: set() for path in objects}
for line in subprocess.run(['nm', '-A', '--format=posix', *objects], capture_output=True, text=True,
                           check=True).stdout.splitlines():
    path, rest = line.split(': ', 1)
    name, kind = rest.split()[:2]
    if kind == 'U':
        wanted[path].add(name)
    elif kind in 'TDBR':
        defined.setdefault(name, path)
stands_on = {path: {defined[name] for name in names if name in defined} - {path} for path, names in wanted.items()}

# take away, again and again, what stands on nothing that is left, and what nothing left stands on
left = set(objects)
while True:
    ends = {p for p in left if not stands_on[p] & left} | \
           {p for p in left if not any(p in stands_on[q] for q in left)}
    if not ends:
        break
    left -= ends
for path in sorted(left):
    for other in sorted(stands_on[path] & left):
        names = sorted(n for n in wanted[path] if defined.get(n) == other)
        print(f'    {path[len(tree) + 1:-1]}c needs {", ".join(names)} of {other[len(tree) + 1:-1]}c')
if left:
    print(f'FAIL circles: {len(left)} files stand on each other')
    sys.exit(1)
arrows = sum(map(len, stands_on.values()))
if len(objects) < 50 or arrows < 200:
    print(f'FAIL circles: only {len(objects)} files and {arrows} arrows found: has the tree changed?')
    sys.exit(1)
print(f'ok circles: {len(objects)} files, {arrows} arrows, no circle')
PY
