"""What an object of a fire transmission device says about one point: pure, whatever it holds."""

from config.gb26875 import ANALOGUES
from config.plant import Point
from config.profile import FirePlace, FireValue
from edge.decoding import UNDECODABLE, Decoded, check
from edge.gb26875_data import ComponentAnalogue, ComponentState, DeviceState, Item, SystemState
from edge.readings import QUALITIES


def place_of(item: Item) -> FirePlace | None:
    """Whose state or value an object tells; None of an object that tells neither."""
    if isinstance(item, DeviceState):
        return FirePlace("device")
    if isinstance(item, SystemState):
        return FirePlace("system", item.system_type, item.system_address)
    if isinstance(item, ComponentState):
        return FirePlace("component", item.system_type, item.system_address, item.zone, item.position)  # fmt: skip
    if isinstance(item, ComponentAnalogue):
        return FirePlace("analogue", item.system_type, item.system_address, item.zone, item.position, item.analogue_type)  # fmt: skip
    return None


def read_point(point: Point, source: FireValue, item: Item) -> Decoded:
    """Value (in the point's unit) and quality of a point, from the object that tells of its place.

    Another component than the profile means is `substituted`: its alarm is an alarm, but not good.
    """
    if isinstance(item, ComponentAnalogue):
        value, quality = _measured(point, source, item)
    elif isinstance(item, SystemState | ComponentState | DeviceState) and source.bit is not None:
        value, quality = float(item.state >> source.bit & 1), 0
    else:
        return None, UNDECODABLE
    meant = source.component_type
    if isinstance(item, ComponentState | ComponentAnalogue) and meant not in (None, item.component_type):  # fmt: skip
        quality = quality or QUALITIES["substituted"]
    return value, quality


def _measured(point: Point, source: FireValue, item: ComponentAnalogue) -> Decoded:
    row = ANALOGUES.get(item.analogue_type)
    if row is not None and not row.low <= item.value <= row.high:
        return None, QUALITIES["out_of_physical_range"]
    return check(point, item.value * source.scale + source.offset)
