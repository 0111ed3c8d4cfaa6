"""Other programs read rollups whole: the table in docs/reference/format.md, one row after the other."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from random import Random

import pytest
from tests.support.packing import Log, decode_index, pack
from tests.support.paths import ROOT

from s3_log_roller.log_keys import DayGroup

GROUP = DayGroup("bucket1", "example.com/logs-", date(2022, 7, 1))
MIB = 1 << 20
DAYS = ("one log", "some logs", "large")


def log(number: int, size: int) -> Log:
    """A log of part noise, part text."""
    noise = Random(number).randbytes(min(size, 2000))
    body = (noise + b"79a5 example.com [01/Jul/2022] " * (size // 31 + 1))[:size]
    clock = f"{number // 3600:02}-{number // 60 % 60:02}-{number % 60:02}"
    return Log(f"2022-07-01-{clock}-{number:016X}", body, 1_656_633_601 + number)


@cache
def day(name: str) -> tuple[list[Log], bytes]:
    """The logs of a day, and its rollup."""
    logs = {
        "one log": [log(1, 3700)],
        "some logs": [log(number, number * 97 % 6000) for number in range(60)],
        # Blocks that end with a whole entry, logs that span blocks, and an index of several carriers.
        "large": [log(n, n * 997 % 9000) for n in range(2500)]
        + [log(5000, 3_000_000), log(5001, 0), log(5002, MIB), log(5003, MIB - 512)],
    }[name]
    rollup = pack(GROUP, logs)[1]
    blocks = len(decode_index(rollup)[1].blocks)
    assert blocks > 10 if name == "large" else blocks == 1
    return logs, rollup


@dataclass(frozen=True)
class Tool:
    """A program, and the command that reads a rollup `FILE` with it."""

    program: str
    command: str
    check: Callable[[Tool, Path, list[Log]], None]
    """Raises AssertionError unless the program reads exactly the originals."""


def run(command: str | list[str], path: Path, **options: object) -> bytes:
    """What the command prints; it says nothing on standard error and exits with 0."""
    words = command.split() if isinstance(command, str) else command
    done = subprocess.run([word.replace("FILE", str(path)) for word in words], capture_output=True, **options)  # type: ignore[call-overload]
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return bytes(done.stdout)


def extracts(tool: Tool, path: Path, logs: list[Log]) -> None:
    """The program unpacks exactly the originals, with their times."""
    out = path.parent / "out"
    out.mkdir()
    run(tool.command, path, cwd=out)
    found = {file.name: (file.read_bytes(), int(file.stat().st_mtime)) for file in out.iterdir()}
    assert found == {f"logs-{one.suffix}": (one.body, one.mtime) for one in logs}


def lists(tool: Tool, path: Path, logs: list[Log]) -> None:
    """The program lists exactly the originals in key order."""
    assert run(tool.command, path).decode().splitlines() == [f"logs-{one.suffix}" for one in logs]


def inflates(tool: Tool, path: Path, logs: list[Log]) -> None:
    """The program prints the whole tar."""
    assert run(tool.command, path) == gzip.decompress(path.read_bytes())


def agrees(tool: Tool, path: Path, logs: list[Log]) -> None:
    """The program finds nothing wrong."""
    run(tool.command, path)


def hashes(tool: Tool, path: Path, logs: list[Log]) -> None:
    """The program inflates the whole tar, as the SHA-256 that it prints shows."""
    program = path.parent / SCRIPTS[tool.command][0]
    program.write_text(SCRIPTS[tool.command][1])
    command = [*tool.program.split(), str(program), "FILE"]
    assert run(command, path).decode().split()[0] == hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()


def tarfile_reads(tool: Tool, path: Path, logs: list[Log]) -> None:
    """Python's tarfile yields exactly the originals."""
    with tarfile.open(path, tool.command.split('"')[1], encoding="utf-8") as tar:  # type: ignore[call-overload]
        found = [(member.name, tar.extractfile(member).read(), int(member.mtime)) for member in tar]
    assert found == [(f"logs-{one.suffix}", one.body, one.mtime) for one in logs]


