"""``hpcai live replay``; whatever is heavy is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer


def replay_command(
    log: Annotated[str, typer.Argument(metavar="LOG", help="Decision log, decisions.jsonl, with its older files.")],
    bundle: Annotated[str, typer.Option(help="Exported policy.")],
) -> None:
    """Take every decision of a log again, and say whether the policy decides the same; exit code 1 if not."""
    import time

    from hpcai.errors import InputError
    from hpcai.live.decision_log import read_log
    from hpcai.live.ranking import load_ranker
    from hpcai.live.slurm.replay import replay_log

    ranker = load_ranker(bundle)
    done = replay_log(read_log(log), ranker)
    if done.others and not done.decisions:
        raise InputError(f"decision log {log}: no decision of the bundle {ranker.bundle.digest}, only of others")
    same = done.decisions - len(done.differing)
    print(f"{same} of {done.decisions} decisions are the same again; {done.without} looks decided nothing")
    if done.others:
        print(f"{done.others} decisions were those of another bundle")
    if done.differing:
        first = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(done.differing[0]))
        print(f"the first that differs: {first}")
        raise typer.Exit(1)
