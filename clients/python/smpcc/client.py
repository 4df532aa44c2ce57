"""The guest's side: encode, share, send, put together."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import Any, Mapping, Sequence

import numpy as np

Array = np.ndarray


class Refused(Exception):
    """A party has refused the request. `party` says which one, `hint` what to do."""

    def __init__(self, message: str, hint: str = "", party: str = "") -> None:
        super().__init__(f"{party}: {message}" if party else message)
        self.party, self.hint = party, hint


def _size(port: Mapping[str, Any]) -> int:
    return int(np.prod(port["shape"], dtype=np.int64)) if port["shape"] else 1


def _mask(bits: int) -> np.uint64:
    return np.uint64(2**bits - 1)


def _columns(port: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """Ranges and fraction bits of all elements, shape [size]."""
    n, columns = _size(port), port.get("columns") or [{"lo": port["lo"], "hi": port["hi"], "shift": 0}]
    pick = [[c["lo"], c["hi"], port["scale"] - c["shift"]] for c in columns]
    all_ = np.array(pick, dtype=np.float64)[np.arange(n) % len(pick)]
    return all_[:, 0], all_[:, 1], all_[:, 2].astype(np.int64)


def _round(y: Array) -> Array:
    """Halves away from zero, as the plan rounds."""
    t = np.trunc(y)
    return np.where(np.abs(y - t) >= 0.5, t + np.sign(y), t)


def encode(port: Mapping[str, Any], data: Any) -> Array:
    """The words of a port, uint64 [size], of data of the port's shape. ValueError if a number is outside the port's range."""
    x = np.asarray(data, dtype=np.float64)
    if x.size != _size(port):
        raise ValueError(f'input "{port["name"]}" has {x.size} elements, want {_size(port)}: give an array of shape {port["shape"]}')
    x = x.reshape(-1)
    if port["elem"] == "bool":
        if not np.isin(x, (0, 1)).all():
            raise ValueError(f'input "{port["name"]}" is not 0 or 1 everywhere')
        return x.astype(np.uint64)
    lo, hi, scale = _columns(port)
    bad = ~((x >= lo) & (x <= hi))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f'input "{port["name"]}": element {i} is outside {lo[i]:g}..{hi[i]:g}')
    if port["elem"] == "int" and (x != np.trunc(x)).any():
        raise ValueError(f'input "{port["name"]}" is not whole everywhere')
    if port["elem"] == "int":
        return (x.astype(np.int64) - _round(lo).astype(np.int64)).astype(np.uint64)
    return (_round(np.ldexp(x, scale)).astype(np.int64) - _round(np.ldexp(lo, scale)).astype(np.int64)).astype(np.uint64)


def pack(words: Array, bits: int) -> bytes:
    """Words behind each other without gaps, the lowest bits first."""
    every = (words[:, None] >> np.arange(bits, dtype=np.uint64)[None, :]) & np.uint64(1)
    return np.packbits(every.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def unpack(data: bytes, n: int, bits: int) -> Array:
    """Undoes pack: uint64 [n]."""
    every = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[: n * bits].reshape(n, bits).astype(np.uint64)
    return np.bitwise_or.reduce(every << np.arange(bits, dtype=np.uint64)[None, :], axis=1) if n else np.zeros(0, np.uint64)


def _keystream(seed: bytes, counter: bytes, n: int) -> bytes:
    """AES-128 in counter mode of n zero bytes."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        return Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor().update(bytes(n))
    except ImportError:  # the key goes to openssl by its arguments: on a machine that others use, install cryptography
        done = subprocess.run(["openssl", "enc", "-aes-128-ctr", "-nosalt", "-K", seed.hex(), "-iv", counter.hex()], input=bytes(n), capture_output=True, check=True)
        return done.stdout


def expand(seed: bytes, index: int, port: Mapping[str, Any]) -> Array:
    """The uniform words that a seed stands for, of input number index: uint64 [size]."""
    bits = port["bits"]
    width = 1 if bits <= 8 else 2 if bits <= 16 else 4 if bits <= 32 else 8
    stream = _keystream(seed, index.to_bytes(8, "big") + bytes(8), width * _size(port))
    return np.frombuffer(stream, dtype=f"<u{width}").astype(np.uint64) & _mask(bits)


def shares(plan: Mapping[str, Any], words: Sequence[Array], seeds: Sequence[bytes] | None = None) -> list[bytes]:
    """What each party is given: a seed for all but the last, and for that what makes up the words."""
    seeds = list(seeds) if seeds is not None else [secrets.token_bytes(16) for _ in plan["parties"][1:]]
    last = b""
    for k, port in enumerate(plan["inputs"]):
        rest = words[k].copy()
        for seed in seeds:
            s = expand(seed, k, port)
            rest = rest ^ s if port["elem"] == "bool" else rest - s
        last += pack(rest & _mask(port["bits"]), port["bits"])
    return [*seeds, last]


