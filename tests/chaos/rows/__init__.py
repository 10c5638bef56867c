"""All rows, in the order in which they run: mild ones first."""

from tests.chaos.row import Row
from tests.chaos.rows.broker import BROKER_ROWS
from tests.chaos.rows.clients import CLIENT_ROWS
from tests.chaos.rows.database import DATABASE_ROWS
from tests.chaos.rows.links import LINK_ROWS
from tests.chaos.rows.processes import PROCESS_ROWS
from tests.chaos.rows.receivers import RECEIVER_ROWS
from tests.chaos.rows.targets import TARGET_ROWS
from tests.chaos.rows.three import THREE_ROWS

ROWS: list[Row] = [
    *CLIENT_ROWS,
    *RECEIVER_ROWS,
    *TARGET_ROWS,
    *LINK_ROWS,
    *PROCESS_ROWS,
    *DATABASE_ROWS,
    *BROKER_ROWS,
    *THREE_ROWS,
]
