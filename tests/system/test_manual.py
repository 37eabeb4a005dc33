"""The manual pages, followed to the letter on a fresh machine under a real systemd: from nothing to a photo, new keys,
a service that receives, a copy and its return, an upgrade and the way back."""
import os
import re
import shutil
import subprocess

from cases import check, holds
from container import in_a_container
from kit import NEWSXCTL, NEWSXD, ROOT, WAIT_S, Key
from manual import blocks, commands, commands_of
from test_systemd import build

PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 400


def write(path, octets):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(octets if isinstance(octets, bytes) else octets.encode())


class Reader:
    """types what the page says, fills in what stands in capitals"""

    def __init__(self, box):
        self.box, self.words, self.said = box, {}, ""
        for name in ("kpl", "ttxvn", "again"):
            os.makedirs(box.root + "/srv/" + name)

    def fill(self, text):
        for word in sorted(self.words, key=len, reverse=True):
            text = text.replace(word, self.words[word])
        left = re.search(r"\b[A-Z]+(-NEW)?-PIN\b", text)
        holds(left is None, "nobody has said what %s is" % (left and left.group()))
        return text

    def types(self, who, command):
        """in the folder of that agency, or as root of the exchange"""
        home = "/srv/" + who if who in ("kpl", "ttxvn", "again") else "/root"
        print("%s# %s" % (who, command), flush=True)
        command = self.fill(command)
        if command.startswith("apt-get"):
            command = "yes | DEBIAN_FRONTEND=noninteractive " + command  # what a person answers
        self.said = self.box.inside("sh", "-ec", "cd %s; %s" % (home, command)).stdout
        pin = re.search(r"^pin (\S+)", self.said, re.M)
        name = re.search(r"--name (\S+)", command)
        if pin:
            self.words[(name.group(1) if name else "exchange").upper() + "-PIN"] = pin.group(1)
        return self.said

    def agencies(self, change=lambda text: text):
        path = self.box.root + "/etc/newsxd/conf.d/agencies.conf"
        text = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        write(path, change(text))


def from_nothing(reader):
    box, typed = reader.box, 0
    write(box.root + "/srv/kpl/photo.jpg", PHOTO)
    for block in blocks("newsxd.8", "GETTING STARTED"):
        if block.startswith("partner"):
            reader.agencies(lambda _, block=block: reader.fill(block))
            continue
        for who, command in commands_of(block):
            reader.types(who, command)
            typed += 1
    holds(re.search(r"^kpl-to-ttxvn +ttxvn +0 ", reader.said, re.M), reader.said)  # --owed is the last
    got = box.inside("sh", "-c", "cmp /srv/kpl/photo.jpg /srv/ttxvn/news/*/parts/01-photo.jpg", ok=False)
    check(got.returncode, 0, "the photo: " + got.stdout + got.stderr)
    holds(typed < 10, "%d commands" % typed)


def new_keys(reader):
    for block in blocks("newsxd.8", "CHANGING KEYS"):
        for who, command in commands_of(block):
            if command == "systemctl reload newsxd" and "EXCHANGE-NEW-PIN" not in reader.words:
                both = '"%s", "%s"' % (reader.words["KPL-PIN"], reader.words["KPL-NEW-PIN"])
                reader.agencies(lambda text, both=both: text.replace('"%s"' % reader.words["KPL-PIN"], both))
            reader.types(who, command)
    box, pin = reader.box, reader.words["EXCHANGE-NEW-PIN"]
    box.until("the new key answers", lambda: re.search('key.serving pin="?%s' % re.escape(pin), box.journal()))
    reader.words["EXCHANGE-PIN"] = pin


def examples(reader):
    """those of newsxctl(1), in their order"""
    box, home = reader.box, reader.box.root + "/srv/again/"
    key, ping, story, publish, unit = blocks("newsxctl.1", "EXAMPLES")
    reader.words.pop("KPL-PIN")
    reader.types("again", key.strip())
    shutil.rmtree(home + "keys")
    shutil.copytree(box.root + "/srv/kpl/keys", home + "keys")
    reader.types("again", ping.replace("\\\n", " ").strip())
    write(home + "story.json", story)
    for name in ("photo.jpg", "picture.jpg"):
        write(home + name, PHOTO + name.encode())
    said = reader.types("again", publish.replace("\\\n", " ").strip())
    holds(re.search(r"^stored urn:kpl:2026:11:28:boat-races 1 seq=", said, re.M) and said.count("stored") == 2, said)

    for end in ("key", "crt"):
        write(box.root + "/etc/newsxctl/ttxvn." + end, open(box.root + "/srv/ttxvn/keys/ttxvn." + end, "rb").read())
        os.chmod(box.root + "/etc/newsxctl/ttxvn." + end, 0o600)
    box.inside("chown", "-R", "news", "/etc/newsxctl")
    write(box.root + "/usr/local/bin/import-story", '#!/bin/sh\ncp "$1/document.json" "/var/lib/news-in/$NEWSX_SEQUENCE.json"\n')
    os.chmod(box.root + "/usr/local/bin/import-story", 0o755)
    write(box.root + "/etc/systemd/system/news-in.service", reader.fill(unit))
    verified = box.inside("systemd-analyze", "verify", "/etc/systemd/system/news-in.service", ok=False)
    check((verified.returncode, "news-in" in verified.stderr), (0, False), verified.stderr)
    box.ctl("start", "news-in")
    there = lambda text: box.inside("grep", "-rls", text, "/var/lib/news-in/", ok=False).returncode == 0
    box.until("the story is imported", lambda: there("Boat races open"))
    box.ctl("restart", "newsxd")  # the link is lost: the service ends, waits its ten seconds, comes again
    write(home + "story.json", story.replace('"1"', '"2"').replace("Boat races open", "Boat races end"))
    reader.types("again", publish.replace("\\\n", " ").replace("picture.jpg", "").strip())
    box.until("the correction is imported", lambda: there("Boat races end"))
    box.ctl("stop", "news-in")


