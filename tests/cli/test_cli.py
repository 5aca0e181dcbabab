"""The command line as a person types it: what is printed, what is written, and how it refuses."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys

import pytest
from ase.io import write

import piwsl_lab
from piwsl_lab.cli import main as cli
from piwsl_lab.cli.flags import choices
from piwsl_lab.data import Dataset, load
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study import compare as comparison
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare
from piwsl_lab.support.streams import say

SCORES = {"energy_mae", "energy_rmse", "force_mae", "force_rmse", "seconds"}
SHORT = ["--energies", "6", "--forces", "3", "--steps", "3", "--batch-size", "2", "--device", "cpu"]


def run(*words: str, capsys) -> tuple[int, str, str]:
    code = cli.main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def flags_of(*words: str) -> argparse.Namespace:
    return cli._parser().parse_args(words)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_a_module_with_flags_and_a_run(name, capsys):
    module, words = cli.COMMANDS[name]
    assert {"add", "run"} <= vars(module).keys()
    assert words in cli._parser().format_help().replace("\n" + " " * 24, " ")
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"piwsl-lab {name}" in capsys.readouterr().out


def test_without_a_command_the_laboratory_opens(monkeypatch):
    calls = []
    monkeypatch.setattr("piwsl_lab.cli.launch.launch", lambda **options: calls.append(options) or 0)
    assert cli.main([]) == 0
    assert cli.main(["--no-browser", "--port", "8899"]) == 0
    assert cli.main(["lab"]) == 0
    assert calls == [
        {"browser": True, "port": None},
        {"browser": False, "port": 8899},
        {"browser": True, "port": None},
    ]


@pytest.mark.parametrize("command", ["train", "compare"])
def test_the_flags_have_the_defaults_of_the_library(command):
    setup, objective = choices(flags_of(command), seed=0)
    assert setup == Setup()
    assert objective == dataclasses.replace(Objective(), pitc=100.0)
    assert (setup.energies, setup.forces, setup.steps, setup.batch_size) == (50, 50, 3000, 8)
    assert (objective.pitc, objective.pisc, objective.epsilon, objective.order) == (100.0, 0.0, 0.05, 2)


def test_every_flag_arrives():
    words = "compare --data x.xyz --energies 7 --forces 5 --model schnet --head conservative --pitc 3 --pisc 0.5"
    words += " --epsilon 0.02 --order 1 --steps 9 --batch-size 2 --seeds 4 --device cuda:1 --teachers 2 --json out.json"
    arguments = flags_of(*words.split())
    setup, objective = choices(arguments, seed=2)
    assert setup == Setup(
        data="x.xyz",
        energies=7,
        forces=5,
        model="schnet",
        head="conservative",
        steps=9,
        batch_size=2,
        device="cuda:1",
        teachers=2,
        seed=2,
    )
    assert objective == Objective(pitc=3.0, pisc=0.5, epsilon=0.02, order=1)
    assert (arguments.seeds, str(arguments.json)) == (4, "out.json")


def test_compare_prints_a_table_and_writes_the_json(tmp_path, capsys):
    out = tmp_path / "result.json"
    code, printed, _ = run("compare", *SHORT, "--seeds", "2", "--json", str(out), capsys=capsys)
    assert code == 0
    result = json.loads(out.read_text())
    assert set(result) == {"config", "supervised", "piwsl"}
    for twin in ("supervised", "piwsl"):
        assert set(result[twin]) == SCORES | {"steps"}
        assert all(len(values) == 2 and min(values) > 0 for values in result[twin].values())
    assert result["supervised"]["energy_mae"] != result["piwsl"]["energy_mae"]
    assert result["config"]["pitc"] == 100.0
    assert result["config"]["test_frames"] >= 500
    assert list(tmp_path.iterdir()) == [out]
    energy = next(line for line in printed.splitlines() if line.startswith("energy MAE"))
    assert energy.count("±") == 2
    first, second = (sum(result[twin]["energy_mae"]) for twin in ("supervised", "piwsl"))
    assert energy.split()[-1] == f"{first / second:.2f}"
    assert f"{1000 * first / 2:.1f}" in energy


def test_train_saves_a_potential_that_can_be_read_back(tmp_path, capsys):
    saved, out = tmp_path / "mine.safetensors", tmp_path / "mine.json"
    code, printed, _ = run("train", *SHORT, "--seed", "3", "--save", str(saved), "--json", str(out), capsys=capsys)
    assert code == 0
    assert "energy MAE" in printed
    result = json.loads(out.read_text())
    potential = piwsl_lab.load_potential(saved)
    task = prepare(Setup(energies=6, forces=3, seed=3))
    again = piwsl_lab.evaluate(potential, task.test)
    assert result["energy_mae"][0] == pytest.approx(again.energy_mae, rel=1e-5)


@pytest.mark.parametrize("command", ["train", "compare"])
def test_what_reading_a_file_found_is_said_before_it_is_trained_on(command, tmp_path, monkeypatch, capsys):
    images = load("ethanol")[:30].to_atoms()
    for atoms in images:
        atoms.arrays["REF_forces"], atoms.info["REF_energy"] = atoms.get_forces(), atoms.get_potential_energy()
        atoms.calc = None
        atoms.info["stress_note"] = 1.0
    write(tmp_path / "own.extxyz", images)
    monkeypatch.chdir(tmp_path)
    seeds = ["--seeds", "1"] if command == "compare" else []
    code, _, error = run(command, "--data", "own.extxyz", *SHORT, *seeds, capsys=capsys)
    assert code == 0
    assert "Energies were read from 'REF_energy' (30 frames)" in error
    assert "'stress_note' was passed over (30 frames)" in error


@pytest.mark.filterwarnings("always::piwsl_lab.data.checked.CheckWarning")
def test_compare_warns_of_a_file_once(tmp_path, monkeypatch, capsys):
    """The same words came once a seed, and once more."""
    frames = [dataclasses.replace(frame, forces=-frame.forces) for frame in load("ethanol")[:40]]
    write(tmp_path / "own.xyz", Dataset(frames, load("ethanol").metadata).to_atoms())
    monkeypatch.chdir(tmp_path)
    code, _, error = run("compare", "--data", "own.xyz", *SHORT, "--seeds", "2", capsys=capsys)
    assert code == 0
    assert error.count("warning: ") == 1


def test_compare_reads_no_set_of_the_catalog_for_its_remarks(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "compare_methods", interrupt)
    monkeypatch.setattr("piwsl_lab.data.load", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr("piwsl_lab.data.catalog.load", lambda *_: pytest.fail("it was read"))
    assert run("compare", *SHORT, capsys=capsys)[0] == 130


def test_check_writes_its_findings_before_it_prints(tmp_path):
    """Nobody read the table, and the file was not written."""
    command = [sys.executable, "-m", "piwsl_lab.cli", "check", "ethanol", "ethanol", "--json", str(tmp_path / "a.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=100) == 141
    assert len(json.loads((tmp_path / "a.json").read_text())) == 2


def test_words_that_nobody_can_read_are_no_error(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("to nobody")
        say("to nobody again")
    say("to a stream that is closed")
    monkeypatch.setattr(sys, "stderr", None)
    say("to none")


def test_datasets_lists_every_set_with_its_licence(capsys):
    code, printed, _ = run("datasets", capsys=capsys)
    assert code == 0
    for entry in piwsl_lab.datasets():
        assert entry.name in printed
        assert entry.licence in printed
    assert "ethanol:500K (default)" in printed


def test_doctor_reports(capsys):
    code, printed, _ = run("doctor", capsys=capsys)
    assert code == (1 if "\nproblem " in printed else 0)
    assert "torch" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "--data", "ethanoll"], "Did you mean 'ethanol'"),
        (["compare", "--epsilon", "-1"], "epsilon"),
        (["compare", "--seeds", "0"], "seeds=0"),
        (["compare", "--energies", "0", "--forces", "0"], "at least one label"),
        (["compare", "--json", "/no/such/folder/out.json"], "/no/such/folder"),
        (["compare", "--json", "."], "is a folder"),
        (["train", "--energies", "100000"], "100000"),
        (["train", "--steps", "0"], "steps=0"),
        (["train", "--teachers", "4"], "nothing to teach"),
        (["compare", "--rival", "ensemble"], "nothing to teach"),
        (["train", "--save", "potential.pt"], "potential.pt"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, printed, error = run(*words, capsys=capsys)
    assert (code, printed) == (2, "")
    assert message in error
    assert error.startswith("piwsl-lab: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [["fly"], ["train", "--model", "gap"], ["train", "--device", "abacus"], ["train", "--device", "3"]],
)
def test_an_unknown_word_is_refused_by_the_parser(words, capsys):
    with pytest.raises(SystemExit) as refused:
        cli.main(words)
    assert refused.value.code == 2
    assert words[-1] in capsys.readouterr().err


def test_a_file_that_is_no_data_set_is_named(tmp_path, capsys):
    broken = tmp_path / "broken.xyz"
    broken.write_text("")
    code, _, error = run("train", "--data", str(broken), capsys=capsys)
    assert code == 2
    assert "broken.xyz" in error
    assert "Traceback" not in error


def test_interrupted(monkeypatch, tmp_path, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "compare_methods", interrupt)
    code, _, error = run("compare", *SHORT, "--json", str(tmp_path / "out.json"), capsys=capsys)
    assert (code, error.count("\n")) == (130, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error_to_report():
    with subprocess.Popen(
        [sys.executable, "-m", "piwsl_lab.cli", "datasets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait(timeout=60) == 141


@pytest.mark.filterwarnings("default:epsilon:UserWarning")
def test_a_warning_is_one_line(capsys):
    _, _, error = run("train", *SHORT, "--epsilon", "0.5", capsys=capsys)
    (warning,) = [line for line in error.splitlines() if "warning" in line]
    assert warning.startswith("piwsl-lab: warning: epsilon=0.5")


def test_help_is_quick_and_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "piwsl_lab.cli", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert all(word in done.stdout for word in ("lab", "datasets", "doctor", "train", "compare"))


# F1: no file of a person is written over


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with two data files, links to the first, and a training that must not begin."""
    for name in ("m1.xyz", "m2.xyz"):
        write(tmp_path / name, load("ethanol")[:20].to_atoms())
    (tmp_path / "link.xyz").symlink_to("m2.xyz")
    (tmp_path / "hard.xyz").hardlink_to(tmp_path / "m2.xyz")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("piwsl_lab.study.task.prepare", lambda *_: pytest.fail("it began"))
    monkeypatch.setattr(comparison, "compare_methods", lambda *_: pytest.fail("it began"))
    before = (tmp_path / "m2.xyz").read_bytes()
    yield tmp_path
    assert (tmp_path / "m2.xyz").read_bytes() == before


