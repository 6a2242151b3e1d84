"""The plugin's own environment: made for real from a folder of wheels, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Where the module is not called like its distribution.
_MODULES = {"pillow": "PIL", "pyyaml": "yaml"}

_TORCH = """
from types import SimpleNamespace
ops = SimpleNamespace(torchvision=SimpleNamespace(nms=None, qnms=None))
cuda = SimpleNamespace(device_count=lambda: 1, get_device_name=lambda i: "Card")
backends = SimpleNamespace()
"""


def write_wheel(folder, name, version, text="", module=None):
    """Write a wheel of one module."""
    module, dist = module or _MODULES.get(name, name), f"{name.replace('-', '_')}-{version}"
    files = {
        f"{module}.py": f'__version__ = "{version}"\n{text}',
        f"{dist}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{dist}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{dist}.dist-info/RECORD"])
    with zipfile.ZipFile(folder / f"{dist}-py3-none-any.whl", "w") as archive:
        for path, content in {**files, f"{dist}.dist-info/RECORD": record}.items():
            archive.writestr(path, content)


def write_wheels(folder, requirements, leave_out=(), texts=None):
    """Write a wheel of the oldest version that each requirement allows; ``texts`` replaces what a module holds."""
    folder.mkdir(exist_ok=True)
    texts = {"torch": _TORCH, **(texts or {})}
    for requirement in requirements:
        name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
        if name not in leave_out:
            write_wheel(folder, name, version, texts.get(name, ""))
    return str(folder)


@pytest.fixture
def install(package):
    return package("engine.install")


@pytest.fixture
def own(install):
    """The folder of the environment, away before and after."""
    place = install.own_environment()
    shutil.rmtree(place.parent, ignore_errors=True)
    yield place
    shutil.rmtree(place.parent, ignore_errors=True)


@pytest.fixture
def wheels(package, tmp_path):
    requirements = package("engine.requirements").REQUIREMENTS
    return lambda **more: write_wheels(tmp_path / "wheels", requirements, **more)


@pytest.fixture
def python(package):
    """A Python that can make environments."""
    found = package("engine.pythons").find_python()
    if found is None:
        pytest.skip("needs a Python 3.11 or later with venv")
    return found


def left(own):
    return sorted(p.name for p in own.parent.iterdir()) if own.parent.is_dir() else []


def script(path, *lines):
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_plugin_asks_for_what_the_engine_depends_on(package):
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE).group(1)
    needs = package("engine.requirements")
    assert list(needs.REQUIREMENTS) == re.findall(r'"([^"]+)"', block)
    assert {re.split("[>=]", r)[0] for r in needs.REQUIREMENTS} >= set(needs.PACKAGES)
    assert needs.TORCH[0] in needs.REQUIREMENTS


def test_an_environment_from_a_folder_of_wheels_replaces_the_old_one_and_is_found(
    package, install, own, wheels, python, feedback
):
    (own / "old").mkdir(parents=True)
    heard = feedback()
    folder = wheels()
    record = install.set_up(python, package("engine.steps").Source(folder), heard)
    assert left(own) == ["engine", "engine.log"]
    assert not (own / "old").exists()
    assert (record.plugin, record.packages["torch"], record.packages["numpy"]) == ("0.1.0", "2.4", "1.26")
    assert record.devices == ("cpu", "cuda:0 Card")
    assert package("engine.record").read_record(own) == record
    # every command was shown before it ran, and none reached for the network
    commands = heard.said("pushCommandInfo")
    assert len(commands) == 2
    assert "-m venv" in commands[0]
    assert f"--no-index --find-links {folder}" in commands[1]
    assert "Successfully installed" in (own.parent / "engine.log").read_text("utf-8")
    locate = package("engine.locate")
    assert locate.find_engine() == locate.Engine(str(own / "bin/python"), locate.OWN)
    # another version of the plugin with the same needs goes on with it; other needs ask for another set-up
    kept = json.loads((own / "wsss_geo_engine.json").read_text("utf-8"))
    (own / "wsss_geo_engine.json").write_text(json.dumps({**kept, "plugin": "0.0.9"}))
    assert locate.find_engine().origin == locate.OWN
    (own / "wsss_geo_engine.json").write_text(json.dumps({**kept, "plugin": "0.0.9", "requirements": ["torch>=1"]}))
    with pytest.raises(locate.EngineMissingError, match=r"version 0\.0\.9 .* 0\.1\.0 needs other packages; set it up"):
        locate.find_engine()
    install.remove_environment()
    assert left(own) == ["engine.log"]
    with pytest.raises(locate.EngineMissingError, match="none is set up"):
        locate.find_engine()


def test_cancel_in_the_middle_leaves_nothing_and_the_old_environment_stays(
    package, install, own, wheels, python, feedback
):
    (own / "old").mkdir(parents=True)
    heard = feedback(lambda: heard.said("pushConsoleInfo"))  # pip has begun: venv says nothing
    assert install.set_up(python, package("engine.steps").Source(wheels()), heard) is None
    assert heard.cancelled_at is not None
    assert "pip install" in heard.said("pushCommandInfo")[-1]
    assert left(own) == ["engine", "engine.log"]
    assert (own / "old").is_dir()
    assert not [p for p in Path("/proc").glob("[0-9]*") if b"engine.part" in command_line(p)]


def command_line(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def fake_python(package, tmp_path):
    """A Python whose environments have a Python that does what the function is called with."""

    def make(*lines):
        inner = script(tmp_path / "inner", *lines)
        path = script(tmp_path / "python", f'mkdir -p "$4/bin" && cp {inner} "$4/bin/python"')
        return package("engine.pythons").Python(path, "3.12.1")

    return make


#: What pip prints, whose Python it ends with exit 1, and what the user is told.
FAULTS = [
    ("ERROR: No matching distribution found for torch>=2.4", "has no wheel of torch>=2.4 for Python 3.12.1"),
    ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ("PermissionError: [WinError 5] Access is denied", "antivirus"),
    ("something else", "Install the packages failed (exit 1); the log tells more"),
]


@pytest.mark.parametrize(("line", "words"), FAULTS)
def test_a_failed_step_leaves_nothing_but_its_log(package, install, own, wheels, fake_python, feedback, line, words):
    python, folder = fake_python(f"echo '{line}' >&2", "exit 1"), wheels()
    with pytest.raises(install.SetUpError, match=re.escape(words)) as caught:
        install.set_up(python, package("engine.steps").Source(folder), feedback())
    assert caught.value.log[-1] == line
    assert left(own) == ["engine.log"]
    assert line in (own.parent / "engine.log").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("WARNING: Retrying after NewConnectionError: Temporary failure in name resolution", "cannot be reached"),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "certificate is not trusted"),
        ("ERROR: No matching distribution found for numba>=0.60", "index has no wheel of numba>=0.60"),
    ],
)
def test_what_the_network_did_is_said(package, line, words):
    # an index that cannot be reached makes pip say, at the end, that there is no such package
    log = [line, "ERROR: No matching distribution found for torch"] if "numba" not in line else [line]
    assert words in package("engine.faults").explain("Install", 1, log, "", "3.12.1")


def test_a_package_that_does_not_load_is_named(package, install, own, wheels, fake_python, feedback):
    answer = '{"type": "result", "python": "3.12.1", "missing": ["timm"], "versions": {}, "faults": %s}'
    faults = '{"torch": "OSError: [WinError 126] DLL"}'
    python = fake_python(f"echo '@wsss-geo {answer % faults}'")
    with pytest.raises(install.SetUpError, match=r"but timm, torch cannot be loaded .*Visual C\+\+") as caught:
        install.set_up(python, package("engine.steps").Source(wheels()), feedback())
    assert caught.value.log[-1] == "torch: OSError: [WinError 126] DLL"
    assert left(own) == ["engine.log"]


def test_an_engine_of_another_version_is_refused(package, install, own, wheels, fake_python, feedback):
    answer = '{"type": "result", "python": "3.12.1", "missing": [], "versions": {"wsss_geo": "0.0.1"}, "faults": {}}'
    python = fake_python(f"echo '@wsss-geo {answer}'")
    with pytest.raises(install.SetUpError, match=r"loads version 0\.0\.1 .* plugin is version 0\.1\.0"):
        install.set_up(python, package("engine.steps").Source(wheels()), feedback())
    assert left(own) == ["engine.log"]


def test_too_little_room_and_an_empty_folder_are_told_before_anything_is_made(
    package, install, own, tmp_path, monkeypatch, feedback
):
    steps, python = package("engine.steps"), package("engine.pythons").Python("/none", "3.12.1")
    with pytest.raises(install.SetUpError, match="holds no wheels"):
        install.set_up(python, steps.Source(str(tmp_path)), feedback())
    monkeypatch.setattr(install, "bytes_needed", lambda source: 1 << 60)
    with pytest.raises(install.SetUpError, match=r"needs about 1152921504\.6 GB .* are free"):
        install.set_up(python, steps.Source(), feedback())
    assert left(own) == []


def test_the_commands_from_the_network_take_wheels_alone(package, tmp_path):
    steps = package("engine.steps")
    venv, torch, rest = steps.steps("/usr/bin/python3", steps.Source(build=steps.CPU), tmp_path)
    assert venv.command == ("/usr/bin/python3", "-I", "-m", "venv", str(tmp_path))
    for step in (torch, rest):
        assert step.command[:4] == (str(tmp_path / "bin/python"), "-I", "-m", "pip")
        assert " --only-binary :all: " in steps.shown(step.command)
    assert torch.command[-3:] == ("https://download.pytorch.org/whl/cpu", "torch>=2.4", "torchvision")
    assert "--index-url" not in rest.command
    assert len(steps.steps("/usr/bin/python3", steps.Source(), tmp_path)) == 2


def test_pip_sees_the_proxy_of_qgis_and_nothing_else_of_it(install, tmp_path, monkeypatch):
    from qgis.core import QgsSettings

    monkeypatch.setenv("PYTHONHOME", "/qgis")
    monkeypatch.setenv("PIP_INDEX_URL", "https://company.example/simple")
    assert install.proxy() == {}
    values = {
        "proxyEnabled": True,
        "proxyType": "HttpProxy",
        "proxyHost": "gate",
        "proxyPort": "8080",
        "proxyUser": "me",
    }
    for name, value in {**values, "proxyPassword": "a@b"}.items():
        QgsSettings().setValue(f"proxy/{name}", value)
    try:
        found = install.pip_environment(tmp_path, offline=False)
        assert found["HTTPS_PROXY"] == "http://me:a%40b@gate:8080"
        assert found["PIP_INDEX_URL"] == "https://company.example/simple"
        assert not {"PYTHONHOME", "PYTHONPATH"} & found.keys()
        assert found["TMPDIR"] == str(tmp_path)
        assert "PIP_INDEX_URL" not in install.pip_environment(tmp_path, offline=True)
    finally:
        QgsSettings().remove("proxy")


PROBED = 'echo \'@wsss-geo {"type": "result", "python": "%s", "missing": [%s]}\''


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([PROBED % ("3.10.2", "")], "is version 3.10.2, and 3.11 or later is needed"),
        ([PROBED % ("3.12.2", '"ensurepip"')], "lacks ensurepip; install them"),
        (["exit 9"], "does not answer like a Python (exit 9)"),
    ],
)
def test_a_wrong_python_is_refused(package, tmp_path, lines, words):
    pythons = package("engine.pythons")
    with pytest.raises(pythons.PythonError, match=re.escape(words)):
        pythons.examine(script(tmp_path / "python", *lines))


def test_pythons_are_searched_best_first_and_the_broken_passed_over(package, tmp_path, monkeypatch):
    pythons = package("engine.pythons")
    script(tmp_path / "python3.12", "exit 1")
    script(tmp_path / "python3.11", PROBED % ("3.11.4", ""))
    script(tmp_path / "python3", PROBED % ("3.9.2", ""))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = [Path(p).name for p in pythons.candidates() if Path(p).parent == tmp_path]
    assert found == ["python3.12", "python3.11", "python3"]
    assert pythons.find_python() == pythons.Python(str(tmp_path / "python3.11"), "3.11.4")
    monkeypatch.setattr(pythons, "_places", lambda: iter(()))
    assert pythons.find_python() is None
    with pytest.raises(pythons.PythonError, match="belongs to QGIS"):
        pythons.examine(script(tmp_path / "qgis-bin", "exit 0"))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(pythons.QgsApplication, "prefixPath", lambda: str(tmp_path / "apps/qgis"))
    assert pythons.of_qgis(str(tmp_path / "apps/Python312/python.exe"))
    assert not pythons.of_qgis("/other/python.exe")