def decode(plan: Mapping[str, Any], given: Sequence[bytes]) -> dict[str, Array]:
    """The outputs, float64 for reals and int64 for others, of the parties' shares."""
    out, at = {}, 0
    for port in plan["outputs"]:
        n, bits = _size(port), port["bits"]
        size = (n * bits + 7) // 8
        total = np.zeros(n, np.uint64)
        for g in given:
            part = unpack(g[at : at + size], n, bits)
            total = total ^ part if port["elem"] == "bool" else total + part
        at += size
        up = np.uint64(64 - bits)
        x = total.astype(np.int64) & 1 if port["elem"] == "bool" else (total << up).view(np.int64) >> up.astype(np.int64)
        out[port["name"]] = (np.ldexp(x.astype(np.float64), -port["scale"]) if port["elem"] == "real" else x).reshape(port["shape"])
    return out


class Client:
    """A guest of one plan. Made by connect; may be used by several threads."""

    def __init__(self, servers: Mapping[str, str], plan: Mapping[str, Any], token: str, ca: str | None, timeout: float) -> None:
        missing = [p for p in plan["parties"] if p not in servers]
        if missing:
            raise ValueError(f"there is no address of {', '.join(missing)}")
        if not token:
            raise ValueError("there is no invitation: give the token of the link that you were sent")
        self.plan, self._servers, self._token, self._timeout = plan, servers, token, timeout
        self._tls = ssl.create_default_context(cafile=ca)

    def predict(self, x: Any = None, /, **inputs: Any) -> Any:
        """Run the plan once. One input may be given as it is, several by name; one output is returned as it is, several as a dict.

        Inputs have the shapes of plan["inputs"]. ValueError for what the plan does not take, Refused for what a party refuses.
        """
        names = [p["name"] for p in self.plan["inputs"]]
        if x is not None:
            inputs = {names[0]: x, **inputs}
        if sorted(inputs) != sorted(names):
            raise ValueError(f"the plan takes {', '.join(names)}, given were {', '.join(inputs) or 'none'}")
        parts = shares(self.plan, [encode(p, inputs[p["name"]]) for p in self.plan["inputs"]])
        ticket = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        head = json.dumps({"plan": self.plan["digest"], "token": self._token, "ticket": ticket}).encode() + b"\n"
        parties = self.plan["parties"]
        with concurrent.futures.ThreadPoolExecutor(len(parties)) as pool:
            answers = list(pool.map(lambda k: self._ask(parties[k], head + parts[k]), range(len(parties))))
        if len({a["session"] for a, _ in answers}) != 1:
            raise Refused("the parties answer for different sessions")
        out = decode(self.plan, [data for _, data in answers])
        return out if len(out) > 1 else next(iter(out.values()))

    def predict_many(self, xs: Sequence[Any], width: int = 8) -> list[Any]:
        """predict for each of xs, in order, at most width at once."""
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            return list(pool.map(self.predict, xs))

    def _ask(self, party: str, body: bytes) -> tuple[dict[str, Any], bytes]:
        request = urllib.request.Request(self._servers[party].rstrip("/") + "/v1/run", data=body, headers={"Content-Type": "text/plain"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout, context=self._tls if request.full_url.startswith("https:") else None) as reply:
                line, _, data = reply.read().partition(b"\n")
        except urllib.error.HTTPError as e:
            try:
                said = json.loads(e.read())
            except ValueError:
                said = {}
            raise Refused(said.get("error", f"answered with status {e.code}"), said.get("hint", ""), party) from None
        head = json.loads(line)
        if head["plan"] != self.plan["digest"] or head["party"] != party:
            raise Refused(f"answered as {head['party']}, for plan {head['plan'][:16]}", "the address is another party's, or it runs another plan", party)
        return head, data


def connect(servers: Mapping[str, str], plan: Mapping[str, Any] | str | os.PathLike[str], token: str, ca: str | None = None, timeout: float = 120) -> Client:
    """A guest of a plan at the parties' addresses, by an invitation. Nothing is sent before predict.

    plan is what `smpcc page PLAN --manifest` prints, a dict or a file; ca a file of the authority of the servers' certificates.
    """
    if not isinstance(plan, Mapping):
        with open(plan, encoding="utf-8") as f:
            plan = json.load(f)
    return Client(servers, plan, token, ca, timeout)
