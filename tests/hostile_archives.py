"""Malicious and misleading archives, with a part of the message with which they are rejected.

And archives that look strange and are right: they have to pass.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from typing import TYPE_CHECKING

from packed import INFO, METADATA, MODULES, NAME, TOP, digest, sdist, wheel, with_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Make = Callable[[Path], Path]

LIMITS = {"MAX_ENTRIES": 300, "MAX_UNPACKED_SIZE": 16 << 20}
"""Constants of `relnox.building.archives` with which small archives are too large."""

SDIST = f"{TOP}.tar.gz"
_BOMB = bytes(1 << 20)


def with_file(name: str, content: str | bytes = "") -> Make:
    """A wheel with one more file, which its RECORD has."""
    return lambda directory: wheel(directory, {**MODULES, name: content})


def patched(make: Make, *changes: tuple[bytes, bytes]) -> Make:
    """An archive in which bytes are replaced by others, wherever they are."""

    def build(directory: Path) -> Path:
        path = make(directory)
        data = path.read_bytes()
        for old, new in changes:
            assert old in data
            data = data.replace(old, new)
        path.write_bytes(data)
        return path

    return build


def header(name: str, *, central: Mapping[int, bytes], local: Mapping[int, bytes], make: Make = wheel) -> Make:
    """A wheel with other bytes in a file's two headers, by their places there."""

    def build(directory: Path) -> Path:
        path = make(directory)
        data = bytearray(path.read_bytes())
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            at = opened.start_dir
            for entry in opened.filelist:
                if entry.filename == name:
                    break
                at += 46 + len(entry.orig_filename.encode()) + len(entry.extra) + len(entry.comment)
            start = entry.header_offset
        for base, changes in ((at, central), (start, local)):
            for place, new in changes.items():
                data[base + place : base + place + len(new)] = new
        path.write_bytes(data)
        return path

    return build


def entry_with(mode: int = 0, extra: bytes = b"", name: str = "demo_app/py.typed") -> Make:
    """A wheel of which a file is written with such attributes."""

    def build(directory: Path) -> Path:
        path = wheel(directory)
        with zipfile.ZipFile(path) as old:
            content = {each: old.read(each) for each in old.namelist()}
        with zipfile.ZipFile(path, "w") as new:
            for each, data in content.items():
                info = zipfile.ZipInfo(each)
                if each == name:
                    info.external_attr, info.extra = mode << 16, extra
                new.writestr(info, data)
        return path

    return build


def lying_bomb(directory: Path) -> Path:
    """A file that unpacks to a MiB, and states 10 bytes."""
    ten = struct.pack("<L", 10)
    make = header(
        "demo_app/zeros",
        central={24: ten},
        local={22: ten},
        make=lambda to: wheel(to, {**MODULES, "demo_app/zeros": _BOMB}, compression=zipfile.ZIP_DEFLATED),
    )
    return make(directory)


def zip_bomb(directory: Path) -> Path:
    """20 MiB in 20 KiB."""
    path = wheel(directory)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as opened, opened.open("zeros", "w") as zeros:
        for _ in range(20):
            zeros.write(_BOMB)
    return path


def many(directory: Path) -> Path:
    return wheel(directory, {f"demo_app/{number}.py": "" for number in range(301)})


def record(*lines: str, keep: bool = True) -> Make:
    """A wheel with these lines in its RECORD, in the place of those of the same files."""

    def build(directory: Path) -> Path:
        good = zipfile.ZipFile(wheel(directory)).read(f"{INFO}/RECORD").decode().splitlines()
        names = {line.split(",")[0] for line in lines}
        kept = [line for line in good if line.split(",")[0].strip('"') not in names] if keep else good
        return wheel(directory, record="\n".join([*lines, *kept]) + "\n")

    return build


def written(name: str, content: bytes) -> Make:
    return lambda directory: _write(directory / name, content)


def cut(make: Make, *, keep: float) -> Make:
    def build(directory: Path) -> Path:
        path = make(directory)
        data = path.read_bytes()
        return _write(path, data[: int(len(data) * keep)])

    return build


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- sdists


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name if name.startswith(("/", "..", "C:")) else f"{TOP}/{name}")
    entry.type, entry.linkname, entry.mode = kind, target, mode
    return entry


def with_members(*members: tarfile.TarInfo) -> Make:
    return lambda directory: sdist(directory, None, *members)


