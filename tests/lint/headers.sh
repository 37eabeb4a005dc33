#!/bin/sh
# headers.sh - every header opens with a comment that begins with its own name, and is read once.
set -u
cd "$(dirname "$0")/../.." || exit 2

python3 - <<'PY'
import glob, os, sys

faults = []
headers = sorted(glob.glob('proto/*.h') + glob.glob('daemon/**/*.h', recursive=True) +
                 glob.glob('client/*.h') + glob.glob('tests/**/*.h', recursive=True))
for path in headers:
    lines = open(path, encoding='utf-8').read().split('\n')
    name = os.path.basename(path)
    if lines[0] != '/*' or not lines[1].startswith(f' * {name} - '):
        faults.append(f"{path} does not open with '/*' and ' * {name} - what it is'")
    if '#pragma once' not in lines:
        faults.append(f'{path} has no #pragma once')
for fault in faults:
    print(f'    {fault}')
if faults:
    print(f'FAIL headers: {len(faults)} fault(s)')
    sys.exit(1)
print(f'ok headers: {len(headers)} headers')
PY
