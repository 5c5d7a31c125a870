"""A training of a cooling controller from beginning to end."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from hpcai.evaluation.cooling.controllers import NETWORK_FILE
from hpcai.evaluation.progress import Progress
from hpcai.learning.clock import Clock
from hpcai.learning.cooling.config import SEARCHED, CoolingTraining
from hpcai.learning.cooling.run_folder import CoolingRunFolder
from hpcai.learning.cooling.scoring import Score, play_days, score, spread_days

_VALIDATION_FIRST, _VALIDATION_DAYS = 21, 4  # of a month; as the environment's part 'validation'


@dataclass(frozen=True)
class CoolingTrained:
    """What came out: the best score in validation, or of a search; of evolution relative to its beginning."""

    best: Score | float
    interrupted: bool = False


def train_cooling(config: CoolingTraining, quiet: bool = True) -> CoolingTrained:
    """Find the controller that a configuration asks for and write it into its folder.

    An interrupt ends it with the best controller so far. Raises InputError for a file that cannot be used and
    PlantError if a plant breaks down.
    """
    folder = CoolingRunFolder(config)
    if config.method in SEARCHED:
        from hpcai.learning.cooling.search import search

        trained = CoolingTrained(search(config, folder, quiet))
    elif config.method == "evolution":
        from hpcai.learning.cooling.evolution import evolve_policy

        trained = CoolingTrained(evolve_policy(config, folder, quiet))
    else:
        trained = _train_agent(config, folder, quiet)
    folder.finish()
    return trained


def _train_agent(config: CoolingTraining, folder: CoolingRunFolder, quiet: bool) -> CoolingTrained:
    from hpcai.cooling.controllers.learned import Learned
    from hpcai.learning.cooling.agent import Watch, actor_of, learn, make_agent, make_env
    from hpcai.learning.cooling.offline import make_offline_agent

    halls = [config.case(weather).open() for weather in config.weather]
    days = spread_days(config.validation_episodes, _VALIDATION_FIRST)
    best: list[Score] = []
    clock = Clock(config.limits)
    with ExitStack() as stack:
        for hall in halls:
            stack.callback(hall.plant.close)
        env = stack.enter_context(closing(make_env(config, config.days)))
        agent = make_offline_agent(config, env) if config.method == "td3-bc" else make_agent(config, env)
        total = int(config.limits.steps) if config.limits.steps < float("inf") else 10**9
        progress = stack.enter_context(Progress(total, "steps", quiet))

        def validate(steps: int) -> None:
            network = actor_of(agent, config, halls[0].plant.design_power)
            found = score(
                config,
                [record for hall in halls for record in play_days(hall, Learned(network), days, _VALIDATION_DAYS)],
            )
            row = {"steps": steps, "seconds": round(clock.seconds, 1), "score": found.value}
            folder.append(row | {"kwh_a_day": found.energy, "hot_degree_hours_a_day": found.hot_degree_hours})
            if not best or found.value < best[-1].value:
                best.append(found)
                folder.write_controller({"kind": "learned", "network": NETWORK_FILE}, network)

        watch = Watch(clock, config.validate_every, validate, lambda _: progress.reach(clock.steps))
        interrupted = False
        try:
            learn(agent, watch)
        except KeyboardInterrupt:
            interrupted = True
        if not best:
            validate(clock.steps)
    return CoolingTrained(best[-1], interrupted)
