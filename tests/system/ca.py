"""ca.py - certificate authorities made with the openssl command: good ones, and every kind of bad certificate."""
import datetime
import os
import shutil
import subprocess

from kit import WAIT_S, Failed

CONFIG = """[ca]
default_ca = it
[it]
database = %(dir)s/index
new_certs_dir = %(dir)s
rand_serial = yes
crlnumber = %(dir)s/crlnumber
default_md = sha256
default_days = 30
policy = any
unique_subject = no
[any]
commonName = optional
[crl]
authorityKeyIdentifier = keyid
"""
CA_EXT = "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash"
LEAF_EXT = "basicConstraints = CA:FALSE\nkeyUsage = critical,digitalSignature\nextendedKeyUsage = clientAuth"


def there():
    return shutil.which("openssl") is not None


def openssl(*args):
    done = subprocess.run(["openssl", *args], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=WAIT_S,
                          check=False)
    if done.returncode != 0:
        raise Failed("openssl %s: %s" % (" ".join(args), done.stderr))


def when(seconds):
    """so many seconds from now, as openssl wants it"""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y%m%d%H%M%SZ")


def new_key(path, kind="ec"):
    how = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
           "weak": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]}[kind]
    openssl("genpkey", *how, "-out", path)
    os.chmod(path, 0o600)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Ca:
    """one CA in a folder of its own; by: who signed it (None: itself)"""

    def __init__(self, folder, name, by=None, key_of=None, ext=CA_EXT, **more):
        self.name, self.dir = name, os.path.join(folder, "ca-" + name)
        os.makedirs(self.dir)
        self.crt, self.key = self.dir + "/ca.crt", self.dir + "/ca.key"
        self.config, self.n, self.up = self.dir + "/conf", 0, by
        write(self.config, CONFIG % {"dir": self.dir})
        write(self.dir + "/index", "")
        write(self.dir + "/crlnumber", "01\n")
        if key_of:
            shutil.copy(key_of.key, self.key)
        else:
            new_key(self.key, more.pop("kind", "ec"))
        if by:
            by.sign(self.key, self.crt, more.pop("subject", "/CN=CA " + name), ext, **more)
        else:
            self.sign(self.key, self.crt, "/CN=CA " + name, ext, selfsign=True, **more)

    def sign(self, key, crt, subject, ext, start=-86400, end=30 * 86400, md="sha256", selfsign=False):
        request, extensions = self.dir + "/request", self.dir + "/ext"
        openssl("req", "-new", "-key", key, "-subj", subject, "-utf8", "-out", request)
        write(extensions, ext + "\n")
        openssl("ca", "-batch", "-config", self.config, "-notext", "-keyfile", self.key, "-in", request, "-out", crt,
                "-extfile", extensions, "-startdate", when(start), "-enddate", when(end), "-md", md,
                *(["-selfsign"] if selfsign else ["-cert", self.crt]))

    def leaf(self, san="DNS:desk.agency.example", ext=LEAF_EXT, kind="ec", chain=(), subject="/CN=desk", **more):
        """a new identity: path without .crt and .key; chain: CAs whose certificates it shows too"""
        self.n += 1
        identity = "%s/leaf-%d" % (self.dir, self.n)
        new_key(identity + ".key", kind)
        self.sign(identity + ".key", identity + ".own", subject,
                  ext + ("\nsubjectAltName = " + san if san else ""), **more)
        together(identity + ".crt", identity + ".own", *[ca.crt for ca in chain])
        return identity

    def revoke(self, identity):
        openssl("ca", "-config", self.config, "-keyfile", self.key, "-cert", self.crt, "-revoke",
                identity + ".own" if os.path.exists(identity + ".own") else identity)

    def crl(self, path=None, since=-3600, until=86400 * 7):
        path = path or self.dir + "/crl"
        openssl("ca", "-config", self.config, "-keyfile", self.key, "-cert", self.crt, "-gencrl", "-out", path, "-crlexts",
                "crl", "-crl_lastupdate", when(since), "-crl_nextupdate", when(until))
        return path


def together(path, *files):
    """these files in one, put there whole"""
    with open(path + ".new", "wb") as to:
        for name in files:
            with open(name, "rb") as file:
                to.write(file.read())
    os.rename(path + ".new", path)
    return path
