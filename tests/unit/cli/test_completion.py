from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from s3_log_roller.cli.commands.completion import SHELLS
from s3_log_roller.cli.main import main
from s3_log_roller.cli.parser import COMMANDS

COMPLETE = """
source "$1"
COMP_WORDS=(s3-log-roller $2) COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_comp=$(complete -p s3-log-roller | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
$_comp s3-log-roller "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    return script


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of every shell."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "prefixes-from", "member"):
        assert word in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("pro", "producer"),
        ("roll --allow", "--allow-cross-region"),
        ("worker --log-format j", "json"),
        ("completion z", "zsh"),
    ],
)
def test_bash_completes(bash_script: Path, line: str, word: str) -> None:
    """A real bash, asked what it would write."""
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", str(bash_script), line], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [word], done.stderr
