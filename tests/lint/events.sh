#!/bin/sh
# events.sh - the events of the log, its keys and the words of errors against newsxd(8), both ways: each stands there, and
# what stands there is still in the code.
set -u
cd "$(dirname "$0")/../.." || exit 2
page=man/newsxd.8
[ -e "$page" ] || { echo "skip events: $page is not written yet"; exit 0; }

python3 - "$page" <<'PY'
import glob, re, sys

# the page as a reader sees its words: macros gone, \- is -
page = open(sys.argv[1], encoding='utf-8').read().replace('\\-', '-').replace('\\&', '')
words = set(re.findall(r'[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]', page))
NO_EVENTS = ('lock', 'mdb', 'new', 'tmp', 'key', 'crt', 'conf', 'json', 'socket')
events, keys, faults = {}, set(), []
WORDS = 'nx_word(-code)'  # keys that are reasons: refusals.state, closes.state
for path in sorted(glob.glob('daemon/*.c') + glob.glob('daemon/*/*.c')):
    text = re.sub(r'/\*.*?\*/', '', open(path, encoding='utf-8').read(), flags=re.S)
    for name in re.findall(r'\bkv_\w+\(\s*("[^"]*"|[^,]*)', text):
        if name[0] == '"':
            keys.add(name[1:-1])
        elif name != WORDS:
            faults.append(f'{path}: a key that no page can list: {name}')
    if re.search(r'\.key\s*=(?!\s*NULL)', text) and path.startswith('daemon/core/'):
        faults.append(f'{path}: a key that is not given by kv_...(): this cannot look at it')
    text = re.sub(r'#include [^\n]*|\bFAULT\([^)]*\)|\bfault_\w+\([^)]*\)', '', text)
    if path.startswith('daemon/config/') or path.startswith('daemon/store/') and 'log_' not in text:
        continue
    for name in re.findall(r'"([a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*)"', text):
        if name.rsplit('.', 1)[1] not in NO_EVENTS:
            events.setdefault(name, path)
for name in sorted(events):
    if name not in words:
        faults.append(f'event {name} ({events[name]})')
errors = re.findall(r'X\(NX_\w+,\s*-?\d+,\s*"([^"]+)"', open('proto/err.h', encoding='utf-8').read())
for word in errors:
    if word not in words:
        faults.append(f'reason {word} (proto/err.h)')
if len(errors) < 50:
    faults.append(f'only {len(errors)} errors found in proto/err.h: has its form changed?')
if len(keys) < 50:
    faults.append(f'only {len(keys)} keys found: has their form changed?')
faults = [f'not in {sys.argv[1]}: {fault}' for fault in faults]

def listed(section):
    """the words that a section of the page has as headings of its list"""
    body = re.search(r'^\.Ss %s\n(.*?)^\.S[sh] ' % section, page, re.M | re.S).group(1)
    return [word for line in re.findall(r'^\.It Li (.*)', body, re.M) for word in line.split() if word != ',']

for section, known, least in (('Events', set(events), 50), ('Keys', keys, 50), ('Reasons', set(errors), 50)):
    words = listed(section)
    if len(words) < least:
        faults.append(f'only {len(words)} words in section {section}: has its form changed?')
    for word in words:
        if word not in known:
            faults.append(f'in section {section}, and in no code: {word}')
        if words.count(word) > 1 and section != 'Reasons':
            faults.append(f'twice in section {section}: {word}')
    faults += [f'{word} is not in the list of {section}' for word in sorted(known - set(words))]
for fault in faults:
    print(f'    {fault}')
if faults:
    print(f'FAIL events: {len(faults)} word(s)')
    sys.exit(1)
print(f'ok events: {len(events)} events, {len(keys)} keys, {len(errors)} reasons')
PY
