"""What several processes, and several users, keep in one folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelflow.kept_files import Copy, forget_old, is_in_use, use


@contextlib.contextmanager
def _without_privileges() -> Iterator[None]:
    """As root, be another user for a moment: root may open everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="uses rights of POSIX")
@pytest.mark.parametrize(("rights", "is_free_in_use"), [(0o444, False), (0o000, True)], ids=["to read", "none"])
def test_a_copy_of_another_users_process_is_in_use(rights: int, is_free_in_use: bool) -> None:
    """By its file, which cannot be locked; where that cannot be read either, each copy may be in use."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        theirs = Path(folder) / "another"
        theirs.write_text("theirs\n")
        theirs.chmod(rights)

        with _without_privileges():
            assert is_in_use(Path(folder), "theirs")
            assert is_in_use(Path(folder), "free") is is_free_in_use


def test_a_copy_of_this_process_is_in_use(tmp_path: Path) -> None:
    use(tmp_path, "ours")

    assert is_in_use(tmp_path, "ours")
    assert not is_in_use(tmp_path, "free")


def test_a_process_that_has_ended_uses_nothing_and_is_forgotten(tmp_path: Path) -> None:
    """One that has just begun may not have locked its file yet."""
    for name, age in (("ended", 7200), ("young", 0)):
        (tmp_path / name).write_text("theirs\n")
        times = ((tmp_path / name).stat().st_mtime - age,) * 2
        os.utime(tmp_path / name, times)

    assert not is_in_use(tmp_path, "theirs")
    assert {path.name for path in tmp_path.iterdir()} >= {"young"}
    assert not (tmp_path / "ended").exists()


def test_a_copy_in_use_makes_no_room_so_the_next_one_goes() -> None:
    """Of those that nobody uses, the longest unused."""
    gone = list[str]()

    def forget(folder: Path) -> bool:
        if folder.name == "used":
            return False
        gone.append(folder.name)
        return True

    copies = [Copy(float(age), 100, Path(name)) for age, name in ((3, "new"), (1, "used"), (2, "old"))]
    forget_old(copies, forget, before=0, most_bytes=200)

    assert gone == ["old"]
