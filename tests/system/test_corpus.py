"""Real stories, photos and hostile JSON through newsxctl publish, the exchange, and newsxctl subscribe: octet for octet."""
import collections
import csv
import glob
import hashlib
import json
import os

from cases import alive, check, give, holds, reader, settled
from kit import CORPUS, Exchange
from newsx import Link

PARTNERS = {"pub": 'publish = {"c.*"} kills-per-day = 100000', "sub": 'read = {"*"}'}
SUBS = {"all": 'partner = "sub" channels = {"*"} start = "all" versions = "all"'}


def there():
    if os.path.isdir(os.path.join(CORPUS, "stories")):
        return True
    print("no corpus at %s: SKIP" % CORPUS)
    return False


def stories(*without):
    found = sorted(glob.glob(os.path.join(CORPUS, "stories", "**", "*.json"), recursive=True))
    return [f for f in found if not any("/%s/" % w in f for w in without)]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def publish(x, files, channel="c.corpus"):
    """newsxctl publish --json: {file: line}"""
    done = x.ctl("publish", "pub", "--channel", channel, "--json", *files, timeout=100)
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    out = {line["file"]: line for line in lines if "file" in line}
    missing = [f for f in files if f not in out]
    holds(not missing, "no answer for %s\n%s%s" % (missing[:5], done.stdout[-500:], done.stderr[-2000:]))
    return out


def subscribe(x, *more):
    """newsxctl subscribe: what lies in its folder, {sha256 of document.json: folder}"""
    out = os.path.join(x.folder, "out")
    done = x.ctl("subscribe", "sub", "--subscription", "all", "--out", out, "--idle-exit", "1", *more, timeout=100)
    check(done.returncode, 0, "newsxctl subscribe: %s" % done.stderr)
    got = collections.defaultdict(list)
    for folder in glob.glob(os.path.join(out, "*", "")):
        got[digest(read(os.path.join(folder, "document.json")))].append(folder)
    return got


def identity(path):
    document = json.loads(read(path))
    return document.get("uri") or document.get("guid"), str(document.get("version") or 0)


def status_of(path, before):
    """what must become of it; before: the files that were offered earlier"""
    document = json.loads(read(path))
    if duplicate_key(path):
        return "duplicate-key"
    if any(identity(path) == identity(other) for other in before if not duplicate_key(other)):
        return "conflict"  # one item in two versions of ninjs
    embargo = [document.get(k) or "" for k in ("embargoed", "embargoedUntil", "embargo")]
    if (document.get("pubstatus") or document.get("pubStatus")) == "withheld" or any(e.startswith("2099") for e in embargo):
        return "held"
    return "stored"


def duplicate_key(path):
    found = []

    def pairs(got):
        found.append(len({k for k, _ in got}) != len(got))
        return dict(got)
    json.loads(read(path), object_pairs_hook=pairs)
    return any(found)


def test_stories():
    """every story but the life cycles: held ones are held, the one with a duplicate key is refused, all others arrive"""
    if not there():
        return
    files = stories("lifecycle")
    with Exchange(PARTNERS, SUBS, size="128MiB") as x:
        said = publish(x, files)
        wrong, wanted, languages = [], [], collections.Counter()
        for number, path in enumerate(files):
            line = said[path]
            answer = line.get("code") or line["result"]
            if answer != status_of(path, files[:number]):
                wrong.append((path, line))
            elif answer == "stored":
                wanted.append(path)
                languages[json.loads(read(path)).get("language", "")[:2]] += 1
        check(wrong, [], "answers")
        check(sum(line.get("code") == "duplicate-key" for line in said.values()), 1, "duplicate keys")
        got = subscribe(x)
        lost = [path for path in wanted if digest(read(path)) not in got]
        check(lost, [], "did not arrive octet for octet")
        check(sum(map(len, got.values())), len(wanted), "folders")
        print("%d stories: %s" % (len(wanted), dict(languages)))
        holds(min(languages[n] for n in ("vi", "lo", "en")) >= 40, "languages: %s" % languages)
        again = publish(x, wanted)
        check({line["result"] for line in again.values()}, {"duplicate"}, "offered a second time")
        x.stop()
        x.verify()


