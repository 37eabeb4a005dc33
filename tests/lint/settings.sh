#!/bin/sh
# settings.sh - the table of settings against newsxd.conf(5), both ways: every setting stands in the page, in its
# section, with its default; the page names none that is not there. And conf/newsxd.conf knows only true names.
set -u
cd "$(dirname "$0")/../.." || exit 2

python3 - <<'PY'
import re, sys

text = open('daemon/config/table.c', encoding='utf-8').read()
rows = re.findall(r'\{ SEC_(\w+), "([^"]+)", SET_(\w+), [^,]+, (NULL|"[^"]*"),', text)
table = {(section.lower(), name): (kind, default) for section, name, kind, default in rows}
page = open('man/newsxd.conf.5', encoding='utf-8').read()
faults, section, found, item = [], None, {}, None
for line in page.split('\n'):
    heading = re.match(r'\.Ss (?:Section )?(\w+)', line)
    if heading:
        section = heading.group(1)
    elif re.match(r'\.Sh ', line):
        section = None
    setting = re.match(r'\.It Ic ([\w-]+)', line)
    if setting and section:
        item = (section, setting.group(1))
        if item in found:
            faults.append(f'newsxd.conf.5 has {item[0]} {item[1]} twice')
        found[item] = ''
    elif item:
        found[item] += line + '\n'
for key in table:
    if key not in found:
        faults.append(f'newsxd.conf.5 lacks {key[1]} of section {key[0]}')
for key in found:
    if key not in table:
        faults.append(f'newsxd.conf.5 has {key[1]} in section {key[0]}, the table has not')
for key in set(table) & set(found):
    default = table[key][1].strip('"')
    if default in ('NULL', '') or default.startswith('='):
        continue
    if not re.search(r'(?<![\w.-])' + re.escape(default) + r'(?![\w-])', found[key]):
        faults.append(f'newsxd.conf.5: {key[0]} {key[1]} does not tell its default {default}')
if len(table) < 50:
    faults.append(f'only {len(table)} settings found in table.c: has its form changed?')

section = None
for number, line in enumerate(open('conf/newsxd.conf', encoding='utf-8'), 1):
    line = re.sub(r'^\s*#\s?', '', line)  # what is commented out counts as well
    opened = re.match(r'\s*(\w+)(?:\s+[\w.-]+)?\s*\{', line)
    if opened and opened.group(1) in {s for s, _ in table}:
        section = opened.group(1)
        line = line[opened.end():]
    for name in re.findall(r'(?:^|\s)([a-z-]+)\s*= ?["{\w]', line):
        if section and (section, name) not in table:
            faults.append(f'conf/newsxd.conf:{number}: no setting {name} in section {section}')
    if '}' in re.sub(r'\{[^{}]*\}', '', line):
        section = None
for fault in faults:
    print(f'    {fault}')
if faults:
    print(f'FAIL settings: {len(faults)} fault(s)')
    sys.exit(1)
print(f'ok settings: {len(table)} settings')
PY