def tarball(change: Callable[[bytes], bytes]) -> Make:
    """An sdist with other bytes in its tar archive."""

    def build(directory: Path) -> Path:
        path = sdist(directory)
        return _write(path, gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return build


def raw_entry(
    name: bytes, kind: bytes, content: bytes = b"", *, size: int | None = None, **fields: bytes
) -> bytes:
    """A tar header with its content, the checksum right."""
    block = bytearray(512)
    block[:100] = name[:100].ljust(100, b"\0")
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = fields.get("octal", f"{len(content) if size is None else size:011o}\0".encode())
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157:257] = fields.get("target", b"").ljust(100, b"\0")
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + content + bytes(-len(content) % 512)


def whole_blocks(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(**records: str | bytes) -> bytes:
    """A pax header."""
    content = b""
    for spelled, value in records.items():
        key = spelled.replace("__", ".")
        data = value if isinstance(value, bytes) else value.encode()
        length = len(key) + len(data) + 3
        length += len(str(length + len(str(length))))
        content += f"{length} {key}=".encode() + data + b"\n"
    return raw_entry(b"pax", b"x", content)


def added(*blocks: bytes) -> Make:
    """An sdist that starts with these headers."""
    return tarball(lambda old: b"".join(blocks) + old)


def tar_bomb(directory: Path) -> Path:
    zeros = raw_entry(f"{TOP}/zeros".encode(), b"0", size=20 << 20)
    with gzip.open(directory / SDIST, "wb") as out:
        out.write(zeros)
        for _ in range(20):
            out.write(_BOMB)
    return directory / SDIST


def second_stream(directory: Path) -> Path:
    path = sdist(directory)
    return _write(path, path.read_bytes() + gzip.compress(b"more"))


def damaged_in_the_middle(directory: Path) -> Path:
    """Damage a header in the middle, which tarfile silently treats as the end."""

    def damage(old: bytes) -> bytes:
        at = old.index(f"{TOP}/LICENSE".encode())
        return old[:at] + b"X" + old[at + 1 :]

    return tarball(damage)(directory)


NAME_ = f"{TOP}/x".encode()
HOSTILE: dict[str, tuple[Make, str]] = {
    # names in wheels
    "wheel, parent directory": (with_file("../evil.py"), "points outside the archive"),
    "wheel, parent directory inside": (with_file("demo_app/../../evil.py"), "points outside the archive"),
    "wheel, parent directory in data": (with_file(f"{TOP}.data/data/../../x"), "points outside the archive"),
    "wheel, absolute": (with_file("/etc/evil"), "name is absolute"),
    "wheel, UNC": (with_file("//server/share/evil.py"), "name is absolute"),
    "wheel, backslash": (with_file("demo_app\\..\\evil.py"), "backslash"),
    "wheel, drive": (with_file("C:/evil.py"), "Windows drive"),
    "wheel, drive in data": (with_file(f"{TOP}.data/purelib/C:evil.py"), "Windows drive"),
    "wheel, NUL": (patched(with_file("demo_app/a.py!.txt"), (b"a.py!", b"a.py\0")), "control characters"),
    "wheel, escape": (with_file("demo_app/\x1b[31m.py"), "control characters"),
    "wheel, right to left": (with_file("demo_app/\u202eyp.exe"), "control characters"),
    "wheel, not UTF-8": (patched(with_file("demo_app/caf!.py"), (b"caf!", b"caf\xe9")), "not UTF-8"),
    "wheel, case": (with_file("demo_app/__INIT__.py"), "in case or Unicode form"),
    "wheel, Unicode form": (
        lambda directory: wheel(
            directory, {**MODULES, "demo_app/é.py": "", unicodedata.normalize("NFD", "demo_app/é.py"): ""}
        ),
        "in case or Unicode form",
    ),
    "wheel, file and directory": (with_file("demo_app/__init__.py/x.py"), "as a file and as a directory"),
    "wheel, twice": (lambda directory: wheel(directory, twice=["demo_app/py.typed"]), "2 times"),
    "wheel, script outside": (
        with_file(f"{INFO}/entry_points.txt", "[console_scripts]\n../run = demo_app:main\n"),
        "outside the scripts directory",
    ),
    # contents of wheels
    "wheel, symlink": (entry_with(stat.S_IFLNK | 0o777), "symbolic link"),
    "wheel, device": (entry_with(stat.S_IFCHR | 0o644), "a device, a pipe"),
    "wheel, FIFO": (entry_with(stat.S_IFIFO | 0o644), "a device, a pipe"),
    "wheel, no RECORD": (
        lambda directory: wheel(directory, drop=[f"{INFO}/RECORD"]),
        "Unable to retrieve `RECORD`",
    ),
    "wheel, RECORD with more": (record(f"demo_app/gone.py,{digest(b'')},0"), "lists files that are missing"),
    "wheel, not in RECORD": (
        lambda directory: wheel(directory, record=f"{INFO}/RECORD,,\n"),
        "is not mentioned in RECORD",
    ),
    "wheel, other hash": (
        record(f"demo_app/py.typed,{digest(b'other')},0"),
        "didn't match RECORD",
    ),
    "wheel, other size": (
        record(f"demo_app/py.typed,{digest(b'')},7"),
        "didn't match RECORD",
    ),
    "wheel, no hash": (record("demo_app/py.typed,,"), "is not included in RECORD"),
    "wheel, other name": (
        lambda directory: wheel(directory, metadata=with_fields("Name: evil")),
        "Name is 'evil' in the metadata",
    ),
    "wheel, other version": (
        lambda to: wheel(to, metadata=with_fields("Version: 9")),
        "Version is '9' in the metadata",
    ),
    "wheel, no METADATA": (lambda directory: wheel(directory, drop=[f"{INFO}/METADATA"]), "0 metadata files"),
    "wheel, two of metadata": (with_file("other-1.0.dist-info/METADATA", METADATA), "2 metadata files"),
    "wheel, two directories": (with_file("other-1.0.dist-info/x"), "exactly one .dist-info directory"),
    # zip format
    "zip, other local name": (
        patched(wheel, (b"demo_app/__init__.pydef", b"demo_app/__INIT__.pydef")),
        "File name in directory",
    ),
    "zip, prepended": (
        lambda directory: _write(directory / NAME, b"#!/bin/sh\n" + wheel(directory).read_bytes()),
        "bytes before",
    ),
    "zip, trailing": (
        lambda directory: _write(directory / NAME, wheel(directory).read_bytes() + b"x"),
        "bytes after the end of the zip archive",
    ),
    "zip, encrypted": (header("demo_app/__init__.py", central={8: b"\1\0"}, local={6: b"\1\0"}), "encrypted"),
    "zip, compression": (
        header("demo_app/__init__.py", central={10: b"c\0"}, local={8: b"c\0"}),
        "compression method is not supported",
    ),
    "zip, CRC": (patched(wheel, (b"def main(): ...", b"def main(): 666")), "Bad CRC-32"),
    "zip, lying bomb": (lying_bomb, "Bad CRC-32"),
    "zip, bomb": (zip_bomb, "unpacks to more than 16 MiB"),
    "zip, many entries": (many, "more than 300 entries"),
    "zip, cut": (cut(wheel, keep=0.6), "not a zip file"),
    "zip, a tar file": (lambda directory: sdist(directory).rename(directory / NAME), "not a zip file"),
    # names in sdists
    "sdist, parent directory": (with_members(member("../../evil.py")), "points outside the archive"),
    "sdist, absolute": (with_members(member("/etc/evil")), "name is absolute"),
    "sdist, backslash": (with_members(member("a\\..\\evil.py")), "backslash"),
    "sdist, drive": (with_members(member("C:/evil.py")), "Windows drive"),
    "sdist, escape": (with_members(member("\x1b]0;x\x07.py")), "control characters"),
    "sdist, not UTF-8": (added(raw_entry(f"{TOP}/caf".encode() + b"\xe9", b"0")), "control characters"),
    "sdist, twice": (with_members(member("LICENSE")), "2 times"),
    "sdist, case": (with_members(member("license")), "in case or Unicode form"),
    "sdist, Unicode form": (with_members(member("é"), member(unicodedata.normalize("NFD", "é"))), "Unicode form"),
    "sdist, file and directory": (with_members(member("LICENSE/x")), "as a file and as a directory"),
    # contents of sdists
    "sdist, absolute link": (
        with_members(member("l", tarfile.SYMTYPE, "/etc/passwd")),
        "link to a target outside the sdist",
    ),
    "sdist, link out": (
        with_members(member("l", tarfile.SYMTYPE, "../../x")),
        "link to a target outside the sdist",
    ),
    "sdist, link to its parent": (
        with_members(member("l", tarfile.SYMTYPE, "..")),
        "link to a target outside the sdist",
    ),
    "sdist, hard link out": (
        with_members(member("h", tarfile.LNKTYPE, "../../etc/passwd")),
        "link to a target outside",
    ),
    "sdist, character device": (with_members(member("d", tarfile.CHRTYPE)), "a device, a pipe"),
    "sdist, block device": (with_members(member("d", tarfile.BLKTYPE)), "a device, a pipe"),
    "sdist, FIFO": (with_members(member("d", tarfile.FIFOTYPE)), "a device, a pipe"),
    "sdist, other name": (
        lambda directory: sdist(directory, metadata=with_fields("Name: evil")),
        "Name is 'evil' in the metadata",
    ),
    "sdist, other version": (
        lambda directory: sdist(directory, metadata=with_fields("Version: 9")),
        "Version is '9' in the metadata",
    ),
    "sdist, no PKG-INFO": (lambda directory: sdist(directory, drop=["PKG-INFO"]), "0 metadata files"),
    # tar format
    "tar, sparse": (added(raw_entry(NAME_, b"S")), "a sparse file"),
    "tar, pax path": (added(pax(path="../../evil.py"), raw_entry(NAME_, b"0")), "points outside the archive"),
    "tar, pax of all": (added(raw_entry(b"g", b"g", b"13 path=../x\n")), "0 metadata files"),
    "tar, GNU name": (
        added(raw_entry(b"././@LongLink", b"L", b"../../evil.py\0"), raw_entry(NAME_, b"0")),
        "points outside the archive",
    ),
    "tar, negative size": (
        added(raw_entry(NAME_, b"0", octal=b"\xff" * 12)),
        "unpacks to more than 16 MiB",
    ),
    "tar, size of letters": (added(raw_entry(NAME_, b"0", octal=b"0x1000000000")), "invalid header"),
    "tar, damaged in the middle": (damaged_in_the_middle, "has a damaged header"),
    "tar, behind its end": (tarball(lambda old: old + b"hidden"), "data after the end"),
    "tar, bomb": (tar_bomb, "unpacks to more than 16 MiB"),
    "tar, many entries": (with_members(*(member(str(number)) for number in range(301))), "more than 300 entries"),
    "tar, cut": (cut(tarball(lambda old: old), keep=0.6), "ended before the end-of-stream marker"),
    "tar, no archive inside": (written(SDIST, gzip.compress(b"not tar" * 100)), "invalid header"),
    "gzip, second stream": (second_stream, "data after the end"),
    "gzip, trailing": (
        lambda directory: _write(directory / SDIST, sdist(directory).read_bytes() + b"x"),
        "Not a gzipped file",
    ),
    "gzip, damaged": (
        lambda directory: _write(
            directory / SDIST, (old := sdist(directory).read_bytes())[:-6] + b"xx" + old[-4:]
        ),
        "CRC check failed",
    ),
    "gzip, text": (written(SDIST, b"this is no archive\n"), "Not a gzipped file"),
}
"""Archives, and a part of the message with which they are rejected."""


def with_directories(directory: Path) -> Path:
    """A wheel with entries for its directories, as `wheel pack` and zip tools write them."""
    path = wheel(directory)
    with zipfile.ZipFile(path, "a") as opened:
        for name in ("demo_app/", f"{INFO}/"):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFDIR | 0o2755) << 16 | 0x10
            opened.writestr(info, b"")
    return path