@pytest.mark.parametrize("command", ["train", "compare", "check"])
@pytest.mark.parametrize("data", ["m2.xyz", "./m2.xyz", "m*.xyz", "sub/../m2.xyz", "link.xyz", "hard.xyz"])
@pytest.mark.parametrize("out", ["m2.xyz", "link.xyz"])
def test_the_result_never_takes_the_place_of_the_data(command, data, out, own, capsys):
    """F1: the data were lost, with exit code 0."""
    words = [command, data] if command == "check" else [command, "--data", data]
    code, printed, error = run(*words, "--json", out, capsys=capsys)
    assert (code, printed) == (2, "")
    assert f"--json {out}: is the file of {'NAME|FILE' if command == 'check' else '--data'} too" in error


def test_weights_and_figures_and_data_are_three_files(own, capsys):
    for words in (
        ["--save", "a.safetensors", "--json", "a.safetensors"],
        ["--save", "a.safetensors", "--json", "sub/../a.safetensors"],
    ):
        code, _, error = run("train", "--data", "m2.xyz", *words, capsys=capsys)
        assert code == 2
        assert "is the file of --save too and would take its place" in error
    (own / "d.safetensors").symlink_to("m2.xyz")
    code, _, error = run("train", "--data", "m2.xyz", "--save", "d.safetensors", capsys=capsys)
    assert code == 2
    assert "--save d.safetensors: is the file of --data too" in error
    code, _, error = run("train", "--save", "piwsl-lab-runs/a.safetensors", capsys=capsys)
    assert code == 2
    (own / "piwsl-lab-runs").mkdir()
    code, _, error = run("train", "--save", "piwsl-lab-runs/a.safetensors", capsys=capsys)
    assert "interrupted runs are kept in that folder" in error
    assert not (own / "a.safetensors").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--json"],
        ["train", "--save"],
        ["compare", "--json"],
        ["check", "ethanol", "--json"],
        ["course", "collect", ".", "--out"],
        ["fly", "gfn2-xtb", "--json"],
    ],
)
def test_a_place_that_is_no_ordinary_file_is_refused_before_the_work(words, own, monkeypatch, capsys):
    """F3: a pipe was replaced, and so was /dev/null."""
    name = "pipe.safetensors" if "--save" in words else "pipe.csv"
    os.mkfifo(own / name)
    monkeypatch.setattr("piwsl_lab.cli.course.collect", lambda _: pytest.fail("it began"))
    monkeypatch.setattr("piwsl_lab.cli.fly._source", lambda *_: pytest.fail("it began"))
    for place in (name, *(["/dev/null"] if "--json" in words else [])):
        code, printed, error = run(*words, place, capsys=capsys)
        assert (code, printed) == (2, "")
        assert "which is no ordinary file" in error
        assert error.count("\n") == 1
    assert (own / name).is_fifo()


