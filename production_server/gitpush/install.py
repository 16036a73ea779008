"""Creates what `git push` needs, when the first key is added. Doing it again repairs it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from production_server.errors import ServiceError
from production_server.gitpush.layout import (
    LONGEST_PUSH,
    LONGEST_WAIT,
    MOST_BYTES,
    TAKEN,
    Layout,
)

HERE = Path(__file__).resolve().parent
SHELL = "git-shell"
NEEDED = (SHELL, "git", "flock", "sudo")
_HOOK = """\
#!{python} -IB
# Judges a push before it is taken. Git calls it as the account {account}.
import os, sys
sys.path.insert(0, "{app}")
from production_server.gitpush.push import main
sys.exit(main(sys.stdin, os.environ))
"""
_AFTER = """\
#!/bin/sh
# Keeps the repository small, once a push is taken.
echo {taken} | {become_root} {program}
"""
_PROGRAM = """\
#!{python} -IB
# Root's part of a push; the account {account} may call it with sudo, and nothing else.
import sys
sys.path.insert(0, "{app}")
from production_server.gitpush.receive import main
sys.exit(main(sys.stdin.buffer))
"""
_SUDOERS = 'Defaults:{account} !requiretty\n{account} ALL=(root) NOPASSWD: {program} ""\n'


def install(layout: Layout) -> None:
    """Create the account, its programs and the repository. Returns when a push can come."""
    _need_git()
    _create_account(layout)
    # Nobody but root writes here: sshd would not read the keys otherwise.
    for folder in (layout.home, layout.authorized_keys.parent, layout.serve.parent, layout.hooks):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.chmod(0o755)
    layout.lock.touch(0o644)
    write_program(layout.config, filled("git.config", layout), 0o644)
    write_program(layout.serve, filled("serve.sh", layout))
    names = {"python": layout.python, "app": layout.app, "account": layout.account}
    write_program(layout.hooks / "pre-receive", _HOOK.format(**names))
    after = _AFTER.format(
        taken=TAKEN, become_root=" ".join(layout.become_root), program=layout.program
    )
    write_program(layout.hooks / "post-receive", after)
    write_program(layout.program, _PROGRAM.format(**names))
    _allow(layout)
    make_repository(layout.repository, layout.account)


def filled(name: str, layout: Layout) -> str:
    """The text of a file beside this one, with this layout's values."""
    text = (HERE / name).read_text()
    for word, value in {
        "REPOSITORY": layout.repository,
        "CONFIG": layout.config,
        "HOOKS": layout.hooks,
        "LOCK": layout.lock,
        "MOST_BYTES": MOST_BYTES,
        "MOST_BLOCKS": 2 * MOST_BYTES // 512,
        "LONGEST_PUSH": LONGEST_PUSH,
        "LONGEST_WAIT": LONGEST_WAIT,
    }.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def write_program(path: Path, text: str, mode: int = 0o755) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    Path(file.name).rename(path)


def make_repository(path: Path, account: str) -> None:
    """Create the repository, if it is not there. The account owns its objects and branches alone.

    Git also makes short-lived lock files beside them. The sticky bit keeps what is root's there.
    """
    if not path.exists():
        new = path.with_name(path.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        _run(["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(new)])
        owner = pwd.getpwnam(account)
        for folder in (new / "objects", new / "refs"):
            for each in (folder, *folder.rglob("*")):
                os.chown(each, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        os.chown(new, 0, owner.pw_gid)
        new.chmod(0o1775)
        new.rename(path)


def _need_git() -> None:
    """Install git, unless it is there. An image for servers usually lacks it."""
    if all(shutil.which(name) for name in NEEDED):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install"]
    words = [*install, "--no-install-recommends", "git", "sudo"]
    if subprocess.run(words, env=environment, capture_output=True, check=False).returncode:
        # The list of packages may be old, or not there yet.
        _run(["apt-get", "-q", "update"], environment)
        _run(words, environment)


def _create_account(layout: Layout) -> None:
    """A system account without a password, whose shell runs nothing but git."""
    try:
        pwd.getpwnam(layout.account)
    except KeyError:
        shell = shutil.which(SHELL)
        flags = ["--system", "--user-group", "--no-create-home", "--password", "*"]
        place = ["--home-dir", str(layout.home), "--shell", str(shell)]
        _run(["useradd", *flags, *place, layout.account])


def _allow(layout: Layout) -> None:
    """Let the account run its one program as root, without arguments."""
    text = _SUDOERS.format(account=layout.account, program=layout.program)
    # sudo ignores files with a dot in their name.
    new = layout.sudoers.with_name(layout.sudoers.name + ".new")
    write_program(new, text, 0o440)
    try:
        _run(["visudo", "-c", "-q", "-f", str(new)])
        new.rename(layout.sudoers)
    finally:
        new.unlink(missing_ok=True)


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ServiceError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ServiceError(
            f"`{' '.join(command[:3])} ...` failed: {said[-1] if said else done.returncode}",
            "Correct that on the server, then add the key again.",
        )
