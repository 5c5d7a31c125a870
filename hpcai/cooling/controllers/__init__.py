"""Who sets the plant's setpoints: fixed values, schedules, feedback, rules, prediction, and learned policies."""
