"""A plant of two sensors as a plant file's text, to which tests add sources."""


def tiny_plant(rest: str = "", *, timezone: str = "UTC", interval_seconds: int = 60) -> str:
    """Return the text of a plant with power in kW and, as the last table, temperature in °C, followed by `rest`."""
    return f"""
name = "tiny"
timezone = "{timezone}"
interval_seconds = {interval_seconds}
[[sensors]]
name = "power"
unit = "kW"
role = "power"
minimum = 0
maximum = 100
[[sensors]]
name = "temperature"
unit = "°C"
minimum = -40
maximum = 200
{rest}"""
