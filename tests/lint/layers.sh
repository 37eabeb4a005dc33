#!/bin/sh
# layers.sh - every #include against the `uses.` lines of the Makefile, and each library in the files it may be in.
set -u
cd "$(dirname "$0")/../.." || exit 2

python3 - <<'PY'
import glob, re, sys

makefile = open('Makefile').read()
rooms = re.search(r'^ROOMS\s*:=\s*(.*)$', makefile, re.M).group(1).split()
uses = {r: [] for r in rooms}
for room, names in re.findall(r'^uses\.(\S+)\s*:=[ \t]*(.*)$', makefile, re.M):
    uses[room] = names.split()

# header (or the folder it is in): where it may be included
LIBRARIES = [
    (r'jansson\.h', r'proto/judge\.c'),
    (r'lmdb\.h', r'daemon/store/db\.c'),
    (r'pthread\.h', r'daemon/store/.*|daemon/base/(log|fault)\.c'),
    (r'event2/.*|event\.h', r'daemon/net/.*'),
    (r'openssl/sha\.h', r'daemon/base/hash\.c|daemon/net/.*|client/.*'),
    (r'openssl/.*', r'daemon/net/.*|client/.*'),
    (r'confuse\.h', r'daemon/config/parse\.c'),
    (r'threads\.h|semaphore\.h', r'daemon/store/.*'),
]
faults = []

def room_of_file(path):
    for room in sorted(rooms, key=len, reverse=True):
        if path.startswith(room + '/') and '/' not in path[len(room) + 1:]:
            return room
    return 'main' if re.fullmatch(r'daemon/[a-z]+\.[ch]', path) else None  # daemon/*.c: the program itself

def room_of_include(name):
    """proto/x.h is proto; base/x.h is daemon/base; client/x.h is client; daemon/x.h is the program's own"""
    if re.fullmatch(r'daemon/[a-z]+\.h', name):
        return 'main'
    folder = name.rsplit('/', 1)[0] if '/' in name else ''
    if folder in rooms:
        return folder
    return 'daemon/' + folder if 'daemon/' + folder in rooms else None

def check(path):
    room = room_of_file(path)
    for number, line in enumerate(open(path, encoding='utf-8'), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not found:
            continue
        mark, name = found.groups()
        where = f'{path}:{number}'
        if mark == '<':
            for header, places in LIBRARIES:
                if re.fullmatch(header, name):
                    if not re.fullmatch(places, path):
                        faults.append(f'{where}: <{name}> belongs in {places}')
                    break
            continue
        target = room_of_include(name)
        if target is None:
            faults.append(f'{where}: "{name}" is not written from the root of a room')
        elif room != 'main' and target != room and target not in uses[room]:
            faults.append(f'{where}: {room} does not use {target}')

files = [p for p in glob.glob('proto/*.[ch]') + glob.glob('daemon/*.[ch]') +
         glob.glob('daemon/*/*.[ch]') + glob.glob('client/*.[ch]')]
for path in sorted(files):
    check(path)
for room in rooms:  # and the lines themselves: calls go down
    for lower in uses[room]:
        if room in uses[lower]:
            faults.append(f'Makefile: {room} and {lower} use each other')
if faults:
    for fault in faults:
        print(f'    {fault}')
    print(f'FAIL layers: {len(faults)} include(s) go where they may not')
    sys.exit(1)
print(f'ok layers: {len(files)} files')
PY
