"""Opening the laboratory: which notebooks, copied how, and a real JupyterLab that comes up on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from piwsl_lab.cli import launch
from piwsl_lab.cli.launch import LaunchError, copy_notebooks, find_notebooks


def folder_with(path: Path, **texts: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (path / f"{name}.ipynb").write_text(text)
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.ipynb*")}


@pytest.fixture
def source(tmp_path):
    return folder_with(tmp_path / "wheel", a="a, first version", b="b, first version")


@pytest.fixture
def target(tmp_path, source):
    target = tmp_path / "mine" / "piwsl-lab-notebooks"
    assert copy_notebooks(source, target).added == ["a.ipynb", "b.ipynb"]
    return target


def test_copies_what_is_missing(source, target):
    assert contents(target) == contents(source)


def test_a_second_start_changes_nothing(source, target):
    before = {path.name: path.stat().st_mtime_ns for path in target.glob("*.ipynb")}
    report = copy_notebooks(source, target)
    assert report.kept == ["a.ipynb", "b.ipynb"]
    assert report.lines(target) == []
    assert {path.name: path.stat().st_mtime_ns for path in target.glob("*.ipynb")} == before


def test_an_untouched_notebook_follows_the_package(source, target):
    folder_with(source, a="a, second version")
    assert copy_notebooks(source, target).updated == ["a.ipynb"]
    assert contents(target) == {"a.ipynb": "a, second version", "b.ipynb": "b, first version"}


def test_a_changed_notebook_is_kept(source, target):
    folder_with(target, a="my work")
    report = copy_notebooks(source, target)
    assert (report.kept, report.offered) == (["a.ipynb", "b.ipynb"], [])
    assert contents(target) == {"a.ipynb": "my work", "b.ipynb": "b, first version"}


def test_a_new_version_lies_beside_a_changed_notebook_once(source, target):
    folder_with(target, a="my work")
    folder_with(source, a="a, second version")
    report = copy_notebooks(source, target)
    assert report.offered == ["a.new.ipynb"]
    assert "changed by you and kept" in " ".join(report.lines(target))
    expected = {"a.ipynb": "my work", "a.new.ipynb": "a, second version", "b.ipynb": "b, first version"}
    assert contents(target) == expected
    (target / "a.new.ipynb").unlink()
    assert copy_notebooks(source, target).offered == []
    assert "a.new.ipynb" not in contents(target)


def test_work_done_in_the_offered_version_is_kept_too(source, target):
    folder_with(target, a="my work")
    folder_with(source, a="a, second version")
    copy_notebooks(source, target)
    (target / "a.new.ipynb").write_text("more of my work")
    folder_with(source, a="a, third version")
    assert copy_notebooks(source, target).offered == ["a.new2.ipynb"]
    found = contents(target)
    assert found["a.ipynb"] == "my work"
    assert found["a.new.ipynb"] == "more of my work"
    assert found["a.new2.ipynb"] == "a, third version"


def test_an_untouched_offer_is_replaced(source, target):
    folder_with(target, a="my work")
    for version in ("second", "third"):
        folder_with(source, a=f"a, {version} version")
        assert copy_notebooks(source, target).offered == ["a.new.ipynb"]
    assert contents(target)["a.new.ipynb"] == "a, third version"


def test_a_file_of_that_name_that_was_never_ours_is_kept(source, tmp_path):
    target = folder_with(tmp_path / "elsewhere", a="not from the package")
    assert copy_notebooks(source, target).offered == ["a.new.ipynb"]
    assert contents(target)["a.ipynb"] == "not from the package"


@pytest.mark.parametrize("text", ["{broken", "[]"])
def test_a_damaged_manifest_stops_before_anything_is_written(source, target, text):
    (target / launch.MANIFEST).write_text(text)
    folder_with(source, a="a, second version")
    with pytest.raises(LaunchError, match="delete it"):
        copy_notebooks(source, target)
    assert contents(target)["a.ipynb"] == "a, first version"


def test_packaged_notebooks_win_over_those_of_a_checkout(tmp_path):
    package = tmp_path / "site" / "piwsl_lab"
    package.mkdir(parents=True)
    with pytest.raises(LaunchError, match="no notebooks beside"):
        find_notebooks(package)
    checkout = folder_with(tmp_path / "site" / "notebooks", a="")
    assert find_notebooks(package) == (checkout, False)
    packaged = folder_with(package / "share" / "notebooks", a="")
    assert find_notebooks(package) == (packaged, True)


def test_without_jupyterlab_the_error_names_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LaunchError, match=r"pip install 'piwsl-lab\[lab\]'"):
        launch.launch()


def test_an_installed_package_opens_the_copies(tmp_path, source, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(launch, "find_notebooks", lambda: (source, True))
    monkeypatch.setattr(launch, "_run", lambda arguments: started.append(arguments) or 0)
    assert launch.launch(browser=False, port=8901, directory=tmp_path) == 0
    copies = tmp_path / launch.COPY_FOLDER
    assert started == [launch.command(copies / "a.ipynb", copies, browser=False, port=8901)]
    assert contents(copies) == contents(source)
    assert "a.ipynb, b.ipynb: copied to" in capsys.readouterr().out


def test_the_server_listens_on_loopback_only():
    arguments = launch.command(Path("notebook.ipynb"), Path("folder"))
    assert arguments[:4] == [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1"]
    assert not any("token" in word or "password" in word for word in arguments)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="ends JupyterLab with SIGTERM")
def test_jupyterlab_comes_up_and_asks_for_its_token(tmp_path, source):
    """What an installed package does in an empty folder: copy, serve on loopback, answer the token only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "import pathlib; from piwsl_lab.cli import launch, main as cli; "
        f"launch.find_notebooks = lambda: (pathlib.Path({str(source)!r}), True); "
        f"raise SystemExit(cli.main(['--no-browser', '--port={port}']))"
    )
    settings = {"JUPYTER_TOKEN": "secret", "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}/api/contents"
        listing = wait_for(f"{address}?token=secret", process, tmp_path / "log")
        assert {"a.ipynb", "b.ipynb"} <= {entry["name"] for entry in listing["content"]}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=10)
        refused.value.close()
        assert refused.value.code == 403
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail(f"no answer at {address}\n{log.read_text()}")
