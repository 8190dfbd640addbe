"""The plant file: what is accepted, what is refused and with which words."""

from pathlib import Path

import pytest

from core.plant import Plant, PlantError, parse_plant

PLANTS = Path(__file__).resolve().parents[3] / "plants"

MINIMAL = """
name = "tiny"
timezone = "UTC"
interval_seconds = 60
[[sensors]]
name = "power"
unit = "kW"
role = "power"
minimum = 0
maximum = 100
"""


def a_plant(extra: str = "", *, instead_of: str = "", put: str = "") -> Plant:
    """The minimal plant with one part replaced and a tail added."""
    assert instead_of in MINIMAL
    return parse_plant(MINIMAL.replace(instead_of, put, 1) + extra, source="tiny.toml")


def shipped(name: str) -> Plant:
    return parse_plant((PLANTS / f"{name}.toml").read_text(encoding="utf-8"), source=f"{name}.toml")


def test_the_default_plant_has_the_five_sensors_of_the_product() -> None:
    plant = shipped("default")
    assert plant.sensor_names == ("power", "temperature", "vibration", "runtime", "production")
    assert [sensor.unit for sensor in plant.sensors] == ["kW", "°C", "mm/s", "h", "units/h"]
    assert [plant.index_of_role(role) for role in ("power", "runtime", "production")] == [0, 3, 4]
    assert len(plant.machine_types) >= 3
    assert all(kind.rated_power and kind.off_below and kind.idle_below for kind in plant.machine_types)


def test_the_pump_test_bed_maps_eight_columns_and_has_no_idle_rule() -> None:
    plant = shipped("skab")
    assert len(plant.sensors) == 8
    assert tuple(plant.csv.columns.values()) == plant.sensor_names
    assert plant.csv.columns["Volume Flow RateRMS"] == "volume_flow_rate_rms"
    assert plant.index_of_role("power") is None
    assert plant.detection.warm_up_readings == 400


def test_all_policies_have_defaults() -> None:
    plant = a_plant()
    assert (plant.alerts.readings_over, plant.alerts.of_readings) == (4, 6)
    assert plant.readings.earliest.isoformat() == "2000-01-01T00:00:00+00:00"
    assert plant.machine_types == ()


@pytest.mark.parametrize(("interval", "readings"), [(1, 1440), (60, 1440), (300, 288), (3600, 168)])
def test_a_warm_up_is_a_day_within_bounds_of_count(interval: int, readings: int) -> None:
    for detection, expected in (("", readings), ('warm_up_readings = "auto"', readings), ("warm_up_readings = 50", 50)):
        plant = a_plant(
            f"[detection]\n{detection}\n",
            instead_of="interval_seconds = 60",
            put=f"interval_seconds = {interval}",
        )
        assert plant.warm_up_readings == expected


def test_the_first_pattern_that_matches_decides_the_type() -> None:
    plant = a_plant(
        '[[machine_types]]\nname = "special"\nmachines = ["press-9*"]\n'
        '[[machine_types]]\nname = "press"\nmachines = ["press-*", "old-press"]\n'
    )
    found = {machine: plant.type_of(machine) for machine in ("press-91", "press-01", "old-press", "pump-1", "PRESS-01")}
    assert {machine: kind and kind.name for machine, kind in found.items()} == {
        "press-91": "special",
        "press-01": "press",
        "old-press": "press",
        "pump-1": None,
        "PRESS-01": None,
    }


@pytest.mark.parametrize(
    ("instead_of", "put"),
    [('unit = "kW"', 'unit = "W"'), ('role = "power"\n', ""), ('name = "power"', 'name = "load"')],
)
def test_the_fingerprint_changes_with_name_unit_and_role(instead_of: str, put: str) -> None:
    assert a_plant(instead_of=instead_of, put=put).fingerprint != a_plant().fingerprint