SCRIPTS = {
    "zlib.gunzipSync": (
        "read.js",
        """const tar = require("zlib").gunzipSync(require("fs").readFileSync(process.argv[2]));
        console.log(require("crypto").createHash("sha256").update(tar).digest("hex"));""",
    ),
    "IO::Uncompress::Gunzip": (
        "read.pl",
        """use IO::Uncompress::Gunzip qw(gunzip $GunzipError); use Digest::SHA;
        gunzip $ARGV[0] => \\my $tar or die $GunzipError; print Digest::SHA::sha256_hex($tar), "\\n";""",
    ),
    "Zlib::GzipReader": (
        "read.rb",
        """require "zlib"; require "digest"
        puts Digest::SHA256.hexdigest(Zlib::GzipReader.open(ARGV[0], &:read))""",
    ),
    "java.util.zip.GZIPInputStream": (
        "Read.java",
        """import java.io.*; import java.security.*; import java.util.zip.*;
        class Read { public static void main(String[] a) throws Exception {
          byte[] tar = new GZIPInputStream(new FileInputStream(a[0])).readAllBytes();
          System.out.println(new java.math.BigInteger(1, MessageDigest.getInstance("SHA-256").digest(tar))
            .toString(16).replaceFirst("^", "0".repeat(64)).replaceFirst(".*(.{64})$", "$1")); } }""",
    ),
    "compress/gzip": (
        "read.go",
        """package main
        import ("compress/gzip"; "crypto/sha256"; "fmt"; "io"; "os")
        func main() {
          file, _ := os.Open(os.Args[1]); reader, err := gzip.NewReader(file)
          if err != nil { panic(err) }
          hash := sha256.New()
          if _, err := io.Copy(hash, reader); err != nil { panic(err) }
          fmt.Printf("%x\\n", hash.Sum(nil)) }""",
    ),
}

TOOLS = {
    "GNU tar": [
        Tool("tar", "tar tzf FILE", lists),
        Tool("tar", "tar xzf FILE", extracts),
    ],
    "bsdtar": [
        Tool("bsdtar", "bsdtar tf FILE", lists),
        Tool("bsdtar", "bsdtar xf FILE", extracts),
    ],
    "busybox": [
        Tool("busybox", "busybox tar tzf FILE", lists),
        Tool("busybox", "busybox tar xzf FILE", extracts),
        Tool("busybox", "busybox gunzip -c FILE", inflates),
    ],
    "gzip": [
        Tool("gzip", "gzip -t FILE", agrees),
        Tool("gzip", "gzip -dc FILE", inflates),
    ],
    "pigz": [
        Tool("pigz", "pigz -t FILE", agrees),
        Tool("pigz", "pigz -dc FILE", inflates),
    ],
    "7-Zip": [Tool("7zz", "7zz x -tgzip -so FILE", inflates)],
    "Python": [
        Tool("python3", 'tarfile.open(FILE, "r:gz")', tarfile_reads),
        Tool("python3", 'tarfile.open(FILE, "r|gz")', tarfile_reads),
    ],
    "Node.js": [Tool("node", "zlib.gunzipSync", hashes)],
    "Perl": [Tool("perl", "IO::Uncompress::Gunzip", hashes)],
    "Ruby": [Tool("ruby", "Zlib::GzipReader", hashes)],
    "Java": [Tool("java", "java.util.zip.GZIPInputStream", hashes)],
    "Go": [Tool("go run", "compress/gzip", hashes)],
}
ROWS = [pytest.param(tool, id=f"{name}-{tool.command}") for name, tools in TOOLS.items() for tool in tools]


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("tool", ROWS)
def test_other_tools_read_exactly_the_originals(tool: Tool, name: str, tmp_path: Path) -> None:
    """Without a word on standard error: neither flush points nor the index nor the end of the archive bother them."""
    program = tool.program.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "tar" and b"GNU tar" not in subprocess.run([program, "--version"], capture_output=True).stdout:
        pytest.skip("tar is not GNU tar")
    logs, rollup = day(name)
    path = tmp_path / "rollup.tgz"
    path.write_bytes(rollup)
    tool.check(tool, path, logs)


def test_the_first_gzip_member_is_all_of_the_tar() -> None:
    """So programs that read no further lose nothing."""
    import zlib

    for name in DAYS:
        rollup = day(name)[1]
        stream = zlib.decompressobj(31)
        assert stream.decompress(rollup) == gzip.decompress(rollup)
        assert stream.eof


def test_the_documents_table_is_what_is_tried() -> None:
    """Every program and every command, and no others."""
    text = (ROOT / "docs" / "reference" / "format.md").read_text(encoding="utf-8")
    table = text[text.index("| program | commands |") :].split("\n\n")[0].splitlines()[2:]
    documented = {}
    for row in table:
        _, name, commands, *_ = (cell.strip() for cell in row.replace("\\|", "¦").split("|"))
        documented[name] = [command.replace("¦", "|") for command in commands.strip("`").split("`, `")]
    assert documented == {name: [tool.command for tool in tools] for name, tools in TOOLS.items()}
