"""Learned rule over a whole site: agents and evolution on its twin, for power, cooling and admission."""
