import subprocess
import sys

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing())
from realtime_facade.cli.main import app
app()
"""


def run_without(module: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(module=module)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_its_extra_the_command_says_what_to_install():
    done = run_without("typer")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "The realtime-facade command needs the package 'typer', which is not installed "
        '(pip install "realtime-facade[cli]")'
    ]


def test_a_fault_of_our_own_is_not_blamed_on_an_extra():
    done = run_without("realtime_facade.cli.commands")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
