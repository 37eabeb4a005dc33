"""manual.py - what a manual page tells its reader to type, as he would type it."""
import os
import re

from kit import ROOT

ESCAPES = {"\\e": "\\", "\\(dq": '"', "\\-": "-", "\\&": ""}


def blocks(page, section):
    """the literal blocks of a section, in their order"""
    with open(os.path.join(ROOT, "man", page), encoding="utf-8") as file:
        body = re.search(r"^\.Sh %s\n(.*?)^\.Sh " % section, file.read(), re.M | re.S).group(1)
    return [re.sub(r"\\(?:e|\(dq|-|&)", lambda found: ESCAPES[found.group()], block)
            for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", body, re.M | re.S)]


def commands_of(block):
    """[(who, command)] of lines that begin with a prompt: "kpl$ ", "new# ", or "# " alone"""
    lines = block.replace("\\\n", " ").splitlines()
    return [re.match(r"(\w*)[#$] (.*)", line).groups() for line in lines]


def commands(page, section):
    return [command for block in blocks(page, section) for command in commands_of(block)]
