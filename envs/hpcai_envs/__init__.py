"""Gymnasium environments over hpcai's simulators.

The package is installed as ``hpcai_envs``; environments are reached by id with the module in front,
``gymnasium.make("hpcai_envs:hpcai/<Name>-v<N>")``. None is registered yet: the first is the scheduling
environment.
"""
