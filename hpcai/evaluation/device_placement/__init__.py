"""The operators of one model placed on devices by several methods, with a plan and a report."""
