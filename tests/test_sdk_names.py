"""Files written for the VideoSDK SDK where that is not installed, or is not as it was: what is said, and when.

A small package of its name stands for it here; the real one is in `tests/sdk`.
"""

from pathlib import Path

import pytest

from tests.test_loading import run_once

JOB = """
from dataclasses import dataclass

@dataclass
class Options:
    agent_id: str = "VideoSDKAgent"
    max_processes: int = 1
    new_of_theirs: int = 0

class RoomOptions:
    transport_mode = "videosdk"

class JobContext:
    def __init__(self, *, room_options, metadata=None): ...
    async def connect(self): ...
    async def shutdown(self): ...
    def notify_meeting_joined(self): ...
    def _set_pipeline_internal(self, pipeline): ...

class WorkerJob:
    def __init__(self, entrypoint, jobctx=None, options=None):
        self.entrypoint, self.jobctx, self.options = entrypoint, jobctx, options or Options()
    def start(self):
        raise SystemExit("the SDK's own worker was started")

def _set_current_job_context(context): ...
def _reset_current_job_context(token): ...
"""
AGENT = """
from videosdk.agents.job import Options, WorkerJob
async def entrypoint(ctx): pass
WorkerJob(entrypoint, options=Options("named", max_processes=3)).start()
"""
WEBSOCKET = """
class WebSocketTransportHandler:
    async def connect(self): ...
    async def disconnect(self): ...
    async def _handle_connection(self, socket): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An agent beside something that looks like the SDK."""
    files = {
        "agent.py": AGENT,
        "videosdk/__init__.py": "",
        "videosdk/agents/__init__.py": "",
        "videosdk/agents/version.py": '__version__ = "9.9.9"',
        "videosdk/agents/job.py": JOB,
        "videosdk/agents/event_bus.py": "global_event_emitter = object()",
        "videosdk/agents/transports/__init__.py": "",
        "videosdk/agents/transports/websocket_handler.py": WEBSOCKET,
    }
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "gone", "missing"),
    [
        ("job.py", "def _set_current_job_context(context): ...", "videosdk.agents.job._set_current_job_context"),
        ("job.py", "def notify_meeting_joined(self): ...", "videosdk.agents.job.JobContext.notify_meeting_joined"),
        ("job.py", "def start(self):", "videosdk.agents.job.WorkerJob.start"),
        ("event_bus.py", "global_event_emitter = object()", "videosdk.agents.event_bus.global_event_emitter"),
    ],
)
def test_a_name_that_the_sdk_has_no_more_is_told_in_one_sentence_with_its_version(
    project: Path, file: str, gone: str, missing: str
) -> None:
    path = project / "videosdk" / "agents" / file
    assert gone in path.read_text()
    path.write_text(path.read_text().replace(gone, "def of_another_name(*_):" if gone.endswith(":") else "pass"))
    code, output, _ = run_once(project, "agent.py", "--port", "0")
    assert code == 3
    if missing.endswith("WorkerJob.start"):
        (project / "agent.py").write_text(AGENT.replace(".start()", ""))
        code, output, _ = run_once(project, "agent.py", "--port", "0")
        assert code == 3
    assert f"videosdk-agents 9.9.9 has no {missing}, which its agents cannot be run without" in output
    assert "Traceback" not in output


def test_the_sdks_own_worker_is_not_started_and_what_the_file_says_of_options_holds(project: Path) -> None:
    code, output, _ = run_once(project, "agent.py", "--log-format", "json", "--port", "0")
    assert "the SDK's own worker" not in output
    assert '"agent_id": "named"' in output, (code, output)
    assert '"max_processes": 3' in output


def test_without_the_sdk_its_import_error_says_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        "import sys\nsys.modules['videosdk'] = None  # as if it were not installed\n"
        "from videosdk.agents import WorkerJob\n"
    )
    code, output, _ = run_once(tmp_path, "agent.py", "--port", "0")
    assert code == 3
    assert "ModuleNotFoundError: " in output
    assert "pip install 'agent-workbench[sdk]'" in output
    assert "from workbench import ..." in output
    assert "agent.py:3" in output


def test_another_module_that_is_missing_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("import videosdk_of_mine\nasync def entrypoint(ctx): pass\n")
    code, output, _ = run_once(tmp_path, "agent.py", "--port", "0")
    assert code == 3
    assert "No module named 'videosdk_of_mine'" in output
    assert "agent-workbench[sdk]" not in output