def without(text, *heads):
    """agencies.conf less these sections"""
    for head in heads:
        text, n = re.subn(r"^%s \{.*?\}(?=\n(\w|$)|\Z)\n?" % head, "", text, flags=re.M | re.S)
        check(n, 1, head)
    return text


def taken_away(reader):
    """a partner and what it is owed; root's word reaches the service"""
    box = reader.box
    reader.types("kpl", "newsxctl publish --server exchange.example --server-pin EXCHANGE-PIN --identity keys/kpl "
                 "--channel kpl.news photo.jpg")
    reader.agencies(lambda text: without(text, "partner ttxvn", "subscription kpl-to-ttxvn"))
    reader.types("", "systemctl reload newsxd")
    box.until("it is told", lambda: "subscription kpl-to-ttxvn is not in" in box.journal())
    refused = box.inside("newsxctl", "ping", "--server", "exchange.example", "--server-pin", reader.words["EXCHANGE-PIN"],
                         "--identity", "/srv/ttxvn/keys/ttxvn", ok=False)
    check(refused.returncode, 15, refused.stdout)
    for _, command in commands("newsxd.8", "WHEN A PARTNER CANNOT CONNECT"):
        holds("reason=unknown-key" in reader.types("", command), reader.said)
    reader.words["NAME"] = "kpl-to-ttxvn"
    for _, command in commands("newsxd.8", "TAKING A PARTNER AWAY"):
        said = reader.types("", command)
        if "--owed" in command:
            holds(re.search(r"^kpl-to-ttxvn .* not in the configuration since", said, re.M), said)
    box.until("it is forgotten", lambda: "event=store.forgotten" in box.journal())


def stored(reader, uri):
    write(reader.box.root + "/srv/kpl/n.json", '{"uri": "%s", "version": "1", "type": "text", "headline": "x", '
          '"versioncreated": "2026-11-28T05:00:00Z"}' % uri)
    return reader.types("kpl", "newsxctl publish --server exchange.example --server-pin EXCHANGE-PIN --identity keys/kpl "
                        "--channel kpl.news n.json").split(" ")[0]


def there_and_back(reader):
    """a copy and its return, with the real systemctl and user"""
    for section in ("BACKUP", "RESTORING"):
        for who, command in commands("newsxd.8", section):
            reader.types(who, command)
        check(stored(reader, "urn:after:" + section), "stored", section)


def up_and_down(reader, upgraded):
    """an upgrade and the way back, with the real apt-get"""
    box = reader.box
    shutil.copy(box.root + upgraded, box.root + "/root/newsxd.deb")
    os.mkdir(box.root + "/srv/backup")
    for who, command in commands("newsxd.8", "UPGRADING"):
        reader.types(who, command)
        if "apt-get" in command:
            check(box.show("ActiveState"), "inactive", "what was stopped stays so")
    check(stored(reader, "urn:after:UPGRADING"), "stored", "upgraded")
    for who, command in commands("newsxd.8", "GOING BACK"):
        reader.types(who, command)
    check(stored(reader, "urn:after:UPGRADING"), "stored", "it was in the newer one alone")


def no_fault(box):
    box.ctl("stop", "newsxd")
    check(box.inside("stat", "-c", "%U", "/var/lib/newsxd/store/items/data.mdb").stdout, "newsxd\n", "whose store it is")
    got = box.inside("newsxd", "--config", "/etc/newsxd/newsxd.conf", "--verify-store", ok=False)
    check((got.returncode, got.stdout), (0, "0 faults\n"), got.stderr)


def fresh(box):
    """a machine with the package file in /root, and a name for the exchange"""
    first = build(box, "0.1.0")
    with open(box.root + "/etc/hosts", "a", encoding="ascii") as file:
        file.write("\n127.0.0.1 exchange.example\n")
    for name in ("newsxd.deb", "newsxd-old.deb"):
        shutil.copy(box.root + first, box.root + "/root/" + name)
    box.boot()
    return Reader(box)


def test_the_manual_followed_on_a_fresh_machine():
    def scene(box):
        reader = fresh(box)
        from_nothing(reader)
        new_keys(reader)
        examples(reader)
        taken_away(reader)

    in_a_container(scene)


