"""Xet storage in a folder: hf_xet's own, which the client reaches by way of ``local://``.

What the real service adds is a network; chunks, hashes and files are made and read by the same
compiled code.
"""

import hashlib
import struct
import time
from pathlib import Path

_VERIFIED, _HAS_SHA256 = 1 << 31, 1 << 30  # flags of a file in a shard


class XetStore:
    """Files by the hash that Xet gives them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.url = f"local://{folder}"
        self._shards = folder / "xet" / "xorbs" / "shards"
        self._names: dict[str, str] = {}

    def grant(self) -> dict[str, object]:
        """What the hub answers to who may read or write."""
        return {"accessToken": "xet", "exp": int(time.time()) + 9999, "casUrl": self.url}

    def put(self, data: bytes) -> str:
        """Store a file; its Xet hash."""
        from huggingface_hub.utils._xet import get_xet_session

        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self._names:
            grant = {"token": "xet", "token_expiry_unix_secs": int(time.time()) + 9999}
            with get_xet_session().new_upload_commit(endpoint=self.url, **grant) as commit:
                upload = commit.start_upload_bytes(data, sha256=sha256)
            self._names[sha256] = upload.result().xet_info.hash
        return self._names[sha256]

    def take(self, sha256: str) -> bytes | None:
        """What a client uploaded with this sha256; its bytes, if they have it."""
        import hf_xet
        from huggingface_hub.utils._xet import get_xet_session

        name, size = self._uploaded().get(sha256, ("", 0))
        if not name:
            return None
        out = self._shards.parent / f"taken-{sha256}"
        grant = {"token": "xet", "token_expiry_unix_secs": int(time.time()) + 9999}
        with get_xet_session().new_file_download_group(endpoint=self.url, **grant) as group:
            group.start_download_file(hf_xet.XetFileInfo(name, size), str(out))
        data = out.read_bytes()
        out.unlink()
        if hashlib.sha256(data).hexdigest() != sha256:
            return None
        self._names[sha256] = name
        return data

    def _uploaded(self) -> dict[str, tuple[str, int]]:
        """Xet hash and size by sha256, as the shards that clients sent have them."""
        found = {}
        for shard in self._shards.glob("*.mdb"):
            data, at = shard.read_bytes(), 48
            while data[at : at + 32] != b"\xff" * 32:
                name = data[at : at + 32]
                flags, count = struct.unpack_from("<II", data, at + 32)
                spans = [struct.unpack_from("<I", data, at + 84 + 48 * i) for i in range(count)]
                at += 48 * (1 + count * (2 if flags & _VERIFIED else 1))
                if flags & _HAS_SHA256:
                    size = sum(length for (length,) in spans)
                    found[_hex(data[at : at + 32])] = (_hex(name), size)
                    at += 48
        return found


def _hex(words: bytes) -> str:
    """A hash as Xet writes it: four little-endian words."""
    return "".join(words[i : i + 8][::-1].hex() for i in range(0, 32, 8))
