"""`foreman webhook-listen`: print the webhooks that come, for trying them out."""

import argparse

from foreman.listen import LISTEN_PORT, listen
from foreman.parsing import port, webhook_secrets


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port, default=LISTEN_PORT, help="on 127.0.0.1")
    parser.add_argument(
        "--secret", type=webhook_secrets, default=(), help="whsec_…, to verify signatures"
    )
    parser.set_defaults(action=lambda args: listen(args.port, args.secret))
