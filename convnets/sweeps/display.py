"""The trials while they run: a live table on a terminal, plain lines elsewhere."""

from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from convnets.sweeps.sweep import Sweep
from convnets.sweeps.table import cell, differing, duration, short_name
from convnets.sweeps.trials import COMPLETE, FAILED, PRUNED, RUNNING, WAITING, Trial

COLOURS = {COMPLETE: "green", PRUNED: "yellow", FAILED: "red", RUNNING: "bold", WAITING: "dim"}
DONE = (COMPLETE, PRUNED, FAILED)
REST = 8
"""Lines of the terminal that the table leaves to its frame, the bar and what was said before."""


class Display:
    """Where an engine shows its trials. A context manager."""

    def __init__(self, console: Console, sweep: Sweep):
        self.console, self.sweep = console, sweep
        self._said: dict[int, str] = {}
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("trials", total=sweep.trials, counts="")
        if console.is_terminal:
            self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trials: Sequence[Trial]) -> None:
        """As `engines.Screen`; elsewhere than on a terminal a line for each trial that begins or ends."""
        if self._live is not None:
            self._live.update(self.picture(trials), refresh=True)
            return
        for trial in trials:
            if trial.state != self._said.get(trial.number) and trial.state != WAITING:
                self._said[trial.number] = trial.state
                self.say(self._line(trial))

    def say(self, line: str) -> None:
        """As `engines.Screen`."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def picture(self, trials: Sequence[Trial]) -> Group:
        """The table of the trials that there is room for, those that run first, and a bar of all."""
        counts = Counter(trial.state for trial in trials)
        words = "  ".join(f"{counts[state]} {state}" for state in (RUNNING, *DONE) if counts[state])
        done = sum(counts[state] for state in DONE)
        self._bar.update(self._task, completed=done, total=max(self.sweep.trials, len(trials)), counts=words)
        shown = sorted((trial for trial in trials if trial.state != WAITING), key=self._place)
        shown = shown[: max(self.console.height - REST, 1)]
        fields = differing([trial.values for trial in shown])
        table = Table("trial", *(short_name(name, fields) for name in fields))
        for name in (self.sweep.metric, "done", "time"):
            table.add_column(name, justify="right")
        table.add_column("state")
        for trial in shown:
            table.add_row(
                f"{trial.number:04}",
                *(escape(cell(trial.values.get(name, ""))) for name in fields),
                "" if trial.value is None else f"{trial.value:.4f}",
                f"{trial.step / trial.steps:.0%}" if trial.steps else "",
                duration(trial.seconds),
                f"[{COLOURS[trial.state]}]{trial.state}[/]",
            )
        return Group(table, self._bar)

    def _place(self, trial: Trial) -> tuple[int, float, int]:
        """Those that run, then the best of the complete ones, then the others."""
        rank = 0.0 if trial.value is None else -trial.value if self.sweep.higher else trial.value
        if trial.state == RUNNING:
            return 0, 0.0, trial.number
        return 1 + DONE.index(trial.state), rank, trial.number

    def _line(self, trial: Trial) -> str:
        values = "  ".join(f"{name}={cell(value)}" for name, value in trial.values.items())
        if trial.state == FAILED:
            return f"trial {trial.number:04} failed  {values}: {trial.error}"
        figure = "" if trial.value is None else f"  {self.sweep.metric} {trial.value:.4f}"
        return f"trial {trial.number:04} {trial.state}{figure}  {values}"
