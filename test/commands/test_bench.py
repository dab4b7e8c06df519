import json

import pytest

from fusion_ros.cli import main
from fusion_ros.commands import bench


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of benchmarks that say what they were called with; `pairing` misses its target."""
    for script, _summary in bench.BENCHMARKS.values():
        code = "import sys; print(__file__.split('/')[-1], *sys.argv[1:])"
        (tmp_path / f"{script}.py").write_text(code + ("; sys.exit(1)" if script == "pairing" else ""))
    monkeypatch.setattr(bench, "candidate_folders", lambda name: [tmp_path / "none", tmp_path])


def test_a_table_is_run_by_its_name(scripts, capfd):
    assert main(["bench", "networks", "import"]) == 0
    assert capfd.readouterr().out.split("\n")[:4] == [
        "== networks",
        "network_cost.py",
        "== import",
        "import_time.py",
    ]


def test_models_are_measured_on_the_backends(scripts, capsys):
    assert main(["bench", "caf", "guided", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out).values()
    assert result == {"exit_code": 0, "lines": ["fusion_backends.py --models caf,guided"]}


def test_without_a_name_every_table_is_run_and_a_missed_target_is_told_at_the_end(scripts, capsys):
    assert main(["bench", "--json"]) == 1
    written = capsys.readouterr()
    assert list(json.loads(written.out)) == list(bench.BENCHMARKS)
    assert written.err.startswith("fusion-ros bench: pairing: ")


def test_an_unknown_name_is_refused_before_anything_runs(scripts, capfd):
    assert main(["bench", "import", "flight"]) == 2
    written = capfd.readouterr()
    assert "'flight'" in written.err
    assert written.out == ""


def test_an_installation_without_benchmarks_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "candidate_folders", lambda name: [tmp_path])
    assert main(["bench"]) == 2
    assert "source tree" in capsys.readouterr().err


def test_every_table_has_its_script():
    assert all((bench._folder() / f"{script}.py").is_file() for script, _summary in bench.BENCHMARKS.values())
