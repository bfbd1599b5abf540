"""Which generation serves and which is on its way: loaded, probed by one process, promoted or given up."""

import asyncio
import os
import time
from collections.abc import Callable

from workbench.agent.problem import Problem
from workbench.model import events as ev
from workbench.model.errors import AgentError, WorkbenchError
from workbench.model.paths import current_folder
from workbench.model.settings import Layers, Settings
from workbench.process import descriptors
from workbench.process.child import Child
from workbench.process.launcher import Zygote
from workbench.process.sampling import PAGE_MB, CpuClock
from workbench.supervisor.code_options import Change, CodeOptions
from workbench.supervisor.generations import Generation, Loader
from workbench.supervisor.hearing import log_records
from workbench.supervisor.logs import Source
from workbench.supervisor.shell import Shell
from workbench.supervisor.words import telling_line, without_scaffold


class Reloading:
    """The generations of one worker.

    Args:
        use: puts new settings to work.
        give_up: called with the error when the first generation failed and nobody waits for a save.
        abandon: called with a generation whose zygote has ended: it announces nothing more.
    """

    def __init__(
        self,
        shell: Shell,
        layers: Layers,
        target: str,
        start_method: str | None,
        waits_for_save: bool,
        use: Callable[[Settings], None],
        give_up: Callable[[WorkbenchError], None],
        abandon: Callable[[int], None],
    ) -> None:
        self._shell, self._core, self._layers = shell, shell.core, layers
        self._target, self.start_method = target, start_method
        self._use, self._give_up, self._abandon = use, give_up, abandon
        self._waits_for_save = waits_for_save
        self.serving: Generation | None = None
        self.loading: Generation | None = None
        self.loaded = asyncio.Event()
        self.root = ""
        self.files: list[str] = []
        self.failed_files: list[str] = []
        self.closed = False
        self._again: asyncio.TimerHandle | None = None
        self._options = CodeOptions(layers, target)
        self._noted_sdk_only = False

    def connect(self, loader: Loader) -> None:
        """What starts zygotes."""
        self._loader = loader

    def boot(self) -> None:
        """Start the first zygote: it loads the agent while this process imports the rest."""
        self.loading = self._loader.begin([], [])

    def listen(self) -> None:
        """The loop runs: hear the first zygote."""
        assert self.loading is not None
        self._shell.publish(ev.ReloadStarted(at=time.time(), generation=self.loading.number, changed=[]))
        self._loader.listen(self.loading, self._shell.settings.options.initialize_timeout)

    def reload(self, changed: list[str]) -> int:
        """Load the agent again beside the running generation; the new generation's number.

        The newest save wins: one that is loading already is given up.
        """
        if self.closed:
            return self._shell.state.reload.generation
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.loading is not None:
            replaced, self.loading = self.loading, None
            self._core.generation_dropped(self._shell.now())
            self._loader.drop(replaced, kill=True)
        try:
            generation = self.loading = self._loader.begin(changed, self._to_check(changed))
        except OSError as error:
            self._cannot_start(error, changed)
            return self._shell.state.reload.generation
        self._shell.publish(ev.ReloadStarted(at=time.time(), generation=generation.number, changed=changed))
        self._loader.listen(generation, self._shell.settings.options.initialize_timeout)
        return generation.number

    def _to_check(self, changed: list[str]) -> list[str]:
        """A saved file that surely is imported again: none that import it were saved. The agent's own always is."""
        imported = [path for name in changed if (path := os.path.join(self.root, name)) in self.files]
        return imported if len(imported) == 1 and imported[0].endswith(".py") else []

    def close(self) -> None:
        """No news matters any more; every zygote is ended."""
        self.closed = True
        if self._again is not None:
            self._again.cancel()
        self._loader.close()

    # --- news -----------------------------------------------------------------------------------

    def told(self, generation: Generation, news: str) -> None:
        """What the loader tells of a generation: `loaded`, `failed`, `slow` or `lost`."""
        if generation is self.serving and not self.closed:
            self._serving_lost(generation)
        if news in ("failed", "lost"):
            self._abandon(generation.number)
        if self.closed or generation is not self.loading:
            return
        if news == "slow":
            self._slow(generation)
        elif news == "loaded":
            self._loaded(generation)
        else:
            if generation.problem is None:
                generation.problem = Problem("", f"its zygote {generation.ended} before a process was ready")
            self._failed(generation)
        self._shell.flush()

    def child_ready(self, child: Child) -> None:
        """A process is ready: if it is the probe, its generation serves from now on."""
        generation = self.loading
        if generation is not None and generation.number == child.generation and generation.loaded is not None:
            self._promote(generation, child)

    def not_started(self, number: int, words: str, problem: Problem | None = None) -> None:
        """A process of a generation did not become ready: if it was the probe, the generation fails."""
        generation = self.loading
        if generation is None or generation.number != number:
            return
        if self.serving is None and not self._core.boot_failed:
            return  # it may try again
        generation.problem = problem or Problem("", words)
        self._loader.drop(generation, kill=True)
        self._failed(generation)

    def roll_back(self, number: int, why: str) -> None:
        """The processes of a generation that serves do not stay: the one before it serves again."""
        failed, self.serving = self.serving, self._loader.by_number[self._core.pool.serving]
        assert failed is not None
        self._loader.drop(failed)
        self.failed_files = failed.files
        problem = Problem("", f"its processes did not stay once it served: {why}")
        try:
            self._use(self._options.take_back())
        except WorkbenchError as error:
            self._shell.logs.note("WARNING", f"the options of generation {number} hold on: {error}")
        self._tell_failure(number, problem)

    def settled(self, number: int) -> None:
        """A generation has proved itself: zygotes of older ones leave."""
        for older in [one for one in self._loader.by_number.values() if one.number < number]:
            self._loader.drop(older)

    def wrote(self, zygote: Zygote, lines: list[bytes], records: bool) -> None:
        """Output of a zygote, or of a base."""
        source, logs = Source(0, zygote.pid, zygote.generation), self._shell.logs
        if not records:
            logs.add(source, "INFO", "stdout", lines)
            return
        if dump := log_records(logs, source, lines, 0):
            logs.add(source, "WARNING", "stack", without_scaffold(dump))

    # --- steps ----------------------------------------------------------------------------------

    def _slow(self, generation: Generation) -> None:
        where = telling_line([generation.standing_at], self.root or current_folder())
        self._shell.publish(ev.ReloadStep(at=time.time(), generation=generation.number, step="loading", detail=where))

    def _loaded(self, generation: Generation) -> None:
        loaded = generation.loaded or {}
        self.root, self.files = loaded["root"], generation.files
        try:
            change = self._options.judge(loaded["options"])
        except WorkbenchError as error:
            generation.problem = Problem("OptionsError", str(error), exit_code=error.exit_code)
            self._loader.drop(generation, kill=True)
            self._failed(generation)
            return
        if not self.loaded.is_set():  # nobody knows the port before, nor how many processes to make
            self._options.take(change)
            self._use(change.settings)
        self._note_unused(loaded.get("sdk_only") or [])
        method = self.start_method or generation.start_method
        if method == "spawn":
            reasons = "; ".join(loaded["against_fork"]) or "asked for"
            self._shell.logs.note("WARNING", f"start method spawn, not zygote: {reasons}")
        self._shell.publish(ev.ReloadStep(at=time.time(), generation=generation.number, step="warming", detail=""))
        self._core.pool.cpus = max(1, int(CpuClock().cpus))  # as of now: a container's share may change
        self.loaded.set()
        limit_s = change.settings.options.initialize_timeout  # its own: a file that raises it must not fail by the old
        self._core.generation_loaded(generation.number, method, self._shell.now(), limit_s)

    def _promote(self, generation: Generation, probe: Child) -> None:
        loaded = generation.loaded or {}
        change: Change | None = None
        try:
            change = self._options.judge(loaded["options"])
        except WorkbenchError as error:  # a live change meanwhile was made with the old ones in view
            self._shell.logs.note("WARNING", f"the options of the older code hold on: {error}")
        else:
            self._options.take(change)
            if change.settings != self._shell.settings:
                self._use(change.settings)
        self.serving, self.loading = generation, None
        generation.served = True
        method = self.start_method or generation.start_method
        why = "; ".join(loaded.get("against_fork") or []) or "nothing stands against forking"
        took_ms = (time.monotonic() - generation.began) * 1e3
        self._core.desk.tell(
            ev.ReloadDone(
                at=time.time(), generation=generation.number, took_ms=round(took_ms, 1),
                start_method=method, start_method_why=why,
                import_ms=round(float(loaded.get("ms") or 0.0), 1),
                memory_mb=round(probe.files.memory_pages() * PAGE_MB, 1) if probe.files is not None else 0.0,
                needs_restart=change.needs_restart if change is not None else [],
                layered=generation.zygote.layered,
            )
        )  # fmt: skip
        self._core.generation_promoted(generation.number, self._shell.now())
        self._shell.flush()
        self._loader.bases.want(loaded.get("libraries") or [])

    def _failed(self, generation: Generation) -> None:
        self.loading = None
        problem = generation.problem or Problem("", "the agent cannot be loaded")
        self.failed_files = generation.files
        self._core.generation_dropped(self._shell.now())
        self._tell_failure(generation.number, problem)
        if self.serving is None and not self._waits_for_save:
            error = AgentError("\n".join([problem.headline(), *problem.excerpt()]))
            error.exit_code = problem.exit_code
            self._give_up(error)
        elif self.serving is not None and self.serving.number not in self._loader.by_number:
            self._load_later("nothing can be started: the serving generation's zygote died, and a new one failed")

    def _serving_lost(self, generation: Generation) -> None:
        """The serving zygote died: its jobs run on, new processes need a new one."""
        text = f"the zygote of generation {generation.number} {generation.ended}"
        self._shell.logs.note("ERROR", f"{text}; loading the agent again")
        self._load_later(text)

    def _load_later(self, why: str) -> None:
        delay_s = self._core.zygote_lost(why, self._shell.now())
        self._shell.flush()
        if self.loading is None and self._again is None:
            self._again = asyncio.get_running_loop().call_later(delay_s, self._load_again)

    def _load_again(self) -> None:
        self._again = None
        if self.loading is None and not self.closed:
            self.reload([])

    def _cannot_start(self, error: OSError, changed: list[str]) -> None:
        number = self._shell.state.reload.generation
        problem = Problem("", f"no process could be started to load the agent: {descriptors.words(error)}")
        self._shell.publish(ev.ReloadStarted(at=time.time(), generation=number, changed=changed))
        self._tell_failure(number, problem)
        if self.serving is not None and self.serving.number not in self._loader.by_number:
            self._load_later(problem.message)

    def _tell_failure(self, number: int, problem: Problem) -> None:
        serving = self.serving.number if self.serving is not None else 0
        self._shell.publish(
            ev.ReloadFailed(at=time.time(), generation=number, problem=problem.to_json(), serving=serving)
        )

    def _note_unused(self, names: list[str]) -> None:
        if names and not self._noted_sdk_only:
            self._noted_sdk_only = True
            listed = ", ".join(sorted(set(names)))
            self._shell.logs.note("WARNING", f"taken but not used here (fields of the VideoSDK SDK): {listed}")
