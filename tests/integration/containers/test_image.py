"""The image of the service, as built from this checkout."""

from __future__ import annotations

from tests.support.images import Images

# Rights that a container could have; this is how /proc writes none.
NO_CAPABILITY = "CapEff:\t0000000000000000"


def test_it_runs_with_no_account_and_right_of_importance(images: Images) -> None:
    flags = ("--rm", "--read-only", "--cap-drop=ALL", "--entrypoint=python")
    program = "print(open('/proc/self/status').read())"
    status = images.engine.docker("run", *flags, images.image, "-c", program)
    assert NO_CAPABILITY in status and "Uid:\t10001\t10001" in status


def test_it_has_no_shell_and_no_package_manager(images: Images) -> None:
    files = images.engine.files(images.image)
    programs = {path.rpartition("/")[2] for path, entry in files.items() if entry.mode & 0o111}
    assert "python" in programs
    assert not programs & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "pip", "uv"}