def test_a_file_that_the_table_goes_to_is_no_place_for_the_figures(own):
    with open(own / "out.txt", "w") as out:
        command = [sys.executable, "-m", "piwsl_lab.cli", "check", "ethanol", "--json", "out.txt"]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=200)
    assert done.returncode == 2
    assert "--json out.txt: the standard output goes there too" in done.stderr


def test_a_folder_that_was_deleted_is_said(tmp_path):
    """F4: a library in C ended the process."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = "import os, sys; os.rmdir(os.getcwd()); from piwsl_lab.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for words in (["train"], ["datasets"], ["check", "ethanol"], []):
        gone.mkdir(exist_ok=True)
        command = [sys.executable, "-c", script, *words]
        done = subprocess.run(command, cwd=gone, capture_output=True, text=True, timeout=200)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "piwsl-lab: the folder you are in no longer exists; cd to another\n"


@pytest.mark.parametrize("port", ["-1", "0", "65536", "99999"])
def test_a_port_that_cannot_be_is_refused(port, monkeypatch, capsys):
    """F5: -1 ended in a traceback of Jupyter, 99999 began."""
    monkeypatch.setattr("piwsl_lab.cli.launch._run", lambda _: pytest.fail("it began"))
    code, printed, error = run("lab", "--port", port, capsys=capsys)
    assert (code, printed) == (2, "")
    assert "--port must be 1 to 65535" in error


STUDY = '[grid]\nlabels = [8]\nseeds = 1\n[[method]]\nname = "supervised"\n'


@pytest.mark.parametrize("limit", ["nan", "-1", "0", "inf"])
def test_a_limit_that_makes_no_sense_is_refused(limit, tmp_path, monkeypatch, capsys):
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("piwsl_lab.study.engine.run_cells", lambda *_, **__: pytest.fail("it began"))
    code, _, error = run("study", "study.toml", f"--limit={limit}", capsys=capsys)
    assert code == 2
    assert f"--limit {limit}: must be a finite number of seconds above 0" in error


def test_a_report_of_no_run_is_refused(tmp_path, monkeypatch, capsys):
    """F8: a mistyped folder was made, with five tables of no run."""
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    for words in (["--out", "mistyped"], ["--out", "."], ["--out", "study.toml"]):
        code, _, error = run("study", "report", "study.toml", *words, capsys=capsys)
        assert code == 2
        assert "is no folder" in error if words[1:] == ["study.toml"] else "holds no run of a study" in error
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_study_that_is_a_pipe_or_a_device_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "study.toml")
    kinds = {tmp_path / "study.toml": "is a pipe", tmp_path: "is a folder", "/dev/zero": "is a device"}
    for path, words in kinds.items():
        code, _, error = run("study", "list", str(path), capsys=capsys)
        assert code == 2
        assert f"{path}: {words}" in error
