"""Run a plan of smpcc as its guest: each party is given one share of the data, and nobody the data.

    client = smpcc.connect({"p0": "https://north.example", "p1": "https://south.example"}, plan="digit.json", token="...")
    scores = client.predict(image)          # numpy, of the input's shape

`plan` is what `smpcc page PLAN --manifest` prints, as a file or a dict. Standard library, numpy, and the command `openssl` or the package
`cryptography` for AES.
"""

from .client import Client, Refused, connect

__all__ = ["Client", "Refused", "connect"]
