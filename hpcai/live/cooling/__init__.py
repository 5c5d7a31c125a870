"""Controllers of cooling on a real plant: sensors in and setpoints out over Modbus TCP, in shadow first."""