def test_the_manuals_backup_and_its_return_with_the_package():
    def scene(box):
        reader = fresh(box)
        from_nothing(reader)
        there_and_back(reader)
        no_fault(box)

    in_a_container(scene)


def test_the_manuals_upgrade_and_the_way_back_with_the_package():
    def scene(box):
        second = build(box, "0.1.0+1")
        reader = fresh(box)
        from_nothing(reader)
        up_and_down(reader, second)
        no_fault(box)

    in_a_container(scene)


# ---- without a container

def checked(folder, name):
    got = subprocess.run([NEWSXD, "--config", os.path.join(folder, name), "--check"], text=True, capture_output=True,
                         timeout=WAIT_S, check=False)
    check(got.returncode, 0, got.stderr)
    return got.stdout


def test_the_examples_of_the_configuration_are_configurations(tmp="/tmp/newsxd-manual.%d" % os.getpid()):
    os.makedirs(tmp + "/keys")
    try:
        keys = {name: Key(tmp + "/keys", name) for name in ("exchange", "a", "b")}
        text = blocks("newsxd.conf.5", "EXAMPLES")[0]
        for name in ("a", "b"):
            text = text.replace('"sha256:..."', '"%s"' % keys[name].pin, 1)
        write(tmp + "/newsxd.conf", text)
        holds("from-kpl" in checked(tmp, "newsxd.conf"), "the page's example")
        shutil.copy(os.path.join(ROOT, "conf/newsxd.conf"), tmp + "/example.conf")
        holds("from-ttxvn" in checked(tmp, "example.conf"), "conf/newsxd.conf")
    finally:
        shutil.rmtree(tmp)


def test_usage_and_synopsis_say_the_same():
    if shutil.which("mandoc") is None:
        print("SKIP")
        return
    for program, page in ((NEWSXD, "newsxd.8"), (NEWSXCTL, "newsxctl.1")):
        shown = subprocess.check_output(["mandoc", "-T", "ascii", os.path.join(ROOT, "man", page)], text=True)
        synopsis = re.search(r"^SYNOPSIS\n(.*?)^\S", re.sub(".\b", "", shown), re.M | re.S).group(1)
        usage = re.search(r"^usage:(( .*\n)+)", subprocess.check_output([program, "--help"], text=True)).group(1)
        check(" ".join(usage.lower().replace("file...", "file ...").split()), " ".join(synopsis.split()), page)


def test_the_readme_by_hand():
    """its block of commands, with the pins put in and a free port"""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        block = re.search(r"By hand.*?\n\n((?:    .*\n|\n)*)", file.read()).group(1)
    top = "/tmp/newsxd-readme.%d" % os.getpid()
    script = re.sub(r" +#.*", "", block).replace("/tmp/x", top).replace("make && ", "").replace("conf/newsxd.conf", ROOT + "/conf/newsxd.conf").replace("build/", NEWSXD[:-6])
    lines = [line.strip() for line in script.replace("\\\n", " ").splitlines() if line.strip()]
    daemon = None
    try:
        os.makedirs(top)
        for name in ("story.json", "photo.jpg"):
            write(top + "/" + name, blocks("newsxctl.1", "EXAMPLES")[2] if name[0] == "s" else PHOTO)
        pins, config = {}, ""
        for line in lines:
            if line.endswith("&"):
                daemon = subprocess.Popen(["sh", "-c", "cd %s; exec %s" % (top, line[:-1])], stderr=subprocess.PIPE, text=True)
                for said in daemon.stderr:
                    if "event=listen.open" in said:
                        port = re.search(r"addr=\S+:(\d+)", said).group(1)
                        break
                continue
            if daemon:
                line = line.replace("7417", port).replace("--server-pin PIN", "--server-pin " + pins["exchange"])
            got = subprocess.run(["sh", "-ec", "cd %s; %s" % (top, line)], text=True, capture_output=True, timeout=WAIT_S, check=False)
            check(got.returncode, 0, "%s\n%s%s" % (line, got.stdout, got.stderr))
            if "key new" in line:
                pins[re.search(r"--name (\S+)", line).group(1)] = re.search(r"^pin (\S+)", got.stdout, re.M).group(1)
            if line.startswith("cp "):
                config = open(top + "/newsxd.conf", encoding="utf-8").read()
                for name in ("kpl", "newsroom"):
                    config = re.sub(r"(partner %s \{\s+pin += \{ \")[^\"]+" % name, r"\g<1>" + pins[name].replace("\\", ""), config)
                write(top + "/newsxd.conf", config.replace("0.0.0.0:7417", "127.0.0.1:0"))
        check(sorted(os.path.basename(path) for path in
                     subprocess.check_output(["find", top + "/in", "-name", "01-*"], text=True).split()), ["01-photo.jpg"] * 2, "arrived")
    finally:
        if daemon:
            daemon.terminate()
            daemon.stderr.read()
            daemon.wait(WAIT_S)
        shutil.rmtree(top, ignore_errors=True)
