"""The plant that cools a cluster: thermal models, controllers, and EnergyPlus behind the same interface."""
