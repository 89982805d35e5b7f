#!/usr/bin/env python3
"""Verifies a receipt of hsmgate's audit log, from docs/transparency.md and docs/proof.md alone: Python's library, and openssl for signatures.

usage: verify_receipt.py FILE SIGNATURE RECEIPT LOGKEY

Says who signed FILE with which key and when, and exits with 0, if
  - the record in RECEIPT is of this very FILE and SIGNATURE,
  - the record is in the tree that the checkpoint in RECEIPT names, and
  - the checkpoint is signed by the log whose verifier key is in LOGKEY.
Exits with 1, and says why, if not.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

# The DER that comes before a 32-byte Ed25519 public key (RFC 8410).
ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def unbase64(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("%.40r is not base64" % text)


def number(text):
    need(text.isascii() and text.isdigit() and str(int(text)) == text, "%.40r is not a number" % text)
    return int(text)


def sha256(data):
    return hashlib.sha256(data).digest()


def parse_key(vkey):
    """NAME+ID+BASE64 -> name, key ID, type, public key as DER."""
    name, _, rest = vkey.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = unbase64(encoded)
    need(name and len(key_id) == 8 and len(raw) > 1, "the log's key is not a verifier key")
    if raw[0] == 0x01:
        need(len(raw) == 33, "the log's Ed25519 key has not 32 bytes")
        want, der = sha256(name.encode() + b"\n" + raw)[:4], ED25519_PREFIX + raw[1:]
    elif raw[0] == 0x02:
        want, der = sha256(raw[1:])[:4], raw[1:]
    else:
        raise Refused("the log's key is of the unknown type %d" % raw[0])
    need(want.hex() == key_id.lower(), "the ID in the log's key is not that of the name and key")
    return name, want, raw[0], der


def openssl_verifies(kind, der, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        path = {}
        pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"
        for name, data in ("key", pem), ("message", message), ("signature", signature):
            path[name] = os.path.join(folder, name)
            with open(path[name], "wb") as f:
                f.write(data)
        if kind == 0x01:
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", path["key"], "-rawin",
                       "-in", path["message"], "-sigfile", path["signature"]]
        else:
            command = ["openssl", "dgst", "-sha256", "-verify", path["key"], "-signature", path["signature"], path["message"]]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def open_checkpoint(note, vkey):
    """A signed note -> origin, size, root hash; refused unless the log has signed it."""
    name, key_id, kind, der = parse_key(vkey)
    text, blank, signatures = note.rpartition("\n\n")
    need(blank, "the checkpoint has no signatures")
    text += "\n"
    good = False
    need(signatures.endswith("\n"), "the checkpoint's last line has no end")
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        need(dash == "\u2014" and signer, "%.40r is not a signature line" % line)
        raw = unbase64(encoded)
        need(len(raw) > 4, "a signature line holds no signature")
        if signer == name and raw[:4] == key_id:
            need(openssl_verifies(kind, der, text.encode(), raw[4:]), "the log's signature of the checkpoint is not good")
            good = True
    need(good, "the checkpoint is not signed by %s" % name)
    lines = text.split("\n")
    need(len(lines) >= 4, "the checkpoint is too short")
    need(lines[0] == name, "the checkpoint is of the log %r, and the key of %r" % (lines[0], name))
    root = unbase64(lines[2])
    need(len(root) == 32, "the checkpoint's root hash has not 32 bytes")
    return lines[0], number(lines[1]), root


def root_of(leaf, index, size, proof):
    """The root hash by an inclusion proof (RFC 9162, section 2.1.3.2)."""
    need(0 <= index < size, "record %d is not in a tree of %d" % (index, size))
    place, last, value = index, size - 1, leaf
    for sibling in proof:
        need(last > 0, "the proof is too long")
        if place & 1 or place == last:
            value = sha256(b"\x01" + sibling + value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = sha256(b"\x01" + value + sibling)
        place, last = place >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return value


def parse_proof(text):
    """A tlog-proof -> index, hashes, checkpoint."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    need(blank and lines.pop(0) == "c2sp.org/tlog-proof@v1", "the proof is not of the form c2sp.org/tlog-proof@v1")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    need(lines and lines[0].startswith("index "), "the proof has no index")
    index = number(lines.pop(0)[len("index "):])
    hashes = [unbase64(line) for line in lines]
    need(all(len(h) == 32 for h in hashes), "a hash of the proof has not 32 bytes")
    return index, hashes, checkpoint


def digest_of(path, record):
    """What the record's digest has to be if it is of this file."""
    with open(path, "rb") as f:
        data = f.read()
    algorithm, kind = record.get("algorithm", ""), record.get("digest", "").partition(":")[0]
    need(record.get("messageType") != "EXTERNAL_MU", "the record is of an external mu, which does not show the file")
    need(kind in ("sha256", "sha384", "sha512"), "the record's digest is of the unknown kind %.20r" % kind)
    if algorithm == "ED25519_PH_SHA_512":  # signs the SHA-512 of the file as its message, which it hashes once more
        data = hashlib.sha512(data).digest()
    return "%s:%s" % (kind, hashlib.new(kind, data).hexdigest())


def verify(file, signature, receipt, vkey):
    need(isinstance(receipt, dict) and isinstance(receipt.get("Record"), str) and isinstance(receipt.get("Proof"), str),
         "the receipt is not a JSON object with the texts Record and Proof")
    line = receipt["Record"]
    record = json.loads(line)
    need(isinstance(record, dict), "the record is not a JSON object")
    need(record.get("operation") == "Sign" and record.get("outcome") == "allowed" and "phase" not in record,
         "the record is not of a signature that was made")
    need(record.get("signatureHash") == "sha256:" + hashlib.sha256(signature).hexdigest(), "the record is of another signature")
    need(record.get("digest") == digest_of(file, record), "the record is of another file")
    index, hashes, checkpoint = parse_proof(receipt["Proof"])
    need(record.get("seq") == index + 1, "the record is number %s, and the proof is of number %d" % (record.get("seq"), index + 1))
    origin, size, root = open_checkpoint(checkpoint, vkey)
    need(root_of(sha256(b"\x00" + line.encode()), index, size, hashes) == root, "the record is not in the tree of the checkpoint")
    return "record %d of %s: %s signed with %s, version %s, at %s (%s); checkpoint of %d records" % (
        record["seq"], origin, record.get("principal"), record.get("keyArn"), record.get("keyVersion"), record.get("time"),
        record.get("algorithm"), size)


def main(arguments):
    if len(arguments) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    file, signature, receipt, vkey = arguments
    try:
        with open(signature, "rb") as f:
            made = f.read()
        with open(receipt, encoding="utf-8") as f:
            given = json.load(f)
        with open(vkey, encoding="utf-8") as f:
            key = f.read()
        print(verify(file, made, given, key))
        return 0
    except Refused as why:
        print("refused: %s" % why, file=sys.stderr)
    except (ValueError, KeyError) as why:  # JSON or text that cannot be read
        print("refused: the receipt cannot be read: %s" % why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