def streamed(directory: Path) -> Path:
    """A wheel with sizes behind the contents: the public index refuses it, others take it."""
    path = wheel(directory)
    out = io.BytesIO()

    class Unseekable(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return out.write(data)  # type: ignore[arg-type]

    with zipfile.ZipFile(path) as old, zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return _write(path, out.getvalue())


def signed(directory: Path) -> Path:
    path = wheel(directory)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(f"{INFO}/RECORD.jws", "{}")
    return path


def zip64(directory: Path) -> Path:
    """A wheel with unneeded ZIP64 fields."""
    path = wheel(directory)
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            with new.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
                out.write(data)
    return path


def tar_of(form: int, *names: str) -> Make:
    """An sdist in one of the formats, with entries for directories where names end in a slash."""

    def build(directory: Path) -> Path:
        path = sdist(directory)
        with tarfile.open(path) as old:
            content = {each.name: old.extractfile(each).read() for each in old}  # type: ignore[union-attr]
        with tarfile.open(path, "w:gz", format=form) as new:
            for name, data in {**content, **{f"{TOP}/{name}": b"x" for name in names}}.items():
                entry = tarfile.TarInfo(name.rstrip("/"))
                if name.endswith("/"):
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o2755
                else:
                    entry.size = len(data)
                new.addfile(entry, None if name.endswith("/") else io.BytesIO(data))
        return path

    return build


LONG = "/".join(["a_long_name_of_a_directory"] * 8) + "/file.py"
GIT = raw_entry(b"pax_global_header", b"g", b"52 comment=0123456789012345678901234567890123456789\n")

HONEST: dict[str, Make] = {
    "wheel": wheel,
    "wheel, deflated": lambda directory: wheel(directory, compression=zipfile.ZIP_DEFLATED),
    "wheel, data and scripts": lambda directory: wheel(
        directory,
        {
            **MODULES,
            f"{TOP}.data/data/share/demo/x.txt": "x",
            f"{TOP}.data/scripts/demo": "#!python\n",
            f"{TOP}.data/headers/demo.h": "",
            f"{TOP}.data/purelib/other.py": "",
        },
    ),
    "wheel, namespace": lambda directory: wheel(directory, {"google/cloud/demo/__init__.py": "x = 1\n"}),
    "wheel, directories": with_directories,
    "wheel, streamed": streamed,
    "wheel, signed": signed,
    "wheel, ZIP64": zip64,
    "wheel, umlauts": with_file("demo_app/Grüße 日本語.txt", "x"),
    "wheel, emoji": with_file("demo_app/👩\u200d💻.txt", "x"),
    "wheel, dots and blanks": with_file("demo_app/.hidden/a b (1)..txt", "x"),
    "wheel, a zip bomb as data": lambda directory: wheel(
        directory, {**MODULES, "demo_app/tests/bomb.zip": zlib.compress(_BOMB) * 9}
    ),
    "wheel, one case for Linux": lambda directory: wheel(
        directory,
        {**MODULES, "demo_app/a.h": "", "demo_app/A.h": "", "demo_app/_native.so": b"\x7fELF"},
        name=f"{TOP}-py3-none-manylinux_2_28_x86_64.whl",
    ),
    "wheel, private by URL": lambda directory: wheel(
        directory, metadata=with_fields("Requires-Dist: six @ https://example.invalid/six.whl")
    ),
    "wheel, local version": lambda directory: wheel(
        directory, name="demo_app-1.0+cu12-py3-none-any.whl", metadata=with_fields("Version: 1.0+cu12")
    ),
    "sdist": sdist,
    "sdist, links inside": with_members(
        member("COPYING", tarfile.SYMTYPE, "LICENSE"),
        member("docs", tarfile.SYMTYPE, "src/../src"),
        member("src/demo_app/LICENSE", tarfile.SYMTYPE, "../../COPYING"),
        member("hard", tarfile.LNKTYPE, f"{TOP}/LICENSE"),
    ),
    "sdist, pax": tar_of(tarfile.PAX_FORMAT, "Grüße.txt", LONG, "docs/"),
    "sdist, GNU": tar_of(tarfile.GNU_FORMAT, "Grüße.txt", LONG, "docs/"),
    "sdist, ustar": tar_of(tarfile.USTAR_FORMAT, LONG, "docs/"),
    "sdist, git archive": added(GIT),
    "sdist, attributes of macOS": added(
        pax(LIBARCHIVE__xattr__com__apple__quarantine=b"\xff\xfe\0"), raw_entry(NAME_, b"0")
    ),
    "sdist, dot": tarball(lambda old: raw_entry(b"./", b"5") + old),
    "sdist, no directories": tarball(lambda old: old),
    "sdist, padded": lambda directory: _write(directory / SDIST, sdist(directory).read_bytes() + bytes(512)),
    "sdist, one block at its end": tarball(lambda old: whole_blocks(old.rstrip(b"\0")) + bytes(512)),
    "sdist, a large one": lambda directory: sdist(directory, {"data.bin": bytes(range(256)) * 40_000}),
}
"""Archives that are unusual and right."""