def test_two_hundred():
    """200 stories and more in Vietnamese, Lao and English to a reader that is there, octet for octet, none twice"""
    if not there():
        return
    with Exchange(PARTNERS, SUBS, size="128MiB") as x:
        pub, sub = Link(x.port, x.keys["pub"].identity), reader(x, "sub", "all")
        sent, languages = {}, collections.Counter()
        for second in (False, True):  # each once as it is, once as another item with other white space
            for number, path in enumerate(stories("lifecycle", "iptc-examples")):
                data = read(path)
                document = json.loads(data)
                if second:
                    document["guid" if "guid" in document else "uri"] += ":second"
                    data = json.dumps(document, ensure_ascii=number % 2 == 0, indent=number % 3 or None).encode()
                if give(pub, data, {"channel": "c.live"}) == "stored":
                    sent[digest(data)] = path
                    languages[document.get("language", "")[:2]] += 1
                    head, _, got = sub.receive()
                    check(digest(got), digest(data), path)
                    sub.ack(head["id"])
        print(len(sent), dict(languages))
        holds(sum(languages[n] for n in ("vi", "lo", "en")) >= 200, "stories: %s" % languages)
        alive(sub)
        check([f for f in sub.queue if f.type == "ITEM"], [], "items twice")
        settled(x, "all")


def test_photos():
    """every photo as a picture item, octet for octet"""
    if not there():
        return
    photos = [f for f in sorted(glob.glob(os.path.join(CORPUS, "photos", "*"))) if f.endswith((".jpg", ".png"))]
    with Exchange(PARTNERS, SUBS, size="256MiB") as x:
        said = publish(x, photos)
        taken = [f for f in photos if said[f]["result"] in ("stored", "duplicate")]
        holds(len(taken) >= 20, "taken: %s" % {f: line for f, line in said.items() if f not in taken})
        got = subscribe(x)
        files = {digest(read(f)) for folder in sum(got.values(), []) for f in glob.glob(os.path.join(folder, "**"), recursive=True)
                 if os.path.isfile(f)}
        check([f for f in taken if digest(read(f)) not in files], [], "did not arrive octet for octet")
        x.stop()
        x.verify()


# what becomes of each file of a chain, by its number; the end is what a late reader of the latest gets
CHAINS = {
    "c01": (["stored"] * 3, {3}), "c02": (["stored"] * 2, {2}), "c03": (["held", "stored"], {2}), "c04": (["held"], set()),
    "c05": (["held", "stored"], {2}), "c06": (["stored", "superseded", "superseded"], {1}),
    "c07": (["stored", "duplicate", "conflict"], {1}), "c08": (["stored", "conflict"], {1}),
    "c09": (["stored", "superseded", "stored"], {3}), "c10": (["stored"] * 3, {3}), "c11": (["stored"] * 3, {3}),
    "c12": (["stored"] * 3, {1, 2, 3}), "c13": (["stored"] * 2, {2}), "c14": (["stored", "stored", "killed"], {2}),
    "c15": (["stored"] * 2, {2}), "c16": (["stored"] * 3, {3}), "c17": (["stored", "held", "stored"], {3}),
    "c18": (["held", "held"], set()),  # the kill has the embargo too, and nothing is out that it could take back
}