def test_the_fingerprint_does_not_change_with_limits_and_policies() -> None:
    other = a_plant("warning_high = 90\n[detection]\nwarm_up_readings = 50\n")
    assert other.fingerprint == a_plant().fingerprint
    assert len(other.fingerprint) == 16
    assert other != a_plant()


def test_equal_plants_are_interchangeable_as_keys() -> None:
    assert {a_plant(): 1}[a_plant()] == 1


@pytest.mark.parametrize(
    ("instead_of", "put", "extra", "words"),
    [
        (
            "minimum = 0",
            "minimum = 100",
            "",
            ["sensors[0] (power)", "minimum (100) must be below maximum (100)"],
        ),
        ("minimum = 0", 'minimum = "0"', "", ["sensors[0].minimum = '0'", "valid number"]),
        ("minimum = 0\n", "", "", ["sensors[0].minimum", "required", "add the key"]),
        ("minimum = 0", "minimum = nan", "", ["sensors[0].minimum = nan", "finite"]),
        ('name = "power"', 'name = "Power kW"', "", ["sensors[0].name = 'Power kW'", "pattern"]),
        (
            'name = "power"',
            'name = "timestamp"',
            "",
            ["'timestamp' is reserved", "name the sensor differently"],
        ),
        ("maximum = 100", "maximum = 100\nmax = 3", "", ["sensors[0].max = 3", "correct its spelling"]),
        ("", "", "counter = { resolution = 0.1 }\n", ["role energy_counter", "remove its counter"]),
        ('role = "power"', 'role = "energy_counter"', "", ["counts kWh, not kW", "convert"]),
        (
            'unit = "kW"\nrole = "power"\nminimum = 0',
            'unit = "kWh"\nrole = "energy_counter"\nminimum = -1',
            "",
            ["never negative, minimum is -1", "minimum = 0"],
        ),
        (
            'unit = "kW"\nrole = "power"',
            'unit = "kWh"\nrole = "energy_counter"',
            "counter = { modulus = 99 }\n",
            ["maximum (100) must not be above modulus (99)"],
        ),
        (
            'unit = "kW"\nrole = "power"',
            'unit = "kWh"\nrole = "energy_counter"',
            "",
            ["energy counter 'power' has no maximum_power", "counter = { maximum_power = 400 }"],
        ),
        (
            "",
            "",
            "warning_high = 5\ncritical_high = 4\n",
            ["warning_high (5) must not be above critical_high (4)"],
        ),
        (
            'timezone = "UTC"',
            'timezone = "Mars/Olympus"',
            "",
            ["timezone = 'Mars/Olympus'", "IANA", "Europe/Berlin"],
        ),
        ('timezone = "UTC"', 'timezone = "../etc"', "", ["timezone = '../etc'", "IANA"]),
        ("interval_seconds = 60", "interval_seconds = 0", "", ["interval_seconds = 0", "greater than 0"]),
        (
            "",
            "",
            '[[sensors]]\nname = "power"\nunit = "W"\nminimum = 0\nmaximum = 1\n',
            ["sensor 'power' is there 2"],
        ),
        (
            "",
            "",
            '[[sensors]]\nname = "p"\nunit = "W"\nminimum = 0\nmaximum = 1\nrole = "power"\n',
            ["sensor role 'power' is there 2 times", "keep one"],
        ),
        ("", "", "[alerts]\nof_readings = 33\n", ["alerts.of_readings = 33", "less than or equal to 32"]),
        ("", "", "[alerts]\nreadings_over = 9\n", ["readings_over (9) must not be above of_readings (6)"]),
        (
            "",
            "",
            "[detection]\nslow_smoothing = 0.9\n",
            ["slow_smoothing (0.9) must not be above fast_smoothing"],
        ),
        ("", "", "[readings]\nearliest = 2000-01-01T00:00:00\n", ["readings.earliest", "timezone"]),
        ("", "", '[csv.columns]\nP = "pressure"\n', ["'P' to 'pressure'", "use one of: power"]),
        ("", "", '[csv.columns]\nA = "power"\nB = "power"\n', ["csv.columns 'power' is there 2 times"]),
        (
            "",
            "",
            '[[machine_types]]\nname = "x"\nmachines = []\n',
            ["machine_types[0].machines", "at least 1"],
        ),
        (
            'role = "power"\n',
            "",
            '[[machine_types]]\nname = "x"\nmachines = ["*"]\noff_below = 3\n',
            ["no sensor has the role power", 'role = "power"'],
        ),
        (
            "",
            "",
            "critical_high = 120\n",
            ["critical_high (120) must lie between minimum (0) and maximum (100)", "widen"],
        ),
        ("", "", "warning_low = -1\n", ["warning_low (-1) must lie between", "correct the limit"]),
        ("", "", "interval_seconds = 30\n", ["sensor 'power' (30) must not be below that of the plant (60)"]),
        (
            "",
            "",
            "[alerts]\ncooldown_seconds = 60\n",
            ["cooldown_seconds (60) must be above merge_gap_seconds (120)", "no effect"],
        ),
        (
            "",
            "",
            "[energy]\ngrace_seconds = 3600\nclose_idle_after_seconds = 300\n",
            ["close_idle_after_seconds (300) must not be below energy.grace_seconds (3600)", "write 3600"],
        ),
        (
            "",
            "",
            '[[alerts.overrides]]\ntypes = ["pmup"]\nenabled = false\n',
            ["alerts.overrides[0].types has 'pmup'", "no machine type"],
        ),
        ("", "", '[alerts]\ndirection = "up"\n', ["alerts.direction = 'up'", "'high', 'low' or 'both'"]),
        ("", "", "[alerts]\nminimum_relative_deviation = -0.1\n", ["alerts.minimum_relative_deviation = -0.1", "0"]),
        (
            "",
            "",
            '[[alerts.overrides]]\nkinds = ["limit"]\ndirection = "high"\n',
            ["direction (high) is a rule of kind anomaly", "add anomaly to kinds"],
        ),
        ("interval_seconds = 60", "interval_seconds = = 60", "", ["not valid TOML", "line 4"]),
    ],
)
def test_a_mistake_is_named_with_file_key_value_rule_and_remedy(
    instead_of: str, put: str, extra: str, words: list[str]
) -> None:
    with pytest.raises(PlantError) as caught:
        a_plant(extra, instead_of=instead_of, put=put)
    message = str(caught.value)
    for word in ["tiny.toml: ", "; ", *words]:
        assert word in message


