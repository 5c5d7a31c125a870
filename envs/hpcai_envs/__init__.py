"""Gymnasium environments over hpcai's simulators.

Environments are reached by id with the module in front, ``gymnasium.make("hpcai_envs:hpcai/Scheduling-v0")``, or by
id alone once this package is imported. Nothing heavy is imported until one is made.
"""

from gymnasium.envs.registration import register

register(id="hpcai/Scheduling-v0", entry_point="hpcai_envs.scheduling:SchedulingEnv")
register(id="hpcai/Placement-v0", entry_point="hpcai_envs.placement:PlacementEnv")
register(id="hpcai/Preemption-v0", entry_point="hpcai_envs.preemption:PreemptionEnv")
register(id="hpcai/Cooling-v0", entry_point="hpcai_envs.cooling:CoolingEnv")
register(id="hpcai/DevicePlacement-v0", entry_point="hpcai_envs.device_placement:DevicePlacementEnv")
register(id="hpcai/Checkpoint-v0", entry_point="hpcai_envs.checkpoint:CheckpointEnv")
register(id="hpcai/Drain-v0", entry_point="hpcai_envs.drain:DrainEnv")
register(id="hpcai/Operations-v0", entry_point="hpcai_envs.operations:OperationsEnv")
