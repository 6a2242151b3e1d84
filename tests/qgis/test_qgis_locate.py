"""Which Python is the engine's, what is wrong with a bad one, and what its process must not inherit."""

from __future__ import annotations

import os
import stat
import sys

import pytest


@pytest.fixture
def locate(package):
    module = package("engine.locate")
    module._checked.clear()
    return module


def script(path, *lines):
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


ANSWER = 'echo \'@wsss-geo {"type": "result", "python": "%s", "missing": [%s]}\''


def test_the_setting_wins_over_the_variable(locate, tmp_path, monkeypatch):
    from qgis.core import QgsSettings

    good = script(tmp_path / "one", ANSWER % ("3.12.1", ""))
    other = script(tmp_path / "two", ANSWER % ("3.11.0", ""))
    monkeypatch.setenv("WSSS_GEO_PYTHON", other)
    assert locate.find_engine() == locate.Engine(other, "environment variable WSSS_GEO_PYTHON")
    QgsSettings().setValue("wsss_geo/python", good)
    assert locate.find_engine() == locate.Engine(good, "chosen in QGIS")


def test_a_broken_choice_is_not_passed_over(locate, tmp_path, monkeypatch):
    from qgis.core import QgsSettings

    monkeypatch.setenv("WSSS_GEO_PYTHON", script(tmp_path / "good", ANSWER % ("3.12.1", "")))
    QgsSettings().setValue("wsss_geo/python", str(tmp_path / "gone"))
    with pytest.raises(locate.EngineMissingError, match=r"gone \(chosen in QGIS\) does not exist; choose another"):
        locate.find_engine()


def test_the_plugins_own_environment_comes_last(locate):
    own = locate.own_environment() / "bin"
    own.mkdir(parents=True)
    try:
        path = script(own / "python", ANSWER % ("3.11.2", ""))
        assert locate.find_engine() == locate.Engine(path, "the plugin's own environment")
    finally:
        (own / "python").unlink()
        own.rmdir()


def test_a_folder_stands_for_its_interpreter(locate, tmp_path):
    (tmp_path / "bin").mkdir()
    assert locate.interpreter_in(str(tmp_path)) == str(tmp_path / "bin/python")
    (tmp_path / "Scripts").mkdir()
    (tmp_path / "Scripts/python.exe").touch()
    assert locate.interpreter_in(str(tmp_path)) == str(tmp_path / "Scripts/python.exe")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([ANSWER % ("3.9.5", "")], "is version 3.9.5, and 3.11 or later is needed"),
        ([ANSWER % ("3.12.0", '"torch", "rasterio"')], "lacks torch, rasterio"),
        (["echo hello"], "does not answer like a Python (exit 0)"),
        (["echo no such module >&2", "exit 7"], "does not answer like a Python (exit 7: no such module)"),
        (["sleep 20"], "did not answer within"),
    ],
)
def test_what_is_wrong_with_a_python_is_said(locate, tmp_path, monkeypatch, lines, words):
    monkeypatch.setattr(locate, "_PROBE_SECONDS", 0.5 if "sleep" in lines[0] else 20)
    assert words in locate.check_python(script(tmp_path / "python", *lines))


def test_a_file_that_is_no_program(locate, tmp_path):
    path = tmp_path / "python"
    path.write_text("text")
    assert "cannot be started" in locate.check_python(str(path))


def test_qgis_itself_is_never_started(locate, tmp_path):
    path = script(tmp_path / "qgis-bin.exe", f"touch {tmp_path}/started")
    assert "is QGIS itself" in locate.check_python(path)
    assert not (tmp_path / "started").exists()


def test_qgis_own_python_lacks_the_engine(locate):
    problem = locate.check_python(sys.executable)
    assert problem == "" or "lacks" in problem  # a developer may have torch there


def test_a_good_answer_is_asked_for_once_and_a_changed_file_again(locate, tmp_path):
    path = script(tmp_path / "python", f"echo x >> {tmp_path}/asked", ANSWER % ("3.12.0", ""))
    assert [locate.check_python(path) for _ in range(3)] == ["", "", ""]
    assert len((tmp_path / "asked").read_text().split()) == 1
    os.utime(path, (1, 1))
    locate.check_python(path)
    assert len((tmp_path / "asked").read_text().split()) == 2


def test_a_package_that_arrives_is_noticed(locate, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "_RETRY_SECONDS", 0)
    path = script(tmp_path / "python", f"[ -e {tmp_path}/installed ] && " + ANSWER % ("3.12.0", ""),
                  f"[ -e {tmp_path}/installed ] || " + ANSWER % ("3.12.0", '"torch"'))  # fmt: skip
    assert locate.check_python(path) == "lacks torch"
    (tmp_path / "installed").touch()
    assert locate.check_python(path) == ""


def test_the_child_inherits_nothing_of_qgis(package):
    clean = package("engine.environment").child_environment
    dirty = {
        "PATH": "/usr/bin",
        "HOME": "/home/u",
        "HTTPS_PROXY": "http://proxy:8080",
        "PYTHONHOME": "/qgis/python",
        "PYTHONPATH": "/qgis/python",
        "PYTHONSTARTUP": "x",
        "PROJ_LIB": "/qgis/proj",
        "PROJ_DATA": "/qgis/proj",
        "GDAL_DATA": "/qgis/gdal",
        "GDAL_DRIVER_PATH": "/qgis/gdal",
        "GDAL_CACHEMAX": "64",
        "QGIS_PREFIX_PATH": "/qgis",
        "VIRTUAL_ENV": "/v",
        "LD_LIBRARY_PATH": "/qgis/lib",
        "LD_PRELOAD": "x.so",
        "DYLD_LIBRARY_PATH": "/qgis/lib",
        "SSL_CERT_FILE": "/qgis/bin/ca.pem",
        "CURL_CA_BUNDLE": "/etc/company.pem",
    }
    assert clean(dirty, "/plugin", "/qgis", windows=False) == {
        "PATH": "/usr/bin",
        "HOME": "/home/u",
        "HTTPS_PROXY": "http://proxy:8080",
        "GDAL_CACHEMAX": "64",
        "CURL_CA_BUNDLE": "/etc/company.pem",
        "PYTHONPATH": "/plugin",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONNOUSERSITE": "1",
    }


def test_on_windows_the_library_folders_of_qgis_leave_the_path(package):
    clean = package("engine.environment").child_environment
    path = "/qgis/bin;/windows;/qgis/apps/qt/bin;/qgisother"
    assert clean({"Path": path}, "/plugin", "/qgis", windows=True)["Path"] == "/windows;/qgisother"
    assert clean({"PATH": "/usr/bin:/bin"}, "/plugin", "/usr", windows=False)["PATH"] == "/usr/bin:/bin"


def test_the_probe_loads_what_is_there_and_names_what_is_not(package):
    examine = package("engine.probe").examine
    found = examine(["json", "no_such_module", "no_such.module"], load=False)
    assert found["missing"] == ["no_such_module", "no_such.module"]
    assert found["versions"] == {}
    assert examine(["json:no_such_function"], load=True)["faults"].keys() == {"json"}
    assert examine(["json"], load=True)["versions"].keys() == {"json"}