def test_chains():
    """the life cycles end as CHAINS.tsv says, for a reader that comes late and one that was there all the time

    c14, reinstated: the version after the kill is refused `killed`; c07, the same item with other octets: `conflict`.
    """
    if not there():
        return
    with open(os.path.join(CORPUS, "stories", "lifecycle", "CHAINS.tsv"), encoding="utf-8") as file:
        chains = list(csv.DictReader(file, delimiter="\t"))
    check(sorted(c["chain"][:3] for c in chains), sorted(CHAINS), "chains")
    subs = {"late": 'partner = "sub" channels = {"*"} start = "all"', "live": 'partner = "sub" channels = {"*"} start = "all"'}
    with Exchange(PARTNERS, subs) as x:
        pub, live = Link(x.port, x.keys["pub"].identity), reader(x, "sub", "live")
        wanted, bad, seen = {}, [], {}
        for chain in chains:
            files = sorted(glob.glob(os.path.join(CORPUS, "stories", "lifecycle", chain["chain"], "*.json")))
            check(len(files), int(chain["files"]), chain["chain"])
            answers, end = CHAINS[chain["chain"][:3]]
            for number, path in enumerate(files, 1):
                answer = give(pub, read(path), {"channel": "c.chains"})
                answer = answer if isinstance(answer, str) else answer[0]
                if answer != answers[number - 1]:
                    bad.append((os.path.relpath(path, CORPUS), answer, answers[number - 1]))
                if answer == "stored":
                    head, _, document = live.receive()
                    live.ack(head["id"])
                    seen[digest(document)] = path
                if number in end:
                    wanted[digest(read(path))] = os.path.relpath(path, CORPUS)
                elif answers[number - 1] == "stored" and digest(read(path)) not in seen:
                    bad.append((path, "was not seen live"))
        check(bad, [], "answers")
        late = reader(x, "sub", "late")
        got = {}
        while len(got) < len(wanted):
            head, _, document = late.receive()
            got[digest(document)] = True
            late.ack(head["id"])
        alive(late)
        check([f for f in late.queue if f.type in ("ITEM", "WITHDRAW")], [], "more than the ends")
        check(sorted(wanted[d] for d in wanted if d not in got), [], "ends that did not come")
        settled(x, "late")
        settled(x, "live")


VERDICTS = {"stored", "held", "duplicate", "superseded", "refused"}


def test_torture():
    """hostile JSON: each file is refused with a code that says why, or stored; the daemon lives through all"""
    if not there():
        return
    news = [f for f in sorted(glob.glob(os.path.join(CORPUS, "json-torture", "news", "*"))) if not f.endswith(".tsv")]
    with open(os.path.join(CORPUS, "json-torture", "news", "EXPECT.tsv"), encoding="utf-8") as file:
        expect = {row["file"]: row["kind"] for row in csv.DictReader(file, delimiter="\t")}
    parsing = sorted(glob.glob(os.path.join(CORPUS, "json-torture", "test_parsing", "*.json")))
    holds(len(news) >= 30 and len(parsing) >= 318, "files: %d, %d" % (len(news), len(parsing)))
    with Exchange(PARTNERS, SUBS) as x:
        wrong, said = [], {}
        for path in news + parsing:
            with Link(x.port, x.keys["pub"].identity) as link:
                said[os.path.basename(path)] = give(link, read(path), {"channel": "c.bad"})
                alive(link)
        for name, kind in expect.items():
            answer = said[name]
            refused = isinstance(answer, tuple)
            if refused and (answer[1] != "never" or answer[0] in ("unknown", "system-error", "io-error")):
                wrong.append((name, answer))
            if kind in ("not JSON", "not one JSON text", "parses, refuse") and not refused:
                wrong.append((name, kind, answer))
        unreadable = {"bad-document", "bad-utf8", "duplicate-key", "nul-in-text", "too-deep", "too-many-values", "document-too-large"}
        for path in parsing:
            name, answer = os.path.basename(path), said[os.path.basename(path)]
            if name.startswith("n_") and (answer[0] not in unreadable):
                wrong.append((name, answer))
            if not isinstance(answer, tuple) or answer[1] != "never":  # none of them is a story: no uri
                wrong.append((name, answer))
        check(wrong, [], "answers")
        check(x.process.poll(), None, "the daemon")
        # and through newsxctl: nothing of it makes the client die without a word for each file
        lines = publish(x, news)
        check({line["result"] for line in lines.values()} <= VERDICTS, True, "words of newsxctl")


def test_interchange():
    """the other ninjs of the corpus: stored, held, or refused with a code of the page"""
    if not there():
        return
    files = sorted(glob.glob(os.path.join(CORPUS, "interop", "ninjs-*", "**", "*.json"), recursive=True))
    with Exchange(PARTNERS, SUBS) as x:
        said = publish(x, files)
        codes = collections.Counter(line.get("code", line["result"]) for line in said.values())
        print("%d files: %s" % (len(files), dict(codes)))
        got = subscribe(x)
        lost = [f for f in files if said[f]["result"] == "stored" and digest(read(f)) not in got
                and not newer(f, files, said)]
        check(lost, [], "did not arrive")


def newer(path, files, said):
    """another file with the same uri was stored: versions of one story"""
    uri = said[path].get("uri")
    return any(f != path and said[f].get("uri") == uri and said[f]["result"] != "refused" for f in files)
