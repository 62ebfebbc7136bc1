"""Encryption at rest, and where its key comes from."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from coursebell.errors import ConfigurationError, SealError
from coursebell.storage.database import Database
from coursebell.storage.seal import Seal, key_file_of, read_or_make_key_file


def test_what_is_sealed_is_opened_and_tells_nothing():
    seal = Seal(["a key"])

    sealed = seal.seal(b"open sesame")

    assert seal.open(sealed) == b"open sesame"
    assert b"sesame" not in sealed
    assert seal.seal(b"open sesame") != sealed


def test_the_first_key_seals_and_all_of_them_open():
    old, new = Seal(["old"]), Seal(["new"])
    both = Seal(["new", "old"])

    assert both.open(old.seal(b"x")) == b"x"
    assert new.open(both.seal(b"x")) == b"x"
    with pytest.raises(SealError):
        old.open(both.seal(b"x"))


@pytest.mark.parametrize("sealed", [b"", b"x", b"gAAAAA", "é".encode()])
def test_what_no_key_opens_is_an_error_that_names_the_setting(sealed):
    with pytest.raises(SealError, match="COURSEBELL_SECRET_KEY"):
        Seal(["a key"]).open(sealed)


def test_a_changed_byte_is_noticed():
    seal = Seal(["a key"])
    sealed = bytearray(seal.seal(b"open sesame"))
    sealed[20] ^= 1

    with pytest.raises(SealError):
        seal.open(bytes(sealed))


def test_no_key_at_all_is_refused():
    with pytest.raises(ConfigurationError, match="COURSEBELL_SECRET_KEY"):
        Seal([])


def test_an_sqlite_database_without_a_key_gets_a_key_file_only_its_owner_reads(tmp_path):
    url = f"sqlite:///{tmp_path}/coursebell.db"
    first, second = Database(url), Database(url)

    sealed = first.seal.seal(b"open sesame")

    path = key_file_of(first.path)
    assert second.seal.open(sealed) == b"open sesame"
    assert path == tmp_path / "coursebell.db.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    first.close()
    second.close()


def test_processes_that_start_at_once_agree_on_the_key(tmp_path):
    path = tmp_path / "coursebell.db.key"

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(read_or_make_key_file, [path] * 8))

    assert len(keys) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "\n", "short"])
def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path, content):
    path = tmp_path / "coursebell.db.key"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match="damaged"):
        read_or_make_key_file(path)

    assert path.read_text() == content


def test_postgresql_without_a_key_is_refused_and_says_how_to_make_one():
    database = Database("postgresql://127.0.0.1/bell")

    with pytest.raises(ConfigurationError, match=r"COURSEBELL_SECRET_KEY.*token_urlsafe"):
        _ = database.seal

    database.close()


def test_who_makes_the_key_file_second_takes_the_first_ones_key(tmp_path, monkeypatch):
    path = tmp_path / "coursebell.db.key"
    theirs = "k" * 43

    monkeypatch.setattr(os, "fsync", lambda _descriptor: path.write_text(theirs))

    assert read_or_make_key_file(path) == theirs
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_missing_is_named(tmp_path):
    missing = tmp_path / "missing"

    with pytest.raises(ConfigurationError, match=f"no directory {missing}; make it"):
        read_or_make_key_file(missing / "coursebell.db.key")


def test_a_key_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "coursebell.db.key"
    path.mkdir()

    with pytest.raises(ConfigurationError, match=r"coursebell\.db\.key cannot be used"):
        read_or_make_key_file(path)
