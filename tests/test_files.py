import errno

import numpy as np
import pytest
import torch

from utils.errors import UserError, run_cli
from utils.files import atomic_path, digest, load_json, load_npz, load_torch, save_json, save_npy, save_npz, save_torch


def test_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.json"
    save_json(path, {"value": 1})
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text('{"val')
        raise KeyboardInterrupt
    assert load_json(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_saved_tensors_and_arrays_come_back_exactly(tmp_path):
    value = {"weights": torch.randn(3, 2), "step": 7, "losses": [0.5, 0.25]}
    save_torch(tmp_path / "a.pth", value)
    loaded = load_torch(tmp_path / "a.pth")
    assert torch.equal(loaded["weights"], value["weights"]) and loaded["losses"] == value["losses"]
    save_npz(tmp_path / "b.npz", mask=np.arange(5))
    assert load_npz(tmp_path / "b.npz")["mask"].tolist() == [0, 1, 2, 3, 4]


class Payload:
    def __reduce__(self):
        return (print, ("executed",))


def test_loading_never_executes_what_a_file_asks_for(tmp_path, capsys):
    torch.save({"state": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="evil.pth is not a readable checkpoint"):
        load_torch(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: bytes(range(256)) * 4])
def test_damaged_files_are_named_in_one_line(tmp_path, damage):
    for name, save, load in (
        ("a.pth", lambda p: save_torch(p, {"x": torch.zeros(500)}), load_torch),
        ("a.npz", lambda p: save_npz(p, x=np.zeros(500)), load_npz),
        ("a.json", lambda p: save_json(p, {"x": list(range(99))}), load_json),
    ):
        path = tmp_path / name
        save(path)
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(UserError) as caught:
            load(path)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_digest_tells_values_types_and_shapes_apart():
    base = np.arange(6, dtype=np.float32)
    assert digest(base) == digest(torch.from_numpy(base))
    others = [
        digest(base.reshape(2, 3)),
        digest(base.astype(np.float64)),
        digest(base + 1),
        digest("ab", "c"),
        digest("a", "bc"),
    ]
    assert len({digest(base), *others}) == 6


@pytest.mark.parametrize(
    "error, code",
    [(UserError("do this"), 2), (OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)],
)
def test_errors_a_person_can_cause_end_in_one_line(error, code, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        run_cli(main)
    written = capsys.readouterr().err
    assert ended.value.code == code and written.count("\n") == 1


def test_our_own_faults_are_not_hidden():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_cli(main)


def test_a_disk_that_fills_up_within_an_array_is_reported_as_full(tmp_path, monkeypatch):
    def cut_short(*_, **__):
        raise OSError("problem writing element 1445888 to file")  # as numpy says it: without an error number

    monkeypatch.setattr(np, "save", cut_short)
    with pytest.raises(OSError) as caught:
        save_npy(tmp_path / "array.npy", np.zeros(3))
    assert caught.value.errno == errno.ENOSPC and "disk full" in caught.value.strerror and not list(tmp_path.iterdir())
