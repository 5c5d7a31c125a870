"""The replays of an evaluation shared out among workers, each of which writes its own into the one folder."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.inputs import Input, prepare_all
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.replays import by_window, replay_cells
from hpcai.evaluation.store import Cell, Cells
from hpcai.launching import WORKERS, Launch, Task, launch


@dataclass(frozen=True)
class Share(Task):
    """The cells of one worker."""

    config: EvaluationConfig
    cells: tuple[Cell, ...]

    def __call__(self) -> None:
        """Replay those that are not there yet."""
        with Progress(0, "replays", quiet=True) as progress:
            cells = Cells(self.config.out)
            replay_cells(prepare_all(self.config), self.config, cells, progress, frozenset(self.cells))


def shares(windows: list[list[Cell]], workers: int) -> list[list[Cell]]:
    """Deal whole windows out to the workers, so that a fair start is found once; single cells if there are few."""
    pieces = windows if len(windows) >= workers else [[cell] for window in windows for cell in window]
    return [list(chain.from_iterable(pieces[k::workers])) for k in range(min(workers, len(pieces)))]


def fan_out(sources: list[Input], config: EvaluationConfig, cells: Cells, how: Launch, quiet: bool) -> None:
    """Have workers replay whatever is not there yet."""
    every = list(by_window(sources))
    missing = [left for window in every if (left := [cell for cell in window if not cells.has(cell)])]
    unseen, total = set(chain.from_iterable(missing)), sum(map(len, every))

    def watch(_: int) -> None:
        unseen.difference_update([cell for cell in unseen if cells.has(cell)])
        progress.reach(total - len(unseen))

    with Progress(total, "replays", quiet) as progress:
        tasks = [Share(config, tuple(share)) for share in shares(missing, how.workers)]
        launch(tasks, how, cells.path / WORKERS, watch=watch)