def test_every_mistake_is_named_in_the_one_line() -> None:
    with pytest.raises(PlantError) as caught:
        a_plant("[energy]\npeak_limit = -1\n", instead_of="interval_seconds = 60", put="interval_seconds = -1")
    message = str(caught.value)
    assert "interval_seconds = -1" in message
    assert "energy.peak_limit = -1" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("section", "key"),
    [("alerts", "silent_after_seconds"), ("energy", "close_idle_after_seconds")],
)
def test_a_time_below_the_interval_is_refused_with_its_remedy(section: str, key: str) -> None:
    with pytest.raises(PlantError, match=rf"{section}\.{key} \(60\) must be above interval_seconds \(60\).*write 180"):
        a_plant(f"[{section}]\n{key} = 60\n")


@pytest.mark.parametrize(("interval", "silent", "idle"), [(60, 300, 300), (900, 2700, 1800)])
def test_silence_follows_the_interval_where_it_is_not_stated(interval: int, silent: float, idle: float) -> None:
    plant = a_plant(instead_of="interval_seconds = 60", put=f"interval_seconds = {interval}")

    assert (plant.silent_after_seconds, plant.close_idle_after_seconds) == (silent, idle)
    assert a_plant("[alerts]\nsilent_after_seconds = 90\n").silent_after_seconds == 90
