"""Two hashes, one rule each.

xxh3_128 answers "did it change?" (files, months, specs); SHA-256 answers "was it tampered with?"
(published model artifacts).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

_BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """Return the xxh3_128 of a file's bytes as 32 hex digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON that is the same text for the same value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def value_digest(value: Any) -> str:
    """Return the xxh3_128 of a value's canonical JSON as 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())


def combined_digest(digests: Iterable[str]) -> str:
    """Return one digest for an ordered sequence of digests."""
    return xxhash.xxh3_128_hexdigest("\n".join(digests).encode())
