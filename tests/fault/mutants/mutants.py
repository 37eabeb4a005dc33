"""mutants.py - three daemons that break the promise; the tests must say so. Called by `make mutants`.

Each is made in a copy of the tree in a scratch folder. Prints which test caught which; fails if one is caught by none,
if a change no longer finds its place, or if the tests do not pass without any change.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# the transaction of a batch with items is kept open; the answers are minted and posted, then it is committed
LATE = [
    ("daemon/store/items_txn.c", "void items_begin(struct items *items, struct txn *txn)\n{\n",
     "static __thread struct txn late;\nvoid items_late(void);\nvoid items_late(void)\n{\n\tif (late.mdb != NULL)\n"
     "\t\ttxn_end(&late);\n\tlate.mdb = NULL;\n}\n\nvoid items_begin(struct items *items, struct txn *txn)\n{\n"
     "\titems_late();\n"),
    ("daemon/store/items_txn.c", "\tr = txn_end(txn);\n\tif (r == 0 && items->wall_written)",
     "\tif (txn->r == 0 && items->drafts != NULL) {\n\t\tlate = *txn;\n\t\tr = 0;\n\t} else {\n"
     "\t\tr = txn_end(txn);\n\t}\n\tif (r == 0 && items->wall_written)"),
    ("daemon/store/worker.c", "\toutbox_post(worker->conf.outbox, list);\n}",
     "\toutbox_post(worker->conf.outbox, list);\n\textern void items_late(void);\n\titems_late();\n}"),
]
# the same, but the publisher's answer waits for a request that is done after that commit
FORWARD = LATE + [
    ("daemon/core/inbound.c", "\tanswer(in, in->put.receipt);\n\tif (receipt_position(in->put.receipt) != 0 &&",
     "\tstruct waiting *waiting = calloc(1, sizeof(*waiting));\n\twaiting->in = in;\n"
     "\twaiting->receipt = *in->put.receipt;\n"
     "\twaiting->settle.req = (struct store_req){ .kind = REQ_SETTLE, .done = answer_late, .arg = waiting };\n"
     "\tif (receipt_position(in->put.receipt) != 0 &&"),
    ("daemon/core/inbound.c", "\t\tmake_hot(in, in->put.receipt);\n\tinbound_free(&in);\n}",
     "\t\tmake_hot(in, in->put.receipt);\n"
     "\tstore_submit(in->candidate.exchange->store, &waiting->settle.req);\n}"),
    ("daemon/core/inbound.c", "static void stored(struct store_req *req, void *arg)\n{",
     '#include "store/receipt.h"\nstruct waiting {\n\tstruct store_settle settle;\n\tstruct inbound *in;\n'
     "\tstruct receipt receipt;\n};\n\nstatic void answer_late(struct store_req *req, void *arg)\n{\n"
     "\tstruct waiting *waiting = arg;\n\n\t(void)req;\n\tanswer(waiting->in, &waiting->receipt);\n"
     "\tinbound_free(&waiting->in);\n\tfree(waiting);\n}\n\nstatic void stored(struct store_req *req, void *arg)\n{"),
]
NOSYNC = [("daemon/store/db.c", "unsigned flags = MDB_NOTLS;", "unsigned flags = MDB_NOTLS | MDB_NOSYNC;")]
MUTANTS = {"none": [], "acknowledges before the commit": LATE, "forwards before the commit": FORWARD,
           "MDB_NOSYNC": NOSYNC}
TESTS = {
    "power cuts": ["build/tests/fault/test_power"],
    "held disk": [sys.executable, "tests/system/run.py", "test_order"],
    "kill loop": [sys.executable, "tests/system/run.py", "test_kill_loop"],
}
TARGETS = ["all", "shims", "build/tests/fault/test_power"]


def change(tree, changes):
    before = {}
    for path, old, new in changes:
        with open(os.path.join(tree, path), encoding="utf-8") as file:
            text = file.read()
        before.setdefault(path, text)
        if text.count(old) != 1:
            raise SystemExit("%s: the place of a mutant is not there any more: %r" % (path, old))
        with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
    return before


def restore(tree, before):
    for path, text in before.items():
        with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
            file.write(text)


def run(tree, command):
    env = {**os.environ, "B": "build", "KILLS": "6", "STATES": "400", "MAKEFLAGS": ""}
    return subprocess.run(command, cwd=tree, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=900, check=False)


def main():
    tree, bad = tempfile.mkdtemp(prefix="newsxd-mutants."), 0
    try:
        for name in ("Makefile", "proto", "daemon", "client", "tests", "conf"):
            source, to = os.path.join(ROOT, name), os.path.join(tree, name)
            shutil.copytree(source, to) if os.path.isdir(source) else shutil.copy(source, to)
        for name, changes in MUTANTS.items():
            before = change(tree, changes)
            built = run(tree, ["make", "-s", "-j2", *TARGETS])
            if built.returncode != 0:
                raise SystemExit("%s does not build:\n%s" % (name, built.stdout))
            caught = [test for test, command in TESTS.items() if run(tree, command).returncode != 0]
            restore(tree, before)
            wrong = bool(caught) if name == "none" else not caught
            bad += wrong
            print("%s %s: %s" % ("FAIL" if wrong else "ok", name, "caught by " + ", ".join(caught) if caught else
                                 "all tests pass"), flush=True)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return bad != 0


sys.exit(main())
